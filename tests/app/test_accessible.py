"""Whatever can be used says its name to those who cannot see it, and can be reached by keys alone."""

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QScrollBar,
    QTabBar,
    QTextEdit,
    QWidget,
)
from window_help import main_window

from app.dialogs.about import AboutDialog
from app.dialogs.computer import ComputerCheckDialog
from app.dialogs.log_window import LogWindow
from app.dialogs.shortcuts import ShortcutsDialog
from app.pages.annotate.image_dialogs import AxesDialog, PixelSizeDialog
from app.pages.export.dialog import ExportMasksDialog
from app.pages.models.panel import ModelsPanel
from app.pages.models.published import PublishedDialog
from app.pages.predict.choose_images import ChooseImagesDialog
from app.pages.project.import_report import ImportReportDialog
from app.pages.project.new_project import NewProjectDialog
from app.preferences.dialog import PreferencesDialog
from app.project.adding import ImportReport
from app.shell.actions import shortcut_table
from app.shell.closing_dialog import CloseDuringJobDialog
from app.shell.step_bar import STEPS
from app.widgets.dialog import Dialog
from app.widgets.errors import ErrorDialog
from cellseg1.masks import write_label_image

USABLE = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QTextEdit,
)


@pytest.fixture
def window(tmp_path, monkeypatch, qtbot):
    with main_window(tmp_path / "home", monkeypatch, 1366, 720) as window:
        yield window


@pytest.fixture
def filled(window, tmp_path, qtbot):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for number in range(2):
        picture = np.random.default_rng(number).integers(0, 255, (90, 140), np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / f"im{number}.png")
    labels = np.zeros((90, 140), np.int32)
    labels[5:30, 5:30], labels[40:70, 90:120] = 1, 2
    write_label_image(tmp_path / "masks" / "im0.png", labels)
    window.session.create_project(tmp_path, "Test")
    window.session.add_images([tmp_path / "images"], copy=True, masks=[tmp_path / "masks"])
    qtbot.waitUntil(lambda: window.session.document is not None and len(window.session.document.cells) == 2)
    window.session.set_training(True)
    return window


def nameless(top):
    """Return what can be used in a window but has no name; parts of Qt's own widgets have that of the whole."""
    found = []
    for widget in top.findChildren(QWidget):
        if not isinstance(widget, USABLE) or isinstance(widget, QScrollBar) or not widget.isVisibleTo(top):
            continue
        parent = widget.parent()
        if isinstance(parent, (QAbstractSpinBox, QComboBox, QLineEdit, QTabBar, QAbstractItemView)):
            continue
        if type(widget).__name__ in ("QComboBoxListView", "QComboBoxPrivateScroller"):
            continue
        told = QAccessible.queryAccessibleInterface(widget)
        name = widget.accessibleName() or ("" if told is None else told.text(QAccessible.Text.Name))
        if not name.strip() or name.isspace():
            found.append(f"{type(widget).__name__} in {type(parent).__name__}")
    return found


def unreachable(top):
    """Return buttons and fields that the keyboard never gets to."""
    found = []
    for widget in top.findChildren(QWidget):
        if not isinstance(widget, (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox)):
            continue
        if not widget.isVisibleTo(top) or not widget.isEnabled() or widget.focusProxy() is not None:
            continue
        inside = isinstance(widget.parent(), (QAbstractSpinBox, QComboBox, QLineEdit, QTabBar, QAbstractItemView))
        if not inside and not widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            found.append(f"{type(widget).__name__} {widget.accessibleName() or getattr(widget, 'text', str)()!r}")
    return found


def test_the_start_page(window):
    assert nameless(window) == []
    assert unreachable(window) == []


@pytest.mark.parametrize("step", STEPS)
def test_every_step(filled, qtbot, step):
    filled.show_step(step)
    qtbot.wait(60)
    panel = filled.area.panels.currentWidget()
    # What is folded in can be unfolded.
    from app.widgets.fold import FoldSection

    for fold in panel.findChildren(FoldSection):
        fold.set_open(True)
    qtbot.wait(20)
    assert nameless(filled) == []
    assert unreachable(filled) == []


def test_every_tool_and_an_empty_project(filled, tmp_path):
    for name in filled.canvas.tools:
        filled.canvas.set_tool(name)
        assert nameless(filled) == [], name
    filled.session.create_project(tmp_path, "Empty")
    for step in STEPS:
        filled.show_step(step)
        assert nameless(filled) == [], step
        assert unreachable(filled) == [], step


def dialogs(window, folder):
    models = Dialog(window, "Models")
    models.body.addWidget(ModelsPanel(window.session, window.canvas))
    report = ImportReport(added=["x"], skipped=[(folder / "a.txt", "It is not an image of a known kind.")])
    return [
        AboutDialog(window),
        AxesDialog(window, "ZYX", (4, 90, 140), by_hand=False, cells=True),
        ChooseImagesDialog(window.session.project, [], window),
        CloseDuringJobDialog(["Training Test 1"], window, tray=True),
        ComputerCheckDialog(window),
        ErrorDialog("It broke.", "Traceback", window),
        ExportMasksDialog(window.session, window),
        ImportReportDialog(report, window, names={"x": "a.png"}),
        LogWindow(window.help.log, window, folder=str(folder)),
        NewProjectDialog(folder, [], window),
        PixelSizeDialog(window, (0.5, 0.5), 2),
        PreferencesDialog(window.preferences, window),
        PublishedDialog(folder / "old.pth", window),
        ShortcutsDialog(shortcut_table(), window),
        models,
    ]


def test_every_dialog(filled, tmp_path):
    wrong = {}
    for dialog in dialogs(filled, tmp_path):
        dialog.show()
        found = nameless(dialog) + unreachable(dialog)
        if found or not dialog.windowTitle():
            wrong[type(dialog).__name__] = found
        dialog.close()
        dialog.deleteLater()
    assert wrong == {}
