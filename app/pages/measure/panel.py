"""Step 5: how good the cells are, and how large."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSize, Signal
from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from app.pages.measure.accuracy import AccuracyTab
from app.pages.measure.cells import CellsTab
from app.theme import GAP, MARGIN, PANEL_WIDTH, heading
from app.widgets.plain import Label


class MeasurePanel(QWidget):
    """Accuracy against a truth, and the table of cells."""

    step_wanted = Signal(str)

    def __init__(self, session: Any, canvas: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Measure"))
        title = Label(self.tr("Measure"))
        title.setFont(heading(self.font(), 1))
        title.setContentsMargins(MARGIN, MARGIN, MARGIN, GAP)
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
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(title)
        layout.addWidget(self.tabs, 1)
        self.accuracy.step_wanted.connect(self.step_wanted)
        self.cells.step_wanted.connect(self.step_wanted)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the usual width of a panel."""
        return QSize(PANEL_WIDTH, 560)

    def shown(self) -> None:
        """Bring the visible tab up to date; called when one comes to this step."""
        (self.accuracy if self.tabs.currentIndex() == 0 else self.cells).shown()
