"""What the wheel puts into an environment, and that the window runs from there and from a checkout."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cellseg1._version import __version__

ROOT = Path(__file__).parents[2]
WINDOW = [sys.executable, "-W", "error", "-m", "cellseg1_studio", "--version"]


def run(command, **more):
    done = subprocess.run(
        [str(one) for one in command], capture_output=True, text=True, timeout=300, check=False, **more
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, built as pip builds it, without fetching anything."""
    if importlib.util.find_spec("hatchling") is None or importlib.util.find_spec("pip") is None:
        pytest.skip("hatchling and pip are needed to build a wheel")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], cwd=folder)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_holds_library_window_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as stored:
        names = stored.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"cellseg1", "cellseg1_studio", f"cellseg1_studio-{__version__}.dist-info"}
    for wanted in (
        "cellseg1/resources/backbones/tiny.safetensors",
        "cellseg1/api/model.py",
        "cellseg1_studio/__main__.py",
        "cellseg1_studio/shell/main_window.py",
    ):
        assert wanted in names
    sources = {f"cellseg1_studio/{path.relative_to(ROOT / 'app').as_posix()}" for path in (ROOT / "app").rglob("*.py")}
    assert sources == {name for name in names if name.startswith("cellseg1_studio/") and name.endswith(".py")}


def test_the_window_runs_from_the_wheel(wheel, tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--no-deps", "--no-compile", "--target", tmp_path / "site", wheel], cwd=tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}
    assert run(WINDOW, cwd=tmp_path, env=environment) == f"CellSeg1 Studio {__version__}"
    where = "import cellseg1_studio.shell.application as it, sys; print(it.__file__); print('app' in sys.modules)"
    file, knows_app = run([sys.executable, "-c", where], cwd=tmp_path, env=environment).splitlines()
    assert Path(file).is_relative_to(tmp_path / "site")
    assert knows_app == "False"
    script = tmp_path / "site" / "bin" / "cellseg1-studio"
    if script.exists():
        assert run([sys.executable, script, "--version"], cwd=tmp_path, env=environment).endswith(__version__)


def test_the_window_runs_from_a_checkout_under_both_names(tmp_path):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "installer" / "checkout")])
    environment = {**os.environ, "PYTHONPATH": paths}
    for name in ("app", "cellseg1_studio"):
        command = [sys.executable, "-W", "error", "-m", name, "--version"]
        assert run(command, cwd=tmp_path, env=environment) == f"CellSeg1 Studio {__version__}"


def test_the_window_names_itself_nowhere():
    """Imports inside the window are relative: the wheel installs it under another name."""
    import ast

    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level or (node.module or "").split(".")[0] != "app", (path, node.lineno)
            elif isinstance(node, ast.Import):
                assert not [one.name for one in node.names if one.name.split(".")[0] == "app"], (path, node.lineno)
