"""Mouse and wheel on the canvas, and where the tool is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt

from ..tools.base import PointerEvent
from .navigation import by_keyboard, pinch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PySide6.QtGui import QEnterEvent, QFocusEvent, QMouseEvent, QWheelEvent

    from ...annotation import Document
    from ..view import ImageView
    from .host import Handlers, InputHost


@dataclass(frozen=True, slots=True)
class Pointed:
    """The pixel and cell under the pointer.

    Attributes
    ----------
    x, y
        The pixel.
    value
        Value of the image: a number, or one per channel; None without an image.
    cell, area
        Id and pixels of the cell there, 0 on the background.
    """

    x: int
    y: int
    value: float | int | tuple[float | int, ...] | None
    cell: int
    area: int


def pointed_at(plane: NDArray[Any] | None, document: Document | None, x: float, y: float) -> Pointed:
    """Return the pixel and cell at a position of the image."""
    column, row = int(x), int(y)
    value = None
    if plane is not None:
        found = plane[row, column]
        value = found.item() if found.ndim == 0 else tuple(found.tolist())
    cell = 0 if document is None else document.cell_at(x, y)
    area = 0 if document is None else document.cells.area(cell)
    return Pointed(column, row, value, cell, area)


class Pointer:
    """Turns mouse events into calls of the current tool.

    Attributes
    ----------
    position
        Position of the tool in the widget; None outside.
    led_by_keys
        Whether keys moved the tool last; a mouse move takes over.
    held_by_keys
        Whether keys hold the tool down, like a held mouse button.
    hand
        Whether the pointer moves the image, whatever the tool.
    focus_shown
        Whether the focus came by keyboard and is drawn.
    """

    def __init__(self, view: ImageView, host: InputHost) -> None:
        self._view = view
        self._host = host
        self._pan_from: QPointF | None = None
        self._wheel = 0.0
        self.position: QPointF | None = None
        self.led_by_keys = False
        self.held_by_keys = False
        self.hand = False
        self.focus_shown = False

    def handlers(self) -> Handlers:
        """Return the handler of each event type; button presses go through `press`."""
        kinds = QEvent.Type
        return {
            kinds.MouseMove: self._move,
            kinds.MouseButtonRelease: self._release,
            kinds.MouseButtonDblClick: self._double_click,
            kinds.Wheel: self._turn,
            kinds.NativeGesture: self._pinch,
            kinds.Enter: self._enter,
            kinds.Leave: self._leave,
            kinds.FocusIn: self._focus_in,
            kinds.FocusOut: self._focus_out,
            kinds.UngrabMouse: self._ungrabbed,
        }

    @property
    def panning(self) -> bool:
        """Whether the pointer moves the image now, whatever the tool."""
        return self.hand or self._pan_from is not None

    def set_hand(self, on: bool) -> None:
        """Let the pointer move the image, or use the tool again."""
        self.hand = on
        self.redraw_brush()
        self.refresh_cursor()

    def refresh_cursor(self) -> None:
        """Show the pointer shape for the action of a click."""
        if self._pan_from is not None:
            shape = Qt.CursorShape.ClosedHandCursor
        elif self.hand:
            shape = Qt.CursorShape.OpenHandCursor
        else:
            shape = self._host.tool.cursor()
        if self._view.cursor().shape() != shape:
            self._view.setCursor(shape)

    def redraw_brush(self) -> None:
        """Redraw the area of the brush."""
        self._redraw_brush_at(self.position)

    def _redraw_brush_at(self, *places: QPointF | None) -> None:
        diameter = self._host.tool.brush_diameter()
        if diameter is None:
            return
        radius = diameter * self._view.zoom / self._view.devicePixelRatioF() / 2 + 3
        for at in places:
            if at is not None:
                area = QRectF(at.x() - radius, at.y() - radius, 2 * radius, 2 * radius)
                self._view.refresh(area.toAlignedRect())

    def point_at(self, at: QPointF | None, spot: tuple[float, float] | None = None) -> None:
        """Move to a position of the widget (image position `spot` if known): update the brush and the status."""
        before, self.position = self.position, at
        self._redraw_brush_at(before, at)
        if at is not None and spot is None:
            spot = self._view.to_image(at)
        self._host.show_pointed(spot)

    def send(self, handler: Callable[[PointerEvent], object], event: PointerEvent) -> tuple[float, float] | None:
        """Pass an event to the tool; return the image position, None when the tool has moved the image."""
        moves = self._view.moves
        self._host.guarded(handler, event)
        return (event.x, event.y) if self._view.moves == moves else None

    def _event(self, event: QMouseEvent) -> PointerEvent:
        at = event.position()
        return PointerEvent(*self._view.to_image(at), at, event.button(), event.modifiers())

    # Mouse

    def press(self, event: QMouseEvent) -> bool:
        """Begin to move the image, or hand the press to the tool."""
        self.focus_shown = False
        self.led_by_keys = False
        self.point_at(event.position())
        middle = event.button() == Qt.MouseButton.MiddleButton
        if (middle or (self.hand and event.button() == Qt.MouseButton.LeftButton)) and not self._host.tool.busy:
            self._pan_from = event.position()
            self.redraw_brush()
            self.refresh_cursor()
        elif self._pan_from is None:
            self.send(self._host.tool.press, self._event(event))
        event.accept()
        return True

    def _move(self, event: QMouseEvent) -> bool:
        """Move the image, or hand the move to the tool."""
        event.accept()
        if self.held_by_keys:
            # A small accidental move must not draw.
            return True
        self.led_by_keys = False
        spot = None
        if self._pan_from is not None:
            step = event.position() - self._pan_from
            self._pan_from = event.position()
            self._view.pan(step.x(), step.y())
        else:
            spot = self.send(self._host.tool.move, self._event(event))
        self.point_at(event.position(), spot)
        return True

    def _release(self, event: QMouseEvent) -> bool:
        """Stop moving the image, or hand the release to the tool."""
        spot = None
        if self._pan_from is not None:
            if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
                self._pan_from = None
                self.redraw_brush()
        else:
            spot = self.send(self._host.tool.release, self._event(event))
        self.refresh_cursor()
        self.point_at(event.position(), spot)
        event.accept()
        return True

    def _double_click(self, event: QMouseEvent) -> bool:
        """Pass it to the tool."""
        if not self.hand:
            self.send(self._host.tool.double_click, self._event(event))
        event.accept()
        return True

    def _turn(self, event: QWheelEvent) -> bool:
        """Zoom at the pointer; with Shift change the brush, with Ctrl the plane."""
        turned = event.angleDelta()
        # With Shift or Alt some systems report horizontal wheel movement.
        delta = turned.y() or turned.x()
        if not delta:
            return True
        control = event.modifiers() & Qt.KeyboardModifier.ControlModifier
        if control or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            # Fine wheels send many small deltas; a step is one notch.
            self._wheel += delta / 120
            steps = math.trunc(self._wheel)
            self._wheel -= steps
            if control and steps:
                self._host.step_planes(-steps)
            elif steps:
                self._host.step_brush(steps)
        else:
            self._view.zoom_by(delta / 120, event.position())
        event.accept()
        return True

    def _pinch(self, event: QEvent) -> bool:
        """Zoom with two fingers."""
        return pinch(self._view, event)

    def _enter(self, event: QEnterEvent) -> bool:
        """Show the brush."""
        self.point_at(event.position())
        return False

    def _leave(self, _event: QEvent) -> bool:
        """Hide the brush."""
        if not self.led_by_keys:
            self.point_at(None)
        return False

    # Focus

    def _focus_in(self, event: QFocusEvent) -> bool:
        """Show the focus when it came by keyboard."""
        self.focus_shown = by_keyboard(event)
        self._view.update()
        return False

    def _focus_out(self, event: QFocusEvent) -> bool:
        """Release what is held, since the release event goes elsewhere."""
        self.hand = False
        self._pan_from = None
        self._view.set_hidden(False)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self.held_by_keys = False
            self._host.guarded(self._host.tool.interrupt)
        self.refresh_cursor()
        self._view.update()
        return False

    def _ungrabbed(self, _event: QEvent) -> bool:
        """Release what is held when the window loses the pointer."""
        self._host.guarded(self._host.tool.interrupt)
        return False
