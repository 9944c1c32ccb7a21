"""The drawing of a plane: its label image, its cells, and its history.  Knows no widget, never imports Qt."""

from __future__ import annotations

from app.annotation.aside import Aside
from app.annotation.cells import CellTable
from app.annotation.document import Document
from app.annotation.edit import Edit
from app.annotation.steps import Change, HistoryError, Step, StepLog, StepRef

__all__ = ["Aside", "CellTable", "Change", "Document", "Edit", "HistoryError", "Step", "StepLog", "StepRef"]
