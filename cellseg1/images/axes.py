"""Naming, guessing and ordering the axes of an array."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import ImageError
from cellseg1.images.image import AXES_ORDER, Image
from cellseg1.remarks import Remark

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_GUESSED_CHANNELS = 5
"""An unnamed axis of at most this many entries is taken for channels, a longer one for focal planes."""


def guess_axes(shape: tuple[int, ...], dtype: np.dtype[Any], *, planes_first: bool = False) -> tuple[str, bool]:
    """Name the axes of an array that comes without names.

    The rules, in this order:

    - two axes are ``YX``;
    - a last axis of 3 holds colour samples (``S``), in a file of 8-bit masks also one of 4 (the fourth is alpha);
    - another last axis of at most `MAX_GUESSED_CHANNELS` holds channels (``C``);
    - of one axis before ``YX``: at most `MAX_GUESSED_CHANNELS` entries are channels, more are focal planes (``Z``);
    - of two axes before ``YX``: the later one, else the earlier one, is the channels if it is that short; the
      other is ``Z``; if neither is short they are ``TZ``;
    - three axes before ``YX`` are ``TZC``.

    Parameters
    ----------
    shape
        1 to 6 lengths.
    dtype
        Type of the values.
    planes_first
        Axes before ``YX`` are planes even when they are short, as in a file of masks, which has no channels.

    Returns
    -------
    tuple[str, bool]
        One letter per axis (empty when `shape` cannot be an image), and whether this was a guess.
    """
    if len(shape) == 2:
        return "YX", False
    if len(shape) < 2:
        return "", True
    last = shape[-1]
    # A short last axis only means channels when the axis before it can be the width of an image.
    if shape[-2] > MAX_GUESSED_CHANNELS and last <= MAX_GUESSED_CHANNELS:
        colour = last == 3 or (last == 4 and dtype == np.uint8 and planes_first)
        return _guess_stack(shape[:-3], may_have_channels=False, tail="YXS" if colour else "YXC")
    return _guess_stack(shape[:-2], may_have_channels=not planes_first, tail="YX")


def _guess_stack(lengths: tuple[int, ...], *, may_have_channels: bool, tail: str) -> tuple[str, bool]:
    """Name the axes before the plane."""
    short = [length <= MAX_GUESSED_CHANNELS and may_have_channels for length in lengths]
    match len(lengths):
        case 0:
            return tail, True
        case 1:
            head = "C" if short[0] else "Z"
        case 2 if may_have_channels and short[1]:
            head = "ZC"
        case 2 if may_have_channels and short[0]:
            head = "CZ"
        case 2:
            head = "TZ"
        case 3 if may_have_channels:
            head = "TZC"
        case _:
            return "", True
    return head + tail, True


def order_axes(array: NDArray[Any], axes: str) -> tuple[NDArray[Any], str]:
    """Drop axes of length 1 (never ``Y`` or ``X``) and bring the others into the order ``TZCYXS``.

    Parameters
    ----------
    array
        Any number of dimensions, one per letter of `axes`.
    axes
        Distinct letters among ``TZCYXS``, with ``Y`` and ``X``.
    """
    keep = [i for i, letter in enumerate(axes) if letter in "YX" or array.shape[i] != 1]
    array = array.reshape([array.shape[i] for i in keep])
    axes = "".join(axes[i] for i in keep)
    order = sorted(range(len(axes)), key=lambda i: AXES_ORDER.index(axes[i]))
    return array.transpose(order), "".join(axes[i] for i in order)


def describe_guess(shape: tuple[int, ...], axes: str) -> Remark:
    """Return the sentence that tells the user which axes were guessed; its code is ``guessed_axes``."""
    words = {
        "T": "time points",
        "Z": "focal planes",
        "C": "channels",
        "Y": "rows",
        "X": "columns",
        "S": "colour samples",
    }
    parts = ", ".join(f"{length} {words[letter]}" for length, letter in zip(shape, axes, strict=True))
    return Remark("guessed_axes", "The file does not name its axes; they were guessed: {parts}.", parts=parts)


def with_axes(image: Image, axes: str | None) -> Image:
    """Return the image with its array read by other axes, one letter of ``TZCYXS`` per dimension.

    Raises
    ------
    ImageError
        When the letters do not fit the array.
    """
    if not axes or axes == image.info.axes:
        return image
    fits = len(axes) == image.array.ndim and len(set(axes)) == len(axes) and {"Y", "X"} <= set(axes)
    if not fits or not set(axes) <= set(AXES_ORDER):
        where = image.info.path or "The image"
        raise ImageError(
            f"{where} has {image.array.ndim} axes of lengths {list(image.array.shape)}, which cannot be read as "
            f"{axes}; choose its axes again."
        )
    array, ordered = order_axes(image.array, axes)
    info = dataclasses.replace(image.info, axes=ordered, shape=array.shape, guessed=False)
    return Image(array, info)
