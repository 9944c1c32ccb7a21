"""The training job: annotated image files in, one model file out.  One function for window, command line and Python."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cellseg1.errors import ImageError, MaskError, ModelFileError, OutputError, SettingsError
from cellseg1.files import check_writable, free_file, numbered, remove_unfinished, write_bytes
from cellseg1.images import Image, pick_channels, read_image, resize_mask, to_model_input
from cellseg1.lora import (
    Card,
    LoraConfig,
    apply_model,
    apply_pth,
    inject_lora,
    load_card,
    read_pth,
    save_model,
    trainable_summary,
    write_pth,
)
from cellseg1.lora import TrainingImage as CardImage
from cellseg1.masks import look_at_masks, median_cell_diameter, read_mask
from cellseg1.model import Model, prepare_backbone, rule_of
from cellseg1.sam.device import choose_device
from cellseg1.sam.memory import is_out_of_memory
from cellseg1.sam.registry import canonical_name
from cellseg1.settings import DEFAULT_BACKBONE, DEFAULT_RECIPE, Settings, make_settings, memory_preset
from cellseg1.training.checkpoint import checkpoint_path
from cellseg1.training.samples import SampleSource, TrainingImage, rescaled
from cellseg1.training.share import ap_before, share_for
from cellseg1.training.trainer import Trainer, TrainOutcome, TrainProgress

#: Factor between image and model input beyond which a rescaling would not help.
_SCALE_LIMITS = (0.1, 10.0)
#: Rescaling by less than this share changes nothing but sharpness.
_SCALE_TOLERANCE = 0.05

Region = tuple[int, int, int, int] | Path | NDArray[np.bool_]


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


def train(
    images: Sequence[Path],
    masks: Sequence[Path],
    out: Path,
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
    start_model: Path | None = None,
    planes: Sequence[tuple[int, int] | None] | None = None,
    read: Callable[[Path], Image] = read_image,
    watch: Callable[[Model, Sequence[TrainingImage]], None] | None = None,
) -> TrainResult:
    """Fine-tune a backbone on annotated images.

    Parameters
    ----------
    images, masks
        Files, in the same order.
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
        For each image the plane (z, t) that is used; None for the first.
    read
        Reads an image file, where the file's own axes are not to be believed.
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
        notes.append(sentence)
        if say is not None:
            say(sentence)

    name = canonical_name(backbone)
    check_model_name(out)
    chosen = choose_device(device)
    preset_name, preset = memory_preset(_free_gib(chosen), name)
    ranks = {} if start_model is None else _ranks_of(start_model)
    settings = make_settings(recipe, name, overrides, {**preset, **ranks})
    if preset:
        tell(f"Preset for this computer: {preset_name} (batch {settings.batch_size}).")
    inputs = read_training_set(images, masks, regions, settings, tell, planes=planes, read=read)
    scale = _scale_for([entry.image for entry in inputs], settings)
    ready = [rescaled(entry.image, scale) for entry in inputs]
    target, resumable = _target(out, resume=resume, tell=tell)
    check_writable(target.resolve().parent)

    model, sha256 = prepare_backbone(name, settings, chosen)
    module = model
    assert isinstance(module, nn.Module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        if start_model is None:
            inject_lora(module, lora_config(settings))
        else:
            _take_adapter(start_model, module, lora_config(settings), sha256)
        module.to(chosen)
    model.checkpoint_encoder = settings.gradient_checkpointing
    tell(trainable_summary(module))
    card = _make_card(inputs, settings, recipe, name, sha256, scale)
    share, card = _choose_share(Model(model, card, settings, rule_of(settings), scale), inputs, tell)
    trainer = Trainer(
        model,
        SampleSource(ready, settings),
        settings,
        checkpoint=checkpoint_path(target),
        fingerprint=_fingerprint(inputs, settings, sha256, start_model),
        progress=progress,
        stop=stop,
        trained_share=share,
    )
    if resumable:
        tell(f"Resumed after {trainer.resume()} of {trainer.steps} steps.")
    if start_model is not None:
        card = _noted(card, f"Trained on from {start_model.name}.")
    if watch is not None:
        watch(Model(model, card, settings, rule_of(settings), scale), [entry.image for entry in inputs])
    outcome = trainer.run()
    trainer.average()
    module.eval()
    if not outcome.finished:
        card = _noted(card, f"Stopped after {outcome.epochs:.1f} of {settings.epoch_max} epochs.")
    if measure(outcome) if callable(measure) else measure:
        usable = Model(model, card, settings, rule_of(settings), scale)
        try:
            card = _with_ap(card, usable, [entry.image for entry in inputs])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # The model is what counts; it must not be lost over a figure on its card.
            tell("Memory was not enough to measure the model on its training image; the model is saved.")
    card = save_trained(target, module, card)
    if settings.track_gpu_memory:
        write_bytes(free_file(target.parent / "memory_stats.json"), json.dumps(outcome.memory, indent=4).encode())
    if outcome.finished:
        checkpoint_path(target).unlink(missing_ok=True)
        remove_unfinished(checkpoint_path(target))
    return TrainResult(target, card, outcome, tuple(notes))


def _target(out: Path, *, resume: bool, tell: Callable[[str], None]) -> tuple[Path, bool]:
    """Decide which file is written, and whether an interrupted training of it is taken up."""
    number, target = 1, out
    while target.exists() and not checkpoint_path(target).exists():
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


def save_trained(path: Path, module: nn.Module, card: Card) -> Card:
    """Write a trained model in the format that the suffix asks for."""
    if path.suffix.lower() == ".pth":
        write_pth(path, module)
        return card
    return save_model(path, module, card)


def lora_config(settings: Settings) -> LoraConfig:
    """Translate settings into the adapter's configuration."""
    return LoraConfig(
        image_encoder_rank=settings.image_encoder_lora_rank,
        mask_decoder_rank=settings.mask_decoder_lora_rank,
        dropout=settings.lora_dropout,
        dropout_place="output" if settings.lora_dropout_place == "upstream" else "branch",
        freeze_image_encoder=settings.freeze_image_encoder,
        freeze_prompt_encoder=settings.freeze_prompt_encoder,
        freeze_mask_decoder_transformer=settings.freeze_mask_decoder_transformer,
        freeze_upscaling_cnn=settings.freeze_upscaling_cnn,
        freeze_output_hypernetworks_mlps=settings.freeze_output_hypernetworks_mlps,
        freeze_mask_decoder_mask_tokens=settings.freeze_mask_decoder_mask_tokens,
        freeze_mask_decoder_iou=settings.freeze_mask_decoder_iou,
        freeze_norms_and_biases=settings.freeze_norms_and_biases,
    )


# ---- reading


def read_training_set(
    images: Sequence[Path],
    masks: Sequence[Path],
    regions: Sequence[Region | None] | None,
    settings: Settings,
    tell: Callable[[str], None],
    *,
    planes: Sequence[tuple[int, int] | None] | None = None,
    read: Callable[[Path], Image] = read_image,
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
    return [_read_one(*entry, read, settings, tell) for entry in zip(images, masks, wanted, chosen, strict=True)]


def _read_one(
    image_path: Path,
    mask_path: Path,
    region: Region | None,
    chosen: tuple[int, int] | None,
    read: Callable[[Path], Image],
    settings: Settings,
    tell: Callable[[str], None],
) -> _Input:
    image = read(image_path)
    mask = read_mask(mask_path, require_cells=True)
    for note in (*image.info.notes, *mask.notes):
        tell(note)
    z, t = chosen or (0, 0)
    plane = image.plane(z=z, t=t)
    if image.n_z * image.n_t > 1 and chosen is None:
        tell(f"{image_path.name} has {image.n_z * image.n_t} planes; the first is used for training.")
    _check_plane(image_path, plane)
    if plane.shape[:2] != mask.labels.shape:
        raise MaskError(
            f"The mask {mask_path} is {mask.labels.shape[1]} x {mask.labels.shape[0]} pixels but its image "
            f"{image_path.name} is {plane.shape[1]} x {plane.shape[0]}; use the mask of this very image."
        )
    _channels, remark = pick_channels(plane, names=image.info.channel_names)
    if remark:
        tell(remark)
    annotated, boxes = read_region(region, mask.labels.shape)
    if annotated is not None and not np.any(mask.labels[annotated]):
        raise MaskError(f"There is no cell inside the region of {image_path.name}; choose a part with painted cells.")
    for warning in look_at_masks(mask.labels.shape, mask.labels, annotated):
        tell(f"{mask_path.name}: {warning}")
    pixels = to_model_input(plane, rule_of(settings), colour=image.is_colour)
    hashes = file_sha256(image_path), file_sha256(mask_path)
    name = image_path.name if (z, t) == (0, 0) else f"{image_path.name} (z {z}, t {t})"
    ready = TrainingImage(name, hashes[0], pixels, mask.labels, annotated)
    as_read = "" if read is read_image else hashlib.sha256(pixels.tobytes()).hexdigest()
    return _Input(ready, CardImage(name, *hashes, boxes), _mean_pixel_size(image), f"{z} {t} {as_read}")


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
    region: Region | None, shape: tuple[int, int]
) -> tuple[NDArray[np.bool_] | None, tuple[tuple[int, int, int, int], ...]]:
    """Return the annotated part as (H, W) bool, None for all of it, and its boxes (x, y, width, height).

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
        inside = read_mask(region).labels > 0 if isinstance(region, Path) else np.asarray(region, bool)
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


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ---- preparing


def check_model_name(out: Path) -> None:
    """Refuse a name that does not tell the format, or is a folder (`OutputError`)."""
    if out.suffix.lower() not in {".cs1", ".pth"}:
        raise OutputError(f"The model file {out.name} must end in .cs1 (or .pth for the published format).")
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
    if settings.target_diameter is None:
        return 1.0
    diameter = median_diameter(images)
    factor = float(np.clip(settings.target_diameter / diameter, *_SCALE_LIMITS))
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


def _choose_share(model: Model, inputs: Sequence[_Input], tell: Callable[[str], None]) -> tuple[float, Card]:
    """How much of the change is kept, and the card with a note where that had to be found out.

    The network of `model` is still as the training finds it.
    """
    if model.settings.trained_share is not None:
        return model.settings.trained_share, model.card
    training = model.module.training
    model.module.eval()
    try:
        ap = ap_before(model, [entry.image for entry in inputs])
        share = share_for(ap)
        kept = "all" if share == 1 else f"{share:.0%}"
        remark = f"Before the training the network has an AP@0.5 of {ap:.2f} here, so {kept} of the change is kept."
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        # A training can do with less memory, tile by tile; it must not end over this.
        share = 0.75
        remark = "Memory was not enough to look at the image before the training; 75% of the change is kept."
    model.module.train(training)
    tell(remark)
    return share, _noted(model.card, remark)


def _fingerprint(inputs: Sequence[_Input], settings: Settings, sha256: str, start_model: Path | None) -> str:
    """Hash of everything that decides the result of a training."""
    values = settings.to_dict()
    for name in ("checkpoint_seconds", "num_workers", "gradient_checkpointing"):
        del values[name]
    digest = hashlib.sha256()
    for entry in inputs:
        digest.update(entry.card.sha256.encode() + entry.card.mask_sha256.encode())
        if entry.image.annotated is not None:
            digest.update(np.packbits(entry.image.annotated).tobytes())
        if entry.reading != "0 0 ":
            digest.update(entry.reading.encode())
    if start_model is not None:
        digest.update(file_sha256(start_model).encode())
    digest.update(json.dumps([values, sha256], sort_keys=True).encode())
    return digest.hexdigest()


def _make_card(inputs: Sequence[_Input], settings: Settings, recipe: str, name: str, sha256: str, scale: float) -> Card:
    sizes = [entry.pixel_size for entry in inputs if entry.pixel_size is not None]
    return Card(
        recipe=recipe,
        backbone=name,
        backbone_sha256=sha256,
        lora=lora_config(settings),
        image_size=settings.sam_image_size,
        input_rule=rule_of(settings).to_dict(),
        pixel_size_um=float(np.median(sizes)) if sizes else None,
        median_cell_diameter_px=round(median_diameter([entry.image for entry in inputs]), 3),
        scale=scale,
        training_images=tuple(entry.card for entry in inputs),
        settings=settings.to_dict(),
    )


def _noted(card: Card, sentence: str) -> Card:
    import dataclasses

    return dataclasses.replace(card, notes=f"{card.notes} {sentence}".strip())


def _with_ap(card: Card, model: Model, images: Sequence[TrainingImage]) -> Card:
    """Write the mean AP@0.5 on the training images into the card; outside a region nothing counts."""
    import dataclasses

    from cellseg1.evaluation import evaluate_labels
    from cellseg1.prediction.job import predict_pixels

    values = []
    for image in images:
        labels = predict_pixels(model, image.pixels).labels
        truth, annotated = image.labels, image.annotated
        if labels.shape != truth.shape:
            # With resize_size the published figures compare at that size, the truth brought to it.
            size = (labels.shape[0], labels.shape[1])
            truth = np.asarray(resize_mask(truth, size), dtype=np.int32)
            annotated = None if annotated is None else resize_mask(annotated.astype(np.int32), size) > 0
        if annotated is not None:
            labels = np.where(annotated, labels, 0).astype(np.int32)
            truth = np.where(annotated, truth, 0).astype(np.int32)
        values.append(evaluate_labels(truth, labels, thresholds=(0.5,)).ap[0.5])
    return dataclasses.replace(card, ap_training=round(float(np.mean(values)), 4))
