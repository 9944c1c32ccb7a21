"""Speed of `tiny` on this computer: encoding, a click, a whole image, a training step.  Prints medians of several runs.

``python tests/bench/bench_speed.py [--threads 2] [--model MODEL.cs1 --images IMAGE ...]``: with a model, only the time
that it takes for the middle 512 x 512 pixels of each image.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from cellseg1.bundled import resource_path
from cellseg1.images import read_image, to_model_input
from cellseg1.lora.inject import inject_lora
from cellseg1.masks import read_mask
from cellseg1.model import load_model, plain_model
from cellseg1.prediction.plane import predict_pixels
from cellseg1.sam.precision import autocast_dtype
from cellseg1.settings import make_settings
from cellseg1.training.adapter import lora_config
from cellseg1.training.samples import SampleSource, TrainingImage
from cellseg1.training.trainer import Trainer


def median(task, runs=5):
    task()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        task()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def sample():
    """The four quarters of the sample image, put together again: 512 x 512."""
    folder = resource_path("sample_project")
    parts = [folder / "train/images/nuclei_a.png", *(folder / f"test/images/nuclei_{name}.png" for name in "bcd")]
    a, b, c, d = (read_image(part).plane() for part in parts)
    return np.block([[a, b], [c, d]])


def trained(model_file, images, batch):
    """Seconds that a trained model takes for the middle of each image, twice."""
    model = load_model(model_file, device="cpu", overrides={"points_per_batch": batch} if batch else None)
    for path in images:
        image = read_image(path)
        plane = image.plane()
        top, left = (max(0, (side - 512) // 2) for side in plane.shape[:2])
        pixels = to_model_input(plane[top : top + 512, left : left + 512], model.input_rule, colour=image.is_colour)
        times = []
        for _ in range(2):
            started = time.perf_counter()
            cells = int(predict_pixels(model, pixels).labels.max(initial=0))
            times.append(f"{time.perf_counter() - started:.2f} s")
        sys.stdout.write(f"{path.name} {pixels.shape[:2]}: {', '.join(times)}; {cells} cells\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--images", type=Path, nargs="+", default=[])
    parser.add_argument("--points-per-batch", type=int, help="instead of the number that the model was made with")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.model:
        if not options.images:
            parser.error("--model needs --images to predict")
        trained(options.model, options.images, options.points_per_batch)
        return
    settings = make_settings()
    model = plain_model("tiny", settings, "cpu")
    backbone = model.backbone
    pixels = to_model_input(sample(), model.input_rule)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    dtype = autocast_dtype(torch.device("cpu"))
    say = sys.stdout.write
    with torch.no_grad(), torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        embedding = backbone.encode(tensor)
        point = torch.tensor([[[200.0, 300.0]]])
        index = torch.zeros(1, dtype=torch.int64)
        say(f"encode 512 x 512: {median(lambda: backbone.encode(tensor)):.3f} s\n")
        say(f"one click: {median(lambda: backbone.decode(embedding, point, torch.ones(1, 1), index)):.4f} s\n")
    say(f"segment 512 x 512, default settings: {median(lambda: predict_pixels(model, pixels), 3):.2f} s\n")

    inject_lora(model.module, lora_config(settings))
    labels = read_mask(resource_path("sample_project/train/masks/nuclei_a.png")).labels
    image = TrainingImage("a", "", pixels[:256, :256], labels)
    trainer = Trainer(backbone, SampleSource([image], settings), settings)
    model.module.train()

    def step():
        trainer._one_batch()
        trainer._step += 1

    seconds = median(step, 8)
    say(f"training step (batch {settings.training.batch_size} of 256 x 256): {seconds:.3f} s; ")
    say(f"{trainer.steps} steps by default: {seconds * trainer.steps:.0f} s\n")
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import cellseg1"], check=True)
    with_it = time.perf_counter() - started
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    say(f"import cellseg1: {with_it - (time.perf_counter() - started):.3f} s above an empty interpreter\n")


if __name__ == "__main__":
    main()
