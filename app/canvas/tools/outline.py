"""New cells by their outline: drawn by hand, or corner by corner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt

from ...annotation import operations
from ..layers import decor
from .base import FreehandTool, Point, PointerEvent, Tool, paint_dot, paint_line

if TYPE_CHECKING:
    from PySide6.QtCore import QObject
    from PySide6.QtGui import QKeyEvent, QPainter

    from .host import ToolHost

_NEAR = 9.0
"""A click this near to the first corner closes a polygon."""


def _make_cell(tool: Tool, points: list[Point], *, add: bool) -> None:
    document = tool.document()
    if document is None:
        return
    host = tool.host
    selector = operations.polygon_selector(points, document.shape)
    selected = host.selection
    if add and len(selected) == 1:
        (cell,) = selected
        step = operations.add_to_cell(document, selector, cell, protect=host.protect)
    else:
        step, cell = operations.new_cell(document, selector, protect=host.protect)
    if step is None:
        host.say_nothing_painted()
        return
    tool.done(step)
    host.select({cell})


class LassoTool(FreehandTool):
    """A freehand outline becomes a new cell."""

    name, key = "lasso", "L"

    def __init__(self, host: ToolHost, parent: QObject | None = None) -> None:
        super().__init__(host, parent)
        self.closed = True

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Lasso")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr("Draw around a cell; it closes by itself. With Shift it is added to the selected cell.")

    def finished(self, points: list[Point], event: PointerEvent) -> None:
        """Make the cell."""
        if len(points) > 2 and not self.is_click(points):
            _make_cell(self, points, add=event.shift)


class PolygonTool(Tool):
    """Clicks set the corners of a new cell."""

    name, key = "polygon", "G"
    acts_at_once = True

    def __init__(self, host: ToolHost, parent: QObject | None = None) -> None:
        super().__init__(host, parent)
        self.points: list[Point] = []
        self._pointer: Point | None = None

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Polygon")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr("Click the corners. Enter or a double click closes it, Backspace takes the last corner back.")

    @property
    def busy(self) -> bool:
        """Whether there are corners."""
        return bool(self.points)

    def press(self, event: PointerEvent) -> None:
        """Set a corner, or close at the first one."""
        if event.button != Qt.MouseButton.LeftButton or self.document() is None:
            return
        if len(self.points) > 2:
            first = self.host.to_widget(*self.points[0])
            if (first - event.position).manhattanLength() < _NEAR:
                self.accept()
                return
        self.points.append((event.x, event.y))
        self._pointer = (event.x, event.y)
        self._redraw()

    def move(self, event: PointerEvent) -> None:
        """Draw the side that the next click makes."""
        if self.points:
            self._pointer = (event.x, event.y)
            self._redraw()

    def double_click(self, event: PointerEvent) -> None:
        """Close; the first click of the two has set the last corner."""
        if event.button == Qt.MouseButton.LeftButton and not self.accept():
            self.press(event)

    def key_press(self, event: QKeyEvent) -> bool:
        """Take back a corner."""
        if event.key() == Qt.Key.Key_Backspace and self.points:
            self.points.pop()
            self._redraw()
            return True
        return False

    def accept(self) -> bool:
        """Make the cell."""
        if len(self.points) < 3:
            if self.points:
                self.say(self.tr("A polygon needs three corners or more."))
            return False
        points = list(self.points)
        self.cancel()
        _make_cell(self, points, add=False)
        return True

    def cancel(self) -> bool:
        """Discard the corners."""
        had = bool(self.points)
        self.points, self._pointer = [], None
        if had:
            self.redraw()
        return had

    def interrupt(self) -> None:
        """Keep the corners: nothing is held down."""

    def paint(self, painter: QPainter) -> None:
        """Draw the corners and the sides."""
        if not self.points:
            return
        points = [*self.points, self._pointer] if self._pointer is not None else self.points
        paint_line(painter, self.on_screen(points), closed=True)
        for index, at in enumerate(self.on_screen(self.points).toList()):
            paint_dot(painter, at, decor.LIGHT if index == 0 else decor.DARK)

    def _redraw(self) -> None:
        points = [*self.points, self._pointer] if self._pointer is not None else self.points
        self.redraw(self.on_screen(points).boundingRect() if points else QRectF())
