"""A training while it runs, and what came of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QCheckBox, QFrame, QProgressBar, QPushButton, QVBoxLayout, QWidget

from app.annotation.proposal_layer import ProposalLayer
from app.engine.planning import duration_text
from app.pages.train.plan import ap_sentence
from app.theme import GAP, TIGHT, heading, tabular
from app.translation import counted as words
from app.translation.library_words import shown
from app.translation.time_left import time_left
from app.widgets.flow import FlowLayout
from app.widgets.plain import Label
from app.widgets.plots.loss_curve import LossCurve

if TYPE_CHECKING:
    from PySide6.QtCore import QMetaObject

    from app.canvas import Canvas
    from app.engine.jobs import JobHandle, TrainingPreview
    from app.engine.messages import Progress
    from app.session.session import Session

Plane = tuple[str, int, int]
_CURVE_HEIGHT = 176


class PreviewLayer(QObject):
    """Shows over the training image what the model in training makes of it, as long as that image is shown.

    It is a layer of proposals of its own; it goes when the panel is left, and returns with it.
    """

    changed = Signal()

    def __init__(self, session: Session, canvas: Canvas, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._canvas = canvas
        self.planes: list[Plane] = []
        self.preview: TrainingPreview | None = None
        self.wanted = True
        self.active = False
        self._layer: ProposalLayer | None = None
        self._made: tuple[TrainingPreview, ProposalLayer] | None = None
        # After the window: it takes away all proposals when the image or the step changes.
        self._soon = QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self.show_now)
        session.image_changed.connect(self._soon.start)
        session.proposals.changed.connect(self._soon.start)

    def set_planes(self, planes: list[Plane]) -> None:
        """Say which planes are trained on, in the order of the job; an earlier preview is dropped."""
        self.planes = planes
        self.set_preview(None)

    def set_preview(self, preview: TrainingPreview | None) -> None:
        """Show another preview."""
        self.preview = preview
        self.show_now()
        self.changed.emit()

    def set_wanted(self, wanted: bool) -> None:
        """Show or hide it."""
        self.wanted = wanted
        self.show_now()

    def set_active(self, active: bool) -> None:
        """Say whether the panel is shown."""
        self.active = active
        if active:
            self._soon.start()
        else:
            self.show_now()

    @property
    def plane(self) -> Plane | None:
        """The plane that the preview belongs to."""
        if self.preview is None or self.preview.image >= len(self.planes):
            return None
        return self.planes[self.preview.image]

    @property
    def here(self) -> bool:
        """Whether that plane is the shown one."""
        session = self._session
        return self.plane is not None and self.plane == (session.image_id, session.z, session.t)

    def show_now(self) -> None:
        """Bring the canvas up to date."""
        session = self._session
        preview, plane = self.preview, session.plane
        if self.active and self.wanted and self.here and preview is not None and plane is not None:
            layer = self._layer_of(preview, (plane.shape[0], plane.shape[1]))
            if layer is not None and self._canvas.shape == layer.labels.shape:
                self._layer = layer
                if self._canvas.proposals is not layer:
                    self._canvas.set_proposals(layer)
                return
        if self._layer is not None:
            mine = self._canvas.proposals is self._layer
            self._layer = None
            if mine:
                self._canvas.set_proposals(None)

    def _layer_of(self, preview: TrainingPreview, shape: tuple[int, int]) -> ProposalLayer | None:
        if self._made is not None and self._made[0] is preview and self._made[1].labels.shape == shape:
            return self._made[1]
        top, left, bottom, right = preview.box
        if bottom > shape[0] or right > shape[1] or preview.labels.shape != (bottom - top, right - left):
            return None
        labels = np.zeros(shape, np.int32)
        labels[top:bottom, left:right] = preview.labels
        layer = ProposalLayer(labels=labels, score=np.ones(int(labels.max(initial=0)) + 1, np.float32))
        self._made = preview, layer
        return layer


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
        """Hear no more of the job that was followed."""
        for connection in self._heard:
            QObject.disconnect(connection)
        self._heard, self._job = [], None

    def _show_waiting(self, job: JobHandle) -> None:
        """Say what goes on before the engine has a word of its own."""
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
        # How many weights learn is for the log.
        if job is self._job and not text.startswith("Trainable:"):
            self.last_said.setText(text)
            self.last_said.show()

    def show_stopping(self) -> None:
        """Say that the job was asked to stop."""
        self.line.setText(self.tr("Stopping after this step; what was learned is kept..."))

    def show_preview_state(self) -> None:
        """Say how many cells the preview holds, or when there will be one."""
        preview = self._preview.preview
        if preview is None:
            self.preview_line.setText(self.tr("The first look comes after about 15 seconds of training."))
            return
        text = self.tr("After step {n}: {cells} in the part it looked at.")
        text = text.format(n=f"{preview.step:,}", cells=words.cells(preview.cells))
        if not self._preview.here:
            text += " " + self.tr("Open the training image to see them.")
        self.preview_line.setText(text)


class TrainingResult(QFrame):
    """What came of the last training, and what to do with it."""

    predict_wanted = Signal()
    resume_wanted = Signal(str)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", True)
        self.run_id = ""
        self.title = Label()
        self.title.setFont(heading(self.font(), 0))
        self.title.setWordWrap(True)
        self.text = Label()
        self.text.setWordWrap(True)
        self.predict = QPushButton(self.tr("Predict other images"))
        self.predict.setAccessibleName(self.tr("Predict other images"))
        self.predict.setToolTip(self.tr("Go to step 3 with this model (Ctrl+3)"))
        self.predict.clicked.connect(self.predict_wanted)
        self.resume = QPushButton(self.tr("Resume"))
        self.resume.setAccessibleName(self.tr("Resume this training"))
        self.resume.setToolTip(self.tr("Go on where it stopped"))
        self.resume.clicked.connect(lambda: self.resume_wanted.emit(self.run_id))
        # Side by side they may be wider than the panel.
        row = FlowLayout()
        row.addWidget(self.predict)
        row.addWidget(self.resume)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GAP + TIGHT, GAP + TIGHT, GAP + TIGHT, GAP + TIGHT)
        layout.setSpacing(GAP)
        layout.addWidget(self.title)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self.hide()

    def show_end(self, job: JobHandle, *, resumable: bool) -> None:
        """Show how a job ended."""
        self.run_id = job.run_id
        result = job.result or {}
        model = result.get("model")
        name = Path(model).stem if model else ""
        took = shown(duration_text(float(result.get("seconds") or max(0.0, time.time() - job.started))))
        self.predict.setVisible(bool(model))
        self.resume.setVisible(resumable and job.state in ("stopped", "failed"))
        if job.state == "finished":
            self.title.setText(self.tr("{name} is trained").format(name=name))
            self.text.setText(
                self.tr("It took {time}.").format(time=took) + " " + ap_sentence(result.get("ap_training"))
            )
        elif job.state == "stopped" and model:
            self.title.setText(self.tr("Stopped; {name} is kept").format(name=name))
            self.text.setText(self.tr("The model knows what it learned so far. It can be used, or trained to the end."))
        elif job.state == "stopped":
            self.title.setText(self.tr("Stopped"))
            self.text.setText(self.tr("It ended before there was a model to keep. Nothing you drew was lost."))
        else:
            sentence, _details = job.error or (self.tr("The training ended with an error."), "")
            self.title.setText(self.tr("The training failed"))
            self.text.setText(sentence)
        self.setAccessibleName(self.title.text())
        self.setAccessibleDescription(self.text.text())
        self.show()
