"""The display during the conversion of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from ...theme import GAP, TIGHT
from ...widgets.plain import Label

if TYPE_CHECKING:
    from pathlib import Path

    from .conversion import Conversion


class Working(QWidget):
    """Name of the conversion in progress, with a button to cancel it; hidden without one."""

    #: The new file, or None.
    ended = Signal(object)

    def __init__(self, cancel: QPushButton, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._conversion: Conversion | None = None
        self.line = Label()
        self.line.setWordWrap(True)
        bar = QProgressBar()
        bar.setRange(0, 0)
        bar.setTextVisible(False)
        bar.setAccessibleName(self.tr("Working on a model"))
        cancel.clicked.connect(self._cancel)
        column = QVBoxLayout()
        column.setSpacing(TIGHT)
        column.addWidget(self.line)
        column.addWidget(bar)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        row.addLayout(column, 1)
        row.addWidget(cancel)
        self.hide()

    def follow(self, conversion: Conversion) -> None:
        """Show a conversion until it has ended."""
        self._conversion = conversion
        self.line.setText(conversion.job.title + "...")
        self.show()
        conversion.ended.connect(self._ended)

    def _cancel(self) -> None:
        if self._conversion is not None:
            self._conversion.cancel()

    def _ended(self, path: Path | None) -> None:
        self._conversion = None
        self.hide()
        self.ended.emit(path)
