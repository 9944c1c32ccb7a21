"""Showing dialogs, and what room the screen has for them.

PySide makes what a method returns a child of the object it was asked of, and gives the children to Python when Python
ends that object.  So a dialog that Python ends takes the screen with it (``dialog.screen()``), and the next widget
crashes.  Dialogs are therefore ended by Qt, and a widget is never asked for its screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

if TYPE_CHECKING:
    from PySide6.QtCore import QRect
    from PySide6.QtWidgets import QDialog, QWidget

#: Dialogs that were answered and are not freed yet: after `exec` they belong to Python, which must not be the one to
#: end them.
_leaving: set[QDialog] = set()


def ask(dialog: QDialog) -> bool:
    """Show a dialog until it is answered; True when it was accepted.

    What was entered can be read right afterwards.  The dialog is freed when control is back in the event loop.
    """
    _leaving.add(dialog)
    dialog.destroyed.connect(lambda: _leaving.discard(dialog))
    try:
        return bool(dialog.exec())
    finally:
        dialog.deleteLater()


def leave_open(dialog: QDialog) -> None:
    """Show a dialog that blocks its window but not the program; it is freed when it is closed."""
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.open()


def screen_room(widget: QWidget) -> QRect:
    """Return the part of the screen that windows may cover, where a widget is or will be shown."""
    anchor = widget if widget.isVisible() else QApplication.activeWindow()
    screen = None if anchor is None else QGuiApplication.screenAt(anchor.mapToGlobal(anchor.rect().center()))
    return (screen or QGuiApplication.primaryScreen()).availableGeometry()
