"""Pointing and drawing without a mouse: the arrow keys move the tool, P sets it down and lifts it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, Qt

from app.canvas.tools.base import PointerEvent

if TYPE_CHECKING:
    from PySide6.QtGui import QKeyEvent

    from app.canvas.canvas import Canvas

_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
_FAR = 10
#: Pixels of the layout between the tool and the edge of the view, at which the image moves along.
_EDGE = 24.0
_NO_COMMANDS = Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier


class KeyboardPointer:
    """The tool in hand, led by keys.

    Attributes
    ----------
    down
        Whether P has set the tool down: like a mouse button that is held.
    active
        Whether keys moved the tool last; the mouse takes over by moving.
    """

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._modifiers = Qt.KeyboardModifier.NoModifier
        self.down = False
        self.active = False

    def key(self, event: QKeyEvent) -> bool:
        """Take a key; return whether it was one of these."""
        if event.modifiers() & _NO_COMMANDS or not self._canvas.shape[0]:
            return False
        key = Qt.Key(event.key())
        if key in _ARROWS:
            if event.modifiers() & Qt.KeyboardModifier.ControlModifier or not self._canvas.tool.edits:
                return False
            far = _FAR if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            across, down = _ARROWS[key]
            # On an image that is shown small, a step of one of its pixels could not be seen.
            step = far * max(1, round(1 / self._canvas.zoom))
            self._move(across * step, down * step)
        elif key == Qt.Key.Key_P:
            if not event.isAutoRepeat():
                self._press(event.modifiers())
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.down:
            self.lift()
        else:
            return False
        return True

    def lift(self) -> None:
        """Let go, as a mouse button is let go."""
        if self.down:
            self.down = False
            self._send(self._canvas.tool.release)

    def forget(self) -> None:
        """The stroke was ended otherwise."""
        self.down = False

    def mouse_moved(self) -> None:
        """Let the mouse lead again, unless a stroke by keys is unfinished."""
        if not self.down:
            self.active = False

    def _move(self, across: int, down: int) -> None:
        x, y = self._place()
        height, width = self._canvas.shape
        self._to(min(max(x + across, 0.5), width - 0.5), min(max(y + down, 0.5), height - 0.5))
        self._send(self._canvas.tool.move)

    def _press(self, modifiers: Qt.KeyboardModifier) -> None:
        if self.down:
            self.lift()
            return
        self._to(*self._place())
        # The brush and the click tool know what Shift and Ctrl mean.
        self._modifiers = modifiers
        self.down = True
        self._send(self._canvas.tool.press)
        if self._canvas.tool.acts_at_once:
            self.lift()

    def _place(self) -> tuple[float, float]:
        """Return the middle of the pixel at which the tool is; at first that in the middle of what is seen."""
        canvas = self._canvas
        height, width = canvas.shape
        pointer = canvas.pointer_position
        if pointer is not None:
            x, y = canvas.to_image(pointer)
            if 0 <= x < width and 0 <= y < height:
                return math.floor(x) + 0.5, math.floor(y) + 0.5
        top, left, bottom, right = canvas.visible_box()
        return math.floor((left + right) / 2) + 0.5, math.floor((top + bottom) / 2) + 0.5

    def _to(self, x: float, y: float) -> None:
        """Move the tool to an image position, and the image along where the view ends."""
        canvas = self._canvas
        self.active = True
        at = canvas.to_widget(x, y)
        room = canvas.rect()
        inner = room.adjusted(*(round(side) for side in (_EDGE, _EDGE, -_EDGE, -_EDGE)))
        by_x = min(0.0, inner.right() - at.x()) + max(0.0, inner.left() - at.x())
        by_y = min(0.0, inner.bottom() - at.y()) + max(0.0, inner.top() - at.y())
        if not room.contains(at.toPoint()) or self._cut_off(by_x, by_y):
            canvas.pan(by_x, by_y)
            at = canvas.to_widget(x, y)
        canvas.point_at(at)

    def _cut_off(self, by_x: float, by_y: float) -> bool:
        """Whether more of the image lies beyond the edge that the tool comes near to."""
        top, left, bottom, right = self._canvas.visible_box()
        height, width = self._canvas.shape
        return (
            (by_x < 0 and right < width)
            or (by_x > 0 and left > 0)
            or (by_y < 0 and bottom < height)
            or (by_y > 0 and top > 0)
        )

    def _send(self, handler: object) -> None:
        canvas = self._canvas
        at = canvas.pointer_position or QPointF()
        x, y = canvas.to_image(at)
        event = PointerEvent(x, y, at, Qt.MouseButton.LeftButton, self._modifiers)
        canvas._guarded(lambda: handler(event))  # type: ignore[operator]
