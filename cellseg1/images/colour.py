"""Alpha, CMYK and inverted greys, brought to plain grey or RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def white_level(dtype: np.dtype[Any]) -> float:
    """Return the value of full intensity: the maximum of an integer type, 1 for floats."""
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0


def cmyk_to_rgb(array: NDArray[Any]) -> NDArray[Any]:
    """Convert (..., 4) ink amounts to (..., 3) RGB of the same type (no colour profile: a plain subtractive mix)."""
    top = white_level(array.dtype)
    ink = array.astype(np.float64)
    rgb = (top - ink[..., :3]) * (top - ink[..., 3:4]) / top
    if array.dtype.kind in "ui":
        rgb = np.rint(rgb)
    result: NDArray[Any] = rgb.astype(array.dtype)
    return result


def invert(array: NDArray[Any]) -> NDArray[Any]:
    """Turn greys whose zero is white (TIFF "WhiteIsZero") into greys whose zero is black."""
    if array.dtype.kind == "b":
        flipped: NDArray[Any] = np.logical_not(array)
        return flipped
    if array.dtype.kind == "u":
        inverted: NDArray[Any] = np.iinfo(array.dtype).max - array
        return inverted
    return array


def apply_palette(indices: NDArray[Any], palette: NDArray[np.uint16]) -> NDArray[Any]:
    """Look up (...) indices in a TIFF colour map (3, n) of 16-bit values; (..., 3), 8-bit when the map holds no more.

    Most programs write a byte v as 257 * v or 256 * v.
    """
    table = np.ascontiguousarray(palette.T)
    if bool(np.all((table % 257 == 0) | (table % 256 == 0))):
        table = (table >> 8).astype(np.uint8)
    colours: NDArray[Any] = table[indices]
    return colours
