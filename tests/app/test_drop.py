"""Files and folders dropped from outside, wherever in the window one lets go of them."""

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QDialog
from window_help import main_window

from app.pages.project.import_report import ImportReportDialog
from app.project.archive import export_file
from app.project.project import Project
from app.shell import project_commands
from app.shell.image_commands import ImageCommands
from cellseg1.masks import write_label_image


@pytest.fixture
def window(tmp_path, monkeypatch, qtbot):
    with main_window(tmp_path / "home", monkeypatch) as window:
        window.preferences.set("project_folder", str(tmp_path / "projects"))
        yield window


@pytest.fixture
def copying(monkeypatch):
    monkeypatch.setattr(ImageCommands, "_ask_copy", lambda _self: True)


def files(folder):
    """Two images, a mask of one of them, a text, and what only begins like an image."""
    folder.mkdir()
    for number in range(2):
        Image.fromarray(np.full((60, 100), 50 * number, np.uint8)).save(folder / f"im{number}.png")
    labels = np.zeros((60, 100), np.int32)
    labels[10:20, 10:25], labels[30:45, 50:70] = 1, 2
    write_label_image(folder / "im1_mask.png", labels)
    (folder / "notes.txt").write_text("not an image")
    (folder / "broken.png").write_bytes(b"\x89PNG and nothing more")
    return folder


def target_at(window, widget):
    """Return who gets a drop in the middle of a widget, as Qt finds it: the innermost that takes drops."""
    at = widget.mapTo(window, widget.rect().center())
    found = window.childAt(at)
    while found is not None and not found.acceptDrops():
        found = found.parentWidget()
    return found


def drop(window, widget, paths):
    target = target_at(window, widget)
    if target is None:
        return False
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    place, actions = QPoint(40, 40), Qt.DropAction.CopyAction | Qt.DropAction.MoveAction
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(place, actions, data, buttons, keys)
    QApplication.sendEvent(target, enter)
    if enter.isAccepted():
        event = QDropEvent(QPointF(place), actions, data, buttons, keys)
        QApplication.sendEvent(target, event)
        assert event.dropAction() == Qt.DropAction.CopyAction, "the desktop must not delete the originals"
    return enter.isAccepted()


@pytest.mark.parametrize("where", ["empty canvas", "list", "panel", "tools"])
def test_images_dropped_anywhere_are_added_with_their_masks(window, tmp_path, copying, qtbot, where):
    window.session.create_project(tmp_path, "Cells")
    QApplication.processEvents()
    places = {
        "empty canvas": window.area.no_image,
        "list": window.area.images,
        "panel": window.area.panels,
        "tools": window.area.tool_column,
    }
    assert drop(window, places[where], [files(tmp_path / "in")])
    names = [image.name for image in window.session.project.images]
    assert names == ["im0.png", "im1.png"]
    assert [window.session.project.images.get(image.id).cells for image in window.session.project.images] == [0, 2]
    # What was not added, and why, is said.
    dialog = next(one for one in window.findChildren(ImportReportDialog))
    dialog.close()


def test_single_files_on_the_image(window, tmp_path, copying, qtbot):
    folder = files(tmp_path / "in")
    window.session.create_project(tmp_path, "Cells")
    window.session.add_images([folder / "im0.png"], copy=True)
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert drop(window, window.canvas, [folder / "im1.png", folder / "im1_mask.png"])
    assert [image.name for image in window.session.project.images] == ["im0.png", "im1.png"]


def test_a_project_and_a_project_file_are_opened(window, tmp_path, qtbot):
    window.session.create_project(tmp_path, "First")
    with Project.create(tmp_path, "Second") as second:
        export_file(second, tmp_path / "third.cs1zip", pack_linked=True)
        folder = second.folder
    assert drop(window, window.area.panels, [folder])
    assert window.session.project.name == "Second"
    window.session.close_project()
    assert drop(window, window.start_page, [tmp_path / "third.cs1zip"])
    qtbot.waitUntil(lambda: window.session.project is not None)
    assert window.session.project.folder.parent == tmp_path / "projects"


def test_images_on_the_start_page_begin_a_new_project(window, tmp_path, monkeypatch):
    asked = []

    class Dialog(QDialog):
        def __init__(self, _parent, paths, window):
            super().__init__(window)
            asked.extend(paths)

        def exec(self):
            return self.DialogCode.Rejected

    monkeypatch.setattr(project_commands, "NewProjectDialog", Dialog)
    folder = files(tmp_path / "in")
    assert drop(window, window.start_page, [folder])
    assert asked == [folder]


def test_a_project_that_is_only_looked_at_takes_nothing(window, tmp_path):
    folder = files(tmp_path / "in")
    with Project.create(tmp_path, "Held") as held:
        window.session.open_project(held.folder)
        assert window.session.project.read_only
        QApplication.processEvents()
        assert not drop(window, window.area.panels, [folder])
        assert not drop(window, window.area.images, [folder])
        window.session.close_project()


def test_nothing_but_files_is_taken(window, tmp_path):
    window.session.create_project(tmp_path, "Cells")
    data = QMimeData()
    data.setText("a text")
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(40, 40), Qt.DropAction.CopyAction, data, buttons, keys)
    QApplication.sendEvent(target_at(window, window.area.panels), enter)
    assert not enter.isAccepted()
