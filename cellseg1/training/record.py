"""Output of a training: the model with its card, figures on the card, statistics."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from cellseg1.errors import CellSeg1Error, OutputError
from cellseg1.files import (
    remove_unfinished,
    write_bytes,
    write_free,
)
from cellseg1.images import InputSpecification
from cellseg1.lora import (
    Card,
    save_model,
    write_pth,
)
from cellseg1.model import Model
from cellseg1.sam.memory import is_out_of_memory
from cellseg1.sam.registry import data_dir
from cellseg1.settings import Settings
from cellseg1.text import json_text
from cellseg1.training.samples import TrainingImage
from cellseg1.training.share import ap_of
from cellseg1.training.trainer import TrainOutcome
from cellseg1.trouble import explained

if TYPE_CHECKING:
    pass
from cellseg1.training.adapter import lora_config
from cellseg1.training.inputs import TrainingInput, median_diameter


def make_card(
    inputs: Sequence[TrainingInput],
    specification: InputSpecification,
    settings: Settings,
    recipe: str,
    name: str,
    sha256: str,
    scale: float,
) -> Card:
    """Describe a model before it is trained."""
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


def noted(card: Card, sentence: str) -> Card:
    """Return a card with one more note."""
    return dataclasses.replace(card, notes=f"{card.notes} {sentence}".strip())


def save_safely(path: Path, module: nn.Module, card: Card, *, new: bool, tell: Callable[[str], None]) -> Path:
    """Write a trained model, if need be under another name, in another folder, or with less on its card.

    Parameters
    ----------
    new
        Whether an existing file of that name must stay.

    Returns
    -------
    Path
        The file that was written; `tell` reports it when it is not `path`.

    Raises
    ------
    ModelFileError
        When its values are not numbers.
    OutputError
        When no folder accepts it.
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
        except Exception as error:  # noqa: BLE001 - an error in the card must not lose the weights
            explained(error, "writing the card of the model")
            bare = dataclasses.replace(card, training_images=(), notes="", extra={})
            save_trained(place, module, bare, new=new)

    if new:
        return write_free(path, write)
    write(path)
    return path


def _save_elsewhere(path: Path, module: nn.Module, card: Card, error: OutputError) -> Path:
    """Write a model into another folder when its own one fails; raise `error` when no folder accepts it."""
    for folder in (data_dir() / "rescued", Path.home(), Path(tempfile.gettempdir())):
        with contextlib.suppress(OutputError):
            return _save_as(folder / path.name, module, card, new=True)
    raise error


def save_trained(path: Path, module: nn.Module, card: Card, *, new: bool = False) -> Card:
    """Write a trained model in the format that the suffix asks for; with `new` never replace a file."""
    if path.suffix.lower() == ".pth":
        write_pth(path, module, new=new)
        return card
    return save_model(path, module, card, new=new)


def measured(path: Path, model: Model, images: Sequence[TrainingImage], tell: Callable[[str], None]) -> Card:
    """Write AP@0.5 on the training images into the card of a saved model; a failure leaves the model unchanged."""
    try:
        return save_trained(path, model.module, _with_ap(model.card, model, images))
    except Exception as error:  # noqa: BLE001 - a missing figure on the card is no error
        if is_out_of_memory(error):
            tell("Memory was not enough to measure the model on its training image; the model is saved.")
        else:
            reason = explained(error, "measuring the model on its training image")
            tell(f"The model is saved, but not how good it is on its training image: {reason}")
        return model.card


def _with_ap(card: Card, model: Model, images: Sequence[TrainingImage]) -> Card:
    """Write the mean AP@0.5 on the training images into the card; pixels outside a region are ignored."""
    values = [ap_of(model, image.pixels, image.labels, image.annotated) for image in images]
    return dataclasses.replace(card, ap_training=round(float(np.mean(values)), 4))


def write_statistics(wanted: Path, outcome: TrainOutcome, tell: Callable[[str], None]) -> None:
    """Write the peak memory of each epoch; a write error is reported and ends nothing."""
    data = json_text(outcome.memory, indent=4).encode()
    try:
        write_free(wanted, lambda path: write_bytes(path, data, new=True))
    except OutputError as error:
        tell(str(error))


def forget(checkpoint: Path) -> None:
    """Remove the files for resuming a training."""
    with contextlib.suppress(OSError):
        checkpoint.unlink(missing_ok=True)
        remove_unfinished(checkpoint)
