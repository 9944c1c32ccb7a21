"""Vectorised expansion of many integer ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def expand(start: NDArray[np.integer], stop: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List every integer of many ranges.

    Parameters
    ----------
    start, stop
        (R,) the ranges ``[start, stop)``; a range with ``stop <= start`` is empty.

    Returns
    -------
    owner, value
        (T,) int64 each: the number of the range and the integer, range by range, ascending.
    """
    length = np.maximum(np.asarray(stop, np.int64) - start, 0)
    owner = np.repeat(np.arange(len(length)), length)
    first = np.cumsum(length) - length
    return owner, np.arange(len(owner)) + np.repeat(np.asarray(start, np.int64) - first, length)
