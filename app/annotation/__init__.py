"""The drawing of a plane: its label image, its cells, and its history.  Knows no widget, never imports Qt."""

from __future__ import annotations

from .aside import Aside
from .cells import CellTable
from .document import Document
from .edit import Edit
from .steps import Change, HistoryError, Step, StepLog, StepRef

__all__ = ["Aside", "CellTable", "Change", "Document", "Edit", "HistoryError", "Step", "StepLog", "StepRef"]
