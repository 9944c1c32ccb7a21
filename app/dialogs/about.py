"""About the program: version, method, licences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QPlainTextEdit,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from cellseg1._version import __version__

from ..theme import BIG_ICON, GAP, MARGIN, TIGHT, app_icon
from ..widgets.dialog import Dialog, scrolling, sentence, title_label
from ..widgets.plain import Label, plain_tip
from .licences import own_licence, packages

if TYPE_CHECKING:
    from .licences import PackageLicence


class AboutDialog(Dialog):
    """Name, version, what it does, and the licences of everything in it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, self.tr("About CellSeg1 Studio"), columns=92, rows=34)
        self.body.addLayout(self._head())
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self._about(), self.tr("About"))
        self.tabs.addTab(self._text(own_licence(), self.tr("Licence of CellSeg1 Studio")), self.tr("Licence"))
        self._packages: list[PackageLicence] = []
        self.tabs.addTab(self._package_page(), self.tr("Packages"))
        self.tabs.currentChanged.connect(self._fill_packages)
        self.body.addWidget(self.tabs, 1)
        self.add_copy_button(self.version_text, self.tr("Copy version"))
        self.add_close_button()

    def version_text(self) -> str:
        """Return what a bug report should begin with."""
        import platform

        from PySide6 import __version__ as qt

        return f"CellSeg1 Studio {__version__}, Python {platform.python_version()}, Qt {qt}, {platform.platform()}"

    def _head(self) -> QHBoxLayout:
        picture = Label()
        picture.setPixmap(app_icon().pixmap(BIG_ICON, BIG_ICON))
        name = title_label(self.tr("CellSeg1 Studio"), 2)
        version = sentence(self.tr("Version {version}").format(version=__version__), quiet=True, selectable=True)
        words = QVBoxLayout()
        words.setSpacing(TIGHT)
        words.addWidget(name)
        words.addWidget(version)
        row = QHBoxLayout()
        row.setSpacing(MARGIN)
        row.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        return row

    def _about(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, MARGIN, 0, 0)
        column.setSpacing(GAP)
        for text in (
            self.tr("Finds the cells in your images after you have outlined a few dozen of them in one image."),
            self.tr("Everything is computed on this computer; no image and no mask leaves it."),
        ):
            column.addWidget(sentence(text))
        column.addSpacing(GAP)
        column.addWidget(title_label(self.tr("If you publish results, please cite the method")))
        column.addWidget(
            sentence(
                self.tr("CellSeg1: Robust Cell Segmentation with One Training Image. arXiv 2412.01410."),
                selectable=True,
            )
        )
        column.addWidget(sentence(self.tr("Segment Anything. arXiv 2304.02643."), selectable=True))
        column.addSpacing(GAP)
        column.addWidget(
            sentence(
                self.tr("Free software under the Apache License 2.0. Qt is used under the LGPL, version 3."), quiet=True
            )
        )
        column.addStretch(1)
        return scrolling(page, self.tr("About"))

    def _text(self, text: str, name: str) -> QPlainTextEdit:
        edit = QPlainTextEdit(text)
        edit.setReadOnly(True)
        edit.setFrameShape(QFrame.Shape.NoFrame)
        edit.setAccessibleName(name)
        edit.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        return edit

    def _package_page(self) -> QWidget:
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels([self.tr("Package"), self.tr("Version"), self.tr("Licence")])
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName(self.tr("Packages and their licences"))
        header = self.table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.licence_text = self._text("", self.tr("Text of the licence"))
        self.table.currentCellChanged.connect(self._show_text)
        page = QSplitter(Qt.Orientation.Vertical)
        page.addWidget(self.table)
        page.addWidget(self.licence_text)
        page.setChildrenCollapsible(False)
        page.setSizes([300, 200])
        return page

    def _fill_packages(self, page: int) -> None:
        # Reading the descriptions of some sixty packages is only worth it when someone looks.
        if page != 2 or self._packages:
            return
        self._packages = packages()
        self.table.setRowCount(len(self._packages))
        for row, package in enumerate(self._packages):
            for column, text in enumerate((package.name, package.version, package.licence)):
                item = QTableWidgetItem(text)
                item.setToolTip(plain_tip(text))
                self.table.setItem(row, column, item)
        if self._packages:
            self.table.setCurrentCell(0, 0)

    def _show_text(self, row: int, _column: int, before: int, _before_column: int) -> None:
        if row == before or not 0 <= row < len(self._packages):
            return
        text = self._packages[row].text()
        self.licence_text.setPlainText(text or self.tr("This package brings no text of its licence."))
