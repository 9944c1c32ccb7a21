"""Images in memory: NumPy arrays and objects that convert to one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from cellseg1.errors import ImageError
from cellseg1.files import PathLike
from cellseg1.images.axes import guess_axes, order_axes, with_axes
from cellseg1.images.image import Image, ImageInfo
from cellseg1.images.read import read_image

#: An image as callers give it: a file, an array, or the result of `read_image`.
ImageLike = PathLike | NDArray[Any] | Image


def is_path(value: object) -> TypeGuard[PathLike]:
    """Tell whether a value names a file."""
    return isinstance(value, (str, os.PathLike))


def is_array(value: object) -> bool:
    """Tell whether a value is an array or converts to one without loss (dask, xarray, torch on the CPU)."""
    return hasattr(value, "__array__") and not isinstance(value, np.generic)


def as_image(source: ImageLike, axes: str | None = None) -> Image:
    """Return an image from a file, an array or an `Image`.

    Parameters
    ----------
    source
        A file, an array, or an `Image`.
    axes
        One letter of ``TZCYXS`` per dimension; None: from the file, or guessed from the lengths where nothing names
        the axes.

    Raises
    ------
    TypeError
        When `source` is something else.
    ImageError
        When the file cannot be read, or the array is no image.
    """
    if isinstance(source, Image):
        return with_axes(source, axes)
    if is_path(source):
        return with_axes(read_image(Path(source)), axes)
    if not is_array(source):
        raise TypeError(
            f"An image is a path, a NumPy array or what read_image returns, not {type(source).__name__}; "
            "give one of these."
        )
    return image_of_array(np.asarray(source), axes)


def image_of_array(array: NDArray[Any], axes: str | None = None) -> Image:
    """Return an array as an image with named axes; see `as_image`."""
    if array.dtype.kind not in "buif" or 0 in array.shape:
        raise ImageError(
            f"An array of shape {array.shape} and type {array.dtype} is no image; give rows x columns of numbers."
        )
    plain = Image(array, ImageInfo(None, "array", "", array.shape, str(array.dtype)))
    if axes:
        return with_axes(plain, axes)
    named, guessed = guess_axes(array.shape, array.dtype)
    if not named:
        raise ImageError(
            f"An array of shape {array.shape} cannot be understood as an image; name its axes, for example axes='ZYX'."
        )
    ordered, letters = order_axes(array, named)
    info = replace(plain.info, axes=letters, shape=ordered.shape, guessed=guessed and letters != "YX")
    return Image(ordered, info)
