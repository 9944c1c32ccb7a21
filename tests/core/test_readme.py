"""The README's examples do what it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cellseg1.bundled import resource_path

README = Path(__file__).parents[2] / "README.md"


def block(heading, language):
    section = README.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    (code,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return code


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(resource_path("sample_project"), tmp_path / "sample_project")
    return tmp_path


def test_command_line(folder):
    # The command of this very environment, whatever is on the PATH.
    script = block("From the command line", "bash").replace("cellseg1 ", f"{sys.executable} -m cellseg1 ")
    script = script.replace("--epochs 2", "--epochs 1 --set duplicate_data=4")
    result = subprocess.run(["bash", "-euc", script], cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert '"0.50":' in result.stdout
    assert len(list((folder / "results").glob("*.png"))) == 3


def test_python(folder):
    code = block("From Python", "python")
    assert len([line for line in code.splitlines() if line]) == 5
    code = code.replace('{"epoch_max": 2}', '{"epoch_max": 1, "duplicate_data": 4}')
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"\(256, 256\) \d+", result.stdout.strip())
    assert (folder / "nuclei.cs1").exists()
