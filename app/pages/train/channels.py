"""The choice of input channels for a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from cellseg1.text import composed

from ...theme import GAP, TIGHT, heading
from ...widgets.plain import Label

if TYPE_CHECKING:
    from ...project.project import ProjectImage
    from ...session.session import Session

#: Largest number of channels: red, green and blue.
MOST = 3
#: Rows visible without scrolling.
_ROWS = 5
_INDEX = Qt.ItemDataRole.UserRole


class ChannelChoice(QWidget):
    """A list of channels to tick; hidden for grey and colour pictures.  Nothing ticked: automatic."""

    changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._names: tuple[str, ...] = ()
        self._wish: tuple[str | int, ...] = ()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(TIGHT)
        title = Label(self.tr("Channels"))
        title.setFont(heading(self.font(), 0))
        title.setContentsMargins(0, GAP, 0, 0)
        layout.addWidget(title)
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Channels that the network sees"))
        self.list.setToolTip(self.tr("Tick up to three channels in which the cells are seen"))
        title.setBuddy(self.list)
        self.list.itemChanged.connect(lambda _item: self._ticked())
        layout.addWidget(self.list)
        self.line = Label()
        self.line.setWordWrap(True)
        self.line.setProperty("secondary", True)
        layout.addWidget(self.line)
        self.hide()

    @property
    def wish(self) -> tuple[str | int, ...]:
        """The ticked channels: names, or numbers (from 0) without a unique name."""
        return () if self.isHidden() else self._wish

    @property
    def kept(self) -> tuple[str | int, ...]:
        """The choice stored with the project, also while no image has several channels."""
        return self._wish

    def set_wish(self, wish: object) -> None:
        """Restore the choice stored with the project."""
        known = wish if isinstance(wish, (list, tuple)) else ()
        usable = [one for one in known if isinstance(one, (str, int)) and not isinstance(one, bool)]
        self._wish = tuple(composed(one) if isinstance(one, str) else one for one in usable[:MOST])
        self._fill()

    def refresh(self, image_ids: list[str]) -> None:
        """Show the channels of the first of these images that has several."""
        project = self._session.project
        entries = [] if project is None else [project.images.get(one) for one in image_ids]
        several = [one for one in entries if one.n_channels > 1 and "C" in (one.axes or "")]
        names = () if not several else channel_names(several[0])
        if names != self._names:
            self._names = names
            self._fill()

    def _fill(self) -> None:
        self.list.blockSignals(True)
        self.list.clear()
        for index, name in enumerate(self._names):
            item = QListWidgetItem(name or self.tr("Channel {n}").format(n=index + 1))
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable)
            item.setData(_INDEX, index)
            ticked = self._token(index) in self._wish
            item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
            self.list.addItem(item)
        self.list.blockSignals(False)
        height = self.list.sizeHintForRow(0) if self._names else 0
        self.list.setFixedHeight(height * min(_ROWS, max(1, len(self._names))) + 2 * self.list.frameWidth() + TIGHT)
        self._wish = tuple(self._token(index) for index in self._indices()) if self._names else self._wish
        self.setVisible(len(self._names) > 1)
        self._tell()

    def _token(self, index: int) -> str | int:
        """Return a channel's name, or its number where the name is empty, a number, or not its own."""
        name = self._names[index]
        own = name and not name.isdigit() and [one.casefold() for one in self._names].count(name.casefold()) == 1
        return name if own else index

    def _indices(self) -> list[int]:
        rows = (self.list.item(row) for row in range(self.list.count()))
        return [int(row.data(_INDEX)) for row in rows if row.checkState() == Qt.CheckState.Checked]

    def _ticked(self) -> None:
        self._wish = tuple(self._token(index) for index in self._indices())
        self._tell()
        self.changed.emit()

    def _tell(self) -> None:
        full = len(self._indices()) >= MOST
        self.list.blockSignals(True)
        for row in range(self.list.count()):
            item = self.list.item(row)
            free = not full or item.checkState() == Qt.CheckState.Checked
            flags = item.flags()
            item.setFlags(flags | Qt.ItemFlag.ItemIsEnabled if free else flags & ~Qt.ItemFlag.ItemIsEnabled)
        self.list.blockSignals(False)
        if self._indices():
            shown = ", ".join(self.list.item(index).text() for index in self._indices())
            self.line.setText(
                self.tr("The network sees {channels}, in training and in prediction.").format(channels=shown)
            )
        elif len(self._names) <= MOST:
            self.line.setText(self.tr("Tick those in which your cells are seen. Nothing ticked: the network sees all."))
        else:
            self.line.setText(
                self.tr("Tick those in which your cells are seen. Nothing ticked: the first three that are not empty.")
            )


def channel_names(entry: ProjectImage) -> tuple[str, ...]:
    """Return one name for each channel of an image of the project, empty where it has none."""
    names = [composed(str(one)).strip() for one in entry.channel_names or ()][: entry.n_channels]
    return tuple(names + [""] * (entry.n_channels - len(names)))
