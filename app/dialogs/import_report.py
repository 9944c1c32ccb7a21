"""What came of adding images and masks: what was paired, what was not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, Qt, QTimer
from PySide6.QtWidgets import QAbstractItemView, QCheckBox, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from app.dialogs.base import Dialog, sentence, title_label
from app.theme import icon

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class ImportLine:
    """What became of one file.

    Attributes
    ----------
    image
        Name of the image; empty for a mask that belongs to none.
    mask
        Name of its mask; empty when it has none.
    cells
        Cells that were read from the mask.
    problem
        Why the image was not added, or the mask not used; empty when all went well.
    """

    image: str
    mask: str = ""
    cells: int | None = None
    problem: str = ""


class ImportReportDialog(Dialog):
    """A sentence that sums up, and a table of the files; those with a problem come first."""

    def __init__(self, lines: Sequence[ImportLine], parent: QWidget | None = None) -> None:
        super().__init__(parent, self.tr("Images added"), columns=96, rows=28)
        self._lines = sorted(lines, key=lambda line: not line.problem)
        problems = sum(bool(line.problem) for line in lines)
        self.body.addWidget(title_label(self.summary(), 1))
        if problems:
            self.body.addWidget(
                sentence(
                    self.tr("Your files are as they were. Mend what is listed first, then add it again."), quiet=True
                )
            )
        self.only_problems = QCheckBox(self.tr("Show only what needs attention"))
        self.only_problems.toggled.connect(self._fill)
        self.only_problems.setVisible(0 < problems < len(lines))
        self.body.addWidget(self.only_problems, 0, Qt.AlignmentFlag.AlignLeft)
        self.table = QTableWidget(0, 4)
        self.table.setHorizontalHeaderLabels(
            [self.tr("Image"), self.tr("Mask"), self.tr("Cells"), self.tr("What happened")]
        )
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setWordWrap(True)
        self.table.setTabKeyNavigation(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setAccessibleName(self.tr("Files and what became of them"))
        header = self.table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        self.body.addWidget(self.table, 1)
        self.table.horizontalHeaderItem(2).setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._heights = QTimer(self, interval=0, singleShot=True)
        self._heights.timeout.connect(self._fit_heights)
        header.sectionResized.connect(self._heights.start)
        self._fill()
        em = self.fontMetrics().averageCharWidth()
        for column, most in ((0, 28), (1, 28), (2, 10)):
            self.table.resizeColumnToContents(column)
            self.table.setColumnWidth(column, min(self.table.columnWidth(column) + 16, em * most))
        self.add_copy_button(self.text, self.tr("Copy list"))
        self.add_close_button()

    def summary(self) -> str:
        """Return what happened in one line."""
        added = sum(bool(line.image) and (not line.problem or bool(line.mask)) for line in self._lines)
        paired = sum(bool(line.image) and bool(line.mask) and not line.problem for line in self._lines)
        problems = sum(bool(line.problem) for line in self._lines)
        parts = [self.tr("1 image added") if added == 1 else self.tr("{n} images added").format(n=added)]
        if paired:
            parts.append(self.tr("1 with its mask") if paired == 1 else self.tr("{n} with masks").format(n=paired))
        if problems:
            text = self.tr("1 needs attention") if problems == 1 else self.tr("{n} need attention").format(n=problems)
            parts.append(text)
        return ", ".join(parts)

    def text(self) -> str:
        """Return the table as tab-separated text."""
        head = "\t".join(("image", "mask", "cells", "what happened"))
        rows = ["\t".join((one.image, one.mask, str(one.cells or ""), self._what(one))) for one in self._lines]
        return "\n".join([head, *rows])

    def _what(self, line: ImportLine) -> str:
        if line.problem:
            return line.problem
        return self.tr("added with its mask") if line.mask else self.tr("added")

    def _fill(self) -> None:
        lines = [line for line in self._lines if line.problem or not self.only_problems.isChecked()]
        self.table.setRowCount(len(lines))
        locale = self.locale()
        for row, line in enumerate(lines):
            cells = locale.toString(line.cells) if line.cells else ""
            for column, text in enumerate((line.image or "–", line.mask or "–", cells, self._what(line))):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if column == 2:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                if column == 3 and line.problem:
                    item.setIcon(icon("warning", "warning"))
                self.table.setItem(row, column, item)
        self._heights.start()

    def _fit_heights(self) -> None:
        # Sentences wrap.  Only rows that have one are taller; measuring 2,000 plain rows would take seconds.
        metrics = self.fontMetrics()
        room = max(80, self.table.columnWidth(3) - 48)
        for row in range(self.table.rowCount()):
            item = self.table.item(row, 3)
            if item is None or item.icon().isNull():
                break
            words = metrics.boundingRect(QRect(0, 0, room, 10000), int(Qt.TextFlag.TextWordWrap), item.text())
            self.table.setRowHeight(row, max(30, words.height() + 12))
