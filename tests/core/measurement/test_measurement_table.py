"""The table of cells: values, units, the order of its columns, and columns of other packages."""

import csv
import io

import numpy as np
import pytest

from cellseg1.measurement import MEASUREMENTS, Column, measure_cells, write_csv


def rows_of(path):
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def test_cells_are_measured_right():
    labels = np.zeros((20, 33), np.int32)
    labels[2:5, 10:16] = 4
    labels[10:12, 30:33] = 900_000
    found = measure_cells(labels, (0.5, 0.25))
    assert found.ids.tolist() == [4, 900_000]
    assert found["area_px"].tolist() == [18, 6]
    assert [found["centre_x_px"].tolist(), found["centre_y_px"].tolist()] == [[13.0, 31.5], [3.5, 11.0]]
    assert [found[f"box_{side}_px"].tolist() for side in ("top", "left", "bottom", "right")] == [
        [2, 10],
        [10, 30],
        [5, 12],
        [16, 33],
    ]
    assert found["area_um2"].tolist() == [18 * 0.125, 6 * 0.125]
    assert found["equivalent_diameter_px"][0] == pytest.approx(2 * np.sqrt(18 / np.pi))
    assert found["equivalent_diameter_um"][0] == pytest.approx(2 * np.sqrt(18 * 0.125 / np.pi))
    assert len(measure_cells(np.zeros((4, 9), np.int32))) == 0


def test_the_table_of_cells_has_units_and_pixel_size(tmp_path):
    labels = np.zeros((20, 33), np.int32)
    labels[2:5, 10:16] = 4
    write_csv(tmp_path / "c.csv", measure_cells(labels, (0.5, 0.25)), "ä.tif", 1, 2)
    head, row = rows_of(tmp_path / "c.csv")
    values = dict(zip(head, row, strict=True))
    assert values["image"] == "ä.tif"
    assert (values["z"], values["t"], values["cell"]) == ("1", "2", "4")
    assert (values["area_px"], values["area_um2"]) == ("18", "2.25")
    assert (values["centre_x_um"], values["centre_y_um"]) == ("3.25", "1.75")
    assert (values["pixel_height_um"], values["pixel_width_um"]) == ("0.5", "0.25")
    write_csv(tmp_path / "n.csv", measure_cells(labels), "a")
    assert not any("um" in title for title in rows_of(tmp_path / "n.csv")[0])


def test_the_order_of_the_columns_in_a_file(tmp_path):
    labels = np.zeros((20, 33), np.int32)
    labels[2:5, 10:16] = 4
    write_csv(tmp_path / "c.csv", measure_cells(labels, (0.5, 0.25)), "a")
    assert (tmp_path / "c.csv").read_bytes().decode("utf-8-sig").splitlines() == [
        (
            "image,z,t,cell,area_px,centre_x_px,centre_y_px,equivalent_diameter_px,"
            "box_left_px,box_top_px,box_right_px,box_bottom_px,area_um2,centre_x_um,centre_y_um,equivalent_diameter_um,"
            "pixel_height_um,pixel_width_um"
        ),
        "a,0,0,4,18,13,3.5,4.78731,10,2,16,5,2.25,3.25,1.75,1.69257,0.5,0.25",
    ]


class Corners:
    name = "corners"

    def measure(self, cells):
        sides = [cells.inside(number).shape for number in range(len(cells))]
        return [Column("corners", np.array([2 * sum(side) for side in sides]), title="Corners", decimals=0)]


def test_a_measurement_of_another_package_stands_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setitem(MEASUREMENTS.known, "corners", Corners())
    labels = np.zeros((20, 33), np.int32)
    labels[2:5, 10:16] = 4
    table = measure_cells(labels, (0.5, 0.25))
    assert ("corners" in table, table.added) == (True, {"corners"})
    write_csv(tmp_path / "c.csv", table, "a")
    head, row = rows_of(tmp_path / "c.csv")
    assert (head[-2:], row[-2:]) == (["pixel_width_um", "corners"], ["0.25", "18"])
    with pytest.raises(KeyError):
        table["none"]
