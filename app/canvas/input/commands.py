"""The keys of the canvas that are not shortcuts of the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt

from .navigation import COMMANDS, navigate

if TYPE_CHECKING:
    from PySide6.QtGui import QKeyEvent

    from ..view import ImageView
    from .host import Handlers, InputHost
    from .keyboard import KeyboardPointer
    from .pointer import Pointer


class KeyCommands:
    """Handles hold keys, and commands of the tool, the view and the canvas, in this order."""

    def __init__(self, view: ImageView, host: InputHost, pointer: Pointer, keys: KeyboardPointer) -> None:
        self._view = view
        self._host = host
        self._pointer = pointer
        self._keys = keys

    def handlers(self) -> Handlers:
        """Return the handler of each event type."""
        return {QEvent.Type.KeyPress: self._press, QEvent.Type.KeyRelease: self._release}

    def _press(self, event: QKeyEvent) -> bool:
        if self._tab(event):
            return True
        if event.key() == Qt.Key.Key_Space and not event.modifiers() & COMMANDS:
            if not event.isAutoRepeat():
                self._pointer.set_hand(True)
        elif event.key() == Qt.Key.Key_H and not event.modifiers() & COMMANDS:
            self._view.set_hidden(True)
        elif not (
            self._keys.key(event) or self._tool_key(event) or navigate(self._view, event) or self._edit_key(event)
        ):
            return False
        event.accept()
        self._pointer.refresh_cursor()
        return True

    def _release(self, event: QKeyEvent) -> bool:
        """Release the hold keys."""
        if event.isAutoRepeat() or event.key() not in (Qt.Key.Key_Space, Qt.Key.Key_H):
            return False
        if event.key() == Qt.Key.Key_Space:
            self._pointer.set_hand(False)
        else:
            self._view.set_hidden(False)
        event.accept()
        return True

    def _tab(self, event: QKeyEvent) -> bool:
        """Go to the next cell or proposal; with Ctrl, or without any, Tab moves the focus as usual."""
        if event.key() not in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            return False
        back = event.key() == Qt.Key.Key_Backtab
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._view.focusNextPrevChild(not back)
        elif not self._host.step_through(-1 if back else 1):
            return False
        event.accept()
        return True

    def _tool_key(self, event: QKeyEvent) -> bool:
        host, key = self._host, event.key()
        used: list[bool] = []
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers() & COMMANDS:
            host.guarded(lambda: used.append(host.tool.accept()))
            return bool(used and used[0])
        if key == Qt.Key.Key_Escape:
            self._pointer.held_by_keys = False
            if host.tool.cancel():
                return True
            had = bool(host.selection)
            host.select(())
            return had
        host.guarded(lambda: used.append(host.tool.key_press(event)))
        return bool(used and used[0])

    def _edit_key(self, event: QKeyEvent) -> bool:
        host, key, text = self._host, event.key(), event.text()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            if key == Qt.Key.Key_Z:
                shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
                (host.redo if shift else host.undo)()
            elif key == Qt.Key.Key_Y:
                host.redo()
            else:
                return False
            return True
        if event.modifiers() & COMMANDS:
            return False
        if text in ("[", "]"):
            host.step_brush(1 if text == "]" else -1)
        elif key == Qt.Key.Key_O:
            host.cycle_overlay()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            return host.delete_selected()
        else:
            tool = next((name for name, tool in host.tools.items() if tool.key and tool.key == text.upper()), None)
            if tool is None:
                return False
            host.set_tool(tool)
        return True
