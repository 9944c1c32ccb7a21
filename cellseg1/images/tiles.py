"""Cutting planes into tiles, and resizing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TileRule = Literal["upstream", "even"]


def tile_starts(length: int, size: int, rule: TileRule = "even") -> list[int]:
    """Return where tiles of `size` pixels start along a side of `length` pixels; they overlap by half or more.

    Parameters
    ----------
    length
        Pixels, at least 1.  A side no longer than `size` has the single start 0.
    size
        Pixels, at least 2.
    rule
        ``upstream``: the research code's ``ceil(2 length / size)`` evenly spaced starts, truncated, which for sides
        just above `size` nearly or fully coincide (257: 0, 0, 1).  ``even``: the fewest tiles that still overlap by
        half (257: 0, 1), never twice the same.

    Raises
    ------
    ValueError
        On a length or size out of range, or an unknown rule.
    """
    if length < 1 or size < 2:
        raise ValueError(f"Cannot tile {length} pixels with tiles of {size}: at least 1 and 2 are needed.")
    if rule not in ("upstream", "even"):
        raise ValueError(f"Unknown tile rule {rule!r}: choose upstream or even.")
    if length <= size:
        return [0]
    room = length - size
    if rule == "upstream":
        return [int(start) for start in np.linspace(0, room, math.ceil(2 * length / size))]
    count = math.ceil(room / (size // 2)) + 1
    return [i * room // (count - 1) for i in range(count)]


def make_tiles(shape: tuple[int, int], size: int, rule: TileRule = "even") -> list[tuple[slice, slice]]:
    """Return the (rows, columns) slices of all tiles of a plane of `shape` (H, W), row by row.

    On a side shorter than `size` the tile is as short as the side.
    """
    height, width = shape
    return [
        (slice(y, min(y + size, height)), slice(x, min(x + size, width)))
        for y in tile_starts(height, size, rule)
        for x in tile_starts(width, size, rule)
    ]


def resize_image(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resize an image (H, W) or (H, W, C) to `size` (h, w), linearly; the type stays.

    8-bit results are bit-exact on every computer and equal to the research code's.
    """
    import cv2

    height, width = size
    source = np.ascontiguousarray(array)
    return np.asarray(cv2.resize(source, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)).reshape(
        height, width, *array.shape[2:]
    )


def resize_mask(labels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resize a label image (H, W) to `size` (h, w); every pixel keeps an id that was there.  The type stays."""
    import cv2

    height, width = size
    # OpenCV does not take every integer type; moving indices instead of ids works for all.
    rows = cv2.resize(
        np.arange(labels.shape[0], dtype=np.float32)[:, np.newaxis], (1, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    columns = cv2.resize(
        np.arange(labels.shape[1], dtype=np.float32)[np.newaxis], (width, 1), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return labels[np.ix_(rows.ravel().astype(np.intp), columns.ravel().astype(np.intp))]


def resize_to_short_edge(array: NDArray[Any], size: int, *, labels: bool = False) -> NDArray[Any]:
    """Resize so that the shorter side has `size` pixels, keeping the proportions.

    Equal to the research code, which enlarges images smaller than a tile this way (its interpolation differs from
    that of `resize_image`, hence a function of its own).

    Parameters
    ----------
    array
        (H, W) or (H, W, C); an image must be uint8.
    size
        Pixels of the shorter side.
    labels
        True for a label image: nearest neighbour, any integer type.
    """
    from skimage import transform

    resize: Any = transform.resize

    height, width = array.shape[:2]
    scale = size / min(height, width)
    shape = (max(size, round(height * scale)), max(size, round(width * scale)))
    if labels:
        moved = resize(array, shape, order=0, preserve_range=True, anti_aliasing=False)
        return np.asarray(moved).astype(array.dtype)
    if array.dtype != np.uint8:
        raise ValueError(f"resize_to_short_edge takes 8-bit images, not {array.dtype}.")
    return (np.asarray(resize(array, shape, order=1)) * 255).astype(np.uint8)
