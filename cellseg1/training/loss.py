"""The published loss: squared error of the scores plus binary cross-entropy of the masks.

Sums over a batch are divided by the counts of the *whole* batch, which are known beforehand; so a batch that does
not fit into memory can be computed in parts with exactly the same gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cellseg1.sam.interface import Backbone
from cellseg1.training.samples import Sample

#: Pixels of the model input per value of the mask logits.
STRIDE = 4


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """Numbers by which the sums of a batch are divided: prompts, and mask values of prompts on cells."""

    points: int
    mask_values: float


def low_resolution(array: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels (S, S) at the resolution of the logits (S / 4, S / 4), by the nearest pixel (cv2.INTER_NEAREST_EXACT)."""
    return array[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]


def cut_windows(
    array: NDArray[np.int32], corners: NDArray[np.int64], size: tuple[int, int], fill: int
) -> NDArray[np.int32]:
    """Cut windows (N, h, w) at `corners` (N, 2) = (x, y), which may reach beyond the array, where `fill` is."""
    height, width = size
    if not len(corners):
        return np.zeros((0, height, width), np.int32)
    before = np.maximum(0, -corners.min(axis=0))
    end = corners.max(axis=0) + np.array([width, height])
    after = np.maximum(0, end - np.array(array.shape[::-1]))
    padded = np.pad(array, ((before[1], after[1]), (before[0], after[0])), constant_values=fill)
    return np.stack([padded[y : y + height, x : x + width] for x, y in corners + before])


@dataclass(frozen=True, slots=True)
class Targets:
    """What the network should answer: `masks` and `weight` (N, h, w) float32, `is_cell` (N,) float32 0 or 1."""

    masks: NDArray[np.float32]
    weight: NDArray[np.float32]
    is_cell: NDArray[np.float32]


def make_targets(sample: Sample, corners: NDArray[np.int64], size: tuple[int, int]) -> Targets:
    """Build the targets of one sample for windows at `corners` (N, 2), in pixels of the model input.

    A cell that has no pixel left at the resolution of the logits counts as background, as in the research code.
    """
    windows = cut_windows(low_resolution(sample.labels), corners // STRIDE, size, fill=0)
    on_cell = sample.cell > 0
    masks = ((windows == sample.cell[:, None, None]) & on_cell[:, None, None]).astype(np.float32)
    weight = np.ones_like(masks)
    if sample.annotated is not None:
        known = cut_windows(low_resolution(sample.annotated.astype(np.int32)), corners // STRIDE, size, fill=0)
        weight = known.astype(np.float32)
        masks *= weight
    is_cell = (masks.any(axis=(1, 2)) & on_cell).astype(np.float32)
    return Targets(masks, weight, is_cell)


def window_layout(model: Backbone, sample: Sample) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Corners (N, 2) and size (h, w) of the masks the model will return for a sample's prompts."""
    points = torch.from_numpy(sample.xy[:, None].astype(np.float32))
    origin, side = model.mask_windows(points, torch.ones(points.shape[:2], dtype=torch.int64))
    return origin.numpy(), (side // STRIDE, side // STRIDE)


def count_batch(model: Backbone, samples: Sequence[Sample]) -> tuple[BatchCounts, list[Targets]]:
    """Make the targets of a batch and count what its sums are divided by."""
    targets = [make_targets(sample, *window_layout(model, sample)) for sample in samples]
    points = sum(len(sample.xy) for sample in samples)
    values = sum(float(target.weight[target.is_cell > 0].sum()) for target in targets)
    return BatchCounts(points, values), targets


def forward_loss(
    model: Backbone,
    samples: Sequence[Sample],
    targets: Sequence[Targets],
    counts: BatchCounts,
    ce_weight: float,
    autocast: torch.dtype | None = None,
) -> Tensor:
    """Loss of some samples of a batch, as their share of the loss of the whole batch.

    Every prompt, also one on the background, is given as a foreground point: the score must learn the difference.
    """
    device = model.device_of()
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples])).to(device)
    points = torch.from_numpy(np.concatenate([sample.xy for sample in samples])).to(device, torch.float32)[:, None]
    index = torch.from_numpy(np.repeat(np.arange(len(samples)), [len(sample.xy) for sample in samples])).to(device)
    with torch.autocast(device.type, dtype=autocast or torch.bfloat16, enabled=autocast is not None):
        embedding = model.encode(pixels.permute(0, 3, 1, 2).float())
        decoded = model.decode(embedding, points, torch.ones(points.shape[:2], dtype=torch.int64, device=device), index)
    truth = torch.from_numpy(np.concatenate([target.masks for target in targets])).to(device)
    weight = torch.from_numpy(np.concatenate([target.weight for target in targets])).to(device)
    is_cell = torch.from_numpy(np.concatenate([target.is_cell for target in targets])).to(device)
    return combine(decoded.scores.float(), decoded.logits.float(), truth, weight, is_cell, counts, ce_weight)


def combine(
    scores: Tensor,
    logits: Tensor,
    truth: Tensor,
    weight: Tensor,
    is_cell: Tensor,
    counts: BatchCounts,
    ce_weight: float,
) -> Tensor:
    """Mean squared error of scores (N,) over all prompts + `ce_weight` x mean cross-entropy over masks of cells."""
    loss = (scores - is_cell).square().sum() / max(counts.points, 1)
    on = is_cell > 0
    if bool(on.any()):
        entropy = F.binary_cross_entropy_with_logits(logits[on], truth[on], weight=weight[on], reduction="sum")
        loss = loss + ce_weight * entropy / max(counts.mask_values, 1.0)
    return loss
