"""From crops to batches, drawn ahead in processes of their own where that is wanted.

Batches are arrays, not tensors: tensors would travel through shared memory, of which some computers have little.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cellseg1.sam.device import quiet_cpu
from cellseg1.sam.interface import Decoded
from cellseg1.sam.tiny import SKIP_STRIDE, WINDOW
from cellseg1.training.pretrain.crops import Crop, draw_crop
from cellseg1.training.pretrain.pool import Sample
from cellseg1.training.pretrain.settings import PretrainSettings

B = TypeVar("B")

#: More steps than any training takes.
_ENDLESS = 10**9
#: Margin around the crop, in values of the masks: half a window plus the rounding of its corner.
MARGIN = WINDOW // SKIP_STRIDE // 2 + 2


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
        (B, S / 4 + margins, S / 4 + margins) int32: the labels at the resolution of the mask logits; -1 is outside the
        crop, and there are `MARGIN` values of it on every side.
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
    return Batch(
        np.stack([crop.image for crop in crops]),
        np.stack([_low_labels(crop.labels) for crop in crops]),
        *gather_prompts(crops),
    )


def gather_prompts(crops: Sequence[Crop]) -> tuple[Prompts, Prompts, Prompts]:
    """Return the prompts of all crops: of one point, with a box, of several points."""
    single: list[tuple[int, Any, Any, int]] = []
    boxes: list[tuple[int, Any, Any, int]] = []
    clicks: list[tuple[int, Any, Any, int]] = []
    for i, crop in enumerate(crops):
        single += [(i, p[None], (1,), int(c)) for p, c in zip(crop.points, crop.cell, strict=True)]
        for p, k, c in zip(crop.clicks, crop.click_labels, crop.click_cell, strict=True):
            (boxes if 2 in k else clicks).append((i, p, tuple(k), int(c)))
    return _stack(single, 1), _stack(boxes, 3), _stack(clicks, 3)


def windows_of(labels: Tensor, crop: Tensor, decoded: Decoded, margin: int) -> Tensor:
    """Cut the window (N, S, S, ...) of each decoded mask out of the labels (B, H, W, ...) of its `crop` (N,).

    Labels have the stride of the masks, and `margin` values around the crop.
    """
    corner = decoded.origin.to(labels.device) // decoded.stride + margin
    along = torch.arange(decoded.logits.shape[-1], device=labels.device)
    rows = corner[:, 1, None, None] + along[:, None]
    columns = corner[:, 0, None, None] + along
    return labels[crop[:, None, None], rows, columns]


def _stack(entries: list[tuple[int, Any, Any, int]], points: int) -> Prompts:
    return Prompts(
        np.array([entry[0] for entry in entries], np.int64),
        np.array([entry[1] for entry in entries], np.float32).reshape(-1, points, 2),
        np.array([entry[2] for entry in entries], np.int64).reshape(-1, points),
        np.array([entry[3] for entry in entries], np.int32),
    )


def _low_labels(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    low = labels[SKIP_STRIDE // 2 :: SKIP_STRIDE, SKIP_STRIDE // 2 :: SKIP_STRIDE]
    return np.pad(low, MARGIN, constant_values=-1)


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
    quiet_cpu(1)


def batches(
    pool: dict[str, list[Sample]], settings: PretrainSettings, first: int, workers: int = 0
) -> Generator[Batch]:
    """Yield the batch of step `first` and of every later one; closing the iterator ends the processes."""
    return drawn_ahead(_Steps(pool, settings), first, workers)


def drawn_ahead(steps: Dataset[B], first: int, workers: int) -> Generator[B]:
    """Yield the batches of `steps` from step `first` on, made in `workers` processes; 0 uses the current one."""
    if workers == 0:
        yield from (steps[step] for step in range(first, _ENDLESS))
        return
    # OpenCV's threads do not live on in a forked process, and a process that waits for them waits for ever.
    cv2.setNumThreads(1)
    loader: DataLoader[B] = DataLoader(
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
