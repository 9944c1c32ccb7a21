"""Jobs belong to the project they were started in, whichever is shown when they answer."""

import shutil
from types import SimpleNamespace

import pytest
from engine_help import discs
from page_help import candidates_of
from panel_help import bench_fixture  # noqa: F401 - a fixture
from PIL import Image

from app.pages.train.panel import TrainPanel
from app.project.project import Project
from app.session.run_requests import PredictionWish, TrainingWish
from cellseg1.errors import CellSeg1Error


@pytest.fixture
def two(bench, monkeypatch):
    """Projects A and B with pictures of the same names; A is shown, and both have the same run numbers."""
    bench.fake_engines(monkeypatch)
    pictures = bench.folder / "pictures"
    pictures.mkdir()
    for name in ("a", "b"):
        Image.fromarray(discs()[0]).save(pictures / f"{name}.png")
    folders = {}
    for name in ("B", "A"):
        (bench.folder / name).mkdir()
        bench.session.create_project(bench.folder / name, "Test")
        bench.session.add_images(sorted(pictures.iterdir()), copy=True)
        folders[name] = bench.session.project.folder
        bench.show_image(0)
        bench.draw(cells=4)
        bench.session.set_training(True)
    bench.ended, bench.any_ended = [], []
    bench.session.job_ended.connect(bench.ended.append)
    bench.session.jobs.ended.connect(lambda job: bench.any_ended.append(job.handle))
    return bench, folders


def predict(bench):
    """Start a prediction of both images of the shown project."""
    session = bench.session
    return session.start_prediction(
        PredictionWish(planes=[(one.id, 0, 0) for one in session.project.images], model=None)
    )


def answer(job, number, cells):
    """What the engine does for one plane: the proposals on the disk, and a word."""
    item = job.request.items[number]
    item.out_candidates.parent.mkdir(parents=True, exist_ok=True)
    candidates_of([(20, 20, 9, 0.95)]).save(item.out_candidates)
    done = {"image_id": item.image_id, "z": item.z, "t": item.t, "cells": cells, "seconds": 0.1, "error": ""}
    job.item_done.emit(SimpleNamespace(**done))


def go_to(bench, folders, where):
    if where == "other":
        bench.session.open_project(folders["B"])
    elif where == "none":
        bench.session.close_project()


@pytest.mark.parametrize("where", ["own", "other", "none"])
def test_a_prediction_ends_in_its_own_project(two, where):
    bench, folders = two
    session = bench.session
    session.open_project(folders["B"])
    before = predict(bench)
    for number in (0, 1):
        answer(before, number, 7)
    before.end("finished", {"stopped": False, "select": {"pred_iou_thresh": 0.9}})
    with_b = [run.fields for run in session.project.runs]
    session.open_project(folders["A"])
    bench.ended.clear(), bench.any_ended.clear()

    job = predict(bench)
    assert job.run_id == before.run_id == "0001-predict"
    answer(job, 0, 2)
    go_to(bench, folders, where)
    heard = []
    session.image_state_changed.connect(heard.append)
    answer(job, 1, 3)
    job.end("finished", {"stopped": False, "select": {"pred_iou_thresh": 0.4}})
    assert bench.any_ended == [job]
    assert bench.ended == ([job] if where == "own" else [])
    assert bool(heard) == (where == "own")
    assert session.jobs.running == []
    session.close_project()

    with Project.open(folders["A"]) as project:
        assert not project.read_only, "nobody has it open any more"
        (run,) = project.runs
        assert run.state == "finished"
        assert run.fields["select"]["pred_iou_thresh"] == 0.4
        counts = [planes["0,0"]["cells"] for planes in run.fields["images"].values()]
        assert counts == [2, 3]
        assert all(image.planes["0,0"]["predicted"] for image in project.images)
    with Project.open(folders["B"]) as project:
        (run,) = project.runs
        assert [run.fields] == with_b
        assert run.state == "finished"


@pytest.mark.parametrize("where", ["own", "other", "none"])
@pytest.mark.parametrize("end", ["finished", "stopped", "failed"])
def test_a_training_ends_in_its_own_project(two, where, end):
    bench, folders = two
    session = bench.session
    session.open_project(folders["B"])
    before = session.start_training(TrainingWish(name="Same", backbone="tiny"))
    bench.wait(lambda: not before.held)
    before.end("failed", error=("No.", ""))
    session.open_project(folders["A"])

    job = session.start_training(TrainingWish(name="Same", backbone="tiny"))
    assert job.run_id == before.run_id == "0001-train"
    # The masks are still being written when it is left.
    go_to(bench, folders, where)
    bench.wait(lambda: not job.held)
    assert all(folders["A"] in mask.parents and mask.exists() for mask in job.request.masks)
    model = session.model
    if end == "failed":
        job.end("failed", error=("The memory was not enough.", ""))
        assert bench.problems[-1].endswith("The memory was not enough.")
    else:
        out = job.request.out
        out.write_bytes(b"a model")
        job.end(end, {"model": str(out), "stopped": end == "stopped"})
        assert session.model == (out if where == "own" else model)
    session.close_project()

    with Project.open(folders["A"]) as project:
        assert not project.read_only
        (run,) = project.runs
        assert run.state == end
        assert run.fields["request"]["masks"] == ["runs/0001-train/mask_000.tif"]
        assert project.settings.get("model") == (None if end == "failed" else "Same.cs1")
    with Project.open(folders["B"]) as project:
        (run,) = project.runs
        assert run.state == "failed"
        assert run.fields["result"] == {"sentence": "No."}
        assert project.settings.get("model") is None


def test_a_project_that_was_left_is_locked_until_its_job_ends_and_taken_up_again(two):
    bench, folders = two
    session = bench.session
    mine = session.project
    job = predict(bench)
    session.open_project(folders["B"])
    assert session.prediction is None
    assert [one.handle for one in session.jobs.running] == [job]
    assert job.title == "Predicting 2 images (Test)"
    with pytest.raises(CellSeg1Error, match="A prediction is running in the project Test"):
        predict(bench)
    with Project.open(folders["A"]) as other:
        assert other.read_only
    session.open_project(folders["A"] / ".." / folders["A"].name)
    assert session.project is mine
    assert session.prediction is job
    assert job.title == "Predicting 2 images"
    job.end("finished", {})
    assert not mine.read_only
    session.close_project()
    with Project.open(folders["A"]) as other:
        assert not other.read_only


def test_a_job_whose_project_was_deleted_under_it_harms_nothing(two):
    bench, folders = two
    session = bench.session
    job = predict(bench)
    session.open_project(folders["B"])
    shutil.rmtree(folders["A"])
    item = job.request.items[0]
    job.item_done.emit(SimpleNamespace(image_id=item.image_id, z=0, t=0, cells=1, seconds=0.1, error=""))
    job.end("finished", {})
    assert session.jobs.running == []
    assert session.project.folder == folders["B"]
    assert not session.project.runs


def test_an_image_that_was_removed_meanwhile_is_passed_over(two):
    bench, _folders = two
    session = bench.session
    job = predict(bench)
    gone = job.request.items[1].image_id
    session.remove_image(gone)
    heard = []
    session.image_state_changed.connect(heard.append)
    answer(job, 1, 3)
    job.item_done.emit(SimpleNamespace(image_id=gone, z=0, t=0, cells=0, seconds=0.1, error="It is missing."))
    job.end("finished", {})
    assert gone not in heard
    assert session.project.runs[-1].state == "finished"


def test_an_image_that_is_still_being_read_does_not_come_into_the_next_project(two):
    bench, _folders = two
    session = bench.session
    (bench.folder / "C").mkdir()
    session.show_image(session.project.images[1].id)
    session.create_project(bench.folder / "C", "Empty")
    bench.qtbot.wait(200)
    assert session.image is None
    assert session.image_id is None


def test_the_training_panel_shows_only_the_training_of_its_project(two):
    bench, folders = two
    session = bench.session
    panel = bench.show(TrainPanel(session, bench.canvas))
    job = session.start_training(TrainingWish(name="One", backbone="tiny"))
    bench.wait(lambda: not job.held)
    job.tell(1, 10, 0.5)
    assert panel.progress.isVisible()
    session.open_project(folders["B"])
    bench.wait(lambda: not panel.progress.isVisible())
    job.tell(2, 10, 0.4)
    session.open_project(folders["A"])
    bench.wait(panel.progress.isVisible)
    assert panel.progress.bar.value() == 200
    session.open_project(folders["B"])
    job.end("stopped", {})
    bench.qtbot.wait(20)
    assert panel.outcome.isHidden()
