"""The display of a running training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QCheckBox, QProgressBar, QVBoxLayout, QWidget

from ...theme import GAP, heading, tabular
from ...translation import counted
from ...translation.library_words import shown
from ...translation.time_left import time_left
from ...widgets.plain import Label
from ...widgets.plots.loss_curve import LossCurve
from .preview_layer import PreviewLayer

if TYPE_CHECKING:
    from PySide6.QtCore import QMetaObject

    from ...engine.jobs import JobHandle, TrainingPreview
    from ...engine.messages import Progress

_CURVE_HEIGHT = 176


class TrainingProgress(QWidget):
    """Progress, time left, loss curve and preview of the training in progress."""

    def __init__(self, preview: PreviewLayer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preview = preview
        self._job: JobHandle | None = None
        self._heard: list[QMetaObject.Connection] = []
        self._step = -1
        self.title = Label()
        self.title.setFont(heading(self.font(), 0))
        self.title.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(self.tr("Progress of the training"))
        self.line = Label()
        self.line.setWordWrap(True)
        self.line.setFont(tabular(self.font()))
        self.line.setProperty("secondary", True)
        self.curve = LossCurve()
        self.curve.setMinimumHeight(_CURVE_HEIGHT)
        text = self.tr("The loss falls while the model learns. You can go on drawing in step 1 meanwhile.")
        self.hint = Label(text)
        self.hint.setWordWrap(True)
        self.hint.setProperty("secondary", True)
        self.show_preview = QCheckBox(self.tr("Show what it finds"))
        self.show_preview.setAccessibleName(self.tr("Show over the training image what the model finds"))
        self.show_preview.setToolTip(self.tr("Show over the training image what the model finds so far"))
        self.show_preview.setChecked(True)
        self.show_preview.toggled.connect(preview.set_wanted)
        self.preview_line = Label()
        self.preview_line.setWordWrap(True)
        self.preview_line.setProperty("secondary", True)
        self.last_said = Label()
        self.last_said.setWordWrap(True)
        self.last_said.setProperty("secondary", True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        for widget in (
            self.title,
            self.bar,
            self.line,
            self.curve,
            self.hint,
            self.show_preview,
            self.preview_line,
            self.last_said,
        ):
            layout.addWidget(widget)
        self.last_said.hide()
        preview.changed.connect(self.show_preview_state)

    def follow(self, job: JobHandle, earlier: list[tuple[int, float]] | None = None) -> None:
        """Show a job from now on; `earlier` are the (step, loss) values of a training that is resumed."""
        self.let_go()
        self._job = job
        self._step = -1
        self.title.setText(job.title)
        self.curve.clear()
        for step, loss in [*(earlier or []), *((point[0], point[1]) for point in job.curve)]:
            self._append(step, loss)
        self.bar.setValue(0)
        self.line.setText(self.tr("Starting..."))
        self._show_waiting(job)
        self.last_said.hide()
        if job.last_progress is not None:
            self._progressed(job, job.last_progress)
        self._heard = [
            job.progress.connect(lambda progress: self._progressed(job, progress)),
            job.state_changed.connect(lambda _state: self._show_waiting(job)),
            job.said.connect(lambda text: self._said(job, text)),
            job.previewed.connect(lambda preview: self._previewed(job, preview)),
        ]
        if job.last_preview is not None:
            self._preview.set_preview(job.last_preview)
        self.show_preview_state()

    def let_go(self) -> None:
        """Stop following the job."""
        for connection in self._heard:
            QObject.disconnect(connection)
        self._heard, self._job = [], None

    def _show_waiting(self, job: JobHandle) -> None:
        """Show the preparation before the engine reports anything."""
        if job is self._job and job.waiting_for and job.last_progress is None:
            self.line.setText(f"{job.waiting_for}...")

    def _append(self, step: float, loss: float) -> None:
        self.curve.append(step, loss)
        self._step = int(step)

    def _progressed(self, job: JobHandle, progress: Progress) -> None:
        if job is not self._job:
            return
        self.bar.setValue(round(1000 * float(progress.share or 0)))
        detail = progress.detail or {}
        said = [shown(progress.text)]
        if "steps" in detail:
            self.curve.set_total(float(detail["steps"]))
            said.append(self.tr("step {n} of {all}").format(n=f"{detail['step']:,}", all=f"{detail['steps']:,}"))
        lines = (", ".join(part for part in said if part), time_left(progress.seconds_left))
        self.line.setText("\n".join(line for line in lines if line))
        points = detail.get("points") or ([(detail["step"], detail["loss"], 0.0)] if "loss" in detail else [])
        for point in points:
            self._append(point[0], point[1])

    def _previewed(self, job: JobHandle, preview: TrainingPreview | None) -> None:
        if job is self._job:
            self._preview.set_preview(preview)

    def _said(self, job: JobHandle, text: str) -> None:
        # The number of trained weights is only for the log.
        if job is self._job and not text.startswith("Trainable:"):
            self.last_said.setText(text)
            self.last_said.show()

    def show_stopping(self) -> None:
        """Show that the job is stopping."""
        self.line.setText(self.tr("Stopping after this step; what was learned is kept..."))

    def show_preview_state(self) -> None:
        """Show the number of cells of the preview, or when it comes."""
        preview = self._preview.preview
        if preview is None:
            self.preview_line.setText(self.tr("The first look comes after about 15 seconds of training."))
            return
        text = self.tr("After step {n}: {cells} in the part it looked at.")
        text = text.format(n=f"{preview.step:,}", cells=counted.cells(preview.cells))
        if not self._preview.here:
            text += " " + self.tr("Open the training image to see them.")
        self.preview_line.setText(text)
