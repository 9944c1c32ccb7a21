"""A button that shows a colour and changes it."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import (
    QColorDialog,
    QToolButton,
    QWidget,
)

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


class ColourButton(QToolButton):
    """A colour, which a click changes."""

    chosen = Signal(object)

    def __init__(self, text: str, colour: Colour, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.colour = colour
        self.setText(text)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(16, 16))
        self.setAccessibleName(self.tr("Colour: {what}").format(what=text))
        self.setToolTip(self.tr("Choose another colour"))
        self.clicked.connect(self._ask)
        self.set_colour(colour)

    def set_colour(self, colour: Colour) -> None:
        """Show this colour."""
        self.colour = colour
        self.setIcon(swatch(QColor(*colour), self.devicePixelRatioF()))

    def _ask(self) -> None:
        found = QColorDialog.getColor(QColor(*self.colour), self.window(), self.tr("Colour of the outlines"))
        if found.isValid():
            self.set_colour((found.red(), found.green(), found.blue()))
            self.chosen.emit(self.colour)


def swatch(colour: QColor, ratio: float = 1.0) -> QIcon:
    """Return a small square of a colour."""
    picture = QPixmap(QSize(16, 16) * ratio)
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawRoundedRect(1, 1, 14, 14, 3, 3)
    painter.end()
    return QIcon(picture)
