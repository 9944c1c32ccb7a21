"""Conversion of a run of a project to a request to an engine, and storing and reading both."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication

from cellseg1.errors import CellSeg1Error
from cellseg1.files import free_file
from cellseg1.lora.header import load_card
from cellseg1.masks import write_label_image
from cellseg1.prediction.select import SelectSettings
from cellseg1.settings import DEFAULT_BACKBONE, Settings, make_settings, settings_from_dict, untrained_settings

from ..engine.messages import PredictItem, PredictRequest, TrainRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ..project.project import Project

    Region = tuple[int, int, int, int]
    #: Label image and attributes of a plane.
    Drawing = tuple[NDArray[np.int32], dict[str, Any]]
    #: (image id, z, t)
    Plane = tuple[str, int, int]

#: Largest relative difference in scale between model and image without a remark.
SCALE_TOLERANCE = 0.2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrainingWish:
    """The user's choices for a training, besides the images.

    Attributes
    ----------
    name
        Name of the new model.
    channels
        Names or numbers (from 0) of the input channels; empty: chosen by the library.
    start_model
        The model that the training continues from; None: the plain backbone.
    """

    name: str
    backbone: str
    recipe: str = "studio"
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    start_model: Path | None = None
    channels: Sequence[str | int] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PredictionWish:
    """The user's choices for a prediction.

    Attributes
    ----------
    planes
        (image id, z, t) of each.
    model
        None: `backbone` alone.
    rescale
        By image id the network's pixels per image pixel, where the user chose another scale than that of the model
        or of the image's own cells.
    """

    planes: Sequence[Plane]
    model: Path | None
    backbone: str = DEFAULT_BACKBONE
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rescale: Mapping[str, float] = dataclasses.field(default_factory=dict)


def training_planes(project: Project) -> list[Plane]:
    """Return the planes that are marked for training and have cells."""
    return [
        plane
        for plane in project.images.training()
        if project.images.get(plane[0]).planes[f"{plane[1]},{plane[2]}"].get("cells", 0)
    ]


def training_request(
    project: Project, run_folder: Path, wish: TrainingWish, planes: Sequence[Plane], device: str
) -> TrainRequest:
    """Make the request of a training, still without images: `prepare_training` finds them."""
    entries = [project.images.get(image_id) for image_id, _z, _t in planes]
    return TrainRequest(
        # Their paths are resolved with the masks, in a thread: a file server may be unreachable.
        images=(),
        masks=tuple(run_folder / f"mask_{number:03d}.tif" for number in range(len(planes))),
        planes=tuple((z, t) for _image_id, z, t in planes),
        axes=tuple(entry.axes if entry.axes_by_hand else None for entry in entries),
        channels=tuple(wish.channels),
        out=free_file(project.models_folder / f"{wish.name}.cs1"),
        run_folder=run_folder,
        backbone=wish.backbone,
        recipe=wish.recipe,
        overrides=dict(wish.overrides),
        device=device,
        resume=False,
        start_model=wish.start_model,
        preview=True,
    )


def prediction_request(project: Project, run_folder: Path, wish: PredictionWish, device: str) -> PredictRequest:
    """Make the request of a prediction, with the images where they were last: `prepare_prediction` looks for them."""
    items = []
    for image_id, z, t in wish.planes:
        entry = project.images.get(image_id)
        out = project.runs.proposals_path(run_folder.name, image_id, z, t)
        items.append(
            PredictItem(
                image_id=image_id,
                path=project.images.places_of(entry)[0],
                z=z,
                t=t,
                axes=entry.axes if entry.axes_by_hand else None,
                out_candidates=out,
                out_labels=out.with_suffix(".tif"),
                scale=wish.rescale.get(image_id),
            )
        )
    return PredictRequest(
        model=wish.model,
        items=tuple(items),
        run_folder=run_folder,
        overrides=dict(wish.overrides),
        device=device,
        backbone=wish.backbone,
    )


def prepare_prediction(project: Project, request: PredictRequest) -> PredictRequest | CellSeg1Error:
    """Find the images of a prediction; for a thread, because a file server may be away."""
    try:
        items = [dataclasses.replace(item, path=project.images.path(item.image_id)) for item in request.items]
    except CellSeg1Error as error:
        return error
    return dataclasses.replace(request, items=tuple(items))


def prepare_training(
    project: Project,
    request: TrainRequest,
    planes: Sequence[Plane],
    drawings: Mapping[Plane, Drawing | None],
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


def settings_of_model(model: Path | None, backbone: str, overrides: Mapping[str, Any]) -> Settings:
    """Return the prediction settings of a model (None: of the plain backbone)."""
    if model is None:
        return untrained_settings(backbone, overrides)
    if model.suffix.lower() != ".cs1":
        return make_settings("paper", "vit_b", overrides)
    return settings_from_dict(load_card(model).settings).replace(**overrides)


def select_of(values: Mapping[str, Any]) -> SelectSettings:
    """Build the selection settings from a run's stored values; unknown keys are ignored."""
    known = {field.name for field in dataclasses.fields(SelectSettings)}
    return SelectSettings(**{key: value for key, value in values.items() if key in known})


_PATHS = ("images", "masks", "out", "start_model")


def plain_request(request: TrainRequest, root: Path) -> dict[str, Any]:
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


def request_from_plain(values: Mapping[str, Any], root: Path, folder: Path) -> TrainRequest:
    """Read the output of `plain_request`; the training then continues from its checkpoint."""
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
