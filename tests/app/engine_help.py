"""What the tests of the engines share: tiny pictures, a model, and waiting."""

import time
from multiprocessing import resource_tracker

import numpy as np
import psutil
import pytest
from PIL import Image
from PySide6.QtCore import QCoreApplication

from cellseg1.masks import write_label_image

#: One training of a few steps on one thread.
QUICK = {
    "epoch_max": 2,
    "duplicate_data": 4,
    "batch_size": 2,
    "max_point_num": 8,
    "patch_size": 64,
    "sam_image_size": 64,
    "point_spacing": 16,
    "pred_iou_thresh": 0.3,
    "stability_score_thresh": 0.3,
    "target_diameter": None,
    # The small adapter: otherwise much of the time would be writing checkpoints of 70 MB.
    "freeze_image_encoder": True,
    "freeze_prompt_encoder": True,
    "freeze_mask_decoder_transformer": True,
}

# Python's own helper process lives as long as the program; it must not count as something a test left.
if hasattr(resource_tracker, "ensure_running"):
    resource_tracker.ensure_running()


def discs(height=96, width=144, step=32, radius=10):
    """Bright discs on a dark ground, not square; returns pixels (H, W) uint8 and labels."""
    yy, xx = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.int32)
    for number, (y, x) in enumerate((y, x) for y in range(16, height, step) for x in range(16, width, step)):
        labels[(yy - y) ** 2 + (xx - x) ** 2 < radius**2] = number + 1
    noise = np.random.default_rng(0).integers(0, 30, labels.shape)
    return ((labels > 0) * 160 + noise + 20).astype(np.uint8), labels


def write_discs(folder, name="a", **size):
    pixels, labels = discs(**size)
    Image.fromarray(pixels).save(folder / f"{name}.png")
    write_label_image(folder / f"{name}.tif", labels)
    return folder / f"{name}.png", folder / f"{name}.tif"


def wait_for(condition, seconds=180):
    """Let events pass until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        QCoreApplication.processEvents()
        time.sleep(0.005)


def run_to_end(job, seconds=300):
    """Wait for a job; returns it."""
    wait_for(lambda: not job.running, seconds)
    return job


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def own_config(tmp_path_factory, monkeypatch):
    """Engines note their speed somewhere else than the user's folder."""
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def engines(qapp, own_config):
    from app.engine.jobs import Engines

    made = Engines(threads=1)
    yield made
    made.close()
