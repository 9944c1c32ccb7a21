"""Pointing and drawing without a mouse: the arrow keys move the tool, P sets it down and lifts it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, Qt

from ..tools.base import PointerEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QKeyEvent, QMouseEvent

    from ..view import ImageView
    from .host import InputHost
    from .pointer import Pointer

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
    """The current tool, moved by keys."""

    def __init__(self, view: ImageView, host: InputHost, pointer: Pointer) -> None:
        self._view = view
        self._host = host
        self._pointer = pointer
        self._modifiers = Qt.KeyboardModifier.NoModifier

    def key(self, event: QKeyEvent) -> bool:
        """Take a key; return whether it was one of these."""
        if event.modifiers() & _NO_COMMANDS or not self._view.shape[0]:
            return False
        key = Qt.Key(event.key())
        if key in _ARROWS:
            if event.modifiers() & Qt.KeyboardModifier.ControlModifier or not self._host.tool.edits:
                return False
            far = _FAR if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            across, down = _ARROWS[key]
            # On an image that is shown small, a step of one of its pixels could not be seen.
            step = far * max(1, round(1 / self._view.zoom))
            self._move(across * step, down * step)
        elif key == Qt.Key.Key_P:
            if not event.isAutoRepeat():
                self._press(event.modifiers())
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._pointer.held_by_keys:
            self.lift()
        else:
            return False
        return True

    def lift(self) -> None:
        """Let go, as a mouse button is let go."""
        if self._pointer.held_by_keys:
            self._pointer.held_by_keys = False
            self._send(self._host.tool.release)

    def mouse_press(self, event: QMouseEvent) -> bool:
        """Return control to the mouse; a press held by keys is released first."""
        self.lift()
        return self._pointer.press(event)

    def _move(self, across: int, down: int) -> None:
        x, y = self._place()
        height, width = self._view.shape
        self._to(min(max(x + across, 0.5), width - 0.5), min(max(y + down, 0.5), height - 0.5))
        self._send(self._host.tool.move)

    def _press(self, modifiers: Qt.KeyboardModifier) -> None:
        if self._pointer.held_by_keys:
            self.lift()
            return
        self._to(*self._place())
        # The brush and the click tool know what Shift and Ctrl mean.
        self._modifiers = modifiers
        self._pointer.held_by_keys = True
        self._send(self._host.tool.press)
        if self._host.tool.acts_at_once:
            self.lift()

    def _place(self) -> tuple[float, float]:
        """Return the middle of the pixel at which the tool is; at first that in the middle of what is seen."""
        view = self._view
        height, width = view.shape
        if self._pointer.position is not None:
            x, y = view.to_image(self._pointer.position)
            if 0 <= x < width and 0 <= y < height:
                return math.floor(x) + 0.5, math.floor(y) + 0.5
        top, left, bottom, right = view.visible_box()
        return math.floor((left + right) / 2) + 0.5, math.floor((top + bottom) / 2) + 0.5

    def _to(self, x: float, y: float) -> None:
        """Move the tool to an image position, and the image along where the view ends."""
        view = self._view
        self._pointer.led_by_keys = True
        at = view.to_widget(x, y)
        room = view.rect()
        inner = room.adjusted(*(round(side) for side in (_EDGE, _EDGE, -_EDGE, -_EDGE)))
        by_x = min(0.0, inner.right() - at.x()) + max(0.0, inner.left() - at.x())
        by_y = min(0.0, inner.bottom() - at.y()) + max(0.0, inner.top() - at.y())
        if not room.contains(at.toPoint()) or self._cut_off(by_x, by_y):
            view.pan(by_x, by_y)
            at = view.to_widget(x, y)
        self._pointer.point_at(at)

    def _cut_off(self, by_x: float, by_y: float) -> bool:
        """Whether more of the image lies beyond the edge that the tool comes near to."""
        top, left, bottom, right = self._view.visible_box()
        height, width = self._view.shape
        return (
            (by_x < 0 and right < width)
            or (by_x > 0 and left > 0)
            or (by_y < 0 and bottom < height)
            or (by_y > 0 and top > 0)
        )

    def _send(self, handler: Callable[[PointerEvent], object]) -> None:
        at = self._pointer.position or QPointF()
        x, y = self._view.to_image(at)
        self._pointer.send(handler, PointerEvent(x, y, at, Qt.MouseButton.LeftButton, self._modifiers))
