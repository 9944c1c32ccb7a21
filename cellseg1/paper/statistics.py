"""Statistics of the prepared data sets: number and sizes of cells, per image and per set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import MaskError
from cellseg1.files import write_bytes
from cellseg1.images.read import load
from cellseg1.paper.conversion import as_labels
from cellseg1.paper.data_sets import SPLITS, DataSet, Split, chosen_sets, images_in
from cellseg1.tables import csv_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellseg1.files import PathLike


@dataclass(frozen=True, slots=True)
class ImageStatistics:
    """The cells of one image: height and width in px, and the area of each cell in px², in the order of the ids."""

    data_set: str
    split: Split
    image: str
    height: int
    width: int
    sizes: tuple[int, ...]

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self.sizes)

    @property
    def mean_size(self) -> float | None:
        """Mean size in px², None without cells."""
        return sum(self.sizes) / len(self.sizes) if self.sizes else None


@dataclass(frozen=True, slots=True)
class SetStatistics:
    """One data set: numbers of images and cells, mean area of its cells in px², and the size of resized images."""

    data_set: DataSet
    train_images: int
    test_images: int
    cells: int
    mean_size: float | None


def statistics(data: PathLike, sets: Sequence[str] = ()) -> tuple[list[ImageStatistics], list[SetStatistics]]:
    """Count the cells of prepared data sets.

    Parameters
    ----------
    data
        Folder that `cellseg1.paper.prepare` filled.
    sets
        Short names or folder names; none: all that are there.

    Returns
    -------
    tuple[list, list]
        Of every image, and of every data set.

    Raises
    ------
    MaskError
        When an image has no readable mask, or a requested data set is missing.
    """
    of_images: list[ImageStatistics] = []
    of_sets: list[SetStatistics] = []
    for one in chosen_sets(sets):
        folder = Path(data) / one.name
        found = [_of_image(one, split, image) for split in SPLITS for image in images_in(folder / split / "images")]
        if not found:
            if sets:
                raise MaskError(f"There is no data set {one.short} in {data}; make it with cellseg1 paper prepare.")
            continue
        of_images.extend(found)
        of_sets.append(_of_set(one, found))
    return of_images, of_sets


def mask_of(image: Path) -> Path:
    """Return the label image that belongs to an image of a prepared data set.

    Raises
    ------
    MaskError
        When there is none.
    """
    folder = image.parent.parent / "masks"
    for suffix in (".png", ".tif"):
        mask = folder / f"{image.stem}{suffix}"
        if mask.is_file():
            return mask
    raise MaskError(f"{image} has no mask in {folder}; make the data set again with cellseg1 paper prepare.")


def _of_image(one: DataSet, split: Split, image: Path) -> ImageStatistics:
    labels = as_labels(load(mask_of(image), as_labels=True).plane())
    sizes = np.bincount(labels.ravel())[1:]
    return ImageStatistics(
        one.short, split, image.name, labels.shape[0], labels.shape[1], tuple(int(size) for size in sizes)
    )


def _of_set(one: DataSet, found: Sequence[ImageStatistics]) -> SetStatistics:
    train = sum(image.split == "train" for image in found)
    cells = sum(image.cells for image in found)
    mean = sum(map(sum, (image.sizes for image in found))) / cells if cells else None
    return SetStatistics(one, train, len(found) - train, cells, mean)


def image_table(of_images: Sequence[ImageStatistics]) -> list[list[Any]]:
    """Return the rows of the table of images, its header first; sizes are joined by spaces."""
    header = ["data_set", "split", "image", "height", "width", "cells", "mean_size_px2", "sizes_px2"]
    return [
        header,
        *(
            [
                one.data_set,
                one.split,
                one.image,
                one.height,
                one.width,
                one.cells,
                _rounded(one.mean_size),
                " ".join(map(str, one.sizes)),
            ]
            for one in of_images
        ),
    ]


def set_table(of_sets: Sequence[SetStatistics]) -> list[list[Any]]:
    """Return the rows of the table of data sets, its header first."""
    header = ["data_set", "name", "train_images", "test_images", "cells", "mean_size_px2", "resize"]
    return [
        header,
        *(
            [
                one.data_set.short,
                one.data_set.name,
                one.train_images,
                one.test_images,
                one.cells,
                _rounded(one.mean_size),
                "x".join(map(str, one.data_set.resize or ())),
            ]
            for one in of_sets
        ),
    ]


def write_statistics(
    out: PathLike, of_images: Sequence[ImageStatistics], of_sets: Sequence[SetStatistics]
) -> tuple[Path, Path]:
    """Write both tables as CSV into a folder and return their names (`OutputError` when they cannot be written)."""
    images, sets = Path(out) / "images.csv", Path(out) / "data_sets.csv"
    write_bytes(images, csv_bytes(image_table(of_images)))
    write_bytes(sets, csv_bytes(set_table(of_sets)))
    return images, sets


def _rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 3)
