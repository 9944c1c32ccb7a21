"""What a start says about the end of the last window."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from window_help import main_window

from app.project.project import Project
from app.shell.last_end import RunningMark, UnexpectedEnd, look_back


def write_mark(folder, **changes):
    """Write the mark of a window that is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    facts = {"pid": gone.pid, "started": 1000.0, "computer": os.uname().nodename, "boot": boot(folder), "project": None}
    folder.mkdir(exist_ok=True)
    path = folder / f"running-{changes.get('pid', gone.pid)}.json"
    path.write_text(json.dumps(facts | changes))
    return path


def boot(folder):
    """What a mark says of this start of the computer."""
    mark = RunningMark(folder)
    value = json.loads((folder / f"running-{os.getpid()}.json").read_text())["boot"]
    mark.end()
    return value


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def crash(folder, how):
    """Run a process that marks itself as a window, and ends in some way."""
    code = (
        "import sys, os, faulthandler\nfrom pathlib import Path\nfrom app.shell.last_end import RunningMark\n"
        "mark = RunningMark(Path(sys.argv[1]))\nmark.set_project(Path('/somewhere/My cells.cs1project'))\n"
    )
    root = Path(__file__).resolve().parents[2]
    return subprocess.run([sys.executable, "-c", code + how, str(folder)], cwd=root, capture_output=True).returncode


def test_an_end_as_asked_leaves_nothing(folder):
    assert crash(folder, "mark.end()") == 0
    assert list(folder.iterdir()) == []
    assert look_back(folder) is None


def test_a_crash_is_told_once_with_where_it_was(folder, caplog):
    assert crash(folder, "faulthandler._sigsegv()") != 0
    end = look_back(folder)
    assert end.project == Path("/somewhere/My cells.cs1project")
    assert not end.restarted
    assert "Segmentation fault" in end.report
    assert 'File "<string>"' in end.report
    assert end.report in caplog.text
    assert list(folder.iterdir()) == []
    assert look_back(folder) is None


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_kill_from_outside_is_told_too(folder):
    assert crash(folder, "import signal; os.kill(os.getpid(), signal.SIGKILL)") == -9
    assert "ended from outside" in look_back(folder).report


def test_a_window_that_still_runs_is_left_alone(folder):
    running = RunningMark(folder)
    other = write_mark(folder, pid=os.getppid(), started=psutil.Process(os.getppid()).create_time())
    elsewhere = write_mark(folder, computer="another computer with the same home")
    assert look_back(folder) is None
    assert other.exists()
    assert elsewhere.exists()
    running.end()


def test_a_number_that_another_process_has_now_is_no_window(folder):
    write_mark(folder, pid=os.getppid(), started=psutil.Process(os.getppid()).create_time() - 5000)
    assert not look_back(folder).restarted


def test_a_restart_of_the_computer_is_told_as_such(folder):
    write_mark(folder, boot="another", pid=os.getpid())
    end = look_back(folder)
    assert end.restarted
    assert "switched off or restarted" in end.report


def test_the_last_of_several_is_told(folder):
    write_mark(folder, started=3000.0, project="/new")
    write_mark(folder, started=2000.0, project="/old")
    assert look_back(folder).project == Path("/new")
    assert look_back(folder) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": 1e400}', '{"pid": "x"}', "[" * 5000])
def test_a_damaged_mark_is_nothing(folder, text):
    (folder / "running-1.json").write_text(text)
    assert look_back(folder) is None
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_start(tmp_path):
    (tmp_path / "file").write_text("")
    mark = RunningMark(tmp_path / "file" / "logs")
    mark.set_project(tmp_path)
    mark.end()
    assert look_back(tmp_path / "file" / "logs") is None


@pytest.fixture
def window(tmp_path, monkeypatch, qtbot):
    with main_window(tmp_path / "home", monkeypatch) as window:
        yield window


def test_the_window_says_it_and_offers_project_and_log(window, tmp_path, qtbot):
    with Project.create(tmp_path, "My cells & more") as project:
        folder = project.folder
    log = tmp_path / "logs" / "studio.log"
    window.tell_last_end(UnexpectedEnd(restarted=False, project=folder, report="where it was"), log)
    notice = window.end_notice
    assert notice.isVisible()
    assert "ended unexpectedly" in notice.label.text()
    assert str(log) in notice.label.text()
    notice.log_button.click()
    shown = window.help._log_window
    qtbot.waitUntil(lambda: "where it was" in shown.text.toPlainText())
    shown.close()
    assert notice.open_button.text() == "Open My cells && more"
    notice.open_button.click()
    assert window.session.project.folder == folder
    assert not notice.isVisible()


def test_a_project_that_is_gone_is_not_offered(window, tmp_path):
    window.tell_last_end(UnexpectedEnd(restarted=True, project=tmp_path / "gone", report=""), None)
    notice = window.end_notice
    assert "switched off or restarted" in notice.label.text()
    assert not notice.open_button.isVisible()
    assert not notice.log_button.isVisible()
    notice.close_button.click()
    assert not notice.isVisible()
