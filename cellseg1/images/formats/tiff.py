"""TIFF: any compression, many pages, ImageJ and OME metadata."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.images.axes import MAX_GUESSED_CHANNELS
from cellseg1.images.colour import apply_palette, invert
from cellseg1.images.formats.decoded import Decoded, Samples, Source, check_dtype, check_size
from cellseg1.images.formats.tiff_metadata import imagej_metadata, ome_metadata, resolution_um

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tifffile import TiffFile, TiffPage, TiffPageSeries

_MIN_IS_WHITE, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 2, 3, 5, 6
_NO_COMPRESSION = 1
_RATIO = {1: 1, 5: 1400, 8: 1040, 32946: 1040, 32773: 128}
"""Most bytes that one stored byte can become: none, LZW, deflate (two numbers), PackBits; others know no limit."""

_ONE_OF_SEVERAL = "The file belongs to a set of OME-TIFF files; only its own pages were read."
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def decode_tiff(source: Source) -> Decoded:
    """Decode the first image series of a TIFF or BigTIFF."""
    import tifffile

    n_pages = _count_pages(source)
    source.stream.seek(0)
    # Without a name and _multifile, tifffile would open other files that the metadata mention.
    with tifffile.TiffFile(source.stream, name="image.tif", _multifile=False) as tif:
        if not any(page is None for page in tif.series[0].pages):
            return _decode(source, tif, n_pages)
    source.stream.seek(0)
    with tifffile.TiffFile(source.stream, name="image.tif", _multifile=False, is_ome=False) as tif:
        decoded = _decode(source, tif, n_pages)
    decoded.notes.append(_ONE_OF_SEVERAL)
    return decoded


def _decode(source: Source, tif: TiffFile, n_pages: int) -> Decoded:
    if len(tif.pages) < n_pages:
        raise source.damaged("a page of the TIFF cannot be read")
    series = tif.series[0]
    page = series.keyframe
    _check(source, tif, series, page)
    array: NDArray[Any] = series.asarray()
    notes: list[str] = []
    if len(tif.series) > 1:
        notes.append(f"The file holds {len(tif.series)} images; the first was read.")
    axes, guessed = _name_axes(series.axes, array.shape)
    samples: Samples = ""
    if "S" in axes:
        axes, samples = _name_samples(axes, array.shape[axes.index("S")], page)
    elif page.photometric == _PALETTE and page.colormap is not None and not source.as_labels:
        array = apply_palette(array, page.colormap)
        axes, samples = axes + "S", "rgb"
        notes.append("The palette image was converted to RGB.")
    elif page.photometric == _MIN_IS_WHITE and not source.as_labels and array.dtype.kind in "bu":
        array = invert(array)
        notes.append("The file says that 0 is white; the greys were inverted so that 0 is black.")
    kind, pixel_size = "TIFF", resolution_um(page)
    names: tuple[str, ...] = ()
    n_channels = array.shape[axes.index("C")] if "C" in axes else 1
    if tif.is_ome and tif.ome_metadata:
        kind = "OME-TIFF"
        names, pixel_size = ome_metadata(tif.ome_metadata)
        if len(set(re.findall(r'FileName="([^"]*)"', tif.ome_metadata))) > 1:
            notes.append(_ONE_OF_SEVERAL)
    elif tif.is_imagej and tif.imagej_metadata is not None:
        kind = "ImageJ-TIFF"
        names, pixel_size = imagej_metadata(tif.imagej_metadata, page, n_channels, axes)
    if len(names) != n_channels:
        names = ()
    return Decoded(kind, array, axes, samples, names, pixel_size, guessed, notes)


def _check(source: Source, tif: TiffFile, series: TiffPageSeries, page: TiffPage) -> None:
    """Refuse impossible sizes and data that lie outside the file, before decoding."""
    if series.dtype is None:
        raise source.damaged("the TIFF does not say what its values are")
    check_dtype(source, np.dtype(series.dtype))
    plane = int(page.imagelength), int(page.imagewidth)
    itemsize = np.dtype(series.dtype).itemsize
    ratio = _RATIO.get(int(page.compression))
    # A bilevel or packed value takes less than its share of bytes in the file.
    packing = max(1.0, itemsize * 8 / page.bitspersample) if isinstance(page.bitspersample, int) else 1.0
    most = None if ratio is None else int(source.size * ratio * packing) + 1024
    # Pages that are not in this file (None) were ruled out by the caller.
    parts = [part for part in series.pages if part is not None]
    if any(0 in part.databytecounts for part in parts):
        # Tiles left out on purpose; they read as zero.
        most = None
    check_size(source, tuple(series.shape), plane, itemsize, most)
    for part in parts:
        for offset, count in zip(part.dataoffsets, part.databytecounts, strict=False):
            if offset + count > source.size:
                raise source.damaged("the TIFF ends before its last row")
    if series.dataoffset is not None and series.dataoffset + math.prod(series.shape) * itemsize > source.size:
        # ImageJ writes big stacks as one block behind a single page.
        raise source.damaged("the TIFF ends before its last plane")
    if tif.is_imagej and tif.imagej_metadata is not None:
        declared = int(tif.imagej_metadata.get("images", 1))
        if declared > math.prod(series.shape) // math.prod(page.shape) and declared > len(tif.pages):
            raise source.damaged(f"ImageJ wrote {declared} planes, and the TIFF holds fewer")


def _name_axes(letters: str, shape: tuple[int, ...]) -> tuple[str, bool]:
    """Translate tifffile's letters; unknown ones are guessed by their length as in `guess_axes`."""
    axes = list(letters)
    guessed = False
    for i, letter in enumerate(axes):
        if letter in "TZCYXS":
            continue
        if shape[i] > 1:
            guessed = True
        order = "CZT" if shape[i] <= MAX_GUESSED_CHANNELS else "ZTC"
        axes[i] = next((free for free in order if free not in axes), "?")
    return "".join(axes), guessed


def _name_samples(axes: str, count: int, page: TiffPage) -> tuple[str, Samples]:
    """Say what the samples of a pixel are; samples that are no colour become channels."""
    alpha = bool(page.extrasamples) and int(page.extrasamples[0]) in (1, 2)
    match int(page.photometric), count:
        case ((2 | 6 | 8), 3):
            return axes, "rgb"
        case ((2 | 6 | 8), 4):
            return axes, "rgba"
        case 5, 4:
            return axes, "cmyk"
        case ((0 | 1), 2) if alpha:
            return axes, "grey+alpha"
        case _ if "C" not in axes:
            return axes.replace("S", "C"), ""
        case _:
            return axes, ""


def _count_pages(source: Source) -> int:
    """Follow the chain of page directories; tifffile would silently stop where a cut file breaks it."""
    stream, size = source.stream, source.size
    start = stream.read(16)
    order: Any = "little" if start[:2] == b"II" else "big"
    big = int.from_bytes(start[2:4], order) == 43
    if len(start) < (16 if big else 8):
        raise source.damaged("the TIFF ends in its header")
    word, count_bytes, entry_bytes = (8, 8, 20) if big else (4, 2, 12)
    offset = int.from_bytes(start[8:16] if big else start[4:8], order)
    seen: set[int] = set()
    while offset:
        if offset in seen or offset + count_bytes > size:
            raise source.damaged("a page of the TIFF lies outside the file")
        seen.add(offset)
        stream.seek(offset)
        entries = int.from_bytes(stream.read(count_bytes), order)
        after = offset + count_bytes + entries * entry_bytes
        if entries == 0 or after + word > size:
            raise source.damaged("the list of pages of the TIFF is cut off")
        directory = stream.read(entries * entry_bytes)
        for i in range(0, len(directory), entry_bytes):
            _check_tag(source, directory[i : i + entry_bytes], order)
        stream.seek(after)
        offset = int.from_bytes(stream.read(word), order)
    if not seen:
        raise source.damaged("the TIFF has no page")
    return len(seen)


def _check_tag(source: Source, entry: bytes, order: Any) -> None:
    """Refuse a tag whose value lies outside the file; tifffile would only leave it out."""
    word = (len(entry) - 4) // 2
    kind = int.from_bytes(entry[2:4], order)
    length = int.from_bytes(entry[4 : 4 + word], order) * _TYPE_BYTES.get(kind, 0)
    if length > word and int.from_bytes(entry[4 + word :], order) + length > source.size:
        raise source.damaged("a value in the TIFF header lies outside the file")
