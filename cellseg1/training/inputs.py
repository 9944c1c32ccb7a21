"""The annotated images of a training: reading, checking, cell scale."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellseg1.errors import ImageError, MaskError, SettingsError
from cellseg1.files import (
    PathLike,
    file_sha256,
)
from cellseg1.images import Image, InputSpecification, plane_input, read_image
from cellseg1.lora import TrainingImage as CardImage
from cellseg1.masks import Pieces, look_at_masks, median_cell_diameter, open_mask, read_mask
from cellseg1.settings import Settings
from cellseg1.training.samples import TrainingImage

if TYPE_CHECKING:
    pass


#: Largest factor between image and model input that still helps.
_SCALE_LIMITS = (0.1, 10.0)
#: Smallest rescaling; less only blurs the image.
_SCALE_TOLERANCE = 0.05


Region = tuple[int, int, int, int] | PathLike | NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TrainingInput:
    """One annotated image, ready to be cut into tiles, with its record."""

    image: TrainingImage
    card: CardImage
    pixel_size: float | None
    #: Distinguishes planes of one file; "0 0 " is the first plane.
    reading: str
    #: With the used channels filled in.
    specification: InputSpecification


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
) -> list[TrainingInput]:
    """Read and check all training images with their masks; report every remark to `tell`."""
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
        # Default channels are chosen once, by the first image, for all images.
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
) -> TrainingInput:
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
    return TrainingInput(ready, CardImage(name, *hashes, boxes), _mean_pixel_size(image), way, specification)


def specification_of(inputs: Sequence[TrainingInput]) -> InputSpecification:
    """Return the input specification of the training images, to be stored in the model."""
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
    """Return the annotated part as (H, W) bool, None for the whole image, and its boxes (x, y, width, height).

    Of a file with a mask per plane of `image`, the plane (z, t) is used.

    Raises
    ------
    MaskError
        When a region differs in size from its image, or lies outside.
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


def scale_for(images: Sequence[TrainingImage], settings: Settings) -> float:
    """Return the factor that scales the median training cell to `target_diameter`; 1 when off or nearly 1."""
    if settings.data.target_diameter is None:
        return 1.0
    diameter = median_diameter(images)
    factor = float(np.clip(settings.data.target_diameter / diameter, *_SCALE_LIMITS))
    return 1.0 if abs(factor - 1) < _SCALE_TOLERANCE else factor


def median_diameter(images: Sequence[TrainingImage]) -> float:
    """Return the median over images of the median cell diameter inside the annotated part, in pixels."""
    values = [
        median_cell_diameter(
            image.labels if image.annotated is None else np.where(image.annotated, image.labels, 0).astype(np.int32)
        )
        for image in images
    ]
    return float(np.median(values))
