"""The window's test of itself: how it reports, and (slowly) the whole of it from the source."""

import json
import os
import subprocess
import sys

import pytest
from window_help import main_window

from app.selftest.run import SelfTest, Wait
from app.widgets.errors import show_error


@pytest.fixture
def window(tmp_path, monkeypatch, qtbot):
    with main_window(tmp_path / "home", monkeypatch) as window:
        yield window


def ended(window, folder, steps, monkeypatch, qtbot):
    """Run a script and return the test and its report."""
    monkeypatch.setattr(SelfTest, "_steps", lambda self: steps(self))
    test = SelfTest(window, folder)
    qtbot.waitUntil(lambda: (folder / "report.json").exists(), timeout=20_000)
    qtbot.waitUntil(lambda: not window.isVisible())
    return test, json.loads((folder / "report.json").read_text())


def test_what_goes_well_passes_and_closes_the_window(window, tmp_path, monkeypatch, qtbot):
    def steps(test):
        yield Wait(window.isVisible, "the window")
        test._lap("start")

    test, report = ended(window, tmp_path, steps, monkeypatch, qtbot)
    assert test.passed
    assert report["passed"]
    assert report["error"] == ""
    assert report["seconds"]["start"] >= 0
    assert report["frozen"] is False


def test_what_does_not_come_in_time_fails(window, tmp_path, monkeypatch, qtbot):
    def steps(_test):
        yield Wait(lambda: False, "something that never comes", 0.1)

    test, report = ended(window, tmp_path, steps, monkeypatch, qtbot)
    assert not test.passed
    assert "something that never comes did not come within" in report["error"]


def test_an_error_dialog_fails_it_and_its_words_are_kept(window, tmp_path, monkeypatch, qtbot):
    def steps(_test):
        show_error(window, "The disk is full.", "Traceback of it")
        yield Wait(lambda: False, "nothing", 20)

    test, report = ended(window, tmp_path, steps, monkeypatch, qtbot)
    assert not test.passed
    assert "The disk is full." in report["error"]
    assert "Traceback of it" in report["error"]


def test_a_bug_in_the_script_fails_it(window, tmp_path, monkeypatch, qtbot):
    def steps(_test):
        yield Wait(window.isVisible, "the window")
        raise ZeroDivisionError("by zero")

    test, report = ended(window, tmp_path, steps, monkeypatch, qtbot)
    assert not test.passed
    assert report["error"] == "ZeroDivisionError: by zero"
    assert "Traceback" in report["details"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "app", "--self-test", str(tmp_path / "file" / "x")], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "cannot be used for the self-test" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_the_whole_work_from_the_sample_to_the_saved_masks(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "app", "--self-test", str(tmp_path / "test ö中文")],
        env={**os.environ, "HOME": str(home), "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
    )
    report = json.loads((tmp_path / "test ö中文" / "report.json").read_text(encoding="utf-8"))
    assert (done.returncode, report["error"]) == (0, "")
    assert report["found"]["training steps"] == len(report["found"]["loss"]) > 3
    assert report["found"]["images predicted"] == 4
    assert report["found"]["cells saved"].keys() == {"nuclei_a", "nuclei_b"}
    # Nothing of it touched the user's own folders.
    assert not [path for path in home.rglob("*") if "CellSeg1" in path.name]
