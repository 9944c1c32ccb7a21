"""Step 2: train a model on the cells that are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QApplication, QPushButton, QVBoxLayout, QWidget

from cellseg1.errors import CellSeg1Error

from ...engine.messages import TrainRequest
from ...theme import GAP
from ...translation import counted
from ...widgets.empty_state import EmptyState
from ..shared.page import Page
from ..shared.view_options import ViewOptions
from .images import TrainingImages
from .preview_layer import PreviewLayer
from .progress import TrainingProgress
from .result import TrainingResult
from .resume import can_resume, curve_of, unfinished_training
from .setup import TrainingSetup

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QHideEvent, QShowEvent

    from ...canvas import Canvas
    from ...engine.jobs import JobHandle
    from ...project.runs import RunInfo
    from ...session.session import Session


class TrainPanel(Page):
    """Training images and settings; during a training, curve and preview; at the end, the result."""

    #: `unfinished` changed.
    unfinished_changed = Signal()

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(session, canvas, parent)
        self.set_title(self.tr("Train"))
        self._job: JobHandle | None = None
        self.preview = PreviewLayer(session, canvas, self)
        self._soon = QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self.refresh)

        #: The resumable training of the open project, unless its end is already shown here.
        self.unfinished: RunInfo | None = None
        self.outcome = TrainingResult()
        self.outcome.predict_wanted.connect(lambda: self.step_wanted.emit("predict"))
        self.outcome.resume_wanted.connect(self.resume)
        self.add(self.outcome)
        self.progress = TrainingProgress(self.preview)
        self.add(self.progress)
        self._build_setup()
        self.body.addSpacing(GAP)
        self.view = ViewOptions(session, canvas)
        self.add(self.view)
        self.set_primary(self.tr("Train"), "train")
        self.primary_clicked.connect(self.press)

        session.project_changed.connect(self._project_changed)
        session.image_changed.connect(self._soon.start)
        session.document_edited.connect(self._soon.start)
        session.job_started.connect(self._job_started)
        session.job_ended.connect(self._job_ended)
        session.interrupted_found.connect(lambda _runs: self._soon.start())
        self._take_job()
        self.refresh()

    def _build_setup(self) -> None:
        self.setup = QWidget()
        layout = QVBoxLayout(self.setup)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        self.empty = EmptyState("train", "", self.tr("Draw cells"))
        self.empty.clicked.connect(self._begin)
        layout.addWidget(self.empty)
        self.images = TrainingImages(self._session)
        layout.addWidget(self.images)
        self.wishes = TrainingSetup(self._session, self.images)
        layout.addWidget(self.wishes)
        self.models_button = QPushButton(self.tr("All models..."))
        self.models_button.setProperty("quiet", True)
        self.models_button.setAccessibleName(self.tr("All models"))
        self.models_button.setToolTip(self.tr("Import, export and rename models (Ctrl+M)"))
        self.models_button.clicked.connect(self.models_wanted)
        layout.addWidget(self.models_button, 0, Qt.AlignmentFlag.AlignLeft)
        self.add(self.setup)
        self.images.changed.connect(self._soon.start)
        self.wishes.changed.connect(self._show_primary)

    # ---- showing

    def shown(self) -> None:
        """Bring everything up to date; called when one comes to this step."""
        self.images.refresh()
        self.wishes.look()
        self.preview.set_active(True)
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Bring the preview back."""
        super().showEvent(event)
        self.preview.set_active(True)
        self._soon.start()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Take the preview off the canvas."""
        super().hideEvent(event)
        self.preview.set_active(False)

    def refresh(self) -> None:
        """Show what belongs to the present state."""
        running = self._job is not None
        usable = bool(self.images.facts) and self._session.project is not None
        self.progress.setVisible(running)
        self.setup.setVisible(not running)
        self.images.setVisible(usable)
        self.wishes.setVisible(usable)
        self.empty.setVisible(not usable)
        if not usable:
            self._show_empty()
        run = None if running else unfinished_training(self._session.project)
        # The end of the job of this session offers it itself.
        shown_already = run is not None and self.outcome.run_id == run.id and not self.outcome.isHidden()
        self.unfinished = None if shown_already else run
        self.unfinished_changed.emit()
        self._show_primary()

    def _show_empty(self) -> None:
        session = self._session
        document = session.document
        cells = 0 if document is None else len(document.cells)
        if session.project is None or not session.project.images:
            self.empty.set_sentence(self.tr("A model learns from cells that you draw. Add an image first."))
            self.empty.set_button("")
        elif cells and not session.project.read_only:
            self.empty.set_sentence(
                self.tr("No image is used for training yet. On this one are {cells}.").format(
                    cells=counted.cells(cells)
                )
            )
            self.empty.set_button(self.tr("Use this image"))
        else:
            self.empty.set_sentence(
                self.tr("A model learns from cells that you draw: a few dozen on one image are enough.")
            )
            self.empty.set_button(self.tr("Draw cells"))

    def _begin(self) -> None:
        """Do what the empty state offers."""
        session = self._session
        project, document = session.project, session.document
        if document is not None and len(document.cells) and project is not None and not project.read_only:
            self._try(lambda: session.set_training(True))
            self.images.refresh()
        else:
            self.step_wanted.emit("annotate")

    def _show_primary(self) -> None:
        button = self.primary
        if button is None:
            return
        if self._job is not None:
            stopping = self._job.state == "stopping"
            text = self.tr("Stopping...") if stopping else self.tr("Stop and keep")
            self.set_primary(text, "stop", self.tr("End the training; what was learned is kept and can go on later"))
            button.setEnabled(not stopping)
            return
        reason = self._why_not()
        self.set_primary(self.tr("Train"), "train", reason or self.tr("Train a model on these cells"))
        button.setAccessibleDescription(reason)
        button.setEnabled(not reason)

    def _why_not(self) -> str:
        """Return why a training cannot start now; empty when it can."""
        project = self._session.project
        if project is None:
            return self.tr("Open a project first.")
        if project.read_only:
            return project.why_read_only
        if not self.images.cells:
            return self.tr("Draw cells first.")
        return self.wishes.fault

    # ---- running

    def press(self) -> None:
        """Start a training, or stop the one in progress."""
        if self._job is not None:
            self._job.stop()
            self.progress.show_stopping()
            self._show_primary()
            return
        if self._why_not():
            return
        self._canvas.settle()
        wish = self.wishes.wish()
        self._try(lambda: self._session.start_training(wish))

    def start_from(self, path: Path | None) -> None:
        """Choose the model that the next training goes on from."""
        self.wishes.start_from(path)

    def resume(self, run_id: str) -> None:
        """Go on with a training that ended early."""
        self._try(lambda: self._session.resume_training(run_id))

    def discard(self, run_id: str) -> None:
        """Stop offering a training; its files stay."""
        project = self._session.project
        if project is not None:
            run = next((one for one in project.runs if one.id == run_id), None)
            fields = {"state": "stopped"} if run is not None and run.state in ("running", "interrupted") else {}
            self._try(lambda: project.runs.update(run_id, discarded=True, **fields))
        self.refresh()

    def _try(self, call: Callable[[], object]) -> None:
        try:
            call()
        except CellSeg1Error as error:
            self._session.problem.emit(str(error), "")

    def _job_started(self, job: JobHandle) -> None:
        if job.kind != "train" or job is self._job:
            return
        self._job = job
        run = self._run_of(job)
        resumed = isinstance(job.request, TrainRequest) and job.request.resume
        self.preview.set_planes(planes_of_run(run))
        self.outcome.hide()
        self.progress.follow(job, curve_of(run) if run is not None and resumed else [])
        job.state_changed.connect(lambda _state: self._show_primary())
        focused = QApplication.focusWidget()
        if focused is not None and self.setup.isAncestorOf(focused):
            # The field goes; one goes on with drawing.
            self._canvas.setFocus()
        self.refresh()
        self._to_top()

    def _job_ended(self, job: JobHandle) -> None:
        if job is not self._job:
            return
        self._job = None
        project, run = self._session.project, self._run_of(job)
        if project is not None and run is not None:
            self.outcome.show_end(job, resumable=can_resume(project, run))
        self.wishes.forget_name()
        self.refresh()
        self._to_top()

    def _run_of(self, job: JobHandle) -> RunInfo | None:
        project = self._session.project
        return None if project is None else next((one for one in project.runs if one.id == job.run_id), None)

    def _to_top(self) -> None:
        self.scroll_area.verticalScrollBar().setValue(0)

    def _take_job(self) -> None:
        """Show the training of the project that is shown now, if one runs there, and no other."""
        job = self._session.training
        if job is not self._job:
            self._job = None
            self.progress.let_go()
            if job is not None:
                self._job_started(job)

    def _project_changed(self) -> None:
        self.outcome.hide()
        self.preview.set_planes([])
        self._take_job()
        self._soon.start()


def planes_of_run(run: RunInfo | None) -> list[tuple[str, int, int]]:
    """Return the planes that a training uses, in its order; of stacks with several planes only the first is known."""
    if run is None:
        return []
    images = run.fields.get("images") or {}
    at = (run.fields.get("request") or {}).get("planes") or ()
    if at and len(at) != len(images):
        return [(str(next(iter(images))), int(at[0][0]), int(at[0][1]))] if images else []
    return [(str(image_id), int(where.get("z", 0)), int(where.get("t", 0))) for image_id, where in images.items()]
