"""Training and prediction as the window starts them: inputs from the project, results back into it."""

from __future__ import annotations

import dataclasses
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

    from app.engine.client import JobHandle
    from app.project.project import Project
    from app.session import Session

    Region = tuple[int, int, int, int]
    Drawing = tuple[NDArray[np.int32], dict[str, Any]]

#: Models are used on images whose scale differs by at most this share without a remark (issue: 20 %).
SCALE_TOLERANCE = 0.2


class Jobs(QObject):
    """Starts, follows and records jobs.

    Attributes
    ----------
    training, prediction
        The job in progress, or None.
    """

    started = Signal(object)
    ended = Signal(object)
    interrupted_found = Signal(list)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.training: JobHandle | None = None
        self.prediction: JobHandle | None = None

    @property
    def running(self) -> list[JobHandle]:
        """Jobs in progress."""
        return [job for job in (self.training, self.prediction) if job is not None]

    # ---- training

    def start_training(
        self,
        name: str,
        *,
        backbone: str,
        recipe: str = "studio",
        overrides: Mapping[str, Any] | None = None,
        start_model: Path | None = None,
    ) -> JobHandle:
        """Train on the planes marked for training (or the shown one when none is).

        Raises
        ------
        CellSeg1Error
            When a training runs already, nothing is annotated, or the project cannot be written.
        """
        project = self._session.require_project()
        if self.training is not None:
            raise CellSeg1Error(self.tr("A training is running already; stop it first or wait for its end."))
        if project.read_only:
            raise CellSeg1Error(project.why_read_only)
        if not project.training_images() and self._session.document is not None and len(self._session.document.cells):
            self._session.set_training(True)
        self._session._remember_plane()
        drawn = {
            plane: int(project.image(plane[0]).planes[f"{plane[1]},{plane[2]}"].get("cells", 0))
            for plane in project.training_images()
        }
        planes = [plane for plane, cells in drawn.items() if cells]
        if not planes:
            raise CellSeg1Error(
                self.tr("No cells are drawn yet. Draw a few dozen cells on one image, then train on it.")
            )
        images = [self._file_of(image_id) for image_id, _z, _t in planes]
        entries = [project.image(image_id) for image_id, _z, _t in planes]
        folder = project.new_run("train")
        run_id = folder.name
        request = TrainRequest(
            images=tuple(images),
            masks=tuple(folder / f"mask_{number:03d}.tif" for number in range(len(planes))),
            planes=tuple((z, t) for _image_id, z, t in planes),
            axes=tuple(entry.axes if entry.axes_by_hand else None for entry in entries),
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
        project.update_run(
            run_id,
            title=name,
            request=_plain_request(request, project.folder),
            images={image_id: {"z": z, "t": t} for image_id, z, t in planes},
            planes=[list(plane) for plane in planes],
        )
        job = self._launch_training(request, name, run_id, held=True)
        # What is open may be edited while the masks are written, so a thread gets copies; the rest it reads itself.
        drawings = {plane: project.drawing_of(*plane) for plane in planes}
        self._session.run(
            lambda: _write_masks(project, request, planes, drawings),
            lambda regions: self._masks_written(job, request, regions),
            self.tr("Writing the masks"),
        )
        return job

    def _masks_written(
        self, job: JobHandle, request: TrainRequest, regions: tuple[Region | None, ...] | CellSeg1Error
    ) -> None:
        project = self._session.project
        if isinstance(regions, CellSeg1Error):
            job.give_up(str(regions))
            return
        request = dataclasses.replace(request, regions=regions)
        if project is not None and any(run.id == job.run_id for run in project.runs):
            project.update_run(job.run_id, request=_plain_request(request, project.folder))
        job.release(request)

    def _file_of(self, image_id: str) -> Path:
        project = self._session.require_project()
        path = project.image_path(image_id)
        if not path.exists():
            raise CellSeg1Error(
                self.tr("The image {name} is missing from {folder}; find it again in the image list.").format(
                    name=project.image(image_id).name, folder=path.parent
                )
            )
        return path

    def resume_training(self, run_id: str) -> JobHandle:
        """Go on with an interrupted or stopped training."""
        project = self._session.require_project()
        if self.training is not None:
            raise CellSeg1Error(self.tr("A training is running already; stop it first or wait for its end."))
        run = next(one for one in project.runs if one.id == run_id)
        request = _request_from_plain(run.fields["request"], project.folder, project.runs_folder / run_id)
        request = dataclasses.replace(request, device=self._session.preferences.values.device)
        return self._launch_training(request, str(run.fields.get("title", run_id)), run_id)

    def _launch_training(self, request: TrainRequest, title: str, run_id: str, *, held: bool = False) -> JobHandle:
        project = self._session.require_project()
        words = self.tr("Training {name}").format(name=title)
        job = self._session.engines.start(request, words, run_id, held=held)
        self.training = job
        project.update_run(run_id, state="running", resume_later=False, **job.process_identity())
        job.finished.connect(lambda result: self._training_ended(job, "finished", result))
        job.stopped.connect(lambda: self._training_ended(job, "stopped", job.result))
        job.failed.connect(lambda sentence, details: self._failed(job, sentence, details))
        self.started.emit(job)
        return job

    def _training_ended(self, job: JobHandle, state: str, result: Mapping[str, Any] | None) -> None:
        self.training = None
        session = self._session
        self._record(job, state, result or {})
        path = (result or {}).get("model")
        session.models_changed.emit()
        if (
            path
            and session.project is not None
            and session.project.models_folder in type(session.project.folder)(path).parents
        ):
            session.set_model(type(session.project.folder)(path))
        self.ended.emit(job)

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
        if self.prediction is not None:
            raise CellSeg1Error(self.tr("A prediction is running already; cancel it first or wait for its end."))
        if project.read_only:
            raise CellSeg1Error(project.why_read_only)
        if not planes:
            raise CellSeg1Error(self.tr("There is no image to predict; add images first."))
        self._session._remember_plane()
        folder = project.new_run("predict")
        run_id = folder.name
        items = []
        for image_id, z, t in planes:
            entry = project.image(image_id)
            out = project.proposals_path(run_id, image_id, z, t)
            items.append(
                PredictItem(
                    image_id=image_id,
                    path=project.image_path(image_id),
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
        project.update_run(
            run_id,
            title=title,
            model=None if model is None else model.name,
            backbone=backbone,
            images={},
            # The engine reports the same at the end; images that are done before are shown with these already.
            select=dataclasses.asdict(select_settings(_settings_of(model, backbone, overrides or {}))),
        )
        job = self._session.engines.start(request, title, run_id)
        self.prediction = job
        project.update_run(run_id, state="running", **job.process_identity())
        job.item_done.connect(lambda item: self._item_done(run_id, item))
        job.finished.connect(lambda result: self._prediction_ended(job, "finished", result))
        job.stopped.connect(lambda: self._prediction_ended(job, "stopped", job.result))
        job.failed.connect(lambda sentence, details: self._failed(job, sentence, details))
        self.started.emit(job)
        return job

    def _item_done(self, run_id: str, item: Any) -> None:
        session = self._session
        project = session.project
        if project is None:
            return
        project.add_result(run_id, item.image_id, item.z, item.t, cells=item.cells, error=item.error)
        session.image_state_changed.emit(item.image_id)
        if (item.image_id, item.z, item.t) == (session.image_id, session.z, session.t) and not item.error:
            session.proposals.reload()

    def _prediction_ended(self, job: JobHandle, state: str, result: Mapping[str, Any] | None) -> None:
        self.prediction = None
        values = dict(result or {})
        project = self._session.project
        if "select" in values and project is not None:
            project.update_run(job.run_id, select=values["select"])
        self._record(job, state, values)
        if self._session.proposals.run_id == job.run_id:
            self._session.proposals.reload()
        self.ended.emit(job)

    # ---- both

    def _record(self, job: JobHandle, state: str, result: Mapping[str, Any]) -> None:
        project = self._session.project
        if project is not None and any(run.id == job.run_id for run in project.runs):
            project.update_run(job.run_id, state=state, result=dict(result))

    def _failed(self, job: JobHandle, sentence: str, details: str) -> None:
        if job is self.training:
            self.training = None
        elif job is self.prediction:
            self.prediction = None
        self._record(job, "failed", {"sentence": sentence})
        self._session.problem.emit(sentence, details)
        self.ended.emit(job)

    def look_for_interrupted(self) -> None:
        """Tell which trainings of the opened project ended with the program and can go on."""
        project = self._session.project
        if project is None or project.read_only:
            return
        running = {run.id for run in project.runs if run.state == "running"}
        project.interrupted_runs()
        found = []
        for run in project.runs:
            # An engine that is left alone still says that it stopped: what was running then was interrupted.
            if run.id in running and run.state == "stopped":
                project.update_run(run.id, resume_later=True)
            later = run.state == "interrupted" or (run.state == "stopped" and run.fields.get("resume_later"))
            if run.kind == "train" and later:
                found.append(run)
        if found:
            self.interrupted_found.emit(found)


def _write_masks(
    project: Project,
    request: TrainRequest,
    planes: Sequence[tuple[str, int, int]],
    drawings: Mapping[tuple[str, int, int], Drawing | None],
) -> tuple[Region | None, ...] | CellSeg1Error:
    """Write the cells of planes as masks of a training; returns their regions.  For a thread."""
    regions: list[Region | None] = []
    try:
        for mask, plane in zip(request.masks, planes, strict=True):
            drawing = drawings[plane] or project.stored_drawing(*plane)
            if drawing is None:
                return CellSeg1Error(
                    QCoreApplication.translate(
                        "Jobs", "The cells of {name} could not be read. Open the image first."
                    ).format(name=project.image(plane[0]).name)
                )
            labels, attributes = drawing
            write_label_image(mask, labels)
            region = attributes.get("region")
            regions.append((int(region[0]), int(region[1]), int(region[2]), int(region[3])) if region else None)
    except CellSeg1Error as error:
        return error
    return tuple(regions)


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
    return TrainRequest(**read, run_folder=folder, resume=True)
