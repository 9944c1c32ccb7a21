"""A list of sentences about probable mistakes."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ...theme import GAP, ICON, TIGHT
from ...widgets.empty_state import Sign
from ...widgets.plain import Label

_MOST_WARNINGS = 3


class Warnings(QWidget):
    """Sentences with a warning sign each; hidden when empty."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(TIGHT)
        self.lines: tuple[str, ...] = ()
        self._rows: list[QWidget] = []
        self.setAccessibleName(self.tr("Warnings about the cells"))
        self.hide()

    def show_lines(self, lines: tuple[str, ...] | list[str]) -> None:
        """Show these sentences."""
        shown = tuple(lines[:_MOST_WARNINGS])
        if shown == self.lines:
            return
        self.lines = shown
        for old in self._rows:
            old.hide()
            self._layout.removeWidget(old)
            old.deleteLater()
        self._rows.clear()
        for line in shown:
            holder = QWidget()
            row = QHBoxLayout(holder)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(GAP)
            label = Label(line)
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            row.addWidget(Sign("warning", ICON, "warning"), 0, Qt.AlignmentFlag.AlignTop)
            row.addWidget(label, 1)
            self._layout.addWidget(holder)
            self._rows.append(holder)
        self.setAccessibleDescription(" ".join(shown))
        self.setVisible(bool(shown))
