"""The plan of a training: everything that can refuse it is checked before the first step."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cellseg1.errors import ModelFileError, OutputError
from cellseg1.files import (
    check_writable,
    is_taken,
    numbered,
)
from cellseg1.images import Image, InputSpecification, read_image
from cellseg1.lora import (
    check_pth,
)
from cellseg1.masks import Pieces
from cellseg1.model import check_input_settings, input_of
from cellseg1.sam.device import choose_device
from cellseg1.sam.registry import canonical_name
from cellseg1.settings import Settings, make_settings, memory_preset
from cellseg1.training.checkpoint import checkpoint_path
from cellseg1.training.samples import TrainingImage

if TYPE_CHECKING:
    from cellseg1.images.specification import ChannelWish
from cellseg1.training.adapter import channels_of, lora_config, ranks_of
from cellseg1.training.inputs import Region, TrainingInput, read_training_set, scale_for, specification_of

#: Most bytes of a file name, less a number for the next free name.
_LONGEST_NAME = 255 - len("_9999")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingFiles:
    """The files of a training; all lists are in the same order.

    Attributes
    ----------
    regions
        For each image its annotated part; empty for the whole of all.
    planes
        For each image the plane (z, t); empty for the first of all.
    read, pieces
        Options for reading images and masks, see `cellseg1.training.job.train`.
    """

    images: Sequence[Path]
    masks: Sequence[Path]
    regions: Sequence[Region | None] = ()
    planes: Sequence[tuple[int, int] | None] = ()
    read: Callable[[Path], Image] = read_image
    pieces: Pieces = "auto"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainPlan:
    """A checked training.

    Attributes
    ----------
    target
        The model file that will be written.
    resumes
        Whether an interrupted training of it is continued.
    start_model
        The model whose adapter it starts with; None for a new one.
    specification
        The input specification, with the chosen channels.
    scale
        Model-input pixels per image pixel.
    """

    backbone: str
    recipe: str
    settings: Settings
    device: torch.device
    target: Path
    resumes: bool
    start_model: Path | None
    inputs: Sequence[TrainingInput]
    specification: InputSpecification
    scale: float

    @property
    def images(self) -> list[TrainingImage]:
        """The images with their labels, at the original scale."""
        return [entry.image for entry in self.inputs]


def plan_training(
    files: TrainingFiles,
    out: Path,
    *,
    backbone: str,
    recipe: str,
    overrides: Mapping[str, Any],
    device: str,
    resume: bool,
    start_model: Path | None,
    channels: ChannelWish | None,
    tell: Callable[[str], None],
) -> TrainPlan:
    """Check everything that can refuse a training before anything is computed; parameters as in `train`.

    The order: names, device, settings, format against backbone, target, images with masks, regions and channels.

    Raises
    ------
    CellSeg1Error
        One sentence about what is wrong.
    """
    name = canonical_name(backbone)
    check_model_name(out)
    chosen = choose_device(device)
    preset_name, preset = memory_preset(_free_gib(chosen), name)
    ranks = {} if start_model is None else ranks_of(start_model)
    settings = make_settings(recipe, name, overrides, {**preset, **ranks})
    if preset:
        tell(f"Preset for this computer: {preset_name} (batch {settings.training.batch_size}).")
    check_input_settings(overrides, settings)
    if out.suffix.lower() == ".pth":
        check_pth(name, lora_config(settings))
    target, resumes = _target(out, resume=resume, tell=tell)
    check_writable(target.resolve().parent)
    seen = input_of(settings).with_channels(channels)
    if channels is None and start_model is not None:
        seen = channels_of(start_model, seen)
    inputs = read_training_set(
        files.images,
        files.masks,
        files.regions,
        seen,
        tell,
        planes=files.planes,
        read=files.read,
        pieces=files.pieces,
    )
    return TrainPlan(
        backbone=name,
        recipe=recipe,
        settings=settings,
        device=chosen,
        target=target,
        resumes=resumes,
        start_model=start_model,
        inputs=inputs,
        specification=specification_of(inputs),
        scale=scale_for([entry.image for entry in inputs], settings),
    )


def check_model_name(out: Path) -> None:
    """Refuse a name without a known suffix, one that is too long, or a folder (`OutputError`)."""
    if out.suffix.lower() not in {".cs1", ".pth"}:
        raise OutputError(f"The model file {out.name} must end in .cs1 (or .pth for the published format).")
    if len(os.fsencode(checkpoint_path(out).name)) > _LONGEST_NAME:
        raise OutputError(f"The name of the model file {out.name[:40]}... is too long; give a shorter one.")
    if out.is_dir():
        raise OutputError(f"{out} is a folder; give the name of the model file to write in it.")


def _target(out: Path, *, resume: bool, tell: Callable[[str], None]) -> tuple[Path, bool]:
    """Decide which file is written, and whether an interrupted training of it is continued."""
    number, target = 1, out
    while is_taken(target) and not checkpoint_path(target).exists():
        number += 1
        target = numbered(out, number)
    checkpoint = checkpoint_path(target)
    if checkpoint.exists():
        if resume:
            # A stopped training has left an earlier state of the same model there.
            return target, True
        raise ModelFileError(
            f"An interrupted training of {target} can be resumed with --resume; to train anew give another --out "
            f"or remove {checkpoint}."
        )
    if resume and number > 1:
        raise ModelFileError(f"The training of {out} is complete, so there is nothing to resume; leave out --resume.")
    if resume:
        tell("There is no interrupted training to resume; it begins anew.")
    if number > 1:
        tell(f"{out.name} exists and is kept; the new model is {target.name}.")
    return target, False


def _free_gib(device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    free, _total = torch.cuda.mem_get_info(device)
    return float(free / 2**30)
