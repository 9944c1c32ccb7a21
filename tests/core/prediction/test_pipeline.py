"""One way from a file to its results, whoever hands out the images."""

import json
import pickle

import numpy as np
import pytest
from command import IMAGE, crop, not_an_image

from cellseg1.errors import ImageError
from cellseg1.images import PlaneChoice
from cellseg1.model import load_model
from cellseg1.prediction.job import predict
from cellseg1.prediction.loop import segment_images
from cellseg1.prediction.pipeline import Pipeline
from cellseg1.prediction.run_folder import FolderFiles
from cellseg1.prediction.tasks import FixedFiles, ImageTask, PlaneFiles, PlaneRecord


@pytest.fixture(scope="module")
def loaded(model):
    return load_model(model, device="cpu")


def test_tasks_and_records_travel_to_another_process_and_give_what_the_command_gives(loaded, tmp_path):
    image = crop(IMAGE, tmp_path / "a.png", 60)
    run = predict(loaded, image, tmp_path / "run")
    files = PlaneFiles(tmp_path / "own.png", tmp_path / "own.npz", tmp_path / "overlay.png")
    fixed = ImageTask(image, FixedFiles(files), PlaneChoice(0, 0), "YX", image_id="7")
    for task in (ImageTask(image, FolderFiles(tmp_path / "other"), image_id="7"), fixed):
        sent = pickle.loads(pickle.dumps(task))
        assert sent == task
        (record,) = Pipeline(loaded).planes(sent)
        assert pickle.loads(pickle.dumps(record)) == record
        assert (record.cells, record.image_id, record.path) == (run.planes[0].cells, "7", str(image))
    for made in (tmp_path / "own.png", tmp_path / "other" / "a.png"):
        assert made.read_bytes() == (run.folder / "a.png").read_bytes()
    for made in (tmp_path / "overlay.png", tmp_path / "other" / "overlays" / "a.png"):
        assert made.read_bytes() == (run.folder / "overlays" / "a.png").read_bytes()


def test_records_have_one_layout_and_no_traceback_in_the_run(loaded, tmp_path):
    crop(IMAGE, tmp_path / "in.png", 40)
    not_an_image(tmp_path / "bad.png")
    told = []
    run = predict(loaded, [tmp_path / "bad.png", tmp_path / "in.png"], tmp_path / "run", on_plane=told.append)
    assert told == list(run.planes)
    assert "Traceback" in told[0].details
    assert told[1].details == ""
    written = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))["planes"]
    assert written == [one.to_dict() for one in told]
    assert set(written[0]) == set(written[1]) == set(PlaneRecord.__slots__) - {"details"}


def test_what_is_refused_before_writing_is_the_error_of_that_plane_alone(loaded, tmp_path):
    stack = tmp_path / "stack.npy"
    np.save(stack, np.zeros((6, 30, 50), np.uint8))
    seen, records = [], []

    def second_fails(task, result):
        seen.append(result.labels.shape)
        if len(seen) == 2:
            raise ImageError("Not this one.")

    tasks = [
        ImageTask(stack, FixedFiles(PlaneFiles(tmp_path / f"{z}.tif")), PlaneChoice(z, 0), image_id=str(z))
        for z in range(3)
    ]
    stopped = segment_images(Pipeline(loaded, on_result=second_fails), tasks, records.append)
    assert not stopped
    assert [(one.image_id, one.z, one.error) for one in records] == [
        ("0", 0, ""),
        ("1", 1, "Not this one."),
        ("2", 2, ""),
    ]
    assert [(tmp_path / f"{z}.tif").exists() for z in range(3)] == [True, False, True]


def test_stopping_between_two_planes_keeps_the_first(loaded, tmp_path):
    stack = tmp_path / "stack.npy"
    np.save(stack, np.zeros((6, 30, 50), np.uint8))
    records = []
    files = FolderFiles(tmp_path / "out", overlays=False)
    pipeline = Pipeline(loaded, stop=lambda: bool(records))
    assert segment_images(pipeline, [ImageTask(stack, files)] * 2, records.append)
    assert [one.labels for one in records] == ["stack_t000_z000.png"]
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == [
        "stack_t000_z000.npz",
        "stack_t000_z000.png",
    ]
