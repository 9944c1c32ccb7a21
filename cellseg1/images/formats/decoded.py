"""What a decoder hands back, and the limits every decoder checks before it allocates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from cellseg1.errors import ImageError
from cellseg1.memory import available_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MAX_PLANE_PIXELS = 2**30
"""Pixels of one plane (32,768 x 32,768).  More is a damaged or hostile header, or a slide to be cut first."""

Samples = Literal["", "rgb", "rgba", "grey+alpha", "cmyk"]


def damaged(path: Path, why: str) -> ImageError:
    """Return the error for a damaged or truncated file."""
    return ImageError(f"{path} is damaged or incomplete: {why}. Copy or export the image again.")


@dataclass(frozen=True, slots=True)
class Source:
    """An open file for a decoder.

    Attributes
    ----------
    stream
        At position 0, readable and seekable.
    path
        For messages only.
    size
        Bytes in the file.
    as_labels
        True when the values are ids: palette indices, alpha and inverted greys are then left as they are stored.
    """

    stream: BinaryIO
    path: Path
    size: int
    as_labels: bool

    def damaged(self, why: str) -> ImageError:
        """Return the error for a damaged or truncated file."""
        return damaged(self.path, why)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Raw result of a decoder.

    Attributes
    ----------
    array
        The values as stored.
    axes
        One letter of ``TZCYXS`` per dimension; empty when unknown (then guessed).
    samples
        Meaning of the axis ``S``.
    lossy
        Whether the compression changes values, as JPEG does.
    """

    format: str
    array: NDArray[Any]
    axes: str = ""
    samples: Samples = ""
    channel_names: tuple[str, ...] = ()
    pixel_size_um: tuple[float, float] | None = None
    guessed: bool = False
    notes: list[str] = field(default_factory=list)
    lossy: bool = False


def check_size(
    source: Source,
    shape: tuple[int, ...],
    plane: tuple[int, int],
    itemsize: int,
    most_bytes: int | None = None,
    *,
    copies: int = 1,
) -> None:
    """Refuse an impossible declared size before memory is allocated.

    Parameters
    ----------
    source
        The file.
    shape
        Every declared dimension.
    plane
        Height and width of one plane, in pixels.
    itemsize
        Bytes per value.
    most_bytes
        The most bytes that a file of this length can decode to; None when its compression has no limit.
    copies
        Number of arrays of that size in memory while the file is decoded.

    Raises
    ------
    ImageError
        When a plane has no pixels or more than `MAX_PLANE_PIXELS`, the file is too short for it, or the free memory
        is too small.
    """
    height, width = plane
    total = itemsize
    for length in shape:
        total *= length
    if min((height, width, *shape)) < 1:
        raise ImageError(f"{source.path} holds an image of {width} x {height} pixels: there is nothing to read.")
    if height * width > MAX_PLANE_PIXELS:
        raise ImageError(
            f"{source.path} declares an image of {width} x {height} pixels, more than can be read "
            f"({MAX_PLANE_PIXELS} pixels). Cut it into smaller images, or export it again if that size is wrong."
        )
    if most_bytes is not None and total > most_bytes:
        raise source.damaged(
            f"it declares {' x '.join(map(str, shape))} values ({total} bytes), but the file has only "
            f"{source.size} bytes"
        )
    free = available_bytes()
    if total * copies > free:
        raise ImageError(
            f"{source.path} needs {total * copies / 2**30:.1f} GB of memory and only {free / 2**30:.1f} GB are free. "
            "Close other programs or cut the image into smaller ones."
        )


def check_dtype(source: Source, dtype: np.dtype[Any]) -> None:
    """Refuse values that are not plain numbers: objects, records, text, complex numbers.

    Raises
    ------
    ImageError
        In that case.
    """
    if dtype.hasobject:
        raise ImageError(
            f"{source.path} holds Python objects, which are not read because they can run code. {_instead(source.path)}"
        )
    if dtype.kind == "c":
        raise ImageError(f"{source.path} holds complex numbers. Save their magnitude as the image.")
    if dtype.kind not in "buif":
        raise ImageError(f"{source.path} holds values of type {dtype}, not numbers. Save a plain array of numbers.")


def _instead(path: Path) -> str:
    if path.name.lower().endswith("_seg.npy"):
        return "It looks like a segmentation of Cellpose: in Cellpose, save the masks as PNG or TIFF, and use those."
    return "Save a plain array of numbers."


def orientation_note(value: object) -> list[str]:
    """Return the sentence about an orientation mark (TIFF and EXIF Orientation), if there is one.

    The mark is ignored in every format: rows and columns stay as stored, so that a mask fits its image.
    """
    if not isinstance(value, int) or value in (0, 1):
        return []
    return ["The file's rotation mark was ignored: rows and columns are as stored."]
