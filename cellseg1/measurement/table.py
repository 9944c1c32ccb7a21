"""The cells of a label image as a table, and as a CSV file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.files import write_bytes
from cellseg1.measurement.cells import Cells, Column
from cellseg1.measurement.registry import MEASUREMENTS, OWN
from cellseg1.tables import csv_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_HEAD = ("image", "z", "t", "cell")


@dataclass(frozen=True, slots=True, eq=False)
class CellTable:
    """The measurements of the n cells of one plane, ascending by id.

    Attributes
    ----------
    ids
        (n,) int64.
    columns
        In the order of files: columns in pixels, in micrometres, then those of other packages.
    added
        Names of the columns of other packages.
    pixel_size_um
        (y, x) of a pixel in micrometres, None when unknown.
    """

    ids: NDArray[np.int64]
    columns: tuple[Column, ...]
    added: frozenset[str] = frozenset()
    pixel_size_um: tuple[float, float] | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.ids)

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a column `name`."""
        return any(column.name == name for column in self.columns)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return the values (n,) of the column `name`; `KeyError` when there is none."""
        for column in self.columns:
            if column.name == name:
                return column.values
        raise KeyError(name)

    def rows(self, image: str, z: int = 0, t: int = 0) -> Iterator[list[Any]]:
        """Yield the rows of a file, the heading first."""
        own = [column for column in self.columns if column.name not in self.added]
        more = [column for column in self.columns if column.name in self.added]
        size = () if self.pixel_size_um is None else self.pixel_size_um
        sizes = ("pixel_height_um", "pixel_width_um")[: len(size)]
        yield [*_HEAD, *(one.name for one in own), *sizes, *(one.name for one in more)]
        for row in range(len(self)):
            values = [[_short(column.values[row]) for column in columns] for columns in (own, more)]
            yield [image, z, t, int(self.ids[row]), *values[0], *size, *values[1]]


def measure_cells(labels: NDArray[Any], pixel_size_um: tuple[float, float] | None = None) -> CellTable:
    """Measure every cell of a label image.

    Parameters
    ----------
    labels
        (H, W) integer, 0 is background.
    pixel_size_um
        Height and width (y, x) of a pixel in micrometres; without it there are no columns in micrometres.

    Examples
    --------
    >>> import numpy as np
    >>> from cellseg1.measurement import measure_cells
    >>> labels = np.zeros((20, 30), np.int32)
    >>> labels[2:6, 3:8] = 1
    >>> table = measure_cells(labels, (0.5, 0.5))
    >>> int(table["area_px"][0]), float(table["area_um2"][0])
    (20, 5.0)
    """
    cells = Cells.of(labels, pixel_size_um)
    own: list[Column] = []
    added: list[Column] = []
    for measurement in MEASUREMENTS.all():
        (own if measurement.name in OWN else added).extend(measurement.measure(cells))
    own.sort(key=lambda column: not column.name.endswith("_px"))
    return CellTable(cells.ids, (*own, *added), frozenset(one.name for one in added), pixel_size_um)


def write_csv(path: Path, table: CellTable, image: str, z: int = 0, t: int = 0) -> None:
    """Write the table as CSV, with units in the header and the pixel size in every row, so that neither can be lost.

    Parameters
    ----------
    image, z, t
        Name of the image and its plane, written into every row.

    Raises
    ------
    OutputError
        When the file cannot be written; it is then unchanged.
    """
    write_bytes(path, csv_bytes(list(table.rows(image, z, t))))


def _short(value: Any) -> Any:
    """Format a number with six digits, far below the error of measurement; counts keep all digits."""
    return f"{float(value):.6g}" if isinstance(value, (float, np.floating)) else int(value)
