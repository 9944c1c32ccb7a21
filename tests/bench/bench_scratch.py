"""The rival of one-image training: a network that has seen nothing but that image; resumable.

Not a test: ``python tests/bench/bench_scratch.py --data TRANSFER --out RESULTS`` appends one line of JSON per run and
length.  A U-Net (about 2 M parameters, instance normalisation) learns from random weights, for every pixel, whether it
is cell and how deep inside its cell it lies (distance to the edge / largest distance of that cell), on the very
samples that the adapter is trained on: same tiles, scale, augmentation, seed.  Cells are the basins of a watershed on
that depth.  Its two thresholds are chosen on the training image.  The caller keeps the best of the three lengths.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from bench_transfer import protocol
from scipy import ndimage
from skimage.segmentation import watershed
from torch import nn
from torch.nn import functional as F

from cellseg1.evaluation import evaluate_labels
from cellseg1.images import to_model_input
from cellseg1.masks.check import median_cell_diameter
from cellseg1.model import rule_of
from cellseg1.settings import make_settings
from cellseg1.training.samples import SampleSource, TrainingImage, rescaled


class Block(nn.Sequential):
    def __init__(self, inputs, outputs):
        layers = []
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.InstanceNorm2d(outputs, affine=True), nn.ReLU()]
        super().__init__(*layers)


class UNet(nn.Module):
    """Four levels; (B, 3, H, W) in 0..1 to (B, 2, H, W): cell logit, depth logit."""

    def __init__(self, widths=(32, 64, 128, 192)):
        super().__init__()
        self.down = nn.ModuleList(Block(a, b) for a, b in zip((3, *widths), widths, strict=False))
        pairs = list(zip(widths[::-1], widths[-2::-1], strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in pairs)
        self.join = nn.ModuleList(Block(2 * b, b) for _a, b in pairs)
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, x):
        kept = []
        for index, block in enumerate(self.down):
            x = block(x if index == 0 else F.max_pool2d(x, 2))
            kept.append(x)
        kept.pop()
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([kept.pop(), up(x)], 1))
        return self.head(x)


def depth_of(labels):
    """Distance of each pixel to the edge of its own cell, 1 at the deepest place of each cell."""
    inner = labels.copy()
    edges = (ndimage.maximum_filter(labels, 3) != labels) | (ndimage.minimum_filter(labels, 3) != labels)
    inner[edges] = 0
    depth = ndimage.distance_transform_edt(inner > 0) + (labels > 0)
    count = int(labels.max(initial=0))
    if count == 0:
        return np.zeros(labels.shape, np.float32)
    top = np.concatenate([[1], ndimage.maximum(depth, labels, np.arange(1, count + 1))])
    top[top <= 0] = 1
    return (depth / top[labels] * (labels > 0)).astype(np.float32)


def segment(cell, depth, cell_threshold, depth_threshold, smallest):
    """Watershed of the predicted depth from its parts above a threshold."""
    seeds, _ = ndimage.label(ndimage.gaussian_filter(depth, 1) > depth_threshold)
    labels = watershed(-depth, seeds, mask=cell > cell_threshold)
    areas = np.bincount(labels.ravel())
    labels[(areas < smallest)[labels]] = 0
    return labels.astype(np.int32)


@torch.no_grad()
def look(net, pixels):
    """Predict a whole image (H, W, 3) uint8."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="reflect")
    x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
    with torch.autocast("cpu", torch.bfloat16):
        out = net(x)[0]
    out = torch.sigmoid(out.float()).numpy()[:, :height, :width]
    return out[0], out[1]


def run(which, data, pretrain, k, lengths):
    """Train once to the longest length, measuring at each; the shorter ones have schedules of their own."""
    (plane, labels), tests = protocol(which, data, pretrain, k)
    settings = make_settings("studio", "tiny", overrides={"seed": k})
    scale = 28.0 / median_cell_diameter(labels)
    image = rescaled(
        TrainingImage("image", "", to_model_input(plane, rule_of(settings)), labels.astype(np.int32), None), scale
    )
    source = SampleSource([image], settings)
    for seconds in lengths:
        torch.manual_seed(k)
        net = UNet().train()
        optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
        started, step, epoch = time.process_time(), 0, 0
        while time.process_time() - started < seconds:
            order = source.order(epoch)
            for first in range(0, len(order), settings.training.batch_size):
                spent = (time.process_time() - started) / seconds
                if spent >= 1:
                    break
                for group in optimiser.param_groups:
                    group["lr"] = 2e-3 * min(1.0, (step + 1) / 20) * (0.5 + 0.5 * np.cos(np.pi * spent))
                samples = [source.get(epoch, int(i)) for i in order[first : first + settings.training.batch_size]]
                x = torch.from_numpy(np.stack([s.pixels for s in samples])).permute(0, 3, 1, 2).float() / 255
                cells = torch.from_numpy(np.stack([s.labels > 0 for s in samples])).float()
                depth = torch.from_numpy(np.stack([depth_of(s.labels) for s in samples]))
                with torch.autocast("cpu", torch.bfloat16):
                    out = net(x)
                out = out.float()
                loss = F.binary_cross_entropy_with_logits(out[:, 0], cells)
                loss = loss + 4 * F.mse_loss(torch.sigmoid(out[:, 1]), depth)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                step += 1
            epoch += 1
        net.eval()
        own = look(net, image.pixels)
        smallest = 80
        grid = [(c, d) for c in (0.3, 0.5, 0.7) for d in (0.3, 0.45, 0.6, 0.75)]
        best = max(grid, key=lambda g: score(image.labels, segment(*own, *g, smallest)))
        scores = []
        for picture, truth in tests:
            pixels = to_model_input(picture, rule_of(settings))
            size = (max(1, round(truth.shape[1] * scale)), max(1, round(truth.shape[0] * scale)))
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            found = segment(*look(net, cv2.resize(pixels, size, interpolation=how)), *best, smallest)
            back = cv2.resize(found, truth.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
            scores.append(score(truth, back))
        yield {
            "set": which,
            "run": k,
            "cpu_seconds": seconds,
            "steps": step,
            "thresholds": best,
            "ap": round(float(np.mean(scores)), 4),
        }


def score(truth, found):
    return evaluate_labels(truth, found, thresholds=(0.5,)).ap[0.5]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pretrain", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["ecoli", "yeast", "sem"])
    parser.add_argument("--runs", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--lengths", type=float, nargs="+", default=[70, 200, 500], help="seconds of one processor")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    done = set()
    if options.out.exists():
        rows = [json.loads(line) for line in options.out.read_text().splitlines()]
        done = {(row["set"], row["run"], row["cpu_seconds"]) for row in rows}
    for which in options.sets:
        for k in options.runs:
            lengths = [length for length in options.lengths if (which, k, length) not in done]
            for row in run(which, options.data, options.pretrain, k, lengths):
                with options.out.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
                sys.stdout.write(f"{which} {k} {row['cpu_seconds']} s: AP {row['ap']}\n")


if __name__ == "__main__":
    main()
