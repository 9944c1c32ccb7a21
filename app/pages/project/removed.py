"""What was removed from a project, and bringing it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QWidget

from cellseg1.errors import CellSeg1Error

from ...session.planes import when
from ...theme import icon
from ...translation import counted
from ...translation.library_words import shown
from ...widgets.dialog import Dialog, Role, sentence
from ...widgets.errors import show_error

if TYPE_CHECKING:
    from ...session.session import Session

_DATA = Qt.ItemDataRole.UserRole


class RemovedDialog(Dialog):
    """A list of removed images and models with a check box each."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent, self.tr("Removed images and models"), columns=64, rows=20)
        self._session = session
        self.hint = sentence(quiet=True)
        self.body.addWidget(self.hint)
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Removed images and models"))
        self.list.itemChanged.connect(lambda _item: self._show_buttons())
        self.body.addWidget(self.list, 1)
        self.restore_button = self.add_button(self.tr("Bring back"), Role.ActionRole, self.restore, primary=True)
        self.restore_button.setToolTip(self.tr("Put what is ticked into the project again, with its cells"))
        self.empty_button = self.add_button(self.tr("Empty"), Role.ActionRole, self.empty)
        self.empty_button.setToolTip(self.tr("Move all of it to the computer's trash"))
        self.add_button(self.tr("Close"), Role.RejectRole).setToolTip(self.tr("Close (Esc)"))
        self.refresh()

    def refresh(self) -> None:
        """Look what there is."""
        project = self._session.require_project()
        self.list.clear()
        for image in project.trash.removed():
            text = self.tr("{name}, {cells}, removed {when}").format(
                name=image.name, cells=counted.cells(image.cells), when=when(image.removed)
            )
            self._add(text, "image", image)
        for path in project.models.removed():
            self._add(self.tr("{name} (model)").format(name=path.stem), "model", path)
        count = self.list.count()
        self.list.setVisible(count > 0)
        self.hint.setText(
            self.tr("Tick what you want to have back; it returns as it was, with cells and their history.")
            if count
            else self.tr("Nothing was removed from this project.")
        )
        self._show_buttons()

    def _add(self, text: str, sign: str, data: object) -> None:
        item = QListWidgetItem(icon(sign, "secondary"), text)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(Qt.CheckState.Unchecked)
        item.setData(_DATA, data)
        self.list.addItem(item)

    def _items(self) -> list[QListWidgetItem]:
        return [self.list.item(row) for row in range(self.list.count())]

    def _show_buttons(self) -> None:
        writable = not self._session.require_project().read_only
        ticked = any(item.checkState() == Qt.CheckState.Checked for item in self._items())
        self.restore_button.setEnabled(writable and ticked)
        self.empty_button.setEnabled(writable and self.list.count() > 0)

    def restore(self) -> None:
        """Bring back what is ticked."""
        for item in self._items():
            if item.checkState() == Qt.CheckState.Checked:
                try:
                    self._session.restore(item.data(_DATA))
                except CellSeg1Error as error:
                    show_error(self, shown(str(error)))
        self.refresh()

    def empty(self) -> None:
        """Move everything to the computer's trash."""
        try:
            self._session.require_project().trash.empty()
        except CellSeg1Error as error:
            show_error(self, shown(str(error)))
        self.refresh()
