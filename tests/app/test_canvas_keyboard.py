"""Everything that the mouse draws can be drawn with keys alone."""

import numpy as np
import pytest
from canvas_help import CONTROL, SHIFT, Mouse, make_canvas, press_key
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QApplication

RIGHT, LEFT, UP, DOWN = Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Up, Qt.Key.Key_Down
PEN, ENTER, ESC = Qt.Key.Key_P, Qt.Key.Key_Return, Qt.Key.Key_Escape


@pytest.fixture
def scene(qtbot):
    canvas, document = make_canvas(qtbot)
    canvas.set_brush_size(5)
    canvas.zoom_to(2.0)
    return canvas, document


def go(canvas, key, times=1, modifiers=Qt.KeyboardModifier.NoModifier):
    for _ in range(times):
        press_key(canvas, key, modifiers)


def put(canvas, x, y):
    """Lead the tool to a pixel by arrow keys only."""
    if canvas.pointer.position is None:
        press_key(canvas, RIGHT)
    for _ in range(400):
        at_x, at_y = (int(value) for value in canvas.to_image(canvas.pointer.position))
        if (at_x, at_y) == (x, y):
            return
        if at_x != x:
            far = abs(at_x - x) >= 10
            go(canvas, RIGHT if at_x < x else LEFT, 1, SHIFT if far else Qt.KeyboardModifier.NoModifier)
        else:
            far = abs(at_y - y) >= 10
            go(canvas, DOWN if at_y < y else UP, 1, SHIFT if far else Qt.KeyboardModifier.NoModifier)
    raise AssertionError("never arrived")


def test_an_arrow_moves_by_one_pixel_and_with_shift_by_ten(scene):
    canvas, _ = scene
    canvas.set_tool("brush")
    put(canvas, 40, 30)
    go(canvas, RIGHT)
    assert canvas.to_image(canvas.pointer.position) == pytest.approx((41.5, 30.5))
    go(canvas, DOWN, modifiers=SHIFT)
    assert canvas.to_image(canvas.pointer.position) == pytest.approx((41.5, 40.5))
    assert not canvas.document.can_undo


def test_a_cell_is_painted_with_keys_alone_and_is_one_step(scene):
    canvas, document = scene
    canvas.set_tool("brush")
    put(canvas, 100, 20)
    go(canvas, PEN)
    assert canvas.tool.busy
    go(canvas, RIGHT, 2, SHIFT)
    assert document.undo_count == 0
    go(canvas, PEN)
    assert document.undo_count == 1
    assert (document.labels[20, 100:121] == 4).all()
    canvas.undo()
    assert not (document.labels == 4).any()


def test_enter_lifts_and_escape_takes_the_stroke_back(scene):
    canvas, document = scene
    canvas.set_tool("brush")
    put(canvas, 100, 20)
    before = np.array(document.labels)
    go(canvas, PEN)
    go(canvas, RIGHT, 5)
    go(canvas, ESC)
    assert np.array_equal(document.labels, before)
    go(canvas, RIGHT, 5)
    assert np.array_equal(document.labels, before)
    go(canvas, PEN)
    go(canvas, ENTER)
    assert document.undo_count == 1


def test_erasing_and_splitting_and_an_outline(scene):
    canvas, document = scene
    top, left, bottom, right = document.cells.box(1)
    canvas.set_tool("split")
    put(canvas, (left + right) // 2, top - 3)
    go(canvas, PEN)
    go(canvas, DOWN, bottom - top + 6)
    go(canvas, PEN)
    assert len(document.cells) == 4
    canvas.set_tool("lasso")
    put(canvas, 10, 60)
    go(canvas, PEN)
    for key in (RIGHT, DOWN, LEFT):
        go(canvas, key, 1, SHIFT)
    go(canvas, PEN)
    assert document.cell_at(15, 65) == 5
    canvas.set_tool("eraser")
    put(canvas, 15, 65)
    go(canvas, PEN)
    go(canvas, PEN)
    assert document.cell_at(15, 65) == 0


def test_a_polygon_needs_one_key_for_each_corner(scene):
    canvas, document = scene
    canvas.set_tool("polygon")
    for x, y in ((10, 60), (25, 60), (25, 75)):
        put(canvas, x, y)
        go(canvas, PEN)
    go(canvas, ENTER)
    assert document.cell_at(22, 65) == 4


def test_clicks_for_the_network_inside_and_with_control_outside(scene):
    canvas, _ = scene
    asked = []

    class Helper:
        def request(self, points, box):
            asked.append((points, box))

    canvas.assistant = Helper()
    canvas.set_tool("click")
    put(canvas, 100, 60)
    go(canvas, PEN, 2)
    put(canvas, 105, 60)
    go(canvas, PEN, 1, CONTROL)
    go(canvas, PEN)
    assert [points for points, _box in asked] == [((100.5, 60.5, 1),), ((100.5, 60.5, 1), (105.5, 60.5, 0))]


def test_the_image_follows_where_the_view_ends(scene):
    canvas, _ = scene
    canvas.set_tool("brush")
    canvas.zoom_to(12.0)
    put(canvas, 130, 80)
    assert canvas.rect().contains(canvas.pointer.position.toPoint())
    go(canvas, RIGHT, 40, SHIFT)
    x, y = canvas.to_image(canvas.pointer.position)
    assert (int(x), int(y)) == (canvas.shape[1] - 1, 80)
    assert canvas.rect().contains(canvas.pointer.position.toPoint())


def test_control_and_arrows_still_move_the_image_and_so_do_arrows_alone_where_nothing_is_drawn(scene):
    canvas, _ = scene
    canvas.zoom_to(8.0)
    canvas.set_tool("brush")
    before = canvas.view_state
    go(canvas, RIGHT, 1, CONTROL)
    assert canvas.view_state != before
    canvas.set_tool("select")
    before = canvas.view_state
    go(canvas, LEFT)
    assert canvas.view_state != before


def test_a_mouse_that_is_touched_does_not_draw_but_a_press_takes_over(scene):
    canvas, document = scene
    canvas.set_tool("brush")
    put(canvas, 100, 20)
    go(canvas, PEN)
    go(canvas, RIGHT, 3)
    mouse = Mouse(canvas)
    mouse.move(20, 60)
    assert document.labels[20, 100] == 4
    assert not (document.labels[50:70, 15:25] == 4).any()
    mouse.drag([(120, 60), (125, 60)])
    assert document.undo_count == 2


def test_losing_the_focus_keeps_the_stroke_and_lifts(scene):
    canvas, document = scene
    canvas.set_tool("brush")
    put(canvas, 100, 20)
    go(canvas, PEN)
    go(canvas, RIGHT, 3)
    QApplication.sendEvent(canvas, QFocusEvent(QEvent.Type.FocusOut, Qt.FocusReason.OtherFocusReason))
    assert document.undo_count == 1
    assert not canvas.pointer.held_by_keys


def test_a_read_only_project_says_so(scene):
    canvas, document = scene
    canvas.read_only = True
    canvas.set_tool("brush")
    said = []
    canvas.hint.connect(said.append)
    put(canvas, 100, 20)
    go(canvas, PEN, 2)
    assert document.undo_count == 0
    assert any("reading only" in one for one in said)


def test_without_an_image_the_keys_do_nothing(qtbot):
    from app.canvas import Canvas

    canvas = Canvas()
    qtbot.addWidget(canvas)
    canvas.set_tool("brush")
    go(canvas, RIGHT)
    go(canvas, PEN)
    assert canvas.pointer.position is None or canvas.pointer.position == QPointF()
