"""Training and prediction as the window starts them: inputs from the project, results back into it."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, QObject, Signal

from app.engine.messages import PredictItem, PredictRequest, TrainRequest
from cellseg1.errors import CellSeg1Error
from cellseg1.files import free_file
from cellseg1.lora.header import load_card
from cellseg1.masks import write_label_image
from cellseg1.prediction.select import SelectSettings, select_settings
from cellseg1.settings import DEFAULT_BACKBONE, Settings, make_settings, settings_from_dict, untrained_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from app.engine.jobs import JobHandle
    from app.engine.messages import ItemDone
    from app.project.project import Project
    from app.session.session import Session

    Region = tuple[int, int, int, int]
    Drawing = tuple[NDArray[np.int32], dict[str, Any]]

log = logging.getLogger(__name__)
#: Models are used on images whose scale differs by at most this share without a remark (issue: 20 %).
SCALE_TOLERANCE = 0.2


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A job and the project it belongs to, from its start to its end, whichever project is shown meanwhile."""

    handle: JobHandle
    project: Project
    #: As it is called in its own project.
    title: str


class Jobs(QObject):
    """Starts, follows and records jobs; each belongs to the project in which it was started.

    Signals
    -------
    started, ended
        Of jobs of the shown project: for whoever shows what is open.
    any_started, any_ended
        Of all jobs, also those that go on in a project that was left.
    """

    started = Signal(object)
    ended = Signal(object)
    any_started = Signal(object)
    any_ended = Signal(object)
    interrupted_found = Signal(list)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._jobs: list[_Job] = []
        session.project_changed.connect(self._name_jobs)

    @property
    def running(self) -> list[JobHandle]:
        """Jobs in progress, of all projects."""
        return [job.handle for job in self._jobs]

    @property
    def training(self) -> JobHandle | None:
        """The training in progress in the shown project."""
        return self._shown("train")

    @property
    def prediction(self) -> JobHandle | None:
        """The prediction in progress in the shown project."""
        return self._shown("predict")

    def _shown(self, kind: str) -> JobHandle | None:
        project = self._session.project
        return next((one.handle for one in self._jobs if one.project is project and one.handle.kind == kind), None)

    def of(self, project: Project | None) -> list[JobHandle]:
        """Return the jobs in progress in a project."""
        return [job.handle for job in self._jobs if job.project is project]

    def project_of(self, handle: JobHandle) -> Project | None:
        """Return the project of a job in progress."""
        return next((job.project for job in self._jobs if job.handle is handle), None)

    def require_none(self, project: Project | None) -> None:
        """Raise CellSeg1Error while a job runs in a project: its folder must stay where it is."""
        if self.of(project):
            raise CellSeg1Error(
                self.tr("A training or prediction is running in this project. Wait for its end, or stop it first.")
            )

    def _require_free(self, kind: str) -> None:
        """Only one job of a kind runs at a time: two would share the memory of this computer."""
        other = next((job for job in self._jobs if job.handle.kind == kind), None)
        if other is None:
            return
        if other.project is not self._session.project:
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

    def _name_jobs(self) -> None:
        """Say of a job that goes on in the background which project it belongs to."""
        for job in self._jobs:
            here = job.project is self._session.project
            job.handle.title = job.title if here else f"{job.title} ({job.project.name})"

    def _begin(self, handle: JobHandle, project: Project) -> _Job:
        job = _Job(handle, project, handle.title)
        self._jobs.append(job)
        return job

    def _tell_started(self, job: _Job) -> None:
        self.any_started.emit(job.handle)
        if job.project is self._session.project:
            self.started.emit(job.handle)

    def _over(self, job: _Job) -> None:
        """Let go of a job that has ended and was recorded, and of its project if nothing else needs it."""
        if job not in self._jobs:
            return
        self._jobs.remove(job)
        if job.project is self._session.project:
            self.ended.emit(job.handle)
        self.any_ended.emit(job.handle)
        self._session.job_over(job.project)

    # ---- training

    def start_training(
        self,
        name: str,
        *,
        backbone: str,
        recipe: str = "studio",
        overrides: Mapping[str, Any] | None = None,
        start_model: Path | None = None,
        channels: Sequence[str | int] = (),
    ) -> JobHandle:
        """Train on the planes marked for training (or the shown one when none is).

        `channels` are names or numbers (from 0) of those that the network sees; empty: chosen by the library.

        Raises
        ------
        CellSeg1Error
            When a training runs already, nothing is annotated, or the project cannot be written.
        """
        project = self._session.require_project()
        self._require_free("train")
        if project.read_only:
            raise CellSeg1Error(project.why_read_only)
        if not project.images.training() and self._session.document is not None and len(self._session.document.cells):
            self._session.set_training(True)
        self._session._remember_plane()
        drawn = {
            plane: int(project.images.get(plane[0]).planes[f"{plane[1]},{plane[2]}"].get("cells", 0))
            for plane in project.images.training()
        }
        planes = [plane for plane, cells in drawn.items() if cells]
        if not planes:
            raise CellSeg1Error(
                self.tr("No cells are drawn yet. Draw a few dozen cells on one image, then train on it.")
            )
        entries = [project.images.get(image_id) for image_id, _z, _t in planes]
        folder = project.runs.new("train")
        run_id = folder.name
        request = TrainRequest(
            # Where they are is found out with the masks: a file server may be away.
            images=(),
            masks=tuple(folder / f"mask_{number:03d}.tif" for number in range(len(planes))),
            planes=tuple((z, t) for _image_id, z, t in planes),
            axes=tuple(entry.axes if entry.axes_by_hand else None for entry in entries),
            channels=tuple(channels),
            out=free_file(project.models_folder / f"{name}.cs1"),
            run_folder=folder,
            backbone=backbone,
            recipe=recipe,
            overrides=dict(overrides or {}),
            device=self._session.preferences.values.device,
            resume=False,
            start_model=start_model,
            preview=True,
        )
        project.runs.update(
            run_id,
            title=name,
            request=_plain_request(request, project.folder),
            images={image_id: {"z": z, "t": t} for image_id, z, t in planes},
            planes=[list(plane) for plane in planes],
        )
        job = self._launch_training(project, request, name, run_id, held=self.tr("Writing the masks"))
        # What is open may be edited while the masks are written, so a thread gets copies; the rest it reads itself.
        drawings = {plane: project.drawings.drawing_of(*plane) for plane in planes}
        self._session.run(
            lambda: _prepare(project, request, planes, drawings),
            lambda prepared: self._prepared(job, prepared),
            self.tr("Writing the masks"),
            failed=lambda: job.handle.give_up(self.tr("The masks of the training could not be written.")),
        )
        return job.handle

    def _prepared(self, job: _Job, request: TrainRequest | CellSeg1Error) -> None:
        if isinstance(request, CellSeg1Error):
            job.handle.give_up(str(request))
            return
        _note(job, request=_plain_request(request, job.project.folder))
        job.handle.release(request)

    def resume_training(self, run_id: str) -> JobHandle:
        """Go on with an interrupted or stopped training."""
        project = self._session.require_project()
        self._require_free("train")
        run = project.runs.get(run_id)
        request = _request_from_plain(run.fields["request"], project.folder, project.runs_folder / run_id)
        request = dataclasses.replace(request, device=self._session.preferences.values.device)
        return self._launch_training(project, request, str(run.fields.get("title", run_id)), run_id).handle

    def _launch_training(
        self, project: Project, request: TrainRequest, title: str, run_id: str, *, held: str = ""
    ) -> _Job:
        words = self.tr("Training {name}").format(name=title)
        handle = self._session.engines.start(request, words, run_id, held=held)
        job = self._begin(handle, project)
        _note(job, state="running", resume_later=False, **handle.process_identity())
        handle.finished.connect(lambda result: self._training_ended(job, "finished", result))
        handle.stopped.connect(lambda: self._training_ended(job, "stopped", handle.result))
        handle.failed.connect(lambda sentence, details: self._failed(job, sentence, details))
        self._tell_started(job)
        return job

    def _training_ended(self, job: _Job, state: str, result: Mapping[str, Any] | None) -> None:
        session, project = self._session, job.project
        _note(job, state=state, result=dict(result or {}))
        path = None if not (result or {}).get("model") else Path((result or {})["model"])
        own = path is not None and path.is_relative_to(project.models_folder)
        if project is session.project:
            session.models_changed.emit()
            if own:
                session.set_model(path)
        elif own and path is not None:
            # Chosen when it is opened again, as it would be here.
            project.set_setting("model", path.name)
        self._over(job)

    # ---- prediction

    def start_prediction(
        self,
        planes: Sequence[tuple[str, int, int]],
        *,
        model: Path | None,
        backbone: str = DEFAULT_BACKBONE,
        overrides: Mapping[str, Any] | None = None,
        rescale: Mapping[str, float] | None = None,
    ) -> JobHandle:
        """Predict planes (image id, z, t) with a model (None: `backbone` as it is).

        `rescale` gives, by image id, the network's pixels per image pixel where the user wants another scale than
        the one that the model or the image's own cells suggest.
        """
        project = self._session.require_project()
        self._require_free("predict")
        if project.read_only:
            raise CellSeg1Error(project.why_read_only)
        if not planes:
            raise CellSeg1Error(self.tr("There is no image to predict; add images first."))
        self._session._remember_plane()
        folder = project.runs.new("predict")
        run_id = folder.name
        items = []
        for image_id, z, t in planes:
            entry = project.images.get(image_id)
            out = project.runs.proposals_path(run_id, image_id, z, t)
            items.append(
                PredictItem(
                    image_id=image_id,
                    path=project.images.path(image_id),
                    z=z,
                    t=t,
                    axes=entry.axes if entry.axes_by_hand else None,
                    out_candidates=out,
                    out_labels=out.with_suffix(".tif"),
                    scale=(rescale or {}).get(image_id),
                )
            )
        request = PredictRequest(
            model=model,
            items=tuple(items),
            run_folder=folder,
            overrides=dict(overrides or {}),
            device=self._session.preferences.values.device,
            backbone=backbone,
        )
        count = len({item.image_id for item in items})
        title = self.tr("Predicting {n} images").format(n=count) if count > 1 else self.tr("Predicting")
        project.runs.update(
            run_id,
            title=title,
            model=None if model is None else model.name,
            backbone=backbone,
            images={},
            # The engine reports the same at the end; images that are done before are shown with these already.
            select=dataclasses.asdict(select_settings(_settings_of(model, backbone, overrides or {}))),
        )
        handle = self._session.engines.start(request, title, run_id)
        job = self._begin(handle, project)
        _note(job, state="running", **handle.process_identity())
        handle.item_done.connect(lambda item: self._item_done(job, item))
        handle.finished.connect(lambda result: self._prediction_ended(job, "finished", result))
        handle.stopped.connect(lambda: self._prediction_ended(job, "stopped", handle.result))
        handle.failed.connect(lambda sentence, details: self._failed(job, sentence, details))
        self._tell_started(job)
        return handle

    def _item_done(self, job: _Job, item: ItemDone) -> None:
        session, project = self._session, job.project
        try:
            project.runs.add_result(
                job.handle.run_id, item.image_id, item.z, item.t, cells=item.cells, error=item.error
            )
        except CellSeg1Error as error:
            log.warning("%s in %s: %s", job.handle.run_id, project.folder, error)
        if project is not session.project or all(image.id != item.image_id for image in project.images):
            # Another project is shown, or the image was removed meanwhile; the result waits for it on the disk.
            return
        session.image_state_changed.emit(item.image_id)
        if (item.image_id, item.z, item.t) == (session.image_id, session.z, session.t) and not item.error:
            session.proposals.reload()

    def _prediction_ended(self, job: _Job, state: str, result: Mapping[str, Any] | None) -> None:
        values = dict(result or {})
        more = {"select": values["select"]} if "select" in values else {}
        _note(job, state=state, result=values, **more)
        session = self._session
        if job.project is session.project and session.proposals.run_id == job.handle.run_id:
            session.proposals.reload()
        self._over(job)

    # ---- both

    def _failed(self, job: _Job, sentence: str, details: str) -> None:
        _note(job, state="failed", result={"sentence": sentence})
        here = job.project is self._session.project
        self._session.problem.emit(sentence if here else f"{job.project.name}: {sentence}", details)
        self._over(job)

    def look_for_interrupted(self) -> None:
        """Tell which trainings of the opened project ended with the program and can go on."""
        project = self._session.project
        if project is None or project.read_only:
            return
        mine = {job.run_id for job in self.of(project)}
        running = {run.id for run in project.runs if run.state == "running"} - mine
        project.runs.interrupted()
        found = []
        for run in project.runs:
            # An engine that is left alone still says that it stopped: what was running then was interrupted.
            if run.id in running and run.state == "stopped":
                project.runs.update(run.id, resume_later=True)
            later = run.state == "interrupted" or (run.state == "stopped" and run.fields.get("resume_later"))
            if run.kind == "train" and later and run.id not in mine:
                found.append(run)
        if found:
            self.interrupted_found.emit(found)


def _note(job: _Job, **fields: Any) -> None:
    """Write down in the job's own project what became of it; a run that is not there any more is let be."""
    try:
        job.project.runs.update(job.handle.run_id, **fields)
    except CellSeg1Error as error:
        log.warning("%s in %s: %s", job.handle.run_id, job.project.folder, error)


def _prepare(
    project: Project,
    request: TrainRequest,
    planes: Sequence[tuple[str, int, int]],
    drawings: Mapping[tuple[str, int, int], Drawing | None],
) -> TrainRequest | CellSeg1Error:
    """Find the images of a training and write the cells of its planes as masks; for a thread."""
    images: list[Path] = []
    regions: list[Region | None] = []
    try:
        for mask, plane in zip(request.masks, planes, strict=True):
            images.append(_file_of(project, plane[0]))
            drawing = drawings[plane] or project.drawings.stored_drawing(*plane)
            if drawing is None:
                return CellSeg1Error(
                    QCoreApplication.translate(
                        "Jobs", "The cells of {name} could not be read. Open the image first."
                    ).format(name=project.images.get(plane[0]).name)
                )
            labels, attributes = drawing
            write_label_image(mask, labels)
            region = attributes.get("region")
            regions.append((int(region[0]), int(region[1]), int(region[2]), int(region[3])) if region else None)
    except CellSeg1Error as error:
        return error
    return dataclasses.replace(request, images=tuple(images), regions=tuple(regions))


def _file_of(project: Project, image_id: str) -> Path:
    path = project.images.path(image_id)
    if not path.exists():
        words = QCoreApplication.translate(
            "Jobs", "The image {name} is missing from {folder}; find it again in the image list."
        )
        raise CellSeg1Error(words.format(name=project.images.get(image_id).name, folder=path.parent))
    return path


def scale_difference(model_diameter: float | None, image_diameter: float | None) -> float | None:
    """Return image / model diameter when they differ by more than `SCALE_TOLERANCE`, else None."""
    if not model_diameter or not image_diameter:
        return None
    ratio = image_diameter / model_diameter
    return ratio if max(ratio, 1 / ratio) > 1 + SCALE_TOLERANCE else None


def _settings_of(model: Path | None, backbone: str, overrides: Mapping[str, Any]) -> Settings:
    """Return the settings with which a model (None: the backbone as it is) predicts."""
    if model is None:
        return untrained_settings(backbone, overrides)
    if model.suffix.lower() != ".cs1":
        return make_settings("paper", "vit_b", overrides)
    return settings_from_dict(load_card(model).settings).replace(**overrides)


def select_of(values: Mapping[str, Any]) -> SelectSettings:
    """Build the choice's settings from a run's stored values; unknown keys are ignored."""
    known = {field.name for field in dataclasses.fields(SelectSettings)}
    return SelectSettings(**{key: value for key, value in values.items() if key in known})


_PATHS = ("images", "masks", "out", "start_model")


def _plain_request(request: TrainRequest, root: Path) -> dict[str, Any]:
    """Return the request as JSON values, paths inside the project relative to it (it may be moved)."""

    def plain(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return [plain(one) for one in value]
        if hasattr(value, "is_relative_to"):
            return str(value.relative_to(root).as_posix()) if value.is_relative_to(root) else str(value)
        return value

    values = {field.name: plain(getattr(request, field.name)) for field in dataclasses.fields(request)}
    del values["run_folder"], values["resume"]
    return values


def _request_from_plain(values: Mapping[str, Any], root: Path, folder: Path) -> TrainRequest:
    """Read what `_plain_request` wrote; the training then goes on from its checkpoint."""
    read = dict(values)
    for name in _PATHS:
        value = read.get(name)
        if isinstance(value, list):
            read[name] = tuple(root / one for one in value)
        elif value is not None:
            read[name] = root / value
    read["regions"] = tuple(None if one is None else tuple(one) for one in read.get("regions", ()))
    read["planes"] = tuple(tuple(one) for one in read.get("planes", ()))
    read["axes"] = tuple(read.get("axes", ()))
    read["channels"] = tuple(read.get("channels", ()))
    return TrainRequest(**read, run_folder=folder, resume=True)
