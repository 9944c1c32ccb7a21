"""Training from arrays or files."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.api.checks import as_path
from cellseg1.api.model import Model, load
from cellseg1.files import PathLike
from cellseg1.images import Image, ImageLike, PlaneChoice, as_image, read_image
from cellseg1.images.memory import is_array, is_path
from cellseg1.settings import DEFAULT_BACKBONE, DEFAULT_RECIPE
from cellseg1.training import job
from cellseg1.training.inputs import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellseg1.images.specification import ChannelWish, PlaneWish
    from cellseg1.masks import Pieces
    from cellseg1.training.trainer import TrainProgress


def train(
    images: ImageLike | Sequence[ImageLike],
    masks: PathLike | NDArray[Any] | Sequence[PathLike | NDArray[Any]],
    out: PathLike | None = None,
    *,
    channels: ChannelWish | None = None,
    planes: PlaneWish | Sequence[PlaneWish | None] | None = None,
    axes: str | None = None,
    regions: Sequence[Region | None] | None = None,
    backbone: str = DEFAULT_BACKBONE,
    recipe: str = DEFAULT_RECIPE,
    settings: Mapping[str, Any] | None = None,
    start_model: PathLike | None = None,
    device: str = "auto",
    resume: bool = False,
    pieces: Pieces = "auto",
    progress: Callable[[TrainProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
) -> Model:
    """Fine-tune a backbone on annotated images.

    Parameters
    ----------
    images
        One image or several: files, arrays, or what `read_image` returned.
    masks
        Their masks in the same order: files, or (H, W) arrays in which 0 is background and each cell has its own
        number.
    out
        The model file, ``.cs1`` or ``.pth``; an existing file is kept, and the new one gets a number.  None: nothing
        is written, so an interrupted training cannot be resumed; see `Model.save`.
    channels
        One to three channels for the network, by name or number (from 0); None: all of up to three, else the first
        three that are not empty.  They are stored in the model.
    planes
        The annotated plane of a stack, ``"z=3"``: one for all images, or one per image; None: the first.
    axes
        One letter per axis of images given as arrays, such as ``"CYX"``; None: guessed from the lengths.
    regions
        For each image the part that is fully annotated: (x, y, width, height), a mask file, or a bool array; None:
        the whole image.
    backbone
        ``tiny``, ``vit_b``, ``vit_l`` or ``vit_h``.
    recipe
        ``studio``, or ``paper`` for the numbers of the published research code.
    settings
        Settings by name that replace those of the recipe, such as ``{"epoch_max": 50}``.
    start_model
        A model whose adapter the training goes on from.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    resume
        Continue the interrupted training of `out`.
    pieces
        Whether separate pieces of one number in a mask are separate cells: ``split``, ``keep`` or ``auto``.
    progress
        Called after every step.
    stop
        Called between two steps; True ends the training, and the model keeps what it learned so far.
    say
        Called with every sentence the user should see.

    Returns
    -------
    Model
        Ready to use; `Model.file` is its file, ``Model.card.ap_training`` its AP@0.5 on the training images.

    Raises
    ------
    CellSeg1Error
        One sentence about what is wrong with the input, the settings, the backbone or the output folder.
    TypeError
        When an image or a mask is neither a file nor an array.

    Examples
    --------
    >>> import cellseg1
    >>> image = cellseg1.read_image("cells.png").array
    >>> mask = cellseg1.read_mask("mask.png").labels
    >>> model = cellseg1.train(image, mask, settings={"epoch_max": 1, "duplicate_data": 2}, device="cpu")
    >>> model.card.backbone, model.file
    ('tiny', None)
    """
    listed_images, listed_masks = _several(images), _several(masks)
    if out is None and resume:
        raise ValueError("A training that is resumed needs the model file it was to write; give it as out.")
    with tempfile.TemporaryDirectory(prefix="cellseg1-") as name:
        folder = Path(name)
        opened: dict[Path, Image] = {}

        def read(path: Path) -> Image:
            return opened.get(path) or read_image(path)

        image_files = [_image_file(one, folder, number, axes, opened) for number, one in enumerate(listed_images)]
        result = job.train(
            image_files,
            [_mask_file(one, folder, number) for number, one in enumerate(listed_masks)],
            folder / "model.cs1" if out is None else as_path(out, "The model file"),
            regions=regions,
            backbone=backbone,
            recipe=recipe,
            overrides=settings,
            device=device,
            resume=resume,
            progress=progress,
            stop=stop,
            say=say,
            start_model=None if start_model is None else as_path(start_model, "The model to train on from"),
            planes=_planes(planes, len(listed_images)),
            channels=channels,
            pieces=pieces,
            read=read if opened else read_image,
        )
        # Loaded from its file, so that it gives the same results as after a later `load`, bit for bit.
        model = load(result.path, device=device)
    return model if out is not None else dataclasses.replace(model, file=None, file_sha256="")


def _several(values: Any) -> list[Any]:
    """Return a list of images or masks; a single one becomes a list of one."""
    if is_path(values) or is_array(values) or isinstance(values, Image) or not isinstance(values, Sequence):
        return [values]
    return list(values)


def _image_file(image: ImageLike, folder: Path, number: int, axes: str | None, opened: dict[Path, Image]) -> Path:
    """Return the file of an image; arrays are written to one, because a model's card identifies images by file hash."""
    if isinstance(image, str | os.PathLike):
        return Path(image)
    found = as_image(image, axes if is_array(image) else None)
    name = folder / str(number) / ("image.npy" if found.info.path is None else found.info.path.name)
    name.parent.mkdir()
    with name.open("wb") as stream:
        np.save(stream, found.array, allow_pickle=False)
    opened[name] = found
    return name


def _mask_file(mask: PathLike | NDArray[Any], folder: Path, number: int) -> Path:
    if isinstance(mask, str | os.PathLike):
        return Path(mask)
    if not is_array(mask):
        raise TypeError(f"A mask is a path or a NumPy array, not {type(mask).__name__}; give one of these.")
    path = folder / f"mask_{number + 1}.npy"
    with path.open("wb") as stream:
        np.save(stream, np.asarray(mask), allow_pickle=False)
    return path


def _planes(wish: PlaneWish | Sequence[PlaneWish | None] | None, count: int) -> list[tuple[int, int] | None] | None:
    if wish is None:
        return None
    wishes = [wish] * count if isinstance(wish, str | Mapping) else list(wish)
    choices = [None if one is None else PlaneChoice.parse(one) for one in wishes]
    return [None if one is None else (one.z or 0, one.t or 0) for one in choices]
