"""What plots have in common: axes that turn values into places, a grid with numbers, and lines through values."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainterPath, QPen
from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from PySide6.QtGui import QColor, QPainter


@dataclass(frozen=True, slots=True)
class Axes:
    """The part of a plot inside its axes, and the values at their ends."""

    place: QRectF
    left: float
    right: float
    low: float
    high: float

    def at(self, x: float, y: float) -> QPointF:
        """Return where a value is on the screen; one of a single place lies in the middle."""
        across = (x - self.left) / (self.right - self.left) if self.right > self.left else 0.5
        up = (y - self.low) / (self.high - self.low)
        return QPointF(self.place.left() + across * self.place.width(), self.place.bottom() - up * self.place.height())

    def x_at(self, screen_x: float) -> float:
        """Return the value at a place on the screen."""
        return self.left + (screen_x - self.place.left()) / self.place.width() * (self.right - self.left)

    def path(self, x: Sequence[float], y: Sequence[float]) -> QPainterPath:
        """Return the line through values: of many within one pixel the lowest and the highest."""
        across = self.place.width() / (self.right - self.left) if self.right > self.left else 0.0
        up = self.place.height() / (self.high - self.low)
        start_x = self.at(self.left, self.low).x()
        each = max(1, math.ceil(len(y) / max(2, int(self.place.width()))))
        path = QPainterPath()
        for start in range(0, len(y), each):
            part = y[start : start + each]
            chosen = [start] if each == 1 else sorted({start + part.index(min(part)), start + part.index(max(part))})
            for index in chosen:
                at_x = start_x + (x[index] - self.left) * across
                at_y = self.place.bottom() - (y[index] - self.low) * up
                if path.elementCount() == 0:
                    path.moveTo(at_x, at_y)
                else:
                    path.lineTo(at_x, at_y)
        return path


def line_pen(colour: QColor, width: float) -> QPen:
    """Return a pen for lines through values."""
    return QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)


def nearest(values: Sequence[float], value: float) -> int:
    """Return the index of the nearest of rising values, of which there is at least one."""
    after = bisect.bisect_left(values, value)
    near = [index for index in (after - 1, after) if 0 <= index < len(values)]
    return min(near, key=lambda index: abs(values[index] - value))


class Plot(QWidget):
    """A widget with a plot, which tells the values under the pointer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMouseTracking(True)

    @staticmethod
    def paint_grid(
        painter: QPainter,
        axes: Axes,
        marks: Iterable[tuple[float, str]],
        numbers: tuple[float, float],
        line_height: float,
        shades: tuple[QColor, QColor],
        *,
        sharp: bool = False,
    ) -> None:
        """Draw a line across for each of these values, with its text at the left.

        Parameters
        ----------
        numbers
            Where the texts begin and end, in pixels from the left.
        shades
            Colours of the lines and of the texts.
        sharp
            Draw the lines on whole pixels.
        """
        begin, end = numbers
        for value, text in marks:
            y = axes.at(axes.left, value).y()
            if sharp:
                y = round(y) + 0.5
            painter.setPen(QPen(shades[0], 1))
            painter.drawLine(QPointF(axes.place.left(), y), QPointF(axes.place.right(), y))
            painter.setPen(shades[1])
            where = QRectF(begin, y - line_height / 2, end - begin, line_height)
            painter.drawText(where, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
