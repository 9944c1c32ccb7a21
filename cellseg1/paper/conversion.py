"""Conversion of the publishers' files to images and label images of one layout."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cellseg1.errors import ImageError, MaskError
from cellseg1.images import read_image
from cellseg1.images.read import load
from cellseg1.masks import write_label_image
from cellseg1.masks.ids import relabel_sequential, remap_colours
from cellseg1.paper.archive import Archive, ArchiveError
from cellseg1.paper.data_sets import DataSet, Split

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

#: Indices of the images with blood cells among the 141 training and 24 tuning images of the challenge, sorted.
_BLOOD: Final[dict[Split, tuple[int, ...]]] = {
    "train": (*range(12), *range(14, 141)),
    "test": (0, 2, 6, 7, 12, 13, 15, *range(17, 24)),
}
_SPECIALIZED: Final[dict[Split, int]] = {"train": 89, "test": 11}


@dataclass(frozen=True, slots=True)
class Pair:
    """An image of an archive with its mask; the image keeps its file name, the mask takes its stem."""

    archive: Archive
    name: str
    image: zipfile.ZipInfo
    mask: zipfile.ZipInfo


@dataclass(frozen=True, slots=True)
class Plan:
    """The sources of a split of a data set, sorted, with notes about assumptions."""

    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()

    @property
    def needed(self) -> int:
        """Approximate size on the disk, in bytes."""
        return sum(pair.image.file_size + pair.mask.file_size for pair in self.pairs)


def plan(wanted: DataSet, split: Split, archives: Mapping[str, Archive]) -> Plan:
    """Find the images of a split and their masks without reading them.

    Raises
    ------
    ArchiveError
        When folders, masks or images are missing.
    """
    test = split == "test"
    if wanted.source == "cellpose":
        archive = archives[wanted.archives[test]]
        made = _cellpose(archive, split)
        return Plan(_first(archive, made.pairs, _SPECIALIZED[split])) if wanted.short == "CPS" else made
    if wanted.source == "neurips":
        archive = archives[wanted.archives[test]]
        made = _by_stem(archive, archive.folder("images"), archive.folder("labels"), _without_label)
        return Plan(_at(archive, made.pairs, _BLOOD[split]), made.notes)
    archive = archives[wanted.archives[0]]
    images, masks = {
        "stardist": (("dsb2018", split, "images"), ("dsb2018", split, "masks")),
        "ecoli": ((split, "brightfield"), (split, "masks_RoiMap")),
        "subtilis": (("pix2pix_dataset", split, "fluorescence"), ("pix2pix_dataset", split, "masks")),
    }[wanted.source]
    return _by_stem(archive, archive.folder(*images), archive.folder(*masks), lambda stem: stem)


def _cellpose(archive: Archive, split: Split) -> Plan:
    files = archive.folder(split)
    images = _by_number(files, r"(\d+)_img\.png")
    masks = _by_number(files, r"(\d+)_masks\.png")
    return Plan(tuple(Pair(archive, name, files[name], files[mask]) for name, mask in _matched(archive, images, masks)))


def _by_number(files: Iterable[str], pattern: str) -> dict[str, str]:
    found = ((re.fullmatch(pattern, name, re.IGNORECASE), name) for name in files)
    return {str(int(match.group(1))): name for match, name in found if match}


def _matched(archive: Archive, images: Mapping[str, str], masks: Mapping[str, str]) -> list[tuple[str, str]]:
    alone = sorted({*images} ^ {*masks})
    if alone or not images:
        what = f"{({**images, **masks})[alone[0]]} alone" if alone else "no images"
        raise ArchiveError(
            f"{archive.path} has {what} where images with their masks are expected; download the archive again."
        )
    return sorted((name, masks[key]) for key, name in images.items())


def _by_stem(
    archive: Archive,
    images: Mapping[str, zipfile.ZipInfo],
    masks: Mapping[str, zipfile.ZipInfo],
    key: Callable[[str], str],
) -> Plan:
    """Pair by name; equal numbers of files with other names are paired in sorted order, with a note."""
    of_image = {Path(name).stem.casefold(): name for name in images}
    of_mask = {key(Path(name).stem.casefold()): name for name in masks}
    if len(of_image) != len(images) or len(of_mask) != len(masks):
        raise ArchiveError(
            f"{archive.path} has two images or masks that differ in their suffix only; download the archive again."
        )
    notes: tuple[str, ...] = ()
    if images and not {*of_image} & {*of_mask} and len(images) == len(masks):
        notes = (f"Images and masks in {archive.path.name} have different names and were paired in sorted order.",)
        matched = list(zip(sorted(images), sorted(masks), strict=True))
    else:
        matched = _matched(archive, of_image, of_mask)
    return Plan(tuple(Pair(archive, name, images[name], masks[mask]) for name, mask in matched), notes)


def _without_label(stem: str) -> str:
    return stem.removesuffix("_label")


def _first(archive: Archive, pairs: tuple[Pair, ...], count: int) -> tuple[Pair, ...]:
    return _at(archive, pairs, range(count))


def _at(archive: Archive, pairs: tuple[Pair, ...], wanted: Iterable[int]) -> tuple[Pair, ...]:
    chosen = tuple(wanted)
    if chosen[-1] >= len(pairs):
        raise ArchiveError(
            f"{archive.path} has {len(pairs)} images and {chosen[-1] + 1} are needed; download the archive again."
        )
    return tuple(pairs[index] for index in chosen)


def write_pair(pair: Pair, folder: Path) -> None:
    """Write an image as it is and its mask as a label image.

    Parameters
    ----------
    folder
        Folder that contains ``images`` and ``masks``.

    Raises
    ------
    ArchiveError
        When a file is damaged or no image, or the two differ in size.
    OutputError
        When the folder cannot be written.
    """
    image, raw = folder / "images" / pair.name, folder / f"mask{Path(pair.mask.filename).suffix}"
    pair.archive.extract(pair.image, image)
    pair.archive.extract(pair.mask, raw)
    try:
        labels = as_labels(load(raw, as_labels=True).plane())
        picture = read_image(image).plane()
    except (ImageError, MaskError) as error:
        name = pair.mask.filename if str(raw) in str(error) else pair.image.filename
        raise ArchiveError(f"{pair.archive.damaged(name)[:-1]} ({error})") from error
    finally:
        raw.unlink(missing_ok=True)
    if picture.shape[:2] != labels.shape:
        raise ArchiveError(
            f"{pair.image.filename} in {pair.archive.path} has {picture.shape[:2]} pixels and its mask "
            f"{labels.shape}; download the archive again."
        )
    write_labels(folder, pair.name, labels)


def write_labels(folder: Path, image: str, labels: NDArray[Any]) -> None:
    """Write the label image that belongs to an image: PNG, or TIFF where the ids need more than 16 bits."""
    suffix = ".png" if int(labels.max(initial=0)) <= np.iinfo(np.uint16).max else ".tif"
    write_label_image(folder / "masks" / f"{Path(image).stem}{suffix}", labels)


def as_labels(plane: NDArray[Any]) -> NDArray[np.int32]:
    """Number the cells of a published mask: one id per cell, in one channel, three equal ones, or as colours.

    Unlike for a user's mask, nothing is guessed: one value is always one cell.

    Raises
    ------
    MaskError
        When the values have another form.
    """
    if plane.ndim == 3 and all(np.array_equal(plane[..., 0], plane[..., more]) for more in range(1, plane.shape[2])):
        plane = plane[..., 0]
    if plane.ndim == 3:
        if plane.shape[2] != 3 or plane.dtype.kind != "u" or plane.dtype.itemsize > 2:
            raise MaskError(f"it has {plane.shape[2]} channels of type {plane.dtype}")
        return remap_colours(plane)[0]
    if plane.dtype.kind == "f":
        if not np.isfinite(plane).all() or not np.array_equal(plane, np.rint(plane)):
            raise MaskError("it has values that are no whole numbers")
        plane = plane.astype(np.int64)
    return relabel_sequential(plane)[0]
