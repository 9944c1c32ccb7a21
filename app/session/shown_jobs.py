"""The jobs of the shown project: starting them, and handling their signals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

if TYPE_CHECKING:
    from ..engine.jobs import JobHandle
    from ..engine.messages import ItemDone
    from ..project.project import Project
    from .jobs import Job, Jobs
    from .model_choice import ModelChoice
    from .open_project import OpenProject
    from .proposals import Proposals
    from .shown_image import ShownImage


class ShownJobs(QObject):
    """Receives the signals of all jobs, and forwards those of the shown project.

    Signals
    -------
    started(JobHandle), ended(JobHandle)
        A job of the shown project started or ended.
    predicted(str)
        A plane of an image of the shown project is done.
    model_made()
        A training of the shown project ended; its model is chosen if it is in the project.
    problem(str, str)
        A job of any project failed.
    """

    started = Signal(object)
    ended = Signal(object)
    predicted = Signal(str)
    model_made = Signal()
    problem = Signal(str, str)

    def __init__(
        self, jobs: Jobs, projects: OpenProject, shown: ShownImage, proposals: Proposals, models: ModelChoice
    ) -> None:
        super().__init__(jobs)
        self._jobs = jobs
        self._projects = projects
        self._shown = shown
        self._proposals = proposals
        self._models = models
        jobs.planned.connect(self._planned)
        jobs.item.connect(self._item_done)
        jobs.ended.connect(self._ended)

    def find(self, kind: str) -> JobHandle | None:
        """Return the training or prediction in progress in the shown project."""
        return self._jobs.find(kind, self._projects.project)

    def _planned(self, job: Job) -> None:
        if job.project is self._projects.project:
            self.started.emit(job.handle)

    def _item_done(self, job: Job, item: ItemDone) -> None:
        if job.project is not self._projects.project or all(one.id != item.image_id for one in job.project.images):
            # Another project is shown, or the image was removed; the result stays on the disk.
            return
        self.predicted.emit(item.image_id)
        shown = self._shown
        if (item.image_id, item.z, item.t) == (shown.image_id, shown.z, shown.t) and not item.error:
            self._proposals.reload()

    def _ended(self, job: Job) -> None:
        handle, here = job.handle, job.project is self._projects.project
        if handle.error is not None:
            sentence, details = handle.error
            self.problem.emit(sentence if here else f"{job.project.name}: {sentence}", details)
        elif job.kind == "train":
            self._trained(job.project, (handle.result or {}).get("model"), here=here)
        elif here and self._proposals.run_id == handle.run_id:
            self._proposals.reload()
        if here:
            self.ended.emit(handle)
        self._projects.job_over(job)

    def _trained(self, project: Project, made: str | None, *, here: bool) -> None:
        """Choose the new model; if another project is shown, when its own is opened again."""
        path = Path(made) if made else None
        own = path is not None and path.is_relative_to(project.models_folder)
        if here:
            self.model_made.emit()
            if own:
                self._models.choose(project, path)
        elif own and path is not None:
            project.set_setting("model", path.name)
