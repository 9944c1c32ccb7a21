"""Jobs in real child processes: training, prediction, stopping, dying."""

import os
import signal
import time

import numpy as np
import psutil
import pytest
from engine_help import QUICK, alive, discs, engines, own_config, run_to_end, wait_for, write_discs  # noqa: F401

from app.base.processes import lives
from app.base.run_files import read_curve, read_items, read_log, read_status
from app.engine import planning
from app.engine.messages import ExamineRequest, PredictItem, PredictRequest, TrainRequest
from cellseg1.lora import load_card
from cellseg1.masks import read_mask
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.select import SelectSettings, select
from cellseg1.prediction.tasks import PlaneRecord


def request(folder, **more):
    image, mask = write_discs(folder)
    values = {
        "images": (image,),
        "masks": (mask,),
        "out": folder / "model.cs1",
        "run_folder": folder / "run",
        "overrides": QUICK,
        "device": "cpu",
        "preview_seconds": 0.01,
    }
    return TrainRequest(**{**values, **more})


@pytest.fixture(scope="module")
def trained(qapp, tmp_path_factory):
    """One finished training, looked at by several tests."""
    from app.engine.jobs import Engines

    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELLSEG1_STUDIO_HOME", str(folder / "home"))
        made = Engines(threads=1)
        heard = {"progress": [], "said": [], "previewed": [], "finished": []}
        job = made.start(request(folder), "Training", "7")
        for name in ("progress", "said", "previewed", "finished"):
            getattr(job, name).connect(heard[name].append)
        wait_for(lambda: job.state != "starting")
        nice = os.getpriority(os.PRIO_PROCESS, job.pid) if hasattr(os, "getpriority") else None
        run_to_end(job)
        made.close()
        speed = planning.training_speed("tiny", "cpu", 64)
    return folder, job, heard, nice, speed


def test_training_gives_a_model_with_progress_curve_and_preview(trained):
    folder, job, heard, _nice, _speed = trained
    assert job.state == "finished", job.error
    assert (job.kind, job.run_id, job.title) == ("train", "7", "Training")
    assert job.result["model"] == str(folder / "model.cs1")
    assert heard["finished"] == [job.result]
    assert load_card(folder / "model.cs1").ap_training == job.result["ap_training"] is not None
    assert [step for step, _, _ in job.curve] == list(range(1, 9))
    assert all(np.isfinite(loss) and rate > 0 for _, loss, rate in job.curve)
    shares = [one.share for one in heard["progress"]]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    # Libraries come first: from a slow disk they take a minute, and a word is due before.
    assert [one.text for one in heard["progress"][:2]] == ["Loading libraries", "Reading the images"]
    assert any("Trainable" in text for text in heard["said"])
    assert job.log == heard["said"]
    first, last = heard["previewed"][0], heard["previewed"][-1]
    assert last.box == (0, 0, 96, 144)
    assert last.labels.shape == (96, 144)
    assert last.cells == last.labels.max()
    assert (first.step, last.step) == (2, 8)


def test_a_run_leaves_its_records(trained):
    folder, job, _heard, _nice, _speed = trained
    status = read_status(folder / "run")
    assert (status.state, status.kind, status.result) == ("finished", "train", job.result)
    assert not status.alive()
    assert read_curve(folder / "run") == job.curve
    assert "Trainable" in read_log(folder / "run")
    assert {path.name for path in (folder / "run").iterdir()} == {"status.json", "curve.jsonl", "log.txt"}


def test_a_job_runs_at_low_priority_and_notes_its_speed(trained):
    _folder, job, _heard, nice, speed = trained
    assert nice == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert speed[1]
    assert 0 < speed[0] < job.result["seconds"]


def test_stopped_killed_crashed_and_resumed_each_time(engines, tmp_path):  # noqa: F811
    """A training asked to stop, one whose engine is killed, one that crashes; each goes on from the last."""
    long = {**QUICK, "epoch_max": 40, "checkpoint_seconds": 0.05}
    job = engines.start(request(tmp_path, overrides=long, preview=False), "Training")
    pid, begun = job.process_identity()
    assert lives(pid, begun)
    assert not lives(os.getpid(), begun)
    wait_for(lambda: len(job.curve) >= 2)
    asked = time.monotonic()
    job.stop()
    assert job.state == "stopping"
    run_to_end(job)
    assert time.monotonic() - asked < 8
    assert job.state == "stopped"
    assert read_status(tmp_path / "run").state == "stopped"
    steps = job.result["steps"]
    assert 2 <= steps < 160
    assert (tmp_path / "model.cs1").exists()
    assert "Stopped after" in load_card(tmp_path / "model.cs1").notes

    told = []
    job = engines.start(request(tmp_path, overrides=long, preview=False, resume=True), "Training")
    job.failed.connect(lambda *words: told.append(words))
    wait_for(lambda: len(job.curve) >= 3)
    assert job.curve[0][0] == steps + 1
    assert read_status(tmp_path / "run").alive()
    os.kill(job.pid, signal.SIGKILL)
    run_to_end(job, 10)
    assert job.state == "failed"
    assert told == [job.error]
    assert "memory" in told[0][0]
    assert "resumed" in told[0][0]
    assert "SIGKILL" in told[0][1]
    status = read_status(tmp_path / "run")
    assert status.state == "running"
    assert not status.alive()

    job = engines.start(request(tmp_path, overrides=long, preview=False, resume=True), "Training")
    wait_for(lambda: len(job.curve) >= 1)
    assert job.curve[0][0] > steps + 2
    numbers = [step for step, _, _ in read_curve(tmp_path / "run")]
    assert numbers == list(range(1, numbers[-1] + 1))
    # A crash inside a compiled library says where it was.
    os.kill(job.pid, signal.SIGSEGV)
    run_to_end(job, 10)
    assert job.state == "failed"
    assert "unexpectedly" in job.error[0]
    assert "SIGSEGV" in job.error[1]
    assert "trainer.py" in job.error[1]


def test_an_engine_that_does_not_stop_is_ended(engines, tmp_path):  # noqa: F811
    job = engines.start(request(tmp_path), "Training")
    wait_for(lambda: job.state == "running")
    os.kill(job.pid, signal.SIGSTOP)
    asked = time.monotonic()
    job.stop(grace=0.3)
    run_to_end(job, 10)
    assert 2 < time.monotonic() - asked < 6
    assert (job.state, job.result) == ("stopped", None)
    assert not alive(job.pid)


def test_wrong_input_is_one_sentence_with_details(engines, tmp_path):  # noqa: F811
    job = engines.start(request(tmp_path, start_model=tmp_path / "none.cs1"), "Training")
    run_to_end(job)
    assert job.state == "failed"
    assert "There is no model file" in job.error[0]
    assert "Traceback" in job.error[1]
    assert "ModelFileError" in job.error[1]
    status = read_status(tmp_path / "run")
    assert (status.state, status.sentence) == ("failed", job.error[0])


def items(folder, *images, **more):
    return tuple(
        PredictItem(path.stem, path, folder / f"{path.stem}.npz", out_labels=folder / f"{path.stem}_labels.tif", **more)
        for path in images
    )


def test_predicting_several_with_broken_ones(engines, trained, tmp_path):  # noqa: F811
    model = trained[0] / "model.cs1"
    first, _ = write_discs(tmp_path, "first")
    broken = tmp_path / "broken.png"
    broken.write_bytes(first.read_bytes()[:300])
    last, _ = write_discs(tmp_path, "last", height=64, width=160)
    pixels, _ = discs()
    stack = tmp_path / "stack.npy"
    np.save(stack, np.stack([np.zeros_like(pixels), pixels]))  # guessed: two channels
    out = tmp_path / "out"
    planes = [PredictItem(f"z{z}", stack, out / f"z{z}.npz", z=z, axes="ZYX", scale=1.5) for z in range(2)]
    wrong = PredictItem("wrong", stack, out / "wrong.npz", axes="YX")
    wanted = (*items(out, first, broken, last), *planes, wrong)
    job = engines.start(PredictRequest(model, wanted, tmp_path / "run", {}, "cpu"), "Predict")
    run_to_end(job)
    assert job.state == "finished", job.error
    assert [one.image_id for one in job.items] == ["first", "broken", "last", "z0", "z1", "wrong"]
    assert [bool(one.error) for one in job.items] == [False, True, False, False, False, True]
    assert "damaged" in job.items[1].error
    assert "choose its axes" in job.items[5].error
    assert (job.result["done"], job.result["failed"], job.result["count"]) == (4, 2, 6)
    assert job.result["sentence"] == "4 of 6 planes segmented, 2 failed."
    for name, shape in (("first", (96, 144)), ("last", (64, 160))):
        assert Candidates.load(out / f"{name}.npz").shape == shape
        assert read_mask(out / f"{name}_labels.tif").labels.shape == shape
    assert job.items[0].cells == len(np.unique(read_mask(out / "first_labels.tif").labels)) - 1
    assert not (out / "broken.npz").exists()
    assert job.items[3].cells == 0 < job.items[4].cells
    assert Candidates.load(out / "z1.npz").settings["scale"] == 1.5
    noted = read_items(tmp_path / "run")
    assert [(one["image_id"], one["cells"]) for one in noted] == [(one.image_id, one.cells) for one in job.items]
    assert all(set(one) == set(PlaneRecord("a").to_dict()) for one in noted)
    assert "Traceback" in read_log(tmp_path / "run")
    assert read_status(tmp_path / "run").state == "finished"
    # The same thresholds in the window give the same cells.
    chosen = select(Candidates.load(out / "first.npz"), SelectSettings(**job.result["select"]))
    assert np.array_equal(chosen.labels, read_mask(out / "first_labels.tif").labels)


def test_cancelling_keeps_what_is_done(engines, trained, tmp_path):  # noqa: F811
    image, _ = write_discs(tmp_path)
    many = tuple(
        PredictItem(str(number), image, tmp_path / "out" / f"{number}.npz", scale=2.0) for number in range(200)
    )
    job = engines.start(PredictRequest(trained[0] / "model.cs1", many, tmp_path / "run", {}, "cpu"), "Predict")
    wait_for(lambda: len(job.items) >= 2)
    job.stop()
    run_to_end(job, 60)
    assert job.state == "stopped"
    done = job.result["done"]
    assert 2 <= done < 200
    assert len(list((tmp_path / "out").iterdir())) == done == len(job.items)
    assert read_status(tmp_path / "run").result["done"] == done


def test_closing_ends_everything_and_training_can_be_resumed(qapp, own_config, tmp_path):  # noqa: F811
    from app.engine.jobs import Engines

    engines = Engines(threads=1)  # noqa: F811
    overrides = {**QUICK, "epoch_max": 200, "checkpoint_seconds": 1000}
    job = engines.start(request(tmp_path, overrides=overrides, preview=False), "Training")
    wait_for(lambda: len(job.curve) >= 1)
    pid = job.pid
    began = time.monotonic()
    engines.close()
    assert time.monotonic() - began < 6
    assert job.state == "stopped"
    assert not alive(pid)
    assert job.link.isFinished()
    assert not [child for child in psutil.Process().children() if "resource_tracker" not in " ".join(child.cmdline())]
    assert (tmp_path / "model.cs1.checkpoint").exists()
    assert not list(tmp_path.rglob("*.part"))
    with pytest.raises(RuntimeError):
        engines.start(ExamineRequest(), "late")


def test_a_job_that_is_held_starts_with_what_it_is_given_and_can_be_stopped_or_given_up_before(engines, tmp_path):  # noqa: F811
    quick = {**QUICK, "epoch_max": 1}
    held = [engines.start(request(tmp_path), "Training", held=True) for _ in range(2)]
    held[0].stop()
    held[1].give_up("The masks are gone.")
    job = engines.start(request(tmp_path, out=tmp_path / "wrong.cs1"), "Training", held=True)
    wait_for(lambda: job.pid is not None)
    job.release(request(tmp_path, overrides=quick, preview=False))
    for one in (*held, job):
        run_to_end(one)
    assert [one.state for one in held] == ["stopped", "failed"]
    assert held[1].error == ("The masks are gone.", "")
    assert job.state == "finished"
    assert (tmp_path / "model.cs1").exists()
    assert not (tmp_path / "wrong.cs1").exists()


def test_an_engine_that_hangs_is_noticed_and_that_it_goes_on(engines, tmp_path, monkeypatch):  # noqa: F811
    from app.engine import jobs as client
    from app.shell.job_bar.entry import JobEntry

    monkeypatch.setattr(client, "SILENT_SECONDS", 4.0)
    monkeypatch.setattr(client, "_LISTEN_MS", 100)
    long = {**QUICK, "epoch_max": 40}
    job = engines.start(request(tmp_path, overrides=long, preview=False), "Training")
    entry = JobEntry(job)
    said = []
    job.said.connect(said.append)
    wait_for(lambda: job.state == "running")
    os.kill(job.pid, signal.SIGSTOP)
    wait_for(lambda: job.silent)
    assert "may hang" in entry.line()
    assert "may hang" in said[-1]
    os.kill(job.pid, signal.SIGCONT)
    wait_for(lambda: not job.silent)
    assert "heard again" in said[-1]
    job.kill()
    run_to_end(job)


def test_a_training_leaves_no_temporary_file(engines, tmp_path, monkeypatch):  # noqa: F811
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    job = run_to_end(engines.start(request(tmp_path, overrides={**QUICK, "epoch_max": 1}, preview=False), "Training"))
    assert job.state == "finished"
    assert list(place.iterdir()) == []
