"""The part of the image that is fully annotated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt

from ..layers import decor
from .base import CLICK_SLOP, PointerEvent, Tool, paint_dot

if TYPE_CHECKING:
    from PySide6.QtCore import QObject
    from PySide6.QtGui import QPainter

    from .host import Span, ToolHost

_HANDLE = 9.0
_SMALLEST = 8
"""Regions of fewer pixels a side are slips of the hand."""

_CURSORS = {
    (-1, -1): Qt.CursorShape.SizeFDiagCursor,
    (1, 1): Qt.CursorShape.SizeFDiagCursor,
    (1, -1): Qt.CursorShape.SizeBDiagCursor,
    (-1, 1): Qt.CursorShape.SizeBDiagCursor,
    (0, -1): Qt.CursorShape.SizeVerCursor,
    (0, 1): Qt.CursorShape.SizeVerCursor,
    (-1, 0): Qt.CursorShape.SizeHorCursor,
    (1, 0): Qt.CursorShape.SizeHorCursor,
}
_INSIDE = (0, 0)


class RegionTool(Tool):
    """Drag a rectangle; its handles resize it, its inside moves it, a double click removes it."""

    name, key = "region", "R"

    def __init__(self, host: ToolHost, parent: QObject | None = None) -> None:
        super().__init__(host, parent)
        self._start: PointerEvent | None = None
        self._grip: tuple[int, int] | None = None
        self._before: Span | None = None
        self._now: Span | None = None
        self._hover: tuple[int, int] | None = None

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Region")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr("Drag a rectangle around the part where all cells are drawn. A double click removes it.")

    def cursor(self) -> Qt.CursorShape:
        """Show what would be moved."""
        grip = self._grip if self._start is not None else self._hover
        if grip is None:
            return Qt.CursorShape.CrossCursor
        return _CURSORS.get(grip, Qt.CursorShape.SizeAllCursor)

    @property
    def busy(self) -> bool:
        """Whether it is being dragged."""
        return self._start is not None

    def press(self, event: PointerEvent) -> None:
        """Take a handle, the inside, or begin a new rectangle."""
        if event.button != Qt.MouseButton.LeftButton or self.document() is None:
            return
        self._before = self._now = self.host.region
        self._grip = self._grip_at(event)
        self._start = event

    def move(self, event: PointerEvent) -> None:
        """Drag."""
        if self._start is None:
            hover = self._grip_at(event)
            if hover != self._hover:
                self._hover = hover
                self.host.refresh_cursor()
            return
        moved = (event.position - self._start.position).manhattanLength() >= CLICK_SLOP
        if moved or self._now != self._before:
            self._now = self._dragged(event)
            self.host.preview_region(self._now)

    def release(self, event: PointerEvent) -> None:
        """Make it one step."""
        if event.button != Qt.MouseButton.LeftButton or self._start is None:
            return
        now, before = self._now, self._before
        self.cancel()
        document = self.document()
        if document is None or now is None or now == before:
            return
        if min(now[2], now[3]) < _SMALLEST:
            self.say(self.tr("This region is too small; drag a larger rectangle."))
            return
        self.done(document.set_attribute("Set region", "region", list(now)))

    def double_click(self, event: PointerEvent) -> None:
        """Remove the region."""
        document = self.document()
        if event.button == Qt.MouseButton.LeftButton and document is not None and self.host.region is not None:
            self.cancel()
            self.done(document.set_attribute("Remove region", "region", None))

    def cancel(self) -> bool:
        """Put it back to where it was."""
        if self._start is None:
            return False
        self._start = self._grip = None
        self._before = self._now = None
        self.host.preview_region(None)
        return True

    def paint(self, painter: QPainter) -> None:
        """Draw the handles."""
        frame = self._frame()
        if frame is None:
            return
        for across, down in _CURSORS:
            at = frame.center()
            at.setX(at.x() + across * frame.width() / 2)
            at.setY(at.y() + down * frame.height() / 2)
            paint_dot(painter, at, decor.LIGHT)

    def _frame(self) -> QRectF | None:
        span = self._now if self._start is not None else self.host.region
        if span is None:
            return None
        x, y, width, height = span
        corners = self.on_screen([(x, y), (x + width, y + height)])
        return QRectF(corners.at(0), corners.at(1))

    def _grip_at(self, event: PointerEvent) -> tuple[int, int] | None:
        frame = self._frame()
        if frame is None or not frame.adjusted(-_HANDLE, -_HANDLE, _HANDLE, _HANDLE).contains(event.position):
            return None
        at = event.position
        across = -1 if abs(at.x() - frame.left()) < _HANDLE else int(abs(at.x() - frame.right()) < _HANDLE)
        down = -1 if abs(at.y() - frame.top()) < _HANDLE else int(abs(at.y() - frame.bottom()) < _HANDLE)
        return (across, down) if across or down else _INSIDE

    def _dragged(self, event: PointerEvent) -> Span:
        start, before, grip = self._start, self._before, self._grip
        height, width = self.host.shape
        if start is None:
            raise RuntimeError("No region is being dragged.")
        if before is None or grip is None:
            return _span(start.x, start.y, event.x, event.y, width, height)
        x, y, w, h = before
        dx, dy = round(event.x - start.x), round(event.y - start.y)
        if grip == _INSIDE:
            return min(max(0, x + dx), width - w), min(max(0, y + dy), height - h), w, h
        left, right = x + dx * (grip[0] < 0), x + w + dx * (grip[0] > 0)
        top, bottom = y + dy * (grip[1] < 0), y + h + dy * (grip[1] > 0)
        return _span(left, top, right, bottom, width, height)


def _span(x0: float, y0: float, x1: float, y1: float, width: int, height: int) -> Span:
    left, right = sorted((min(max(0, round(x0)), width), min(max(0, round(x1)), width)))
    top, bottom = sorted((min(max(0, round(y0)), height), min(max(0, round(y1)), height)))
    return left, top, right - left, bottom - top
