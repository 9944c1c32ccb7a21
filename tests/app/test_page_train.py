import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from panel_help import bench_fixture, cut_labels, nameless  # noqa: F401 - a fixture
from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QApplication

from app.engine.planning import ImageSize
from app.pages.train.backbones import Backbones
from app.pages.train.panel import TrainPanel, planes_of_run
from app.pages.train.plan import (
    Device,
    ap_sentence,
    device_of,
    fault_in_name,
    free_name,
    plan_details,
    plan_text,
    training_plan,
)
from app.pages.train.result import TrainingResult
from app.pages.train.resume import ResumeOffer
from app.theme import MARGIN, PANEL_WIDTH
from cellseg1.errors import BackboneError
from cellseg1.lora.card import Card
from cellseg1.sam import store
from cellseg1.sam.registry import fetched_specs
from cellseg1.sam.store import BackboneStatus

# ---- words and numbers


def test_names_are_free_and_usable():
    assert free_name("Nuclei", []) == "Nuclei 1"
    assert free_name("Nuclei", ["nuclei 1", "Nuclei 2"]) == "Nuclei 3"
    assert free_name("a/b: c", []) == "a-b- c 1"
    assert fault_in_name("good name", ["other"]) == ""
    assert "name" in fault_in_name(" ", [])
    assert "already" in fault_in_name("Other", ["other"])
    for bad in ("a/b", "con", ".hidden", "x" * 200):
        assert fault_in_name(bad, [])


def test_the_device_is_what_the_engine_said():
    report = {
        "chosen_device": "cuda:0",
        "devices": [
            {"name": "cuda:0", "label": "NVIDIA T4", "memory_gib": 15.0},
            {"name": "cpu", "label": "CPU", "memory_gib": None},
        ],
    }
    assert device_of("auto", None) == Device()
    assert device_of("auto", report) == Device("cuda:0", "NVIDIA T4", 15.0)
    assert device_of("cuda", report).label == "NVIDIA T4"
    assert device_of("cpu", report).free_gib is None
    assert device_of("cuda:3", report) == Device("cuda:3", "cuda:3", None)


def test_the_plan_is_said_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path))
    size = [ImageSize(300, 400, 28.0)]
    options = {"backbone": "tiny", "recipe": "studio", "device": Device()}
    plan = training_plan(size, overrides={"epoch_max": 40}, **options)
    short = training_plan(size, overrides={"epoch_max": 4}, **options)
    assert plan.seconds == pytest.approx(10 * short.seconds)
    assert "on this computer (CPU)" in plan_text(plan, Device())
    assert "guess" in plan_text(plan, Device())
    assert "guess" not in plan_text(replace(plan, measured=True), Device())
    assert "40 epochs" in plan_details(plan)
    assert training_plan([], overrides={}, **options) is None


def test_the_score_is_explained():
    texts = [ap_sentence(one) for one in (0.91, 0.5, 0.1, None)]
    assert "0.91" in texts[0]
    assert "91 %" in texts[0]
    assert "Good" in texts[0]
    assert "Low" in texts[2]
    assert "not measured" in texts[3]


def test_planes_of_a_run_keep_their_order():
    images = {"b": {"z": 2, "t": 0}, "a": {"z": 0, "t": 1}}
    assert planes_of_run(SimpleNamespace(fields={"images": images})) == [("b", 2, 0), ("a", 0, 1)]
    several = {"images": {"b": {"z": 5, "t": 0}}, "request": {"planes": [[2, 0], [5, 0]]}}
    assert planes_of_run(SimpleNamespace(fields=several)) == [("b", 2, 0)]
    assert planes_of_run(None) == []


# ---- before a training


@pytest.fixture
def panel(bench, monkeypatch):
    bench.fake_engines(monkeypatch)
    shown = bench.show(TrainPanel(bench.session, bench.canvas))
    shown.shown()
    return shown


@pytest.fixture
def ready(bench, panel):
    """A panel with one training image."""
    bench.project("discs")
    bench.draw()
    bench.session.set_training(True)
    bench.wait(lambda: panel.images.facts and panel.images.facts[0].looked)
    bench.wait(panel.primary.isEnabled)
    return panel


def test_empty_states_lead_on(bench, panel):
    assert "Add an image first" in panel.empty.sentence.text()
    assert not panel.primary.isEnabled()
    bench.project("discs")
    bench.wait(lambda: panel.empty.button.text() == "Draw cells")
    with bench.qtbot.waitSignal(panel.step_wanted) as told:
        panel.empty.button.click()
    assert told.args == ["annotate"]
    bench.draw(7)
    bench.wait(lambda: panel.empty.button.text() == "Use this image")
    assert "7 cells" in panel.empty.sentence.text()
    panel.empty.button.click()
    assert bench.session.document.attributes["training"] is True
    bench.wait(lambda: panel.wishes.isVisible() and panel.primary.isEnabled())


def test_training_images_are_listed_with_what_is_known(bench, ready):
    row = ready.images._rows[0]
    assert row.line.text().startswith("12 cells")
    assert "about 20 px wide" in row.line.text()
    assert any("same area" in one for one in row.warnings.lines)
    bench.session.document.set_attribute("Set region", "region", [0, 0, 100, 60])
    bench.wait(lambda: "region 100 x 60 px" in row.line.text())
    bench.wait(lambda: row.picture.pixmap() is not None and row.picture.pixmap().width() == 40)
    assert ready.images.sizes() == [ImageSize(96, 144, pytest.approx(20, abs=1))]


def test_images_are_taken_out_also_those_that_are_not_shown(bench, ready):
    bench.add("more")
    other = bench.show_image(1)
    bench.draw(11)
    bench.session.set_training(True)
    bench.wait(lambda: len(ready.images.facts) == 2 and all(one.looked for one in ready.images.facts))
    first = ready.images._rows[0].facts.plane[0]
    assert first != other
    ready.images._rows[0].remove.click()
    bench.wait(lambda: [one.plane[0] for one in ready.images.facts] == [other])
    assert bench.session.project.drawings.document(first).attributes.get("training") is False
    ready.images._rows[0].remove.click()
    bench.wait(lambda: ready.empty.isVisible())
    assert bench.session.document.attributes.get("training") is False


def test_a_row_shows_its_image(bench, ready):
    bench.add("more")
    bench.show_image(1)
    ready.images._rows[0].name.click()
    bench.wait(lambda: bench.session.image_id == ready.images.facts[0].plane[0])


def test_only_the_first_rows_are_shown(bench, ready, monkeypatch):
    monkeypatch.setattr("app.pages.train.images._MOST_ROWS", 1)
    bench.add("more")
    bench.show_image(1)
    bench.draw(11)
    bench.session.set_training(True)
    bench.wait(lambda: ready.images.more.isVisible())
    assert ready.images.more.text() == "and 1 more"
    assert ready.images.summary.text() == "23 cells in 2 images"


def test_the_wish_is_what_is_started(bench, ready):
    ready.wishes.name.setText("My model")
    ready.wishes.name.textEdited.emit("My model")
    ready.wishes.form.set_overrides({"epoch_max": 7})
    ready.wishes.recipe.setCurrentIndex(ready.wishes.recipe.findData("paper"))
    ready.wishes.recipe.activated.emit(0)
    bench.wait(lambda: ready.wishes.form.value("epoch_max") == 7)
    ready.primary.click()
    request = bench.jobs[-1].request
    assert request.out.name == "My model.cs1"
    assert request.backbone == "tiny"
    assert request.recipe == "paper"
    assert request.overrides == {"epoch_max": 7}
    assert request.start_model is None
    assert request.device == "cpu"


def test_wrong_entries_keep_from_starting(bench, ready):
    ready.wishes.name.setText("a/b")
    ready.wishes.name.textEdited.emit("a/b")
    bench.wait(lambda: not ready.primary.isEnabled())
    assert ready.wishes.name_fault.isVisible()
    ready.press()
    assert bench.jobs == []
    ready.wishes.name.setText("fine")
    ready.wishes.name.textEdited.emit("fine")
    bench.wait(ready.primary.isEnabled)
    ready.wishes.form._enter("epoch_max", "many")
    bench.wait(lambda: not ready.primary.isEnabled())
    assert "Advanced" in ready.primary.accessibleDescription()


def test_choices_are_kept_with_the_project(bench, ready):
    ready.wishes.form.set_overrides({"epoch_max": 9})
    bench.wait(lambda: (bench.session.project.settings.get("train") or {}).get("overrides") == {"epoch_max": 9})
    folder = bench.session.project.folder
    bench.session.close_project()
    bench.session.create_project(bench.folder / "projects", "Other")
    assert ready.wishes.form.overrides() == {}
    bench.session.open_project(folder)
    assert ready.wishes.form.overrides() == {"epoch_max": 9}
    bench.wait(lambda: ready.images.facts != [])


def fake_model(bench, name="old", **values):
    """Put a file into the project that has a card but no weights."""
    card = Card(**{"backbone": "tiny", "recipe": "studio", **values})
    header = {"__metadata__": {"cellseg1_schema": "1", "card": json.dumps(card.to_dict()), "tensors_sha256": ""}}
    text = json.dumps(header).encode()
    path = bench.session.project.models_folder / f"{name}.cs1"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    bench.session.models_changed.emit()
    return path


def test_a_model_can_be_trained_on(bench, ready):
    path = fake_model(bench, recipe="paper", backbone="vit_b")
    setup = ready.wishes
    setup.backbones.statuses = store.list_backbones()
    ready.start_from(path)
    assert setup.wish().start_model == path
    assert setup.wish().recipe == "paper"
    assert setup.wish().backbone == "vit_b"
    assert not setup.recipe.isEnabled()
    bench.wait(lambda: not ready.primary.isEnabled())
    assert setup.backbones.problem.isVisible()
    path.unlink()
    bench.session.models_changed.emit()
    assert setup.wish().start_model is None
    assert setup.wish().backbone == "tiny"
    bench.wait(ready.primary.isEnabled)


# ---- a training


def start(bench, ready):
    ready.primary.click()
    return bench.jobs[-1]


def test_progress_and_curve_are_shown_and_it_can_be_stopped(bench, ready):
    job = start(bench, ready)
    assert ready.progress.isVisible()
    assert not ready.setup.isVisible()
    assert ready.primary.text() == "Stop and keep"
    for step, loss in ((1, 0.5), (2, 0.4), (3, 0.3)):
        job.tell(step, 10, loss)
    assert ready.progress.curve.points == [(1, 0.5), (2, 0.4), (3, 0.3)]
    assert "step 3 of 10" in ready.progress.line.text()
    assert "left" in ready.progress.line.text()
    assert ready.progress.bar.value() == 300
    ready.primary.click()
    assert job.state == "stopping"
    assert not ready.primary.isEnabled()
    model = fake_model(bench, "Test 1")
    job.end("stopped", {"model": str(model), "stopped": True, "seconds": 5})
    assert not ready.progress.isVisible()
    assert "Test 1 is kept" in ready.outcome.title.text()
    assert ready.wishes.model_name == "Test 2"
    assert bench.session.project.runs[-1].state == "stopped"


def test_the_end_says_how_good_it_is_and_leads_on(bench, ready):
    job = start(bench, ready)
    model = fake_model(bench, "Test 1")
    job.end("finished", {"model": str(model), "seconds": 250, "ap_training": 0.83, "losses": []})
    assert ready.outcome.isVisible()
    assert "4 minutes" in ready.outcome.text.text()
    assert "0.83" in ready.outcome.text.text()
    assert not ready.outcome.resume.isVisible()
    with bench.qtbot.waitSignal(ready.step_wanted) as told:
        ready.outcome.predict.click()
    assert told.args == ["predict"]
    assert bench.session.model == model
    start(bench, ready)
    assert not ready.outcome.isVisible()


def test_a_failure_is_told(bench, ready):
    job = start(bench, ready)
    job.end("failed", error=("The memory is full.", "Traceback"))
    assert ready.outcome.text.text() == "The memory is full."
    assert bench.problems == ["The memory is full."]
    assert ready.primary.text() == "Train"
    assert not ready.outcome.predict.isVisible()


def test_the_preview_lies_over_its_image_only(bench, ready):
    bench.add("more")
    first = ready.images.facts[0].plane[0]
    bench.show_image([image.id for image in bench.session.project.images].index(first))
    job = start(bench, ready)
    labels = np.zeros((40, 70), np.int32)
    labels[5:20, 10:30] = 1
    labels[25:35, 40:60] = 2
    job.show((10, 20, 50, 90), labels)
    layer = bench.canvas.proposals
    assert layer.labels.shape == (96, 144)
    assert layer.labels[15:30, 30:50].all()
    assert (layer.labels > 0).sum() == (labels > 0).sum()
    assert "2 cells" in ready.progress.preview_line.text()
    ready.progress.show_preview.click()
    assert bench.canvas.proposals is None
    ready.progress.show_preview.click()
    assert bench.canvas.proposals is not None
    # The window takes proposals away when something changes; the preview comes back.
    bench.canvas.set_proposals(None)
    bench.session.proposals.changed.emit()
    bench.wait(lambda: bench.canvas.proposals is not None)
    bench.show_image(1 if bench.session.project.images[0].id == first else 0)
    bench.wait(lambda: bench.canvas.proposals is None)
    bench.session.show_image(first)
    bench.wait(lambda: bench.canvas.proposals is not None)
    ready.hide()
    assert bench.canvas.proposals is None
    ready.show()
    bench.wait(lambda: bench.canvas.proposals is not None)


def test_others_proposals_are_left_alone(bench, ready):
    from app.annotation.proposal_layer import ProposalLayer

    job = start(bench, ready)
    job.show((0, 0, 10, 20), np.ones((10, 20), np.int32))
    theirs = ProposalLayer(np.zeros((96, 144), np.int32), np.ones(1))
    ready.hide()
    bench.canvas.set_proposals(theirs)
    job.show((0, 0, 10, 20), np.ones((10, 20), np.int32))
    bench.qtbot.wait(20)
    assert bench.canvas.proposals is theirs


def test_a_preview_that_does_not_fit_is_not_shown(bench, ready):
    job = start(bench, ready)
    job.show((0, 0, 500, 20), np.ones((500, 20), np.int32))
    assert bench.canvas.proposals is None


# ---- resuming


def interrupted(bench, state, share=0.4):
    run = bench.session.project.runs[-1]
    out = bench.session.project.models_folder / "Test 1.cs1.checkpoint"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(b"checkpoint")
    (run.folder / "status.json").write_text(json.dumps({"state": "running", "kind": "train", "share": share}))
    bench.session.project.runs.update(run.id, state=state)
    return run


@pytest.fixture
def offer(ready, qtbot):
    """The offer as the window shows it in step 2."""
    offer = ResumeOffer()
    qtbot.addWidget(offer)
    ready.unfinished_changed.connect(lambda: offer.show_run(ready.unfinished))
    offer.resume_wanted.connect(ready.resume)
    offer.discard_wanted.connect(ready.discard)
    return offer


def test_an_interrupted_training_is_offered_and_resumed(bench, ready, offer):
    job = start(bench, ready)
    job.end("failed", error=("It ended.", ""))
    run = interrupted(bench, "interrupted")
    (run.folder / "curve.jsonl").write_text('{"step": 1, "loss": 0.9, "learning_rate": 0.1}\n')
    ready._project_changed()
    bench.wait(lambda: offer.isVisible())
    assert offer.label.text() == (
        "The program ended unexpectedly during the training of Test 1 at 40 %. What it learned until then is kept."
    )
    offer.resume.click()
    again = bench.jobs[-1]
    assert again is not job
    assert again.request.resume is True
    assert again.run_id == run.id
    assert not offer.isVisible()
    assert ready.progress.curve.points == [(1, 0.9)]
    again.tell(2, 10, 0.8)
    assert ready.progress.curve.points == [(1, 0.9), (2, 0.8)]


def test_a_discarded_training_is_not_offered_again(bench, ready, offer):
    start(bench, ready).end("failed", error=("It ended.", ""))
    interrupted(bench, "interrupted")
    ready._project_changed()
    bench.wait(lambda: offer.isVisible())
    offer.discard.click()
    assert not offer.isVisible()
    folder = bench.session.project.folder
    bench.session.close_project()
    bench.session.open_project(folder)
    bench.qtbot.wait(50)
    assert not offer.isVisible()


def test_without_a_checkpoint_nothing_is_offered(bench, ready, offer):
    start(bench, ready).end("stopped", {})
    assert not ready.outcome.resume.isVisible()
    bench.qtbot.wait(20)
    assert not offer.isVisible()


def test_a_stopped_training_is_offered_once(bench, ready, offer):
    job = start(bench, ready)
    interrupted(bench, "running")
    job.end("stopped", {})
    assert ready.outcome.resume.isVisible()
    bench.qtbot.wait(20)
    assert not offer.isVisible()
    ready._project_changed()
    bench.wait(lambda: offer.isVisible())
    assert "was stopped at 40 %" in offer.label.text()


# ---- backbones


@pytest.fixture
def backbones(bench, monkeypatch):
    installed = {"tiny"}

    def statuses():
        found = []
        for name in ("tiny", "vit_b", "vit_h"):
            spec = next((one for one in fetched_specs() if one.name == name), None)
            there = name in installed
            found.append(BackboneStatus(spec, name, None, 1, usable=there, problem="" if there else f"No {name}."))
        return found

    monkeypatch.setattr(store, "list_backbones", statuses)
    shown = bench.show(Backbones(bench.session))
    shown.installed = installed
    shown.refresh()
    bench.wait(lambda: len(shown.statuses) == 3)
    return shown


def test_missing_backbones_say_what_their_file_is(backbones):
    assert backbones.box.count() == 1
    backbones.others.set_open(True)
    text = backbones._cards["vit_h"].facts.toPlainText()
    assert "sam_vit_h_4b8939.pth" in text
    assert "2,564,550,879 bytes" in text
    assert "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e" in text
    assert nameless(backbones) == []
    assert cut_labels(backbones) == []


def test_a_backbone_is_imported_with_progress(bench, backbones, monkeypatch):
    half, go_on, seen = threading.Event(), threading.Event(), []

    def import_file(path, name, progress):
        progress(50, 100)
        half.set()
        assert go_on.wait(5)
        seen.append((path, name))
        backbones.installed.add("vit_b")
        return "vit_b"

    monkeypatch.setattr(store, "import_file", import_file)
    backbones.import_file(bench.folder / "x.pth", "vit_b")
    bench.wait(half.is_set)
    bench.wait(lambda: backbones.progress.value() == 500)
    assert backbones.progress_area.isVisible()
    assert not backbones._cards["vit_h"].importing.isEnabled()
    go_on.set()
    bench.wait(lambda: backbones.chosen == "vit_b" and backbones.ready)
    assert seen == [(bench.folder / "x.pth", "vit_b")]
    assert "vit_b" not in backbones._cards
    assert not backbones.progress_area.isVisible()
    assert backbones._cards["vit_h"].importing.isEnabled()


def test_a_wrong_file_is_told_and_a_cancelled_one_is_not(bench, backbones, monkeypatch):
    def wrong(path, name, progress):
        raise BackboneError("It is another file.")

    monkeypatch.setattr(store, "import_file", wrong)
    backbones.import_file(bench.folder / "x.pth", "vit_b")
    bench.wait(lambda: bench.problems == ["It is another file."])
    assert not backbones.progress_area.isVisible()

    began = threading.Event()

    def endless(path, name, progress):
        while True:
            began.set()
            progress(1, 100)

    monkeypatch.setattr(store, "import_file", endless)
    backbones.import_file(bench.folder / "x.pth", "vit_b")
    bench.wait(began.is_set)
    backbones.fetch.cancel()
    bench.wait(lambda: not backbones.fetch.running)
    bench.wait(lambda: not backbones.progress_area.isVisible())
    assert len(bench.problems) == 1


# ---- everybody can use it


def test_everything_has_a_name_and_nothing_is_cut(bench, ready):
    ready.wishes.advanced.set_open(True)
    ready.wishes.backbones.others.set_open(True)
    ready.view.set_open(True)
    bench.qtbot.wait(50)
    assert nameless(ready) == []
    assert cut_labels(ready) == []
    job = start(bench, ready)
    job.tell(3, 10, 0.5)
    bench.qtbot.wait(50)
    assert nameless(ready) == []
    assert cut_labels(ready) == []
    assert ready.minimumSizeHint().width() <= 340
    job.end("stopped", {})


@pytest.mark.parametrize("cells", [None, 4])
def test_nothing_moves_while_the_page_finds_out_what_is_there(bench, monkeypatch, cells):
    # Other warnings, where there are any, need room.
    monkeypatch.setattr("app.pages.train.images.mask_warnings", lambda _labels, _region: ())
    bench.fake_engines(monkeypatch)
    bench.project("a")
    bench.draw(cells)
    bench.session.set_training(True)
    panel = bench.show(TrainPanel(bench.session, bench.canvas))
    panel.shown()
    QApplication.processEvents()
    parts = (panel.wishes.backbones.box, panel.wishes.plan_line, panel.wishes.advanced, panel.models_button)
    before = [part.mapTo(panel, QPoint(0, 0)).y() for part in parts]
    bench.wait(lambda: panel.wishes.backbones.statuses and panel.images.facts and panel.images.facts[0].looked)
    bench.qtbot.wait(50)
    assert [part.mapTo(panel, QPoint(0, 0)).y() for part in parts] == before


def test_the_end_of_a_training_is_no_wider_than_the_panel(qtbot):
    outcome = TrainingResult()
    qtbot.addWidget(outcome)
    for button in (outcome.predict, outcome.resume):
        # As in a language with longer words.
        button.setText(button.text() + " ......")
    outcome.show()
    assert outcome.minimumSizeHint().width() <= PANEL_WIDTH - 2 * MARGIN
