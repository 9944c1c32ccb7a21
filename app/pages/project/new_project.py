"""Making a project: name, place, and its first images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QRadioButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ...theme import GAP, MARGIN, TIGHT, icon
from ...widgets.dialog import Dialog, Role, sentence, title_label
from ...widgets.file_drop import FileDrop
from ...widgets.path_field import FolderField
from ...widgets.plain import Label, plain_tip

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Ends the name of every project folder.
SUFFIX = ".cs1project"
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
#: Names that Windows keeps for devices; a project must be movable to it.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class NewProject:
    """What the user chose.

    Attributes
    ----------
    name, parent
        The project's name and the folder in which its own folder is made.
    images
        Image files and folders to begin with, perhaps none.
    masks
        Folder of masks that belong to them, or None.
    copy
        Whether images are copied into the project or linked.
    """

    name: str
    parent: Path
    images: tuple[Path, ...]
    masks: Path | None
    copy: bool


class NewProjectDialog(Dialog):
    """Name, place, images (chosen or dropped), copy or link, masks.

    Parameters
    ----------
    place
        The usual place of projects.
    images
        What was dropped on the start page.
    """

    def __init__(self, place: Path, images: Sequence[Path] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent, self.tr("New project"), columns=76, scroll=True)
        self._touched = False
        self._images: list[Path] = []
        self.body.addLayout(self._where(place))
        self.body.addSpacing(GAP)
        self.body.addLayout(self._what(), 1)
        self.body.addSpacing(GAP)
        self.body.addLayout(self._how())
        self.body.addSpacing(GAP)
        self.body.addLayout(self._masks())
        self._problem = sentence()
        self._problem.setProperty("wrong", True)
        # Its line is always there, so that the dialog does not grow when something is wrong.
        self._problem.setText(" ")
        self.foot.addWidget(self._problem)
        self.create_button = self.add_button(self.tr("Create project"), Role.AcceptRole, primary=True)
        self.create_button.setToolTip(self.tr("Make the project and open it (Ctrl+Return)"))
        self.add_button(self.tr("Cancel"), Role.RejectRole)
        FileDrop(self).dropped.connect(self.add_images)
        self.name.setText(self._free_name(self.tr("My cells")))
        self.add_images(list(images))
        self._check()
        self.name.setFocus()
        self.name.selectAll()

    # ---- parts

    def _where(self, place: Path) -> QGridLayout:
        self.name = QLineEdit()
        self.name.setAccessibleName(self.tr("Name of the project"))
        self.name.setMaxLength(_LONGEST)
        self.place = FolderField(self.tr("Place"))
        self.place.set_path(place)
        grid = QGridLayout()
        grid.setHorizontalSpacing(MARGIN)
        grid.setVerticalSpacing(GAP)
        grid.setColumnStretch(1, 1)
        for row, (text, widget) in enumerate(((self.tr("&Name"), self.name), (self.tr("&Place"), self.place))):
            label = Label(text)
            label.setBuddy(widget)
            grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, 1)
        self.folder_label = sentence("", quiet=True)
        grid.addWidget(self.folder_label, 2, 1)
        self.name.textChanged.connect(self._check)
        self.name.textEdited.connect(self._name_typed)
        self.place.changed.connect(self._check)
        return grid

    def _what(self) -> QVBoxLayout:
        self.list = QListWidget()
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName(self.tr("Images and folders to begin with"))
        self.list.setMinimumHeight(self.fontMetrics().lineSpacing() * 6)
        delete = QShortcut(QKeySequence(Qt.Key.Key_Delete), self.list, context=Qt.ShortcutContext.WidgetShortcut)
        delete.activated.connect(self._remove)
        empty = Label(self.tr("Drop images or a folder here. You can also add them later."))
        empty.setWordWrap(True)
        empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        empty.setProperty("secondary", True)
        empty.setMargin(MARGIN)
        holder = QFrame()
        holder.setProperty("card", True)
        inside = QVBoxLayout(holder)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(empty)
        self._stack = QStackedWidget()
        self._stack.addWidget(holder)
        self._stack.addWidget(self.list)

        self.add_files_button = QPushButton(self.tr("Add images..."))
        self.add_files_button.setIcon(icon("image"))
        self.add_files_button.clicked.connect(self._choose_files)
        self.add_folder_button = QPushButton(self.tr("Add a folder..."))
        self.add_folder_button.setIcon(icon("folder"))
        self.add_folder_button.clicked.connect(self._choose_folder)
        self.remove_button = QPushButton(self.tr("Remove"))
        self.remove_button.setToolTip(self.tr("Take the marked ones off this list (Delete)"))
        self.remove_button.clicked.connect(self._remove)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        for button in (self.add_files_button, self.add_folder_button, self.remove_button):
            button.setAutoDefault(False)
            row.addWidget(button)
        row.addStretch(1)
        column = QVBoxLayout()
        column.setSpacing(GAP)
        column.addWidget(title_label(self.tr("Images")))
        column.addWidget(self._stack, 1)
        column.addLayout(row)
        return column

    def _how(self) -> QVBoxLayout:
        self.copy_button = QRadioButton(self.tr("Copy the images into the project"))
        self.link_button = QRadioButton(self.tr("Link the images where they are"))
        self.copy_button.setChecked(True)
        self._group = QButtonGroup(self)
        column = QVBoxLayout()
        column.setSpacing(TIGHT)
        for button, text in (
            (
                self.copy_button,
                self.tr("The project holds everything and can be moved. The originals stay."),
            ),
            (self.link_button, self.tr("Needs no room on the disk. The originals must stay in their folder.")),
        ):
            self._group.addButton(button)
            button.setAccessibleDescription(text)
            note = sentence(text, quiet=True)
            note.setIndent(28)
            column.addWidget(button)
            column.addWidget(note)
        return column

    def _masks(self) -> QGridLayout:
        self.masks = FolderField(self.tr("Folder of masks"), placeholder=self.tr("None"))
        self.masks.setToolTip(self.tr("Masks are paired with the images by their names"))
        label = Label(self.tr("&Masks (optional)"))
        label.setBuddy(self.masks)
        grid = QGridLayout()
        grid.setHorizontalSpacing(MARGIN)
        grid.setVerticalSpacing(TIGHT)
        grid.setColumnStretch(1, 1)
        grid.addWidget(label, 0, 0)
        grid.addWidget(self.masks, 0, 1)
        grid.addWidget(sentence(self.tr("A folder of masks made elsewhere; paired by file name."), quiet=True), 1, 1)
        self.masks.changed.connect(self._check)
        return grid

    # ---- images

    def add_images(self, paths: Sequence[Path]) -> None:
        """Add files and folders to begin with; the name follows the first folder until the user types one."""
        for path in paths:
            if path in self._images:
                continue
            self._images.append(path)
            folder = path.is_dir()
            item = QListWidgetItem(icon("folder" if folder else "image"), str(path))
            item.setToolTip(plain_tip(str(path)))
            self.list.addItem(item)
        if paths and not self._touched:
            first = paths[0]
            name = _FORBIDDEN.sub(" ", first.name if first.is_dir() else first.parent.name).strip(" .")
            if name:
                self.name.setText(self._free_name(name[:_LONGEST]))
        if self.isVisible():
            # The list needs more room than the place to drop something had.
            QTimer.singleShot(0, self, lambda: self.resize(self.size().expandedTo(self.sizeHint())))
        self._images_changed()

    def _images_changed(self) -> None:
        self._stack.setCurrentIndex(1 if self._images else 0)
        self.remove_button.setEnabled(bool(self._images))
        self._check()

    def _remove(self) -> None:
        marked = self.list.selectedIndexes() or [self.list.model().index(self.list.count() - 1, 0)]
        for row in sorted((index.row() for index in marked), reverse=True):
            if 0 <= row < len(self._images):
                del self._images[row]
                self.list.takeItem(row)
        self._images_changed()

    def _choose_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, self.tr("Add images"))
        self.add_images([Path(name) for name in names])

    def _choose_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, self.tr("Add a folder of images"))
        if name:
            self.add_images([Path(name)])

    # ---- checking

    def _name_typed(self) -> None:
        self._touched = True

    def _free_name(self, name: str) -> str:
        place = self.place.path()
        number, free = 1, name
        while place is not None and (place / (free + SUFFIX)).exists():
            number += 1
            free = f"{name} {number}"
        return free

    def problem(self) -> str:
        """Return why the project cannot be made like this, empty when it can."""
        name, place, masks = self.name.text().strip(), self.place.path(), self.masks.path()
        bad = _FORBIDDEN.search(name)
        if not name:
            return self.tr("Give the project a name.")
        if bad:
            return self.tr("The name cannot contain {sign}.").format(sign=bad.group())
        if name.endswith(".") or name.startswith(".") or _DEVICES.match(name):
            return self.tr("The name cannot begin or end with a dot, nor be a name that Windows keeps for itself.")
        if place is None:
            return self.tr("Choose the folder in which the project is made.")
        if not place.is_absolute():
            return self.tr("Give the place as a whole path.")
        if (place / (name + SUFFIX)).exists():
            return self.tr("There is a project of this name already; choose another name or place.")
        if masks is not None and not masks.is_dir():
            return self.tr("The folder of masks does not exist.")
        if masks is not None and not self._images:
            return self.tr("Add the images to which the masks belong, or leave the masks out.")
        return ""

    def _check(self) -> None:
        if not hasattr(self, "create_button"):
            return
        problem = self.problem()
        self._problem.setText(problem or " ")
        self.create_button.setEnabled(not problem)
        place = self.place.path()
        folder = "" if problem or place is None else str(place / (self.name.text().strip() + SUFFIX))
        self.folder_label.setText(self.tr("Makes the folder {folder}").format(folder=folder) if folder else " ")

    def result_values(self) -> NewProject:
        """Return what the user chose."""
        place = self.place.path()
        assert place is not None  # the button is off without one
        return NewProject(
            name=self.name.text().strip(),
            parent=place,
            images=tuple(self._images),
            masks=self.masks.path(),
            copy=self.copy_button.isChecked(),
        )
