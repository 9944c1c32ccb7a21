"""Whatever is removed from a project can be brought back in the window."""

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from window_help import main_window

from app.pages.models.panel import ModelsPanel
from app.pages.project.removed import RemovedDialog
from app.widgets.banner import Banner
from cellseg1.masks import write_label_image


@pytest.fixture
def window(tmp_path, monkeypatch, qtbot):
    with main_window(tmp_path / "home", monkeypatch) as window:
        (tmp_path / "images").mkdir()
        (tmp_path / "masks").mkdir()
        for number in range(3):
            Image.fromarray(np.full((60, 100), number, np.uint8)).save(tmp_path / f"images/im{number}.png")
        labels = np.zeros((60, 100), np.int32)
        labels[10:20, 10:25], labels[30:45, 50:70] = 1, 2
        write_label_image(tmp_path / "masks/im1.png", labels)
        window.session.create_project(tmp_path, "Cells")
        window.session.add_images([tmp_path / "images"], copy=True, masks=[tmp_path / "masks"])
        qtbot.waitUntil(lambda: window.session.document is not None)
        yield window


def names(window):
    return sorted(image.name for image in window.session.project.images)


def banner_of(window):
    QApplication.processEvents()
    return next(one for one in window.findChildren(Banner) if one.action.text() == "Undo" and not one.isHidden())


def test_removed_images_come_back_with_one_click(window, qtbot):
    ids = [image.id for image in window.session.project.images]
    window.image_commands.remove_images(ids[:2])
    assert names(window) == ["im2.png"]
    banner = banner_of(window)
    assert "2 images" in banner.label.text()
    banner.action.click()
    assert names(window) == ["im0.png", "im1.png", "im2.png"]
    window.session.show_image(ids[1])
    qtbot.waitUntil(lambda: window.session.image_id == ids[1] and window.session.document is not None)
    assert len(window.session.document.cells) == 2
    assert not [one for one in window.findChildren(Banner) if one.action.text() == "Undo"]


def test_a_remark_never_is_a_window_of_its_own(window, monkeypatch):
    shown = []
    show = Banner.show
    monkeypatch.setattr(Banner, "show", lambda self: (shown.append(self.isWindow()), show(self)))
    window.say("Something.")
    window.session.waiting_changed.emit("Cleaning up...")
    window.session.waiting_changed.emit("")
    window.storage.tell("The disk is full.")
    assert shown
    assert not any(shown)


def test_the_only_image_is_shown_again_when_it_comes_back(window, qtbot):
    ids = [image.id for image in window.session.project.images]
    window.image_commands.remove_images(ids)
    assert window.area.canvas_stack.currentIndex() == 1
    banner_of(window).action.click()
    qtbot.waitUntil(lambda: window.session.plane is not None)
    assert window.area.canvas_stack.currentIndex() == 0


def test_later_they_are_in_a_list(window, qtbot):
    project = window.session.project
    window.image_commands.remove_images([project.images[1].id])
    model = project.models_folder / "one.cs1"
    model.parent.mkdir(exist_ok=True)
    model.write_bytes(b"model")
    project.models.remove(model)
    dialog = RemovedDialog(window.session, window)
    qtbot.addWidget(dialog)
    texts = [dialog.list.item(row).text() for row in range(dialog.list.count())]
    assert texts[0].startswith("im1.png, 2 cells, removed ")
    assert texts[1:] == ["one (model)"]
    assert not dialog.restore_button.isEnabled()
    for row in range(2):
        dialog.list.item(row).setCheckState(Qt.CheckState.Checked)
    dialog.restore_button.click()
    assert names(window) == ["im0.png", "im1.png", "im2.png"]
    assert model.read_bytes() == b"model"
    assert dialog.list.count() == 0
    assert "Nothing was removed" in dialog.hint.text()


def test_a_removed_model_comes_back_and_is_used_again(window, qtbot, monkeypatch):
    import json

    path = window.session.project.models_folder / "mine.cs1"
    path.parent.mkdir(exist_ok=True)
    card = {"recipe": "studio", "backbone": "tiny"}
    header = json.dumps({"__metadata__": {"cellseg1_schema": "1", "card": json.dumps(card)}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    window.session.set_model(path)
    panel = ModelsPanel(window.session, window.canvas)
    qtbot.addWidget(panel)
    panel.show()
    panel.choose(path)
    panel.remove_button.click()
    assert window.session.model is None
    assert not path.exists()
    banner = banner_of(panel)
    banner.action.click()
    assert window.session.model == path
    assert path.exists()
    assert panel.current.path == path
    assert banner.isHidden()
