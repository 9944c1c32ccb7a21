"""The loss of a training while it runs."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from ...theme import GAP, TIGHT, colours, tabular
from .axis import number, round_step, ticks
from .plot import Axes, Plot, line_pen, nearest

#: Share of a new value in the smooth line once there are many values.
_LEAST_SHARE = 0.06


class LossCurve(Plot):
    """Draws values against steps: every value faintly, a smooth line over them.

    The pointer, or the arrow keys, show the value at a step.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._x: list[float] = []
        self._y: list[float] = []
        self._smooth: list[float] = []
        # Kept while values come: the axes are asked for at every point that is drawn.
        self._lowest, self._highest = math.inf, -math.inf
        self._total = 0.0
        self._at: int | None = None
        self._empty = self.tr("The curve appears with the first steps.")
        self._x_name, self._y_name = self.tr("step"), self.tr("loss")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(self.tr("Loss curve"))
        self.setToolTip(self.tr("Loss at each step; point at the curve, or use the arrow keys, to read a value"))

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a size at which the curve reads well."""
        return QSize(272, 160)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the least useful size."""
        return QSize(160, 96)

    def append(self, step: float, loss: float) -> None:
        """Add a value; one that is not finite is left out, a step that went before is replaced from there on."""
        if not (math.isfinite(step) and math.isfinite(loss)):
            return
        if self._x and step <= self._x[-1]:
            # A resumed training repeats the steps since its checkpoint.
            keep = bisect.bisect_left(self._x, step)
            del self._x[keep:], self._y[keep:], self._smooth[keep:]
            self._lowest, self._highest = min(self._y, default=math.inf), max(self._y, default=-math.inf)
        share = max(_LEAST_SHARE, 1 / (len(self._x) + 1) ** 0.7)
        before = self._smooth[-1] if self._smooth else loss
        self._lowest, self._highest = min(self._lowest, loss), max(self._highest, loss)
        self._x.append(step)
        self._y.append(loss)
        self._smooth.append(before + share * (loss - before))
        self._changed()

    def set_points(self, points: Iterable[tuple[float, float]]) -> None:
        """Show these (step, loss) values instead."""
        self.clear()
        for step, loss in points:
            self.append(step, loss)

    def set_total(self, steps: float) -> None:
        """Let the axis reach to the last step of the training, so that the curve shows how far it is; 0 for unknown."""
        self._total = steps
        self.update()

    def clear(self) -> None:
        """Take all values away."""
        self._x.clear()
        self._y.clear()
        self._smooth.clear()
        self._lowest, self._highest = math.inf, -math.inf
        self._at = None
        self._changed()

    @property
    def points(self) -> list[tuple[float, float]]:
        """The (step, loss) values."""
        return list(zip(self._x, self._y, strict=True))

    @property
    def smooth(self) -> list[tuple[float, float]]:
        """The (step, loss) points of the smooth line."""
        return list(zip(self._x, self._smooth, strict=True))

    def reading(self) -> tuple[float, float] | None:
        """Return the step and the loss that are read now, None when none is."""
        return (self._x[self._at], self._y[self._at]) if self._at is not None and self._at < len(self._x) else None

    def _changed(self) -> None:
        if self._at is not None and self._at >= len(self._x):
            self._at = len(self._x) - 1 if self._x else None
        if self._x:
            self.setAccessibleDescription(
                self.tr("Loss {0} at step {1}").format(number(self._smooth[-1]), number(self._x[-1], 1))
            )
        else:
            self.setAccessibleDescription(self._empty)
        self.update()

    # ---- geometry

    def _ranges(self) -> tuple[float, float, float, float]:
        """Return the ends of both axes; the vertical one begins at zero where the loss has no sign."""
        right = max(self._total, self._x[-1], 1.0)
        left = min(0.0, self._x[0])
        low = min(0.0, self._lowest)
        high = max(self._highest, low + 1e-9)
        step = round_step(high - low, 4)
        return left, right, math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step

    def _place(self) -> QRectF:
        metrics = QFontMetricsF(tabular(self.font()))
        _left, _right, low, high = self._ranges()
        step = round_step(high - low, 4)
        labels = max(metrics.horizontalAdvance(number(value, step)) for value in ticks(low, high, 4))
        below = metrics.height() + TIGHT
        inside = QRectF(self.rect()).adjusted(labels + GAP, metrics.height() + GAP, -GAP, -below)
        return inside if inside.width() > 8 and inside.height() > 8 else QRectF()

    def _axes(self) -> Axes | None:
        """Return the axes, None while there is nothing to show or no room."""
        place = self._place() if self._x else QRectF()
        return None if place.isEmpty() else Axes(place, *self._ranges())

    # ---- drawing

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw axes, values, line and reading."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shades = colours()
        if self.hasFocus():
            painter.setPen(QPen(shades.qcolor("accent"), 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)
        if not self._x:
            painter.setPen(shades.qcolor("secondary"))
            inside = self.rect().adjusted(GAP, GAP, -GAP, -GAP)
            painter.drawText(inside, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._empty)
            return
        axes = self._axes()
        if axes is None:
            return
        painter.setFont(tabular(self.font()))
        self._draw_axes(painter, axes)
        self._draw_values(painter, axes)
        self._draw_reading(painter, axes)

    def _draw_axes(self, painter: QPainter, axes: Axes) -> None:
        shades, place = colours(), axes.place
        metrics = painter.fontMetrics()
        step = round_step(axes.high - axes.low, 4)
        marks = [(value, number(value, step)) for value in ticks(axes.low, axes.high, 4)]
        both = shades.qcolor("border"), shades.qcolor("secondary")
        self.paint_grid(painter, axes, marks, (0, place.left() - TIGHT), metrics.height(), both, sharp=True)
        room = max(2, int(place.width() / (metrics.horizontalAdvance("00000") * 1.6)))
        wide = max(1.0, round_step(axes.right - axes.left, room))
        until = place.right() + GAP - metrics.horizontalAdvance(self._x_name) - GAP
        for value in ticks(axes.left, axes.right, room):
            if value != round(value):
                continue
            text = number(value, wide)
            middle = axes.at(value, axes.low).x()
            half = metrics.horizontalAdvance(text) / 2
            start = max(place.left() - TIGHT, middle - half)
            if start + 2 * half < until:
                painter.drawText(QPointF(start, self.height() - metrics.descent() - 1), text)
        painter.drawText(
            QPointF(place.right() - metrics.horizontalAdvance(self._x_name), self.height() - metrics.descent() - 1),
            self._x_name,
        )
        painter.drawText(QPointF(TIGHT, metrics.ascent()), self._y_name)

    def _draw_values(self, painter: QPainter, axes: Axes) -> None:
        shades = colours()
        faint = QColor(shades.qcolor("secondary"))
        faint.setAlphaF(0.35)
        painter.setPen(QPen(faint, 1))
        painter.drawPath(axes.path(self._x, self._y))
        painter.setPen(line_pen(shades.qcolor("accent"), 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if len(self._x) > 1:
            painter.drawPath(axes.path(self._x, self._smooth))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shades.qcolor("accent"))
        painter.drawEllipse(axes.at(self._x[-1], self._smooth[-1]), 3, 3)

    def _draw_reading(self, painter: QPainter, axes: Axes) -> None:
        read = self.reading()
        if read is None:
            return
        shades, place = colours(), axes.place
        metrics = painter.fontMetrics()
        at = axes.at(*read)
        painter.setPen(QPen(shades.qcolor("outline"), 1))
        painter.drawLine(QPointF(at.x(), place.top()), QPointF(at.x(), place.bottom()))
        painter.setPen(QPen(shades.qcolor("field"), 1.5))
        painter.setBrush(shades.qcolor("accent"))
        painter.drawEllipse(at, 4, 4)
        text = f"{number(read[1])}  ·  {self._x_name} {number(read[0], 1)}"
        width = metrics.horizontalAdvance(text)
        free = TIGHT + metrics.horizontalAdvance(self._y_name) + GAP
        x = max(min(at.x() - width / 2, place.right() - width), free)
        painter.setPen(shades.qcolor("text"))
        painter.drawText(QPointF(x, metrics.ascent()), text)

    # ---- reading

    def _read_at(self, x: float) -> None:
        axes = self._axes()
        if axes is not None:
            self._at = nearest(self._x, axes.x_at(x))
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Read the value under the pointer."""
        self._read_at(event.position().x())

    def enterEvent(self, event: QEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Read the value under the pointer."""
        self._read_at(event.position().x())

    def leaveEvent(self, _event: object) -> None:  # noqa: N802 - Qt's name
        """Stop reading."""
        self._at = None
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Move the reading with the arrow keys; Esc ends it."""
        moves = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Home: -len(self._x), Qt.Key.Key_End: len(self._x)}
        key = Qt.Key(event.key())
        if key == Qt.Key.Key_Escape and self._at is not None:
            self._at = None
        elif key in moves and self._x:
            start = self._at if self._at is not None else len(self._x) - (key != Qt.Key.Key_Left) * 1
            self._at = min(max(start + moves[key], 0), len(self._x) - 1)
            self.setAccessibleDescription(
                self.tr("Loss {0} at step {1}").format(number(self._y[self._at]), number(self._x[self._at], 1))
            )
        else:
            super().keyPressEvent(event)
            return
        self.update()
