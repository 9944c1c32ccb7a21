"""The window shows its start page first and loads the rest behind it; nothing that is clicked meanwhile is lost."""

import subprocess
import sys

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.preferences.store import PreferencesStore
from app.project import recent
from app.project.project import Project
from app.shell.main_window import MainWindow
from app.theme import apply_theme


@pytest.fixture
def early(tmp_path, monkeypatch, qtbot):
    """A window that has not loaded its work area."""
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))
    apply_theme(QApplication.instance(), "light")
    with Project.create(tmp_path, "Nuclei") as project:
        recent.add(project.folder, project.name)
    window = MainWindow(PreferencesStore(), later=True)
    yield window
    window.close()
    window.shut_down()
    window.help.close_log()
    window.deleteLater()
    QApplication.processEvents()


def test_the_first_picture_needs_neither_numpy_nor_the_canvas():
    code = (
        "import sys, app.shell.application; from app.shell.main_window import MainWindow\n"
        "print(sorted({'numpy', 'cv2', 'scipy', 'app.canvas', 'app.session.session', 'app.pages'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_work_area_is_loaded_after_the_start_page_was_painted(early, qtbot):
    assert early.stack.currentWidget() is early.start_page
    assert not early.is_complete
    assert [card.path.stem for card in early.start_page.recent.cards] == ["Nuclei"]
    early.show()
    qtbot.waitUntil(lambda: early.is_complete, timeout=20_000)
    assert early.stack.count() == 2
    assert early.stack.currentWidget() is early.start_page


def test_a_click_before_that_is_done_as_soon_as_it_can_be(early, qtbot):
    early.resize(1300, 720)
    early.show()
    card = early.start_page.recent.cards[0]
    QTest.mouseClick(card, Qt.MouseButton.LeftButton)
    assert early.is_complete
    assert early.session.project.name == "Nuclei"
    assert early.stack.currentWidget() is not early.start_page


def test_it_can_be_closed_before_it_has_loaded(early):
    early.show()
    assert early.close()


class Shown(QObject):
    """Notes every window that appears."""

    def __init__(self):
        super().__init__()
        self.windows = []

    def eventFilter(self, thing, event):  # noqa: N802 - Qt's name
        if event.type() == QEvent.Type.Show and isinstance(thing, QWidget) and thing.isWindow():
            self.windows.append((type(thing).__name__, thing.accessibleName()))
        return False


def test_no_part_of_the_window_flashes_up_as_a_window_of_its_own(early, qtbot):
    shown = Shown()
    QApplication.instance().installEventFilter(shown)
    try:
        early.show()
        qtbot.waitUntil(lambda: early.is_complete, timeout=20_000)
    finally:
        QApplication.instance().removeEventFilter(shown)
    assert [name for name, _words in shown.windows] == ["MainWindow"], shown.windows
