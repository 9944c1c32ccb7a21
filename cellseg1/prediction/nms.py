"""Greedy non-maximum suppression on a list of overlapping pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def greedy_nms(
    rank: NDArray[np.integer],
    first: NDArray[np.integer],
    second: NDArray[np.integer],
) -> NDArray[np.bool_]:
    """Keep, from the best rank on, every item that no kept item excludes.

    Parameters
    ----------
    rank
        (N,) a different number for every item; the lowest is the best.
    first, second
        (P,) the pairs of items that exclude each other.

    Returns
    -------
    (N,) bool: what the one-by-one greedy walk keeps.

    Notes
    -----
    All items that beat each of their undecided rivals are kept at once and their rivals dropped, until none is
    undecided.  The result is that of the walk, because a kept item only ever depends on better ones; the number of
    rounds is the length of the longest chain of rivals, a handful for cells.
    """
    total = len(rank)
    keep = np.ones(total, bool)
    better = np.where(rank[first] < rank[second], first, second)
    worse = np.where(rank[first] < rank[second], second, first)
    while len(better):
        beaten = np.zeros(total, bool)
        beaten[worse] = True
        safe = ~beaten[better]
        dropped = np.zeros(total, bool)
        dropped[worse[safe]] = True
        keep &= ~dropped
        # What is left: pairs of items of which neither is kept for certain nor dropped.
        open_pair = ~(safe | dropped[better] | dropped[worse])
        better, worse = better[open_pair], worse[open_pair]
    return keep
