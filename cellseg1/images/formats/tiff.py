"""TIFF: any compression, many pages, ImageJ, OME and other programs' metadata."""

from __future__ import annotations

import logging
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.images.axes import MAX_GUESSED_CHANNELS
from cellseg1.images.colour import apply_palette, invert, is_display_table, lab_to_rgb, ycbcr_to_rgb
from cellseg1.images.formats.decoded import Decoded, Samples, Source, orientation_note
from cellseg1.images.formats.tiff_metadata import (
    NOT_UNDERSTOOD,
    imagej_metadata,
    micromanager_planes,
    ome_metadata,
    ome_planes,
    program_metadata,
    resolution_um,
    scanimage_channels,
)
from cellseg1.images.formats.tiff_pages import check_pages, choose_picture, count_pages

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tifffile import TiffFile, TiffPage, TiffPageSeries

_MIN_IS_WHITE, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 2, 3, 5, 6, 8
_JPEG = (6, 7)
_DESCRIPTIONS = ("ome", "mmstack", "imagej", "shaped")
_PAGE_BY_PAGE = ("shaped",)
_MOST_PLANES = 1_000_000
_LOW_ID = 128
"""Colours of cells reach higher values."""
_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_ONE_OF_SEVERAL = "The file belongs to a set of OME-TIFF files; only its own pages were read."
_STORED_VALUES = "The colour table of the file is for display; the stored values were used."

# Remarks of tifffile go to the log, never to the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class TiffReader:
    """TIFF and BigTIFF."""

    name = "TIFF"
    suffixes = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk", ".svs")
    stacks = True

    def recognises(self, head: bytes, *, zipped: bool) -> bool:
        """See `Reader`."""
        return not zipped and head.startswith(_STARTS)

    def read(self, source: Source) -> Decoded:
        """Decode the picture of a TIFF or BigTIFF: its largest series of pages."""
        n_pages = count_pages(source)
        with _opened(source) as tif:
            left_aside = _left_aside(tif)
            if not left_aside:
                return _decode(source, tif, n_pages)
        with _opened(source, left_aside) as tif:
            decoded = _decode(source, tif, n_pages)
        if left_aside != _PAGE_BY_PAGE:
            decoded.notes.append(
                "What the file says about its planes cannot be understood; its pages were read as they are."
            )
        return decoded


def _opened(source: Source, left_aside: tuple[str, ...] = ()) -> TiffFile:
    import tifffile

    source.stream.seek(0)
    flags: dict[str, Any] = {f"is_{kind}": False for kind in left_aside}
    # Without a name and _multifile, tifffile would open other files that the metadata mention.
    return tifffile.TiffFile(source.stream, name="image.tif", _multifile=False, **flags)


def _left_aside(tif: TiffFile) -> tuple[str, ...]:
    """Return the descriptions of the planes that are to be ignored."""
    if tif.is_ome:
        declared = ome_planes(tif.ome_metadata or "")
        if declared is None or declared > _MOST_PLANES:
            # A list of that many planes would fill the memory.
            return ("ome",)
    try:
        all_series = tif.series
    except NOT_UNDERSTOOD:
        return _DESCRIPTIONS
    for series in all_series:
        pages = list(series.pages)
        present = [page for page in pages if page is not None]
        if len(present) < len(pages):
            fits = present and len(pages) * math.prod(series.keyframe.shape) == math.prod(series.shape)
            return () if fits else ("ome", "mmstack")
    # Planes written one by one, each with its own description, still form a stack.
    one_by_one = all(series.kind == "shaped" and len(series.pages) == 1 for series in all_series)
    if one_by_one and len(all_series) > 1 and len({(series.shape, series.dtype) for series in all_series}) == 1:
        return _PAGE_BY_PAGE
    return ()


def _decode(source: Source, tif: TiffFile, n_pages: int) -> Decoded:
    if len(tif.pages) < n_pages:
        raise source.damaged("a page of the TIFF cannot be read")
    series, inner, notes = choose_picture(source, tif)
    page = inner or series.keyframe
    array, letters = _read(source, tif, series, inner, notes)
    axes, guessed = _name_axes(letters, array.shape, planes_first=source.as_labels)
    channels = 0 if inner is not None else scanimage_channels(tif)
    if guessed and channels > 1 and axes[:-2] in ("Z", "C", "T") and array.shape[0] % channels == 0:
        array, axes = array.reshape(-1, channels, *array.shape[1:]), "TCYX"
    samples: Samples = ""
    if source.as_labels and axes == "SYX" and _are_planes(array):
        axes, guessed = "ZYX", True
    if "S" in axes:
        axes, samples = _name_samples(axes, array.shape[axes.index("S")], page, source, notes)
    array, axes, samples = _plain_values(source, tif, page, array, axes, samples, notes)
    kind, names, pixel_size = _describe(tif, page, array, axes, notes)
    notes += orientation_note(page.tags.valueof("Orientation", default=1))
    lossy = int(page.compression) in _JPEG
    return Decoded(kind, array, axes, samples, names, pixel_size, guessed, notes, lossy)


def _read(
    source: Source, tif: TiffFile, series: TiffPageSeries, inner: TiffPage | None, notes: list[str]
) -> tuple[NDArray[Any], str]:
    """Read the pixels that are present."""
    if inner is not None:
        check_pages(source, tif, [inner], inner, inner.shape)
        return np.asarray(inner.asarray()), str(inner.axes)
    page = series.keyframe
    pages: list[Any] = list(series.pages)
    if any(one is None for one in pages):
        return _read_present(source, tif, series, notes)
    check_pages(source, tif, pages, page, series.shape)
    size = math.prod(series.shape) * np.dtype(series.dtype).itemsize
    # ImageJ writes big stacks as one block behind a single page.
    if series.dataoffset is not None and series.dataoffset + size > source.size:
        raise source.damaged("the TIFF ends before its last plane")
    if tif.is_imagej and tif.imagej_metadata is not None:
        declared = tif.imagej_metadata.get("images", 1)
        if (
            isinstance(declared, int)
            and declared > math.prod(series.shape) // math.prod(page.shape)
            and declared > len(tif.pages)
        ):
            raise source.damaged(f"ImageJ wrote {declared} planes, and the TIFF holds fewer")
    if micromanager_planes(tif) > len(pages):
        notes.append(_stopped(micromanager_planes(tif), len(pages), len(pages)))
    if (
        tif.is_ome
        and len(tif.series) == 1
        and len(tif.pages) > len(pages) > 0
        and not _is_reduced(tif.pages[len(pages)])
    ):
        notes.append(f"The file holds {len(tif.pages)} planes and describes {len(pages)}; these were read.")
    return series.asarray(), str(series.axes)


def _is_reduced(page: Any) -> bool:
    # A page that tifffile treats as equal to the first has no such mark.
    return bool(getattr(page, "is_reduced", False))


def _read_present(source: Source, tif: TiffFile, series: TiffPageSeries, notes: list[str]) -> tuple[NDArray[Any], str]:
    """Read a series with fewer planes than declared: the acquisition stopped, or other files hold the rest."""
    page = series.keyframe
    pages: list[Any] = list(series.pages)
    plane_shape = tuple(int(length) for length in page.shape)
    stack = tuple(int(length) for length in series.shape[: len(series.shape) - len(plane_shape)])
    if math.prod(stack) != len(pages):
        raise source.damaged("the description of the TIFF does not fit its planes")
    there = np.array([one is not None for one in pages]).reshape(stack)
    kept = _complete_part(there)
    numbers = np.arange(len(pages)).reshape(stack)[np.ix_(*kept)]
    chosen = [pages[number] for number in numbers.ravel()]
    shape = (*numbers.shape, *plane_shape)
    check_pages(source, tif, chosen, page, shape)
    array = np.stack([np.asarray(one.asarray()) for one in chosen]).reshape(shape)
    if _in_other_files(tif):
        notes.append(_ONE_OF_SEVERAL)
    else:
        declared = max(there.size, micromanager_planes(tif))
        notes.append(_stopped(declared, int(there.sum()), len(chosen)))
    return array, str(series.axes)


def _stopped(declared: int, there: int, read: int) -> str:
    left = there - read
    what = "1 plane of an unfinished round was" if left == 1 else f"{left} planes of an unfinished round were"
    more = f" {what} left out." if left else ""
    were = "was" if read == 1 else "were"
    return (
        f"The file declares {declared} planes and holds {there}, as after an acquisition that was stopped; "
        f"{read} {were} read.{more}"
    )


def _complete_part(there: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the indices per axis of a complete grid of planes; if there is none, of the rounds before the last one."""
    grid = [np.flatnonzero(there.any(axis=tuple(j for j in range(there.ndim) if j != i))) for i in range(there.ndim)]
    if there[np.ix_(*grid)].all():
        return grid
    rounds = there.reshape(there.shape[0], -1).all(axis=1)
    complete = np.flatnonzero(rounds)
    if complete.size:
        return [complete, *(np.arange(length) for length in there.shape[1:])]
    first = int(np.flatnonzero(there.reshape(there.shape[0], -1).any(axis=1))[0])
    return [np.array([first]), *_complete_part(there[first])]


def _in_other_files(tif: TiffFile) -> bool:
    return len(set(re.findall(r'FileName="([^"]*)"', tif.ome_metadata or ""))) > 1


def _plain_values(
    source: Source,
    tif: TiffFile,
    page: TiffPage,
    array: NDArray[Any],
    axes: str,
    samples: Samples,
    notes: list[str],
) -> tuple[NDArray[Any], str, Samples]:
    """Convert palettes, inverted greys and other colour spaces to grey or RGB; ids stay unchanged."""
    kind = _photometric(page)
    if source.as_labels:
        return array, axes, samples
    if kind == _PALETTE and page.colormap is not None and "S" not in axes:
        if tif.is_imagej or "C" in axes or is_display_table(page.colormap, array):
            notes.append(_STORED_VALUES)
            return array, axes, samples
        notes.append("The palette image was converted to RGB.")
        return apply_palette(array, page.colormap), axes + "S", "rgb"
    if kind == _MIN_IS_WHITE:
        notes.append("The file says that 0 is white; the greys were inverted so that 0 is black.")
        if samples == "grey+alpha":
            where = axes.index("S")
            grey, alpha = np.split(array, [1], axis=where)
            return np.concatenate([invert(grey), alpha], axis=where), axes, samples
        return invert(array), axes, samples
    if samples == "rgb" and array.dtype == np.uint8 and kind in (_YCBCR, _LAB):
        where = axes.index("S")
        last = np.moveaxis(array, where, -1)
        if kind == _LAB:
            notes.append("The CIELAB image was converted to RGB.")
            return np.moveaxis(lab_to_rgb(last), -1, where), axes, samples
        if int(page.compression) not in _JPEG:
            notes.append("The YCbCr image was converted to RGB.")
            return np.moveaxis(ycbcr_to_rgb(last), -1, where), axes, samples
    return array, axes, samples


def _describe(
    tif: TiffFile, page: TiffPage, array: NDArray[Any], axes: str, notes: list[str]
) -> tuple[str, tuple[str, ...], tuple[float, float] | None]:
    """Return the kind of TIFF, channel names and pixel size."""
    n_channels = array.shape[axes.index("C")] if "C" in axes else 1
    kind, pixel_size = "TIFF", resolution_um(page)
    names: tuple[str, ...] = ()
    if tif.is_ome and tif.ome_metadata:
        kind = "OME-TIFF"
        names, pixel_size = ome_metadata(tif.ome_metadata)
        if _in_other_files(tif) and _ONE_OF_SEVERAL not in notes:
            notes.append(_ONE_OF_SEVERAL)
    elif tif.is_imagej and tif.imagej_metadata is not None:
        kind = "ImageJ-TIFF"
        names, pixel_size = imagej_metadata(tif.imagej_metadata, page, n_channels, axes)
    else:
        named, measured = program_metadata(tif)
        names, pixel_size = named, measured or pixel_size
    if len(names) > n_channels and any("declares" in note for note in notes):
        names = names[:n_channels]
    return kind, names if len(names) == n_channels else (), pixel_size


def _name_axes(letters: str, shape: tuple[int, ...], *, planes_first: bool = False) -> tuple[str, bool]:
    """Translate tifffile's letters; unknown ones are guessed by their length as in `guess_axes`."""
    axes = list(letters)
    guessed = False
    for i, letter in enumerate(axes):
        if letter in "TZCYXS":
            continue
        if shape[i] > 1:
            guessed = True
        # Consecutive colour pictures are planes, and so are masks.
        may_be_channels = shape[i] <= MAX_GUESSED_CHANNELS and not planes_first and "S" not in letters
        order = "CZT" if may_be_channels else "ZTC"
        axes[i] = next((free for free in order if free not in axes), "?")
    return "".join(axes), guessed


def _photometric(page: TiffPage) -> int:
    """Return the photometric interpretation; by default RGB, or greys whose 0 is black."""
    if "PhotometricInterpretation" in page.tags:
        return int(page.photometric)
    return _RGB if page.samplesperpixel >= 3 else 1


def _name_samples(axes: str, count: int, page: TiffPage, source: Source, notes: list[str]) -> tuple[str, Samples]:
    """Say what the samples of a pixel are; samples that are no colour become channels."""
    alpha = bool(page.extrasamples) and int(page.extrasamples[0]) in (1, 2)
    match _photometric(page), count:
        case ((2 | 6 | 8), 3):
            return axes, "rgb"
        # A mask never has cell colours in a fourth channel, so that is transparency, declared or not.
        case ((2 | 6 | 8), 4) if alpha or source.as_labels:
            return axes, "rgba"
        case 5, 4:
            return axes, "cmyk"
        case ((0 | 1), 2) if alpha:
            return axes, "grey+alpha"
        case kind, more:
            if kind == _RGB and more == 4:
                notes.append("The file does not say that its fourth sample is transparency; it was kept as a channel.")
            return (axes.replace("S", "C"), "") if "C" not in axes else (axes, "")


def _are_planes(array: NDArray[Any]) -> bool:
    """Tell three label images (3, H, W), which some programs store as RGB, from a mask of one colour per cell.

    The cells of a colour mask have the same outlines in red, green and blue; separate label images overlap
    irregularly.  Where cells lie apart in all planes, ids differ from colours: they count up from 1 in each plane.
    """
    used = np.unique(array)
    highest = int(used[-1])
    if 0 < highest < _LOW_ID and highest <= 2 * np.count_nonzero(used) and array.any(axis=(1, 2)).all():
        return not (np.array_equal(array[0], array[1]) and np.array_equal(array[0], array[2]))
    inner = own = 0
    for axis in (1, 2):
        changes = np.diff(array, axis=axis) != 0
        some = changes.any(axis=0)
        filled = array[:, 1:] if axis == 1 else array[:, :, 1:]
        own += int(np.count_nonzero(changes & (filled > 0)))
        inner += int(np.count_nonzero(some & ~changes & (filled > 0)))
    return inner > 0.02 * (inner + own)
