"""``cellseg1 train``: fine-tune a backbone."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cellseg1.commands.common import (
    Bar,
    Commands,
    add_channels,
    add_pieces,
    add_settings,
    command,
    duration,
    path_of,
    say_to,
    tell_result,
    use_threads,
)
from cellseg1.errors import SettingsError
from cellseg1.plugins import listed
from cellseg1.sam.registry import backbone_names
from cellseg1.settings import DEFAULT_BACKBONE, DEFAULT_RECIPE, RECIPES, load_yaml, parse_assignments

_TRAIN_GROUPS = (
    "environment",
    "data",
    "input",
    "training",
    "network",
    "points",
    "augmentation",
    "loss",
    "prediction",
    "selection",
    "log",
    "switches",
)


def add(commands: Commands) -> None:
    """Add the command and its options."""
    parser = command(commands, "train", "Fine-tune a backbone on annotated images.", _train, _TRAIN_GROUPS)
    parser.add_argument("--image", type=path_of, action="append", default=[], help="training image (repeatable)")
    parser.add_argument("--mask", type=path_of, action="append", default=[], help="its mask, in the same order")
    parser.add_argument(
        "--region",
        action="append",
        default=[],
        metavar="MASK|X,Y,W,H",
        help="the fully annotated part of the image: a mask file, or x,y,width,height in pixels; one for each image",
    )
    add_channels(parser)
    parser.add_argument(
        "--plane",
        action="append",
        default=[],
        metavar="z=N,t=N",
        help="the annotated plane of a stack, from 0 (default: the first); once for all images, or one for each",
    )
    add_pieces(parser)
    parser.add_argument("--backbone", help=f"{listed(reversed(backbone_names()))} (default: {DEFAULT_BACKBONE})")
    parser.add_argument("--recipe", default=DEFAULT_RECIPE, help=f"{' or '.join(RECIPES)} (default: {DEFAULT_RECIPE})")
    parser.add_argument("--epochs", type=int, help="number of epochs (the setting epoch_max)")
    parser.add_argument("--config", type=path_of, help="settings file of the research code (flat YAML)")
    parser.add_argument("--out", type=path_of, required=True, help="the model file, NAME.cs1 or NAME.pth")
    parser.add_argument("--resume", action="store_true", help="go on with the interrupted training of --out")
    add_settings(parser)


def _training_planes(texts: Sequence[str], count: int) -> list[tuple[int, int] | None] | None:
    """Return (z, t) for each training image."""
    from cellseg1.images import PlaneChoice

    if not texts:
        return None
    if len(texts) not in (1, count):
        raise SettingsError(f"--plane is given {len(texts)} times for {count} images; give it once, or for each image.")
    choices = [PlaneChoice.parse(text) for text in texts]
    planes: list[tuple[int, int] | None] = [(one.z or 0, one.t or 0) for one in choices]
    return planes * count if len(planes) == 1 else planes


def _train(options: argparse.Namespace, stop: Callable[[], bool]) -> int:
    values = load_yaml(options.config) if options.config else {}
    if options.backbone:
        # An option overrides the settings file; two options that contradict each other are refused.
        values.pop("vit_name", None)
    values.update(parse_assignments(options.set))
    if options.epochs is not None:
        values.update(parse_assignments([f"epoch_max={options.epochs}"]))
    images, masks = _training_files(options, values)
    backbone = options.backbone or values.pop("vit_name", DEFAULT_BACKBONE)
    regions = [_region(text) for text in options.region]

    from cellseg1.training.job import train

    use_threads(options)
    bar = Bar(options, "step")
    try:
        result = train(
            images,
            masks,
            options.out,
            regions=regions or None,
            backbone=backbone,
            recipe=options.recipe,
            overrides=values,
            device=options.device,
            resume=options.resume,
            planes=_training_planes(options.plane, len(images)),
            channels=options.channels,
            pieces=options.mask_pieces,
            progress=bar.train,
            stop=stop,
            say=say_to(options),
        )
    finally:
        bar.close()
    outcome = result.outcome
    score = result.card.ap_training
    summary = {
        "model": str(result.path),
        "finished": outcome.finished,
        "steps": outcome.steps,
        "resumed_from": outcome.resumed_from,
        "seconds": round(outcome.seconds, 1),
        "loss": outcome.losses[-1] if outcome.losses else None,
        "ap_training": score,
        "notes": list(result.notes),
    }
    how = "Trained" if outcome.finished else f"Stopped after {outcome.epochs:.1f} epochs (resume with --resume)"
    ap = "" if score is None else f", AP@0.5 on the training image {score:.3f}"
    tell_result(options, summary, f"{how} in {duration(outcome.seconds)}{ap}. Model: {result.path}")
    return 0 if outcome.finished else 1


def _training_files(options: argparse.Namespace, values: dict[str, Any]) -> tuple[list[Path], list[Path]]:
    """Return the files named on the command line, else those of the settings file's folders, chosen by train_id."""
    folders = values.get("train_image_dir"), values.get("train_mask_dir")
    if options.image or options.mask or None in folders:
        return options.image, options.mask
    from cellseg1.masks import list_images, list_masks, pair_by_name

    pairing = pair_by_name(list_images(str(folders[0])), list_masks(str(folders[1])))
    pairing.require_complete()
    chosen = values.get("train_id")
    pairs = pairing.pairs
    if chosen is not None:
        if max(chosen, default=0) >= len(pairs) or min(chosen, default=0) < 0:
            raise SettingsError(
                f"train_id {list(chosen)} does not fit: {folders[0]} has {len(pairs)} images, numbered from 0."
            )
        pairs = tuple(pairs[index] for index in chosen)
    return [image for image, _ in pairs], [mask for _, mask in pairs]


def _region(text: str) -> tuple[int, int, int, int] | Path:
    parts = text.split(",")
    if len(parts) == 4:
        with contextlib.suppress(ValueError):
            x, y, width, height = (int(part) for part in parts)
            return x, y, width, height
    path = Path(text)
    if not text.strip() or not path.exists():
        raise SettingsError(f"The region {text!r} is neither a file nor x,y,width,height in whole pixels.")
    return path
