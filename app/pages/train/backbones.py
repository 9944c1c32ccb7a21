"""Which network a training starts from: what is installed, and how to get the others, offline too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent, QTextOption
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from cellseg1.sam import store
from cellseg1.settings import DEFAULT_BACKBONE

from ...theme import GAP, TIGHT
from ...translation.library_words import shown
from ...widgets.banner import Banner
from ...widgets.fold import FoldSection
from ...widgets.plain import Label
from ...widgets.slider_field import WheelGuard
from ..shared.backbone_names import about, backbone_title
from .fetch import Fetch

if TYPE_CHECKING:
    from cellseg1.sam.store import BackboneStatus

    from ...session.session import Session

_GB = 1e9


class Backbones(QWidget):
    """Chooser of the backbone, and a fold with those that are not installed."""

    changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._guard = WheelGuard(self)
        self.statuses: list[BackboneStatus] = []
        self._wanted = DEFAULT_BACKBONE
        self._fixed = ""
        self.fetch = Fetch(session, self)
        self.fetch.progressed.connect(lambda share: self.progress.setValue(round(share * 1000)))
        self.fetch.ended.connect(self._fetched)

        self.box = QComboBox()
        self.box.setAccessibleName(self.tr("Network to start from"))
        self.box.setToolTip(self.tr("The network that learns your cells"))
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(16)
        self.box.activated.connect(self._choose)
        self._guard.guard(self.box)
        self.about = Label()
        self.about.setWordWrap(True)
        self.about.setProperty("secondary", True)
        self.problem = Banner()
        self.others = FoldSection(self.tr("Get another network"))
        self._cards: dict[str, BackboneCard] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self.box)
        layout.addWidget(self.about)
        layout.addWidget(self.problem)
        layout.addWidget(self._progress())
        layout.addWidget(self.others)
        self._again = QTimer(self, interval=0, singleShot=True)
        self._again.timeout.connect(self._ask)
        self._fill()

    def _progress(self) -> QWidget:
        self.progress_area = QWidget()
        row = QHBoxLayout(self.progress_area)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(self.tr("Getting the network"))
        cancel = QPushButton(self.tr("Cancel"))
        cancel.setAccessibleName(self.tr("Cancel getting the network"))
        cancel.setToolTip(self.tr("Stop; a download goes on later where it stopped"))
        cancel.clicked.connect(self.fetch.cancel)
        row.addWidget(self.progress, 1)
        row.addWidget(cancel)
        self.progress_area.hide()
        return self.progress_area

    # ---- showing

    def refresh(self) -> None:
        """Look in the background what is installed."""
        self._again.start()

    def _ask(self) -> None:
        self._session.run(store.list_backbones, self._listed, self.tr("Looking for backbones"))

    def _listed(self, statuses: list[BackboneStatus]) -> None:
        if statuses != self.statuses:
            self.statuses = list(statuses)
            self._fill()
            self.changed.emit()

    @property
    def chosen(self) -> str:
        """The backbone that a training would use."""
        return self._fixed or self._wanted

    @property
    def ready(self) -> bool:
        """Whether it is installed; true as long as nobody has looked."""
        known = {status.name: status.usable for status in self.statuses}
        return known.get(self.chosen, not known)

    def choose(self, name: str) -> None:
        """Choose a backbone; one that is not installed is chosen once it is."""
        self._wanted = name
        self._fill()
        self.changed.emit()

    def fix(self, name: str) -> None:
        """Only this backbone is possible (training goes on from a model of it); empty: free choice again."""
        if name != self._fixed:
            self._fixed = name
            self._fill()
            self.changed.emit()

    def _choose(self, index: int) -> None:
        self.choose(str(self.box.itemData(index)))

    def _fill(self) -> None:
        usable = [status.name for status in self.statuses if status.usable] or [DEFAULT_BACKBONE]
        if not self._fixed and self._wanted not in usable:
            self._wanted = usable[0]
        names = usable if self.chosen in usable else [*usable, self.chosen]
        self.box.clear()
        for name in names:
            self.box.addItem(backbone_title(name), name)
        self.box.setCurrentIndex(self.box.findData(self.chosen))
        self.box.setEnabled(not self._fixed)
        self._describe()
        self._fill_cards()

    def _describe(self) -> None:
        status = next((one for one in self.statuses if one.name == self.chosen), None)
        if status is None or status.usable:
            self.problem.clear()
            text = about(self.chosen)
            if self._fixed:
                text = self.tr("The model to train on from belongs to it.")
            self.about.setText(text)
            self.about.setVisible(bool(text))
            return
        self.about.hide()
        self.problem.show_message(status.problem, "warning", dismissable=False)
        self.others.set_open(True)

    def _fill_cards(self) -> None:
        missing = [status for status in self.statuses if not status.usable and status.spec is not None]
        for name in [name for name in self._cards if name not in {status.name for status in missing}]:
            card = self._cards.pop(name)
            card.hide()
            card.deleteLater()
        for status in missing:
            if status.name not in self._cards:
                card = BackboneCard(status)
                card.import_wanted.connect(self.ask_for_file)
                card.download_wanted.connect(self._download)
                self._cards[status.name] = card
                self.others.add(card)
            self._cards[status.name].show_status(status, busy=self.fetch.running)
        # Before anybody has looked it keeps its place, so that nothing moves when it turns out to be needed.
        self.others.setVisible(bool(missing) or not self.statuses)

    # ---- getting one

    def ask_for_file(self, name: str) -> None:
        """Let the user choose a file and import it."""
        spec = next((one.spec for one in self.statuses if one.name == name and one.spec is not None), None)
        file = "" if spec is None else spec.filename
        found, _ = QFileDialog.getOpenFileName(
            self.window(),
            self.tr("Import {file}").format(file=file),
            file,
            self.tr("Network files and packs (*.pth *.cs1pack);;All files (*)"),
        )
        if found:
            self.import_file(Path(found), name)

    def import_file(self, path: Path, name: str | None = None) -> None:
        """Copy a backbone file into the program's folder, with progress."""
        self._begin()
        self.fetch.import_file(path, name)
        self._fill_cards()

    def _download(self, name: str) -> None:
        self._begin()
        self.fetch.download(name)
        self._fill_cards()

    def _begin(self) -> None:
        self.progress.setValue(0)
        self.progress_area.show()
        self.problem.clear()

    def _fetched(self, name: str, sentence: str) -> None:
        self.progress_area.hide()
        self._fill_cards()
        if name:
            self._wanted = name
            self._session.note.emit(self.tr("{network} is installed.").format(network=backbone_title(name)))
        elif sentence:
            self._session.problem.emit(sentence, "")
        self._ask()


class BackboneCard(QFrame):
    """A backbone that is not installed: what its file is, and two ways to get it."""

    import_wanted = Signal(str)
    download_wanted = Signal(str)

    def __init__(self, status: BackboneStatus, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", True)
        assert status.spec is not None
        spec = status.spec
        description = Label(shown(spec.description))
        description.setWordWrap(True)
        self.state = Label()
        self.state.setWordWrap(True)
        self.state.setProperty("secondary", True)
        self.facts = Facts(
            "\n".join(
                (
                    self.tr("File: {file}").format(file=spec.filename),
                    self.tr("Size: {n} bytes").format(n=f"{spec.size_bytes:,}"),
                    self.tr("SHA-256: {hash}").format(hash=spec.sha256),
                    self.tr("From: {address}").format(address=spec.url or ""),
                )
            )
        )
        self.facts.setAccessibleName(self.tr("The file of {network}").format(network=backbone_title(spec.name)))
        self.importing = QPushButton(self.tr("Import the file..."))
        self.importing.setAccessibleName(self.tr("Import the file of {n}").format(n=backbone_title(spec.name)))
        self.importing.setToolTip(self.tr("Choose the file if you have it, for example on a USB stick"))
        self.importing.clicked.connect(lambda: self.import_wanted.emit(spec.name))
        size = f"{spec.size_bytes / _GB:.1f} GB"
        self.downloading = QPushButton(self.tr("Download ({size})").format(size=size))
        self.downloading.setAccessibleName(self.tr("Download {n}").format(n=backbone_title(spec.name)))
        self.downloading.setToolTip(self.tr("Load it from the internet; it can be interrupted and goes on later"))
        self.downloading.clicked.connect(lambda: self.download_wanted.emit(spec.name))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GAP, GAP, GAP, GAP)
        layout.setSpacing(TIGHT)
        for widget in (description, self.state, self.facts, self.importing, self.downloading):
            layout.addWidget(widget)

    def show_status(self, status: BackboneStatus, *, busy: bool) -> None:
        """Show whether there is a file that cannot be used, and whether a file is being fetched."""
        self.state.setText(status.problem if status.installed else "")
        self.state.setVisible(status.installed)
        self.importing.setEnabled(not busy)
        self.downloading.setEnabled(not busy)
        self.downloading.setVisible(status.spec is not None and status.spec.url is not None)


class Facts(QPlainTextEdit):
    """Lines to read and copy, as high as they need to be; long words such as hashes are broken."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setReadOnly(True)
        self.setProperty("plain", True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAnywhere)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabChangesFocus(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.document().setDocumentMargin(0)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Take the height that the text needs at this width."""
        super().resizeEvent(event)
        bottom = self.blockBoundingGeometry(self.document().lastBlock()).bottom()
        margins = self.contentsMargins()
        height = math.ceil(bottom) + margins.top() + margins.bottom() + TIGHT
        if height != self.height():
            self.setFixedHeight(height)
