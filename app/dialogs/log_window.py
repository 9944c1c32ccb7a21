"""The program's log, followed while it is open."""

from __future__ import annotations

import logging
from collections import deque

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QFontDatabase, QTextCursor, QTextDocument
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPlainTextEdit, QWidget

from ..theme import GAP, icon
from ..widgets.dialog import Dialog, Role

#: Lines that are kept; older ones are in the log file.
KEPT_LINES = 5000


class LogStore(QObject):
    """The last lines of the log; ``added(str)`` for each new one.  It outlives the window that shows it."""

    added = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        # A line may come from any thread; the list and the window are changed in the window's thread only.
        self._arrived.connect(self._take)

    _arrived = Signal(str)

    def _take(self, text: str) -> None:
        self.lines.append(text)
        self.added.emit(text)

    def add(self, text: str) -> None:
        """Add a line, from any thread."""
        self._arrived.emit(text)


class LogHandler(logging.Handler):
    """Carries Python's log into a `LogStore`."""

    def __init__(self, store: LogStore) -> None:
        super().__init__()
        self._store = store
        self.setFormatter(logging.Formatter("%(asctime)s  %(levelname)-7s  %(name)s  %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        """Add one record; a record that cannot be written must not stop the program."""
        try:
            self._store.add(self.format(record))
        except Exception:  # noqa: BLE001 - the logging module's own rule for handlers
            self.handleError(record)


class LogWindow(Dialog):
    """The log, with search and "Copy all"; it does not block the window."""

    def __init__(self, store: LogStore, parent: QWidget | None = None, *, folder: str = "") -> None:
        super().__init__(parent, self.tr("Log"), columns=110, rows=32)
        self.setModal(False)
        self._store = store
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Find (Return: next)"))
        self.search.setAccessibleName(self.tr("Find in the log"))
        self.search.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        self.search.setClearButtonEnabled(True)
        self.search.returnPressed.connect(self.find_next)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.search, 1)
        self.body.addLayout(row)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setPlaceholderText(self.tr("Nothing has been written yet."))
        self.text.setMaximumBlockCount(KEPT_LINES)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setAccessibleName(self.tr("Log"))
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.text.setPlainText("\n".join(store.lines))
        self.text.moveCursor(QTextCursor.MoveOperation.End)
        self.body.addWidget(self.text, 1)
        store.added.connect(self.text.appendPlainText)
        self.add_copy_button(self.text.toPlainText, self.tr("Copy all"))
        if folder:
            self.folder_button = self.add_button(self.tr("Open the log's folder"), Role.ActionRole, self._open_folder)
        self._folder = folder
        self.add_button(self.tr("Close"), Role.RejectRole)
        self.text.setFocus()

    def find_next(self) -> bool:
        """Go to the next place of the searched text, from the beginning again after the last."""
        wanted = self.search.text()
        if not wanted:
            return False
        if self.text.find(wanted):
            return True
        self.text.moveCursor(QTextCursor.MoveOperation.Start)
        return self.text.find(wanted, QTextDocument.FindFlag(0))

    def _open_folder(self) -> None:
        from PySide6.QtCore import QUrl
        from PySide6.QtGui import QDesktopServices

        QDesktopServices.openUrl(QUrl.fromLocalFile(self._folder))
