"""Label images drawn over the picture: colours that tell neighbours apart, outlines, light filling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellseg1.errors import MaskError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: (12, 3) uint8 RGB.  The seven colours of Okabe and Ito (2008, "Color Universal Design", without black), which stay
#: distinct with the common kinds of colour blindness, and five lighter or darker ones between them.
PALETTE: NDArray[np.uint8] = np.array(
    [
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
        (170, 220, 250),
        (255, 205, 120),
        (120, 215, 185),
        (240, 190, 220),
        (150, 140, 255),
    ],
    np.uint8,
)
PALETTE.setflags(write=False)

#: Cells at most this many pixels apart count as neighbours.
_REACH = 2

#: Share of the colour in a filled cell.
_FILL = 0.35

#: Pixels that are filled at a time.
_STRIP = 1 << 16


def label_colors(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Choose a colour for each cell so that neighbours differ.

    Cells no more than two pixels apart are neighbours.  The colours are given greedily, to the cells with most
    neighbours first; equal label images get equal colours.

    Parameters
    ----------
    labels
        (H, W) label image of any integer type, 0 is background.

    Returns
    -------
    (n + 1,) uint8 indices into `PALETTE` for the labels 0..n = ``labels.max()``; that of the background means nothing.
    """
    labels = np.asarray(labels)
    count = int(labels.max(initial=0))
    first, second = _neighbours(labels, count)
    return _greedy_colors(count, first, second)


def overlay_picture(
    image: NDArray[np.uint8],
    labels: NDArray[Any],
    style: Literal["outline", "fill"] = "outline",
    width: int = 1,
) -> NDArray[np.uint8]:
    """Draw the cells over the picture.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB; it is not changed.
    labels
        (H, W) label image of any integer type, 0 is background.
    style
        ``outline``: only the outline, in the cell's colour; ``fill``: also a light filling.
    width
        Of the outline in pixels, at least 1; it lies inside the cell.

    Raises
    ------
    MaskError
        When image and labels do not belong together.
    """
    labels = np.asarray(labels)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise MaskError(f"Cells are drawn over 8-bit RGB pictures, not over {image.shape} of type {image.dtype}.")
    if labels.shape != image.shape[:2]:
        raise MaskError(f"The labels ({labels.shape}) and the picture ({image.shape[:2]}) differ in height or width.")
    colors = PALETTE[label_colors(labels)]
    picture = np.array(image, order="C")
    flat, numbers = picture.reshape(-1, 3), labels.reshape(-1)
    if style == "fill":
        part = round(_FILL * 256)
        share = np.full((len(colors), 3), 256 - part, np.uint16)
        share[0] = 256
        tint = colors.astype(np.uint16) * np.uint16(part)
        tint[0] = 0
        # In strips that fit the processor's cache: several times as fast as the whole frame at once.
        for begin in range(0, len(flat), _STRIP):
            strip = numbers[begin : begin + _STRIP].astype(np.intp)
            mixed = np.take(share, strip, axis=0)
            mixed *= flat[begin : begin + _STRIP]
            mixed += np.take(tint, strip, axis=0)
            flat[begin : begin + _STRIP] = mixed >> 8
    edge = np.flatnonzero(_outline(labels, max(1, width)))
    flat[edge] = colors[numbers[edge]]
    return picture


def _border(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """(H, W) which pixels have a pixel of another label beside them."""
    border = np.zeros(labels.shape, bool)
    differs = labels[1:] != labels[:-1]
    border[1:] |= differs
    border[:-1] |= differs
    differs = labels[:, 1:] != labels[:, :-1]
    border[:, 1:] |= differs
    border[:, :-1] |= differs
    return border


def _outline(labels: NDArray[Any], width: int) -> NDArray[np.bool_]:
    border = _border(labels)
    if width > 1:
        # Grown by one pixel at a time, but never from one cell into another.
        shape = labels.shape
        for _ in range(width - 1):
            y, x = np.nonzero(border)
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                v, u = y + dy, x + dx
                ok = (v >= 0) & (v < shape[0]) & (u >= 0) & (u < shape[1])
                v, u = v[ok], u[ok]
                same = labels[v, u] == labels[y[ok], x[ok]]
                border[v[same], u[same]] = True
    border &= labels != 0
    return border


def _neighbours(labels: NDArray[Any], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of cells at most `_REACH` pixels apart, each once (first < second)."""
    height, width = labels.shape
    border = _border(labels)
    border &= labels != 0
    y, x = np.divmod(np.flatnonzero(border), max(width, 1))
    own = labels[y, x].astype(np.int64)
    keys = []
    # Half of the surroundings suffices: each pair is met from one side or the other.
    for dy in range(_REACH + 1):
        for dx in range(-_REACH, _REACH + 1):
            if dy == 0 and dx <= 0:
                continue
            v, u = y + dy, x + dx
            ok = (v < height) & (u >= 0) & (u < width)
            other = labels[v[ok], u[ok]].astype(np.int64)
            mine = own[ok]
            pair = (other > 0) & (other != mine)
            low, high = np.minimum(mine[pair], other[pair]), np.maximum(mine[pair], other[pair])
            keys.append(_distinct(low * (count + 1) + high))
    key = _distinct(np.concatenate(keys))
    return key // (count + 1), key % (count + 1)


def _distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    # By sorting: for millions of values numpy.unique, which hashes, takes several times as long.
    values = np.sort(values)
    new = np.ones(len(values), bool)
    new[1:] = values[1:] != values[:-1]
    return values[new]


def _greedy_colors(count: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.uint8]:
    total = len(PALETTE)
    degree = np.bincount(first, minlength=count + 1) + np.bincount(second, minlength=count + 1)
    rank = np.empty(count + 1, np.int64)
    rank[np.lexsort((np.arange(count + 1), -degree))] = np.arange(count + 1)
    early = np.where(rank[first] < rank[second], first, second)
    late = np.where(rank[first] < rank[second], second, first)
    # Each cell starts its search elsewhere in the palette, so that all colours are used.
    start = np.arange(count + 1) * 7 % total
    colors = np.full(count + 1, -1, np.int64)
    taken = np.zeros((count + 1, total), bool)
    waiting = np.ones(count + 1, bool)
    while waiting.any():
        # All cells whose earlier neighbours have their colour are decided at once.
        blocked = np.zeros(count + 1, bool)
        blocked[late] = True
        ready = np.flatnonzero(waiting & ~blocked)
        shifted = (start[ready][:, None] + np.arange(total)) % total
        # With all twelve taken (more than eleven earlier neighbours) the first wins: no better choice exists.
        free = ~np.take_along_axis(taken[ready], shifted, axis=1)
        colors[ready] = np.take_along_axis(shifted, free.argmax(axis=1)[:, None], axis=1)[:, 0]
        waiting[ready] = False
        done = ~waiting[early]
        taken[late[done], colors[early[done]]] = True
        early, late = early[~done], late[~done]
    return colors.astype(np.uint8)
