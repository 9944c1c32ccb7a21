"""From an annotated image to a training crop: geometry, look, and the prompts asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellseg1.training.pretrain.pool import WEIGHTS, Sample
from cellseg1.training.pretrain.synthetic import synthetic_crop

Rng = np.random.Generator
_TARGET = 28.0


@dataclass(frozen=True, slots=True)
class Crop:
    """A training crop: image (S, S, 3) uint8, labels (S, S) int32, and prompts.

    `points` (N, 2) float (x, y) with `cell` (N,) the label under each, 0 for background.  `clicks` holds prompts
    as a user gives them: (M, 3, 2) points with (M, 3) SAM point labels and (M,) the wanted cell.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    points: NDArray[np.float32]
    cell: NDArray[np.int32]
    clicks: NDArray[np.float32]
    click_labels: NDArray[np.int32]
    click_cell: NDArray[np.int32]


def draw_crop(rng: Rng, pool: dict[str, list[Sample]], size: int, synthetic_share: float) -> Crop:
    """Draw one crop of `size` pixels from the pool or, with probability `synthetic_share`, from the generator."""
    for _ in range(20):
        if rng.random() < synthetic_share:
            image, labels = synthetic_crop(rng, size)
            image, labels = turned(rng, image, labels)
        else:
            image, labels = cut(rng, some_sample(rng, pool), size)
        if np.count_nonzero(labels) >= 30:
            break
    return with_prompts(rng, look(rng, image), labels)


def some_sample(rng: Rng, pool: dict[str, list[Sample]]) -> Sample:
    """Choose an image of the pool, its set by `WEIGHTS`."""
    keys = [key for key in pool if key in WEIGHTS]
    weight = np.array([WEIGHTS[key] for key in keys])
    samples = pool[keys[int(rng.choice(len(keys), p=weight / weight.sum()))]]
    return samples[int(rng.integers(len(samples)))]


def turned(
    rng: Rng, image: NDArray[np.uint8], labels: NDArray[np.int32]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Turn a crop by a random number of right angles."""
    turns = int(rng.integers(4))
    return np.rot90(image, turns).copy(), np.rot90(labels, turns).copy()


def cut(
    rng: Rng, sample: Sample, size: int, target: float = _TARGET, inward: float = 0.0
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Crop with random position, scale, aspect, rotation, flip and, sometimes, elastic deformation.

    `target` is the middle of the range of diameters, `inward` the chance that the crop is moved away from the image's
    border as far as the image is large.
    """
    diameter = target * 2.0 ** rng.uniform(-1, 1)
    scale = float(np.clip(diameter / sample.diameter, 0.25, 4.0))
    aspect = np.exp(rng.uniform(-0.15, 0.15))
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else rng.integers(4) * np.pi / 2
    mirror = rng.choice([-1.0, 1.0])
    height, width = sample.labels.shape
    # Near a cell, so that crops are seldom empty; anywhere else one time in ten.
    centre = rng.uniform((0, 0), (width, height))
    if rng.random() < 0.9:
        for _ in range(8):
            x, y = int(rng.integers(width)), int(rng.integers(height))
            if sample.labels[y, x]:
                centre = np.array([x, y]) + rng.standard_normal(2) * 0.25 * size / scale
                break
    if inward > 0 and rng.random() < inward:
        reach = 0.55 * size / scale
        low = np.minimum(reach, np.array([width, height]) / 2)
        centre = np.clip(centre, low, np.array([width, height]) - low)
    along = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / scale
    gx, gy = np.meshgrid(along * aspect * mirror, along / aspect)
    if rng.random() < 0.3:
        coarse = int(rng.integers(3, 7))
        strength = rng.uniform(0.02, 0.08) * size / coarse / scale * 2
        bends = rng.standard_normal((2, coarse, coarse)).astype(np.float32)
        for grid, bend in zip((gx, gy), bends, strict=True):
            grid += strength * cv2.resize(bend, (size, size), interpolation=cv2.INTER_CUBIC)  # noqa: PLW2901 - in place
    map_x = (np.cos(turn) * gx - np.sin(turn) * gy + centre[0]).astype(np.float32)
    map_y = (np.sin(turn) * gx + np.cos(turn) * gy + centre[1]).astype(np.float32)
    source = sample.image
    if scale < 0.7:
        sigma = 0.4 / scale
        source = cv2.GaussianBlur(source, (0, 0), sigma).astype(np.uint8)
    border = cv2.BORDER_REFLECT_101 if rng.random() < 0.7 else cv2.BORDER_CONSTANT
    image = cv2.remap(source, map_x, map_y, cv2.INTER_LINEAR, borderMode=border)
    # float32 holds every label exactly; remap has no integer version of more than 16 bits.
    labels = cv2.remap(sample.labels.astype(np.float32), map_x, map_y, cv2.INTER_NEAREST, borderMode=border)
    return np.asarray(image, dtype=np.uint8), labels.astype(np.int32)


def look(rng: Rng, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Random appearance: channels, inversion, gamma, contrast, light, blur, resolution, noise."""
    x: NDArray[Any] = image.astype(np.float32) / 255
    if rng.random() < 0.3:
        x = x[..., rng.permutation(3)]
    if rng.random() < 0.15:
        x = np.repeat(x @ rng.dirichlet((1, 1, 1)).astype(np.float32)[:, None], 3, axis=2)
    if rng.random() < 0.1:
        x = x * (np.arange(3) == rng.integers(3))
    if rng.random() < 0.3:
        x = 1 - x
    if rng.random() < 0.6:
        x = np.clip(x, 0, 1) ** np.exp(rng.uniform(-0.8, 0.8))
    if rng.random() < 0.3:
        side = x.shape[0]
        coarse = cv2.resize(rng.uniform(-1, 1, (3, 3)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
        x = x + rng.uniform(0, 0.25) * coarse[..., None]
    if rng.random() < 0.3:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.2:
        side = x.shape[0]
        small = int(side / rng.uniform(1.2, 2.5))
        x = cv2.resize(cv2.resize(x, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    if rng.random() < 0.5:
        noise = rng.standard_normal((*x.shape[:2], 1 if rng.random() < 0.6 else 3)).astype(np.float32)
        x = x + rng.uniform(0, 0.12) * noise
    if rng.random() < 0.7:
        low, high = np.percentile(x, (rng.uniform(0, 2), rng.uniform(97, 100)))
        x = (x - low) / max(float(high - low), 0.05)
    if rng.random() < 0.4:
        x = x * rng.uniform(0.6, 1.1) + rng.uniform(0, 0.15)
    return np.asarray(np.clip(x, 0, 1) * 255, dtype=np.uint8)


def with_prompts(
    rng: Rng,
    image: NDArray[np.uint8],
    labels: NDArray[np.int32],
    most: int = 14,
    free: tuple[int, int] = (2, 6),
    near: float = 0.0,
) -> Crop:
    """Choose the prompts of a crop.

    Parameters
    ----------
    most
        Largest number of prompted cells.
    free
        Smallest and largest number of points on the background.
    near
        The share of them that lies within 8 pixels of a cell.
    """
    inner = _inner_depth(labels)
    ids = np.unique(labels)
    ids = ids[ids > 0]
    points: list[tuple[int, int]] = []
    cell: list[int] = []
    clicks: list[NDArray[np.float32]] = []
    click_labels: list[tuple[int, int, int]] = []
    click_cell: list[int] = []
    for number, identity in enumerate(rng.permutation(ids)[:most]):
        yy, xx = np.nonzero(labels == identity)
        if len(yy) < 10:
            continue
        depth = inner[yy, xx]
        # Mostly the inner part; a grid in prediction also falls near edges.
        deep = np.flatnonzero(depth >= np.quantile(depth, 0.6 if rng.random() < 0.7 else 0.1))
        pick = deep[rng.integers(len(deep))]
        points.append((int(xx[pick]), int(yy[pick])))
        cell.append(int(identity))
        if number < 3:
            prompt, kinds = _click(rng, labels, int(identity), yy, xx, points[-1])
            clicks.append(prompt)
            click_labels.append(kinds)
            click_cell.append(int(identity))
    away = np.flatnonzero(labels.ravel() == 0)
    if len(away):
        share = cv2.distanceTransform((labels == 0).astype(np.uint8), cv2.DIST_L2, 3).ravel()[away]
        count = min(free[1], free[0] + len(points) // 3)
        far = away[share >= 2]
        chosen = list(rng.choice(far if len(far) else away, count))
        if near > 0:
            beside = away[(share >= 2) & (share < 8)]
            chosen = [rng.choice(beside) if len(beside) and rng.random() < near else flat for flat in chosen]
        for flat in chosen:
            points.append((int(flat % labels.shape[1]), int(flat // labels.shape[1])))
            cell.append(0)
    return Crop(
        image,
        labels,
        np.array(points, np.float32).reshape(-1, 2),
        np.array(cell, np.int32),
        np.array(clicks, np.float32).reshape(-1, 3, 2),
        np.array(click_labels, np.int32).reshape(-1, 3),
        np.array(click_cell, np.int32),
    )


def _inner_depth(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Distance of every pixel to the edge of its own cell (pixels), 0 on the background."""
    edge = labels == 0
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    return np.asarray(cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 3), dtype=np.float32)


def _click(
    rng: Rng,
    labels: NDArray[np.int32],
    identity: int,
    yy: NDArray[np.intp],
    xx: NDArray[np.intp],
    first: tuple[int, int],
) -> tuple[NDArray[np.float32], tuple[int, int, int]]:
    """A prompt as a user gives it: box, box and click, or clicks of both signs, padded to three points."""
    if rng.random() < 0.45:
        jitter = rng.normal(0, 1.5, 4)
        corners = np.array([xx.min(), yy.min(), xx.max(), yy.max()]) + jitter
        extra = (first, 1) if rng.random() < 0.3 else ((0, 0), -1)
        return np.array([extra[0], corners[:2], corners[2:]], np.float32), (extra[1], 2, 3)
    prompt = [first]
    kinds = [1]
    for _ in range(2):
        if rng.random() < 0.5:
            pick = int(rng.integers(len(yy)))
            prompt.append((int(xx[pick]), int(yy[pick])))
            kinds.append(1)
        else:
            x = int(np.clip(first[0] + rng.normal(0, 20), 0, labels.shape[1] - 1))
            y = int(np.clip(first[1] + rng.normal(0, 20), 0, labels.shape[0] - 1))
            inside = labels[y, x] == identity
            prompt.append((0, 0) if inside else (x, y))
            kinds.append(-1 if inside else 0)
    return np.array(prompt, np.float32), (kinds[0], kinds[1], kinds[2])
