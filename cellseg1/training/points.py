"""Where the prompts of a training tile lie: one point per cell, some on the background.

The rules are those of the research code (arXiv 2412.01410); two switches choose between its behaviour and the
repaired one (T6, T7 in docs/decisions/0004-two-recipes.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cellseg1.settings import Settings

Labels = NDArray[np.int32]
Points = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TilePoints:
    """Prompts of one tile: `xy` (N, 2) int64 in pixels, `cell` (N,) int32, the label under each, 0 on background."""

    xy: Points
    cell: NDArray[np.int32]


def sample_points(
    labels: Labels, settings: Settings, rng: np.random.Generator, annotated: NDArray[np.bool_] | None = None
) -> TilePoints:
    """Draw the prompts of one tile.

    A cell gets a point in its innermost part unless it is too small or wholly within `edge_distance` of the border.
    Background points lie in the part that is farthest from cells and border.

    Parameters
    ----------
    labels
        (H, W) label image of the tile; gaps are allowed.
    annotated
        (H, W); where False nothing is known: no point falls there, and its edge counts as a border.

    Returns
    -------
    At least one point, except where neither a usable cell nor any background exists.
    """
    full_tile = settings.switches.full_tile == "upstream"
    known = np.ones(labels.shape, bool) if annotated is None else annotated
    inside = labels if annotated is None else np.where(annotated, labels, 0).astype(np.int32)
    numbered, names = _number(inside, lowest_is_background=full_tile)
    count = len(names)
    wanted_cells = min(settings.points.max_point_num, math.ceil(count * settings.points.pos_rate))
    wanted_background = min(settings.points.max_point_num, math.ceil(count * settings.points.neg_rate))
    covered = int(np.count_nonzero(numbered))
    free = int(np.count_nonzero(known)) - covered
    if free == 0 or covered / free > settings.points.neg_area_ratio_threshold:
        wanted_background = 0
    if wanted_cells == 0 and wanted_background == 0:
        wanted_background = 1

    cells = _cell_points(numbered, wanted_cells, settings, rng)
    background = _background_points((numbered == 0) & known, wanted_background, settings, rng)
    xy = np.array([point for point, _ in cells] + background, dtype=np.int64).reshape(-1, 2)
    ids = np.array([names[number - 1] for _, number in cells] + [0] * len(background), dtype=np.int32)
    return TilePoints(xy, ids)


def _number(labels: Labels, *, lowest_is_background: bool) -> tuple[Labels, NDArray[np.int32]]:
    """Number the cells 1..n; also return their labels.

    `lowest_is_background` keeps defect T6: without any background the cell of the lowest label is taken for it.
    """
    values, inverse = np.unique(labels, return_inverse=True)
    numbered = inverse.reshape(labels.shape).astype(np.int32)
    if values[0] == 0 or (lowest_is_background and len(values) > 1):
        return numbered, values[1:].astype(np.int32)
    return numbered + 1, values.astype(np.int32)


def _cell_points(
    numbered: Labels, wanted: int, settings: Settings, rng: np.random.Generator
) -> list[tuple[tuple[int, int], int]]:
    from scipy.ndimage import find_objects

    boxes = find_objects(numbered)
    chosen = rng.permutation(len(boxes))[:wanted]
    result: list[tuple[tuple[int, int], int]] = []
    for index in chosen:
        box = boxes[index]
        if box is None or near_border(box, settings.points.edge_distance, numbered.shape):
            continue
        inside = numbered[box] == index + 1
        if int(inside.sum()) <= settings.points.min_cell_area:
            continue
        depth = _depth(inside, repaired=settings.switches.distance == "repaired")
        depth = innermost(depth, settings.points.foreground_sample_area_ratio)
        y, x = _draw(depth, 1, settings.points.foreground_equal_prob, rng)[0]
        result.append(((x + box[1].start, y + box[0].start), int(index) + 1))
    return result


def _depth(inside: NDArray[np.bool_], *, repaired: bool) -> NDArray[np.float32]:
    """Distance to the cell's edge in pixels, on its bounding box.

    The research code sees no edge where a cell touches its bounding box (T7); repaired, one row of outside is
    added all round.
    """
    pad = 1 if repaired else 0
    box = np.pad(inside, pad).astype(np.uint8)
    depth = cv2.distanceTransform(box, cv2.DIST_L2, cv2.DIST_MASK_5)
    depth = depth[pad : depth.shape[0] - pad, pad : depth.shape[1] - pad]
    return np.where(inside, depth, 0).astype(np.float32)


def _background_points(
    free: NDArray[np.bool_], wanted: int, settings: Settings, rng: np.random.Generator
) -> list[tuple[int, int]]:
    if wanted == 0 or not free.any():
        return []
    # The border counts as an obstacle, so points keep away from it.
    padded = np.pad(free, 1).astype(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1].astype(np.float32)
    far = innermost(distance, settings.points.background_sample_area_ratio)
    area = int(np.count_nonzero(far))
    wanted = min(wanted, int(area / settings.points.neg_area_threshold) + 1)
    return [(x, y) for y, x in _draw(far, wanted, settings.points.background_equal_prob, rng)]


def innermost(distance: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Keep the `share` of the non-zero pixels that are largest (ties stay), zero the rest."""
    positive = distance[distance > 0]
    keep = int(len(positive) * share)
    if keep == 0:
        return distance
    threshold = np.partition(positive, len(positive) - keep)[len(positive) - keep]
    return np.where(distance < threshold, 0, distance).astype(np.float32)


def _draw(weight: NDArray[np.float32], count: int, equal: bool, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw `count` positions (y, x) with replacement where `weight` is positive, alike or in proportion to it."""
    flat = np.flatnonzero(weight)
    probability = None
    if not equal:
        values = weight.ravel()[flat].astype(np.float64)
        probability = values / values.sum()
    picked = rng.choice(flat, size=count, p=probability)
    return [(int(index // weight.shape[1]), int(index % weight.shape[1])) for index in picked]


def near_border(box: tuple[slice, ...], distance: int, shape: tuple[int, ...]) -> bool:
    """Tell whether a bounding box lies wholly within `distance` pixels of the border."""
    rows, columns = box
    return bool(
        rows.stop < distance
        or columns.stop < distance
        or rows.start > shape[0] - distance
        or columns.start > shape[1] - distance
    )
