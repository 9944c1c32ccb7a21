"""A message above the place it concerns, with an action and a way to dismiss it."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent, QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from ..theme import GAP, ICON, TIGHT, icon
from ..theme.icons import Tint
from .empty_state import Sign
from .plain import Label

Kind = Literal["info", "warning", "error"]
_TINTS: dict[str, Tint] = {"info": "accent", "warning": "warning", "error": "error"}


class Banner(QFrame):
    """One message; hidden as long as there is none.

    Parameters
    ----------
    text, kind, action
        See `show_message`.
    """

    #: The action's button was clicked.
    acted = Signal()
    #: The message was dismissed by the user.
    dismissed = Signal()

    def __init__(self, text: str = "", kind: Kind = "info", action: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("banner", True)
        self.sign = Sign("info", ICON)
        self.label = Label()
        self.label.setWordWrap(True)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        # As far in as the writing on the button below it.
        self.label.setContentsMargins(GAP, 0, 0, 0)
        self.action = QPushButton()
        self.action.setProperty("quiet", True)
        self.action.clicked.connect(self.acted)
        self.close_button = QToolButton()
        self.close_button.setIcon(icon("close"))
        self.close_button.setIconSize(QSize(14, 14))
        self.close_button.setProperty("small", True)
        self.close_button.setToolTip(self.tr("Dismiss (Esc)"))
        self.close_button.setAccessibleName(self.tr("Dismiss"))
        self.close_button.clicked.connect(self.dismiss)

        words = QVBoxLayout()
        words.setSpacing(TIGHT)
        words.setContentsMargins(0, 1, 0, 0)
        words.addWidget(self.label)
        words.addWidget(self.action, 0, Qt.AlignmentFlag.AlignLeft)
        words.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(GAP + TIGHT, GAP, GAP, GAP)
        row.setSpacing(0)
        row.addWidget(self.sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        row.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)
        self.kind: Kind = kind
        if text:
            self.show_message(text, kind, action)
        else:
            self.hide()

    def show_message(self, text: str, kind: Kind = "info", action: str = "", *, dismissable: bool = True) -> None:
        """Show a message.

        Parameters
        ----------
        text
            One sentence or two.
        kind
            ``info``, ``warning`` or ``error``.
        action
            Text of the button that does something about it; empty for none.
        dismissable
            Whether the user can make it go; a state that goes on, such as a full disk, cannot be dismissed.
        """
        self.kind = kind
        self.sign.set_sign(kind, _TINTS[kind])
        self.label.setText(text)
        self.action.setText(action)
        self.action.setAccessibleName(action)
        self.action.setVisible(bool(action))
        self.close_button.setVisible(dismissable)
        words = {"info": self.tr("Note"), "warning": self.tr("Warning"), "error": self.tr("Error")}
        self.setAccessibleName(words[kind])
        self.setAccessibleDescription(text)
        self.show()
        if QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.Alert))

    def clear(self) -> None:
        """Hide the message; tells nobody."""
        self.label.clear()
        self.hide()

    def dismiss(self) -> None:
        """Hide the message as the user does."""
        if not self.close_button.isHidden():
            self.hide()
            self.dismissed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Dismiss with Esc."""
        if event.key() == Qt.Key.Key_Escape and not self.close_button.isHidden():
            self.dismiss()
        else:
            super().keyPressEvent(event)
