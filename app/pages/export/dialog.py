"""Saving the cells of all images as label images, into a folder or a ZIP file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFileDialog,
    QListWidget,
    QProgressBar,
    QRadioButton,
    QWidget,
)

from cellseg1.masks import WRITERS

from ...session.batch import Batch
from ...session.planes import (
    Plane,
    choose,
    drawn_planes,
    is_stack,
    plane_title,
    predicted_planes,
    predictions,
    run_title,
    settings_of,
    shape_of,
)
from ...translation import counted
from ...widgets.dialog import Dialog, Role, sentence, title_label
from ...widgets.errors import show_error
from ...widgets.plain import plain_tip
from ..shared.file_stem import file_stem
from .files import FolderWriter, ZipWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PySide6.QtGui import QCloseEvent

    from cellseg1.masks import LabelWriter

    from ...project.project import Project
    from ...session.batch import Outcome
    from ...session.session import Session
    from .files import MaskWriter


class ExportMasksDialog(Dialog):
    """Asks what to save and how, saves it in the background, and says what was saved and what was not.

    Parameters
    ----------
    run_id
        The prediction that is offered first; None offers the drawn cells first, where there are any.
    """

    def __init__(self, session: Session, parent: QWidget | None = None, *, run_id: str | None = None) -> None:
        super().__init__(parent, self.tr("Save all masks"), columns=60)
        self._session = session
        self._batch: Batch[Plane, Callable[[], NDArray[np.int32]], str, Path] | None = None
        self._place: Path | None = None
        self._target: Path | None = None
        project = session.project
        self._drawn = list(drawn_planes(project)) if project is not None else []
        runs = predictions(project) if project is not None else []
        self._planes = {run.id: predicted_planes(project, run) for run in runs} if project is not None else {}
        self._runs = {run.id: run for run in runs if self._planes[run.id]}

        self._build_what(run_id)
        self._build_how()
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(self.tr("Progress"))
        self.progress.hide()
        self.line = sentence(quiet=True)
        self.failures = QListWidget()
        self.failures.setWordWrap(True)
        self.failures.setAccessibleName(self.tr("What was not saved, with reasons"))
        self.failures.setFixedHeight(self.fontMetrics().lineSpacing() * 6)
        self.failures.hide()
        for widget in (self.progress, self.line, self.failures):
            self.body.addWidget(widget)
        self.body.addStretch(1)
        self.open_button = self.add_button(self.tr("Show in folder"), Role.ActionRole, self._open)
        self.open_button.hide()
        self.close_button = self.add_button(self.tr("Close"), Role.RejectRole)
        self.save_button = self.add_button(self.tr("Save..."), Role.ActionRole, self._press, primary=True)
        self._update()

    # ---- building

    def _build_what(self, run_id: str | None) -> None:
        self.body.addWidget(title_label(self.tr("What")))
        self._what = QButtonGroup(self)
        self.drawn = QRadioButton(
            self.tr("The drawn cells of {images}").format(images=counted.images(len(self._drawn)))
        )
        self.drawn.setEnabled(bool(self._drawn))
        self.predicted = QRadioButton(self.tr("The cells of a prediction:"))
        self.predicted.setEnabled(bool(self._runs))
        self.runs = QComboBox()
        self.runs.setAccessibleName(self.tr("Prediction"))
        for key, run in self._runs.items():
            number = counted.images(len(self._planes[key]))
            self.runs.addItem(self.tr("{run}: {images}").format(run=run_title(run), images=number), key)
        self.runs.setCurrentIndex(max(0, self.runs.findData(run_id)))
        self.note = sentence(quiet=True)
        for button in (self.drawn, self.predicted):
            button.setAccessibleName(button.text())
            button.setToolTip(plain_tip(button.text()))
            self._what.addButton(button)
            self.body.addWidget(button)
        self.body.addWidget(self.runs)
        self.body.addWidget(self.note)
        (self.predicted if self._runs and (run_id is not None or not self._drawn) else self.drawn).setChecked(True)
        self.drawn.toggled.connect(lambda _on: self._update())
        self.runs.currentIndexChanged.connect(lambda _index: self._update())

    def _build_how(self) -> None:
        self.body.addWidget(title_label(self.tr("How")))
        self.format = QComboBox()
        for writer in sorted(WRITERS.all(), key=lambda one: one.most_id is not None):
            self.format.addItem(self._format_title(writer), writer.name)
        self.format.setAccessibleName(self.tr("Format"))
        self.format.setToolTip(self.tr("Every cell has its own number; the background is 0"))
        self.body.addWidget(self.format)
        self._where = QButtonGroup(self)
        self.folder = QRadioButton(self.tr("Into a folder, a file for each image"))
        self.zip = QRadioButton(self.tr("Into one ZIP file"))
        for button in (self.folder, self.zip):
            button.setAccessibleName(button.text())
            button.setToolTip(plain_tip(button.text()))
            self._where.addButton(button)
            self.body.addWidget(button)
        self.folder.setChecked(True)

    def _format_title(self, writer: LabelWriter) -> str:
        if writer.most_id is None:
            return self.tr("{format} label images (any number of cells)").format(format=writer.title)
        most = f"{writer.most_id:,}"
        return self.tr("{format} label images (up to {n} cells)").format(format=writer.title, n=most)

    # ---- what is chosen

    def planes(self) -> list[Plane]:
        """Return the planes that would be saved."""
        if self.drawn.isChecked():
            return self._drawn
        return self._planes.get(self.runs.currentData(), [])

    def _update(self) -> None:
        running = self._batch is not None
        of_run = self.predicted.isChecked()
        self.runs.setEnabled(of_run and not running)
        for widget in (self.format, self.folder, self.zip):
            widget.setEnabled(not running)
        self.drawn.setEnabled(bool(self._drawn) and not running)
        self.predicted.setEnabled(bool(self._runs) and not running)
        shown = of_run and self.runs.currentData() == self._session.proposals.run_id
        if not self._drawn and not self._runs:
            self.note.setText(self.tr("There is nothing to save yet: draw cells on an image, or predict some."))
        elif shown:
            self.note.setText(self.tr("With the thresholds as the sliders are now."))
        elif of_run:
            self.note.setText(self.tr("With the thresholds kept with this prediction."))
        else:
            self.note.setText(self.tr("Cells that you drew or accepted."))
        self.save_button.setText(self.tr("Cancel") if running else self.tr("Save..."))
        self.save_button.setEnabled(running or bool(self.planes()))

    # ---- saving

    def _press(self) -> None:
        if self._batch is not None:
            self._batch.cancel()
            return
        start = self._session.preferences.values.last_folder or str(Path.home())
        if self.zip.isChecked():
            name, _filter = QFileDialog.getSaveFileName(
                self, self.tr("Save all masks as a ZIP file"), str(Path(start) / "masks.zip"), self.tr("ZIP (*.zip)")
            )
            if name and not name.lower().endswith(".zip"):
                name += ".zip"
        else:
            name = QFileDialog.getExistingDirectory(self, self.tr("Save all masks into a folder"), start)
        if name:
            self.save_to(Path(name))

    def save_to(self, target: Path) -> None:
        """Save into this folder or ZIP file; progress and result are shown in the dialog."""
        project = self._session.project
        planes = self.planes()
        if project is None or not planes or self._batch is not None:
            return
        self._target = target
        self._session.preferences.set("last_folder", str(target if self.folder.isChecked() else target.parent))
        kind = WRITERS.known[self.format.currentData()]
        writer: MaskWriter = FolderWriter(target, kind) if self.folder.isChecked() else ZipWriter(target, kind)
        stems = {plane: _stem(project, plane) for plane in planes}
        sizes = {plane: project.images.get(plane[0]).pixel_size_um for plane in planes}
        self.failures.clear()
        self.failures.hide()
        self.open_button.hide()
        self.progress.setRange(0, len(planes))
        self.progress.setValue(0)
        self.progress.show()
        batch = Batch(
            self._session,
            planes,
            lambda plane, labels: writer.add(stems[plane], labels(), sizes[plane]),
            prepare=self._labels_of(project),
            name=lambda plane: plane_title(project, plane),
            finish=writer.finish,
            abandon=writer.abandon,
            parent=self,
        )
        batch.progressed.connect(self._progressed)
        batch.finished.connect(self._finished)
        batch.cancelled.connect(self._cancelled)
        batch.failed.connect(self._failed)
        self._batch = batch
        self._update()
        batch.start()

    def _labels_of(self, project: Project) -> Callable[[Plane], Callable[[], NDArray[np.int32]]]:
        """Return a function for the window's thread that makes the labels of a plane available to another thread."""
        if self.drawn.isChecked():

            def drawn(plane: Plane) -> Callable[[], NDArray[np.int32]]:
                # A copy, so that the user can go on drawing.
                labels = np.array(project.drawings.document(*plane).labels)
                return lambda: labels

            return drawn
        run = self._runs[self.runs.currentData()]
        settings = settings_of(self._session, run)

        def predicted(plane: Plane) -> Callable[[], NDArray[np.int32]]:
            path, shape = project.runs.proposals_path(run.id, *plane), shape_of(project.images.get(plane[0]))
            return lambda: choose(path, settings, shape)

        return predicted

    def _progressed(self, done: int, total: int, name: str) -> None:
        self.progress.setValue(done)
        self.line.setText(self.tr("{name} ({n} of {total})").format(name=name, n=done + 1, total=total) if name else "")

    def _end(self) -> None:
        if self._batch is not None:
            self._batch.deleteLater()
        self._batch = None
        self.progress.hide()
        self._update()

    def _finished(self, outcomes: list[Outcome[Plane, str]]) -> None:
        batch = self._batch
        self._place = batch.closing if batch is not None else None
        self._end()
        project = self._session.project
        bad = [one for one in outcomes if one.error]
        for one in bad:
            name = plane_title(project, one.item) if project is not None else str(one.item)
            text = one.error if one.error.startswith(name) else f"{name}: {one.error}"
            self.failures.addItem(text)
        self.failures.setVisible(bool(bad))
        done = counted.masks(len(outcomes) - len(bad))
        text = self.tr("{masks} saved in {place}.").format(masks=done, place=self._place)
        if bad:
            text += " " + self.tr("Not saved: {masks}.").format(masks=counted.masks(len(bad)))
        self.line.setText(text)
        self.open_button.setVisible(self._place is not None)
        self.adjustSize()

    def _cancelled(self, outcomes: list[Outcome[Plane, str]]) -> None:
        kept = self.folder.isChecked()
        self._end()
        done = sum(1 for one in outcomes if not one.error)
        if kept:
            self.line.setText(self.tr("Cancelled. {masks} saved already stay.").format(masks=counted.masks(done)))
        else:
            self.line.setText(self.tr("Cancelled. No file was written."))

    def _failed(self, text: str, details: str) -> None:
        self._end()
        self.line.setText(text)
        show_error(self, text, details)

    def _open(self) -> None:
        place = self._place
        if place is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(place if place.is_dir() else place.parent)))

    def reject(self) -> None:
        """Close; what is being saved is cancelled."""
        if self._batch is not None:
            self._batch.cancel()
        super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """As `reject`."""
        if self._batch is not None:
            self._batch.cancel()
        super().closeEvent(event)


def _stem(project: Project, plane: Plane) -> str:
    entry = project.images.get(plane[0])
    return file_stem(entry.name, plane[1], plane[2], several=is_stack(entry))
