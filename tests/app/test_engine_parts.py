"""Engines without their processes: messages, arrays, records, errors, estimates; and who imports whom."""

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from engine_help import QUICK, alive, write_discs

from app.base.processes import lives, started
from app.base.run_files import RunRecord, read_curve, read_items, read_log, read_status
from app.engine import messages, planning
from app.engine.arrays import ArrayRef, pack, pack_labels, release, share
from app.engine.child.failure import crash_report, explain
from app.engine.planning import ImageSize, duration_text, plan_training, samples_per_epoch
from app.project.runs import RunInfo
from cellseg1.errors import ImageError, MaskError, OutputError
from cellseg1.images import Image, ImageInfo
from cellseg1.images.axes import with_axes
from cellseg1.settings import make_settings

EXAMPLES = [
    messages.TrainRequest((Path("a"),), (Path("b"),), Path("c.cs1"), regions=((1, 2, 3, 4),), overrides={"seed": 3}),
    messages.PredictRequest(Path("m"), (messages.PredictItem("1", Path("a"), Path("c.npz")),)),
    messages.ExamineRequest(),
    messages.ImportModelRequest(Path("a.pth"), Path("a.cs1")),
    messages.Encode("k", model=Path("a")),
    messages.Click("k", ((1.5, 2.5, 1),), (0, 1, 2, 3)),
    messages.Stop(),
    messages.Quit(),
    messages.Ready(1),
    messages.Heartbeat(1.0),
    messages.Progress(0.5, "half", 3.0, {"points": [(1, 0.5, 1e-3)]}),
    messages.Say("so"),
    messages.Preview(0, (0, 0, 2, 3), pack(np.ones((2, 3), np.int32)), 4, 1),
    messages.ItemDone("1", 0, 0, 4, 0.5),
    messages.Done({"stopped": False}),
    messages.Failed("no", "because"),
    messages.Skipped(),
    messages.Encoded("k", 0.1),
    messages.Masks("k", (0, 0, 2, 3), pack(np.ones((2, 3), bool)), 0.9),
]


def test_every_message_travels():
    for example in EXAMPLES:
        assert pickle.loads(pickle.dumps(example)) == example
    kinds = {type(example) for example in EXAMPLES}
    assert kinds == set((messages.Request | messages.Answer).__args__)


def test_messages_cannot_be_changed_on_the_way():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXAMPLES[0].device = "cuda"


@pytest.mark.parametrize(
    "array",
    [
        np.arange(35, dtype=np.int32).reshape(5, 7) - 9,
        np.random.default_rng(0).random((13, 11)) < 0.5,
        np.zeros((0, 0), bool),
        np.zeros((300, 200, 3), np.uint8)[::2],
        np.arange(40_000, dtype=np.uint16).reshape(200, 200).T,
    ],
)
def test_arrays_arrive_as_they_were(array):
    reference, memory = share(array)
    try:
        assert (memory is None) == (array.nbytes <= 64 * 1024)
        got = pickle.loads(pickle.dumps(reference)).read()
        assert got.dtype == array.dtype
        assert np.array_equal(got, array)
        got[...] = 0
    finally:
        if memory is not None:
            release(memory)
    assert np.array_equal(pack(array).read(), array)


def test_shared_memory_is_removed():
    reference, memory = share(np.ones((400, 300), np.uint8))
    release(memory)
    with pytest.raises(FileNotFoundError):
        reference.read()


@pytest.mark.parametrize(("highest", "dtype"), [(255, "uint8"), (256, "uint16"), (70_000, "int32")])
def test_label_images_travel_small(highest, dtype):
    reference = pack_labels(np.array([[0, highest]], np.int32))
    assert isinstance(reference, ArrayRef)
    assert reference.dtype == dtype
    assert reference.read().tolist() == [[0, highest]]


# ---- errors


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MaskError("The mask m.tif is empty; choose another."), "The mask m.tif is empty; choose another."),
        (MemoryError(), "memory of this computer or its GPU was not enough while training"),
        (PermissionError(13, "Permission denied", "x.tif"), "The file x.tif cannot be used while training"),
        (KeyError("x"), "Something went wrong inside the program while training"),
    ],
)
def test_errors_become_a_sentence_with_details(error, words):
    try:
        raise error
    except Exception as caught:  # noqa: BLE001
        failed = explain(caught, "training")
    assert words in failed.sentence
    assert "Traceback" in failed.details
    assert type(error).__name__ in failed.details


def test_a_full_gpu_is_a_memory_error():
    import torch  # noqa: F401 - how it is told depends on torch being there

    assert "memory" in explain(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")).sentence
    assert "inside the program" in explain(RuntimeError("shapes differ")).sentence


# ---- records


def test_records_of_a_run_that_was_repeated_in_part(tmp_path):
    record = RunRecord(tmp_path / "run", "train")
    assert read_status(tmp_path / "run").alive()
    for step in (1, 2, 3, 4):
        record.curve(step, 1 / step, 1e-3, step)
    again = RunRecord(tmp_path / "run", "train")
    for step in (3, 4, 5):
        again.curve(step, 10 / step, 1e-3, step)
    with (tmp_path / "run" / "curve.jsonl").open("a") as stream:
        stream.write('{"step": 6, "lo')
    assert [step for step, _, _ in read_curve(tmp_path / "run")] == [1, 2, 3, 4, 5]
    assert read_curve(tmp_path / "run")[2][1] == 10 / 3
    again.end("failed", "It failed.", "Traceback ...")
    again.end("finished")
    status = read_status(tmp_path / "run")
    assert (status.state, status.sentence, status.details) == ("failed", "It failed.", "Traceback ...")
    assert not status.alive()


def test_nothing_readable_is_no_status(tmp_path):
    assert read_status(tmp_path) is None
    (tmp_path / "status.json").write_text("{")
    assert read_status(tmp_path) is None
    assert read_curve(tmp_path) == read_items(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20_000,
        "[]",
        '{"state": "running"}',
        '{"state": "running", "kind": "train", "pid": "1"}',
        '{"state": "running", "kind": "train", "result": []}',
        '{"state": "nowhere", "kind": "train"}',
        '{"state": ["running"], "kind": "train"}',
    ],
)
def test_a_status_of_somebody_else_s_making_is_none(tmp_path, text):
    (tmp_path / "status.json").write_text(text)
    (tmp_path / "items.jsonl").write_text(f"{text}\n")
    assert read_status(tmp_path) is None
    read_items(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="pipes with names")
def test_a_pipe_in_the_place_of_a_record_is_not_waited_for(tmp_path):
    for name in ("status.json", "curve.jsonl", "items.jsonl", "log.txt"):
        os.mkfifo(tmp_path / name)
    assert read_status(tmp_path) is None
    assert read_curve(tmp_path) == read_items(tmp_path) == []
    assert read_log(tmp_path) == ""


def test_a_process_is_known_again_after_the_clock_was_set(tmp_path, monkeypatch):
    RunRecord(tmp_path / "run", "train")
    before = psutil.Process.create_time
    for step in (-3600.0, -1.5, 1.5, 3600.0):
        monkeypatch.setattr(psutil.Process, "create_time", lambda self, step=step: before(self) + step)
        assert read_status(tmp_path / "run").alive(), step
        assert RunInfo("0001-train", "train", tmp_path / "run", "running", "").alive(), step
    monkeypatch.undo()
    for pid in (0, -1, 2**40, True, "1", None, 1):
        assert not lives(pid, started(os.getpid())), pid


def test_a_project_that_is_gone_is_not_made_again(tmp_path):
    (tmp_path / "project" / "runs").mkdir(parents=True)
    record = RunRecord(tmp_path / "project" / "runs" / "0001-train", "train")
    record.require_folder()
    (tmp_path / "project").rename(tmp_path / "moved")
    with pytest.raises(OutputError, match="was moved or deleted while the job ran"):
        record.require_folder()
    record.log("A word.")
    record.progress(0.5, None)
    record.end("failed", "It is gone.")
    RunRecord(tmp_path / "project" / "runs" / "0001-train", "train")
    with crash_report(tmp_path / "project" / "runs" / "0001-train"):
        pass
    assert not (tmp_path / "project").exists()


def test_a_record_that_cannot_be_written_ends_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    record = RunRecord(tmp_path / "file" / "run", "train")
    record.log("x")
    record.curve(1, 1.0, 1.0, 1.0)
    record.end("finished")


# ---- axes


def test_axes_given_by_hand():
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    image = Image(array, ImageInfo(None, "NPY", "CYX", array.shape, "int64", guessed=True))
    assert with_axes(image, None) is image
    assert with_axes(image, "CYX") is image
    turned = with_axes(image, "YXZ")
    assert (turned.n_z, turned.plane(z=1).shape) == (4, (2, 3))
    assert np.array_equal(turned.plane(z=1), array[..., 1])
    assert not turned.info.guessed
    for wrong in ("YX", "ZZYX", "ZYY", "QYX", "ZCT"):
        with pytest.raises(ImageError):
            with_axes(image, wrong)


# ---- estimates


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"duplicate_data": 1},
        {"patch_size": None},
        {"target_diameter": None, "patch_size": 64, "duplicate_data": 1},
        {"target_diameter": None, "patch_size": 64, "duplicate_data": 1, "epoch_tiles": None},
        {"tile_starts": "upstream", "duplicate_rule": "upstream"},
        {"duplicate_rule": "upstream", "duplicate_data": 3, "patch_size": 128},
        {"duplicate_rule": "upstream", "duplicate_data": 3, "patch_size": 128, "epoch_tiles": 2},
        {"resize_size": (160, 130), "patch_size": 64, "duplicate_data": 0},
    ],
)
def test_samples_are_counted_as_the_training_does(changes):
    from engine_help import discs

    from cellseg1.training.inputs import median_diameter, scale_for
    from cellseg1.training.samples import SampleSource, TrainingImage, rescaled

    settings = make_settings(overrides=changes)
    images = []
    for height, width in ((96, 144), (300, 170)):
        pixels, labels = discs(height, width)
        images.append(TrainingImage("a", "0", np.repeat(pixels[..., None], 3, axis=2), labels))
    scale = scale_for(images, settings)
    source = SampleSource([rescaled(image, scale) for image in images], settings)
    sizes = [ImageSize(*image.labels.shape, median_diameter([image])) for image in images]
    assert samples_per_epoch(sizes, settings) == len(source)


def test_the_estimate_uses_what_was_measured(config):
    sizes = [ImageSize(512, 700, 28.0)]
    rough = plan_training(sizes)
    assert not rough.measured
    assert rough.preset == "CPU"
    # How many tiles an epoch has, and how many epochs there are, are settings that may change.
    assert rough.steps >= rough.settings.training.epoch_max
    assert rough.steps % rough.settings.training.epoch_max == 0
    planning.remember_training("tiny", "cpu", 128, 0.1)
    plan = plan_training(sizes)
    assert plan.measured
    assert plan.seconds == pytest.approx(0.4 * 4 * rough.steps)
    assert plan.text == planning.duration_text(plan.seconds)
    planning.remember_training("tiny", "cpu", 256, 0.1)
    assert plan_training(sizes).seconds == pytest.approx(0.2 * 4 * rough.steps)
    assert not plan_training(sizes, device="cuda:0", free_gib=20.0).measured
    planning.calibration_file().write_text("{damaged")
    assert not plan_training(sizes).measured


def test_presets_follow_the_memory(config):
    sizes = [ImageSize(512, 512)]
    names = [plan_training(sizes, backbone="vit_h", device="cuda", free_gib=free).preset for free in (40, 14, 7, 3)]
    assert names == ["24 GB", "12 GB", "8 GB", "small"]
    assert plan_training(sizes, backbone="vit_h").settings.training.batch_size == 1
    assert plan_training(sizes, backbone="vit_h").seconds > plan_training(sizes, backbone="vit_b").seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3, "a few seconds"),
        (32, "about 30 seconds"),
        (54.9, "about 50 seconds"),
        (70, "about a minute"),
        (240, "about 4 minutes"),
        (1300, "about 20 minutes"),
        (3600, "about an hour"),
        (5400, "about 1.5 hours"),
        (50_000, "about 14 hours"),
    ],
)
def test_times_in_words(seconds, text):
    assert duration_text(seconds) == text


# ---- who imports whom


def loaded_after(code):
    listing = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True, timeout=120)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_the_window_never_loads_torch():
    loaded = loaded_after("import app.engine.jobs, app.engine.planning, app.base.run_files, app.base.axes")
    assert "PySide6" in loaded
    assert not loaded & {"torch", "torchvision", "segment_anything"}


def test_the_start_of_the_program_loads_nothing_heavy():
    loaded = loaded_after("import app.engine.child.main")
    assert not loaded & {"torch", "PySide6", "numpy", "cv2", "psutil"}


#: Serves requests in this very process, then lists what is loaded.
SERVE = """
import multiprocessing, sys, threading
from app.engine.child import main as child
from app.engine.messages import *
ours, theirs = multiprocessing.Pipe()
ours.send((1, ExamineRequest())); ours.send((2, Click("none")))
def read():
    got = {}
    while not {1, 2} <= set(got):
        number, answer = ours.recv(); got[number] = answer
    assert isinstance(got[1], Done) and isinstance(got[2], Failed), got
    ours.send((0, Quit()))
reader = threading.Thread(target=read); reader.start()
child.work(theirs, EngineOptions("interactive", 1, 0))
reader.join()
from cellseg1.sam.device import flushes_denormals
assert flushes_denormals()
import app.engine.child.train, app.engine.child.predict, cellseg1.training.job, cellseg1.prediction.job
"""


def test_the_engine_never_loads_qt():
    loaded = loaded_after(SERVE)
    assert "torch" in loaded
    assert not loaded & {"PySide6", "shiboken6", "PyQt5", "PyQt6"}


# ---- the window dies

PARENT = """
import sys, time
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from app.engine.jobs import Engines
from app.engine.messages import TrainRequest
if __name__ == "__main__":
    image, mask, out, run, overrides = sys.argv[1:]
    app = QCoreApplication([])
    engines = Engines(threads=1)
    request = TrainRequest((Path(image),), (Path(mask),), Path(out), run_folder=Path(run), overrides=eval(overrides),
                           device="cpu", preview=False)
    job = engines.start(request, "Training")
    engines.interactive.examine(lambda report: print("pids", job.pid, engines.interactive.pid, flush=True)
                                if job.curve else engines.interactive.examine(again))
    again = lambda report: time.sleep(0.05) or (print("pids", job.pid, engines.interactive.pid, flush=True)
                                                if job.curve else engines.interactive.examine(again))
    app.exec()
"""


def test_engines_end_when_the_window_is_killed(tmp_path, config):
    image, mask = write_discs(tmp_path)
    (tmp_path / "parent.py").write_text(PARENT)
    overrides = {**QUICK, "epoch_max": 300, "checkpoint_seconds": 1000}
    arguments = [image, mask, tmp_path / "model.cs1", tmp_path / "run", repr(overrides)]
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py"), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**__import__("os").environ, "PYTHONPATH": root, "QT_QPA_PLATFORM": "offscreen"},
    )
    try:
        line = parent.stdout.readline().split()
        assert line[:1] == ["pids"], line
        pids = [int(pid) for pid in line[1:]]
        assert all(alive(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        end = time.monotonic() + 15
        while any(alive(pid) for pid in pids) and time.monotonic() < end:
            time.sleep(0.02)
        assert not [pid for pid in pids if alive(pid)]
    finally:
        parent.kill()
        parent.communicate()
    status = read_status(tmp_path / "run")
    assert status.state == "interrupted"
    assert (tmp_path / "model.cs1.checkpoint").exists()
    assert not list(tmp_path.rglob("*.part"))
