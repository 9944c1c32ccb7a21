"""Alpha, CMYK and inverted greys, brought to plain grey or RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.images.opening import quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_CHUNK = 2**18
_LEAST_RAMP = 16
"""Colours of a map that must run on smoothly to make it a table for display."""
_SMOOTH_STEP = 15.0
"""The mean change of red, green and blue together (0 to 255 each) from one index to the next of such a table."""


def white_level(dtype: np.dtype[Any]) -> float:
    """Return the value of full intensity: the maximum of an integer type, 1 for floats."""
    return float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0


def _by_rows(array: NDArray[Any], convert: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
    """Convert (..., n) samples to (..., 3) of the same type, some thousand pixels at a time to spare memory."""
    flat = array.reshape(-1, array.shape[-1])
    out = np.empty((flat.shape[0], 3), array.dtype)
    for first in range(0, flat.shape[0], _CHUNK):
        part = convert(flat[first : first + _CHUNK].astype(np.float64))
        out[first : first + _CHUNK] = np.rint(part) if array.dtype.kind in "ui" else part
    return out.reshape(*array.shape[:-1], 3)


def cmyk_to_rgb(array: NDArray[Any]) -> NDArray[Any]:
    """Convert (..., 4) ink amounts to (..., 3) RGB of the same type (no colour profile: a plain subtractive mix)."""
    top = white_level(array.dtype)
    return _by_rows(array, lambda ink: (top - ink[..., :3]) * (top - ink[..., 3:4]) / top)


def ycbcr_to_rgb(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert (..., 3) 8-bit YCbCr of full range to RGB (ITU-R BT.601, as JPEG)."""

    def convert(values: NDArray[Any]) -> NDArray[Any]:
        y, blue, red = values[..., 0], values[..., 1] - 128, values[..., 2] - 128
        rgb = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], axis=-1)
        return np.asarray(rgb.clip(0, 255))

    return _by_rows(array, convert)


def lab_to_rgb(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert (..., 3) 8-bit CIE L*a*b* as TIFF stores it (a and b signed) to sRGB."""
    from skimage.color import lab2rgb

    def convert(values: NDArray[Any]) -> NDArray[Any]:
        signed = np.where(values[..., 1:] > 127, values[..., 1:] - 256, values[..., 1:])
        lab = np.concatenate([values[..., :1] * (100 / 255), signed], axis=-1)
        with quiet():  # colours outside sRGB are clipped
            return np.asarray(lab2rgb(lab)) * 255

    return _by_rows(array, convert)


def invert(array: NDArray[Any]) -> NDArray[Any]:
    """Turn greys whose zero is white (TIFF "WhiteIsZero") into greys whose zero is black.

    Integers keep their range: v becomes lowest + highest - v.  Floats, which have none, change their sign.
    """
    flipped: NDArray[Any] = np.negative(array) if array.dtype.kind == "f" else np.invert(array)
    return flipped


def is_display_table(palette: NDArray[np.uint16], indices: NDArray[Any]) -> bool:
    """Tell whether a colour map (3, n) of 16-bit values only displays greys in colour: its colours change smoothly.

    The colours of a real palette jump from one index to the next.
    """
    used = np.unique(indices)
    first = int(used[0])
    last = min(max(int(used[-1]), first + _LEAST_RAMP), palette.shape[1] - 1)
    if last - first < _LEAST_RAMP:
        return False
    colours = palette[:, first : last + 1].astype(np.float64) / 257
    steps = np.abs(np.diff(colours, axis=1)).sum(axis=0) * (palette.shape[1] / 256)
    return bool(steps.mean() <= _SMOOTH_STEP and np.mean(steps > 4 * _SMOOTH_STEP) <= 0.1)


def is_tint(palette: NDArray[np.uint16]) -> bool:
    """Tell whether a colour map (3, n) shows greys in shades of one colour, which only changes the hue."""
    colours = palette.astype(np.float64)
    main = colours.sum(axis=1) / max(1.0, float(colours.sum()))
    return bool(np.abs(colours - main[:, np.newaxis] * colours.sum(axis=0)).max() <= 2 * 257)


def apply_palette(indices: NDArray[Any], palette: NDArray[np.uint16]) -> NDArray[Any]:
    """Look up (...) indices in a TIFF colour map (3, n) of 16-bit values; (..., 3), 8-bit when the map holds no more.

    Most programs write a byte v as 257 * v or 256 * v.
    """
    table = np.ascontiguousarray(palette.T)
    if bool(np.all((table % 257 == 0) | (table % 256 == 0))):
        table = (table >> 8).astype(np.uint8)
    colours: NDArray[Any] = table[indices]
    return colours
