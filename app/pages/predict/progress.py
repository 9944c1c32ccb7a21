"""A prediction while it runs, and the images that it could not predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QProgressBar, QVBoxLayout, QWidget

from cellseg1.errors import CellSeg1Error

from ...session.planes import Plane, plane_title
from ...theme import GAP, TIGHT, heading
from ...translation import counted
from ...translation.library_words import shown
from ...translation.time_left import time_left
from ...widgets.errors import show_error
from ...widgets.plain import Label, plain_tip

if TYPE_CHECKING:
    from PySide6.QtCore import QMetaObject

    from ...engine.jobs import JobHandle
    from ...engine.messages import ItemDone, Progress
    from ...session.session import Session

_PLANE = Qt.ItemDataRole.UserRole
#: Failures visible without scrolling.
_MOST_FAILURES = 4


class PredictionProgress(QWidget):
    """Progress of the prediction of the shown project; hidden without one.

    Signals
    -------
    item_done
        An `ItemDone` of the followed job.
    state_changed
        The followed job is in another state.
    """

    item_done = Signal(object)
    state_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.job: JobHandle | None = None
        self._heard: list[QMetaObject.Connection] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(TIGHT)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(self.tr("Progress of the prediction"))
        self.line = Label()
        self.line.setWordWrap(True)
        self.line.setProperty("secondary", True)
        layout.addWidget(self.bar)
        layout.addWidget(self.line)
        self.hide()

    def follow(self, job: JobHandle) -> None:
        """Show a job from now on."""
        self.let_go()
        self.job = job
        self.bar.setValue(0)
        self.line.setText(self.tr("Starting..."))
        self.show()
        self._heard = [
            job.progress.connect(self._progressed),
            job.item_done.connect(self.item_done),
            job.state_changed.connect(lambda _state: self.state_changed.emit()),
        ]
        if job.last_progress is not None:
            self._progressed(job.last_progress)

    def let_go(self) -> None:
        """Stop following the job."""
        for connection in self._heard:
            QObject.disconnect(connection)
        self._heard, self.job = [], None
        self.hide()

    def show_looking(self, number: int, count: int) -> None:
        """Show that image `number` (from 0) of `count` is read before the job can start."""
        self.bar.setValue(round(1000 * number / count))
        text = self.tr("Looking at image {n} of {all}")
        self.line.setText(text.format(n=min(number + 1, count), all=count))
        self.show()

    def _progressed(self, progress: Progress) -> None:
        self.bar.setValue(round(1000 * float(progress.share or 0)))
        parts = [shown(progress.text), time_left(progress.seconds_left)]
        self.line.setText("\n".join(part for part in parts if part))


class Failures(QWidget):
    """The planes that were not predicted, each with the reason; hidden when empty."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.title = Label(self.tr("Not predicted"))
        self.title.setFont(heading(self.font(), 0))
        self.title.setWordWrap(True)
        self.title.setContentsMargins(0, GAP, 0, 0)
        self.list = QListWidget()
        self.list.setWordWrap(True)
        self.list.setAccessibleName(self.tr("Images that could not be predicted, with reasons"))
        self.list.setToolTip(self.tr("Return or a double click shows the image"))
        self.list.itemActivated.connect(self._open)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self.title)
        layout.addWidget(self.list)
        self.hide()

    def clear(self) -> None:
        """Forget all."""
        self.list.clear()
        self.hide()

    def add(self, item: ItemDone) -> None:
        """List a failed item; images removed in the meantime are ignored."""
        project = self._session.project
        if not item.error or project is None or all(one.id != item.image_id for one in project.images):
            return
        plane = (item.image_id, item.z, item.t)
        row = QListWidgetItem(self._sentence(plane, item.error))
        row.setData(_PLANE, plane)
        row.setToolTip(plain_tip(row.text()))
        self.list.addItem(row)
        self._fit()

    def _sentence(self, plane: Plane, error: str) -> str:
        """Return the sentence about a failed image, without the path of its file."""
        project = self._session.require_project()
        name, told = plane_title(project, plane), shown(error)
        for path in project.images.places_of(project.images.get(plane[0])):
            told = told.replace(str(path), name)
        return told if told.startswith(name) else f"{name}: {told}"

    def _fit(self) -> None:
        number = self.list.count()
        self.show()
        self.title.setText(self.tr("Not predicted: {images}").format(images=counted.images(number)))
        self.list.doItemsLayout()
        last = self.list.item(min(number, _MOST_FAILURES) - 1)
        # Positions of the rows instead of size hints, since a theme adds margins around them.
        top = self.list.visualItemRect(self.list.item(0)).top()
        rows = self.list.visualItemRect(last).bottom() + 1 - top
        around = self.list.height() - self.list.viewport().height()
        self.list.setFixedHeight(rows + max(around, 2 * self.list.frameWidth()) + 2 * TIGHT)

    def _open(self, row: QListWidgetItem) -> None:
        try:
            self._session.show_image(*row.data(_PLANE))
        except CellSeg1Error as error:
            show_error(self, str(error))
