"""Column-major run lengths of a mask, as COCO writes them.

The counts alternate background, cell, background ... down the columns, beginning with background (which may be 0).
Source: the uncompressed "RLE" of the COCO annotation format (Lin et al. 2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def encode(mask: NDArray[np.bool_]) -> list[int]:
    """Return the run lengths of `mask` (H, W); they sum to H x W."""
    flat = np.asarray(mask, bool).ravel(order="F")
    change = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], change, [flat.size]])).tolist()
    return [0, *counts] if flat.size and flat[0] else list(counts)


def decode(counts: Sequence[int] | NDArray[np.integer], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the (H, W) bool mask that `encode` turned into `counts`.

    Raises
    ------
    ValueError
        When the counts are negative or do not sum to H x W.
    """
    lengths = np.asarray(counts, np.int64)
    if (lengths < 0).any() or int(lengths.sum()) != shape[0] * shape[1]:
        raise ValueError(f"The run lengths do not fill a mask of {shape[0]} x {shape[1]} pixels.")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape(shape, order="F")
