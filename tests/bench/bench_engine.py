"""Speed of the engines on this computer: start, preparing an image, clicks (also while a training runs), ending.

``QT_QPA_PLATFORM=offscreen python tests/bench/bench_engine.py [--threads 1]``
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PySide6.QtCore import QCoreApplication

from app.engine.jobs import Engines
from app.engine.messages import TrainRequest
from cellseg1.bundled import resource_path
from cellseg1.images import read_image


def sample():
    """The four quarters of the sample image, put together again: 512 x 512."""
    folder = resource_path("sample_project")
    parts = [folder / "train/images/nuclei_a.png", *(folder / f"test/images/nuclei_{name}.png" for name in "bcd")]
    a, b, c, d = (read_image(part).plane() for part in parts)
    return np.block([[a, b], [c, d]])


def wait_for(condition, delays=None):
    """Let events pass until something is true; notes how long the event loop took for each round."""
    while not condition():
        began = time.perf_counter()
        QCoreApplication.processEvents()
        if delays is not None:
            delays.append(time.perf_counter() - began)
        time.sleep(0.001)


def clicks(interactive, shape, count=60):
    """Seconds from the click to the mask."""
    got, spent = [], []
    interactive.masks.connect(lambda number, mask: got.append(number))
    rng = np.random.default_rng(0)
    for _ in range(count):
        y, x = rng.integers(8, shape[0] - 8), rng.integers(8, shape[1] - 8)
        before, started = len(got), time.perf_counter()
        interactive.click("sample", [(float(x), float(y), 1)])
        wait_for(lambda before=before: len(got) > before)
        spent.append(time.perf_counter() - started)
    return spent


def percentiles(seconds):
    return f"median {np.median(seconds) * 1000:.0f} ms, p95 {np.percentile(seconds, 95) * 1000:.0f} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    say = sys.stdout.write
    app = QCoreApplication([])
    plane = sample()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CELLSEG1_STUDIO_HOME"] = folder
        engines = Engines(threads=options.threads)
        prepared = []
        engines.interactive.encoded.connect(lambda _key, seconds: prepared.append(seconds))
        started = time.perf_counter()
        engines.interactive.encode("sample", plane, raw=True, device="cpu")
        wait_for(lambda: prepared)
        say(f"start of an engine until an image of 512 x 512 is ready: {time.perf_counter() - started:.1f} s\n")
        engines.interactive.encode("again", plane, raw=True, device="cpu")
        wait_for(lambda: len(prepared) > 1)
        say(f"preparing 512 x 512: {prepared[1]:.2f} s\n")
        say(f"click at 512 x 512: {percentiles(clicks(engines.interactive, plane.shape))}\n")

        train = resource_path("sample_project") / "train"
        request = TrainRequest(
            (train / "images/nuclei_a.png",),
            (train / "masks/nuclei_a.png",),
            Path(folder) / "model.cs1",
            run_folder=Path(folder) / "run",
            device="cpu",
        )
        job = engines.start(request, "Training")
        wait_for(lambda: len(job.curve) > 1 or not job.running)
        say(f"click while a training runs: {percentiles(clicks(engines.interactive, plane.shape))}\n")
        delays, end = [], time.monotonic() + 10
        wait_for(lambda: time.monotonic() > end, delays)
        longest, usual = max(delays) * 1000, np.percentile(delays, 99) * 1000
        say(f"one round of the event loop while a training runs: p99 {usual:.2f} ms, longest {longest:.1f} ms\n")
        started = time.perf_counter()
        job.stop()
        wait_for(lambda: not job.running)
        say(f"stop until the model is kept and the process gone: {time.perf_counter() - started:.1f} s\n")
        started = time.perf_counter()
        engines.close()
        say(f"closing: {time.perf_counter() - started:.2f} s\n")
    del app


if __name__ == "__main__":
    main()
