"""Crops for the second architecture: stronger augmentation, cells pasted onto other sets, images of any size."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellseg1.sam.tiny2 import TARGET_DIAMETER_2
from cellseg1.training.pretrain.crops import Crop, cut, look, some_sample, turned, with_prompts
from cellseg1.training.pretrain.drawn import draw_cells
from cellseg1.training.pretrain.pool import Sample
from cellseg1.training.pretrain.synthetic import noise

Rng = np.random.Generator
Pixels = NDArray[np.uint8]
Labels = NDArray[np.int32]

#: Prompts on cells and on the background per 128 x 128 pixels of a crop.
_ON_CELLS, _ON_GROUND = 9, 4
_UNIT = 128 * 128
_PASTED = 0.15


def draw_crop2(rng: Rng, pool: dict[str, list[Sample]], side: int, shown: tuple[int, int], drawn_share: float) -> Crop:
    """Draw one crop of `shown` (h, w) pixels, cut out of one of `side` pixels.

    Parameters
    ----------
    drawn_share
        Chance that it is drawn by `cellseg1.training.pretrain.drawn` instead of taken from the pool.
    """
    for _ in range(20):
        image, labels = _source(rng, pool, side, drawn_share)
        if rng.random() < _PASTED:
            image, labels = _paste(rng, (image, labels), _source(rng, pool, side, drawn_share))
        labels = labels[: shown[0], : shown[1]]
        if np.count_nonzero(labels) >= 30:
            break
    image = harder_look(rng, look(rng, image))[: shown[0], : shown[1]]
    share = shown[0] * shown[1] / _UNIT
    most, free = max(1, round(_ON_CELLS * share)), max(2, round(_ON_GROUND * share))
    return with_prompts(rng, np.ascontiguousarray(image), in_pieces(labels), most, (max(1, free // 2), free), near=0.5)


def _source(rng: Rng, pool: dict[str, list[Sample]], side: int, drawn_share: float) -> tuple[Pixels, Labels]:
    if rng.random() < drawn_share or not pool:
        return turned(rng, *draw_cells(rng, side))
    return cut(rng, some_sample(rng, pool), side, TARGET_DIAMETER_2, inward=0.7)


def in_pieces(labels: Labels) -> Labels:
    """Give every connected piece of a label its own number; pieces below 4 pixels become background.

    A mirrored border gives a cell and its mirror image one label.
    """
    from skimage.measure import label

    pieces: Labels = np.asarray(label(labels, background=0, connectivity=1), dtype=np.int32)  # type: ignore[no-untyped-call]
    small = np.bincount(pieces.ravel()) < 4
    small[0] = False
    pieces[small[pieces]] = 0
    return pieces


def _paste(rng: Rng, onto: tuple[Pixels, Labels], source: tuple[Pixels, Labels]) -> tuple[Pixels, Labels]:
    """Paste some cells of one crop where another has room for them, with their contrast to their surroundings."""
    image, labels = onto[0].astype(np.float32), onto[1].copy()
    other, cells = source[0].astype(np.float32), source[1]
    ids = np.unique(cells[cells > 0])
    ground = float(np.median(other[cells == 0])) if (cells == 0).any() else float(other.mean())
    level = float(np.median(image[labels == 0])) if (labels == 0).any() else float(image.mean())
    keep_level = rng.random() < 0.5
    number = int(labels.max())
    for identity in rng.permutation(ids)[: int(rng.integers(1, 9))]:
        mask = cells == identity
        covered = labels[mask]
        if np.count_nonzero(covered) > 0.1 * covered.size or covered.size < 12:
            continue
        number += 1
        free = mask & (labels == 0)
        labels[free] = number
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)[..., None]
        value = other if keep_level else other - ground + level
        image = image * (1 - soft) + value * soft
    return np.asarray(np.clip(image, 0, 255), dtype=np.uint8), labels


def harder_look(rng: Rng, image: Pixels) -> Pixels:
    """Change a crop in ways that microscopes, cameras and files do, each seldom."""
    x: NDArray[Any] = image.astype(np.float32) / 255
    side = x.shape[0]
    if rng.random() < 0.15:
        # Colours of another stain or camera.
        x = x @ (np.eye(3) + rng.normal(0, 0.15, (3, 3))).astype(np.float32)
    if rng.random() < 0.15:
        # Light falls off towards one side.
        strength = rng.uniform(0, 0.5)
        x = x * (1 + strength * np.clip(noise(rng, side, rng.uniform(side / 2, 2 * side)), -1.5, 1.5))[..., None]
    if rng.random() < 0.1:
        x = np.sqrt(np.clip(x, 0, 1)) if rng.random() < 0.5 else np.square(np.clip(x, 0, 1))
    if rng.random() < 0.1:
        # Out of focus: a disc, not a Gaussian.
        radius = int(rng.integers(1, 4))
        yy, xx = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        disc = (yy**2 + xx**2 <= (radius + 0.3) ** 2).astype(np.float32)
        x = cv2.filter2D(x, -1, disc / disc.sum())
    if rng.random() < 0.08:
        x = x + rng.uniform(0.5, 2.0) * (x - cv2.GaussianBlur(x, (0, 0), rng.uniform(1, 6)))
    if rng.random() < 0.08:
        lines = rng.standard_normal((side,)).astype(np.float32) * rng.uniform(0.01, 0.08)
        x = x + (lines[:, None, None] if rng.random() < 0.5 else lines[None, :, None])
    if rng.random() < 0.1:
        # Shot noise.
        photons = 10 ** rng.uniform(0.8, 2.5)
        x = np.asarray(rng.poisson(np.clip(x, 0, 1) * photons), dtype=np.float32) / photons
    if rng.random() < 0.1:
        hot = rng.random(x.shape[:2]) < 10 ** rng.uniform(-3.5, -2)
        x = np.where(hot[..., None], rng.choice([0.0, 1.0, 1.0]), x)
    result = np.asarray(np.clip(x, 0, 1) * 255, dtype=np.uint8)
    if rng.random() < 0.12:
        done, stream = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 80))])
        assert done
        result = np.asarray(cv2.imdecode(stream, cv2.IMREAD_COLOR), dtype=np.uint8)
    return result
