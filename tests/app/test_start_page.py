"""The start page: choices, recent projects, drop."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication

from app.project.recent import RecentProject
from app.shell.start_cards import ChoiceCard, Columns, when
from app.shell.start_page import StartPage


@pytest.fixture
def page(qtbot):
    widget = StartPage()
    qtbot.addWidget(widget)
    widget.resize(1000, 700)
    widget.show()
    return widget


def recent(folder, name, thumbnail=None):
    return RecentProject(folder, name, datetime.now(UTC).isoformat(), thumbnail)


@pytest.fixture
def projects(tmp_path):
    there = tmp_path / "There.cs1project"
    there.mkdir()
    return [recent(there, "There"), recent(tmp_path / "Gone.cs1project", "Gone")]


def drop(widget, paths):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, button, keys = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(widget, QDragEnterEvent(QPoint(9, 9), copy, data, button, keys))
    QApplication.sendEvent(widget, QDropEvent(QPointF(9, 9), copy, data, button, keys))


def test_three_choices_by_mouse_and_keyboard(page, qtbot):
    got = []
    page.try_sample.connect(lambda: got.append("sample"))
    page.new_project.connect(lambda: got.append("new"))
    page.open_project.connect(lambda path: got.append(path))
    page.import_project.connect(lambda: got.append("import"))
    page.sample_button.click()
    qtbot.keyClick(page.new_button, Qt.Key.Key_Return)
    qtbot.keyClick(page.open_button, Qt.Key.Key_Space)
    page.import_button.click()
    assert got == ["sample", "new", None, "import"]


def test_a_recent_project_is_opened_and_a_missing_one_is_not(page, projects, qtbot):
    opened = []
    page.open_project.connect(opened.append)
    page.set_recent(projects)
    there, gone = page.recent.cards
    there.click()
    gone.click()
    assert opened == [projects[0].path]
    assert not there.missing
    assert gone.missing
    assert "not found" in gone.accessibleName()
    qtbot.waitUntil(lambda: gone.remove_button.isVisible())
    assert not there.remove_button.isVisible()


def test_a_project_is_taken_off_the_list_by_its_button_menu_or_key(page, projects, qtbot):
    forgotten = []
    page.forget_project.connect(forgotten.append)
    page.set_recent(projects)
    page.recent.cards[1].remove_button.click()
    assert forgotten == [projects[1].path]
    assert [card.path for card in page.recent.cards] == [projects[0].path]
    qtbot.keyClick(page.recent.cards[0], Qt.Key.Key_Delete)
    assert forgotten == [projects[1].path, projects[0].path]
    assert page.recent.cards == []
    assert page._none.isVisible()
    page.set_recent(projects)
    assert not page._none.isVisible()
    page.recent.cards[0].menu().actions()[1].trigger()
    assert forgotten[2:] == [projects[0].path]


def test_the_thumbnail_is_shown_and_a_damaged_one_is_no_error(page, tmp_path, qtbot):
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    image = QImage(100, 60, QImage.Format.Format_RGB32)
    image.fill(QColor("#00ff00"))
    image.save(str(good))
    bad.write_bytes(b"no picture")
    entries = [recent(tmp_path, "A", good), recent(tmp_path, "B", bad)]
    page.set_recent(entries)
    qtbot.wait(20)
    colours = []
    for card in page.recent.cards:
        shot = card.grab().toImage()
        colours.append(shot.pixelColor(QPoint(44, card.height() // 2) * shot.devicePixelRatio()).name())
    assert colours[0] == "#00ff00"
    assert colours[1] != "#00ff00"


def test_a_dropped_project_is_opened_and_images_are_offered(page, tmp_path):
    opened, dropped = [], []
    page.open_project.connect(opened.append)
    page.files_dropped.connect(dropped.append)
    plain = tmp_path / "renamed project"
    plain.mkdir()
    (plain / "project.json").write_text("{}")
    for path in (tmp_path / "A.cs1project", tmp_path / "b.cs1zip", plain / "project.json", plain):
        drop(page, [path])
    assert opened == [tmp_path / "A.cs1project", tmp_path / "b.cs1zip", plain / "project.json", plain]
    assert dropped == []
    drop(page, [tmp_path / "a.tif", tmp_path])
    assert dropped == [[tmp_path / "a.tif", tmp_path]]
    assert len(opened) == 4


@pytest.mark.parametrize("size", [(1366, 768), (683, 384), (460, 600)])
def test_nothing_is_cut_in_a_small_window(page, projects, qtbot, size):
    page.set_recent(projects * 3)
    page.resize(*size)
    qtbot.wait(30)
    choices = [page.sample_button, page.new_button, page.open_button]
    assert len({card.height() for card in choices}) == 1 or size[0] < 600
    for card in choices:
        assert card.height() >= card.heightForWidth(card.width())
        assert card.width() >= card.minimumSizeHint().width()
        right = card.mapTo(page, QPoint(card.width(), 0)).x()
        assert right <= page.width()
    tops = [card.mapTo(page, QPoint(0, 0)).y() for card in page.recent.cards]
    assert min(tops) > max(card.mapTo(page, QPoint(0, card.height())).y() for card in choices)


def test_arrows_go_from_card_to_card(page, qtbot):
    page.activateWindow()
    page.sample_button.setFocus()
    qtbot.keyClick(page.sample_button, Qt.Key.Key_Right)
    assert page.new_button.hasFocus()
    qtbot.keyClick(page.new_button, Qt.Key.Key_Left)
    assert page.sample_button.hasFocus()


def test_when_says_the_time_today_and_the_date_before():
    assert ":" in when(datetime.now(UTC).isoformat())
    old = datetime(2020, 3, 4, 12, tzinfo=UTC).isoformat()
    assert "20" in when(old)
    assert ":" not in when(old)
    assert when("") == when("yesterday") == ""


def test_the_users_own_folder_is_shown_short(page):
    home = Path.home() / "Documents" / "A.cs1project"
    page.set_recent([recent(home, "A")])
    assert page.recent.cards[0]._where.startswith("~")


def test_a_single_card_is_as_wide_as_a_column_of_three(qtbot):
    full, single = Columns(3), Columns(3)
    for columns, count in ((full, 3), (single, 1)):
        qtbot.addWidget(columns)
        columns.resize(900, 120)
        columns.set_cards([ChoiceCard("open", f"Card {n}", "Text") for n in range(count)])
        columns.show()
        qtbot.waitExposed(columns)
    qtbot.waitUntil(lambda: full.cards[0].width() > 200)
    assert single.cards[0].width() == full.cards[0].width()
