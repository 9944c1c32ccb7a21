"""From crops to batches, drawn ahead in processes of their own where that is wanted.

Batches are arrays, not tensors: tensors would travel through shared memory, of which some computers have little.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cellseg1.sam.tiny import SKIP_STRIDE, WINDOW
from cellseg1.training.pretrain.crops import Crop, draw_crop
from cellseg1.training.pretrain.pool import Sample
from cellseg1.training.pretrain.settings import PretrainSettings

#: More steps than any training takes.
_ENDLESS = 10**9


@dataclass(frozen=True, slots=True)
class Prompts:
    """N prompts: the crop (N,) each belongs to, points (N, P, 2), SAM's point labels (N, P), wanted cells (N,)."""

    crop: NDArray[np.int64]
    points: NDArray[np.float32]
    kinds: NDArray[np.int64]
    cell: NDArray[np.int32]

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All four on a device, in this order."""
        crop, points, kinds, cell = (
            torch.from_numpy(part).to(device) for part in (self.crop, self.points, self.kinds, self.cell)
        )
        return crop, points, kinds, cell


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step needs.

    Attributes
    ----------
    pixels
        (B, S, S, 3) uint8.
    low_labels
        (B, S / 4 + margins, S / 4 + margins) int32: the labels at the resolution of the mask logits, with a margin of
        half a window and two pixels of -1, which is outside the crop.
    point, box, clicks
        Prompts of one point, with a box, and of several points.
    """

    pixels: NDArray[np.uint8]
    low_labels: NDArray[np.int32]
    point: Prompts
    box: Prompts
    clicks: Prompts


def make_batch(crops: list[Crop]) -> Batch:
    """Stack crops of one size."""
    single: list[tuple[int, Any, Any, int]] = []
    boxes: list[tuple[int, Any, Any, int]] = []
    clicks: list[tuple[int, Any, Any, int]] = []
    for i, crop in enumerate(crops):
        single += [(i, p[None], (1,), int(c)) for p, c in zip(crop.points, crop.cell, strict=True)]
        for p, k, c in zip(crop.clicks, crop.click_labels, crop.click_cell, strict=True):
            (boxes if 2 in k else clicks).append((i, p, tuple(k), int(c)))
    return Batch(
        np.stack([crop.image for crop in crops]),
        np.stack([_low_labels(crop.labels) for crop in crops]),
        _stack(single, 1),
        _stack(boxes, 3),
        _stack(clicks, 3),
    )


def _stack(entries: list[tuple[int, Any, Any, int]], points: int) -> Prompts:
    return Prompts(
        np.array([entry[0] for entry in entries], np.int64),
        np.array([entry[1] for entry in entries], np.float32).reshape(-1, points, 2),
        np.array([entry[2] for entry in entries], np.int64).reshape(-1, points),
        np.array([entry[3] for entry in entries], np.int32),
    )


def _low_labels(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    low = labels[SKIP_STRIDE // 2 :: SKIP_STRIDE, SKIP_STRIDE // 2 :: SKIP_STRIDE]
    return np.pad(low, WINDOW // SKIP_STRIDE // 2 + 2, constant_values=-1)


class _Steps(Dataset[Batch]):
    """The batch of each step; the randomness of each crop comes from (seed, step, index) alone."""

    def __init__(self, pool: dict[str, list[Sample]], settings: PretrainSettings) -> None:
        self.pool = pool
        self.settings = settings

    def __getitem__(self, step: int) -> Batch:
        settings = self.settings
        return make_batch(
            [
                draw_crop(
                    np.random.default_rng((settings.seed, step, i)), self.pool, settings.crop, settings.synthetic_share
                )
                for i in range(settings.batch)
            ]
        )


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)


def batches(
    pool: dict[str, list[Sample]], settings: PretrainSettings, first: int, workers: int = 0
) -> Generator[Batch]:
    """Yield the batch of step `first` and of every later one; closing the iterator ends the processes."""
    steps = _Steps(pool, settings)
    if workers == 0:
        yield from (steps[step] for step in range(first, _ENDLESS))
        return
    # OpenCV's threads do not live on in a forked process, and a process that waits for them waits for ever.
    cv2.setNumThreads(1)
    loader: DataLoader[Batch] = DataLoader(
        steps,
        batch_size=None,
        sampler=range(first, _ENDLESS),
        num_workers=workers,
        prefetch_factor=4,
        collate_fn=_as_it_is,
        worker_init_fn=_one_thread,
    )
    yield from loader


def _as_it_is(batch: Any) -> Any:
    return batch
