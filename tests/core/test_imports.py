"""What importing costs and what it must not bring along."""

import importlib.metadata
import subprocess
import sys

import pytest

from cellseg1.bundled import resource_path


def modules_after(code):
    listing = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True, timeout=120)
    return {name.split(".")[0] for name in result.stdout.split()}


def test_importing_the_package_loads_nothing_heavy():
    loaded = modules_after("import cellseg1")
    assert not loaded & {"torch", "numpy", "PySide6", "cv2", "scipy", "skimage"}


QT_FREE = "import cellseg1.cli, cellseg1.demo, cellseg1.doctor, cellseg1.training.trainer, cellseg1.prediction.decode"


def test_only_the_headless_opencv_is_installed():
    """The other build brings a second Qt into the process, and both together break cv2."""
    names = {distribution.metadata["Name"].lower() for distribution in importlib.metadata.distributions()}
    assert "opencv-python-headless" in names
    assert not names & {"opencv-python", "opencv-contrib-python"}


def test_nothing_ever_loads_qt():
    loaded = modules_after(QT_FREE)
    assert "torch" in loaded
    assert not loaded & {"PySide6", "shiboken6", "PyQt5", "PyQt6"}


@pytest.mark.parametrize(
    "module", ["images", "masks", "evaluation", "evaluation.job", "settings", "prediction.select", "prediction.overlay"]
)
def test_what_the_window_uses_does_not_load_torch(module):
    assert "torch" not in modules_after(f"import cellseg1.{module}")


def test_the_sample_project_is_complete():
    sample = resource_path("sample_project")
    for part, count in (("train", 1), ("test", 3)):
        images = sorted(path.name for path in (sample / part / "images").glob("*.png"))
        masks = sorted(path.name for path in (sample / part / "masks").glob("*.png"))
        assert images == masks
        assert len(images) == count
