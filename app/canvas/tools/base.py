"""What a tool is: a tiny state machine between pointer events and one edit of the document.

A tool is either idle or in the middle of something.  `cancel` always leads back to idle and leaves nothing behind;
the canvas calls it on Esc, when the document or the tool changes, and when anything goes wrong in a tool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPolygonF

from ..layers import decor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtGui import QKeyEvent

    from ...annotation import Document, Step
    from .host import ToolHost

Point = tuple[float, float]

#: Movements below this many pixels of the layout are a click.
CLICK_SLOP = 4.0


@dataclass(frozen=True, slots=True)
class PointerEvent:
    """Where the pointer is, in the image (`x`, `y`) and in the widget (`position`), and what is held."""

    x: float
    y: float
    position: QPointF
    button: Qt.MouseButton
    modifiers: Qt.KeyboardModifier

    @property
    def shift(self) -> bool:
        """Whether Shift is held."""
        return bool(self.modifiers & Qt.KeyboardModifier.ShiftModifier)

    @property
    def control(self) -> bool:
        """Whether Ctrl is held."""
        return bool(self.modifiers & Qt.KeyboardModifier.ControlModifier)

    @property
    def alt(self) -> bool:
        """Whether Alt is held."""
        return bool(self.modifiers & Qt.KeyboardModifier.AltModifier)


class Tool(QObject):
    """Base of the tools.

    Attributes
    ----------
    name, key
        Name in the table of tools, and the key that chooses it.
    edits
        Whether it needs an editable document.
    acts_at_once
        Whether a press completes the action: nothing is drawn while the button is held.
    """

    name = ""
    key = ""
    edits = True
    acts_at_once = False

    def __init__(self, host: ToolHost, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.host = host
        self._drawn = QRectF()

    def title(self) -> str:
        """Return its name for people."""
        return self.name

    def hint(self) -> str:
        """Return how to use it, in a line."""
        return ""

    def cursor(self) -> Qt.CursorShape:
        """Return the shape of the pointer."""
        return Qt.CursorShape.CrossCursor

    def brush_diameter(self) -> float | None:
        """Diameter of the circle around the pointer, in image pixels."""
        return None

    @property
    def busy(self) -> bool:
        """Whether something is unfinished."""
        return False

    def press(self, event: PointerEvent) -> None:
        """A button went down."""

    def move(self, event: PointerEvent) -> None:
        """Follow the pointer, with or without a button."""

    def release(self, event: PointerEvent) -> None:
        """A button went up."""

    def double_click(self, event: PointerEvent) -> None:
        """Count the second click of a double click, by default as another click."""
        self.press(event)

    def key_press(self, event: QKeyEvent) -> bool:  # noqa: ARG002
        """Take a key; return whether it was used."""
        return False

    def accept(self) -> bool:
        """Finish on Enter; return whether there was anything to finish."""
        return False

    def cancel(self) -> bool:
        """Discard what is unfinished; return whether there was anything."""
        return False

    def interrupt(self) -> None:
        """End because the pointer was taken away, by default like Esc."""
        self.cancel()

    def paint(self, painter: QPainter) -> None:
        """Draw what is unfinished; the painter counts in pixels of the layout."""

    # For subclasses

    def document(self) -> Document | None:
        """Return the document if it may be changed now; says why if not."""
        return self.host.editable_document()

    def done(self, step: Step | None) -> None:
        """Announce a finished edit."""
        self.host.done(step)

    def say(self, text: str) -> None:
        """Show a passing hint."""
        self.host.say(text)

    def redraw(self, area: QRectF | None = None) -> None:
        """Draw again where the unfinished was and is."""
        new = QRectF() if area is None else area.adjusted(-8, -8, 8, 8)
        self.host.refresh(self._drawn.united(new).toAlignedRect())
        self._drawn = new

    def on_screen(self, points: Sequence[Point]) -> QPolygonF:
        """Image positions as positions in the widget."""
        return QPolygonF([self.host.to_widget(x, y) for x, y in points])


class FreehandTool(Tool):
    """Base of the tools that draw a line by hand."""

    def __init__(self, host: ToolHost, parent: QObject | None = None) -> None:
        super().__init__(host, parent)
        self.points: list[Point] = []
        self.closed = False

    @property
    def busy(self) -> bool:
        """Whether a line is being drawn."""
        return bool(self.points)

    def press(self, event: PointerEvent) -> None:
        """Begin the line."""
        if event.button == Qt.MouseButton.LeftButton and self.document() is not None:
            self.points = [(event.x, event.y)]

    def move(self, event: PointerEvent) -> None:
        """Continue the line."""
        if not self.points:
            return
        last = self.host.to_widget(*self.points[-1])
        if (event.position - last).manhattanLength() >= 1.5:
            self.points.append((event.x, event.y))
            self.redraw(self.on_screen(self.points).boundingRect())

    def release(self, event: PointerEvent) -> None:
        """End the line."""
        if event.button != Qt.MouseButton.LeftButton or not self.points:
            return
        points = [*self.points, (event.x, event.y)]
        self.cancel()
        self.finished(points, event)

    def finished(self, points: list[Point], event: PointerEvent) -> None:
        """Use the line."""
        raise NotImplementedError

    def cancel(self) -> bool:
        """Discard the line."""
        had = bool(self.points)
        self.points = []
        if had:
            self.redraw()
        return had

    def is_click(self, points: Sequence[Point]) -> bool:
        """Whether the pointer hardly moved."""
        area = self.on_screen(points).boundingRect()
        return max(area.width(), area.height()) < CLICK_SLOP

    def paint(self, painter: QPainter) -> None:
        """Draw the line, and how it will be closed."""
        if len(self.points) > 1:
            paint_line(painter, self.on_screen(self.points), closed=self.closed)


def paint_line(painter: QPainter, line: QPolygonF, *, closed: bool) -> None:
    """Draw a line that is seen on light and dark; with `closed` also the way back, dashed, and a veil inside."""
    if closed and line.size() > 2:
        area = QPainterPath()
        area.addPolygon(line)
        painter.fillPath(area, QColor(255, 255, 255, 40))
    decor.stroke(painter, 1.0, lambda: painter.drawPolyline(line))
    if closed and line.size() > 2:
        decor.stroke(painter, 1.0, lambda: painter.drawLine(line.last(), line.first()), width=1.0, dashed=True)


def paint_dot(painter: QPainter, at: QPointF, colour: QColor, sign: str = "") -> None:
    """Draw a small disc, with a plus or a minus in it."""
    radius = 7.0 if sign else 4.0
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(decor.DARK, 3.5))
    painter.setBrush(colour)
    painter.drawEllipse(at, radius, radius)
    painter.setPen(QPen(decor.LIGHT, 1.5))
    painter.drawEllipse(at, radius, radius)
    if sign:
        arm = 3.5
        painter.drawLine(at - QPointF(arm, 0), at + QPointF(arm, 0))
        if sign == "+":
            painter.drawLine(at - QPointF(0, arm), at + QPointF(0, arm))
    painter.restore()
