"""What belongs to the packaging: the lock, the documentation."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_the_lock_names_no_place_to_fetch_from():
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links|\b[a-z0-9-]+\.(org|com|net|io)\b", LOCK)


def test_the_lock_has_every_dependency_with_its_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["app"], *extras["dev"], *extras["docs"]]
    names = {re.match(r"[\w.-]+", line)[0].lower() for line in wanted if not line.startswith("cellseg1-studio")}
    locked = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", LOCK))
    assert {name.replace("_", "-") for name in names} <= set(locked)
    for entry in re.split(r"(?m)^(?=[\w.-]+==)", LOCK)[1:]:
        assert "--hash=sha256:" in entry, entry


@pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="the extra 'docs' is not installed")
def test_the_documentation_builds_without_warnings(tmp_path):
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-d",
        tmp_path / "trees",
        "docs",
        tmp_path / "site",
    ]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    page = (tmp_path / "site" / "reference" / "index.html").read_text(encoding="utf-8")
    for name in (
        "train",
        "load",
        "segment",
        "segment_folder",
        "evaluate",
        "measure",
        "export",
        "read_image",
        "read_mask",
    ):
        assert re.search(rf'id="cellseg1\.(Model\.)?{name}"', page), name
