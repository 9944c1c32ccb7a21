"""The published augmentation: light, flip, crop, shift-scale-rotate, resize.

The research code used albumentations 1.3.1.  This module draws the same random numbers in the same order and uses the
same formulas, so that a seed gives the same bytes (decision 0023).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cellseg1.settings import Settings

#: Largest rotation in degrees and shift as a share of the side, in both directions.
_TURN: Final = 45.0
_SHIFT: Final = 0.0625
#: Attempts to find a crop of the drawn area and aspect ratio before the central one is used.
_TRIES: Final = 10

Array = NDArray[Any]
#: Draws the random numbers of one step and returns the step as a function.
Step = Callable[[random.Random, "Augmented"], "Augmented"]


@dataclass(frozen=True, slots=True)
class Augmented:
    """A tile on its way through the steps.

    Attributes
    ----------
    pixels
        (H, W, 3) uint8.
    masks
        Integer arrays (H, W), transformed without interpolation.
    xy
        (n, 2) float64 points that are still inside the tile.
    kept
        (n,) int64, their indices among the original points.
    """

    pixels: Array
    masks: tuple[Array, ...]
    xy: NDArray[np.float64]
    kept: NDArray[np.int64]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])

    def moved(self, pixels: Array, masks: Sequence[Array], xy: NDArray[np.float64]) -> Augmented:
        """Return the tile after a step, without points outside."""
        height, width = pixels.shape[:2]
        inside = (xy[:, 0] >= 0) & (xy[:, 0] < width) & (xy[:, 1] >= 0) & (xy[:, 1] < height)
        return Augmented(pixels, tuple(masks), xy[inside], self.kept[inside])


def augment(settings: Settings, seed: int, pixels: Array, masks: Sequence[Array], xy: NDArray[np.float64]) -> Augmented:
    """Change a tile with its masks and points at random; the result has the size of the network's input.

    Parameters
    ----------
    seed
        Seed of all random numbers.
    pixels, masks, xy
        See `Augmented`.
    """
    generator = random.Random(seed)  # noqa: S311 - the generator of the research code
    # The research code also draws a number for the whole chain, whose probability is one.
    generator.random()
    tile = Augmented(pixels, tuple(masks), np.asarray(xy, np.float64).reshape(-1, 2), np.arange(len(xy)))
    steps = (
        (settings.augmentation.bright_prob, _light(settings)),
        (settings.augmentation.flip_prob, _flip),
        (settings.augmentation.crop_prob, _crop(settings)),
        (settings.augmentation.rotate_prob, _shift_scale_rotate(settings)),
        (1.0, _resize(settings)),
    )
    for share, step in steps:
        if generator.random() < share:
            tile = step(generator, tile)
    whole = [np.ascontiguousarray(one) for one in (tile.pixels, *tile.masks)]
    return Augmented(whole[0], tuple(whole[1:]), tile.xy, tile.kept)


def _light(settings: Settings) -> Step:
    contrast, bright = settings.augmentation.contrast_limit, settings.augmentation.bright_limit

    def step(generator: random.Random, tile: Augmented) -> Augmented:
        factor = 1.0 + generator.uniform(-contrast, contrast)
        offset = generator.uniform(-bright, bright) * 255
        table = np.arange(256, dtype=np.float32)
        table *= factor
        table += offset
        pixels = cv2.LUT(tile.pixels, np.clip(table, 0, 255).astype(np.uint8))
        return tile.moved(pixels, tile.masks, tile.xy)

    return step


def _flip(generator: random.Random, tile: Augmented) -> Augmented:
    code = generator.randint(-1, 1)
    height, width = tile.size
    xy = tile.xy.copy()
    if code != 0:
        xy[:, 0] = (width - 1) - xy[:, 0]
    if code != 1:
        xy[:, 1] = (height - 1) - xy[:, 1]
    return tile.moved(cv2.flip(tile.pixels, code), [cv2.flip(mask, code) for mask in tile.masks], xy)


def _crop(settings: Settings) -> Step:
    size = settings.data.sam_image_size

    def step(generator: random.Random, tile: Augmented) -> Augmented:
        top, left, height, width = _part(generator, tile.size, settings)
        part = slice(top, top + height), slice(left, left + width)
        pixels = _resized(tile.pixels[part], size, cv2.INTER_LINEAR_EXACT)
        masks = [_resized(mask[part], size, cv2.INTER_NEAREST) for mask in tile.masks]
        xy = (tile.xy - np.array([left, top], np.float64)) * np.array([size / width, size / height])
        return tile.moved(pixels, masks, xy)

    return step


def _part(generator: random.Random, size: tuple[int, int], settings: Settings) -> tuple[int, int, int, int]:
    """Return top, left, height and width of a crop with a random area and aspect ratio."""
    rows, columns = size
    narrow, wide = settings.augmentation.crop_ratio
    for _ in range(_TRIES):
        area = generator.uniform(*settings.augmentation.crop_scale) * (rows * columns)
        ratio = math.exp(generator.uniform(math.log(narrow), math.log(wide)))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= columns and 0 < height <= rows:
            top = generator.randint(0, rows - height)
            left = generator.randint(0, columns - width)
            return _start(top, rows, height), _start(left, columns, width), height, width
    height, width = rows, columns
    if columns / rows < min(narrow, wide):
        height = round(width / min(narrow, wide))
    elif columns / rows > max(narrow, wide):
        width = round(height * max(narrow, wide))
    return _start((rows - height) // 2, rows, height), _start((columns - width) // 2, columns, width), height, width


def _start(place: int, whole: int, part: int) -> int:
    """Return the start of a crop; the research code converts to a fraction and back, which can be one pixel off."""
    room = whole - part
    return int((room + 1) * (place / (room + 1e-10)))


def _shift_scale_rotate(settings: Settings) -> Step:
    smallest, largest = (1.0 + one for one in settings.augmentation.scale_limit)

    def step(generator: random.Random, tile: Augmented) -> Augmented:
        height, width = tile.size
        angle = generator.uniform(-_TURN, _TURN)
        scale = generator.uniform(smallest, largest)
        across, down = generator.uniform(-_SHIFT, _SHIFT), generator.uniform(-_SHIFT, _SHIFT)
        matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), angle, scale)
        matrix[0, 2] += across * width
        matrix[1, 2] += down * height

        def warped(image: Array, interpolation: int) -> Array:
            return np.asarray(
                cv2.warpAffine(image, matrix, (width, height), flags=interpolation, borderMode=cv2.BORDER_CONSTANT)
            )

        xy = tile.xy
        if len(xy):
            xy = np.asarray(cv2.transform(xy[:, None, :], matrix), np.float64).reshape(-1, 2)
        masks = [warped(mask, cv2.INTER_NEAREST) for mask in tile.masks]
        return tile.moved(warped(tile.pixels, cv2.INTER_LINEAR), masks, xy)

    return step


def _resize(settings: Settings) -> Step:
    size = settings.data.sam_image_size

    def step(_generator: random.Random, tile: Augmented) -> Augmented:
        height, width = tile.size
        masks = [_resized(mask, size, cv2.INTER_NEAREST) for mask in tile.masks]
        xy = tile.xy * np.array([size / width, size / height])
        return tile.moved(_resized(tile.pixels, size, cv2.INTER_LINEAR), masks, xy)

    return step


def _resized(image: Array, size: int, interpolation: int) -> Array:
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(cv2.resize(image, (size, size), interpolation=interpolation))
