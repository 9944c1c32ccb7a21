"""The pages of a TIFF, checked before decoding: whether all are there, where their pixels are, which is the picture."""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.images.formats.decoded import Source, check_dtype, check_size
from cellseg1.images.formats.lzw import is_sound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tifffile import TiffFile, TiffPage, TiffPageSeries

_NO_COMPRESSION, _LZW, _YCBCR = 1, 5, 6
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_RATIO = {1: 1, 5: 1400, 6: 2000, 7: 2000, 8: 1040, 32946: 1040, 32773: 128}
"""Most bytes that one stored byte can become: none, LZW, JPEG, deflate (two numbers), PackBits."""
_ANY_RATIO = 20_000
"""The same for compressions without such a limit, above `_ANY_SIZE`: no picture of anything is as empty as that."""
_ANY_SIZE = 2**26
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MOST_PAGES = 1_000_000
_SINGLE = ("imagelength", "imagewidth", "imagedepth", "compression", "photometric", "samplesperpixel", "planarconfig")


def count_pages(source: Source) -> int:
    """Follow the chain of page directories; tifffile silently stops where a truncated file breaks it."""
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
        if offset in seen or offset + count_bytes > size or len(seen) > _MOST_PAGES:
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
    """Refuse a tag whose value lies outside the file; tifffile only skips it."""
    word = (len(entry) - 4) // 2
    kind = int.from_bytes(entry[2:4], order)
    length = int.from_bytes(entry[4 : 4 + word], order) * _TYPE_BYTES.get(kind, 0)
    if length > word and int.from_bytes(entry[4 + word :], order) + length > source.size:
        raise source.damaged("a value in the TIFF header lies outside the file")


def choose_picture(source: Source, tif: TiffFile) -> tuple[TiffPageSeries, TiffPage | None, list[str]]:
    """Choose the picture among previews and other images: the largest that is not marked as reduced, else the first.

    Returns
    -------
    series, page, notes
        The series, or a single page inside one (a sub-image that is larger than its parent).
    """
    all_series = tif.series
    if not all_series:
        raise source.damaged("the TIFF has no page that can be read")
    whole = [one for one in all_series if not getattr(one.keyframe, "is_reduced", False)] or list(all_series)
    series = max(whole, key=_pixels)
    notes = []
    if len(all_series) > 1:
        which = "the first" if series is all_series[0] else f"number {all_series.index(series) + 1}, the largest,"
        notes.append(f"The file holds {len(all_series)} images; {which} was read.")
    page = series.keyframe
    if len(series.pages) == 1 and page.subifds:
        inner: list[Any] = [sub for sub in page.pages or () if hasattr(sub, "photometric")]
        largest = max(inner, key=_pixels, default=None)
        if largest is not None and _pixels(largest) > _pixels(page):
            notes.append("The file shows a small preview first; the full picture behind it was read.")
            return series, largest, notes
    return series, None, notes


def _pixels(pages: TiffPageSeries | TiffPage) -> int:
    """Return the number of pixels of all planes, independent of the samples per pixel."""
    return math.prod(length for letter, length in zip(pages.axes, pages.shape, strict=False) if letter != "S")


def check_pages(source: Source, tif: TiffFile, parts: Sequence[TiffPage], page: TiffPage, shape: Sequence[int]) -> None:
    """Refuse impossible sizes and pixels that lie outside the file, before decoding.

    Parameters
    ----------
    parts
        The pages that will be read, all of the layout of `page`.
    shape
        Of all pages together.
    """
    if page.dtype is None:
        raise source.damaged("the TIFF does not say what its values are")
    check_dtype(source, np.dtype(page.dtype))
    for name in _SINGLE:
        if not isinstance(getattr(page, name), int):
            raise source.damaged(f"the TIFF header holds no single number for {name}")
    plane = int(page.imagelength), int(page.imagewidth)
    itemsize = np.dtype(page.dtype).itemsize
    shape = tuple(int(length) for length in shape)
    check_size(source, shape, plane, itemsize)
    _find_pixels(source, tif, parts, page)
    ratio = _RATIO.get(int(page.compression))
    # A bilevel or packed value takes fewer bytes in the file.
    packing = max(1.0, itemsize * 8 / page.bitspersample) if isinstance(page.bitspersample, int) else 1.0
    most = max(_ANY_SIZE, source.size * _ANY_RATIO) if ratio is None else int(source.size * ratio * packing) + 1024
    if any(0 in part.databytecounts for part in parts):
        # Tiles that the writer left out read as zero.
        most = max(_ANY_SIZE, source.size * _ANY_RATIO)
    check_size(source, shape, plane, itemsize, most)
    for part in parts:
        for offset, count in zip(part.dataoffsets, part.databytecounts, strict=False):
            if offset + count > source.size:
                raise source.damaged("the TIFF ends before its last row")
    if int(page.compression) == _LZW:
        _check_lzw(source, parts, reverse=page.fillorder == 2)


def _check_lzw(source: Source, parts: Sequence[TiffPage], *, reverse: bool) -> None:
    for part in parts:
        for offset, count in zip(part.dataoffsets, part.databytecounts, strict=False):
            source.stream.seek(offset)
            data = source.stream.read(count)
            if not is_sound(data.translate(_REVERSED) if reverse else data):
                raise source.damaged("its LZW compression is broken")


def _find_pixels(source: Source, tif: TiffFile, parts: Sequence[TiffPage], page: TiffPage) -> None:
    """Fill in lengths of strips and tiles that are 0, or wrong in a file without compression.

    A strip without length would be read as black.  Without compression the length is known; else a strip ends where
    the next entry in the file begins.
    """
    if tif.is_stk or tif.is_lsm:
        return
    plain = int(page.compression) == _NO_COMPRESSION
    wanted = math.prod(page.chunked)
    lengths = _plain_lengths(page) if plain and wanted == len(page.dataoffsets) else None
    starts: list[int] = []
    for part in parts:
        offsets, counts = list(part.dataoffsets), list(part.databytecounts)
        if not any(offsets):
            raise source.damaged("the TIFF does not say where its pixels are")
        # One strip without compression holds the whole plane, whatever its tag of rows says.
        if len(offsets) < wanted and not (plain and len(offsets) == 1):
            raise source.damaged("the TIFF does not say where all of its pixels are")
        if lengths is not None and len(lengths) == len(offsets):
            counts = [length if offset else 0 for offset, length in zip(offsets, lengths, strict=True)]
        elif any(count == 0 and offset for offset, count in zip(offsets, counts, strict=False)):
            if not starts:
                every = [offset for one in parts for offset in one.dataoffsets if offset]
                starts = sorted({*every, *(one.offset for one in parts), source.size})
            counts += [0] * (len(offsets) - len(counts))
            counts = [
                count or (starts[bisect.bisect_right(starts, offset)] - offset if 0 < offset < source.size else 0)
                for offset, count in zip(offsets, counts, strict=True)
            ]
        if tuple(counts) != tuple(part.databytecounts):
            part.databytecounts = tuple(counts)


def _plain_lengths(page: TiffPage) -> list[int] | None:
    """Return the bytes of each strip or tile of a page without compression; None when they are unknown."""
    bits, samples = page.bitspersample, int(page.samplesperpixel)
    subsampled = int(page.photometric) == _YCBCR and tuple(page.subsampling or (1, 1)) != (1, 1)
    if not isinstance(bits, int) or subsampled or int(page.imagedepth) > 1:
        return None
    separate = int(page.planarconfig or 1) == 2 and samples > 1
    wide = bits * (1 if separate else samples)
    if page.is_tiled:
        length = (page.tilewidth * wide + 7) // 8 * page.tilelength
        return [length] * len(page.dataoffsets)
    rows = page.rowsperstrip if isinstance(page.rowsperstrip, int) else page.imagelength
    rows = min(rows, page.imagelength)
    if rows < 1:
        return None
    of_row = (page.imagewidth * wide + 7) // 8
    plane = [of_row * min(rows, page.imagelength - first) for first in range(0, page.imagelength, rows)]
    return plane * (samples if separate else 1)
