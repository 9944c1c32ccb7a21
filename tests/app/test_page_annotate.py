import numpy as np
import pytest
from panel_help import bench_fixture, cut_labels, nameless  # noqa: F401 - a fixture
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QColorDialog

from app.annotation import Document, operations
from app.pages.annotate.image_dialogs import AxesDialog, PixelSizeDialog, describe_axes, fault_in_axes
from app.pages.annotate.panel import AnnotatePanel, pixel_size_text
from app.pages.shared.advice import CellFacts, advice, cell_facts, mask_warnings
from app.pages.shared.view_options import ViewOptions
from app.project.display import Display
from app.session.clicks import Clicks


@pytest.fixture
def panel(bench):
    return bench.show(AnnotatePanel(bench.session, bench.canvas))


# ---- what is said about cells


def test_the_advice_follows_number_density_and_variety():
    said = [
        advice(CellFacts(0)),
        advice(CellFacts(5, 0.3, 0.4)),
        advice(CellFacts(15, 0.3, 0.4)),
        advice(CellFacts(30, 0.01, 0.4)),
        advice(CellFacts(30, 0.3, 0.02)),
        advice(CellFacts(30, 0.3, 0.4)),
    ]
    assert len(set(said)) == 6
    assert said[-1] == "A few dozen, densely packed, of varied size: good."
    assert "far apart" in said[3]
    assert "same size" in said[4]


def test_density_is_that_of_the_region():
    labels = np.zeros((40, 80), np.int32)
    labels[5:15, 5:15] = 1
    labels[20:30, 5:25] = 2
    document = Document(labels.shape, labels)
    whole = cell_facts(document)
    document.set_attribute("Set region", "region", [0, 0, 30, 40])
    assert whole.count == 2
    assert whole.share == pytest.approx(300 / 3200)
    assert cell_facts(document).share == pytest.approx(300 / 1200)
    assert whole.variation == pytest.approx(1 / 3)


def test_warnings_leave_out_what_the_advice_says():
    labels = np.zeros((60, 90), np.int32)
    labels[5:20, 5:20] = 1
    labels[40:55, 60:80] = 1
    said = mask_warnings(labels, None)
    assert any("separate pieces" in one for one in said)
    assert not any(one.startswith("Only") for one in said)
    assert mask_warnings(labels, (0, 0, 30, 30)) == ()


# ---- the panel


def test_without_a_project_it_says_what_to_do(panel):
    assert "Open a project" in panel.cells.advice.text()
    assert not panel.primary.isEnabled()
    assert not panel.tools.isVisible()
    assert not panel.cells.region.isVisible()


def test_the_count_follows_drawing_and_undo(bench, panel):
    bench.project("discs")
    bench.wait(lambda: panel.cells.count.text() == "No cells yet")
    assert not panel.primary.isEnabled()
    bench.draw(12)
    bench.wait(lambda: panel.cells.count.text() == "12 cells")
    assert panel.primary.isEnabled()
    bench.session.document.undo()
    bench.wait(lambda: panel.cells.count.text() == "No cells yet")


def test_warnings_come_after_a_pause_and_go_again(bench, panel):
    bench.project("discs")
    labels = np.zeros((96, 144), np.int32)
    labels[5:20, 5:20] = 1
    labels[60:80, 90:120] = 1
    operations.import_labels(bench.session.document, labels)
    bench.wait(lambda: panel.cells.warnings.isVisible())
    assert "separate pieces" in panel.cells.warnings.lines[0]
    operations.delete_cells(bench.session.document, [1])
    bench.wait(lambda: not panel.cells.warnings.isVisible())


def test_flags_are_undoable_edits(bench, panel):
    bench.project("discs")
    bench.draw()
    panel.cells.training.click()
    panel.cells.checked.click()
    document = bench.session.document
    assert document.attributes["training"] is True
    assert document.attributes["checked"] is True
    document.undo()
    document.undo()
    bench.wait(lambda: not panel.cells.training.isChecked() and not panel.cells.checked.isChecked())


def test_the_primary_button_marks_for_training_and_goes_on(bench, panel):
    bench.project("discs")
    bench.draw(5)
    bench.wait(panel.primary.isEnabled)
    with bench.qtbot.waitSignal(panel.step_wanted) as told:
        panel.primary.click()
    assert told.args == ["train"]
    assert bench.session.document.attributes["training"] is True


def test_region_is_drawn_with_its_tool_and_cleared(bench, panel):
    bench.project("discs")
    panel.cells.draw_region.click()
    assert bench.canvas.tool.name == "region"
    bench.session.document.set_attribute("Set region", "region", [4, 8, 60, 40])
    bench.wait(lambda: "60 x 40 px" in panel.cells.region_line.text())
    panel.cells.clear_region.click()
    assert bench.session.document.attributes.get("region") is None
    bench.wait(lambda: not panel.cells.clear_region.isVisible())


def test_delete_all_is_one_step(bench, panel):
    bench.project("discs")
    bench.draw(6)
    bench.wait(panel.cells.delete_all.isEnabled)
    before = bench.session.document.undo_count
    panel.cells.delete_all.click()
    assert len(bench.session.document.cells) == 0
    assert bench.session.document.undo_count == before + 1


def test_a_read_only_project_cannot_be_changed(bench, panel, monkeypatch):
    bench.project("discs")
    bench.draw(6)
    with monkeypatch.context() as patch:
        patch.setattr(type(bench.session.project), "read_only", property(lambda _project: True))
        panel.refresh()
        panel.cells.refresh()
        cells = panel.cells
        for widget in (cells.training, cells.delete_all, panel.axes_button, panel.size_button, panel.primary):
            assert not widget.isEnabled()
    panel.refresh()
    assert panel.primary.isEnabled()


# ---- tools


def test_the_options_are_those_of_the_tool(bench, panel):
    bench.project("discs")
    bench.wait(lambda: panel.tools.isVisible())
    seen = {}
    for name in ("brush", "eraser", "clean", "click", "split", "lasso"):
        bench.canvas.set_tool(name)
        parts = (panel.tools.brush, panel.tools.protect, panel.tools.clean, panel.tools.click)
        seen[name] = tuple(part.isVisible() for part in parts)
    assert seen == {
        "brush": (True, True, False, False),
        "eraser": (True, False, False, False),
        "clean": (False, False, True, False),
        "click": (False, True, False, True),
        "split": (False, False, False, False),
        "lasso": (False, True, False, False),
    }


def test_brush_size_goes_both_ways(bench, panel):
    panel.tools.brush.spin.setValue(40)
    assert bench.canvas.brush_size == 40
    bench.canvas.set_brush_size(9)
    assert panel.tools.brush.value == 9


def test_protect_and_clean_up_reach_the_canvas(bench, panel):
    bench.project("discs")
    bench.canvas.set_tool("brush")
    panel.tools.protect.click()
    assert bench.canvas.protect is False
    assert bench.session.preferences.values.protect_cells is False
    bench.canvas.set_tool("clean")
    panel.tools.smooth.spin.setValue(5)
    panel.tools.islands.spin.setValue(70)
    tool = bench.canvas.tools["clean"]
    assert (tool.smooth, tool.min_island) == (5, 70)
    labels = np.zeros((96, 144), np.int32)
    labels[10:40, 10:50] = 1
    labels[60:64, 80:84] = 1
    operations.import_labels(bench.session.document, labels)
    panel.tools.clean_all.click()
    assert not bench.session.document.labels[60:64, 80:84].any()


def test_the_click_tool_says_how_far_it_is(bench):
    clicks = Clicks(bench.session, bench.canvas)
    bench.project("discs")
    panel = bench.show(AnnotatePanel(bench.session, bench.canvas))
    bench.wait(lambda: panel.tools.isVisible())
    bench.canvas.set_tool("click")
    texts = []
    for state in ("preparing", "ready", "failed"):
        clicks._set_state(state)
        texts.append(panel.tools.click_state.text())
        assert panel.tools.busy.isVisible() == (state == "preparing")
    assert "Getting ready" in texts[0]
    assert len(set(texts)) == 3
    with bench.qtbot.waitSignal(panel.models_wanted):
        panel.tools.models_button.click()


# ---- planes, axes, pixel size


def test_planes_are_chosen_with_sliders(bench, panel):
    bench.project("stack")
    bench.wait(lambda: panel.planes.z.isVisible())
    assert not panel.planes.t.isVisible()
    assert panel.planes.z.maximum == 7
    panel.planes.z.spin.setValue(5)
    bench.wait(lambda: bench.session.z == 4)
    assert panel.planes.z.value == 5
    bench.show_image(0, z=2)
    bench.wait(lambda: panel.planes.z.value == 3)


def test_guessed_axes_are_told_and_can_be_dismissed(bench, panel):
    bench.project("stack")
    bench.wait(lambda: panel.guessed.isVisible())
    assert "7 focal planes, 2 channels, 60 rows, 90 columns" in panel.guessed.label.text()
    panel.guessed.dismiss()
    panel.refresh()
    assert not panel.guessed.isVisible()


def test_axes_are_changed_in_a_dialog(bench, panel, monkeypatch):
    bench.project("stack")
    bench.wait(lambda: panel.guessed.isVisible())

    def choose(dialog):
        dialog.fields[0].setCurrentIndex(dialog.fields[0].findData("T"))
        return 1

    monkeypatch.setattr(AxesDialog, "exec", choose)
    panel.guessed.action.click()
    bench.wait(lambda: bench.session.image is not None and bench.session.image.info.axes == "TCYX")
    bench.wait(lambda: panel.planes.t.isVisible() and not panel.planes.z.isVisible())
    assert not panel.guessed.isVisible()
    bench.wait(lambda: "as you said" in panel.axes_line.text())


def test_the_axes_dialog_refuses_what_makes_no_picture(qtbot):
    dialog = AxesDialog(None, "ZCYX", (7, 2, 60, 90), by_hand=True)
    qtbot.addWidget(dialog)
    assert dialog.ok.isEnabled()
    dialog.fields[0].setCurrentIndex(dialog.fields[0].findData("C"))
    assert not dialog.ok.isEnabled()
    assert dialog.problem.text()
    dialog.fields[1].setCurrentIndex(dialog.fields[1].findData("Z"))
    assert dialog.axes() == "CZYX"
    assert dialog.ok.isEnabled()
    dialog._reset()
    assert dialog.axes() is None
    assert "Rows and columns" in fault_in_axes("ZCTX", (7, 2, 60, 90))
    assert "7" in fault_in_axes("SCYX", (7, 2, 60, 90))
    assert describe_axes("YXS", (60, 90, 3)) == "60 rows, 90 columns, red, green, blue"


def test_pixel_size_for_one_or_all(bench, panel, monkeypatch):
    bench.project("discs", "more")

    def enter(dialog):
        dialog.across.setValue(0.5)
        dialog.square.setChecked(False)
        dialog.down.setValue(0.25)
        dialog.all_images.setChecked(True)
        return 1

    monkeypatch.setattr(PixelSizeDialog, "exec", enter)
    panel.size_button.click()
    assert [image.pixel_size_um for image in bench.session.project.images] == [(0.25, 0.5)] * 2
    assert "0.5 x 0.25 µm" in panel.size_line.text()
    monkeypatch.setattr(PixelSizeDialog, "exec", lambda dialog: dialog._forget() or 1)
    panel.size_button.click()
    assert bench.session.pixel_size() is None
    assert bench.session.project.images[1].pixel_size_um == (0.25, 0.5)


def test_pixel_sizes_are_said_shortly():
    assert pixel_size_text(None) == "Pixel size unknown"
    assert pixel_size_text((0.65, 0.65)) == "Pixel size 0.65 µm"
    assert "as you said" in pixel_size_text((1, 2), by_hand=True)


# ---- view


@pytest.fixture
def view(bench):
    bench.project("stack")
    shown = bench.show(ViewOptions(bench.session, bench.canvas, opened=True))
    bench.wait(lambda: len(shown.rows) == 2 and shown.histogram.plot.counts.sum() > 0)
    return shown


def test_channels_are_switched_named_and_coloured(bench, view, monkeypatch):
    view.rows[1].visible.click()
    assert [one.visible for one in bench.session.display.channels] == [True, False]
    view.rows[0].name.setText("DAPI")
    view.rows[0].name.editingFinished.emit()
    bench.wait(lambda: view.channel.itemText(0) == "DAPI")
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_args: QColor(10, 20, 30))
    view.rows[0]._ask()
    assert bench.session.display.channels[0].color == (10, 20, 30)
    assert bench.canvas.display == bench.session.display


def test_contrast_acts_at_once_and_is_kept_with_the_image(bench, view):
    view.channel.setCurrentIndex(1)
    view.histogram.low_field.setValue(100)
    view.histogram.high_field.setValue(2000)
    channel = bench.canvas.display.channels[1]
    assert (channel.low, channel.high) == (100, 2000)
    assert bench.canvas.display.channels[0].high > 2000
    view.histogram.auto_button.click()
    assert bench.session.display.channels[1].high > 3900
    bench.session.save_now()
    entry = bench.session.project.images.get(bench.session.image_id)
    assert Display.from_dict(entry.display) == bench.session.display


def test_the_histogram_is_that_of_the_channel(bench, view):
    bench.session.plane[..., 1] //= 100
    view.channel.setCurrentIndex(1)
    bench.wait(lambda: view.histogram.plot.end < 50)
    view.channel.setCurrentIndex(0)
    bench.wait(lambda: view.histogram.plot.end > 3000)


def test_overlay_goes_both_ways(bench, view):
    view.mode_buttons["outline"].click()
    view.outline.spin.setValue(4)
    assert (bench.canvas.overlay.mode, bench.canvas.overlay.outline_width) == ("outline", 4)
    assert not view.opacity.isEnabled()
    bench.canvas.cycle_overlay()
    assert view.mode_buttons["none"].isChecked()
    bench.canvas.cycle_overlay()
    view.opacity.spin.setValue(80)
    assert bench.canvas.overlay.opacity == pytest.approx(0.8)


def test_two_views_follow_each_other(bench, view):
    other = bench.show(ViewOptions(bench.session, bench.canvas, opened=True))
    bench.wait(lambda: len(other.rows) == 2)
    view.rows[0].visible.click()
    bench.wait(lambda: not other.rows[0].visible.isChecked())


def test_one_grey_channel_needs_no_list(bench):
    bench.project("discs")
    shown = bench.show(ViewOptions(bench.session, bench.canvas, opened=True))
    bench.wait(lambda: len(shown.rows) == 1)
    assert not shown._rows_holder.isVisible()
    assert not shown.channel.isVisible()


# ---- everybody can use it


def test_everything_has_a_name_and_nothing_is_cut(bench, panel):
    bench.project("stack")
    panel.view.set_open(True)
    bench.wait(lambda: len(panel.view.rows) == 2)
    for tool in ("brush", "clean", "click", "region"):
        bench.canvas.set_tool(tool)
        bench.qtbot.wait(20)
        assert nameless(panel) == []
        assert cut_labels(panel) == []
    assert panel.minimumSizeHint().width() <= 340


def test_every_tool_option_can_be_reached_by_keyboard(bench, panel):
    bench.project("discs")
    bench.canvas.set_tool("brush")
    bench.wait(lambda: panel.tools.isVisible())
    for widget in (panel.tools.brush.spin, panel.tools.protect, panel.cells.training, panel.cells.draw_region):
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus
