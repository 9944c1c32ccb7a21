"""The keys of the review: Enter, Delete, R and Tab act on a proposal, also over the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QLineEdit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...canvas import Canvas
    from ...session.proposals import Proposals

_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_DELETE = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
_TAB = (Qt.Key.Key_Tab, Qt.Key.Key_Backtab)


class ProposalKeys(QObject):
    """Takes these keys from the canvas while they act on a proposal.

    Parameters
    ----------
    current
        Returns the chosen proposal, 0 for none.

    Signals
    -------
    step_wanted, accept_wanted, reject_wanted
        Go to the next (1) or previous (-1) proposal; accept or reject the chosen one.
    """

    step_wanted = Signal(int)
    accept_wanted = Signal()
    reject_wanted = Signal()

    def __init__(
        self, canvas: Canvas, proposals: Proposals, current: Callable[[], int], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self._proposals = proposals
        self._current = current

    def take(self) -> None:
        """Take the keys from now on."""
        self._canvas.installEventFilter(self)

    def leave(self) -> None:
        """Leave the keys to the canvas again."""
        self._canvas.removeEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Take a key of the canvas."""
        if isinstance(event, QKeyEvent) and self._meant(event):
            # A letter may also be a shortcut of the window; the first to accept the override gets the key press.
            if event.type() == QEvent.Type.ShortcutOverride:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress:
                self._press(event)
                return True
        return super().eventFilter(watched, event)

    def press_on_panel(self, event: QKeyEvent) -> bool:
        """Handle a key pressed while a button of the panel has the focus; False when it has another meaning."""
        typing = isinstance(QApplication.focusWidget(), (QLineEdit, QAbstractSpinBox))
        if typing or event.key() in _TAB or not self._meant(event):
            return False
        self._press(event)
        return True

    def _meant(self, event: QKeyEvent) -> bool:
        """Tell whether a key is for the proposals now: not while a tool is active or cells are selected."""
        plain = event.modifiers() & ~(Qt.KeyboardModifier.KeypadModifier | Qt.KeyboardModifier.ShiftModifier)
        if plain != Qt.KeyboardModifier.NoModifier or self._canvas.tool.busy:
            return False
        key = event.key()
        if key in _TAB:
            return bool(len(self._proposals.offered))
        if not self._current() or self._canvas.selection:
            return False
        return key in _ENTER or key in _DELETE or key == Qt.Key.Key_R

    def _press(self, event: QKeyEvent) -> None:
        key = event.key()
        if key in _TAB:
            self.step_wanted.emit(-1 if key == Qt.Key.Key_Backtab else 1)
        elif key in _ENTER:
            self.accept_wanted.emit()
        else:
            self.reject_wanted.emit()
        event.accept()
