"""Reading an image file of any supported format; the content decides, not the suffix."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.errors import ImageError
from cellseg1.images.axes import describe_guess, guess_axes, order_axes
from cellseg1.images.colour import cmyk_to_rgb
from cellseg1.images.formats.arrays import decode_nifti, decode_npy
from cellseg1.images.formats.decoded import Decoded, Samples, Source
from cellseg1.images.formats.pictures import decode_bmp, decode_jpeg, decode_png
from cellseg1.images.formats.tiff import decode_tiff
from cellseg1.images.image import Image, ImageInfo

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import BinaryIO

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy", ".nii", ".nii.gz")
"""What file dialogs and folder listings offer; `read_image` itself looks only at the content."""

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read a PNG, JPEG, BMP, TIFF, NPY or NIfTI file.

    Parameters
    ----------
    path
        The file; its suffix does not matter.

    Returns
    -------
    Image
        The values as stored (8 or 16 bit, integer or float; nothing is scaled), except that palettes and CMYK
        become RGB and alpha is dropped, each with a note.  NIfTI arrays are turned so that rows come first.

    Raises
    ------
    ImageError
        When the file is missing, empty, damaged, cut off, too large, or no image.
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
    try:
        with path.open("rb") as stream:
            _choose(path, stream, path.stat().st_size)
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist. Check the name and the folder.") from error
    except OSError as error:
        raise ImageError(f"{path} cannot be opened: {error.strerror or error}. Check that you may read it.") from error


def load(path: str | os.PathLike[str], *, as_labels: bool) -> Image:
    """Read an image, or with `as_labels` a label image: palette indices, inverted greys and alpha stay as stored."""
    path = Path(path)
    decoded = _decode(path, as_labels=as_labels)
    decoded = _plain_colour(decoded) if not as_labels or decoded.samples == "cmyk" else decoded
    array, axes, notes, guessed = decoded.array, decoded.axes, decoded.notes, decoded.guessed
    if not axes:
        shape: tuple[int, ...] = array.shape
        array = array.reshape(shape[_leading_ones(shape) :])
        axes, guessed = guess_axes(array.shape, array.dtype)
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
    array, axes = order_axes(array, axes)
    guessed = guessed and axes != "YX"
    if guessed:
        notes.append(describe_guess(array.shape, axes))
    info = ImageInfo(
        path=path,
        format=decoded.format,
        axes=axes,
        shape=array.shape,
        dtype=str(array.dtype),
        channel_names=decoded.channel_names,
        pixel_size_um=decoded.pixel_size_um,
        guessed=guessed,
        notes=tuple(notes),
    )
    return Image(array, info)


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


def _decode(path: Path, *, as_labels: bool) -> Decoded:
    if path.is_dir():
        raise ImageError(f"{path} is a folder. Choose an image file in it.")
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            decode = _choose(path, stream, size)
            stream.seek(0)
            return _run(decode, Source(stream, path, size, as_labels))
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist. Check the name and the folder.") from error
    except OSError as error:
        raise ImageError(f"{path} cannot be opened: {error.strerror or error}. Check that you may read it.") from error


def _run(decode: Callable[[Source], Decoded], source: Source) -> Decoded:
    """Run a decoder and turn every library's own error into one sentence."""
    try:
        return decode(source)
    except (ImageError, ImportError):
        raise
    except MemoryError as error:
        raise ImageError(
            f"{source.path} does not fit the memory of this computer. Cut it into smaller images."
        ) from error
    except Exception as error:
        why = str(error).strip().rstrip(".").replace("\n", " ") or type(error).__name__
        raise source.damaged(why) from error


def _choose(path: Path, stream: BinaryIO, size: int) -> Callable[[Source], Decoded]:
    """Choose the decoder by the first bytes."""
    if size == 0:
        raise ImageError(f"{path} is empty (0 bytes). Copy or export the image again.")
    start = stream.read(352)
    zipped = start[:2] == b"\x1f\x8b"
    if zipped:
        stream.seek(0)
        try:
            with gzip.open(stream) as inside:
                start = inside.read(352)
        except (OSError, EOFError, zlib.error) as error:
            raise ImageError(f"{path} is damaged: its compression is broken. Copy or export it again.") from error
    is_nifti = start[344:347] in (b"n+1", b"ni1") or start[4:7] in (b"n+2", b"ni2")
    if is_nifti:
        return decode_nifti
    if not zipped:
        if start.startswith(b"\x89PNG\r\n\x1a\n"):
            return decode_png
        if start.startswith(b"\xff\xd8\xff"):
            return decode_jpeg
        if start.startswith(b"BM") and start[14:18] in _BMP_HEADER_SIZES:
            return decode_bmp
        if start.startswith(_TIFF_STARTS):
            return decode_tiff
        if start.startswith(b"\x93NUMPY"):
            return decode_npy
    raise ImageError(f"{path} is not an image of a known kind. Save it as PNG, JPEG, BMP, TIFF, NPY or NIfTI.")


_BMP_HEADER_SIZES = tuple(size.to_bytes(4, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124))
