"""Filling the small holes and dropping the small islands of many masks at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellseg1.prediction.ranges import expand
from cellseg1.prediction.runs import Runs, components, largest_components

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gaps(runs: Runs, boxes: NDArray[np.integer]) -> Runs:
    """Return what is *not* in each mask within its box (count, 4) xyxy exclusive; boxes must hold their masks."""
    owner, y = expand(boxes[:, 1], np.where(boxes[:, 2] > boxes[:, 0], boxes[:, 3], boxes[:, 1]))
    # An empty run at either end of every row of the box: the gaps then lie between neighbours in the sorted list.
    left, right = boxes[owner, 0].astype(np.int64), boxes[owner, 2].astype(np.int64)
    mask = np.concatenate([runs.mask, owner, owner])
    rows = np.concatenate([runs.y, y, y])
    x0 = np.concatenate([runs.x0, left, right])
    x1 = np.concatenate([runs.x1, left, right])
    key = (mask * (runs.shape[0] + 1) + rows) * (2 * runs.shape[1] + 3)
    order = np.argsort(key + x0 + x1, kind="stable")
    key, mask, rows, x0, x1 = key[order], mask[order], rows[order], x0[order], x1[order]
    gap = (key[1:] == key[:-1]) & (x0[1:] > x1[:-1])
    return Runs(runs.count, runs.shape, mask[1:][gap], rows[1:][gap], x1[:-1][gap], x0[1:][gap])


def merge(a: Runs, b: Runs) -> Runs:
    """Return mask by mask the union of `a` and `b`, which must not overlap (touching is fine)."""
    mask, y = np.concatenate([a.mask, b.mask]), np.concatenate([a.y, b.y])
    x0, x1 = np.concatenate([a.x0, b.x0]), np.concatenate([a.x1, b.x1])
    row = mask * (a.shape[0] + 1) + y
    order = np.argsort(row * (a.shape[1] + 1) + x0, kind="stable")
    row, mask, y, x0, x1 = row[order], mask[order], y[order], x0[order], x1[order]
    begins = np.ones(len(row), bool)
    begins[1:] = (row[1:] != row[:-1]) | (x0[1:] > x1[:-1])
    ends = np.roll(begins, -1)
    return Runs(a.count, a.shape, mask[begins], y[begins], x0[begins], x1[ends])


def without_small_regions(runs: Runs, threshold: int) -> Runs:
    """Fill holes, then drop islands, of fewer than `threshold` pixels (8-connected).

    A background region at the image border counts as a hole.  When every island is small the largest stays.  The
    rules are those of ``remove_small_regions`` of Segment Anything (Kirillov et al. 2023) for holes, then islands.
    """
    boxes = runs.boxes()
    limits = np.array([0, 0, runs.shape[1], runs.shape[0]])
    margin = np.abs(limits - boxes)
    # The outside of a box is background.  Where it is at least `threshold` wide no region that reaches it is small,
    # so one row of it suffices; a narrower strip is taken whole, so that its size is exact.
    wide = margin >= threshold
    grown = boxes + np.where(wide, 1, margin) * np.array([-1, -1, 1, 1])
    grown[runs.areas() == 0] = 0
    holes = gaps(runs, grown)
    if len(holes.mask):
        component = components(holes, 8)
        box, open_side = grown[holes.mask], wide[holes.mask]
        reaches = (holes.x0 == box[:, 0]) & open_side[:, 0]
        reaches |= (holes.y == box[:, 1]) & open_side[:, 1]
        reaches |= (holes.x1 == box[:, 2]) & open_side[:, 2]
        reaches |= (holes.y == box[:, 3] - 1) & open_side[:, 3]
        size = np.bincount(component, weights=holes.x1 - holes.x0)
        size[component[reaches]] = threshold
        runs = merge(runs, holes.keep((size < threshold)[component]))
    if len(runs.mask):
        component = components(runs, 8)
        large = (np.bincount(component, weights=runs.x1 - runs.x0) >= threshold)[component]
        some_large = np.zeros(runs.count, bool)
        some_large[runs.mask[large]] = True
        runs = runs.keep(np.where(some_large[runs.mask], large, largest_components(runs, 8)))
    return runs
