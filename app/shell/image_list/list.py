"""The list of a project's images at the left of the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QStackedLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ...theme import heading, icon, tabular
from ...widgets.empty_state import EmptyState
from ...widgets.file_drop import FileDrop
from ...widgets.plain import Label
from .rows import ALL, PROBLEM, STATES, UNCHECKED, ImageModel, ImageRow, RowDelegate, state_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PySide6.QtGui import QImage

__all__ = ["ImageList", "ImageRow"]

#: Rows beyond the visible ones whose thumbnails are asked for, so that slow scrolling shows no holes.
_AHEAD = 4


class _View(QListView):
    """A list that leaves letters to the tools: after a click on an image, B is still the brush."""

    resized = Signal()
    remove_wanted = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        plain = event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier)
        if plain and event.text().strip() and event.text().isprintable():
            event.ignore()
        elif plain and event.key() == Qt.Key.Key_Delete:
            self.remove_wanted.emit()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self.resized.emit()


class ImageList(QWidget):
    """Images with thumbnail, cell count and state; filter, menu, drop.

    It knows no project: it is fed with `ImageRow`s and tells by signals what the user wants.  ``chosen(id)`` is sent
    when the user goes to an image, never when the program does (`set_current`).
    """

    chosen = Signal(str)
    thumbnail_wanted = Signal(str)
    files_dropped = Signal(list)
    add_images_wanted = Signal()
    add_folder_wanted = Signal()
    next_wanted = Signal()
    remove_wanted = Signal(list)
    relink_wanted = Signal(list)
    reveal_wanted = Signal(str)
    training_wanted = Signal(list, bool)
    checked_wanted = Signal(list, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Images"))
        self.model = ImageModel(self)
        self._read_only = False
        self._quiet = False
        self._look = QTimer(self, interval=20, singleShot=True)
        self._look.timeout.connect(self._ask_for_thumbnails)
        self._count_soon = QTimer(self, interval=0, singleShot=True)
        self._count_soon.timeout.connect(self._show_counts)

        self._drop = FileDrop(self)
        self._drop.dropped.connect(self.files_dropped)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(8)
        layout.addLayout(self._header())
        layout.addLayout(self._filters())
        self._pages = QStackedLayout()
        # First the layout gets its place: it shows its first page at once, which would be a window of its own.
        layout.addLayout(self._pages, 1)
        self._pages.addWidget(self._list())
        self._pages.addWidget(self._empty())
        self._pages.addWidget(self._no_match())
        layout.addWidget(self._next_button())
        self._follow_model()
        self._show_counts()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the usual width."""
        return QSize(self.fontMetrics().averageCharWidth() * 32, 560)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the width at which names and states can still be read."""
        return QSize(self.fontMetrics().averageCharWidth() * 27, super().minimumSizeHint().height())

    # ---- parts

    def _header(self) -> QHBoxLayout:
        title = Label(self.tr("Images"))
        title.setFont(heading(title.font(), 0))
        self._count = Label()
        self._count.setProperty("secondary", True)
        self._count.setFont(tabular(self._count.font()))
        self._add = QToolButton()
        self._add.setIcon(icon("add"))
        self._add.setAutoRaise(True)
        self._add.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._add.setAccessibleName(self.tr("Add images"))
        self._add.setToolTip(self.tr("Add images (Ctrl+I) or a folder (Ctrl+Shift+I)"))
        menu = QMenu(self._add)
        # A signal is no function: `addAction` would call it, only `connect` knows what to do with one.
        menu.addAction(icon("image"), self.tr("Add images...")).triggered.connect(self.add_images_wanted)
        menu.addAction(icon("folder"), self.tr("Add a folder...")).triggered.connect(self.add_folder_wanted)
        menu.addSeparator()
        self._relink_all = menu.addAction(icon("link"), self.tr("Find missing images..."))
        self._relink_all.triggered.connect(lambda: self.relink_wanted.emit(self._with_problem()))
        self._add.setMenu(menu)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(title)
        row.addWidget(self._count, 1)
        row.addWidget(self._add)
        return row

    def _filters(self) -> QHBoxLayout:
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Find"))
        self.search.setClearButtonEnabled(True)
        self.search.setAcceptDrops(False)
        self.search.setAccessibleName(self.tr("Filter the images by name"))
        self.search.setToolTip(self.tr("Show only images whose name contains this (Ctrl+F)"))
        self.search.textChanged.connect(self._filter)
        self.search.returnPressed.connect(self._to_list)
        self.state_filter = QComboBox()
        self.state_filter.setAccessibleName(self.tr("Filter the images by state"))
        self.state_filter.setToolTip(self.tr("Show only images in this state"))
        self.state_filter.addItem(self.tr("All"), ALL)
        self.state_filter.addItem(self.tr("Not checked"), UNCHECKED)
        for state in STATES:
            word = state_word(state)
            self.state_filter.addItem(word[:1].upper() + word[1:], state)
        self.state_filter.addItem(self.tr("With a problem"), PROBLEM)
        self.state_filter.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.state_filter.setMinimumContentsLength(6)
        self.state_filter.view().setMinimumWidth(self.state_filter.view().sizeHintForColumn(0) + 32)
        self.state_filter.currentIndexChanged.connect(self._filter)
        shortcut = QShortcut(QKeySequence.StandardKey.Find, self)
        shortcut.activated.connect(self._to_search)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.search, 3)
        row.addWidget(self.state_filter, 2)
        return row

    def _list(self) -> QListView:
        view = _View()
        view.setModel(self.model)
        view.setItemDelegate(RowDelegate(view))
        view.setUniformItemSizes(True)
        view.setFrameShape(QFrame.Shape.NoFrame)
        view.setMouseTracking(True)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.setAccessibleName(self.tr("Images of the project"))
        view.setProperty("plain", True)
        view.customContextMenuRequested.connect(self._open_menu)
        view.activated.connect(self._activated)
        view.resized.connect(self._look.start)
        view.verticalScrollBar().valueChanged.connect(lambda _value: self._look.start())
        view.selectionModel().currentChanged.connect(self._current_changed)
        view.remove_wanted.connect(self._remove)
        self.view = view
        return view

    def _empty(self) -> QWidget:
        empty = EmptyState("image", self.tr("Drop images or a folder here."), self.tr("Add images..."))
        empty.clicked.connect(self.add_images_wanted)
        return empty

    def _no_match(self) -> QWidget:
        empty = EmptyState("search", self.tr("No image passes the filter."), self.tr("Show all"))
        empty.clicked.connect(self.clear_filter)
        return empty

    def _next_button(self) -> QPushButton:
        self.next_button = QPushButton(self.tr("Next unchecked") + "\u2002")
        self.next_button.setIcon(icon("next"))
        self.next_button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self.next_button.setToolTip(self.tr("Go to the next image that is not checked (N)"))
        self.next_button.setAccessibleName(self.tr("Next image that is not checked"))
        self.next_button.clicked.connect(self.next_wanted)
        return self.next_button

    def _follow_model(self) -> None:
        for signal in (self.model.modelReset, self.model.rowsInserted, self.model.rowsRemoved, self.model.dataChanged):
            signal.connect(self._changed)

    # ---- what the program sets

    def set_rows(self, rows: Iterable[ImageRow]) -> None:
        """Show these images; the current one and the selection stay where they can."""
        with _Silence(self):
            chosen, current = self.selected(), self.current()
            self.model.set_rows(rows)
            self._restore(chosen, current)
        self._show_counts()

    def update_row(self, row: ImageRow) -> None:
        """Replace one image's row."""
        with _Silence(self):
            self.model.update_row(row)
        # Many rows may change at once; their counts are made once, when the last has come.
        self._count_soon.start()

    def set_thumbnail(self, image_id: str, image: QImage) -> None:
        """Deliver a thumbnail that was asked for with `thumbnail_wanted`."""
        self.model.set_thumbnail(image_id, image)

    def renew_thumbnail(self, image_id: str) -> None:
        """Ask for an image's thumbnail again as soon as it is visible."""
        self.model.renew_thumbnail(image_id)

    def set_current(self, image_id: str | None) -> None:
        """Mark the shown image and bring it into view; sends no signal."""
        with _Silence(self):
            if image_id is None:
                self.view.selectionModel().clear()
                return
            self.model.keep(image_id)
            index = self.model.index_of(image_id)
            if index.isValid():
                flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
                self.view.selectionModel().setCurrentIndex(index, flag)
                self.view.scrollTo(index)
            else:
                self.view.selectionModel().clear()

    def set_read_only(self, read_only: bool) -> None:
        """Switch off what would change the project."""
        self._read_only = read_only
        self._drop.enabled = not read_only
        self._add.setEnabled(not read_only)

    def clear_filter(self) -> None:
        """Show all images again."""
        self.search.clear()
        self.state_filter.setCurrentIndex(0)

    # ---- what the program asks

    def current(self) -> str | None:
        """Return the id of the current image."""
        row = self.view.currentIndex().row()
        return self.model.shown[row] if 0 <= row < self.model.rowCount() else None

    def selected(self) -> list[str]:
        """Return the ids of the selected images, in the list's order."""
        shown = self.model.shown
        return [shown[row] for row in sorted(index.row() for index in self.view.selectionModel().selectedIndexes())]

    # ---- inside

    def _current_changed(self, new: QModelIndex, _old: QModelIndex) -> None:
        if self._quiet or not new.isValid():
            return
        image_id = self.model.shown[new.row()]
        # Taking a row out of the list while the view is still moving to another would confuse it.
        QTimer.singleShot(0, self, lambda: self._keep(image_id))
        self.chosen.emit(image_id)

    def _keep(self, image_id: str) -> None:
        with _Silence(self):
            self.model.keep(image_id)

    def _activated(self, index: QModelIndex) -> None:
        self.chosen.emit(self.model.shown[index.row()])

    def _filter(self) -> None:
        with _Silence(self):
            chosen, current = self.selected(), self.current()
            self.model.set_filter(self.search.text(), self.state_filter.currentData(), current)
            self._restore(chosen, current)
        self._show_counts()

    def _restore(self, chosen: list[str], current: str | None) -> None:
        selection = QItemSelection()
        for image_id in chosen:
            index = self.model.index_of(image_id)
            if index.isValid():
                selection.select(index, index)
        model = self.view.selectionModel()
        index = self.model.index_of(current) if current is not None else QModelIndex()
        if index.isValid():
            model.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
            self.view.scrollTo(index)
        model.select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    def _changed(self) -> None:
        self._look.start()

    def _show_counts(self) -> None:
        total, shown = self.model.total, self.model.rowCount()
        locale = self.locale()
        if shown == total:
            self._count.setText(locale.toString(total) if total else "")
        else:
            self._count.setText(
                self.tr("{shown} of {total}").format(shown=locale.toString(shown), total=locale.toString(total))
            )
        self._pages.setCurrentIndex(0 if shown else 2 if total else 1)
        for widget in (self.search, self.state_filter, self.next_button):
            widget.setVisible(total > 0)
        self.next_button.setEnabled(any(row.state != "checked" for row in self.model.rows))
        self._relink_all.setEnabled(bool(self._with_problem()))

    def _with_problem(self) -> list[str]:
        return [row.id for row in self.model.rows if row.problem]

    def _ask_for_thumbnails(self) -> None:
        count = self.model.rowCount()
        if not count or not self.view.isVisible():
            return
        height = max(1, self.view.sizeHintForRow(0))
        top = self.view.verticalScrollBar().value() // height
        bottom = top + self.view.viewport().height() // height + 1
        for image_id in self.model.wanted(range(max(0, top - _AHEAD), min(count, bottom + _AHEAD))):
            self.thumbnail_wanted.emit(image_id)

    def _to_search(self) -> None:
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def _to_list(self) -> None:
        self.view.setFocus(Qt.FocusReason.ShortcutFocusReason)
        if not self.view.currentIndex().isValid() and self.model.rowCount():
            self.view.setCurrentIndex(self.model.index(0))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Esc empties the filter and Down leaves it for the list."""
        if self.search.hasFocus() and event.key() == Qt.Key.Key_Escape:
            self.clear_filter()
            self._to_list()
        elif self.search.hasFocus() and event.key() == Qt.Key.Key_Down:
            self._to_list()
        else:
            super().keyPressEvent(event)

    # ---- menu

    def _remove(self) -> None:
        if not self._read_only and (ids := self.selected()):
            self.remove_wanted.emit(ids)

    def _open_menu(self, where: QPoint) -> None:
        index = self.view.indexAt(where)
        if not index.isValid():
            # The menu key asks at the middle of the view; the menu belongs to the current image.
            index = self.view.currentIndex()
            where = self.view.visualRect(index).center()
        if index.isValid():
            menu = self.menu()
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(self.view.viewport().mapToGlobal(where))

    def menu(self) -> QMenu:
        """Return the menu for the selected images."""
        ids = self.selected()
        rows = [row for image_id in ids if (row := self.model.row_of(image_id)) is not None]
        trained = bool(rows) and all(row.state == "training" for row in rows)
        checked = bool(rows) and all(row.state == "checked" for row in rows)
        menu = QMenu(self)
        training = menu.addAction(
            icon("train"), self.tr("Do not use for training") if trained else self.tr("Use for training")
        )
        training.triggered.connect(lambda: self.training_wanted.emit(ids, not trained))
        mark = menu.addAction(icon("check"), self.tr("Mark as not checked") if checked else self.tr("Mark as checked"))
        mark.triggered.connect(lambda: self.checked_wanted.emit(ids, not checked))
        menu.addSeparator()
        reveal = menu.addAction(icon("folder"), self.tr("Show in folder"))
        reveal.triggered.connect(lambda: self.reveal_wanted.emit(ids[0]))
        reveal.setEnabled(len(ids) == 1)
        relink = menu.addAction(icon("link"), self.tr("Find the file..."))
        relink.triggered.connect(lambda: self.relink_wanted.emit(ids))
        menu.addSeparator()
        remove = menu.addAction(icon("trash"), self.tr("Remove from the project"))
        remove.setShortcut(QKeySequence(Qt.Key.Key_Delete))
        remove.triggered.connect(self._remove)
        changing: list[QAction] = [training, mark, relink, remove]
        for action in changing:
            action.setEnabled(bool(ids) and not self._read_only)
        return menu


class _Silence:
    """While it is entered, changes of the current row are the program's, not the user's."""

    def __init__(self, owner: ImageList) -> None:
        self._owner = owner

    def __enter__(self) -> None:
        self._before, self._owner._quiet = self._owner._quiet, True

    def __exit__(self, *_error: object) -> None:
        self._owner._quiet = self._before
