"""Every way out of a project asks where something would be lost, and nothing changes the project under a dialog."""

import numpy as np
import pytest
from panel_help import FakeJob
from PIL import Image
from project_help import FullDisk, paint_cell
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication, QDialog, QMessageBox
from window_help import main_window

from app.project import recent
from app.project.archive import export_file
from app.project.project import Project
from app.session.run_requests import PredictionWish
from app.shell.closing_dialog import CloseChoice
from app.widgets.errors import ErrorDialog
from app.widgets.plain import MessageBox


@pytest.fixture
def window(tmp_path, monkeypatch, qtbot):
    monkeypatch.setenv("CELLSEG1_DATA_DIR", str(tmp_path / "data"))
    with main_window(tmp_path / "home", monkeypatch) as window:
        window.preferences.set("project_folder", str(tmp_path / "projects"))
        (tmp_path / "projects").mkdir()
        yield window
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, ErrorDialog):
                widget.close()


def make(window, folder, name, count=2):
    """A project with pictures, opened in the window."""
    pictures = folder / f"pictures {name}"
    pictures.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (60, 100), np.uint8)).save(pictures / f"im{number}.png")
    window.session.create_project(folder, name)
    window.session.add_images([pictures], copy=True)
    return window.session.project.folder


@pytest.fixture
def two(window, tmp_path, qtbot):
    """Projects A (shown) and B, and a one-file project of B."""
    other = make(window, tmp_path, "B")
    packed = tmp_path / "packed.cs1zip"
    export_file(window.session.project, packed)
    recent.add(other, "B")
    mine = make(window, tmp_path, "A")
    qtbot.waitUntil(lambda: window.session.document is not None)
    return mine, other, packed


def fake_jobs(window, monkeypatch):
    """Let jobs be started without engines; returns the list of them."""
    made = []

    def start(request, title, run_id="", *, held=""):
        made.append(FakeJob(request, title, run_id))
        made[-1].silent = False
        made[-1].held = held
        return made[-1]

    monkeypatch.setattr(window.session.engines, "start", start)
    return made


def predict(window):
    session = window.session
    return session.start_prediction(
        PredictionWish(planes=[(one.id, 0, 0) for one in session.project.images], model=None)
    )


def answers(monkeypatch, *buttons):
    """Answer questions with buttons, one after the other; returns the texts of the questions."""
    asked, left = [], list(buttons)

    def ask(_parent, _title, text, *_more):
        asked.append(text)
        return left.pop(0)

    monkeypatch.setattr(MessageBox, "ask", ask)
    return asked


def errors():
    return [one.sentence for one in QApplication.topLevelWidgets() if isinstance(one, ErrorDialog) and one.isVisible()]


WAYS = ["open", "json", "recent", "second start", "dropped on the window", "dropped on the start page"]
WAYS += ["close", "sample", "import", "new", "duplicate", "trash", "quit"]


def go(window, way, other, packed, tmp_path, monkeypatch, qtbot):
    """Leave the open project in some way."""
    match way:
        case "open":
            window.projects.open_path(other)
        case "json":
            window.projects.open_path(other / "project.json")
        case "recent":
            window.menu.recent.aboutToShow.emit()
            next(one for one in window.menu.recent.actions() if one.text() == "B").trigger()
        case "second start":
            window.show_again([str(other)])
        case "dropped on the window":
            window.projects.add_paths([other])
        case "dropped on the start page":
            window.projects.new_from([other])
        case "close":
            window.actions_["close_project"].trigger()
        case "sample":
            window.actions_["try_sample"].trigger()
        case "import":
            window.projects.open_path(packed)
            qtbot.waitUntil(lambda: not window.session.background._open)
        case "new":
            monkeypatch.setattr("app.shell.project_commands.ask", lambda _dialog: True)
            from app.pages.project.new_project import NewProjectDialog

            wish = type("Wish", (), {"parent": tmp_path, "name": "New", "images": [], "copy": True, "masks": None})
            monkeypatch.setattr(NewProjectDialog, "result_values", lambda _self: wish)
            window.actions_["new_project"].trigger()
        case "duplicate":
            monkeypatch.setattr("app.shell.project_commands.QInputDialog.getText", lambda *_a, **_k: ("A copy", True))
            window.actions_["duplicate_project"].trigger()
        case "trash":
            window.actions_["trash_project"].trigger()
        case "quit":
            window.close()


def test_edits_that_are_only_in_memory_are_not_left_without_a_question(window, two, tmp_path, monkeypatch, qtbot):
    _mine, other, packed = two
    project, document = window.session.project, window.session.document
    disk = FullDisk(monkeypatch)
    disk.full = True
    paint_cell(document, (10, 10))
    with pytest.raises(Exception, match="full"):
        project.flush()
    assert project.drawings.unsaved
    # There is room elsewhere; what is in memory stays there.
    disk.full = False
    drawings = project.drawings
    monkeypatch.setattr(type(drawings), "unsaved", property(lambda self: self is drawings))
    for way in WAYS:
        replies = [QMessageBox.StandardButton.Cancel]
        if way == "trash":
            replies.insert(0, QMessageBox.StandardButton.Yes)
        asked = answers(monkeypatch, *replies)
        go(window, way, other, packed, tmp_path, monkeypatch, qtbot)
        assert len(asked) == len(replies), way
        assert "loses the last edits" in asked[-1], way
        assert window.session.project is project, way
        assert window.isVisible(), way
        assert len(window.session.document.cells) == 1, way
    monkeypatch.setattr(type(drawings), "unsaved", property(lambda _self: False))
    project.flush()


@pytest.mark.parametrize("choice", list(CloseChoice))
@pytest.mark.parametrize("way", ["close", "second start"])
def test_leaving_a_project_with_a_job_asks_what_becomes_of_it(window, two, tmp_path, monkeypatch, qtbot, way, choice):
    mine, other, packed = two
    project = window.session.project
    fake_jobs(window, monkeypatch)
    job = predict(window)
    job.stop = lambda _grace=None: job.end("stopped", {})
    made = []

    class Asked:
        def __init__(self, titles, _parent, **options):
            made.append((titles, options))
            self.choice = choice

    monkeypatch.setattr("app.shell.closing.CloseDuringJobDialog", Asked)
    monkeypatch.setattr("app.shell.closing.ask", lambda _dialog: None)
    go(window, way, other, packed, tmp_path, monkeypatch, qtbot)
    assert [one["leaving"] for _titles, one in made] == [True]
    assert window.isVisible(), "the window never hides for it"
    if choice is CloseChoice.CANCEL:
        assert window.session.project is project
    else:
        assert window.session.project is not project
    assert [one.handle for one in window.session.jobs.running] == ([] if choice is CloseChoice.STOP else [job])
    if choice is not CloseChoice.STOP:
        job.end("finished", {})
    window.session.close_project()
    with Project.open(mine) as again:
        assert [run.state for run in again.runs] == ["stopped" if choice is CloseChoice.STOP else "finished"]


def test_a_project_stays_where_it_is_while_a_job_runs_in_it(window, two, monkeypatch):
    mine, _other, _packed = two
    fake_jobs(window, monkeypatch)
    job = predict(window)
    answers(monkeypatch)
    for name in ("rename_project", "move_project", "trash_project", "save_elsewhere"):
        window.actions_[name].trigger()
        assert window.session.project.folder == mine, name
    assert errors() == ["A training or prediction is running in this project. Wait for its end, or stop it first."]
    job.end("stopped", {})


def test_a_second_start_waits_until_the_dialog_is_closed(window, two, qtbot):
    mine, other, _packed = two
    dialog = QDialog(window)
    dialog.setModal(True)
    dialog.open()
    window.show_again([str(other)])
    qtbot.wait(500)
    assert window.session.project.folder == mine
    dialog.close()
    dialog.deleteLater()
    qtbot.waitUntil(lambda: window.session.project.folder == other)


def test_a_second_start_waits_until_images_are_added(window, two, tmp_path, qtbot):
    mine, other, _packed = two
    more = tmp_path / "more"
    more.mkdir()
    for number in range(4):
        Image.fromarray(np.full((60, 100), number, np.uint8)).save(more / f"more{number}.png")

    def at(done, _total, _name):
        if done == 1:
            window.show_again([str(other)])
            window.close()
            QApplication.processEvents()

    report = window.session.add_images([more], copy=True, progress=at)
    assert len(report.added) == 4
    assert window.session.project.folder == mine
    assert [one.name for one in window.session.project.images[-4:]] == [f"more{number}.png" for number in range(4)]
    qtbot.waitUntil(lambda: not window.isVisible())


def test_what_was_removed_comes_back_only_into_its_own_project(window, two):
    _mine, other, _packed = two
    session = window.session
    removed = session.remove_image(session.project.images[1].id)
    session.open_project(other)
    with pytest.raises(Exception, match=r"im1\.png belongs to another project"):
        session.restore(removed)
    assert len(session.project.images) == 2


def test_the_open_project_stays_open_however_its_path_is_written(window, two, tmp_path):
    mine, _other, _packed = two
    project = window.session.project
    link = tmp_path / f"linked{mine.suffix}"
    link.symlink_to(mine, target_is_directory=True)
    dots = mine.parent / "pictures A" / ".." / mine.name
    for path in (link, link / "project.json", dots, dots / "project.json"):
        for do in (window.projects.open_path, lambda path: window.show_again([str(path)])):
            do(path)
            assert window.session.project is project, path
            assert not project.read_only, path
    assert errors() == []


def test_losing_the_focus_while_the_disk_refuses_is_no_error_of_the_program(window, two, monkeypatch):
    disk = FullDisk(monkeypatch)
    disk.full = True
    paint_cell(window.session.document, (10, 10))
    # An exception in an event handler fails the test.
    QApplication.sendEvent(window, QEvent(QEvent.Type.WindowDeactivate))
    window.storage.save_quietly()
    window.actions_["save_now"].trigger()
    assert "cannot be saved" in errors()[0]
    disk.full = False
    window.session.project.flush()


def test_hiding_while_the_disk_refuses_hides_and_keeps_what_is_in_memory(window, two, monkeypatch, qtbot):
    fake_jobs(window, monkeypatch)
    job = predict(window)
    disk = FullDisk(monkeypatch)
    disk.full = True
    paint_cell(window.session.document, (10, 10))
    window.preferences.set("closing_during_job", "background")
    window.close()
    assert not window.isVisible()
    asked = answers(monkeypatch, QMessageBox.StandardButton.Cancel)
    job.end("finished", {})
    qtbot.waitUntil(lambda: bool(asked))
    assert window.isVisible()
    assert len(window.session.document.cells) == 1
    disk.full = False
    window.session.project.flush()


def test_the_banner_of_a_full_disk_belongs_to_its_project(window, two, monkeypatch, qtbot):
    _mine, other, _packed = two
    window.storage.tell("The project cannot be saved.")
    assert not window.area.notes.storage.isHidden()
    window.session.open_project(other)
    assert window.area.notes.storage.isHidden()


def test_a_project_whose_folder_was_renamed_says_so_is_not_made_again_and_goes_on_there(window, two, tmp_path, qtbot):
    mine, _other, _packed = two
    project = window.session.project
    moved = mine.with_name(f"Renamed{mine.suffix}")
    mine.rename(moved)
    QApplication.sendEvent(window, QEvent(QEvent.Type.WindowActivate))
    assert not window.area.notes.storage.isHidden()
    assert str(mine) in window.storage.shown
    paint_cell(window.session.document, (10, 10))
    QApplication.sendEvent(window, QEvent(QEvent.Type.WindowDeactivate))
    assert not mine.exists()
    window.show_again([str(moved)])
    assert window.session.project is project
    assert project.folder == moved
    assert window.windowTitle().startswith("Renamed")
    assert window.area.notes.storage.isHidden()
    assert next(one.path for one in recent.recent()) == moved
    assert mine not in [one.path for one in recent.recent()]
    assert not mine.exists()
    image_id = window.session.image_id
    window.session.close_project()
    with Project.open(moved) as again:
        assert again.images.get(image_id).cells == 1
