"""Size and place of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellseg1.measurement.cells import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellseg1.measurement.cells import Cells


class Area:
    """Area in pixels, and in square micrometres."""

    name = "area"

    def measure(self, cells: Cells) -> Sequence[Column]:
        """See `Measurement`."""
        columns = [Column("area_px", cells.area, decimals=0)]
        if cells.pixel_size_um is not None:
            columns.append(Column("area_um2", _square_micrometres(cells, cells.pixel_size_um), decimals=2))
        return columns


class Centre:
    """Centre of gravity; the centre of the first pixel is (0.5, 0.5), as in the window."""

    name = "centre"

    def measure(self, cells: Cells) -> Sequence[Column]:
        """See `Measurement`."""
        centre = np.zeros((len(cells), 2))
        for number, (rows, columns) in enumerate(cells.places):
            y, x = np.nonzero(cells.inside(number))
            centre[number] = columns.start + x.mean() + 0.5, rows.start + y.mean() + 0.5
        found = [Column("centre_x_px", centre[:, 0]), Column("centre_y_px", centre[:, 1])]
        if cells.pixel_size_um is not None:
            height, width = cells.pixel_size_um
            found.append(Column("centre_x_um", centre[:, 0] * width))
            found.append(Column("centre_y_um", centre[:, 1] * height))
        return found


class Diameter:
    """Diameter of the circle of the same area."""

    name = "equivalent diameter"

    def measure(self, cells: Cells) -> Sequence[Column]:
        """See `Measurement`."""
        columns = [Column("equivalent_diameter_px", 2 * np.sqrt(cells.area / np.pi))]
        if cells.pixel_size_um is not None:
            area = _square_micrometres(cells, cells.pixel_size_um)
            columns.append(Column("equivalent_diameter_um", 2 * np.sqrt(area / np.pi), decimals=2))
        return columns


class Box:
    """The smallest box around each cell; right and bottom edge are exclusive."""

    name = "box"

    def measure(self, cells: Cells) -> Sequence[Column]:
        """See `Measurement`."""
        box = np.zeros((len(cells), 4), np.int64)
        for number, (rows, columns) in enumerate(cells.places):
            box[number] = columns.start, rows.start, columns.stop, rows.stop
        names = ("box_left_px", "box_top_px", "box_right_px", "box_bottom_px")
        return [Column(name, box[:, place], decimals=0) for place, name in enumerate(names)]


def _square_micrometres(cells: Cells, size: tuple[float, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(cells.area * (size[0] * size[1]), np.float64)
