"""The cells of a label image as a table of measurements.  Knows nothing of Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.evaluation.matching import find_objects
from cellseg1.files import write_bytes
from cellseg1.tables import csv_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    PixelSize = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class CellRows:
    """The n cells of one plane, ascending by id.

    Attributes
    ----------
    ids
        (n,) int64.
    area
        (n,) int64 pixels.
    centre
        (n, 2) float64, (x, y) in pixels; the centre of the first pixel is (0.5, 0.5), as in the window.
    diameter
        (n,) float64, of the circle of the same area, in pixels.
    box
        (n, 4) int64 top, left, bottom, right, the last two exclusive.
    pixel_size_um
        (y, x) of a pixel in micrometres, None when unknown.
    """

    ids: NDArray[np.int64]
    area: NDArray[np.int64]
    centre: NDArray[np.float64]
    diameter: NDArray[np.float64]
    box: NDArray[np.int64]
    pixel_size_um: PixelSize | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.ids)

    @property
    def area_um2(self) -> NDArray[np.float64] | None:
        """Areas in square micrometres, None without pixel size."""
        if self.pixel_size_um is None:
            return None
        return np.asarray(self.area * (self.pixel_size_um[0] * self.pixel_size_um[1]), np.float64)

    @property
    def diameter_um(self) -> NDArray[np.float64] | None:
        """Diameters of the circles of the same area in micrometres, None without pixel size."""
        area = self.area_um2
        return None if area is None else np.asarray(2 * np.sqrt(area / np.pi), np.float64)


def measure_cells(labels: NDArray[Any], pixel_size_um: PixelSize | None = None) -> CellRows:
    """Measure every cell of a label image (H, W)."""
    from scipy import ndimage

    objects = find_objects(labels)
    count = len(objects.ids)
    centre, box = np.zeros((count, 2)), np.zeros((count, 4), np.int64)
    for number, (rows, columns) in enumerate(ndimage.find_objects(objects.index, max_label=count)):
        y, x = np.nonzero(objects.index[rows, columns] == number + 1)
        centre[number] = columns.start + x.mean() + 0.5, rows.start + y.mean() + 0.5
        box[number] = rows.start, columns.start, rows.stop, columns.stop
    diameter = 2 * np.sqrt(objects.area / np.pi)
    return CellRows(objects.ids, objects.area, centre, diameter, box, pixel_size_um)


def write_csv(path: Path, rows: CellRows, image: str, z: int = 0, t: int = 0) -> None:
    """Write the table with its units in the first line, and the pixel size in every row, so that none can be lost.

    Raises
    ------
    OutputError
        When the file cannot be written; it then is as it was before.
    """
    size = rows.pixel_size_um
    head = ["image", "z", "t", "cell", "area_px", "centre_x_px", "centre_y_px", "equivalent_diameter_px"]
    head += ["box_left_px", "box_top_px", "box_right_px", "box_bottom_px"]
    if size is not None:
        head += ["area_um2", "centre_x_um", "centre_y_um", "equivalent_diameter_um"]
        head += ["pixel_height_um", "pixel_width_um"]
    lines: list[list[object]] = [[*head]]
    area_um2, diameter_um = rows.area_um2, rows.diameter_um
    for i in range(len(rows)):
        x, y = rows.centre[i].tolist()
        top, left, bottom, right = rows.box[i].tolist()
        values: list[object] = [image, z, t, int(rows.ids[i]), int(rows.area[i]), _short(x), _short(y)]
        values += [_short(rows.diameter[i]), left, top, right, bottom]
        if size is not None and area_um2 is not None and diameter_um is not None:
            values += [_short(area_um2[i]), _short(x * size[1]), _short(y * size[0]), _short(diameter_um[i]), *size]
        lines.append(values)
    write_bytes(path, csv_bytes(lines))


def _short(value: float) -> str:
    """Six digits are far below what can be measured, whatever the unit."""
    return f"{float(value):.6g}"
