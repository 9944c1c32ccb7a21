"""Mouse, wheel and keys of the canvas."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt
from PySide6.QtGui import QEnterEvent, QFocusEvent, QKeyEvent, QMouseEvent, QNativeGestureEvent, QWheelEvent

from app.canvas.input.keyboard import KeyboardPointer
from app.canvas.tools.base import PointerEvent
from app.canvas.view import ImageView

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from app.canvas.canvas import Canvas

_ARROWS = {
    Qt.Key.Key_Left: (1, 0),
    Qt.Key.Key_Right: (-1, 0),
    Qt.Key.Key_Up: (0, 1),
    Qt.Key.Key_Down: (0, -1),
}
_KEYBOARD_REASONS = (
    Qt.FocusReason.TabFocusReason,
    Qt.FocusReason.BacktabFocusReason,
    Qt.FocusReason.ShortcutFocusReason,
)
_COMMANDS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier


class PointerInput(ImageView):
    """Turns events into calls of the tool in hand; its only subclass is `Canvas`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pointer: QPointF | None = None
        self._pan_from: QPointF | None = None
        self._space = False
        self._keyboard_focus = False
        self._wheel = 0.0
        self.keys = KeyboardPointer(self._canvas)

    @property
    def pointer_position(self) -> QPointF | None:
        """Where the tool is, in the widget; None when it is not over it."""
        return self._pointer

    def point_at(self, at: QPointF) -> None:
        """Put the tool at a place of the widget; the mouse takes it from there."""
        self._point(at)

    @property
    def _canvas(self) -> Canvas:
        return self  # type: ignore[return-value]

    @property
    def panning(self) -> bool:
        """Whether the pointer moves the image now, whatever the tool."""
        return self._space or self._pan_from is not None

    def refresh_cursor(self) -> None:
        """Show the shape of pointer that belongs to what a click would do."""
        if self._pan_from is not None:
            shape = Qt.CursorShape.ClosedHandCursor
        elif self._space:
            shape = Qt.CursorShape.OpenHandCursor
        else:
            shape = self._canvas.tool.cursor()
        if self.cursor().shape() != shape:
            self.setCursor(shape)

    # Mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Begin to move the image, or hand the press to the tool."""
        self._keyboard_focus = False
        self.keys.lift()
        self.keys.mouse_moved()
        self._point(event.position())
        middle = event.button() == Qt.MouseButton.MiddleButton
        if (middle or (self._space and event.button() == Qt.MouseButton.LeftButton)) and not self._canvas.tool.busy:
            self._pan_from = event.position()
            self._update_brush()
            self.refresh_cursor()
        elif self._pan_from is None:
            self._send(self._canvas.tool.press, event)
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Move the image, or hand the move to the tool."""
        self.keys.mouse_moved()
        if self.keys.down:
            # A hand that brushes the table must not draw.
            event.accept()
            return
        if self._pan_from is not None:
            step = event.position() - self._pan_from
            self._pan_from = event.position()
            self.pan(step.x(), step.y())
        else:
            self._send(self._canvas.tool.move, event)
        self._point(event.position())
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Stop moving the image, or hand the release to the tool."""
        if self._pan_from is not None:
            if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
                self._pan_from = None
                self._update_brush()
        else:
            self._send(self._canvas.tool.release, event)
        self.refresh_cursor()
        self._point(event.position())
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Hand it to the tool."""
        if not self._space:
            self._send(self._canvas.tool.double_click, event)
        event.accept()

    def enterEvent(self, event: QEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Show the brush."""
        self._point(event.position())
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Hide the brush."""
        if not self.keys.active:
            self._point(None)
        super().leaveEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """Zoom at the pointer; with Shift the brush, with Ctrl the plane."""
        turned = event.angleDelta()
        # With Shift or Alt some systems turn the wheel sideways.
        delta = turned.y() or turned.x()
        if not delta:
            return
        control = event.modifiers() & Qt.KeyboardModifier.ControlModifier
        if control or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            # Fine wheels send many small turns; a step is a notch.
            self._wheel += delta / 120
            steps = math.trunc(self._wheel)
            self._wheel -= steps
            if control and steps:
                self._canvas.plane_step.emit(-steps)
            elif steps:
                self._canvas.step_brush(steps)
        else:
            self.zoom_by(delta / 120, event.position())
        event.accept()

    def _send(self, handler: Any, event: QMouseEvent) -> None:
        x, y = self.to_image(event.position())
        pointer = PointerEvent(x, y, event.position(), event.button(), event.modifiers())
        self._canvas._guarded(lambda: handler(pointer))

    def _point(self, at: QPointF | None) -> None:
        """Follow the pointer: the brush, the status line and linked views."""
        self._update_brush()
        self._pointer = at
        self._update_brush()
        from app.canvas.canvas import Pointed

        canvas = self._canvas
        spot = None if at is None else self.to_image(at)
        height, width = self.shape
        inside = spot is not None and 0 <= spot[0] < width and 0 <= spot[1] < height
        self._point_links(spot if inside else None)
        if spot is None or not inside:
            canvas.pointed.emit(None)
            return
        x, y = int(spot[0]), int(spot[1])
        value = None
        if self.plane is not None:
            found = self.plane[y, x]
            value = found.item() if found.ndim == 0 else tuple(found.tolist())
        cell = canvas.cell_at(*spot)
        document = canvas.document
        area = 0 if document is None else document.cells.area(cell)
        canvas.pointed.emit(Pointed(x, y, value, cell, area))

    def _update_brush(self) -> None:
        """Draw again where the brush is."""
        diameter = self._canvas.tool.brush_diameter()
        if diameter is not None and self._pointer is not None:
            radius = diameter * self.zoom / self.devicePixelRatioF() / 2 + 3
            at = self._pointer
            self.refresh(QRectF(at.x() - radius, at.y() - radius, 2 * radius, 2 * radius).toAlignedRect())

    # Keys

    def event(self, event: QEvent) -> bool:
        """Take Tab before it moves the focus, pinches, and the loss of the pointer."""
        kind = event.type()
        if kind == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and self._tab(event):
            return True
        if kind == QEvent.Type.UngrabMouse:
            self._canvas._guarded(self._canvas.tool.interrupt)
        if isinstance(event, QNativeGestureEvent) and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
            self.zoom_to(self.zoom * (1 + event.value()), event.position())
            return True
        return super().event(event)

    def _tab(self, event: QKeyEvent) -> bool:
        """Tab: the next cell or proposal; with Ctrl, or without any, it leaves the canvas as everywhere."""
        if event.key() not in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            return False
        back = event.key() == Qt.Key.Key_Backtab
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.focusNextPrevChild(not back)
        elif not self._canvas.step_through(-1 if back else 1):
            return False
        event.accept()
        return True

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Hold keys, commands of the tool, of the view and of the canvas, in this order."""
        canvas = self._canvas
        if event.key() == Qt.Key.Key_Space and not event.modifiers() & _COMMANDS:
            if not event.isAutoRepeat():
                self._space = True
                self._update_brush()
                self.refresh_cursor()
        elif event.key() == Qt.Key.Key_H and not event.modifiers() & _COMMANDS:
            self.set_hidden(True)
        elif not (self.keys.key(event) or self._tool_key(event) or self._view_key(event) or self._edit_key(event)):
            event.ignore()
            super().keyPressEvent(event)
            return
        event.accept()
        canvas.refresh_cursor()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Let go of the hold keys."""
        if event.isAutoRepeat() or event.key() not in (Qt.Key.Key_Space, Qt.Key.Key_H):
            super().keyReleaseEvent(event)
            return
        if event.key() == Qt.Key.Key_Space:
            self._space = False
            self._update_brush()
            self.refresh_cursor()
        else:
            self.set_hidden(False)
        event.accept()

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Show the focus to those who came by keyboard."""
        self._keyboard_focus = event.reason() in _KEYBOARD_REASONS
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Forget what is held: its release goes elsewhere."""
        self._space = False
        self._pan_from = None
        self.set_hidden(False)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self.keys.forget()
            self._canvas._guarded(self._canvas.tool.interrupt)
        self.refresh_cursor()
        super().focusOutEvent(event)
        self.update()

    def _tool_key(self, event: QKeyEvent) -> bool:
        canvas, key = self._canvas, event.key()
        used: list[bool] = []
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers() & _COMMANDS:
            canvas._guarded(lambda: used.append(canvas.tool.accept()))
            return bool(used and used[0])
        if key == Qt.Key.Key_Escape:
            self.keys.forget()
            if canvas.tool.cancel():
                return True
            had = bool(canvas.selection)
            canvas.select(())
            return had
        canvas._guarded(lambda: used.append(canvas.tool.key_press(event)))
        return bool(used and used[0])

    def _view_key(self, event: QKeyEvent) -> bool:
        key, text = event.key(), event.text()
        control = event.modifiers() & _COMMANDS == Qt.KeyboardModifier.ControlModifier
        if event.modifiers() & _COMMANDS and not (control and key in _ARROWS):
            return False
        if key in _ARROWS:
            across, down = _ARROWS[Qt.Key(key)]
            part = 0.5 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 0.125
            self.pan(across * self.width() * part, down * self.height() * part)
        elif text in ("+", "="):
            self.zoom_by(1)
        elif text in ("-", "_"):
            self.zoom_by(-1)
        elif text == "0":
            self.fit()
        elif text == "1":
            self.zoom_to(1.0)
        else:
            return False
        return True

    def _edit_key(self, event: QKeyEvent) -> bool:
        canvas, key, text = self._canvas, event.key(), event.text()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            if key == Qt.Key.Key_Z:
                shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
                (canvas.redo if shift else canvas.undo)()
            elif key == Qt.Key.Key_Y:
                canvas.redo()
            else:
                return False
            return True
        if event.modifiers() & _COMMANDS:
            return False
        if text in ("[", "]"):
            canvas.step_brush(1 if text == "]" else -1)
        elif key == Qt.Key.Key_O:
            canvas.cycle_overlay()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            return canvas.delete_selected()
        else:
            tool = next((name for name, tool in canvas.tools.items() if tool.key and tool.key == text.upper()), None)
            if tool is None:
                return False
            canvas.set_tool(tool)
        return True
