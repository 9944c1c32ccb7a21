"""Errors as sentences with a way out, and what happens to those nobody expected."""

from __future__ import annotations

import logging
import platform
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

import PySide6
import shiboken6
from PySide6.QtCore import QCoreApplication, QObject, Qt, Signal
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from cellseg1._version import __version__
from cellseg1.errors import CellSeg1Error

from ..theme import GAP, MARGIN, heading
from ..translation.library_words import shown
from .empty_state import Sign
from .fold import FoldSection
from .plain import Label

_translate = QCoreApplication.translate

_log = logging.getLogger(__name__)


class ErrorDialog(QDialog):
    """Says what happened, that nothing was lost, and what can be done; the details can be copied.

    It is not modal: the work can go on while it is open.
    """

    def __init__(
        self, sentence: str, details: str = "", parent: QWidget | None = None, *, nothing_lost: bool = True
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(_translate("Errors", "CellSeg1 Studio"))
        self.sentence, self.details = sentence, details
        self.times = 1
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.setSpacing(MARGIN)
        layout.addLayout(self._words(nothing_lost=nothing_lost))
        layout.addWidget(self._details(), 1)
        layout.addLayout(self._buttons())
        self.setAccessibleName(_translate("Errors", "Error"))
        self.setAccessibleDescription(sentence)
        self.close_button.setFocus()

    def _words(self, *, nothing_lost: bool) -> QHBoxLayout:
        what = Label(self.sentence)
        what.setFont(heading(self.font(), 0))
        what.setWordWrap(True)
        what.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.safe = Label(_translate("Errors", "Nothing was lost."))
        self.safe.setProperty("secondary", True)
        self.safe.setVisible(nothing_lost and _translate("Errors", "Nothing was lost.") not in self.sentence)
        self._again = Label()
        self._again.setProperty("secondary", True)
        self._again.hide()
        words = QVBoxLayout()
        words.setSpacing(GAP)
        for label in (what, self.safe, self._again):
            label.setMinimumWidth(self.fontMetrics().averageCharWidth() * 52)
            label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
            words.addWidget(label)
        words.addStretch(1)
        top = QHBoxLayout()
        top.setSpacing(MARGIN)
        top.addWidget(Sign("error", 32, "error"), 0, Qt.AlignmentFlag.AlignTop)
        top.addLayout(words, 1)
        return top

    def _details(self) -> FoldSection:
        self.text = QPlainTextEdit(self.details)
        self.text.setReadOnly(True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setMinimumHeight(self.fontMetrics().lineSpacing() * 10)
        self.text.setAccessibleName(_translate("Errors", "Details"))
        self.text.setTabChangesFocus(True)
        self.fold = FoldSection(_translate("Errors", "Details"))
        self.fold.add(self.text)
        self.fold.toggled.connect(lambda _open: self.adjustSize())
        self.fold.setVisible(bool(self.details))
        return self.fold

    def _buttons(self) -> QHBoxLayout:
        self.copy_button = QPushButton(_translate("Errors", "Copy details"))
        self.copy_button.setToolTip(_translate("Errors", "Copy the sentence and the details, to send them to somebody"))
        self.copy_button.setAccessibleName(_translate("Errors", "Copy details"))
        self.copy_button.setAutoDefault(False)
        self.copy_button.clicked.connect(self.copy_details)
        self.close_button = QPushButton(_translate("Errors", "Close"))
        self.close_button.setToolTip(_translate("Errors", "Close (Esc)"))
        self.close_button.setAccessibleName(_translate("Errors", "Close"))
        self.close_button.setProperty("primary", True)
        self.close_button.setDefault(True)
        self.close_button.clicked.connect(self.accept)
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        buttons.addWidget(self.copy_button)
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        return buttons

    def copy_details(self) -> None:
        """Put the sentence, the details and the versions into the clipboard."""
        QGuiApplication.clipboard().setText(f"{self.sentence}\n\n{self.details}\n\n{versions()}".strip() + "\n")
        self.copy_button.setText(_translate("Errors", "Copied"))

    def once_more(self) -> None:
        """Count the same error again instead of opening a second dialog."""
        self.times += 1
        self._again.setText(_translate("Errors", "It happened {0} times.").format(self.times))
        self._again.show()
        self.raise_()


def versions() -> str:
    """Return the program, the system and the libraries in one line, for reports."""
    return (
        f"CellSeg1 Studio {__version__}, {platform.platform()}, "
        f"Python {platform.python_version()}, Qt {PySide6.__version__}"
    )


def show_error(parent: QWidget | None, sentence: str, details: str = "", nothing_lost: bool = True) -> ErrorDialog:
    """Show an error and return at once; the same sentence is not shown twice at a time.

    Parameters
    ----------
    parent
        The window it belongs to.
    sentence
        What happened and what can be done.
    details
        What a helper would want to know, such as a traceback.
    nothing_lost
        Whether to add that nothing was lost; only where that is true.
    """
    sentence = shown(sentence)
    for widget in QApplication.topLevelWidgets():
        if isinstance(widget, ErrorDialog) and widget.isVisible() and widget.sentence == sentence:
            widget.once_more()
            return widget
    dialog = ErrorDialog(sentence, details, parent, nothing_lost=nothing_lost)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setModal(False)
    dialog.show()
    return dialog


def describe(error: BaseException) -> tuple[str, str]:
    """Return the sentence for an exception and its details.

    A `CellSeg1Error` is its own sentence; anything else is a fault of the program.
    """
    details = "".join(traceback.format_exception(error)).strip()
    if isinstance(error, CellSeg1Error):
        return str(error), details
    sentence = _translate(
        "Errors", "Something went wrong in the program. Go on; if it misbehaves, close it and start it again."
    )
    return sentence, details


class ExceptionHook(QObject):
    """Shows every exception that nobody caught, of all threads, and writes it to the log.

    Parameters
    ----------
    parent_of
        Returns the window to which dialogs belong, or None.
    show
        Shows one: by default `show_error`.
    """

    _raised = Signal(str, str)

    def __init__(
        self,
        parent_of: Callable[[], QWidget | None] = lambda: None,
        show: Callable[[QWidget | None, str, str], Any] = show_error,
    ) -> None:
        super().__init__()
        self._parent_of, self._show = parent_of, show
        self._showing = False
        self._before = (sys.excepthook, threading.excepthook)
        # From another thread the signal is queued: a dialog may only be made in this one.
        self._raised.connect(self._tell)

    def install(self) -> None:
        """Take over from now on."""
        self._before = (sys.excepthook, threading.excepthook)
        sys.excepthook = self.handle
        threading.excepthook = self._handle_thread

    def remove(self) -> None:
        """Give back what was there before."""
        sys.excepthook, threading.excepthook = self._before

    def handle(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Log and show one exception; has the form of ``sys.excepthook``."""
        if issubclass(kind, (KeyboardInterrupt, SystemExit)):
            self._before[0](kind, error, trace)
            return
        _log.error("not caught", exc_info=(kind, error, trace))
        self._raised.emit(*describe(error))

    def _handle_thread(self, raised: threading.ExceptHookArgs) -> None:
        if raised.exc_value is not None:
            self.handle(raised.exc_type, raised.exc_value, raised.exc_traceback)

    def _tell(self, sentence: str, details: str) -> None:
        if self._showing:  # an error while showing an error would never end
            return
        self._showing = True
        try:
            self._show(self._parent_of(), sentence, details)
        finally:
            self._showing = False


def install_exception_hook(parent: QWidget | None = None) -> Callable[[], None]:
    """Show exceptions that nobody caught, as dialogs of `parent`; call the result to end that."""

    def parent_of() -> QWidget | None:
        # At the end of the program errors may come when the window is already gone.
        return parent if parent is not None and shiboken6.isValid(parent) else None

    hook = ExceptionHook(parent_of)
    hook.install()
    return hook.remove
