"""Keys and gestures that move and zoom an image; the same in every view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QNativeGestureEvent

if TYPE_CHECKING:
    from PySide6.QtGui import QFocusEvent, QKeyEvent

    from ..view import ImageView

ARROWS = {
    Qt.Key.Key_Left: (1, 0),
    Qt.Key.Key_Right: (-1, 0),
    Qt.Key.Key_Up: (0, 1),
    Qt.Key.Key_Down: (0, -1),
}
COMMANDS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier
_KEYBOARD_REASONS = (
    Qt.FocusReason.TabFocusReason,
    Qt.FocusReason.BacktabFocusReason,
    Qt.FocusReason.ShortcutFocusReason,
)


def by_keyboard(event: QFocusEvent) -> bool:
    """Whether the focus came by a key, so that it must be seen where it is."""
    return event.reason() in _KEYBOARD_REASONS


def navigate(view: ImageView, event: QKeyEvent) -> bool:
    """Move by the arrow keys, zoom by plus, minus, 0 (fit) and 1 (100 %); return whether it was one of these."""
    key, text = event.key(), event.text()
    control = event.modifiers() & COMMANDS == Qt.KeyboardModifier.ControlModifier
    if event.modifiers() & COMMANDS and not (control and key in ARROWS):
        return False
    if key in ARROWS:
        across, down = ARROWS[Qt.Key(key)]
        part = 0.5 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 0.125
        view.pan(across * view.width() * part, down * view.height() * part)
    elif text in ("+", "="):
        view.zoom_by(1)
    elif text in ("-", "_"):
        view.zoom_by(-1)
    elif text == "0":
        view.fit()
    elif text == "1":
        view.zoom_to(1.0)
    else:
        return False
    return True


def pinch(view: ImageView, event: QEvent) -> bool:
    """Zoom with two fingers; return whether it was that."""
    if not isinstance(event, QNativeGestureEvent) or event.gestureType() != Qt.NativeGestureType.ZoomNativeGesture:
        return False
    view.zoom_to(view.zoom * (1 + event.value()), event.position())
    return True
