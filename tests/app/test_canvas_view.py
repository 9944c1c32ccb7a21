"""What the canvas shows, and where."""

import numpy as np
import pytest
from canvas_help import CONTROL, SHIFT, Mouse, image_pixels, make_canvas, pixels, press_key, three_cells
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from shiboken6 import delete

from app.annotation import Document
from app.canvas import Canvas, Mark, Overlay, ProposalLayer, ViewState
from app.canvas.layers.cells import premultiplied, softened
from app.canvas.layers.decor import length_text, round_length, scale_bar
from app.canvas.picture import save_picture
from app.canvas.viewport import Viewport
from app.project.display import ChannelView, Display
from cellseg1.errors import OutputError


def test_positions_go_there_and_back():
    view = Viewport()
    view.shape, view.width, view.height = (300, 500), 640, 480
    view.fit()
    assert view.visible_box() == (0, 0, 300, 500)
    view.zoom_about(3.7, 100, 50)
    x, y = view.to_image(211.5, 77)
    assert view.to_device(x, y) == pytest.approx((211.5, 77))


def test_zoom_keeps_what_is_under_the_pointer(qtbot):
    canvas, _ = make_canvas(qtbot)
    mouse = Mouse(canvas)
    at = canvas.to_widget(33.5, 61.5)
    mouse.wheel(33.5, 61.5, 3)
    assert canvas.zoom == pytest.approx(4 * 1.25**3)
    assert (canvas.to_widget(33.5, 61.5) - at).manhattanLength() <= 2
    mouse.wheel(33.5, 61.5, -3)
    assert canvas.zoom == pytest.approx(4)


def test_zooming_stops_at_100_percent(qtbot):
    canvas, _ = make_canvas(qtbot, zoom=0.9)
    canvas.zoom_by(1)
    assert canvas.zoom == 1.0
    canvas.zoom_by(1)
    assert canvas.zoom == 1.25


def test_keys_for_looking_around(qtbot):
    canvas, _ = make_canvas(qtbot)
    press_key(canvas, Qt.Key.Key_1)
    assert canvas.zoom == 1.0
    QTest.keyClicks(canvas, "+")
    assert canvas.zoom == 1.25
    QTest.keyClicks(canvas, "-")
    assert canvas.zoom == 1.0
    press_key(canvas, Qt.Key.Key_0)
    assert canvas.visible_box() == (0, 0, 90, 140)
    canvas.zoom_to(10)
    before = canvas.view_state.center
    press_key(canvas, Qt.Key.Key_Right)
    assert canvas.view_state.center[0] > before[0]
    press_key(canvas, Qt.Key.Key_Down)
    assert canvas.view_state.center[1] > before[1]


def test_the_image_stays_fitted_until_it_is_moved(qtbot):
    canvas, _ = make_canvas(qtbot)
    canvas.fit()
    canvas.resize(900, 700)
    assert canvas.visible_box() == (0, 0, 90, 140)
    assert canvas.zoom > 5
    canvas.zoom_to(8)
    center = canvas.view_state.center
    canvas.resize(500, 400)
    assert canvas.zoom == 8
    assert canvas.view_state.center == pytest.approx(center, abs=0.3)


def test_the_image_cannot_get_lost(qtbot):
    canvas, _ = make_canvas(qtbot)
    canvas.pan(100_000, -100_000)
    top, left, bottom, right = canvas.visible_box()
    assert bottom > top
    assert right > left


def test_space_and_the_middle_button_move_the_image_with_any_tool(qtbot):
    canvas, document = make_canvas(qtbot)
    canvas.set_tool("brush")
    mouse = Mouse(canvas)
    x, y = canvas.view_state.center
    QTest.keyPress(canvas, Qt.Key.Key_Space)
    mouse.press(70, 45)
    at = canvas.to_widget(70, 45) + QPointF(40, 20)
    mouse.move(*canvas.to_image(at))
    mouse.release(*canvas.to_image(at))
    QTest.keyRelease(canvas, Qt.Key.Key_Space)
    assert canvas.view_state.center == pytest.approx((x - 10, y - 5), abs=0.3)
    assert document.undo_count == 0
    mouse.drag([(70, 45), (75, 45)], Qt.MouseButton.MiddleButton)
    assert document.undo_count == 0
    mouse.drag([(5, 70), (10, 70)])
    assert document.undo_count == 1


def test_at_100_percent_every_pixel_is_where_it_belongs(qtbot):
    plane = np.random.default_rng(0).integers(0, 256, (200, 300), np.uint8)
    canvas, _ = make_canvas(qtbot, np.zeros((200, 300), np.int32), plane, zoom=1.0)
    canvas.set_display(Display((ChannelView(0, 255),)))
    left, top = canvas.to_widget(0, 0).toPoint().toTuple()
    shown = pixels(canvas)[top : top + 140, left : left + 300]
    assert (shown == plane[:140, :, None]).all()


@pytest.mark.parametrize("zoom", [2.0, 5.3, 16.0])
def test_close_up_every_pixel_is_a_square(qtbot, zoom):
    plane = np.random.default_rng(0).integers(0, 256, (90, 140), np.uint8)
    canvas, _ = make_canvas(qtbot, np.zeros((90, 140), np.int32), plane, zoom=zoom)
    canvas.set_display(Display((ChannelView(0, 255),)))
    shown = pixels(canvas)
    for x, y in [(60, 40), (70, 45), (75, 50)]:
        at = canvas.to_widget(x + 0.5, y + 0.5).toPoint()
        assert shown[at.y(), at.x()].tolist() == [plane[y, x]] * 3


def test_small_views_show_the_mean_in_the_right_place(qtbot):
    plane = np.zeros((700, 1100), np.uint16)
    plane[100:300, 500:900] = 1000
    canvas, _ = make_canvas(qtbot, np.zeros((700, 1100), np.int32), plane, zoom=0.3)
    canvas.set_display(Display((ChannelView(0, 1000),)))
    shown = pixels(canvas)[..., 1]
    for x, y, value in [(505, 105, 255), (895, 295, 255), (490, 200, 0), (910, 200, 0), (700, 90, 0), (700, 310, 0)]:
        at = canvas.to_widget(x, y).toPoint()
        assert abs(int(shown[at.y(), at.x()]) - value) < 40, (x, y)


@pytest.mark.parametrize("zoom", [0.7, 1.0, 3.3, 14.0])
@pytest.mark.parametrize("overlay", [Overlay(), Overlay("outline", 0.3, 3)])
def test_what_a_stroke_redraws_is_what_a_new_canvas_draws(qtbot, zoom, overlay):
    """Dirty rectangles are only an economy: they never show."""
    canvas, document = make_canvas(qtbot, zoom=zoom)
    canvas.set_overlay(overlay)
    pixels(canvas)
    rng = np.random.default_rng(1)
    for round_ in range(6):
        canvas.set_tool("brush" if round_ % 3 else "eraser")
        canvas.protect = bool(round_ % 2)
        canvas.set_brush_size(int(rng.integers(1, 20)))
        mouse = Mouse(canvas)
        points = [(float(x), float(y)) for x, y in rng.uniform((0, 0), (140, 90), (5, 2))]
        mouse.press(*points[0])
        for point in points[1:]:
            mouse.move(*point)
            pixels(canvas)
        mouse.release(*points[-1])
    canvas.undo()
    canvas.set_tool("select")
    cells = document.cells.ids().tolist()
    canvas.select(cells[:2])
    pixels(canvas)
    canvas.select(cells[1:2])
    incremental = pixels(canvas)
    canvas.scene.clear_tiles()
    assert (pixels(canvas) == incremental).all()


def test_contrast_and_strokes_render_no_more_than_is_seen(qtbot):
    labels = np.zeros((2000, 3000), np.int32)
    plane = np.zeros((2000, 3000), np.uint16)
    canvas, _ = make_canvas(qtbot, labels, plane, zoom=1.0)
    pixels(canvas)
    layer = canvas.scene.image
    before = layer.rendered_pixels
    canvas.set_display(canvas.display.with_channel(0, high=50))
    pixels(canvas)
    assert layer.rendered_pixels - before < 4 * 640 * 420
    canvas.set_tool("brush")
    canvas.set_brush_size(10)
    mouse = Mouse(canvas)
    mouse.press(1500, 1000)
    pixels(canvas)
    before, before_image = canvas.scene.cells.rendered_pixels, layer.rendered_pixels
    mouse.move(1504, 1002)
    canvas.grab(canvas.rect())
    mouse.release(1504, 1002)
    assert 0 < canvas.scene.cells.rendered_pixels - before < 3000
    assert layer.rendered_pixels == before_image


def test_memory_of_the_tiles_is_limited(qtbot):
    canvas, _ = make_canvas(qtbot, np.zeros((2000, 3000), np.int32), np.zeros((2000, 3000), np.uint8), zoom=8.0)
    for x in range(0, 3000, 60):
        canvas.center_on(x, 1000)
        canvas.grab()
    assert canvas.scene.image.cached_bytes <= 48 << 20


def test_fill_outline_and_none(qtbot):
    canvas, _ = make_canvas(qtbot, plane=np.full((90, 140), 100, np.uint8))
    canvas.set_display(Display((ChannelView(0, 255),)))
    middle, border = canvas.to_widget(75, 65).toPoint(), canvas.to_widget(60.1, 65).toPoint()

    def looks():
        shown = pixels(canvas)
        grey = [100, 100, 100]
        return shown[middle.y(), middle.x()].tolist() != grey, shown[border.y(), border.x()].tolist() != grey

    assert looks() == (True, True)
    press_key(canvas, Qt.Key.Key_O)
    assert canvas.overlay.mode == "outline"
    assert looks() == (False, True)
    press_key(canvas, Qt.Key.Key_O)
    assert looks() == (False, False)
    press_key(canvas, Qt.Key.Key_O)
    QTest.keyPress(canvas, Qt.Key.Key_H)
    assert looks() == (False, False)
    QTest.keyRelease(canvas, Qt.Key.Key_H)
    assert looks() == (True, True)


def test_all_cells_in_one_chosen_colour(qtbot):
    canvas, _ = make_canvas(qtbot)
    canvas.set_overlay(Overlay("outline", 0, 2, (10, 20, 30)))
    shown = pixels(canvas)
    for x in (60.2, 90.2, 10.2):
        at = canvas.to_widget(x, 65 if x > 50 else 30).toPoint()
        assert shown[at.y(), at.x()].tolist() == [10, 20, 30]


def test_the_selected_cell_has_a_white_line_inside_a_dark_one(qtbot):
    canvas, _ = make_canvas(qtbot, plane=np.full((90, 140), 255, np.uint8), zoom=4.0)
    canvas.set_display(Display((ChannelView(0, 255),)))
    canvas.select({2})
    row = pixels(canvas)[canvas.to_widget(0, 65).toPoint().y()]
    edge = canvas.to_widget(60, 0).toPoint().x()
    assert row[edge + 1].tolist() == [255, 255, 255]
    assert row[edge - 1].max() < 100
    assert row[edge - 4].tolist() == [255, 255, 255]


def test_colours_never_exceed_their_opacity():
    """They would overflow when drawn, as sparks."""
    rng = np.random.default_rng(0)
    tables = [premultiplied(rng.integers(0, 256, (50, 3), np.uint8), a) for a in (0.2, 0.35, 0.9, 1.0)]
    picture = np.concatenate(tables)[rng.integers(0, 200, (80, 90))]
    parts = softened(picture).view(np.uint8).reshape(80, 90, 4)
    assert (parts[..., :3] <= parts[..., 3:]).all()


def test_proposals_are_dashed_and_filled_by_score(qtbot):
    canvas, _ = make_canvas(qtbot, np.zeros((90, 140), np.int32), np.zeros((90, 140), np.uint8))
    layer = ProposalLayer(three_cells(), np.array([0, 0.5, 0.99, 0.7]), rejected=frozenset({3}))
    canvas.set_proposals(layer)
    shown = pixels(canvas).astype(int)

    def at(x, y):
        place = canvas.to_widget(x, y).toPoint()
        return shown[place.y(), place.x()]

    doubtful, certain = at(15, 15), at(75, 65)
    assert doubtful[0] > doubtful[2] + 20
    assert certain[2] > certain[0] + 20
    assert at(105, 65).max() == 0
    place = canvas.to_widget(60, 52).toPoint()
    border = shown[place.y() : place.y() + 100, place.x()].sum(axis=1)
    assert (border > 300).sum() > 30
    assert (border < 150).sum() > 20
    canvas.set_proposals(ProposalLayer(layer.labels, layer.score, accepted=frozenset({1, 2, 3})))
    gone = pixels(canvas)
    assert gone[place.y() + 20, place.x() + 40].max() == 0
    canvas.set_proposals(None)
    assert canvas.proposals is None


def test_marks_frame_places_and_can_be_gone_through(qtbot):
    canvas, _ = make_canvas(qtbot, np.zeros((90, 140), np.int32), np.zeros((90, 140), np.uint8))
    canvas.set_marks([Mark("missed", (50, 60, 80, 90), "Missed"), Mark("merged", (10, 10, 40, 40))])
    canvas.zoom_to(30)
    canvas.center_on(130, 80)
    canvas.show_mark(1)
    assert canvas.view_state.center == pytest.approx((25, 25), abs=1)
    canvas.show_mark(0)
    shown = pixels(canvas)
    frame = canvas.to_widget(60, 65).toPoint()
    assert (shown[frame.y(), frame.x() - 8 : frame.x()] == (0x56, 0xB4, 0xE9)).all(axis=1).any()
    clicked = []
    canvas.mark_clicked.connect(clicked.append)
    Mouse(canvas).click(75, 65)
    assert clicked == [0]


def test_outside_the_region_is_dark(qtbot):
    canvas, document = make_canvas(qtbot, np.zeros((90, 140), np.int32), np.full((90, 140), 200, np.uint8))
    canvas.set_display(Display((ChannelView(0, 255),)))
    document.set_attribute("Set region", "region", [20, 10, 60, 40])
    shown = pixels(canvas)
    inside, outside = canvas.to_widget(50, 30).toPoint(), canvas.to_widget(100, 70).toPoint()
    assert shown[inside.y(), inside.x(), 0] == 200
    assert shown[outside.y(), outside.x(), 0] < 140
    document.undo()
    assert pixels(canvas)[outside.y(), outside.x(), 0] == 200


def test_a_second_label_image_is_drawn_over_the_cells(qtbot):
    canvas, _ = make_canvas(qtbot, np.zeros((90, 140), np.int32), np.zeros((90, 140), np.uint8))
    canvas.set_reference(three_cells(), (255, 0, 255), 2)
    at = canvas.to_widget(60.1, 65).toPoint()
    assert pixels(canvas)[at.y(), at.x()].tolist() == [255, 0, 255]
    canvas.set_reference(None)
    assert pixels(canvas)[at.y(), at.x()].tolist() == [0, 0, 0]


def test_things_of_another_size_are_refused_or_let_go(qtbot):
    canvas, document = make_canvas(qtbot)
    with pytest.raises(ValueError, match="does not fit"):
        canvas.set_document(Document((90, 141)))
    with pytest.raises(ValueError, match="do not fit"):
        canvas.set_proposals(ProposalLayer(np.zeros((140, 90), np.int32), np.zeros(1)))
    assert canvas.document is document
    canvas.set_image(np.zeros((30, 20), np.uint8))
    assert canvas.document is None
    canvas.set_image(None)
    assert canvas.shape == (0, 0)
    pixels(canvas)
    canvas.set_document(document)
    assert canvas.shape == (90, 140)


def test_another_plane_of_the_same_size_keeps_the_place(qtbot):
    canvas, document = make_canvas(qtbot)
    canvas.zoom_to(7)
    canvas.center_on(50, 40)
    state = canvas.view_state
    canvas.set_image(np.ones((90, 140), np.uint8))
    assert canvas.view_state == state
    assert canvas.document is document


def test_a_canvas_that_is_gone_hears_nothing(qtbot):
    canvas, document = make_canvas(qtbot)
    other = Document((90, 140))
    canvas.set_document(other)
    document.set_attribute("Set region", "region", [1, 2, 30, 40])
    assert canvas.scene.region is None
    lone = Canvas()
    lone.set_document(other)
    delete(lone)
    other.set_attribute("Set region", "region", [1, 2, 30, 40])


def test_linked_views_show_the_same_part(qtbot):
    first, _ = make_canvas(qtbot)
    second, _ = make_canvas(qtbot, size=(300, 500))
    first.zoom_to(9)
    first.center_on(33, 44)
    first.link(second)
    assert second.zoom == 9
    assert second.view_state.center == pytest.approx((33, 44), abs=0.2)
    second.center_on(80, 50)
    assert first.view_state.center == pytest.approx((80, 50), abs=0.2)
    Mouse(first).move(70, 45)
    assert second._ghost == pytest.approx((70, 45))
    first.unlink(second)
    first.zoom_to(3)
    assert second.zoom == 9


def test_round_lengths():
    assert [round_length(v) for v in (0.3, 1, 1.9, 4.99, 73, 1234)] == [0.2, 1, 1, 2, 50, 1000]
    assert round_length(0) == 0
    assert round_length(float("nan")) == 0
    assert [length_text(v, in_um=True) for v in (0.2, 5, 2000)] == ["200 nm", "5 µm", "2 mm"]
    assert length_text(50, in_um=False) == "50 px"


def test_the_scale_bar_has_its_true_length():
    view = Viewport()
    view.shape, view.width, view.height, view.zoom = (500, 700), 800, 600, 2.0
    length, text = scale_bar(view, 0.25, 1.0)
    assert text == "20 µm"
    assert length == pytest.approx(20 / 0.25 * 2)
    length, text = scale_bar(view, None, 1.0)
    assert (length, text) == (100.0, "50 px")


def test_export_is_what_is_shown_larger(qtbot, tmp_path):
    canvas, _ = make_canvas(qtbot)
    canvas.set_pixel_size((0.5, 0.5))
    canvas.fit()
    before = pixels(canvas)
    path = tmp_path / "Bild ä.png"
    save_picture(canvas, path, 2)
    saved = QImage(str(path))
    assert saved.width() == pytest.approx(140 * canvas.zoom * 2, abs=2)
    assert saved.height() == pytest.approx(90 * canvas.zoom * 2, abs=2)
    shown = image_pixels(saved)
    at = canvas.to_widget(75.5, 60.5).toPoint()
    where = round(60.5 * canvas.zoom * 2), round(75.5 * canvas.zoom * 2)
    assert shown[where].tolist() == before[at.y(), at.x()].tolist()
    # The scale bar: white in the lower right corner, and nowhere in the tool-free rest of the row above it.
    corner = shown[-80:, -330:]
    assert (corner == 255).all(axis=2).sum() > 200
    assert (pixels(canvas) == before).all()
    with pytest.raises(OutputError):
        save_picture(Canvas(), path)


def test_the_pointer_tells_what_it_is_on(qtbot):
    canvas, _ = make_canvas(qtbot)
    seen = []
    canvas.pointed.connect(seen.append)
    mouse = Mouse(canvas)
    mouse.move(75.7, 65.2)
    assert (seen[-1].x, seen[-1].y, seen[-1].cell, seen[-1].area) == (75, 65, 2, 900)
    assert seen[-1].value == canvas.plane[65, 75]
    canvas.center_on(0, 0)
    mouse.move(-3, 5)
    assert seen[-1] is None
    canvas.set_image(np.zeros((90, 140, 2), np.float32))
    mouse.move(1, 1)
    assert seen[-1].value == (0.0, 0.0)


def test_wheel_with_shift_and_control(qtbot):
    canvas, _ = make_canvas(qtbot)
    steps = []
    canvas.plane_step.connect(steps.append)
    mouse = Mouse(canvas)
    canvas.set_brush_size(10)
    mouse.wheel(70, 45, 1, SHIFT)
    assert canvas.brush_size == 11
    mouse.wheel(70, 45, 0.5, SHIFT)
    assert canvas.brush_size == 11
    mouse.wheel(70, 45, 0.5, SHIFT)
    assert canvas.brush_size == 12
    mouse.wheel(70, 45, -1, CONTROL)
    assert steps == [1]
    assert canvas.zoom == 4


def test_view_states_are_taken_back(qtbot):
    canvas, _ = make_canvas(qtbot)
    canvas.set_view_state(ViewState((50.0, 40.0), 6.0))
    assert canvas.view_state.zoom == 6
    assert canvas.view_state.center == pytest.approx((50, 40), abs=0.2)


def test_a_mark_that_is_in_sight_does_not_move_the_image(qtbot):
    canvas, _ = make_canvas(qtbot)
    canvas.fit()
    before = canvas.view_state
    canvas.set_marks([Mark("missed", (70, 110, 85, 130)), Mark("missed", (2, 2, 4, 4))])
    canvas.show_mark(0)
    assert canvas.view_state == before
    # Too small to be judged: it comes nearer.
    canvas.zoom_to(1.0)
    canvas.show_mark(1)
    assert canvas.zoom > 1
