"""The plot of a histogram with its handles: bars, transfer curve, and what can be dragged."""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QKeyEvent,
    QLinearGradient,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from ...theme import colours, mix

Handle = Literal["low", "gamma", "high"]
_HANDLES: Final[tuple[Handle, ...]] = ("low", "gamma", "high")
GAMMA_RANGE: Final = (0.1, 10.0)
#: Height of the strip below the bars, in which the handles are.
_STRIP: Final = 16
#: Half the width of a handle, and how near the pointer must come.
_HALF: Final = 6
_NEAR: Final = 8
_CAP: Final = Qt.PenCapStyle.RoundCap
_JOIN: Final = Qt.PenJoinStyle.RoundJoin


class LevelsPlot(QWidget):
    """The bars and the handles; `Histogram` adds the numbers."""

    moved = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.counts: NDArray[np.float64] = np.zeros(0)
        self.start, self.end = 0.0, 1.0
        self.low, self.high, self.gamma = 0.0, 1.0, 1.0
        self.whole = False
        self.active: Handle = "low"
        self._grabbed: Handle | None = None
        self._over: Handle | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a size at which the bars read well."""
        return QSize(272, 104)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the least useful size."""
        return QSize(160, 72)

    # ---- values and places

    def smallest_gap(self) -> float:
        """Return the least distance of black and white."""
        return 1.0 if self.whole else (self.end - self.start) * 1e-4

    def x_of(self, value: float) -> float:
        """Return where a value is on the screen."""
        share = (value - self.start) / (self.end - self.start)
        return share * self.width()

    def value_at(self, x: float) -> float:
        """Return the value at a place on the screen, kept within the range."""
        value = self.start + x / max(1, self.width()) * (self.end - self.start)
        return min(max(value, self.start), self.end)

    def value_of(self, handle: Handle) -> float:
        """Return where a handle is; that of gamma is at the value shown as middle grey."""
        if handle == "gamma":
            return self.low + (self.high - self.low) * math.exp(math.log(0.5) / self.gamma)
        return self.low if handle == "low" else self.high

    def move_to(self, handle: Handle, value: float) -> None:
        """Move a handle; black and white never cross."""
        gap = self.smallest_gap()
        before = (self.low, self.high, self.gamma)
        if handle == "gamma":
            share = (value - self.low) / max(self.high - self.low, 1e-12)
            share = min(max(share, 1e-4), 1 - 1e-4)
            gamma = math.log(0.5) / math.log(share)
            self.gamma = round(min(max(gamma, GAMMA_RANGE[0]), GAMMA_RANGE[1]), 2)
        else:
            value = float(round(value)) if self.whole else value
            if handle == "low":
                self.low = min(value, self.high - gap)
            else:
                self.high = max(value, self.low + gap)
        if before != (self.low, self.high, self.gamma):
            self.moved.emit()
        self.update()

    def _nearest(self, x: float) -> Handle:
        def distance(handle: Handle) -> tuple[float, int]:
            # Where two lie upon each other, that which can be pulled apart comes first.
            return abs(self.x_of(self.value_of(handle)) - x), 0 if handle != "gamma" else 1

        near = min(_HANDLES, key=distance)
        if near != "gamma" and distance("low")[0] == distance("high")[0]:
            return "low" if x < self.x_of(self.low) else "high"
        return near

    # ---- pointer and keys

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Take the nearest handle there."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._grabbed = self.active = self._nearest(event.position().x())
            self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Move the handle that is held, or light the one below the pointer."""
        x = event.position().x()
        if self._grabbed is not None:
            self.move_to(self._grabbed, self.value_at(x))
            return
        over = self._nearest(x)
        close = abs(self.x_of(self.value_of(over)) - x) <= _NEAR
        self._over = over if close else None
        self.setCursor(Qt.CursorShape.SizeHorCursor if close else Qt.CursorShape.ArrowCursor)
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Let the handle go."""
        if self._grabbed is not None and event.button() == Qt.MouseButton.LeftButton:
            self._grabbed = None
            self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Set gamma back to 1."""
        if self._nearest(event.position().x()) == "gamma":
            self.move_to("gamma", (self.low + self.high) / 2)

    def leaveEvent(self, _event: object) -> None:  # noqa: N802 - Qt's name
        """Light no handle."""
        self._over = None
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Choose a handle with Up and Down, move it with Left and Right."""
        key = event.key()
        turns = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_Space: 1}
        ways = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if key in turns:
            self.active = _HANDLES[(_HANDLES.index(self.active) + turns[Qt.Key(key)]) % 3]
        elif key in ways:
            share = 0.1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 0.01
            way = ways[Qt.Key(key)] * max(share * (self.end - self.start), self.smallest_gap())
            if self.active == "gamma":
                way = ways[Qt.Key(key)] * share * (self.high - self.low)
            value = min(max(self.value_of(self.active) + way, self.start), self.end)
            self.move_to(self.active, value)
        else:
            super().keyPressEvent(event)
            return
        self.update()

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Show the focus ring."""
        super().focusInEvent(event)
        self.update()

    # ---- drawing

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the bars, the curve from values to greys, and the handles."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shades = colours()
        frame = QRectF(0, 0, self.width(), self.height() - _STRIP)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shades.qcolor("field"))
        painter.drawRoundedRect(frame, 4, 4)
        if self.counts.size and self.counts.max() > 0:
            self._draw_bars(painter, frame)
            self._draw_curve(painter, frame)
        else:
            painter.setPen(shades.qcolor("secondary"))
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, self.tr("No image"))
        self._draw_ramp(painter, frame)
        if self.isEnabled():
            for handle in ("gamma", "low", "high"):
                self._draw_handle(painter, frame, handle)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self.hasFocus():
            painter.setPen(QPen(shades.qcolor("accent"), 2))
            painter.drawRoundedRect(frame.adjusted(1, 1, -1, -1), 4, 4)
        else:
            painter.setPen(QPen(shades.qcolor("border"), 1))
            painter.drawRoundedRect(frame.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)

    def _draw_bars(self, painter: QPainter, frame: QRectF) -> None:
        shades = colours()
        heights = np.log1p(self.counts)
        heights = heights / heights.max() * (frame.height() - 6)
        edges = np.linspace(frame.left(), frame.right(), len(heights) + 1)
        path = QPainterPath(QPointF(frame.left(), frame.bottom()))
        for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True):
            path.lineTo(left, frame.bottom() - height)
            path.lineTo(right, frame.bottom() - height)
        path.lineTo(frame.right(), frame.bottom())
        path.closeSubpath()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(mix(shades.field, shades.text, 0.22))
        painter.drawPath(path)
        # What lies between black and white is stronger: the rest is cut off on the screen.
        inside = QRectF(frame)
        inside.setLeft(max(frame.left(), self.x_of(self.low)))
        inside.setRight(min(frame.right(), self.x_of(self.high)))
        painter.save()
        painter.setClipRect(inside)
        painter.setBrush(mix(shades.field, shades.text, 0.52))
        painter.drawPath(path)
        painter.restore()

    def _draw_curve(self, painter: QPainter, frame: QRectF) -> None:
        left, right = self.x_of(self.low), self.x_of(self.high)
        path = QPainterPath(QPointF(left, frame.bottom()))
        for index in range(1, 33):
            share = index / 32
            path.lineTo(left + share * (right - left), frame.bottom() - share**self.gamma * frame.height())
        painter.save()
        painter.setClipRect(frame)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colours().qcolor("accent"), 1.5))
        painter.drawPath(path)
        painter.restore()

    def _draw_ramp(self, painter: QPainter, frame: QRectF) -> None:
        """Draw the greys that the values become, as a thin band above the handles."""
        left, right = self.x_of(self.low), self.x_of(self.high)
        shade = QLinearGradient(left, 0, max(right, left + 1), 0)
        for index in range(17):
            grey = round(255 * (index / 16) ** self.gamma)
            shade.setColorAt(index / 16, QColor(grey, grey, grey))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shade)
        painter.drawRect(QRectF(frame.left(), frame.bottom(), frame.width(), 4))

    def _draw_handle(self, painter: QPainter, frame: QRectF, handle: str) -> None:
        shades = colours()
        which: Handle = "low" if handle == "low" else "high" if handle == "high" else "gamma"
        # At the ends it stays in sight as a whole.
        x = min(max(self.x_of(self.value_of(which)), frame.left() + _HALF + 1), frame.right() - _HALF - 1)
        top = frame.bottom() + 4
        shape = QPolygonF([QPointF(x, top - 2), QPointF(x + _HALF, top + 9), QPointF(x - _HALF, top + 9)])
        fill = {"low": QColor("#101010"), "gamma": QColor("#8c8c8c"), "high": QColor("#ffffff")}[handle]
        lit = which in (self._over, self._grabbed) or (self.hasFocus() and self.active == which)
        painter.setBrush(fill)
        edge = shades.qcolor("accent") if lit else mix(shades.outline, shades.text, 0.35)
        painter.setPen(QPen(edge, 2 if lit else 1, Qt.PenStyle.SolidLine, _CAP, _JOIN))
        painter.drawPolygon(shape)
