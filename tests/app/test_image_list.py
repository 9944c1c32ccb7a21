"""The image list: filling, filtering, thumbnails on demand, menu, keyboard, drop."""

import time
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication

from app.shell.image_list.list import ImageList, ImageRow
from app.shell.image_list.rows import STATES, UNCHECKED, Role, draw_mark


def rows(count, **fields):
    return [ImageRow(f"i{n}", f"image_{n:04d}.tif", STATES[n % 5], n, **fields) for n in range(count)]


def picture(width=120, height=80, colour="red"):
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(QColor(colour))
    return image


@pytest.fixture
def images(qtbot):
    widget = ImageList()
    qtbot.addWidget(widget)
    widget.resize(240, 520)
    widget.show()
    return widget


def drop(widget, paths, web=False):
    data = QMimeData()
    data.setUrls([QUrl("https://example.org/a.png")] if web else [QUrl.fromLocalFile(str(path)) for path in paths])
    place, copy = QPoint(40, 40), Qt.DropAction.CopyAction
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(place, copy | Qt.DropAction.MoveAction, data, buttons, keys)
    QApplication.sendEvent(widget, enter)
    if enter.isAccepted():
        event = QDropEvent(QPointF(place), copy | Qt.DropAction.MoveAction, data, buttons, keys)
        QApplication.sendEvent(widget, event)
    return enter.isAccepted()


def test_two_thousand_rows_are_there_at_once_and_only_visible_ones_ask_for_a_thumbnail(images, qtbot):
    asked = []
    images.thumbnail_wanted.connect(asked.append)
    start = time.perf_counter()
    images.set_rows(rows(2000))
    assert time.perf_counter() - start < 0.5
    assert images.model.rowCount() == 2000
    qtbot.waitUntil(lambda: len(asked) > 0)
    visible = images.view.viewport().height() // images.view.sizeHintForRow(0) + 1
    assert asked[0] == "i0"
    assert visible <= len(asked) <= visible + 8
    assert len(set(asked)) == len(asked)
    images.view.scrollToBottom()
    qtbot.waitUntil(lambda: "i1999" in asked)
    assert "i1000" not in asked


def test_a_thumbnail_is_kept_small_asked_for_once_and_again_when_it_changed(images, qtbot):
    asked = []
    images.thumbnail_wanted.connect(asked.append)
    images.set_rows(rows(3))
    qtbot.waitUntil(lambda: len(asked) == 3)
    images.set_thumbnail("i1", picture(1200, 800))
    index = images.model.index_of("i1")
    kept = index.data(Role.THUMBNAIL)
    assert max(kept.width(), kept.height()) < 130
    assert kept.width() > kept.height()
    images.set_thumbnail("gone", picture())
    qtbot.wait(60)
    assert asked == ["i0", "i1", "i2"]
    images.renew_thumbnail("i1")
    qtbot.waitUntil(lambda: asked[3:] == ["i1"])
    assert index.data(Role.THUMBNAIL) is not None  # the old one is shown until the new one comes
    images.update_row(ImageRow("i0", "image_0000.tif", thumbnail=Path("new.png")))
    qtbot.waitUntil(lambda: asked[4:] == ["i0"])


def test_the_filter_by_name_and_state_keeps_current_image_and_selection(images):
    images.set_rows(rows(50))
    images.set_current("i13")
    images.search.setText("_001")
    assert images.model.shown == [f"i{n}" for n in range(10, 20)]
    assert images.current() == "i13"
    assert images.selected() == ["i13"]
    images.state_filter.setCurrentIndex(images.state_filter.findData("checked"))
    assert images.model.shown == ["i14", "i19"]
    images.search.setText("nothing like it")
    assert images.model.shown == []
    images.clear_filter()
    assert len(images.model.shown) == 50


def test_filtering_sends_no_choice_but_the_user_going_to_an_image_does(images, qtbot):
    chosen = []
    images.chosen.connect(chosen.append)
    images.set_rows(rows(20))
    images.set_current("i3")
    images.search.setText("1")
    images.clear_filter()
    images.update_row(ImageRow("i3", "renamed.tif"))
    assert chosen == []
    images.set_current("i3")
    qtbot.keyClick(images.view, Qt.Key.Key_Down)
    assert chosen == ["i4"]
    place = images.view.visualRect(images.model.index_of("i6")).center()
    qtbot.mouseClick(images.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert chosen == ["i4", "i6"]


def test_an_image_that_leaves_the_filter_stays_until_the_user_goes_on(images, qtbot):
    images.set_rows(rows(10))
    images.state_filter.setCurrentIndex(images.state_filter.findData(UNCHECKED))
    assert "i4" not in images.model.shown
    images.set_current("i5")
    images.update_row(ImageRow("i5", "image_0005.tif", "checked"))
    assert "i5" in images.model.shown
    qtbot.keyClick(images.view, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: "i5" not in images.model.shown)
    assert images.current() == "i6"


def test_a_row_that_comes_back_into_the_filter_takes_its_place(images):
    images.set_rows(rows(10))
    images.state_filter.setCurrentIndex(images.state_filter.findData("new"))
    assert images.model.shown == ["i0", "i5"]
    images.update_row(ImageRow("i3", "image_0003.tif", "new"))
    assert images.model.shown == ["i0", "i3", "i5"]
    images.update_row(ImageRow("i5", "image_0005.tif", "checked"))
    assert images.model.shown == ["i0", "i3"]


def test_set_rows_keeps_the_current_image_and_thumbnails(images):
    images.set_rows(rows(10))
    images.set_current("i7")
    images.set_thumbnail("i7", picture())
    images.set_rows([ImageRow("new", "a.tif"), *rows(10)])
    assert images.current() == "i7"
    assert images.model.index_of("i7").data(Role.THUMBNAIL) is not None


def test_letters_are_left_to_the_tools_but_arrows_move(images, qtbot):
    pressed = []
    images.set_rows(rows(5))
    images.set_current("i0")
    original = images.keyPressEvent
    images.keyPressEvent = lambda event: (pressed.append(event.text()), original(event))
    images.view.setFocus()
    qtbot.keyClick(images.view, Qt.Key.Key_B)
    assert images.current() == "i0"
    qtbot.keyClick(images.view, Qt.Key.Key_End)
    assert images.current() == "i4"


def test_the_menu_speaks_of_what_is_selected(images, qtbot):
    images.set_rows(rows(10))
    got = []
    images.training_wanted.connect(lambda ids, on: got.append(("training", ids, on)))
    images.checked_wanted.connect(lambda ids, on: got.append(("checked", ids, on)))
    images.remove_wanted.connect(lambda ids: got.append(("remove", ids)))
    images.reveal_wanted.connect(lambda one: got.append(("reveal", one)))
    images.relink_wanted.connect(lambda ids: got.append(("relink", ids)))
    images.set_current("i2")  # a training image
    for action in images.menu().actions():
        action.trigger()
    assert got == [
        ("training", ["i2"], False),
        ("checked", ["i2"], True),
        ("reveal", "i2"),
        ("relink", ["i2"]),
        ("remove", ["i2"]),
    ]
    qtbot.keyClick(images.view, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert images.selected() == ["i2", "i3"]
    got.clear()
    qtbot.keyClick(images.view, Qt.Key.Key_Delete)
    assert got == [("remove", ["i2", "i3"])]


def test_a_read_only_project_offers_nothing_that_changes_it(images, tmp_path, qtbot):
    images.set_rows(rows(3))
    images.set_current("i1")
    images.set_read_only(True)
    texts = [action.text() for action in images.menu().actions() if action.text() and action.isEnabled()]
    assert texts == ["Show in folder"]
    assert not drop(images, [tmp_path / "a.tif"])
    removed = []
    images.remove_wanted.connect(removed.append)
    qtbot.keyClick(images.view, Qt.Key.Key_Delete)
    assert removed == []


def test_files_and_folders_are_dropped_as_paths_and_web_addresses_are_refused(images, tmp_path):
    dropped = []
    images.files_dropped.connect(dropped.append)
    paths = [tmp_path / "ä b.tif", tmp_path]
    assert drop(images, paths)
    assert dropped == [paths]
    assert not drop(images, [], web=True)
    assert dropped == [paths]


def test_the_empty_list_says_what_to_do(images, qtbot):
    asked = []
    images.add_images_wanted.connect(lambda: asked.append(1))
    assert not images.search.isVisible()
    empty = images._pages.currentWidget()
    assert "Drop images" in empty.sentence.text()
    empty.button.click()
    assert asked == [1]
    images.set_rows(rows(3))
    assert images.search.isVisible()
    assert images._pages.currentWidget() is images.view
    images.search.setText("zzz")
    images._pages.currentWidget().button.click()
    assert images.model.rowCount() == 3


def test_next_unchecked_is_off_when_all_are_checked(images, qtbot):
    images.set_rows(rows(3))
    with qtbot.waitSignal(images.next_wanted):
        images.next_button.click()
    for n in range(3):
        images.update_row(ImageRow(f"i{n}", "x", "checked"))
    qtbot.waitUntil(lambda: not images.next_button.isEnabled())


def test_the_search_field_hands_over_to_the_list_and_back(images, qtbot):
    images.set_rows(rows(30))
    images.activateWindow()
    images.search.setFocus()
    qtbot.keyClicks(images.search, "_002")
    qtbot.keyClick(images.search, Qt.Key.Key_Down)
    assert images.view.hasFocus()
    assert images.current() == "i20"
    images.search.setFocus()
    qtbot.keyClick(images.search, Qt.Key.Key_Escape)
    assert images.search.text() == ""
    assert images.current() == "i20"


def test_a_row_is_spoken_with_state_and_cells(images):
    images.set_rows([ImageRow("a", "a.tif", "checked", 27), ImageRow("b", "b.tif", "new", None, problem="missing")])
    role = Qt.ItemDataRole.AccessibleTextRole
    assert images.model.index_of("a").data(role) == "a.tif, checked, 27 cells"
    assert images.model.index_of("b").data(role) == "b.tif, missing, no cells"


def test_the_marks_of_the_states_differ_without_colour(qapp):
    from PySide6.QtCore import QRectF
    from PySide6.QtGui import QPainter

    drawn = set()
    for state in (*STATES, "problem"):
        image = QImage(24, 24, QImage.Format.Format_ARGB32)
        image.fill(Qt.GlobalColor.white)
        painter = QPainter(image)
        draw_mark(painter, QRectF(4, 4, 16, 16), state, QColor("black"))
        painter.end()
        drawn.add(bytes(image.constBits()))
    assert len(drawn) == len(STATES) + 1


def test_rows_are_drawn_with_name_thumbnail_and_selection(images, qtbot):
    images.set_rows(rows(3))
    images.set_thumbnail("i0", picture(colour="#ff0000"))
    qtbot.wait(20)
    before = images.grab().toImage()
    place = images.view.viewport().mapTo(images, images.view.visualRect(images.model.index(0)).topLeft())
    ratio = before.devicePixelRatio()
    centre = (place + QPoint(28, images.view.sizeHintForRow(0) // 2)) * ratio
    assert before.pixelColor(centre).name() == "#ff0000"
    images.set_current("i2")
    qtbot.wait(20)
    assert images.grab().toImage() != before
