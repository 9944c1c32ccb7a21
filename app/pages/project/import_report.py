"""What came of adding images and masks: what was paired, what was not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, Qt, QTimer
from PySide6.QtWidgets import QAbstractItemView, QCheckBox, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from cellseg1.tables import joined_by_tabs, safe_cell

from ...theme import icon, tabular
from ...translation.library_words import shown
from ...widgets.dialog import Dialog, sentence, title_label
from ...widgets.plain import plain_tip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...project.adding import ImportReport

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True, slots=True)
class _Line:
    file: str
    text: str
    cells: int | None = None
    problem: bool = False


class ImportReportDialog(Dialog):
    """A sentence that sums up, and a table of the files; what needs attention comes first.

    Parameters
    ----------
    names
        By image id, the names of the images; those without a name are only counted.
    """

    def __init__(
        self, report: ImportReport, parent: QWidget | None = None, *, names: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(parent, self.tr("Images added"), columns=92, rows=26)
        self._report = report
        self._lines = self._lines_of(report, names or {})
        problems = sum(line.problem for line in self._lines)
        self.body.addWidget(title_label(self.summary(), 1))
        if problems:
            what_to_do = self.tr(
                "Your files are as they were. Correct the files at the top of the list, then add them again."
            )
            self.body.addWidget(sentence(what_to_do, quiet=True))
        self.only_problems = QCheckBox(self.tr("Show only what needs attention"))
        self.only_problems.toggled.connect(self._fill)
        self.only_problems.setVisible(0 < problems < len(self._lines))
        self.body.addWidget(self.only_problems, 0, Qt.AlignmentFlag.AlignLeft)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels([self.tr("File"), self.tr("Cells"), self.tr("What happened")])
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
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        self.body.addWidget(self.table, 1)
        if (cells := self.table.horizontalHeaderItem(1)) is not None:
            cells.setTextAlignment(_RIGHT)
        self._heights = QTimer(self, interval=0, singleShot=True)
        self._heights.timeout.connect(self._fit_heights)
        header.sectionResized.connect(lambda *_sizes: self._heights.start())
        self._fill()
        em = self.fontMetrics().averageCharWidth()
        for column, most in ((0, 32), (1, 10)):
            self.table.resizeColumnToContents(column)
            self.table.setColumnWidth(column, min(self.table.columnWidth(column) + 16, em * most))
        self.add_copy_button(self.text, self.tr("Copy list"))
        self.add_close_button()

    def _lines_of(self, report: ImportReport, names: Mapping[str, str]) -> Sequence[_Line]:
        lines = [_Line(path.name, shown(reason), problem=True) for path, reason in report.skipped]
        lines += [_Line("", shown(text), problem=True) for text in report.sentences]
        for image_id in report.added:
            if image_id in names:
                cells = report.cells.get(image_id)
                text = self.tr("added") if cells is None else self.tr("added with its mask")
                lines.append(_Line(names[image_id], text, cells))
        return lines

    def summary(self) -> str:
        """Return what happened in one line."""
        added, paired = len(self._report.added), len(self._report.cells)
        problems = len(self._report.skipped)
        parts = [self.tr("1 image added") if added == 1 else self.tr("{n} images added").format(n=added)]
        if paired:
            parts.append(self.tr("1 with its mask") if paired == 1 else self.tr("{n} with masks").format(n=paired))
        elif self._report.masks:
            parts.append(self.tr("none with a mask"))
        if problems:
            parts.append(self.tr("{n} not added").format(n=problems))
        return ", ".join(parts)

    def text(self) -> str:
        """Return the summary and the table as tab-separated text."""
        rows = [(safe_cell(one.file), one.cells or "", safe_cell(one.text)) for one in self._lines]
        return f"{self.summary()}\n{joined_by_tabs(rows)}"

    def _fill(self) -> None:
        lines = [line for line in self._lines if line.problem or not self.only_problems.isChecked()]
        self.table.setRowCount(len(lines))
        locale, figures = self.locale(), tabular(self.table.font())
        for row, line in enumerate(lines):
            cells = locale.toString(line.cells) if line.cells is not None else ""
            for column, text in enumerate((line.file, cells, line.text)):
                item = QTableWidgetItem(text)
                item.setToolTip(plain_tip(text))
                if column == 1:
                    item.setFont(figures)
                    item.setTextAlignment(_RIGHT)
                if column == 2 and line.problem:
                    item.setIcon(icon("warning", "warning"))
                self.table.setItem(row, column, item)
        self._heights.start()

    def _fit_heights(self) -> None:
        # Sentences wrap.  Only rows that have one are taller; measuring 2,000 plain rows would take seconds.
        metrics = self.fontMetrics()
        room = max(80, self.table.columnWidth(2) - 48)
        for row in range(self.table.rowCount()):
            item = self.table.item(row, 2)
            if item is None or item.icon().isNull():
                break
            words = metrics.boundingRect(QRect(0, 0, room, 10000), int(Qt.TextFlag.TextWordWrap), item.text())
            self.table.setRowHeight(row, max(30, words.height() + 12))
