"""Labels and tool tips that show every text as it is written: a file may be called ``<img src=...>``."""

from __future__ import annotations

import html
import unicodedata

from PySide6 import QtGui
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QMessageBox, QWidget

from .showing import ask

#: Control characters, and what ends a line or a paragraph.
_UNSEEN = frozenset({"Cc", "Zl", "Zp"})


class Label(QLabel):
    """A label for plain text; Qt's own guesses whether a text is HTML, and then loads the pictures it names."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)


def plain_tip(text: str) -> str:
    """Return a text for a tool tip, a message box or another place where Qt guesses, so that it is shown as written."""
    if not QtGui.Qt.mightBeRichText(text):
        return text
    written = html.escape(text, quote=False).replace("\n", "<br>")
    return f'<span style="white-space: pre-wrap">{written}</span>'


def one_line(text: str) -> str:
    """Return a name without line breaks and other signs that nobody sees, for a place that has one line."""
    return "".join(" " if unicodedata.category(sign) in _UNSEEN else sign for sign in text)


def plain_action(text: str) -> str:
    """Return a name for a menu or a button, where Qt takes an ampersand for the mark of a key."""
    return one_line(text).replace("&", "&&")


def plain_title(text: str) -> str:
    """Return a name for the title of a window, where Qt puts a star in the place of ``[*]``."""
    return one_line(text).replace("[*]", "[*][*]")


def plain_notice(text: str) -> str:
    """Return a text for a notice of the desktop, some of which draw what is between angle brackets."""
    return text.replace("<", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}")


class MessageBox(QMessageBox):
    """A question or a notice whose text is shown as it is written."""

    def __init__(self, parent: QWidget | None, title: str, text: str, more: str = "") -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWindowTitle(plain_title(title))
        self.setText(text)
        # Only the first text follows the format.
        self.setInformativeText(plain_tip(more))

    @classmethod
    def ask(
        cls,
        parent: QWidget | None,
        title: str,
        text: str,
        buttons: QMessageBox.StandardButton = QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
        icon: QMessageBox.Icon = QMessageBox.Icon.Question,
    ) -> QMessageBox.StandardButton:
        """Ask and return the button that was clicked."""
        box = cls(parent, title, text)
        box.setIcon(icon)
        box.setStandardButtons(buttons)
        ask(box)
        return box.standardButton(box.clickedButton()) if box.clickedButton() else QMessageBox.StandardButton.NoButton
