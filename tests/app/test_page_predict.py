import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from page_help import CELLS, FakeProject, Stage, labels_of
from panel_help import bench_fixture  # noqa: F401 - a fixture
from PIL import Image
from PySide6.QtCore import Qt

from app.pages.predict.choose_images import ChooseImagesDialog
from app.pages.predict.panel import PredictPanel
from app.pages.predict.scale import Misfit, ModelFacts, facts_of, misfits, rescaling
from app.session.run_requests import PredictionWish
from cellseg1.errors import CellSeg1Error
from cellseg1.prediction.select import select_settings
from cellseg1.settings import make_settings, untrained_settings


@pytest.fixture
def stage(qtbot, tmp_path):
    stage = Stage(qtbot, tmp_path)
    yield stage
    stage.session.close()


def panel_of(stage):
    panel = PredictPanel(stage.session, stage.canvas)
    stage.qtbot.addWidget(panel)
    stage.connect()
    panel.resize(304, 900)
    panel.show()
    return panel


def choose_scope(panel, key):
    index = panel.images.box.findData(key)
    panel.images.box.setCurrentIndex(index)
    panel.images.box.activated.emit(index)


def test_starts_with_the_planes_of_the_chosen_scope(stage):
    panel = panel_of(stage)
    stage.project.draw("i1", labels_of(CELLS), checked=True)
    stage.show("i0")
    panel.press()
    assert stage.session.wishes[-1] == PredictionWish(planes=[("i0", 0, 0)], model=None)
    stage.session.end_job()
    stage.settle()
    for scope, wanted in (("empty", ["i0", "i2"]), ("unchecked", ["i0", "i2"]), ("all", ["i0", "i1", "i2"])):
        choose_scope(panel, scope)
        assert [plane[0] for plane in panel.images.planes()] == wanted, scope
    assert "3 images" in panel.primary.text()


def test_a_stack_is_predicted_plane_by_plane_and_only_where_it_is_wanted(stage):
    entry = stage.project.images.get("i2")
    entry.n_z, entry.n_t = 2, 2
    stage.project.draw("i2", labels_of(CELLS), z=1, t=0)
    panel = panel_of(stage)
    stage.show("i0")
    choose_scope(panel, "empty")
    assert panel.images.planes() == [("i0", 0, 0), ("i1", 0, 0), ("i2", 0, 0), ("i2", 0, 1), ("i2", 1, 1)]


def test_chosen_images_come_from_the_dialog(stage, qtbot):
    dialog = ChooseImagesDialog(stage.project, ["i1"])
    qtbot.addWidget(dialog)
    assert dialog.chosen() == ["i1"]
    dialog.filter.setText("a3")
    dialog._set_all(Qt.CheckState.Checked)
    assert dialog.chosen() == ["i1", "i2"]
    dialog.filter.setText("")
    dialog._set_all(Qt.CheckState.Unchecked)
    assert not dialog.chosen()
    assert not dialog.ok.isEnabled()


def test_cancel_asks_the_job_to_stop_and_says_so(stage):
    panel = panel_of(stage)
    stage.show()
    panel.press()
    job = stage.session.prediction
    assert "Cancel" in panel.primary.text()
    assert panel.progress.isVisible()
    job.progress.emit(SimpleNamespace(share=0.5, text="a1.tif (1 of 2)", seconds_left=120.0))
    assert panel.progress.bar.value() == 500
    assert "a1.tif" in panel.progress.line.text()
    assert "2 min" in panel.progress.line.text()
    panel.press()
    assert job.stops == 1
    assert not panel.primary.isEnabled()
    stage.session.end_job()
    assert panel.progress.isHidden()
    assert panel.primary.isEnabled()


def test_failures_are_listed_with_reasons_and_lead_to_the_image(stage):
    panel = panel_of(stage)
    stage.show()
    panel.press()
    job = stage.session.prediction
    assert panel.failures.isHidden()
    job.item_done.emit(SimpleNamespace(image_id="i1", z=0, t=0, error="The file is damaged.", cells=0))
    job.item_done.emit(SimpleNamespace(image_id="i2", z=0, t=0, error="", cells=4))
    assert panel.failures.list.count() == 1
    assert panel.failures.list.item(0).text() == "a2.tif: The file is damaged."
    assert panel.failures.list.isVisible()
    told = f"{stage.project.images.path('i2')} is empty (0 bytes). Copy it again."
    job.item_done.emit(SimpleNamespace(image_id="i2", z=0, t=0, error=told, cells=0))
    assert panel.failures.list.item(1).text() == "a3.tif is empty (0 bytes). Copy it again."
    bottom = panel.failures.list.visualItemRect(panel.failures.list.item(1)).bottom()
    assert bottom <= panel.failures.list.viewport().height(), "a few are seen as a whole"
    panel.failures.list.takeItem(1)
    panel.failures.list.itemActivated.emit(panel.failures.list.item(0))
    assert stage.session.image_id == "i1"
    stage.session.end_job()
    assert panel.failures.list.count() == 1, "the reasons stay after the end"
    panel.press()
    assert panel.failures.list.count() == 0


def test_an_error_at_the_start_is_shown_as_a_sentence(stage, monkeypatch):
    panel = panel_of(stage)
    stage.show()
    said = []
    monkeypatch.setattr("app.pages.predict.panel.show_error", lambda _parent, sentence: said.append(sentence))

    def refuse(*_args, **_values):
        raise CellSeg1Error("A prediction is running already.")

    monkeypatch.setattr(stage.session, "start_prediction", refuse)
    panel.press()
    assert said == ["A prediction is running already."]


def test_sliders_act_on_the_shown_image_and_on_the_run_when_asked(stage):
    run = stage.project.add_run(["i0", "i1"])
    panel = panel_of(stage)
    stage.show()
    thresholds = panel.thresholds
    assert len(stage.session.proposals.selection.cells) == 6
    assert "6 cells" in thresholds.count.text()
    thresholds.score.spin.setValue(0.8)
    stage.settle()
    assert len(stage.session.proposals.selection.cells) == 3
    assert "3 cells" in thresholds.count.text()
    assert set(np.unique(stage.canvas.proposals.labels)) == {0, 1, 2, 3}
    assert run.fields["select"]["pred_iou_thresh"] == 0.5, "other images keep theirs until one says so"
    thresholds.for_all.click()
    assert run.fields["select"]["pred_iou_thresh"] == 0.8
    assert not thresholds.for_all.isEnabled()
    stage.show("i1")
    assert thresholds.score.value == 0.8


def test_size_sliders_and_reset(stage):
    stage.project.add_run(["i0"])
    panel = panel_of(stage)
    stage.show()
    thresholds = panel.thresholds
    assert thresholds.largest.maximum == 90 * 140
    thresholds.smallest.spin.setValue(200)
    thresholds.largest.spin.setValue(300)
    stage.settle()
    areas = stage.session.proposals.selection.area
    assert 0 < len(areas) < 6
    assert areas.min() >= 200
    assert areas.max() <= 300
    assert stage.session.proposals.settings.max_cell_area == 300
    thresholds.reset.click()
    stage.settle()
    assert len(stage.session.proposals.selection.cells) == 6
    assert stage.session.proposals.settings.max_cell_area is None
    assert "no limit" in thresholds.largest.label.text()


def test_earlier_predictions_stay_and_can_be_chosen_also_for_the_next_image(stage):
    first = stage.project.add_run(["i0", "i1"], CELLS[:2])
    second = stage.project.add_run(["i0", "i1"], CELLS)
    panel = panel_of(stage)
    stage.show()
    box = panel.thresholds.runs
    assert [box.itemData(row) for row in range(box.count())] == [second.id, first.id]
    assert len(stage.session.proposals.offered) == 6
    box.setCurrentIndex(1)
    box.activated.emit(1)
    stage.settle()
    assert stage.session.proposals.run_id == first.id
    assert len(stage.session.proposals.offered) == 2
    stage.show("i1")
    assert stage.session.proposals.run_id == first.id


def test_what_to_do_next_is_said_where_there_is_no_result(stage):
    stage.project.add_run(["i1"])
    panel = panel_of(stage)
    stage.show("i0")
    assert panel.thresholds.isHidden()
    assert "Press Predict" in panel.result_hint.text()
    stage.show("i1")
    assert panel.thresholds.isVisible()
    assert panel.result_hint.isHidden()


def test_models_of_project_and_library_are_offered(stage, tmp_path, monkeypatch):
    path = tmp_path / "mine.cs1"
    path.write_bytes(b"x")
    stage.project.models.append(SimpleNamespace(path=path, name="mine", problem=""))
    other = SimpleNamespace(path=tmp_path / "other.cs1", name="other", problem="")
    monkeypatch.setattr("app.pages.predict.choice.library_models", lambda: [other])
    panel = panel_of(stage)
    stage.show()
    texts = [panel.model.box.itemText(row) for row in range(panel.model.box.count())]
    assert [text for text in texts if text] == ["tiny, not trained", "mine", "other (library)"]
    assert panel.model.train_button.isHidden()
    index = panel.model.box.findData(str(path))
    panel.model.box.setCurrentIndex(index)
    panel.model.box.activated.emit(index)
    stage.settle()
    assert stage.session.model == path
    assert not panel.primary.isEnabled(), "a damaged model cannot be used"
    assert "not a CellSeg1 model" in panel.model.line.text()


def test_scale_is_compared_by_drawn_cells_and_rescaling_is_offered(stage):
    stage.project.draw("i0", labels_of([(20 + 24 * n, 45, 4) for n in range(5)]))
    panel = panel_of(stage)
    stage.show("i0")
    # Cells of about 8 pixels where the bundled network expects 28; it looks for the size of cells by itself.
    assert panel.misfit.isVisible()
    assert "0.3 times" in panel.misfit.label.text()
    assert (panel.misfit.kind, panel.form.value("image_scale")) == ("info", "own")
    assert "by itself" in panel.misfit.label.text()
    panel.form.set_overrides({"image_scale": "model"})
    panel.form.changed.emit()
    assert panel.misfit.kind == "warning"
    assert "may miss cells" in panel.misfit.label.text()
    panel.form.set_overrides({})
    panel.form.changed.emit()
    assert panel.misfit.kind == "info"
    panel.press()
    assert not stage.session.wishes[-1].rescale, "it is only offered"
    stage.session.end_job()
    panel.rescale_box.setChecked(True)
    panel.press()
    diameter = stage.session.document.cells.median_diameter()
    assert stage.session.wishes[-1].rescale == {"i0": pytest.approx(28 / diameter)}
    stage.session.end_job()
    stage.show("i1")
    assert panel.misfit.isHidden()
    assert panel.rescale_box.isHidden()


def test_scale_by_pixel_size_where_nothing_is_drawn():
    facts = ModelFacts("m", diameter=30.0, pixel_size=0.5, scale=0.8)
    image = SimpleNamespace(id="a", pixel_size_um=(0.25, 0.25))
    found = misfits(facts, [image], {})
    assert found == [Misfit("a", pytest.approx(2.0), "pixel_size")]
    # Twice as large in the image, so half as much enlarged for the network.
    assert rescaling(facts, found) == {"a": pytest.approx(0.4)}
    assert misfits(facts, [SimpleNamespace(id="a", pixel_size_um=(0.45, 0.45))], {}) == []
    assert misfits(facts, [image], {"a": 31.0}) == [], "drawn cells know better than the pixel size"
    assert misfits(facts, [SimpleNamespace(id="a", pixel_size_um=None)], {}) == []


def test_read_only_and_empty_projects_say_why(stage, tmp_path):
    stage.project.read_only, stage.project.why_read_only = True, "It is open elsewhere."
    panel = panel_of(stage)
    stage.show()
    assert not panel.primary.isEnabled()
    assert "It is open elsewhere." in panel.primary.toolTip()
    stage.session.project = FakeProject(Path(tmp_path), names=())
    stage.session.image_id = stage.session.plane = stage.session.document = None
    stage.session.project_changed.emit()
    stage.settle()
    assert not panel.primary.isEnabled()
    assert "Add images" in panel.result_hint.text()


def model_file(path, **card):
    """Write a model without tensors: only its card is looked at here."""
    header = json.dumps({"__metadata__": {"cellseg1_schema": "1", "card": json.dumps(card)}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


def test_the_card_gives_the_line_the_defaults_and_the_scale(stage, tmp_path):
    path = model_file(
        tmp_path / "mine.cs1",
        recipe="studio",
        backbone="tiny",
        median_cell_diameter_px=9.0,
        scale=3.0,
        ap_training=0.876,
        training_images=[{"name": "a1.tif"}],
        settings=make_settings(overrides={"tile_size": 256, "crop_scale": (0.4, 0.9)}).to_dict(),
    )
    assert facts_of(path).scale == 3.0
    stage.project.models.append(SimpleNamespace(path=path, name="mine", problem=""))
    stage.project.draw("i0", labels_of(CELLS))
    stage.session.model = path
    panel = panel_of(stage)
    stage.show()
    assert panel.model.box.currentText() == "mine"
    assert panel.model.line.text() == "Trained on 1 image, cells of 9 px, AP 0.88 there"
    assert panel.form.value("tile_size") == 256
    assert panel.form.overrides() == {}, "what the model was trained with is no wish of the user"
    panel.rescale_box.setChecked(True)
    panel.press()
    ratio = stage.session.document.cells.median_diameter() / 9
    assert ratio > 1.2
    assert stage.session.wishes[-1].rescale == {"i0": pytest.approx(3.0 / ratio)}


def test_the_network_as_it_comes_is_shown_with_its_own_thresholds(bench, monkeypatch):
    """What the window shows and what the engine counts must not disagree about what is a cell."""
    bench.fake_engines(monkeypatch)
    bench.project("a")
    panel = bench.show(PredictPanel(bench.session, bench.canvas))
    wanted = untrained_settings("tiny")
    assert wanted.selection.pred_iou_thresh != make_settings().selection.pred_iou_thresh
    panel.press()
    bench.wait(lambda: bench.jobs)
    select = bench.session.project.runs[-1].fields["select"]
    assert select == dataclasses.asdict(select_settings(wanted))


def test_planes_of_stacks_that_were_never_opened_are_found_before_all_are_predicted(bench, monkeypatch):
    bench.fake_engines(monkeypatch)
    bench.project("a")
    pictures = bench.folder / "more"
    pictures.mkdir()
    values = np.zeros((4, 40, 60), np.uint16)
    tifffile.imwrite(pictures / "s.tif", values, imagej=True, metadata={"axes": "ZYX"})
    (pictures / "damaged.tif").write_bytes(b"II*\0 no more")
    bench.session.add_images([pictures], copy=False)
    damaged, stack = (one.id for one in bench.session.project.images[1:])
    assert bench.session.project.images.get(stack).n_z == 0
    panel = bench.show(PredictPanel(bench.session, bench.canvas))
    choose_scope(panel, "all")
    panel.press()
    assert not panel.primary.isEnabled()
    assert panel.progress.isVisible()
    bench.wait(lambda: bench.jobs)
    items = [(item.image_id, item.z) for item in bench.jobs[-1].request.items]
    first = bench.session.project.images[0].id
    assert items == [(first, 0), (damaged, 0), *((stack, z) for z in range(4))]


def test_leaving_the_project_ends_the_look_at_its_images(bench, monkeypatch):
    bench.fake_engines(monkeypatch)
    bench.project("a")
    pictures = bench.folder / "more"
    pictures.mkdir()
    for name in ("p.tif", "q.tif"):
        tifffile.imwrite(pictures / name, np.zeros((40, 60), np.uint16))
    bench.session.add_images([pictures], copy=False)
    panel = bench.show(PredictPanel(bench.session, bench.canvas))
    choose_scope(panel, "all")
    panel.press()
    bench.session.close_project()
    bench.qtbot.wait(100)
    assert not bench.jobs
    assert panel.progress.isHidden()


def test_a_folder_can_be_predicted(bench, monkeypatch):
    bench.fake_engines(monkeypatch)
    bench.project("a")
    folder = bench.folder / "more"
    folder.mkdir()
    for name in ("p.png", "q.png"):
        Image.fromarray(np.zeros((40, 60), np.uint8)).save(folder / name)
    (folder / "empty.png").write_bytes(b"")
    panel = bench.show(PredictPanel(bench.session, bench.canvas))
    monkeypatch.setattr("app.pages.predict.choice.QFileDialog.getExistingDirectory", lambda *_args: str(folder))
    choose_scope(panel, "folder")
    assert panel.images.box.currentData() == "chosen"
    assert [one.name for one in panel.images.entries()] == ["p.png", "q.png"]
    assert all(one.linked for one in panel.images.entries())
    assert "empty.png" in bench.notes[-1]
    # Once more: they are in the project already, and chosen all the same.
    choose_scope(panel, "folder")
    assert [one.name for one in panel.images.entries()] == ["p.png", "q.png"]
    assert len(bench.session.project.images) == 3
    panel.press()
    bench.wait(lambda: bench.jobs)
    assert len(bench.jobs[-1].request.items) == 2


def test_the_folder_of_copied_images_is_those_images(bench, monkeypatch):
    bench.project("a")
    folder = bench.folder / "originals"
    folder.mkdir()
    for name, value in (("p.png", 3), ("q.png", 5)):
        Image.fromarray(np.full((40, 60), value, np.uint8)).save(folder / name)
    bench.session.add_images([folder / "p.png"], copy=True)
    panel = bench.show(PredictPanel(bench.session, bench.canvas))
    panel.images.choose_folder(folder)
    assert [(one.name, one.linked) for one in panel.images.entries()] == [("p.png", False), ("q.png", True)]
    assert len(bench.session.project.images) == 3
    assert not [note for note in bench.notes if "no images" in note]


def test_no_folder_changes_nothing(bench, monkeypatch):
    bench.project("a")
    panel = bench.show(PredictPanel(bench.session, bench.canvas))
    monkeypatch.setattr("app.pages.predict.choice.QFileDialog.getExistingDirectory", lambda *_args: "")
    choose_scope(panel, "folder")
    assert panel.images.box.currentData() == "this"
