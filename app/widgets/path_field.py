"""A folder the user may type, choose or drop."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QToolButton, QWidget

from ..theme import TIGHT, icon
from .file_drop import FileDrop


class FolderField(QWidget):
    """A line for a folder with a button that opens the folder dialog; a folder can be dropped on it.

    ``changed(str)`` is sent while typing, ``settled(str)`` when the text is finished.
    """

    changed = Signal(str)
    settled = Signal(str)

    def __init__(self, name: str, parent: QWidget | None = None, *, placeholder: str = "") -> None:
        super().__init__(parent)
        self._name = name
        self.edit = QLineEdit()
        self.edit.setAcceptDrops(False)
        self.edit.setPlaceholderText(placeholder)
        self.edit.setAccessibleName(name)
        self.edit.textChanged.connect(self.changed)
        self.edit.editingFinished.connect(lambda: self.settled.emit(self.edit.text().strip()))
        self.button = QToolButton()
        self.button.setIcon(icon("folder"))
        self.button.setToolTip(self.tr("Choose the folder"))
        self.button.setAccessibleName(self.tr("Choose: {name}").format(name=name))
        self.button.clicked.connect(self.choose)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(TIGHT)
        row.addWidget(self.edit, 1)
        row.addWidget(self.button)
        self.setFocusProxy(self.edit)
        FileDrop(self).dropped.connect(self._take)

    def path(self) -> Path | None:
        """Return the folder, None when the line is empty."""
        text = self.edit.text().strip()
        return Path(text).expanduser() if text else None

    def set_path(self, path: Path | str | None) -> None:
        """Show a folder."""
        self.edit.setText("" if path is None else str(path))

    def choose(self) -> None:
        """Let the user choose the folder."""
        start = self.edit.text().strip() or self.edit.placeholderText()
        found = QFileDialog.getExistingDirectory(self, self._name, start)
        if found:
            self._set(found)

    def _take(self, paths: list[Path]) -> None:
        folder = paths[0] if paths[0].is_dir() else paths[0].parent
        self._set(str(folder))

    def _set(self, text: str) -> None:
        self.edit.setText(text)
        self.settled.emit(text)
