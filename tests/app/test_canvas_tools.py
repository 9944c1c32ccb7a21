"""What the tools make of mouse and keys, and that nothing half done ever stays."""

import numpy as np
import pytest
from canvas_help import ALT, CONTROL, RIGHT, SHIFT, Mouse, make_canvas, pixels, press_key, three_cells
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QFocusEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.annotation import Edit
from app.canvas import ProposalLayer
from cellseg1.errors import MaskError


@pytest.fixture
def scene(qtbot):
    canvas, document = make_canvas(qtbot)
    canvas.set_brush_size(6)
    return canvas, document, Mouse(canvas)


def heard(signal):
    values = []
    signal.connect(values.append)
    return values


# ---- brush and eraser


def test_painting_on_background_makes_a_new_cell(scene):
    canvas, document, mouse = scene
    canvas.set_tool("brush")
    edited = heard(canvas.edited)
    mouse.drag([(100, 20), (105, 20), (110, 25)])
    assert document.cells.ids().tolist() == [1, 2, 3, 4]
    assert document.cell_at(110, 25) == 4
    assert document.undo_count == 1
    assert edited == ["New cell"]
    assert canvas.selection == {4}
    mouse.drag([(100, 35), (105, 35)])
    assert document.cell_at(105, 35) == 5


def test_painting_from_inside_a_cell_adds_to_it(scene):
    canvas, document, mouse = scene
    canvas.set_tool("brush")
    mouse.drag([(35, 35), (48, 44)])
    assert len(document.cells) == 3
    assert document.cell_at(48, 44) == 1


def test_a_fast_stroke_has_no_gaps(scene):
    canvas, document, mouse = scene
    canvas.set_tool("brush")
    canvas.set_brush_size(4)
    mouse.drag([(5, 85), (135, 84)])
    assert (document.labels[84, 5:135] == 4).all()


def test_brush_is_as_wide_as_it_says(scene):
    canvas, document, mouse = scene
    canvas.set_tool("brush")
    canvas.set_brush_size(11)
    mouse.click(110.5, 20.5)
    top, left, bottom, right = document.cells.box(4)
    assert (bottom - top, right - left) == (11, 11)
    assert document.cells.area(4) == pytest.approx(np.pi * 5.5**2, abs=5)


def test_shift_continues_the_last_cell(scene):
    canvas, document, mouse = scene
    canvas.set_tool("brush")
    mouse.drag([(100, 10), (110, 10)])
    canvas.select(())
    mouse.drag([(100, 30), (110, 30)], modifiers=SHIFT)
    assert document.cell_at(105, 30) == 4
    canvas.select({2})
    mouse.drag([(20, 70), (25, 70)], modifiers=SHIFT)
    assert document.cell_at(22, 70) == 2


def test_other_cells_are_protected_unless_not_wanted(scene):
    canvas, document, mouse = scene
    canvas.set_tool("brush")
    before = document.cells.area(2)
    mouse.drag([(50, 65), (75, 65)])
    assert document.cells.area(2) == before
    assert document.cell_at(55, 65) == 4
    hints = heard(canvas.hint)
    canvas.set_brush_size(2)
    canvas.undo()
    mouse.drag([(20.5, 70), (20.6, 70)])
    canvas.protect = False
    mouse.drag([(50, 65), (75, 65)])
    assert document.cells.area(2) < before
    assert hints == []


def test_painting_where_everything_is_protected_says_so(qtbot):
    canvas, document = make_canvas(qtbot, np.ones((90, 140), np.int32))
    canvas.set_tool("brush")
    hints = heard(canvas.hint)
    Mouse(canvas).drag([(50, 50), (60, 50)])
    assert document.undo_count == 0
    assert "protected" in hints[-1]


def test_eraser_and_alt(scene):
    canvas, document, mouse = scene
    canvas.set_tool("brush")
    mouse.drag([(20, 35), (30, 35)], modifiers=ALT)
    assert document.cell_at(25, 35) == 0
    canvas.set_tool("eraser")
    mouse.drag([(80, 65), (100, 65)])
    assert document.cell_at(80, 65) == 0
    assert document.cell_at(100, 65) == 3, "protected: the stroke began in cell 2"
    mouse.drag([(125, 75), (110, 75), (80, 75)])
    assert document.cell_at(115, 75) == 0
    assert document.cell_at(85, 75) == 2, "protected: it met cell 3 first"
    canvas.protect = False
    mouse.drag([(80, 55), (100, 55)])
    assert document.labels[55, 80:100].max() == 0
    assert document.undo_count == 4


def test_escape_discards_the_stroke(scene):
    canvas, document, mouse = scene
    before = document.labels.copy()
    for tool in ("brush", "eraser"):
        canvas.set_tool(tool)
        mouse.press(30, 30)
        mouse.move(60, 60)
        assert canvas.tool.busy
        press_key(canvas, Qt.Key.Key_Escape)
        assert not canvas.tool.busy
        mouse.move(70, 60)
        mouse.release(70, 60)
        assert (document.labels == before).all()
        assert document.undo_count == 0


def test_undo_in_the_middle_of_a_stroke_takes_the_stroke_back(scene):
    canvas, document, mouse = scene
    canvas.set_tool("brush")
    mouse.drag([(100, 20), (105, 20)])
    mouse.press(20, 70)
    mouse.move(25, 70)
    press_key(canvas, Qt.Key.Key_Z, CONTROL)
    assert len(document.cells) == 4
    assert not document.editing
    mouse.release(25, 70)
    press_key(canvas, Qt.Key.Key_Z, CONTROL)
    assert len(document.cells) == 3
    press_key(canvas, Qt.Key.Key_Z, CONTROL | SHIFT)
    assert len(document.cells) == 4


@pytest.mark.parametrize("end", ["tool", "document", "image", "focus", "settle"])
def test_a_stroke_is_kept_when_something_else_ends_it(scene, end):
    canvas, document, mouse = scene
    canvas.set_tool("brush")
    mouse.press(100, 20)
    mouse.move(105, 20)
    if end == "tool":
        canvas.set_tool("eraser")
    elif end == "document":
        canvas.set_document(None)
    elif end == "image":
        canvas.set_image(np.zeros((20, 30), np.uint8))
    elif end == "focus":
        QApplication.sendEvent(canvas, QFocusEvent(QEvent.Type.FocusOut, Qt.FocusReason.ActiveWindowFocusReason))
    else:
        canvas.settle()
    assert not document.editing
    assert document.undo_count == 1
    assert document.cell_at(105, 20) == 4


@pytest.mark.parametrize("where", ["paint", "show", "finish"])
def test_an_error_in_a_stroke_leaves_no_half_edit(scene, monkeypatch, where):
    canvas, document, mouse = scene
    canvas.set_tool("brush")
    before = document.labels.copy()
    problems = heard(canvas.problem)

    def fail(*_args, **_kwargs):
        raise MaskError("The disk is on fire.")

    mouse.press(100, 20)
    mouse.move(103, 20)
    monkeypatch.setattr(Edit, where, fail)
    mouse.move(110, 20)
    mouse.release(110, 20)
    assert problems == ["The disk is on fire."]
    assert not document.editing
    assert (document.labels == before).all()
    monkeypatch.undo()
    mouse.drag([(100, 20), (105, 20)])
    assert document.cell_at(103, 20) == 4


def test_nothing_is_changed_without_leave(scene):
    canvas, document, mouse = scene
    canvas.read_only = True
    hints = heard(canvas.hint)
    for tool in canvas.tools:
        canvas.set_tool(tool)
        mouse.drag([(20, 30), (75, 65), (110, 65)])
        mouse.click(20, 30)
        press_key(canvas, Qt.Key.Key_Return)
        press_key(canvas, Qt.Key.Key_Delete)
    assert document.revision == 0
    assert any("reading only" in hint for hint in hints)
    canvas.read_only = False
    canvas.set_document(None)
    canvas.set_tool("brush")
    mouse.drag([(20, 30), (75, 65)])
    assert "Open an image" in hints[-1]


def test_brush_size_by_keys_has_limits(scene):
    canvas, _, _ = scene
    sizes = heard(canvas.brush_size_changed)
    QTest.keyClicks(canvas, "]]")
    QTest.keyClicks(canvas, "[")
    assert sizes == [7, 8, 7]
    canvas.set_brush_size(10_000)
    assert canvas.brush_size == 500
    canvas.set_brush_size(-3)
    assert canvas.brush_size == 1
    canvas.step_brush(-1)
    assert canvas.brush_size == 1


def test_the_circle_has_the_size_of_the_brush(qtbot):
    canvas, _ = make_canvas(qtbot, np.zeros((90, 140), np.int32), np.full((90, 140), 255, np.uint8))
    canvas.set_display(canvas.display.with_channel(0, low=0.0, high=255.0))
    canvas.set_tool("brush")
    canvas.set_brush_size(20)
    mouse = Mouse(canvas)
    mouse.move(70, 45)
    at = canvas.to_widget(70, 45).toPoint()
    row = pixels(canvas)[at.y(), :, 0]
    dark = np.flatnonzero(row[at.x() - 60 : at.x() + 60] < 200) - 60
    assert dark.min() == pytest.approx(-41, abs=2)
    assert dark.max() == pytest.approx(41, abs=2)
    canvas.set_tool("select")
    assert pixels(canvas)[at.y(), at.x() - 60 : at.x() + 60].min() == 255


def test_what_is_on_the_screen_follows_every_stroke(scene):
    """Only parts are drawn again; nothing old may stay on the screen."""
    canvas, _document, mouse = scene
    canvas.set_tool("brush")
    canvas.set_brush_size(15)
    for points in ([(100, 20), (110, 30), (60, 40)], [(30, 30), (50, 60)], [(5, 5), (135, 85)]):
        mouse.press(*points[0])
        for point in points[1:]:
            mouse.move(*point)
            QApplication.processEvents()
        mouse.release(*points[-1])
        QApplication.processEvents()
    canvas.undo()
    QApplication.processEvents()
    canvas.select({2, 3})
    QApplication.processEvents()
    mouse.move(120, 80)
    QApplication.processEvents()
    on_screen = canvas.screen().grabWindow(canvas.winId()).toImage()
    fresh = canvas.grab().toImage()
    assert on_screen.size() == fresh.size()
    assert on_screen.convertToFormat(fresh.format()) == fresh


# ---- outlines


def test_lasso(scene):
    canvas, document, mouse = scene
    canvas.set_tool("lasso")
    mouse.drag([(100, 10), (130, 10), (130, 30), (100, 30)])
    assert document.cells.area(4) == pytest.approx(600, rel=0.05)
    assert document.undo_name == "New cell"
    mouse.drag([(100, 30), (130, 30), (130, 40), (100, 40)], modifiers=SHIFT)
    assert document.cells.area(4) == pytest.approx(900, rel=0.05)
    mouse.click(20, 70)
    assert document.undo_count == 2
    mouse.press(10, 60)
    mouse.move(30, 60)
    mouse.move(30, 80)
    press_key(canvas, Qt.Key.Key_Escape)
    mouse.release(30, 80)
    assert document.undo_count == 2


def test_polygon_by_enter_double_click_and_first_corner(scene):
    canvas, document, mouse = scene
    canvas.set_tool("polygon")
    hints = heard(canvas.hint)
    mouse.click(100, 10)
    mouse.click(130, 10)
    press_key(canvas, Qt.Key.Key_Return)
    assert "three corners" in hints[-1]
    mouse.click(130, 30)
    mouse.click(5, 80)
    press_key(canvas, Qt.Key.Key_Backspace)
    press_key(canvas, Qt.Key.Key_Return)
    assert document.cells.area(4) == pytest.approx(300, rel=0.05)
    mouse.click(10, 60)
    mouse.click(40, 60)
    mouse.double_click(40, 80)
    assert document.cells.area(5) == pytest.approx(300, rel=0.05)
    for corner in [(60, 10), (90, 10), (90, 40), (60.5, 10.5)]:
        mouse.click(*corner)
    assert document.cells.area(6) == pytest.approx(450, rel=0.05)
    mouse.click(10, 60)
    press_key(canvas, Qt.Key.Key_Escape)
    assert not canvas.tool.busy
    assert document.undo_count == 3


# ---- click to segment


class Assistant:
    def __init__(self):
        self.asked = []

    def request(self, points, box):
        self.asked.append((points, box))


def test_click_to_segment(scene):
    canvas, document, mouse = scene
    canvas.set_tool("click")
    hints = heard(canvas.hint)
    mouse.click(110, 20)
    assert "No model" in hints[-1]
    canvas.assistant = assistant = Assistant()
    mouse.click(110, 20, RIGHT)
    assert "First click inside" in hints[-1]
    mouse.click(110, 20)
    mouse.click(120, 30, RIGHT)
    mouse.click(125, 35, modifiers=CONTROL)
    points, box = assistant.asked[-1]
    assert [(round(x), round(y), inside) for x, y, inside in points] == [(110, 20, 1), (120, 30, 0), (125, 35, 0)]
    assert box is None
    canvas.offer(np.ones((10, 20), bool), (15, 100, 25, 120), 0.9)
    pixels(canvas)
    assert document.undo_count == 0
    press_key(canvas, Qt.Key.Key_Return)
    assert document.cells.box(4) == (15, 100, 25, 120)
    assert canvas.selection == {4}
    assert not canvas.tool.busy


def test_click_with_a_box_and_without_an_answer(scene):
    canvas, document, mouse = scene
    canvas.set_tool("click")
    canvas.assistant = assistant = Assistant()
    mouse.drag([(110, 30), (105, 25), (100.2, 10.7)])
    assert assistant.asked == [((), (10, 100, 30, 110))]
    canvas.offer(np.zeros((20, 10), bool), (10, 100, 30, 110))
    assert canvas.tool.preview is None
    whole = np.zeros((90, 140), bool)
    whole[10:30, 100:110] = True
    canvas.offer(whole, (10, 100, 30, 110))
    press_key(canvas, Qt.Key.Key_Escape)
    canvas.offer(whole, (10, 100, 30, 110))
    assert canvas.tool.preview is None, "late answers are for nobody"
    press_key(canvas, Qt.Key.Key_Return)
    assert document.undo_count == 0


def test_backspace_takes_the_last_point_back(scene):
    canvas, _, mouse = scene
    canvas.set_tool("click")
    canvas.assistant = assistant = Assistant()
    mouse.click(110, 20)
    mouse.click(112, 22)
    press_key(canvas, Qt.Key.Key_Backspace)
    assert len(assistant.asked[-1][0]) == 1
    press_key(canvas, Qt.Key.Key_Backspace)
    assert not canvas.tool.busy
    assert len(assistant.asked) == 3


# ---- cut, merge, delete, fill, clean


def test_split_along_a_line(scene):
    canvas, document, mouse = scene
    canvas.set_tool("split")
    hints = heard(canvas.hint)
    mouse.drag([(75, 45), (75, 60), (75, 85)])
    assert len(document.cells) == 4
    assert sorted(document.cells.area(cell) for cell in (2, 4)) == [450, 450]
    assert document.cells.area(3) == 900
    mouse.drag([(105, 45), (105, 60)])
    assert "side to side" in hints[-1]
    mouse.drag([(100, 10), (130, 10)])
    assert "no cell" in hints[-1]
    assert document.undo_count == 1


def test_split_prefers_the_selected_cell(scene):
    canvas, document, mouse = scene
    canvas.select({3})
    canvas.set_tool("split")
    mouse.drag([(55, 65), (90, 65), (125, 66)])
    assert document.cells.area(2) == 900
    assert document.cells.area(3) < 900


def test_merge_by_clicks_and_by_a_line(scene):
    canvas, document, mouse = scene
    canvas.set_tool("merge")
    mouse.click(75, 65)
    press_key(canvas, Qt.Key.Key_Return)
    assert document.undo_count == 0
    mouse.click(30, 35)
    mouse.click(105, 65)
    mouse.click(30, 35)
    assert canvas.selection == {2, 3}
    press_key(canvas, Qt.Key.Key_Return)
    assert document.cells.ids().tolist() == [1, 2]
    assert document.cells.area(2) == 1800
    canvas.undo()
    canvas.select(())
    mouse.drag([(30, 15), (75, 65), (110, 66)])
    assert canvas.selection == {1, 2, 3}
    press_key(canvas, Qt.Key.Key_Escape)
    assert canvas.selection == frozenset()


def test_delete_one_many_and_the_selected(scene):
    canvas, document, mouse = scene
    canvas.set_tool("delete")
    mouse.click(30, 35)
    assert document.cells.ids().tolist() == [2, 3]
    mouse.drag([(55, 45), (125, 45), (125, 85), (55, 85)])
    assert document.undo_name == "Delete 2 cells"
    assert len(document.cells) == 0
    canvas.undo()
    canvas.set_tool("select")
    mouse.click(75, 65)
    press_key(canvas, Qt.Key.Key_Delete)
    assert document.cells.ids().tolist() == [3]
    assert canvas.selection == frozenset()


def test_fill_holes_of_one_or_all(scene):
    canvas, document, mouse = scene
    canvas.set_tool("fill")
    mouse.click(22, 22)
    assert document.cell_at(22, 22) == 1
    canvas.undo()
    mouse.click(30, 35)
    assert document.cell_at(22, 22) == 1
    canvas.undo()
    press_key(canvas, Qt.Key.Key_Return)
    assert document.cell_at(22, 22) == 1
    hints = heard(canvas.hint)
    press_key(canvas, Qt.Key.Key_Return)
    assert "no holes" in hints[-1]
    mouse.click(130, 10)
    assert "no cell" in hints[-1]


def test_clean_up(qtbot):
    labels = three_cells()
    labels[42:44, 50:52] = 1
    labels[5, 5:8] = 3
    canvas, document = make_canvas(qtbot, labels)
    canvas.set_tool("clean")
    mouse = Mouse(canvas)
    mouse.click(30, 35)
    assert document.cell_at(51, 43) == 0
    assert document.cell_at(6, 5) == 3
    press_key(canvas, Qt.Key.Key_Return)
    assert document.cell_at(6, 5) == 0
    assert document.undo_count == 2


# ---- region


def test_region_is_drawn_moved_resized_and_removed(scene):
    canvas, document, mouse = scene
    canvas.set_tool("region")
    mouse.drag([(20, 10), (50, 30), (80.3, 60.2)])
    assert document.attributes["region"] == [20, 10, 60, 50]
    mouse.drag([(50, 30), (53, 33), (60, 35)])
    assert document.attributes["region"] == [30, 15, 60, 50]
    mouse.drag([(90, 65), (95, 68), (100, 75)])
    assert document.attributes["region"] == [30, 15, 70, 60]
    mouse.drag([(30, 45), (25, 45), (20, 45)])
    assert document.attributes["region"] == [20, 15, 80, 60]
    mouse.drag([(50, 30), (200, 30), (400, 300)])
    assert document.attributes["region"] == [60, 30, 80, 60], "it stays in the image"
    mouse.press(80, 50)
    mouse.move(60, 40)
    press_key(canvas, Qt.Key.Key_Escape)
    mouse.release(60, 40)
    assert canvas.scene.region == (60, 30, 80, 60)
    mouse.double_click(80, 50)
    assert document.attributes.get("region") is None
    assert canvas.scene.region is None
    canvas.undo()
    assert canvas.scene.region == (60, 30, 80, 60)
    assert document.undo_count == 5


def test_a_slip_makes_no_region(scene):
    canvas, document, mouse = scene
    canvas.set_tool("region")
    hints = heard(canvas.hint)
    mouse.click(20, 20)
    mouse.drag([(20, 20), (22, 22), (23, 23)])
    assert document.undo_count == 0
    assert "too small" in hints[-1]


# ---- selecting


def test_selecting_by_mouse_and_keys(scene):
    canvas, _, mouse = scene
    changes = heard(canvas.selection_changed)
    mouse.click(75, 65)
    mouse.click(105, 65, modifiers=SHIFT)
    assert canvas.selection == {2, 3}
    mouse.click(105, 65, modifiers=CONTROL)
    assert canvas.selection == {2}
    mouse.click(130, 10)
    assert canvas.selection == frozenset()
    press_key(canvas, Qt.Key.Key_Tab)
    assert canvas.selection == {1}
    press_key(canvas, Qt.Key.Key_Tab)
    press_key(canvas, Qt.Key.Key_Tab)
    press_key(canvas, Qt.Key.Key_Tab)
    assert canvas.selection == {1}
    press_key(canvas, Qt.Key.Key_Backtab)
    assert canvas.selection == {3}
    assert len(changes) == 9
    assert "Cell 3 is selected, 900 pixels" in canvas.accessibleDescription()
    canvas.select({1, 77})
    assert canvas.selection == {1}


def test_tab_brings_the_cell_into_view(scene):
    canvas, _, _ = scene
    canvas.zoom_to(20)
    canvas.center_on(130, 10)
    press_key(canvas, Qt.Key.Key_Tab)
    box = canvas.visible_box()
    assert box[0] <= 25 < box[2]
    assert box[1] <= 25 < box[3]


def test_dragging_with_the_select_tool_moves_the_image(scene):
    canvas, _document, mouse = scene
    x, y = canvas.view_state.center
    mouse.press(75, 65)
    at = canvas.to_widget(75, 65)
    at.setX(at.x() + 40)
    mouse.move(*canvas.to_image(at))
    mouse.release(*canvas.to_image(at))
    assert canvas.view_state.center == pytest.approx((x - 10, y), abs=0.3)
    assert canvas.selection == frozenset()
    mouse.double_click(75, 65)
    assert canvas.zoom > 4
    assert canvas.view_state.center == pytest.approx((75, 65), abs=1)


def test_undo_shows_what_it_changed(scene):
    canvas, _document, mouse = scene
    canvas.set_tool("brush")
    mouse.drag([(130, 85), (135, 85)])
    canvas.zoom_to(20)
    canvas.center_on(10, 10)
    canvas.undo()
    box = canvas.visible_box()
    assert box[0] <= 85 < box[2]
    assert box[1] <= 132 < box[3]


def test_a_click_on_a_proposal_is_told(scene):
    canvas, _, mouse = scene
    labels = np.zeros((90, 140), np.int32)
    labels[5:20, 100:130] = 7
    labels[30:40, 100:130] = 9
    canvas.set_proposals(ProposalLayer(labels, np.full(10, 0.9)))
    clicked = heard(canvas.proposal_clicked)
    mouse.click(110, 10)
    mouse.click(75, 65)
    assert clicked == [7]
    assert canvas.proposal_selection == {7}
    press_key(canvas, Qt.Key.Key_Tab)
    press_key(canvas, Qt.Key.Key_Tab)
    press_key(canvas, Qt.Key.Key_Backtab)
    assert clicked == [7, 9, 7, 9]
    canvas.set_proposals(ProposalLayer(labels, np.full(10, 0.9), accepted=frozenset({7}), rejected=frozenset({9})))
    press_key(canvas, Qt.Key.Key_Tab)
    assert len(clicked) == 4
    assert canvas.selection == {3}


def test_every_tool_has_key_title_and_hint(scene):
    canvas, _, _ = scene
    chosen = heard(canvas.tool_changed)
    hints = heard(canvas.hint)
    canvas.set_tool("region")
    keys = [tool.key for tool in canvas.tools.values()]
    assert len(set(keys)) == len(keys) == 12
    for name, tool in canvas.tools.items():
        QTest.keyClicks(canvas, tool.key.lower())
        assert canvas.tool is tool
        assert hints[-1] == tool.hint() != ""
        assert tool.title()
        assert chosen[-1] == name
    with pytest.raises(ValueError, match="no tool"):
        canvas.set_tool("hammer")
