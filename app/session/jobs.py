"""Trainings and predictions of the window: inputs from the project, results back into it."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, TypedDict

from PySide6.QtCore import QObject, Signal

from cellseg1.errors import CellSeg1Error
from cellseg1.prediction.select import select_settings

from ..engine.messages import PredictRequest, TrainRequest
from .run_requests import (
    PredictionWish,
    TrainingWish,
    plain_request,
    prediction_request,
    prepare_prediction,
    prepare_training,
    request_from_plain,
    settings_of_model,
    training_planes,
    training_request,
)

if TYPE_CHECKING:
    from ..engine.jobs import Engines, JobHandle
    from ..engine.messages import ItemDone
    from ..project.project import Project, RunInfo
    from .lanes import Lane

log = logging.getLogger(__name__)


class Note(TypedDict, total=False):
    """The fields of a job in the record of its run, see `ProjectRuns.update`."""

    state: str
    pid: int
    pid_started: str
    resume_later: bool
    title: str
    model: str | None
    backbone: str
    images: dict[str, object]
    planes: list[object]
    request: dict[str, object]
    result: dict[str, object]
    select: dict[str, object]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A training or prediction with its project, from start to end.

    Attributes
    ----------
    handle
        The running job; its `state` is authoritative, the run in the project is its record.
    title
        Its title in its own project.
    """

    handle: JobHandle
    project: Project
    title: str

    @property
    def kind(self) -> str:
        """Train or predict."""
        return self.handle.kind

    def note(self, what: Note) -> None:
        """Record the outcome in its own project, unless the run was removed."""
        try:
            self.project.runs.update(self.handle.run_id, **what)
        except CellSeg1Error as error:
            log.warning("%s in %s: %s", self.handle.run_id, self.project.folder, error)


class Jobs(QObject):
    """Starts, follows and records jobs; each belongs to the project in which it was started.

    Signals
    -------
    planned(Job)
        The job is recorded in its project and an engine is launched.
    item(Job, ItemDone)
        A plane of a prediction is done and recorded in its project.
    ended(Job)
        The job has ended, is recorded, and is no longer in `running`.
    """

    planned = Signal(object)
    item = Signal(object, object)
    ended = Signal(object)

    def __init__(self, engines: Engines, lane: Lane, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engines = engines
        self._lane = lane
        self._jobs: list[Job] = []

    @property
    def running(self) -> list[Job]:
        """Jobs in progress, of all projects."""
        return list(self._jobs)

    def of(self, project: Project | None) -> list[Job]:
        """Return the jobs in progress in a project."""
        return [job for job in self._jobs if job.project is project]

    def find(self, kind: str, project: Project | None) -> JobHandle | None:
        """Return the training or prediction in progress in a project."""
        return next((job.handle for job in self.of(project) if job.kind == kind), None)

    def require_none(self, project: Project | None) -> None:
        """Raise CellSeg1Error while a job runs in a project: its folder must stay where it is."""
        if self.of(project):
            raise CellSeg1Error(
                self.tr("A training or prediction is running in this project. Wait for its end, or stop it first.")
            )

    def require_free(self, kind: str, project: Project) -> None:
        """Raise CellSeg1Error while a job of a kind runs, since two would share the memory of this computer."""
        other = next((job for job in self._jobs if job.kind == kind), None)
        if other is None:
            return
        if other.project is not project:
            words = (
                self.tr("A training is running in the project {name}; stop it first or wait for its end.")
                if kind == "train"
                else self.tr("A prediction is running in the project {name}; cancel it first or wait for its end.")
            )
            raise CellSeg1Error(words.format(name=other.project.name))
        raise CellSeg1Error(
            self.tr("A training is running already; stop it first or wait for its end.")
            if kind == "train"
            else self.tr("A prediction is running already; cancel it first or wait for its end.")
        )

    def name_for(self, project: Project | None) -> None:
        """Return the titles of jobs as seen from a project: jobs of other projects also name theirs."""
        for job in self._jobs:
            here = job.project is project
            job.handle.title = job.title if here else f"{job.title} ({job.project.name})"

    def _follow(self, handle: JobHandle, project: Project, what: Note) -> Job:
        """Record a job that was launched, and follow it to its end."""
        job = Job(handle, project, handle.title)
        self._jobs.append(job)
        pid, pid_started = handle.process_identity()
        job.note({**what, "state": "running", "pid": pid, "pid_started": pid_started})
        handle.item_done.connect(lambda item: self._item_done(job, item))
        handle.ended.connect(lambda _handle: self._over(job))
        self.planned.emit(job)
        return job

    def _over(self, job: Job) -> None:
        """Record the end of a job, and forget it."""
        handle = job.handle
        if handle.error is not None:
            job.note({"state": handle.state, "result": {"sentence": handle.error[0]}})
        else:
            result = dict(handle.result or {})
            # The engine reports the settings it chose.
            more: Note = {"select": result["select"]} if job.kind == "predict" and "select" in result else {}
            job.note({**more, "state": handle.state, "result": result})
        if job in self._jobs:
            self._jobs.remove(job)
            self.ended.emit(job)

    # ---- training

    def start_training(self, project: Project, wish: TrainingWish, device: str) -> JobHandle:
        """Train on the planes of a project that are marked for training.

        Raises
        ------
        CellSeg1Error
            When a training runs already, nothing is annotated, or the project cannot be written.
        """
        self.require_free("train", project)
        project.require_writable()
        planes = training_planes(project)
        if not planes:
            raise CellSeg1Error(
                self.tr("No cells are drawn yet. Draw a few dozen cells on one image, then train on it.")
            )
        folder = project.runs.new("train")
        request = training_request(project, folder, wish, planes, device)
        what: Note = {
            "title": wish.name,
            "request": plain_request(request, project.folder),
            "images": {image_id: {"z": z, "t": t} for image_id, z, t in planes},
            "planes": [list(plane) for plane in planes],
        }
        job = self._launch_training(project, request, what, folder.name, held=self.tr("Writing the masks"))
        # Open drawings may be edited while masks are written, so the thread gets copies; it reads the others itself.
        drawings = {plane: project.drawings.drawing_of(*plane) for plane in planes}
        self._lane.run(
            lambda: prepare_training(project, request, planes, drawings),
            lambda prepared: self._prepared(job, prepared),
            self.tr("Writing the masks"),
            failed=lambda: job.handle.give_up(self.tr("The masks of the training could not be written.")),
        )
        return job.handle

    def _prepared(self, job: Job, request: TrainRequest | PredictRequest | CellSeg1Error) -> None:
        if isinstance(request, CellSeg1Error):
            job.handle.give_up(str(request))
            return
        if isinstance(request, TrainRequest):
            job.note({"request": plain_request(request, job.project.folder)})
        job.handle.release(request)

    def resume_training(self, project: Project, run_id: str, device: str) -> JobHandle:
        """Continue an interrupted or stopped training."""
        self.require_free("train", project)
        run = project.runs.get(run_id)
        request = request_from_plain(run.fields["request"], project.folder, project.runs_folder / run_id)
        request = dataclasses.replace(request, device=device)
        return self._launch_training(project, request, {"title": str(run.fields.get("title", run_id))}, run_id).handle

    def _launch_training(
        self, project: Project, request: TrainRequest, what: Note, run_id: str, *, held: str = ""
    ) -> Job:
        words = self.tr("Training {name}").format(name=what["title"])
        handle = self._engines.start(request, words, run_id, held=held)
        return self._follow(handle, project, {**what, "resume_later": False})

    # ---- prediction

    def start_prediction(self, project: Project, wish: PredictionWish, device: str) -> JobHandle:
        """Predict planes of a project.

        Raises
        ------
        CellSeg1Error
            When a prediction runs already, there is nothing to predict, or the project cannot be written.
        """
        self.require_free("predict", project)
        project.require_writable()
        if not wish.planes:
            raise CellSeg1Error(self.tr("There is no image to predict; add images first."))
        folder = project.runs.new("predict")
        request = prediction_request(project, folder, wish, device)
        count = len({item.image_id for item in request.items})
        title = self.tr("Predicting {n} images").format(n=count) if count > 1 else self.tr("Predicting")
        settings = settings_of_model(wish.model, wish.backbone, wish.overrides)
        what: Note = {
            "title": title,
            "model": None if wish.model is None else wish.model.name,
            "backbone": wish.backbone,
            # The engine reports the same at the end; finished images already use these.
            "select": dataclasses.asdict(select_settings(settings)),
        }
        looking = self.tr("Looking for the images")
        job = self._follow(self._engines.start(request, title, folder.name, held=looking), project, what)
        self._lane.run(
            lambda: prepare_prediction(project, request),
            lambda prepared: self._prepared(job, prepared),
            looking,
            failed=lambda: job.handle.give_up(self.tr("The images of the prediction could not be looked for.")),
        )
        return job.handle

    def _item_done(self, job: Job, item: ItemDone) -> None:
        try:
            job.project.runs.add_result(
                job.handle.run_id, item.image_id, item.z, item.t, cells=item.cells, error=item.error
            )
        except CellSeg1Error as error:
            log.warning("%s in %s: %s", job.handle.run_id, job.project.folder, error)
        self.item.emit(job, item)

    # ---- runs of earlier program starts

    def interrupted(self, project: Project) -> list[RunInfo]:
        """Return the resumable trainings of a project that ended with the program."""
        if project.read_only:
            return []
        mine = {job.handle.run_id for job in self.of(project)}
        running = {run.id for run in project.runs if run.state == "running"} - mine
        project.runs.interrupted()
        found = []
        for run in project.runs:
            # An engine that loses its window still records a stop; the training was interrupted.
            if run.id in running and run.state == "stopped":
                project.runs.update(run.id, resume_later=True)
            later = run.state == "interrupted" or (run.state == "stopped" and run.fields.get("resume_later"))
            if run.kind == "train" and later and run.id not in mine:
                found.append(run)
        return found
