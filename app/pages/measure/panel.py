"""Step 5: how good the cells are, and how large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from ...theme import MARGIN
from ..shared.page import Page
from .accuracy import AccuracyTab
from .cells import CellsTab

if TYPE_CHECKING:
    from ...canvas import Canvas
    from ...session.session import Session


class MeasurePanel(Page):
    """Accuracy against a truth, and the table of cells."""

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(session, canvas, parent)
        self.set_title(self.tr("Measure"))
        self.accuracy = AccuracyTab(session, canvas)
        self.cells = CellsTab(session, canvas)
        holder = QWidget()
        inside = QVBoxLayout(holder)
        inside.setContentsMargins(MARGIN, 0, MARGIN, MARGIN)
        inside.addWidget(self.cells)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.setAccessibleName(self.tr("What to measure"))
        self.tabs.addTab(self.accuracy, self.tr("Accuracy"))
        self.tabs.addTab(holder, self.tr("Cells"))
        self.tabs.setTabToolTip(0, self.tr("Compare with a truth"))
        self.tabs.setTabToolTip(1, self.tr("Size and place of the cells of this image"))
        self.tabs.currentChanged.connect(lambda _index: self.shown())
        self.fill(self.tabs)
        self.accuracy.step_wanted.connect(self.step_wanted)
        self.cells.step_wanted.connect(self.step_wanted)

    def shown(self) -> None:
        """Bring the visible tab up to date; called when one comes to this step."""
        (self.accuracy if self.tabs.currentIndex() == 0 else self.cells).shown()
