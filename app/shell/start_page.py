"""What one sees first: three choices, and the projects one worked on lately."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from ..theme import BIG_ICON, GAP, MARGIN, WIDE, app_icon, heading
from ..widgets.banner import Banner
from ..widgets.file_drop import FileDrop
from ..widgets.plain import Label
from .start_cards import ChoiceCard, Columns, RecentCard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..project.recent import RecentProject

_PROJECT_SUFFIX = ".cs1project"
_ONE_FILE_SUFFIX = ".cs1zip"
_PROJECT_FILE = "project.json"
#: Width of the page's column in average characters of its font.
_WIDEST = 132


class StartPage(QWidget):
    """Try the sample, make a project, open one; the recent ones; drop of files.

    ``open_project(path)`` carries None when the user is to be asked, ``files_dropped(paths)`` images or folders of
    images, ``forget_project(path)`` a recent project to be taken off the list.
    """

    try_sample = Signal()
    new_project = Signal()
    open_project = Signal(object)
    import_project = Signal()
    files_dropped = Signal(list)
    forget_project = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Start"))
        FileDrop(self).dropped.connect(self._dropped)
        self._column = QWidget()
        self._column.setMaximumWidth(self.fontMetrics().averageCharWidth() * _WIDEST)
        column = QVBoxLayout(self._column)
        column.setContentsMargins(WIDE, WIDE, WIDE, WIDE)
        column.setSpacing(MARGIN)
        self.note = Banner()
        column.addWidget(self.note)
        column.addStretch(1)
        column.addLayout(self._head())
        column.addSpacing(GAP)
        column.addWidget(self._choices())
        column.addSpacing(GAP)
        column.addLayout(self._recent_head())
        self.recent = Columns(3)
        column.addWidget(self.recent)
        self._none = Label(self.tr("The projects you work on appear here."))
        self._none.setProperty("secondary", True)
        self._none.setWordWrap(True)
        column.addWidget(self._none)
        column.addStretch(2)

        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.addStretch(1)
        row.addWidget(self._column, 1000)
        row.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(holder)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll)
        self.set_recent([])
        self.setFocusProxy(self.sample_button)

    def _head(self) -> QHBoxLayout:
        sign = Label()
        sign.setPixmap(app_icon().pixmap(QSize(BIG_ICON, BIG_ICON), self.devicePixelRatioF()))
        title = Label(self.tr("CellSeg1 Studio"))
        title.setFont(heading(self.font(), 3))
        text = Label(self.tr("Outline a few dozen cells in one image, and find the cells in all the others."))
        text.setProperty("secondary", True)
        text.setWordWrap(True)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(title)
        words.addWidget(text)
        row = QHBoxLayout()
        row.setSpacing(MARGIN)
        row.addWidget(sign)
        row.addLayout(words, 1)
        return row

    def _choices(self) -> QWidget:
        self.sample_button = ChoiceCard(
            "play",
            self.tr("Try the sample"),
            self.tr("Four images of cell nuclei, ready to train on. Works at once and offline."),
            primary=True,
        )
        self.new_button = ChoiceCard(
            "new", self.tr("New project"), self.tr("For your own images. You can also drop them here."), "Ctrl+N"
        )
        self.open_button = ChoiceCard("open", self.tr("Open"), self.tr("A project on this computer."), "Ctrl+O")
        self.sample_button.clicked.connect(self.try_sample)
        self.new_button.clicked.connect(self.new_project)
        self.open_button.clicked.connect(lambda: self.open_project.emit(None))
        choices = Columns(3)
        choices.set_cards([self.sample_button, self.new_button, self.open_button])
        return choices

    def _recent_head(self) -> QHBoxLayout:
        title = Label(self.tr("Recent projects"))
        title.setFont(heading(self.font(), 0))
        self.import_button = QPushButton(self.tr("Import a project file..."))
        self.import_button.setProperty("quiet", True)
        self.import_button.setToolTip(self.tr("Unpack a project that was exported as one file"))
        self.import_button.setAccessibleName(self.tr("Import a project file"))
        self.import_button.clicked.connect(self.import_project)
        row = QHBoxLayout()
        row.addWidget(title)
        row.addStretch(1)
        row.addWidget(self.import_button)
        return row

    def set_recent(self, projects: Sequence[RecentProject]) -> None:
        """Show the projects one worked on, the last first; those whose folder is gone are marked."""
        cards = []
        for recent in projects:
            card = RecentCard(recent, missing=not recent.path.exists())
            card.forgotten.connect(lambda card=card: self._forget(card))
            if not card.missing:
                card.clicked.connect(lambda _on=False, path=card.path: self.open_project.emit(path))
            cards.append(card)
        self.recent.set_cards(cards)
        self.recent.setVisible(bool(cards))
        self._none.setVisible(not cards)

    def _forget(self, card: RecentCard) -> None:
        path = card.path
        # The card's own button is still in its click: it goes when control is back in the event loop.
        self.recent.drop(card)
        self.recent.setVisible(bool(self.recent.cards))
        self._none.setVisible(not self.recent.cards)
        self.forget_project.emit(path)

    def _dropped(self, paths: list[Path]) -> None:
        first = paths[0]
        if (
            first.name == _PROJECT_FILE
            or first.suffix.lower() in (_PROJECT_SUFFIX, _ONE_FILE_SUFFIX)
            or (first.is_dir() and (first / _PROJECT_FILE).is_file())
        ):
            self.open_project.emit(first)
        else:
            self.files_dropped.emit(paths)
