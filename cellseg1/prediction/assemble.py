"""From overlapping masks to one label image: painted from large to small, so that the smaller lies on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellseg1.prediction.runs import Runs, largest_components, segments

if TYPE_CHECKING:
    from numpy.typing import NDArray


def assemble(
    masks: Runs, *, repaired: bool, min_area: int = 0
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Paint the masks into a label image.

    Parameters
    ----------
    masks
        The masks; of equally large ones the later lies on top.
    repaired
        False: as published, ``sam_output_to_mask`` of CellSeg1 (arXiv 2412.01410).  The largest 4-connected
        component of each mask gets its number, the rest of the mask erases what lies below, and a mask that
        smaller ones cut in two keeps both pieces.
        True: each mask takes, the smallest first, the largest 4-connected piece that the smaller ones left of its
        largest component; nothing else is changed, so every label is one piece.
    min_area
        Labels of fewer visible pixels are left out.

    Returns
    -------
    labels
        (H, W) int32, 0 background, 1..n without gaps, the largest mask first.
    order
        (n,) int64: the mask each label was painted from.
    area
        (n,) int64 visible pixels of each label.
    """
    order = np.argsort(-masks.areas(), kind="stable")
    painted = masks.take(order)
    largest = largest_components(painted, 4)
    if repaired:
        painted = painted.keep(largest)
        largest = largest[largest]
    cuts, run, segment = segments(painted)
    mask = painted.mask[run]
    size = np.diff(cuts, append=cuts[-1:])
    top = np.zeros(len(cuts), np.int64)
    # Of several values for one place NumPy keeps the last: the smallest mask.
    top[segment] = np.where(largest, painted.mask + 1, 0)[run]
    visible = top[segment] == mask + 1
    if repaired and not visible.all():
        visible = _one_piece_each(painted, cuts, top, run, segment, visible)
    area = np.bincount(mask[visible], weights=size[segment[visible]], minlength=masks.count).astype(np.int64)
    shown = area >= max(min_area, 1)
    number = np.zeros(masks.count + 1, np.int32)
    number[1:][shown] = np.arange(1, np.count_nonzero(shown) + 1)
    # Nothing is painted before the first cut and after the last.
    limits = np.concatenate([[0], cuts, [masks.shape[0] * masks.shape[1]]])
    labels = np.repeat(np.append(np.int32(0), number[top]), np.diff(limits)).reshape(masks.shape)
    return labels, order[shown], area[shown]


def _one_piece_each(
    painted: Runs,
    cuts: NDArray[np.int64],
    top: NDArray[np.int64],
    run: NDArray[np.int64],
    segment: NDArray[np.int64],
    visible: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Repaint, in place, the masks that were cut into pieces; return which segments of each mask are visible."""
    mask = painted.mask[run]
    whole = np.bincount(mask[~visible], minlength=painted.count) == 0
    pieces, _ = _joined(painted, cuts, mask, segment, np.flatnonzero(visible & ~whole[mask]))
    cut = np.zeros(painted.count, bool)
    cut[pieces.mask[~largest_components(pieces, 4)]] = True
    if not cut.any():
        return visible
    # A piece that is given up shows what lies below it, which may join or cut that in turn.  So every mask that
    # overlaps a cut one, directly or through others, is taken off and put back, the smallest first.
    hidden = ~visible
    again = _linked(painted.count, mask[hidden], top[segment[hidden]] - 1, cut)
    visible = visible & ~again[mask]
    waiting = np.flatnonzero(again[mask])
    top[segment[waiting]] = 0
    highest = np.zeros(len(top), np.int64)
    while len(waiting):
        owner, place = mask[waiting], segment[waiting]
        # A mask can be put back when no smaller one that waits shares a segment; all such masks are apart.
        highest[place] = owner
        blocked = np.zeros(painted.count, bool)
        blocked[owner[highest[place] != owner]] = True
        free = waiting[~blocked[owner] & (top[place] == 0)]
        left, joint = _joined(painted, cuts, mask, segment, free)
        free = free[largest_components(left, 4)[joint]]
        top[segment[free]] = mask[free] + 1
        visible[free] = True
        waiting = waiting[blocked[owner]]
    return visible


def _joined(
    painted: Runs,
    cuts: NDArray[np.int64],
    mask: NDArray[np.int64],
    segment: NDArray[np.int64],
    chosen: NDArray[np.int64],
) -> tuple[Runs, NDArray[np.int64]]:
    """Join the `chosen` segments (ascending) that follow each other in a row to runs; also return the run of each."""
    mask, segment = mask[chosen], segment[chosen]
    width = painted.shape[1]
    y = cuts[segment] // width
    begins = np.ones(len(chosen), bool)
    begins[1:] = (mask[1:] != mask[:-1]) | (segment[1:] != segment[:-1] + 1) | (y[1:] != y[:-1])
    row = y[begins] * width
    start, stop = cuts[segment[begins]] - row, cuts[segment[np.roll(begins, -1)] + 1] - row
    runs = Runs(painted.count, painted.shape, mask[begins], y[begins], start, stop)
    return runs, np.cumsum(begins) - 1


def _linked(
    count: int, first: NDArray[np.integer], second: NDArray[np.integer], seed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which of `count` items are linked to a seed by the pairs (first, second), through others too."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    group = connected_components(graph, directed=False)[1]
    return np.isin(group, group[seed])
