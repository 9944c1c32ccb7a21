"""The list of all keys (F1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from ..theme import GAP, MARGIN, TIGHT, WIDE, icon
from ..widgets.dialog import Dialog, scrolling, sentence, title_label
from ..widgets.plain import Label

if TYPE_CHECKING:
    from collections.abc import Sequence


class ShortcutsDialog(Dialog):
    """Keys by group, searchable.

    Parameters
    ----------
    table
        (group, [(keys, what they do)]); several keys for one command are written "Ctrl+Y / Ctrl+Shift+Z".
    """

    def __init__(self, table: Sequence[tuple[str, Sequence[tuple[str, str]]]], parent: QWidget | None = None) -> None:
        super().__init__(parent, self.tr("Keyboard shortcuts"), columns=72, rows=34)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Search: a key or what it does"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(self.tr("Search the shortcuts"))
        self.search.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        self.search.textChanged.connect(self._filter)
        self.body.addWidget(self.search)

        self._groups: list[tuple[QWidget, list[tuple[str, list[QWidget]]]]] = []
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, GAP, GAP, 0)
        column.setSpacing(WIDE)
        for group, rows in table:
            column.addWidget(self._group(group, rows))
        self._nothing = sentence(self.tr("No shortcut has this in it."), quiet=True)
        self._nothing.hide()
        column.addWidget(self._nothing)
        column.addStretch(1)
        self.area = scrolling(inside, self.tr("Shortcuts"))
        self.body.addWidget(self.area, 1)
        self.add_close_button()
        self.search.setFocus()

    def _group(self, name: str, rows: Sequence[tuple[str, str]]) -> QWidget:
        box = QWidget()
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(MARGIN)
        grid.setVerticalSpacing(TIGHT)
        grid.addWidget(title_label(name), 0, 0, 1, 2)
        # One width for the keys of all groups, so that the sentences stand below each other.
        grid.setColumnMinimumWidth(0, self.fontMetrics().averageCharWidth() * 22)
        grid.setColumnStretch(1, 1)
        found: list[tuple[str, list[QWidget]]] = []
        for number, (keys, text) in enumerate(rows, 1):
            shown, what = self._keys(keys), sentence(text)
            shown.setAccessibleName(f"{keys}: {text}")
            grid.addWidget(shown, number, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(what, number, 1, Qt.AlignmentFlag.AlignVCenter)
            found.append((f"{keys} {text} {name}".casefold(), [shown, what]))
        self._groups.append((box, found))
        return box

    def _keys(self, keys: str) -> QWidget:
        """Lay out each key as a small key cap."""
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(TIGHT)
        for number, one in enumerate(keys.split(" / ")):
            if number:
                row.addWidget(sentence("/", quiet=True))
            cap = Label(one)
            cap.setProperty("key", True)
            row.addWidget(cap)
        row.addStretch(1)
        return holder

    def _filter(self, text: str) -> None:
        words = text.casefold().split()
        any_shown = False
        for box, rows in self._groups:
            group_shown = False
            for haystack, widgets in rows:
                shown = all(word in haystack for word in words)
                group_shown |= shown
                for widget in widgets:
                    widget.setVisible(shown)
            box.setVisible(group_shown)
            any_shown |= group_shown
        self._nothing.setVisible(not any_shown)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """The first Esc empties the search, the second closes; Up and Down scroll from the search field."""
        key, bar = event.key(), self.area.verticalScrollBar()
        steps = {
            Qt.Key.Key_Down: bar.singleStep(),
            Qt.Key.Key_Up: -bar.singleStep(),
            Qt.Key.Key_PageDown: bar.pageStep(),
            Qt.Key.Key_PageUp: -bar.pageStep(),
        }
        if key == Qt.Key.Key_Escape and self.search.text():
            self.search.clear()
        elif key in steps:
            bar.setValue(bar.value() + steps[Qt.Key(key)])
        else:
            super().keyPressEvent(event)
