"""The training job: annotated image files in, one model file out.  One function for window, command line and Python."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cellseg1.errors import CellSeg1Error, ImageError, MaskError, ModelFileError, OutputError, SettingsError
from cellseg1.files import (
    PathLike,
    as_paths,
    check_room,
    check_writable,
    file_sha256,
    is_taken,
    numbered,
    remove_unfinished,
    write_bytes,
    write_free,
)
from cellseg1.images import Image, InputSpecification, plane_input, read_image
from cellseg1.lora import (
    Card,
    LoraConfig,
    apply_model,
    apply_pth,
    check_pth,
    inject_lora,
    load_card,
    read_pth,
    save_model,
    trainable_parameters,
    trainable_summary,
    write_pth,
)
from cellseg1.lora import TrainingImage as CardImage
from cellseg1.masks import Pieces, look_at_masks, median_cell_diameter, open_mask, read_mask
from cellseg1.model import Model, check_input_settings, input_of, prepare_backbone
from cellseg1.sam.device import choose_device
from cellseg1.sam.memory import is_out_of_memory
from cellseg1.sam.registry import canonical_name, data_dir
from cellseg1.settings import DEFAULT_BACKBONE, DEFAULT_RECIPE, TABLE, Settings, make_settings, memory_preset
from cellseg1.text import json_text, safe_text
from cellseg1.training.checkpoint import checkpoint_path, model_path, read_checkpoint
from cellseg1.training.samples import SampleSource, TrainingImage, rescaled
from cellseg1.training.share import ap_before, ap_of, share_for
from cellseg1.training.trainer import Trainer, TrainOutcome, TrainProgress
from cellseg1.trouble import explained, reading

if TYPE_CHECKING:
    from cellseg1.images.specification import ChannelWish
    from cellseg1.sam.interface import Backbone

#: Factor between image and model input beyond which a rescaling would not help.
_SCALE_LIMITS = (0.1, 10.0)
#: Rescaling by less than this share changes nothing but sharpness.
_SCALE_TOLERANCE = 0.05

#: Bytes of a name, less what a number for the next free one takes.
_LONGEST_NAME = 255 - len("_9999")

Region = tuple[int, int, int, int] | PathLike | NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training gave: the model's file and card, how it went, and what was said about the input."""

    path: Path
    card: Card
    outcome: TrainOutcome
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Input:
    image: TrainingImage
    card: CardImage
    pixel_size: float | None
    #: Tells apart what one file can be read as; "0 0 " is its first plane.
    reading: str
    #: With the channels that were used written down.
    specification: InputSpecification


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

    Whatever can be refused is refused before the first step, and the weights are written before anything that only
    adorns them.

    Parameters
    ----------
    images, masks
        Files, in the same order; a single one may stand alone.
    out
        The model file, ``.cs1`` or ``.pth`` (published format).  An existing file is never replaced: the new one
        gets a number.
    regions
        For each image the part that is fully annotated: (x, y, width, height) in pixels, or a mask (file or array);
        None for the whole image.
    overrides
        Settings by name, see `cellseg1.settings`.
    resume
        Take up the interrupted training that was to write `out`.
    progress, stop
        See `cellseg1.training.trainer.Trainer`.  A stopped training keeps its model and can be resumed.
    say
        Called with every sentence the user should see: conversions, warnings about the masks, the preset chosen.
    measure
        Predict the training image at the end and write AP@0.5 on it into the card; a function is asked at the end.
    start_model
        A model of the same backbone whose adapter the training begins with, instead of a fresh one.  It also gives
        the ranks, unless `overrides` name them.
    planes
        For each image the plane (z, t) that is used, of the image and of its mask; None for the first.
    channels
        One to three channels that the network sees, as names or numbers (from 0): ``"DAPI,2"`` or ``["DAPI", 2]``.
        None: those of `start_model`; without it all of up to three, else the first three that hold anything.  They
        are stored in the model.
    read
        Reads an image file, where the file's own axes are not to be believed.
    pieces
        Whether separate pieces of one id or colour are separate cells, see `cellseg1.masks.open_mask`.
    watch
        Called once before the first step with the model that is being trained and the training images.  The model
        may be used to predict whenever `progress` or `stop` is called, which is between two steps; that does not
        change what is learned.

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

    out, image_files, mask_files = Path(out), as_paths(images), as_paths(masks)
    first = None if start_model is None else Path(start_model)
    name = canonical_name(backbone)
    check_model_name(out)
    chosen = choose_device(device)
    preset_name, preset = memory_preset(_free_gib(chosen), name)
    ranks = {} if first is None else _ranks_of(first)
    settings = make_settings(recipe, name, overrides, {**preset, **ranks})
    if preset:
        tell(f"Preset for this computer: {preset_name} (batch {settings.training.batch_size}).")
    check_input_settings(overrides or {}, settings)
    if out.suffix.lower() == ".pth":
        check_pth(name, lora_config(settings))
    target, resumable = _target(out, resume=resume, tell=tell)
    check_writable(target.resolve().parent)
    seen = input_of(settings).with_channels(channels)
    if channels is None and first is not None:
        seen = _channels_of(first, seen)
    inputs = read_training_set(image_files, mask_files, regions, seen, tell, planes=planes, read=read, pieces=pieces)
    seen = _specification_of(inputs)
    scale = _scale_for([entry.image for entry in inputs], settings)
    ready = [rescaled(entry.image, scale) for entry in inputs]

    model, sha256 = _adapted_backbone(name, settings, chosen, first)
    module = model
    assert isinstance(module, nn.Module)
    tell(trainable_summary(module))
    check_room(target.resolve().parent, _room_needed(module), f"the training of {target.name}")
    card = _make_card(inputs, seen, settings, recipe, name, sha256, scale)
    stored = _stored_share(checkpoint_path(target)) if resumable else None
    share, remark = stored or _choose_share(Model(model, card, settings, seen, scale), inputs)
    if remark:
        tell(remark)
        card = _noted(card, remark)
    trainer = Trainer(
        model,
        SampleSource(ready, settings),
        settings,
        checkpoint=checkpoint_path(target),
        fingerprint=_fingerprint(inputs, settings, sha256, first),
        progress=progress,
        stop=stop,
        trained_share=share,
        noted={"share": [share, remark]},
    )
    if resumable:
        tell(f"Resumed after {trainer.resume()} of {trainer.steps} steps.")
    if first is not None:
        card = _noted(card, f"Trained on from {first.name}.")
    if watch is not None:
        watch(Model(model, card, settings, seen, scale), [entry.image for entry in inputs])
    outcome = trainer.run()
    trainer.average()
    module.eval()
    if not outcome.finished:
        card = _noted(card, f"Stopped after {outcome.epochs:.1f} of {settings.training.epoch_max} epochs.")
    assert trainer.checkpoint is not None
    saved = save_safely(model_path(trainer.checkpoint), module, card, new=not resumable, tell=tell)
    if outcome.finished:
        _forget(trainer.checkpoint)
    if measure(outcome) if callable(measure) else measure:
        usable = Model(model, card, settings, seen, scale)
        card = _measured(saved, usable, [entry.image for entry in inputs], tell)
    if settings.log.track_gpu_memory:
        _write_statistics(target.parent / "memory_stats.json", outcome, tell)
    return TrainResult(saved, card, outcome, tuple(notes))


def _adapted_backbone(
    name: str, settings: Settings, device: torch.device, start_model: Path | None
) -> tuple[Backbone, str]:
    """Build the backbone with its adapter, a fresh one or that of a model; returns it with the hash of its weights."""
    model, sha256 = prepare_backbone(name, settings, device)
    module = model
    assert isinstance(module, nn.Module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.environment.seed)
        if start_model is None:
            inject_lora(module, lora_config(settings))
        else:
            _take_adapter(start_model, module, lora_config(settings), sha256)
        module.to(device)
    model.checkpoint_encoder = settings.training.gradient_checkpointing
    return model, sha256


def _write_statistics(wanted: Path, outcome: TrainOutcome, tell: Callable[[str], None]) -> None:
    data = json_text(outcome.memory, indent=4).encode()
    try:
        write_free(wanted, lambda path: write_bytes(path, data, new=True))
    except OutputError as error:
        tell(str(error))


def _forget(checkpoint: Path) -> None:
    """Remove what an interrupted training would have needed."""
    with contextlib.suppress(OSError):
        checkpoint.unlink(missing_ok=True)
        remove_unfinished(checkpoint)


def _room_needed(module: nn.Module) -> int:
    """Bytes of the model and of two checkpoints (a new one is complete before the old one goes)."""
    trained = sum(parameter.numel() for _, parameter in trainable_parameters(module))
    # Weights, gradients and two averages of them, in single precision.
    return 4 * trained + 2 * 4 * 4 * trained


def _measured(path: Path, model: Model, images: Sequence[TrainingImage], tell: Callable[[str], None]) -> Card:
    """Write AP@0.5 on the training images into the card of a saved model; whatever fails, the model is there."""
    try:
        return save_trained(path, model.module, _with_ap(model.card, model, images))
    except Exception as error:  # noqa: BLE001 - a figure on the card is not worth a word of alarm
        if is_out_of_memory(error):
            tell("Memory was not enough to measure the model on its training image; the model is saved.")
        else:
            reason = explained(error, "measuring the model on its training image")
            tell(f"The model is saved, but not how good it is on its training image: {reason}")
        return model.card


def save_safely(path: Path, module: nn.Module, card: Card, *, new: bool, tell: Callable[[str], None]) -> Path:
    """Write a trained model, if need be under another name, in another folder, or with less on its card.

    Parameters
    ----------
    new
        Whether a file of that name is somebody else's, and stays.

    Returns
    -------
    Path
        Where it is; `tell` is told when that is not `path`.

    Raises
    ------
    ModelFileError
        When its values are not numbers.
    OutputError
        When it can be written nowhere.
    """
    try:
        saved = _save_as(path, module, card, new=new)
    except OutputError as error:
        saved = _save_elsewhere(path, module, card, error)
        tell(f"{error} The model is saved as {saved} instead.")
        return saved
    if saved != path:
        tell(f"{path.name} was written by another training meanwhile and is kept; this model is {saved.name}.")
    return saved


def _save_as(path: Path, module: nn.Module, card: Card, *, new: bool) -> Path:
    def write(place: Path) -> None:
        try:
            save_trained(place, module, card, new=new)
        except (CellSeg1Error, FileExistsError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the card, the weights must not suffer
            explained(error, "writing the card of the model")
            bare = dataclasses.replace(card, training_images=(), notes="", extra={})
            save_trained(place, module, bare, new=new)

    if new:
        return write_free(path, write)
    write(path)
    return path


def _save_elsewhere(path: Path, module: nn.Module, card: Card, error: OutputError) -> Path:
    """Write a model that its own folder does not take any more; raises `error` when no other one does either."""
    for folder in (data_dir() / "rescued", Path.home(), Path(tempfile.gettempdir())):
        with contextlib.suppress(OutputError):
            return _save_as(folder / path.name, module, card, new=True)
    raise error


def _target(out: Path, *, resume: bool, tell: Callable[[str], None]) -> tuple[Path, bool]:
    """Decide which file is written, and whether an interrupted training of it is taken up."""
    number, target = 1, out
    while is_taken(target) and not checkpoint_path(target).exists():
        number += 1
        target = numbered(out, number)
    checkpoint = checkpoint_path(target)
    if checkpoint.exists():
        if resume:
            # What a stopped training left there is the same model, younger.
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


def save_trained(path: Path, module: nn.Module, card: Card, *, new: bool = False) -> Card:
    """Write a trained model in the format that the suffix asks for; with `new` never replace a file."""
    if path.suffix.lower() == ".pth":
        write_pth(path, module, new=new)
        return card
    return save_model(path, module, card, new=new)


def lora_config(settings: Settings) -> LoraConfig:
    """Translate settings into the adapter's configuration."""
    return LoraConfig(
        image_encoder_rank=settings.network.image_encoder_lora_rank,
        mask_decoder_rank=settings.network.mask_decoder_lora_rank,
        dropout=settings.network.lora_dropout,
        dropout_place="output" if settings.switches.lora_dropout_place == "upstream" else "branch",
        freeze_image_encoder=settings.network.freeze_image_encoder,
        freeze_prompt_encoder=settings.network.freeze_prompt_encoder,
        freeze_mask_decoder_transformer=settings.network.freeze_mask_decoder_transformer,
        freeze_upscaling_cnn=settings.network.freeze_upscaling_cnn,
        freeze_output_hypernetworks_mlps=settings.network.freeze_output_hypernetworks_mlps,
        freeze_mask_decoder_mask_tokens=settings.network.freeze_mask_decoder_mask_tokens,
        freeze_mask_decoder_iou=settings.network.freeze_mask_decoder_iou,
        freeze_norms_and_biases=settings.network.freeze_norms_and_biases,
    )


# ---- reading


def read_training_set(
    images: Sequence[Path],
    masks: Sequence[Path],
    regions: Sequence[Region | None] | None,
    specification: InputSpecification,
    tell: Callable[[str], None],
    *,
    planes: Sequence[tuple[int, int] | None] | None = None,
    read: Callable[[Path], Image] = read_image,
    pieces: Pieces = "auto",
) -> list[_Input]:
    """Read and check all training images with their masks; `tell` gets every remark about them."""
    if not images:
        raise ImageError("There is no training image; give at least one with its mask.")
    if len(images) != len(masks):
        raise MaskError(
            f"Images ({len(images)}) and masks ({len(masks)}) differ in number; give one mask for every image, "
            "in the same order."
        )
    wanted = list(regions) if regions else [None] * len(images)
    if len(wanted) != len(images):
        raise SettingsError(f"Images ({len(images)}) and regions ({len(wanted)}) differ in number; give one for each.")
    chosen = list(planes) if planes else [None] * len(images)
    if len(chosen) != len(images):
        raise SettingsError(f"Images ({len(images)}) and planes ({len(chosen)}) differ in number; give one for each.")
    inputs = []
    for entry in zip(images, masks, wanted, chosen, strict=True):
        inputs.append(_read_one(*entry, read, pieces, specification, tell))
        # What the first image leaves to choose is chosen once, for all of them.
        specification = inputs[-1].specification
    return inputs


def _read_one(
    image_path: Path,
    mask_path: Path,
    region: Region | None,
    chosen: tuple[int, int] | None,
    read: Callable[[Path], Image],
    pieces: Pieces,
    specification: InputSpecification,
    tell: Callable[[str], None],
) -> _Input:
    image = read(image_path)
    z, t = chosen or (0, 0)
    plane = image.plane(z=z, t=t)
    mask = read_mask(mask_path, require_cells=True, z=z, t=t, image=image, pieces=pieces)
    for note in (*image.info.notes, *mask.notes):
        tell(note)
    if image.n_z * image.n_t > 1 and chosen is None:
        tell(f"{image_path.name} has {image.n_z * image.n_t} planes; the first is used for training.")
    _check_plane(image_path, plane)
    if plane.shape[:2] != mask.labels.shape:
        raise MaskError(
            f"The mask {mask_path} is {mask.labels.shape[1]} x {mask.labels.shape[0]} pixels but its image "
            f"{image_path.name} is {plane.shape[1]} x {plane.shape[0]}; use the mask of this very image."
        )
    seen = plane_input(image, specification, z=z, t=t)
    for note in seen.notes:
        tell(f"{image_path.name}: {note}")
    pixels = seen.pixels
    if not np.any(pixels != pixels[0, 0]):
        raise ImageError(
            f"The image {image_path} shows the same value in every pixel, so there is nothing to learn from; choose "
            "another file, plane or channel."
        )
    annotated, boxes = read_region(region, mask.labels.shape, image=image, z=z, t=t)
    if annotated is not None and not np.any(mask.labels[annotated]):
        raise MaskError(f"There is no cell inside the region of {image_path.name}; choose a part with painted cells.")
    for warning in look_at_masks(mask.labels.shape, mask.labels, annotated):
        tell(f"{mask_path.name}: {warning}")
    hashes = file_sha256(image_path), file_sha256(mask_path)
    name = image_path.name if (z, t) == (0, 0) else f"{image_path.name} (z {z}, t {t})"
    ready = TrainingImage(name, hashes[0], pixels, mask.labels, annotated)
    as_read = "" if read is read_image else hashlib.sha256(pixels.tobytes()).hexdigest()
    specification = specification.settled(image)
    way = f"{z} {t} {as_read}" + ("" if pieces == "auto" else pieces)
    return _Input(ready, CardImage(name, *hashes, boxes), _mean_pixel_size(image), way, specification)


def _specification_of(inputs: Sequence[_Input]) -> InputSpecification:
    """What the network saw of the training images, to be stored with the model."""
    planes = [entry.reading.split(" ")[:2] for entry in inputs]
    return dataclasses.replace(inputs[-1].specification, planes=tuple((int(z), int(t)) for z, t in planes))


def _mean_pixel_size(image: Image) -> float | None:
    size = image.info.pixel_size_um
    return None if size is None else math.sqrt(size[0] * size[1])


def _check_plane(path: Path, plane: NDArray[Any]) -> None:
    if min(plane.shape[:2]) < 2 or plane.shape[0] * plane.shape[1] < 64:
        raise ImageError(
            f"The image {path} is only {plane.shape[1]} x {plane.shape[0]} pixels; training needs an image with cells."
        )
    if plane.dtype.kind == "f" and not np.isfinite(plane).any():
        raise ImageError(f"The image {path} holds no valid number (all values are NaN); export it again.")


def read_region(
    region: Region | None, shape: tuple[int, int], *, image: Image | None = None, z: int = 0, t: int = 0
) -> tuple[NDArray[np.bool_] | None, tuple[tuple[int, int, int, int], ...]]:
    """Return the annotated part as (H, W) bool, None for all of it, and its boxes (x, y, width, height).

    A file with a mask for each plane of `image` is asked for the plane (z, t).

    Raises
    ------
    MaskError
        When a region has another size than its image, or lies outside.
    """
    if region is None:
        return None, ()
    if isinstance(region, tuple):
        x, y, width, height = region
        inside = np.zeros(shape, bool)
        if width > 0 and height > 0 and x < shape[1] and y < shape[0]:
            inside[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = True
    else:
        masks = open_mask(region, image=image) if isinstance(region, Path) else None
        inside = np.asarray(region, bool) if masks is None else masks.area(z, t)
        if inside.shape != shape:
            raise MaskError(
                f"The region is {inside.shape[1]} x {inside.shape[0]} pixels but its image is {shape[1]} x {shape[0]}; "
                "draw it on this very image."
            )
    if not inside.any():
        raise MaskError(f"The region lies outside the image of {shape[1]} x {shape[0]} pixels; give x,y,width,height.")
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    box = (
        int(columns[0]),
        int(rows[0]),
        int(columns[-1] - columns[0] + 1),
        int(rows[-1] - rows[0] + 1),
    )
    return (None if inside.all() else inside), (box,)


# ---- preparing


def check_model_name(out: Path) -> None:
    """Refuse a name that does not tell the format, is too long, or is a folder (`OutputError`)."""
    if out.suffix.lower() not in {".cs1", ".pth"}:
        raise OutputError(f"The model file {out.name} must end in .cs1 (or .pth for the published format).")
    if len(os.fsencode(checkpoint_path(out).name)) > _LONGEST_NAME:
        raise OutputError(f"The name of the model file {out.name[:40]}... is too long; give a shorter one.")
    if out.is_dir():
        raise OutputError(f"{out} is a folder; give the name of the model file to write in it.")


def _ranks_of(path: Path) -> dict[str, int]:
    """Return the settings that say which ranks a model file has."""
    if not path.exists():
        raise ModelFileError(f"There is no model file {path} to train on from; choose another, or start anew.")
    if path.suffix.lower() in {".pth", ".pt"}:
        file = read_pth(path)
        ranks = file.image_encoder_rank, file.mask_decoder_rank
    else:
        lora = load_card(path).lora
        ranks = lora.image_encoder_rank, lora.mask_decoder_rank
    return {"image_encoder_lora_rank": ranks[0], "mask_decoder_lora_rank": ranks[1]}


def _channels_of(path: Path, specification: InputSpecification) -> InputSpecification:
    """Return the specification with the channels that a model to train on from has seen."""
    if path.suffix.lower() in {".pth", ".pt"} or not (stored := load_card(path).input):
        return specification
    try:
        before = InputSpecification.from_dict(stored)
    except SettingsError as error:
        raise ModelFileError(f"The card of the model {path} cannot be used: {error}") from error
    return dataclasses.replace(specification, channels=before.channels, by_hand=before.by_hand)


def _take_adapter(path: Path, module: nn.Module, config: LoraConfig, sha256: str) -> None:
    """Put the adapter of a model file into a plain backbone, to be trained on."""
    if path.suffix.lower() in {".pth", ".pt"}:
        apply_pth(path, module, config=config)
    else:
        apply_model(path, module, backbone_sha256=sha256 or None, config=config)


def _free_gib(device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    free, _total = torch.cuda.mem_get_info(device)
    return float(free / 2**30)


def _scale_for(images: Sequence[TrainingImage], settings: Settings) -> float:
    """Factor that brings the median training cell to `target_diameter`; 1 when off or hardly any change."""
    if settings.data.target_diameter is None:
        return 1.0
    diameter = median_diameter(images)
    factor = float(np.clip(settings.data.target_diameter / diameter, *_SCALE_LIMITS))
    return 1.0 if abs(factor - 1) < _SCALE_TOLERANCE else factor


def median_diameter(images: Sequence[TrainingImage]) -> float:
    """Median over images of the median cell diameter inside the annotated part, in pixels."""
    values = [
        median_cell_diameter(
            image.labels if image.annotated is None else np.where(image.annotated, image.labels, 0).astype(np.int32)
        )
        for image in images
    ]
    return float(np.median(values))


def _stored_share(checkpoint: Path) -> tuple[float, str] | None:
    """What `_choose_share` found before the first step; the settings of the prediction may be others meanwhile."""
    with reading(ModelFileError, f"The checkpoint {checkpoint} is damaged; move it away and train again."):
        stored = read_checkpoint(checkpoint).get("share")
        found = None if stored is None else (float(stored[0]), str(stored[1]))
    return found  # noqa: RET504 - to a type checker the boundary may swallow what is returned in it


def _choose_share(model: Model, inputs: Sequence[_Input]) -> tuple[float, str]:
    """How much of the change is kept, and a sentence where that had to be found out.

    The network of `model` is still as the training finds it.
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


def _fingerprint(inputs: Sequence[_Input], settings: Settings, sha256: str, start_model: Path | None) -> str:
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


def _make_card(
    inputs: Sequence[_Input],
    specification: InputSpecification,
    settings: Settings,
    recipe: str,
    name: str,
    sha256: str,
    scale: float,
) -> Card:
    sizes = [entry.pixel_size for entry in inputs if entry.pixel_size is not None]
    return Card(
        recipe=recipe,
        backbone=name,
        backbone_sha256=sha256,
        lora=lora_config(settings),
        image_size=settings.data.sam_image_size,
        input=specification.to_dict(),
        pixel_size_um=float(np.median(sizes)) if sizes else None,
        median_cell_diameter_px=round(median_diameter([entry.image for entry in inputs]), 3),
        scale=scale,
        training_images=tuple(entry.card for entry in inputs),
        settings=settings.to_dict(),
    )


def _noted(card: Card, sentence: str) -> Card:
    return dataclasses.replace(card, notes=f"{card.notes} {sentence}".strip())


def _with_ap(card: Card, model: Model, images: Sequence[TrainingImage]) -> Card:
    """Write the mean AP@0.5 on the training images into the card; outside a region nothing counts."""
    values = [ap_of(model, image.pixels, image.labels, image.annotated) for image in images]
    return dataclasses.replace(card, ap_training=round(float(np.mean(values)), 4))
