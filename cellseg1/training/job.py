"""The training job: annotated image files in, one model file out.  One function for window, command line and Python."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from cellseg1.errors import ModelFileError
from cellseg1.files import (
    PathLike,
    as_paths,
    check_room,
    file_sha256,
)
from cellseg1.images import Image, read_image
from cellseg1.lora import (
    Card,
    trainable_summary,
)
from cellseg1.masks import Pieces
from cellseg1.model import Model
from cellseg1.sam.memory import is_out_of_memory
from cellseg1.settings import DEFAULT_BACKBONE, DEFAULT_RECIPE, TABLE, Settings
from cellseg1.text import safe_text
from cellseg1.training.checkpoint import checkpoint_path, model_path, read_checkpoint
from cellseg1.training.samples import SampleSource, TrainingImage, rescaled
from cellseg1.training.share import ap_before, share_for
from cellseg1.training.trainer import Trainer, TrainOutcome, TrainProgress
from cellseg1.trouble import reading

if TYPE_CHECKING:
    from cellseg1.images.specification import ChannelWish
from cellseg1.training.adapter import adapted_backbone, room_needed
from cellseg1.training.inputs import Region, TrainingInput
from cellseg1.training.plan import TrainingFiles, TrainPlan, plan_training
from cellseg1.training.record import forget, make_card, measured, noted, save_safely, write_statistics


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training gave: the model's file and card, how it went, and what was said about the input."""

    path: Path
    card: Card
    outcome: TrainOutcome
    notes: tuple[str, ...]


def train(
    images: PathLike | Sequence[PathLike],
    masks: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    regions: Sequence[Region | None] | None = None,
    backbone: str = DEFAULT_BACKBONE,
    recipe: str = DEFAULT_RECIPE,
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    resume: bool = False,
    progress: Callable[[TrainProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
    measure: bool | Callable[[TrainOutcome], bool] = True,
    start_model: PathLike | None = None,
    planes: Sequence[tuple[int, int] | None] | None = None,
    channels: ChannelWish | None = None,
    read: Callable[[Path], Image] = read_image,
    pieces: Pieces = "auto",
    watch: Callable[[Model, Sequence[TrainingImage]], None] | None = None,
) -> TrainResult:
    """Fine-tune a backbone on annotated images.

    Everything that can be refused is refused before the first step, and the weights are written before figures on the
    card.

    Parameters
    ----------
    images, masks
        Files in the same order, or one file each.
    out
        The model file, ``.cs1`` or ``.pth`` (published format).  An existing file is never replaced: the new one
        gets a number.
    regions
        For each image the part that is fully annotated: (x, y, width, height) in pixels, or a mask (file or array);
        None for the whole image.
    overrides
        Settings by name, see `cellseg1.settings`.
    resume
        Continue the interrupted training of `out`.
    progress, stop
        See `cellseg1.training.trainer.Trainer`.  A stopped training keeps its model and can be resumed.
    say
        Called with every sentence the user should see: conversions, warnings about the masks, the preset chosen.
    measure
        Predict the training image at the end and write its AP@0.5 into the card; a function is called at the end.
    start_model
        A model of the same backbone whose adapter the training starts with.  It also gives the ranks, unless
        `overrides` names them.
    planes
        For each image the plane (z, t) of the image and its mask; None for the first.
    channels
        One to three channels for the network, as names or numbers (from 0): ``"DAPI,2"`` or ``["DAPI", 2]``.  None:
        those of `start_model`; without it all of up to three, else the first three that are not empty.  They are
        stored in the model.
    read
        Reads an image file, to override the axes of the file.
    pieces
        Whether separate pieces of one id or colour are separate cells, see `cellseg1.masks.open_mask`.
    watch
        Called once before the first step with the model in training and the training images.  The model may be used to
        predict whenever `progress` or `stop` is called, which is between two steps; that does not change the
        training.

    Raises
    ------
    CellSeg1Error
        One sentence about what is wrong with the input, the settings, the backbone or the output folder.
    """
    notes: list[str] = []

    def tell(sentence: str) -> None:
        notes.append(safe_text(sentence))
        if say is not None:
            say(notes[-1])

    files = TrainingFiles(
        images=as_paths(images),
        masks=as_paths(masks),
        regions=regions or (),
        planes=planes or (),
        read=read,
        pieces=pieces,
    )
    plan = plan_training(
        files,
        Path(out),
        backbone=backbone,
        recipe=recipe,
        overrides=overrides or {},
        device=device,
        resume=resume,
        start_model=None if start_model is None else Path(start_model),
        channels=channels,
        tell=tell,
    )
    return _run(plan, measure=measure, watch=watch, progress=progress, stop=stop, tell=tell, notes=notes)


def _run(
    plan: TrainPlan,
    *,
    measure: bool | Callable[[TrainOutcome], bool],
    watch: Callable[[Model, Sequence[TrainingImage]], None] | None,
    progress: Callable[[TrainProgress], None] | None,
    stop: Callable[[], bool] | None,
    tell: Callable[[str], None],
    notes: list[str],
) -> TrainResult:
    """Carry out the plan and write the model."""
    model, trainer, remark = _prepared(plan, progress, stop, tell)
    settings = plan.settings
    if plan.resumes:
        tell(f"Resumed after {trainer.resume()} of {trainer.steps} steps.")
    card = noted(model.card, remark) if remark else model.card
    if plan.start_model is not None:
        card = noted(card, f"Trained on from {plan.start_model.name}.")
    model = dataclasses.replace(model, card=card)
    if watch is not None:
        watch(model, plan.images)
    outcome = trainer.run()
    trainer.average()
    model.module.eval()
    if not outcome.finished:
        card = noted(card, f"Stopped after {outcome.epochs:.1f} of {settings.training.epoch_max} epochs.")
    assert trainer.checkpoint is not None
    saved = save_safely(model_path(trainer.checkpoint), model.module, card, new=not plan.resumes, tell=tell)
    if outcome.finished:
        forget(trainer.checkpoint)
    if measure(outcome) if callable(measure) else measure:
        card = measured(saved, dataclasses.replace(model, card=card), plan.images, tell)
    if settings.log.track_gpu_memory:
        write_statistics(plan.target.parent / "memory_stats.json", outcome, tell)
    return TrainResult(saved, card, outcome, tuple(notes))


def _prepared(
    plan: TrainPlan,
    progress: Callable[[TrainProgress], None] | None,
    stop: Callable[[], bool] | None,
    tell: Callable[[str], None],
) -> tuple[Model, Trainer, str]:
    """Build the network and its trainer; also return the card's note about the share of the change that is kept."""
    settings, target = plan.settings, plan.target
    ready = [rescaled(image, plan.scale) for image in plan.images]
    network, sha256 = adapted_backbone(plan.backbone, settings, plan.device, plan.start_model)
    module = network
    assert isinstance(module, nn.Module)
    tell(trainable_summary(module))
    check_room(target.resolve().parent, room_needed(module), f"the training of {target.name}")
    card = make_card(plan.inputs, plan.specification, settings, plan.recipe, plan.backbone, sha256, plan.scale)
    model = Model(network, card, settings, plan.specification, plan.scale)
    stored = _stored_share(checkpoint_path(target)) if plan.resumes else None
    share, remark = stored or _choose_share(model, plan.inputs)
    if remark:
        tell(remark)
    trainer = Trainer(
        network,
        SampleSource(ready, settings),
        settings,
        checkpoint=checkpoint_path(target),
        fingerprint=_fingerprint(plan.inputs, settings, sha256, plan.start_model),
        progress=progress,
        stop=stop,
        trained_share=share,
        noted={"share": [share, remark]},
    )
    return model, trainer, remark


def _stored_share(checkpoint: Path) -> tuple[float, str] | None:
    """Return the share that `_choose_share` found before the first step; prediction settings may have changed since."""
    with reading(ModelFileError, f"The checkpoint {checkpoint} is damaged; move it away and train again."):
        stored = read_checkpoint(checkpoint).get("share")
        found = None if stored is None else (float(stored[0]), str(stored[1]))
    return found  # noqa: RET504 - to a type checker the boundary may swallow what is returned in it


def _choose_share(model: Model, inputs: Sequence[TrainingInput]) -> tuple[float, str]:
    """Choose the share of the change that is kept (weight interpolation), with a sentence where it was measured.

    The network of `model` is still untrained.
    """
    if model.settings.training.trained_share is not None:
        return model.settings.training.trained_share, ""
    training = model.module.training
    model.module.eval()
    try:
        ap = ap_before(model, [entry.image for entry in inputs])
        share = share_for(ap)
        kept = "all" if share == 1 else f"{share:.0%}"
        remark = f"Before the training the AP on these images is {ap:.2f}, so {kept} of what is learned is used."
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        # A training can do with less memory, tile by tile; it must not end over this.
        share = 0.75
        remark = "Memory was not enough to look at the images before the training; 75% of what is learned is used."
    model.module.train(training)
    return share, remark


def _fingerprint(inputs: Sequence[TrainingInput], settings: Settings, sha256: str, start_model: Path | None) -> str:
    """Hash of everything that decides the result of a training."""
    values = {
        name: value
        for name, value in settings.to_dict().items()
        if TABLE[name].use in {"train", "both"} and name not in {"checkpoint_seconds", "gradient_checkpointing"}
    }
    digest = hashlib.sha256()
    for entry in inputs:
        digest.update(entry.card.sha256.encode() + entry.card.mask_sha256.encode())
        if entry.image.annotated is not None:
            digest.update(np.packbits(entry.image.annotated).tobytes())
        if entry.reading != "0 0 ":
            digest.update(entry.reading.encode())
        if entry.specification.by_hand:
            digest.update(str(entry.specification.channels).encode())
    if start_model is not None:
        digest.update(file_sha256(start_model).encode())
    digest.update(json.dumps([values, sha256], sort_keys=True).encode())
    return digest.hexdigest()
