"""Tables of numbers: sorted by value, right-aligned, with equal figures, copied with Ctrl+C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtGui import QColor, QFont, QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from cellseg1.tables import joined_by_tabs, safe_cell

from ..theme import tabular
from .plain import plain_tip

Index = QModelIndex | QPersistentModelIndex
Row = Sequence[str | int | float]


class NumberModel(QAbstractTableModel):
    """Rows of texts and numbers; `decimals` gives for each column how many digits a float is shown with."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.titles: Sequence[str] = ()
        self.tips: Sequence[str] = ()
        self.decimals: Sequence[int] = ()
        self.rows: Sequence[Row] = ()
        #: The last row is a summary: it stays last and bold.
        self.summary = False
        #: A colour beside the first value of each row.
        self.dots: Sequence[QColor] = ()

    def set_table(
        self,
        titles: Sequence[str],
        rows: Sequence[Row],
        decimals: Sequence[int],
        tips: Sequence[str] = (),
        *,
        summary: bool = False,
    ) -> None:
        """Show another table."""
        self.beginResetModel()
        self.titles, self.rows, self.decimals, self.tips, self.summary = titles, rows, decimals, tips, summary
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008 - Qt's name and default
        """Return the number of rows."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008 - Qt's name and default
        """Return the number of columns."""
        return 0 if parent.isValid() else len(self.titles)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what is shown, or the value itself for sorting."""
        value = self.rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(value, index.column())
        if role == Qt.ItemDataRole.UserRole:
            return value
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if isinstance(value, str) else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.FontRole and self.summary and index.row() == len(self.rows) - 1:
            font = QFont()
            font.setBold(True)
            return tabular(font)
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0 and index.row() < len(self.dots):
            return self.dots[index.row()]
        if role == Qt.ItemDataRole.ToolTipRole and isinstance(value, str):
            return plain_tip(value)
        return None

    def text(self, value: str | float, column: int) -> str:
        """Write a value."""
        if isinstance(value, float):
            return f"{value:.{self.decimals[column]}f}"
        return value if isinstance(value, str) else str(value)

    def headerData(  # noqa: N802 - Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the titles of the columns."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.titles[section]
        if role == Qt.ItemDataRole.ToolTipRole and section < len(self.tips):
            return self.tips[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            words = bool(self.rows) and isinstance(self.rows[0][section], str)
            side = Qt.AlignmentFlag.AlignLeft if words else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        return None


class _Sorted(QSortFilterProxyModel):
    """Sorts by value and keeps the summary last."""

    def lessThan(self, left: Index, right: Index) -> bool:  # noqa: N802 - Qt's name
        model = self.sourceModel()
        assert isinstance(model, NumberModel)
        if model.summary:
            last = len(model.rows) - 1
            down = self.sortOrder() == Qt.SortOrder.DescendingOrder
            if left.row() == last or right.row() == last:
                return (left.row() == last) if down else (right.row() == last)
        a, b = model.rows[left.row()][left.column()], model.rows[right.row()][right.column()]
        if isinstance(a, str) or isinstance(b, str):
            return str(a).casefold() < str(b).casefold()
        return a < b


class NumberTable(QTableView):
    """Shows a `NumberModel`; rows are named by their place in it, however they are sorted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.source = NumberModel(self)
        self._sorted = _Sorted(self)
        self._sorted.setSourceModel(self.source)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setFont(tabular(self.font()))
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 10)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        # So that a chosen row is marked over the whole width.
        header.setStretchLastSection(True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        # Measuring every row of thousands would be felt.
        header.setResizeContentsPrecision(60)

    def set_table(
        self,
        titles: Sequence[str],
        rows: Sequence[Row],
        decimals: Sequence[int],
        tips: Sequence[str] = (),
        *,
        summary: bool = False,
    ) -> None:
        """Show another table, sorted as before."""
        self.source.set_table(titles, rows, decimals, tips, summary=summary)
        self.resizeColumnsToContents()
        most = self.fontMetrics().averageCharWidth() * 24
        if titles and self.columnWidth(0) > most:
            self.setColumnWidth(0, most)

    def chosen(self) -> list[int]:
        """Return the places of the selected rows in the table that was given."""
        return sorted(self._sorted.mapToSource(index).row() for index in self.selectionModel().selectedRows())

    def choose(self, row: int) -> None:
        """Select one row (-1: none) and bring it into sight."""
        if row < 0:
            self.clearSelection()
            return
        index = self._sorted.mapFromSource(self.source.index(row, 0))
        self.selectRow(index.row())
        self.scrollTo(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Copy the selected rows (or all) with the titles, as every spreadsheet takes them."""
        if event.matches(QKeySequence.StandardKey.Copy):
            QGuiApplication.clipboard().setText(self.as_text())
            return
        super().keyPressEvent(event)

    def as_text(self) -> str:
        """Return the selected rows (or all), separated by tabs."""
        order = [self._sorted.mapToSource(self._sorted.index(row, 0)).row() for row in range(self._sorted.rowCount())]
        wanted = set(self.chosen()) or set(order)
        lines = [list(self.source.titles)]
        lines += [
            [
                safe_cell(value) if isinstance(value, str) else self.source.text(value, column)
                for column, value in enumerate(self.source.rows[row])
            ]
            for row in order
            if row in wanted
        ]
        return joined_by_tabs(lines)


def fit_height(table: NumberTable, rows: int, most: int) -> None:
    """Make a table as high as its rows, up to `most` of them; beyond that it scrolls."""
    row = table.verticalHeader().defaultSectionSize()
    bar = table.horizontalScrollBar().sizeHint().height()
    table.setFixedHeight(table.horizontalHeader().sizeHint().height() + row * min(max(rows, 1), most) + bar + 4)
