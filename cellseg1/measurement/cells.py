"""Input and output of measurements, without Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from cellseg1.evaluation.matching import find_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The n cells of one plane, ascending by id.

    Attributes
    ----------
    ids
        (n,) int64.
    index
        (H, W) int32, 0 on the background and k + 1 on the cell ``ids[k]``.
    area
        (n,) int64 pixels.
    places
        For each cell the rows and columns of its bounding box.
    pixel_size_um
        (y, x) of a pixel in micrometres, None when unknown.
    """

    ids: NDArray[np.int64]
    index: NDArray[np.int32]
    area: NDArray[np.int64]
    places: tuple[tuple[slice, slice], ...]
    pixel_size_um: tuple[float, float] | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.ids)

    def inside(self, number: int) -> NDArray[np.bool_]:
        """Return the pixels of cell `number` (from 0) within its box `places[number]`."""
        return np.asarray(self.index[self.places[number]] == number + 1)

    @classmethod
    def of(cls, labels: NDArray[Any], pixel_size_um: tuple[float, float] | None = None) -> Cells:
        """Find the cells of a label image (H, W)."""
        from scipy import ndimage

        objects = find_objects(labels)
        found = ndimage.find_objects(objects.index, max_label=len(objects.ids))
        places = tuple((rows, columns) for rows, columns in found)
        return cls(objects.ids, objects.index, objects.area, places, pixel_size_um)


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of a table of cells.

    Attributes
    ----------
    name
        Heading in files, with the unit: ``area_px``.
    values
        (n,), one value for each cell.
    title, about
        Heading in the window, and a sentence about the column; an empty title shows `name`.
    decimals
        Digits after the decimal mark in the window.
    """

    name: str
    values: NDArray[Any]
    title: str = ""
    about: str = ""
    decimals: int = 1


@runtime_checkable
class Measurement(Protocol):
    """A measurement of every cell of a plane."""

    @property
    def name(self) -> str: ...  # noqa: D102 - the name in lists

    def measure(self, cells: Cells) -> Sequence[Column]:
        """Return one or several columns; columns in micrometres only with a known pixel size."""
        ...
