import numpy as np
import pytest
from page_help import CELLS, SHAPE, Stage, labels_of
from PySide6.QtGui import QImage

from app.pages.measure.compare import CompareView
from app.pages.measure.pane import Lines
from app.pages.measure.scores import Drawn, Pair, score_pair
from cellseg1.masks import write_label_image

TRUTH = CELLS[1:]


@pytest.fixture
def stage(qtbot, tmp_path):
    stage = Stage(qtbot, tmp_path)
    yield stage
    stage.session.close()


@pytest.fixture
def view(stage, tmp_path):
    results = []
    for number in (0, 1):
        image_id = f"i{number}"
        document = stage.project.draw(image_id, labels_of(TRUTH))
        path = tmp_path / f"p{number}.tif"
        write_label_image(path, labels_of(CELLS))
        pair = Pair(f"a{number + 1}.tif", (image_id, 0, 0), None, path)
        results.append(score_pair(pair, Drawn(np.array(document.labels))))
    stage.connect()
    stage.show("i0")
    view = CompareView(stage.session)
    stage.qtbot.addWidget(view)
    view.set_results(results, 0)
    view.resize(900, 700)
    view.show()
    stage.settle()
    return view


def test_four_views_show_image_outlines_cells_and_errors(stage, view):
    image, both, cells, errors = (pane.view for pane in view.panes)
    assert image.labels is None
    assert np.array_equal(image.plane, stage.session.plane)
    assert np.array_equal(both.labels, labels_of(TRUTH))
    assert both.overlay.mode == "outline"
    assert both.overlay.color == (86, 180, 233)
    assert np.array_equal(both.scene.reference.labels, labels_of(CELLS))
    assert not cells.scene.image_visible
    assert np.array_equal(errors.plane, view.loaded.errors)
    assert [mark.kind for mark in errors.scene.marks] == ["invented"]


def test_the_views_move_together(view):
    first = view.panes[0].view
    first.zoom_to(5.0)
    first.center_on(100, 30)
    for pane in view.panes[1:]:
        assert pane.view.zoom == pytest.approx(5.0)
        # Panes may differ by a pixel of the screen in height, a fifth of one of the image here.
        assert pane.view.view_state.center == pytest.approx(first.view_state.center, abs=0.2)
    view.panes[3].view.pan(-30, 0)
    assert first.view_state.center == pytest.approx(view.panes[3].view.view_state.center, abs=0.2)


def test_what_a_view_shows_can_be_chosen_and_the_place_stays(view):
    pane = view.panes[0]
    pane.view.zoom_to(4.0)
    place = pane.view.view_state.center
    for content, labels in (("prediction", view.loaded.prediction), ("truth_labels", view.loaded.truth)):
        pane.set_content(content)
        assert pane.view.labels is labels
        assert pane.view.zoom == pytest.approx(4.0)
        assert pane.view.view_state.center == pytest.approx(place)
    pane.set_content("image")
    assert pane.view.labels is None
    assert pane.view.scene.image_visible


def test_colours_and_width_of_the_outlines(view):
    view.set_lines(Lines(truth=(255, 255, 0), width=4))
    shown = view.panes[1].view
    assert shown.overlay.color == (255, 255, 0)
    assert shown.overlay.outline_width == 4
    assert shown.scene.reference.overlay.color == (240, 160, 32)
    assert shown.scene.reference.overlay.outline_width == 4


@pytest.mark.parametrize(("index", "shown"), [(0, 1), (1, 2), (2, 4)])
def test_one_two_or_four_views(view, index, shown):
    view.number.setCurrentIndex(index)
    assert sum(pane.isVisible() for pane in view.panes) == shown


def test_the_next_result_is_read_from_its_file(stage, view, tmp_path):
    from PIL import Image

    pixels = np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint32).reshape(SHAPE) % 251
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "a2.tif")
    view.next.click()
    stage.settle()
    assert "a2.tif (2 of 2)" in view.name.text()
    assert np.array_equal(view.panes[0].view.plane, pixels)
    assert not view.next.isEnabled()
    view.previous.click()
    stage.settle()
    assert np.array_equal(view.panes[0].view.plane, stage.session.plane)


def test_without_the_image_the_outlines_are_still_compared(stage, view):
    view.next.click()
    stage.settle()
    assert view.loaded.plane is None
    assert view.panes[0].view.shape == SHAPE
    assert view.panes[1].view.labels is view.loaded.truth


def test_a_prediction_that_is_gone_is_a_sentence(stage, view, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("app.pages.measure.compare.show_error", lambda _parent, sentence: said.append(sentence))
    (tmp_path / "p1.tif").unlink()
    view.next.click()
    stage.settle()
    assert len(said) == 1
    assert "cannot be shown" in view.state.text()
    assert view.panes[1].view.labels is None


def test_the_views_as_a_picture(view, tmp_path):
    view.save_to(tmp_path / "c.png", 1.0)
    picture = QImage(str(tmp_path / "c.png"))
    assert picture.width() > 2 * 140
    assert "Saved in" in view.state.text()


def test_a_view_is_moved_and_zoomed_by_mouse_and_keys_only(qtbot, view):
    from PySide6.QtCore import QPoint, Qt

    shown, other = view.panes[0].view, view.panes[1].view
    shown.zoom_to(4.0)
    shown.center_on(60, 40)
    x, y = shown.view_state.center
    middle = shown.rect().center()
    qtbot.mousePress(shown, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.mouseMove(shown, middle + QPoint(40, 20))
    assert shown.cursor().shape() == Qt.CursorShape.ClosedHandCursor
    qtbot.mouseRelease(shown, Qt.MouseButton.LeftButton, pos=middle + QPoint(40, 20))
    assert shown.view_state.center == pytest.approx((x - 10, y - 5), abs=0.3)
    assert other.view_state.center == pytest.approx(shown.view_state.center, abs=0.2)
    qtbot.mouseMove(shown, middle)
    assert shown.view_state.center == pytest.approx((x - 10, y - 5), abs=0.3), "nothing is held any more"
    for key, sign in ((Qt.Key.Key_Plus, 1), (Qt.Key.Key_Minus, -1)):
        zoom = shown.zoom
        qtbot.keyClick(shown, key)
        assert (shown.zoom - zoom) * sign > 0
    before = shown.view_state.center[0]
    qtbot.keyClick(shown, Qt.Key.Key_Left)
    assert shown.view_state.center[0] < before
    labels = view.loaded.truth.copy()
    for key in (Qt.Key.Key_B, Qt.Key.Key_P, Qt.Key.Key_Delete):
        qtbot.keyClick(shown, key)
    qtbot.mouseClick(other, Qt.MouseButton.LeftButton)
    assert np.array_equal(view.loaded.truth, labels)
