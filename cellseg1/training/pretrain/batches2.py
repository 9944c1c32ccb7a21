"""Batches for the second architecture: labels and dense maps at stride 2, images of any size.

Batches are arrays, not tensors, as in `cellseg1.training.pretrain.batches`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellseg1.sam.tiny2 import MASK_STRIDE_2, WINDOW_2
from cellseg1.training.pretrain.batches import Prompts, gather_prompts
from cellseg1.training.pretrain.crops import Crop
from cellseg1.training.pretrain.dense import dense_maps

#: Margin around the image, in values of stride 2: half a window plus the rounding of its corner.
MARGIN = WINDOW_2 // MASK_STRIDE_2 // 2 + 4


@dataclass(frozen=True, slots=True)
class Batch2:
    """What one step needs.

    Attributes
    ----------
    pixels
        (B, h, w, 3) uint8; the sides need not be multiples of 16.
    labels
        (B, S / 2 + margins, S / 2 + margins, 4) int32: the labels of the four pixels of each value of a mask; -1 is
        outside the image, and there are `MARGIN` values of it on every side.
    dense
        (B, 5, S / 2, S / 2) float32, the maps of `cellseg1.sam.tiny2.DENSE_MAPS`.
    point, box, clicks
        Prompts of one point, with a box, and of several points.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]
    dense: NDArray[np.float32]
    point: Prompts
    box: Prompts
    clicks: Prompts


def make_batch2(crops: Sequence[Crop]) -> Batch2:
    """Stack crops of one size; the padding to multiples of 16 counts as outside the image."""
    point, box, clicks = gather_prompts(crops)
    height, width = crops[0].labels.shape
    missing = ((0, -height % 16), (0, -width % 16))
    known = [np.pad(crop.labels, missing, constant_values=-1) for crop in crops]
    return Batch2(
        np.stack([crop.image for crop in crops]),
        np.stack([_in_fours(labels) for labels in known]),
        np.stack([dense_maps(labels) for labels in known]),
        point,
        box,
        clicks,
    )


def _in_fours(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    height, width = labels.shape
    step = MASK_STRIDE_2
    parts = labels.reshape(height // step, step, width // step, step).transpose(0, 2, 1, 3)
    fours = parts.reshape(height // step, width // step, step * step)
    return np.pad(fours, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=-1)
