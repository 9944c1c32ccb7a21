"""Reading a plane the way the user said, where that differs from what the file says.  Imports neither Qt nor torch."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from cellseg1.errors import ImageError
from cellseg1.images import Image, read_image
from cellseg1.images.axes import order_axes
from cellseg1.images.image import AXES_ORDER

if TYPE_CHECKING:
    from pathlib import Path


def with_axes(image: Image, axes: str | None) -> Image:
    """Return an image whose array is read by other axes, one letter of ``TZCYXS`` per dimension.

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


def read_with_axes(path: Path, axes: str | None = None) -> Image:
    """Read a file; `axes` replaces the order that the file says or that was guessed (see `with_axes`)."""
    return with_axes(read_image(path), axes)
