"""A run of predictions: one image never ends it, its folder is its own, its record is true."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tifffile
import torch
from command import IMAGE, PLAIN, crop, done, predict, run, sentence, tree

from cellseg1.errors import OutputError
from cellseg1.files import file_sha256
from cellseg1.prediction import job, pipeline, plane
from cellseg1.prediction.inputs import fitting_name
from cellseg1.prediction.plane import count_cells, label_image
from cellseg1.settings import make_settings

FULL = "OpenCV(4.11.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes"


def record(out):
    return json.loads((out / "run.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (cv2.error(FULL), "memory is not enough"),
        (cv2.error("an assertion"), "Something went wrong"),
        (MemoryError(), "memory is not enough"),
        (RuntimeError("shapes"), "RuntimeError: shapes"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
)
def test_whatever_fails_in_one_image_the_others_go_on(tmp_path, model, image, monkeypatch, error, said):
    for name in ("a.png", "z.png"):
        crop(IMAGE, image.parent / name, 64)
    real = plane.plane_input

    def failing(read, *rest, **more):
        if read.info.path.name == "cells.png":
            raise error
        return real(read, *rest, **more)

    monkeypatch.setattr(plane, "plane_input", failing)
    ran = run("predict", "--model", model, "--out", tmp_path / "out", image.parent, *PLAIN, "--json")
    assert "1 of 3 images could not be segmented" in sentence(ran)
    found = {one["image"]: one["error"] for one in record(tmp_path / "out")["planes"]}
    assert list(found) == ["a.png", "cells.png", "z.png"]
    assert said in found["cells.png"]
    assert found["a.png"] == found["z.png"] == ""
    assert (tmp_path / "out" / "z.png").exists()
    assert record(tmp_path / "out")["state"] == "finished"
    # Alone it is the run's own error, and nothing is left of the run.
    alone = sentence(run("predict", "--model", model, "--out", tmp_path / "alone", image, *PLAIN))
    assert said in alone
    assert not (tmp_path / "alone").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes")
def test_names_that_are_no_utf8_and_names_that_are_too_long(tmp_path, model, image):
    bad = image.parent / os.fsdecode(b"caf\xe9.png")
    image.rename(bad)
    long = image.parent / f"{'ö' * 125}a.png"
    crop(IMAGE, long, 64)
    stack = image.parent / f"{'s' * 250}.tif"
    tifffile.imwrite(stack, np.zeros((2, 30, 40), np.uint8), metadata={"axes": "ZYX"})
    ran = run("predict", "--model", model, "--out", tmp_path / "out", image.parent, *PLAIN, "--json")
    assert ran.code == 0, ran
    assert next(one["image"] for one in ran.json()["images"]) == "caf\\xe9.png"
    assert [one["error"] for one in record(tmp_path / "out")["planes"]] == [""] * 4
    assert (tmp_path / "out" / os.fsdecode(b"caf\xe9.png")).exists()
    assert "too long" in ran.err
    assert len([path for path in (tmp_path / "out").iterdir() if path.name.startswith("s")]) == 2


def test_long_names_stay_different():
    names = [fitting_name(f"{'ä' * 200}{number}_t000_z001", "_t000_z001") for number in range(3)]
    assert len(set(names)) == 3
    assert all(name.endswith("_t000_z001") and len(name.encode()) <= 250 for name in names)
    assert fitting_name("a") == "a"
    assert fitting_name("x" * 250) == "x" * 250


def test_two_runs_into_one_new_folder_do_not_mix(tmp_path, model, image):
    from cellseg1.model import load_model

    loaded, results, start = load_model(model, device="cpu"), [], threading.Barrier(4)

    def one():
        start.wait()
        results.append(job.predict(loaded, image, tmp_path / "out").folder)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 4
    assert {folder.name for folder in results} == {"out", "out_2", "out_3", "out_4"}
    for folder in results:
        assert sorted(tree(folder)) == sorted(tree(results[0]))


def test_the_record_names_what_was_used(tmp_path, model, image):
    predict(model, tmp_path / "out", image, more=["--set", "pred_iou_thresh=0.45"])
    found = record(tmp_path / "out")
    assert found["model"]["file"] == str(model)
    assert found["model"]["sha256"] == file_sha256(model)
    assert found["model"]["adapter"] is True
    assert found["inputs"] == [str(image)]
    assert found["planes"][0]["path"] == str(image)
    assert found["settings"]["pred_iou_thresh"] == 0.45
    assert not {"seed", "epoch_max", "deterministic", "box_nms_thresh"} & set(found["settings"])
    predict(model, tmp_path / "plain", image, more=["--no-adapter"])
    assert record(tmp_path / "plain")["model"]["adapter"] is False
    assert done("model", "show", model, "--json").json()["backbone"] == found["model"]["backbone"]


def test_cells_that_vanish_when_labels_shrink_are_not_counted():
    labels = np.kron(np.arange(1, 401, dtype=np.int32).reshape(10, 40), np.ones((2, 3), np.int32))
    settings = make_settings(overrides={"resize_size": [20, 120]})
    small = label_image(SimpleNamespace(labels=labels), (7, 30), settings)
    assert small.shape == (7, 30)
    assert sorted(set(small.ravel().tolist()) - {0}) == list(range(1, small.max() + 1))
    assert count_cells(small) == small.max() < 400
    assert count_cells(np.array([[0, 5, 5, 9]], np.int32)) == 2
    assert count_cells(np.zeros((0, 3), np.int32)) == 0


def test_a_killed_run_has_a_record(tmp_path, model, image):
    crop(IMAGE, image.parent / "b.png", 200)
    command = [sys.executable, "-m", "cellseg1", "predict", "--model", model, "--out", tmp_path / "out", image.parent]
    process = subprocess.Popen([*map(str, command), *PLAIN], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        while process.poll() is None and not (tmp_path / "out" / "run.json").exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = (tmp_path / "out" / "run.json").read_bytes()
    assert left == b"" or json.loads(left)["state"] == "running"


def test_too_little_memory_is_said_before_the_network_begins(tmp_path, model, image, monkeypatch):
    monkeypatch.setattr("cellseg1.memory.available_bytes", lambda: 100_000)
    monkeypatch.setattr("cellseg1.images.formats.decoded.available_bytes", lambda: 10**9)
    monkeypatch.setattr(plane, "predict_candidates", lambda *_a, **_k: pytest.fail("it began"))
    text = sentence(run("predict", "--model", model, "--out", tmp_path / "out", image, *PLAIN))
    assert f"The image {image} needs" in text
    assert "GB are free" in text


def test_formats_that_cannot_be_written_are_refused_first(tmp_path, model, image):
    from cellseg1.model import load_model

    with pytest.raises(OutputError, match=r"choose \.png or \.tif"):
        job.predict(load_model(model, device="cpu"), [image], tmp_path / "out", suffix=".jpg")
    assert not (tmp_path / "out").exists()


def test_labels_keep_the_pixel_size_also_when_they_are_smaller(tmp_path, model, image):
    from cellseg1.images import read_image
    from cellseg1.model import load_model

    pixels = read_image(image).array
    pixels = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., 0])
    sized = tmp_path / "in" / "sized.tif"
    tifffile.imwrite(
        sized, pixels, photometric="minisblack", imagej=True, metadata={"unit": "um"}, resolution=(1 / 0.5, 1 / 0.25)
    )
    loaded = load_model(model, device="cpu")
    job.predict(loaded, [sized], tmp_path / "out", suffix=".tif", overlays=False, keep_candidates=False)
    assert read_image(tmp_path / "out" / "sized.tif").info.pixel_size_um == pytest.approx((0.25, 0.5))
    half = np.zeros((pixels.shape[0] // 2, pixels.shape[1]), np.int32)
    assert pipeline.labels_pixel_size(half, pixels, (0.25, 0.5)) == pytest.approx(
        (0.25 * pixels.shape[0] / half.shape[0], 0.5)
    )


def test_whole_view_masks_are_not_kept(monkeypatch):
    """Thousands of small cells in a large view: what is kept of each is its own box, packed."""
    import tracemalloc

    from cellseg1.prediction import decode

    shape, count = (400, 600), 600

    def masks(*_args):
        for number in range(count):
            mask = np.zeros(shape, bool)
            mask[number % 390 : number % 390 + 8, number % 590 : number % 590 + 9] = True
            yield (mask, (0, 0)), 0.9, 0.9, (1.0, 2.0)

    monkeypatch.setattr(decode, "_full_masks", masks)
    monkeypatch.setattr(decode, "_decode_view", lambda *_args: [(np.arange(1), None)])
    monkeypatch.setattr(decode, "plan_views", lambda *_args: [SimpleNamespace(box=(0, 0, 600, 400))])
    network = torch.nn.Identity()
    network.device_of = lambda: torch.device("cpu")
    tracemalloc.start()
    found = decode.find_candidates(network, np.zeros((*shape, 3), np.uint8), make_settings("paper", "vit_b"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == count
    assert found.box_xyxy[1].tolist() == [1, 1, 10, 9]
    assert found.area.tolist() == [72] * count
    assert peak < 10_000_000  # 144 MB when every mask is kept whole
