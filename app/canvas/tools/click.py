"""Click-to-segment: points and a box become prompts; what comes back is a preview until Enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainterPath, QPolygonF, QTransform

from ...annotation import operations
from ..layers import decor
from .base import CLICK_SLOP, Point, PointerEvent, Tool, paint_dot

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PySide6.QtCore import QObject
    from PySide6.QtGui import QKeyEvent, QPainter

    from ..viewport import Box
    from .host import Prompt, ToolHost

POSITIVE, NEGATIVE = QColor("#2d7ff0"), QColor("#e07000")


class ClickTool(Tool):
    """Left: inside, right or Ctrl+left: outside, drag: box around; Enter keeps the preview, Esc discards it."""

    name, key = "click", "C"

    def __init__(self, host: ToolHost, parent: QObject | None = None) -> None:
        super().__init__(host, parent)
        self.points: list[Prompt] = []
        self.box: Box | None = None
        self.score: float | None = None
        self._mask: tuple[Box, NDArray[np.bool_]] | None = None
        self._outline = QPainterPath()
        self._start: PointerEvent | None = None
        self._corner: Point | None = None

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Click to segment")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr(
            "Click inside a cell, or drag a box around it. Right or Ctrl+click: not here. Enter keeps it, Esc discards."
        )

    @property
    def busy(self) -> bool:
        """Whether there are prompts or a preview."""
        return bool(self.points) or self.box is not None or self._start is not None or self._mask is not None

    def press(self, event: PointerEvent) -> None:
        """Remember where a click or a box begins."""
        if event.button in (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton) and self.document() is not None:
            if self.host.assistant is None:
                self.say(self.tr("No model is ready for clicks."))
                return
            self._start, self._corner = event, None

    def move(self, event: PointerEvent) -> None:
        """Draw the box."""
        start = self._start
        if start is None or start.button != Qt.MouseButton.LeftButton or start.control:
            return
        if self._corner is not None or (event.position - start.position).manhattanLength() >= CLICK_SLOP:
            self._corner = (event.x, event.y)
            self._redraw()

    def release(self, event: PointerEvent) -> None:
        """Ask with one more point, or with the box."""
        start = self._start
        if start is None or event.button != start.button:
            return
        corner, self._start, self._corner = self._corner, None, None
        if corner is not None:
            self.points, self.box = [], self._pixels((start.x, start.y), (event.x, event.y))
        else:
            outside = start.button == Qt.MouseButton.RightButton or start.control
            if outside and not self.points and self.box is None:
                self.say(self.tr("First click inside the cell; then say what does not belong to it."))
                return
            height, width = self.host.shape
            if not (0 <= start.x < width and 0 <= start.y < height):
                return
            self.points.append((start.x, start.y, 0 if outside else 1))
        self._ask()

    def offer(self, mask: NDArray[np.bool_], box: Box, score: float | None = None) -> None:
        """Show an answer: `mask` has the size of `box`, or that of the image."""
        if not self.points and self.box is None:
            # Answers that come after Esc are for nobody.
            return
        if mask.shape == self.host.shape and mask.shape != (box[2] - box[0], box[3] - box[1]):
            mask = mask[box[0] : box[2], box[1] : box[3]]
        self._mask = (box, np.asarray(mask, bool)) if mask.any() else None
        self.score = score
        self._outline = outline_of(self._mask[1], box) if self._mask is not None else QPainterPath()
        self._redraw()
        if self._mask is None:
            self.say(self.tr("Nothing was found here. Add a point, or drag a box around the cell."))
        else:
            self.say(self.tr("Enter keeps this cell, Esc discards it. Right click takes parts away."))

    @property
    def preview(self) -> tuple[Box, NDArray[np.bool_]] | None:
        """Return what Enter would make a cell of."""
        return self._mask

    def key_press(self, event: QKeyEvent) -> bool:
        """Take back the last point."""
        if event.key() == Qt.Key.Key_Backspace and self.points:
            self.points.pop()
            if self.points or self.box is not None:
                self._ask()
            else:
                self.cancel()
            return True
        return False

    def accept(self) -> bool:
        """Make a cell of the preview."""
        document = self.document()
        if self._mask is None or document is None:
            return False
        mask = self._mask
        self.cancel()
        step, cell = operations.new_cell(document, mask, protect=self.host.protect)
        if step is None:
            self.host.say_nothing_painted()
            return True
        self.done(step)
        self.host.select({cell})
        return True

    def cancel(self) -> bool:
        """Discard prompts and preview."""
        had = self.busy
        self.points, self.box, self.score = [], None, None
        self._mask, self._start, self._corner = None, None, None
        self._outline = QPainterPath()
        if had:
            self.redraw()
        return had

    def interrupt(self) -> None:
        """Only the box that is being drawn ends."""
        self._start = self._corner = None
        self._redraw()

    def paint(self, painter: QPainter) -> None:
        """Draw preview, box and points."""
        host = self.host
        if not self._outline.isEmpty():
            origin, unit = host.to_widget(0, 0), host.zoom / host.devicePixelRatioF()
            path = QTransform(unit, 0, 0, unit, origin.x(), origin.y()).map(self._outline)
            painter.fillPath(path, QColor(45, 127, 240, 70))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            decor.stroke(painter, 1.0, lambda: painter.drawPath(path), width=2.0, dashed=True)
        frame = self._frame()
        if not frame.isNull():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            decor.stroke(painter, 1.0, lambda: painter.drawRect(frame))
        for x, y, inside in self.points:
            paint_dot(painter, host.to_widget(x, y), POSITIVE if inside else NEGATIVE, "+" if inside else "-")

    def _ask(self) -> None:
        self._redraw()
        if self.host.assistant is not None:
            self.host.assistant.request(tuple(self.points), self.box)

    def _pixels(self, a: Point, b: Point) -> Box:
        height, width = self.host.shape
        left, right = sorted((min(max(a[0], 0), width), min(max(b[0], 0), width)))
        top, bottom = sorted((min(max(a[1], 0), height), min(max(b[1], 0), height)))
        y0, x0 = min(int(top), height - 1), min(int(left), width - 1)
        return y0, x0, max(y0 + 1, int(np.ceil(bottom))), max(x0 + 1, int(np.ceil(right)))

    def _frame(self) -> QRectF:
        if self._corner is not None and self._start is not None:
            ends = self.on_screen([(self._start.x, self._start.y), self._corner])
        elif self.box is not None:
            ends = self.on_screen([(self.box[1], self.box[0]), (self.box[3], self.box[2])])
        else:
            return QRectF()
        return QRectF(ends.at(0), ends.at(1)).normalized()

    def _redraw(self) -> None:
        area = self._frame()
        spots = [(x, y) for x, y, _ in self.points]
        if self._mask is not None:
            top, left, bottom, right = self._mask[0]
            spots += [(left, top), (right, bottom)]
        if spots:
            # Air for the discs, and for two points on one line.
            area = area.united(self.on_screen(spots).boundingRect().adjusted(-4, -4, 4, 4))
        self.redraw(area)


def outline_of(mask: NDArray[np.bool_], box: Box) -> QPainterPath:
    """Outline of a mask in image positions, along the pixels' sides (within a quarter of a pixel)."""
    doubled = cv2.resize(mask.astype(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    path = QPainterPath()
    for contour in contours:
        corners = contour[:, 0, :].astype(float) / 2 + 0.25
        path.addPolygon(QPolygonF([QPointF(x + box[1], y + box[0]) for x, y in corners]))
        path.closeSubpath()
    return path
