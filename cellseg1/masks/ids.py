"""Numbering of cells: 1..n without gaps, whatever the file used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import MaskError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.int32]

_TABLE_LIMIT = 2**24


def relabel_sequential(labels: NDArray[Any]) -> tuple[Labels, NDArray[np.int64]]:
    """Number the cells 1..n in the order of their old ids; 0 stays background.

    Parameters
    ----------
    labels
        Any shape, bool or integer (also unsigned 64 bit), no negative value.

    Returns
    -------
    tuple[ndarray, ndarray]
        int32 labels of the same shape, and the n old ids: cell i was ``old[i - 1]``.

    Raises
    ------
    MaskError
        On negative values, or values that are no integers.
    """
    if labels.dtype.kind not in "bui":
        raise MaskError(f"Cell ids must be whole numbers, not {labels.dtype}.")
    if labels.size == 0:
        return np.zeros(labels.shape, np.int32), np.zeros(0, np.int64)
    if labels.dtype.kind == "i" and int(labels.min()) < 0:
        raise MaskError("The label image holds negative ids. Use 0 for the background and 1, 2, 3 ... for the cells.")
    if labels.dtype.kind == "b":
        labels = labels.view(np.uint8)
    highest = int(labels.max())
    if highest > np.iinfo(np.int64).max:
        raise MaskError(f"The label image holds the id {highest}, which is too large. Number the cells 1, 2, 3 ...")
    if highest < max(_TABLE_LIMIT, labels.size):
        # A table of all ids is many times faster than sorting the pixels.
        used = np.zeros(highest + 1, bool)
        used[labels.ravel()] = True
        used[0] = False
        old = np.flatnonzero(used).astype(np.int64)
        table = np.zeros(highest + 1, np.int32)
        table[old] = np.arange(1, len(old) + 1)
        return table[labels], old
    values, inverse = np.unique(labels, return_inverse=True)
    has_background = int(values[0]) == 0
    new = inverse.reshape(labels.shape).astype(np.int32) + (0 if has_background else 1)
    return new, values[1:].astype(np.int64) if has_background else values.astype(np.int64)


def remap_colours(colours: NDArray[Any]) -> tuple[Labels, NDArray[Any], tuple[int, ...]]:
    """Turn a picture in which every colour is a cell into a label image.

    The background is black; if nothing is black, it is the most frequent colour along the border of the picture.

    Parameters
    ----------
    colours
        (H, W, 3) unsigned integers of at most 16 bits.

    Returns
    -------
    tuple[ndarray, ndarray, tuple[int, ...]]
        (H, W) int32 labels 1..n in the order of (red, green, blue); the n colours (n, 3); the background's colour.
    """
    key = (colours[..., 0].astype(np.int64) << 32) | (colours[..., 1].astype(np.int64) << 16) | colours[..., 2]
    values, inverse = np.unique(key, return_inverse=True)
    inverse = inverse.reshape(key.shape)
    background = 0
    if values[0] != 0:
        border = np.concatenate([inverse[0], inverse[-1], inverse[1:-1, 0], inverse[1:-1, -1]])
        background = int(np.bincount(border).argmax())
    table = np.arange(len(values), dtype=np.int32)
    table[:background] += 1
    table[background] = 0
    palette = np.stack([values >> 32, (values >> 16) & 0xFFFF, values & 0xFFFF], axis=-1)
    others = np.delete(palette, background, axis=0).astype(colours.dtype)
    return table[inverse], others, tuple(int(v) for v in palette[background])


def components(cells: NDArray[np.bool_]) -> Labels:
    """Number the 4-connected pieces of a (H, W) mask.

    Not 8-connected: cells in binary masks are often parted by a line one pixel wide, which leaks at its corners.
    """
    from scipy import ndimage

    found = np.zeros(cells.shape, np.int32)
    ndimage.label(cells, output=found)
    return found


def equal_pieces(labels: NDArray[Any], *, corners: bool = False) -> Labels:
    """Number the 4-connected pieces of equal id of a (H, W) int32 label image; background 0.

    With `corners`, pieces are 8-connected.
    """
    from skimage import measure

    label: Any = measure.label
    return np.asarray(label(labels, background=0, connectivity=2 if corners else 1), dtype=np.int32)
