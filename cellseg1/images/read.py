"""Reading an image file of any supported format; the content decides, not the suffix."""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import ImageError
from cellseg1.images.axes import describe_guess, guess_axes, order_axes
from cellseg1.images.colour import cmyk_to_rgb
from cellseg1.images.formats import READERS, Reader
from cellseg1.images.formats.decoded import Decoded, Samples, Source, damaged
from cellseg1.images.formats.reader import HEAD
from cellseg1.images.image import Image, ImageInfo
from cellseg1.images.opening import reading
from cellseg1.plugins import listed
from cellseg1.regular import open_regular

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read a PNG, JPEG, BMP, TIFF, NPY or NIfTI file, or a format that another package adds.

    Parameters
    ----------
    path
        The file; the content decides the format, not the suffix.

    Returns
    -------
    Image
        ``array`` in the order ``TZCYXS`` without absent axes, with the values as stored (8 or 16 bit, integer or
        float, not scaled), and ``info``.  Palettes and other colour spaces become RGB, greys whose 0 is white are
        inverted, and alpha is dropped, each with a note.  NIfTI arrays are transposed so that rows come first.

    Raises
    ------
    ImageError
        When the file is missing, no regular file, empty, damaged, truncated, too large, or no image.

    Examples
    --------
    >>> import cellseg1
    >>> image = cellseg1.read_image("cells.png")
    >>> image.info.format, image.info.axes, image.array.shape
    ('PNG', 'YX', (72, 96))
    """
    return load(path, as_labels=False)


def recognise(path: str | os.PathLike[str]) -> None:
    """Refuse a file that cannot be an image, by its first bytes; quick, because nothing is decoded.

    Raises
    ------
    ImageError
        When the file is missing, empty, or of no known kind.
    """
    path = Path(path)
    with reading(path, ImageError, lambda why: damaged(path, why)), open_regular(path) as stream:
        _choose(path, stream, _size(stream))


def load(path: str | os.PathLike[str], *, as_labels: bool) -> Image:
    """Read an image, or with `as_labels` a label image: palette indices, inverted greys and alpha stay as stored."""
    path = Path(path)
    with reading(path, ImageError, lambda why: damaged(path, why)):
        with open_regular(path) as stream:
            size = _size(stream)
            reader = _choose(path, stream, size)
            stream.seek(0)
            decoded = reader.read(Source(stream, path, size, as_labels))
        return _as_image(path, decoded, as_labels=as_labels)


def _as_image(path: Path, decoded: Decoded, *, as_labels: bool) -> Image:
    """Name the axes, bring them into order and note the assumptions."""
    decoded = _plain_colour(decoded) if not as_labels or decoded.samples == "cmyk" else decoded
    array, axes, notes, guessed = decoded.array, decoded.axes, decoded.notes, decoded.guessed
    if not axes:
        shape: tuple[int, ...] = array.shape
        array = array.reshape(shape[_leading_ones(shape) :])
        axes, guessed = guess_axes(array.shape, array.dtype, planes_first=as_labels)
        if axes.endswith("S"):
            samples: Samples = "rgba" if array.shape[-1] == 4 else "rgb"
            # The guess covers what the last axis holds as well, so alpha is treated like any other file's.
            unnamed = replace(decoded, array=array, axes=axes, samples=samples)
            array = unnamed.array if as_labels else _plain_colour(unnamed).array
    if sorted(axes) != sorted(set(axes)) or not {"Y", "X"} <= set(axes) or "?" in axes:
        raise ImageError(
            f"{path} holds an array of shape {decoded.array.shape}, which cannot be understood as an image. "
            "Save at most time, focal plane, channel, row and column."
        )
    array, axes = order_axes(_usual(array), axes)
    guessed = guessed and axes != "YX"
    if guessed:
        notes.append(describe_guess(array.shape, axes))
    info = ImageInfo(
        path=path,
        format=decoded.format,
        axes=axes,
        shape=array.shape,
        dtype=str(array.dtype),
        channel_names=_names_of_values(decoded.channel_names, axes, array.shape),
        pixel_size_um=decoded.pixel_size_um,
        guessed=guessed,
        notes=tuple(notes),
        lossy=decoded.lossy,
    )
    return Image(array, info)


def _names_of_values(names: tuple[str, ...], axes: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Name every value of a pixel where each named channel is a colour picture."""
    if "S" not in axes or not names:
        return names
    if "C" not in axes:
        return ()  # one name for red, green and blue together
    samples = ("red", "green", "blue") if shape[-1] == 3 else tuple(str(number) for number in range(shape[-1]))
    return tuple(f"{name} {sample}".strip() for name in names for sample in samples)


def _usual(array: NDArray[Any]) -> NDArray[Any]:
    """Convert floats of more than 64 bits, which hardly any library supports, to 64."""
    if array.dtype.itemsize <= 8:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float64)


def _leading_ones(shape: tuple[int, ...]) -> int:
    """Count the axes of length 1 before the plane; they say nothing and would spoil the guess."""
    count = 0
    if len(shape) < 2:
        return 0
    while len(shape) - count > 2 and shape[count] == 1 and shape[-2] > 1 and (len(shape) - count > 3 or shape[-1] > 5):
        count += 1
    return count


def _plain_colour(decoded: Decoded) -> Decoded:
    """Drop alpha and convert CMYK; the axis ``S`` may stand anywhere."""
    axes, samples = decoded.axes, decoded.samples
    if samples not in ("rgba", "grey+alpha", "cmyk"):
        return decoded
    array = decoded.array
    where = axes.index("S")
    if samples == "cmyk":
        decoded.notes.append("The CMYK image was converted to RGB.")
        array = cmyk_to_rgb(array.swapaxes(where, -1)).swapaxes(where, -1)
        return replace(decoded, array=array, samples="rgb")
    decoded.notes.append("The alpha channel was dropped.")
    colours = slice(0, 3) if samples == "rgba" else slice(0, 1)
    index = tuple(colours if i == where else slice(None) for i in range(array.ndim))
    return replace(decoded, array=array[index], samples="rgb" if samples == "rgba" else "")


def _size(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_size


def _choose(path: Path, stream: BinaryIO, size: int) -> Reader:
    """Choose the reader by the first bytes."""
    if size == 0:
        raise ImageError(f"{path} is empty (0 bytes). Copy or export the image again.")
    start = stream.read(HEAD)
    zipped = start[:2] == b"\x1f\x8b"
    if zipped:
        stream.seek(0)
        try:
            with gzip.open(stream) as inside:
                start = inside.read(HEAD)
        except (OSError, EOFError, zlib.error) as error:
            raise damaged(path, "its compression is broken") from error
    for reader in READERS.all():
        if reader.recognises(start, zipped=zipped):
            return reader
    raise ImageError(f"{path} {_what_else(start)} Save it as {listed(READERS.names())}.")


def _what_else(start: bytes) -> str:
    """Describe a file of an unsupported format by its first bytes."""
    for begin, what in _OTHERS:
        if start.startswith(begin):
            return f"is {what}, which is not an image of a known kind."
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "is a WebP picture, which is not an image of a known kind."
    return "is not an image of a known kind."


_OTHERS = (
    (b"PK\x03\x04", "a ZIP archive (as ImageJ's ROI files are)"),
    (b"Iout", "a region of ImageJ (ROI)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (.h5, .ims)"),
    (b"ZISRAWFILE", "a Zeiss CZI file"),
    (b"\x70\x00\x00\x00", "a Leica LIF file"),
    (b"\xda\xce\xbe\x0a", "a Nikon ND2 file"),
    (b"GIF8", "a GIF picture"),
    (b"\x00\x00\x00\x0cjP", "a JPEG 2000 picture"),
    (b"%PDF", "a PDF document"),
)
"""First bytes of files that people have beside their images."""
