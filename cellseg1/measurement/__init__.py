"""Measuring the cells of a label image, without torch and Qt."""

from __future__ import annotations

from cellseg1.measurement.cells import Cells, Column, Measurement
from cellseg1.measurement.registry import MEASUREMENTS
from cellseg1.measurement.table import CellTable, measure_cells, write_csv

__all__ = ["MEASUREMENTS", "CellTable", "Cells", "Column", "Measurement", "measure_cells", "write_csv"]
