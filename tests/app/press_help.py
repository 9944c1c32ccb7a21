"""Somebody who presses everything: buttons, entries of menus, keys, and what is in the dialogs that open."""

from __future__ import annotations

import time

import shiboken6
from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QMenu,
    QTabBar,
    QWidget,
)

from app.widgets.fold import FoldSection

#: Rounds of looking at a dialog before it is put away, whatever it is.
_PATIENCE = 200


def name_of(widget):
    """Return what tells a widget from others, also when it is made anew."""
    words = widget.accessibleName() or getattr(widget, "text", str)() or widget.toolTip()
    return f"{type(widget).__name__} {words!r} {widget.objectName()}".strip()


class Fingers:
    """Presses; modal dialogs have each of their buttons pressed once, and are put away.

    Attributes
    ----------
    pressed
        Names of everything that was pressed, with where it was.
    """

    def __init__(self):
        self.pressed = []
        self._known = set()
        self._looks = 0
        self._timer = QTimer(interval=15)
        self._timer.timeout.connect(self._look)
        self._timer.start()

    def end(self):
        self._timer.stop()

    # ---- dialogs, also those that wait for an answer

    def _look(self):
        popup = QApplication.activePopupWidget()
        if popup is not None:
            popup.close()
            return
        dialog = QApplication.activeModalWidget() or self._loose()
        if dialog is None:
            self._looks = 0
            return
        self._looks += 1
        for button in dialog.findChildren(QAbstractButton):
            if isinstance(dialog, QFileDialog) or self._looks > _PATIENCE:
                break
            possible = button.isVisible() and button.isEnabled() and not self._puts_away(button)
            if possible and self._once(f"{type(dialog).__name__} {dialog.windowTitle()!r}", button):
                button.click()
                return
        # Each answer once, and then what leaves everything as it is.
        for button in dialog.findChildren(QAbstractButton):
            possible = button.isVisible() and button.isEnabled() and not isinstance(dialog, QFileDialog)
            if possible and self._once(f"{type(dialog).__name__} {dialog.windowTitle()!r}", button):
                button.click()
                return
        dialog.reject() if isinstance(dialog, QDialog) else dialog.close()

    def _loose(self):
        """Return a dialog that blocks nothing."""
        for one in QApplication.topLevelWidgets():
            if shiboken6.isValid(one) and one.isVisible() and isinstance(one, QDialog):
                return one
        return None

    def _puts_away(self, button):
        box = button.parentWidget()
        roles = (QDialogButtonBox.ButtonRole.AcceptRole, QDialogButtonBox.ButtonRole.RejectRole)
        return isinstance(box, QDialogButtonBox) and box.buttonRole(button) in (*roles, QDialogButtonBox.YesRole)

    def _once(self, where, widget):
        key = f"{where}: {name_of(widget)}"
        if key in self._known:
            return False
        self._known.add(key)
        self.pressed.append(key)
        return True

    def settle(self):
        """Let everything happen that follows, until no dialog is open."""
        end = time.monotonic() + 20
        quiet = 0
        while quiet < 3:
            QApplication.processEvents()
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
            busy = QApplication.activeModalWidget() or QApplication.activePopupWidget() or self._loose()
            quiet = 0 if busy else quiet + 1
            assert time.monotonic() < end, f"it never came to rest: {busy}"
            if busy:
                time.sleep(0.005)

    # ---- the window

    def all_below(self, where, top, before):
        """Press every button, tab and option below a widget; `before` is called before each, and puts things right."""
        while True:
            before()
            thing = self._next(where, top())
            if thing is None:
                return
            self._press(thing)
            self.settle()

    def _next(self, where, top):
        for widget in top.findChildren(QWidget):
            if not (isinstance(widget, (QAbstractButton, QComboBox, QTabBar)) and widget.isVisible()):
                continue
            if widget.isEnabled() and widget.window() is top.window() and self._once(where, widget):
                return widget
        return None

    def _press(self, widget):
        if isinstance(widget, QComboBox):
            for index in range(widget.count()):
                if shiboken6.isValid(widget) and index < widget.count():
                    widget.setCurrentIndex(index)
                    widget.activated.emit(index)
        elif isinstance(widget, QTabBar):
            for index in range(widget.count()):
                widget.setCurrentIndex(index)
        else:
            menu = widget.menu() if hasattr(widget, "menu") else None
            if isinstance(menu, QMenu):
                self.menu(f"menu of {type(widget).__name__} {widget.toolTip().split(':')[-1]!r}", menu)
            elif widget.isCheckable() and not isinstance(widget.parentWidget(), FoldSection):
                # There and back, so that the rest is as it was; what was folded away stays open, to be pressed too.
                widget.click()
                self.settle()
                if shiboken6.isValid(widget) and widget.isEnabled():
                    widget.click()
            else:
                widget.click()

    def menu(self, where, menu):
        """Choose every entry of a menu and of those in it."""
        menu.aboutToShow.emit()
        for action in list(menu.actions()):
            if not shiboken6.isValid(action):
                continue
            inner = action.menu()
            if inner is not None:
                self.menu(f"{where} > {action.text()}", inner)
            elif action.isEnabled() and not action.isSeparator() and f"{where} > {action.text()}" not in self._known:
                # Once everywhere: the same menu hangs in every step.
                self._known.add(f"{where} > {action.text()}")
                self.pressed.append(f"{where} > {action.text()}")
                action.trigger()
                self.settle()

    def context_menu(self, widget, place):
        """Ask for the menu of a place; it is opened and closed."""
        event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, widget.mapToGlobal(place))
        QApplication.sendEvent(widget, event)
        self.settle()

    def key(self, window, sequence):
        """Press a key, or several together."""
        window.activateWindow()
        self.settle()
        self.pressed.append(f"key {sequence.toString()}")
        QTest.keySequence(QApplication.focusWidget() or window, sequence)
        self.settle()

    def held(self, widget, key):
        """Hold a key, and let go of it."""
        QTest.keyPress(widget, key)
        QTest.keyRelease(widget, key, Qt.KeyboardModifier.NoModifier)
        self.settle()
