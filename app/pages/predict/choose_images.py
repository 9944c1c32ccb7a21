"""Choosing some of a project's images from a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QListWidget, QListWidgetItem, QPushButton, QWidget

from ...widgets.dialog import Dialog, Role
from ...widgets.plain import Label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...project.project import Project

_ID = Qt.ItemDataRole.UserRole


class ChooseImagesDialog(Dialog):
    """A list with a check box for each image; `chosen` has the ids in the order of the project."""

    def __init__(self, project: Project, chosen: Iterable[str] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent, self.tr("Choose images"), columns=48, rows=24)
        wanted = set(chosen)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(self.tr("Show names with..."))
        self.filter.setAccessibleName(self.tr("Show names with"))
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(self._filter)
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Images"))
        self.list.setToolTip(self.tr("Space checks or unchecks an image"))
        self.list.setUniformItemSizes(True)
        for entry in project.images:
            item = QListWidgetItem(entry.name)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if entry.id in wanted else Qt.CheckState.Unchecked)
            item.setData(_ID, entry.id)
            self.list.addItem(item)
        self.list.itemChanged.connect(lambda _item: self._count())
        row = QHBoxLayout()
        for text, state in ((self.tr("All"), Qt.CheckState.Checked), (self.tr("None"), Qt.CheckState.Unchecked)):
            button = QPushButton(text)
            button.setProperty("quiet", True)
            button.setAutoDefault(False)
            button.setAccessibleName(self.tr("Check {what}").format(what=text.lower()))
            button.setToolTip(self.tr("Of the images that are listed"))
            button.clicked.connect(lambda _on=False, state=state: self._set_all(state))
            row.addWidget(button)
        row.addStretch(1)
        self.number = Label()
        self.number.setProperty("secondary", True)
        row.addWidget(self.number)
        self.body.addWidget(self.filter)
        self.body.addWidget(self.list, 1)
        self.body.addLayout(row)
        self.add_button(self.tr("Cancel"), Role.RejectRole)
        self.ok = self.add_button(self.tr("Choose"), Role.AcceptRole, primary=True)
        self._count()

    def chosen(self) -> list[str]:
        """Return the ids of the checked images."""
        items = [self.list.item(row) for row in range(self.list.count())]
        return [item.data(_ID) for item in items if item.checkState() == Qt.CheckState.Checked]

    def _filter(self, text: str) -> None:
        wanted = text.casefold().strip()
        for row in range(self.list.count()):
            item = self.list.item(row)
            item.setHidden(wanted not in item.text().casefold())

    def _set_all(self, state: Qt.CheckState) -> None:
        self.list.blockSignals(True)
        for row in range(self.list.count()):
            item = self.list.item(row)
            if not item.isHidden():
                item.setCheckState(state)
        self.list.blockSignals(False)
        self.list.viewport().update()
        self._count()

    def _count(self) -> None:
        number = len(self.chosen())
        self.number.setText(self.tr("%n chosen", "", number))
        self.ok.setEnabled(number > 0)
