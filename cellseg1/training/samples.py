"""From annotated images to the samples of an epoch: tiles, augmentation, prompts, targets.

The randomness of a sample depends only on (seed, epoch, index), never on which process makes it or in which order,
so an interrupted training goes on with the very samples it would have had.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cellseg1.images import make_tiles, resize_image, resize_mask, resize_to_short_edge
from cellseg1.settings import Settings
from cellseg1.training.augment import augment
from cellseg1.training.points import TilePoints, near_border, sample_points

Labels = NDArray[np.int32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """One annotated image, as model input.

    Attributes
    ----------
    pixels
        (H, W, 3) uint8.
    labels
        (H, W) int32, 0 = background.
    annotated
        (H, W) bool, or None when the whole image is annotated; see *Region* in CONTEXT.md.
    """

    name: str
    sha256: str
    pixels: Pixels
    labels: Labels
    annotated: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What one training step sees of one tile.

    Attributes
    ----------
    pixels
        (S, S, 3) uint8, S = `sam_image_size`.
    labels
        (S, S) int32.
    annotated
        (S, S) bool or None.
    xy
        (N, 2) int64, prompts in pixels.
    cell
        (N,) int32, the wanted label, 0 for background.
    """

    pixels: Pixels
    labels: Labels
    annotated: NDArray[np.bool_] | None
    xy: NDArray[np.int64]
    cell: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Tile:
    pixels: Pixels
    labels: Labels
    annotated: NDArray[np.bool_] | None


class SampleSource:
    """All tiles of the training images; makes sample number `index` of epoch `epoch`."""

    def __init__(self, images: Sequence[TrainingImage], settings: Settings) -> None:
        self.settings = settings
        self._tiles: list[_Tile] = []
        for image in images:
            self._tiles.extend(_cut(_resized(image, settings), settings))
        self._repeats = _repeats(len(self._tiles), settings)
        self._ordered: tuple[int, NDArray[np.int64]] | None = None

    @property
    def tile_count(self) -> int:
        """Number of different tiles."""
        return len(self._tiles)

    def __len__(self) -> int:
        """Samples per epoch."""
        most = self.settings.data.epoch_tiles
        return self._all if most is None else min(self._all, most)

    @property
    def _all(self) -> int:
        """Samples until every tile was used as often as every other."""
        return (
            len(self._tiles) * self._repeats if self.settings.switches.duplicate_rule == "upstream" else self._repeats
        )

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Indices of the epoch's samples in the order they are used.

        With `epoch_tiles` an epoch goes on in the list of all tiles where the one before stopped.
        """
        if self._ordered is None or self._ordered[0] != epoch:
            count, total = len(self), self._all
            places = np.arange(epoch * count, (epoch + 1) * count)
            order = np.empty(count, np.int64)
            for number in np.unique(places // total):
                there = places // total == number
                order[there] = self._shuffled(int(number), total)[places[there] % total]
            # Used with every batch of a training.
            self._ordered = epoch, order
        return self._ordered[1]

    def _shuffled(self, number: int, total: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.settings.environment.seed, number)).permutation(total).astype(np.int64)

    def batches(self) -> int:
        """Batches per epoch."""
        return math.ceil(len(self) / self.settings.training.batch_size)

    def get(self, epoch: int, index: int) -> Sample | None:
        """Make one sample; None when all its points left the frame (only with `empty_tile` = upstream)."""
        settings = self.settings
        tile = self._tiles[index % len(self._tiles)]
        rng = np.random.default_rng((settings.environment.seed, epoch, index))
        points = sample_points(tile.labels, settings, rng, tile.annotated)
        if settings.augmentation.data_augmentation:
            sample = self._augmented(tile, points, rng)
            if sample is not None and (len(sample.xy) or settings.switches.empty_tile == "upstream"):
                return sample
            if settings.switches.empty_tile == "upstream":
                return None
        return _plain(tile, points, settings.data.sam_image_size)

    def _augmented(self, tile: _Tile, points: TilePoints, rng: np.random.Generator) -> Sample | None:
        masks: list[NDArray[Any]] = [tile.labels]
        if tile.annotated is not None:
            masks.append(tile.annotated.astype(np.uint8))
        seed = int(rng.integers(2**32))
        result = augment(self.settings, seed, tile.pixels, masks, points.xy.astype(np.float64))
        order = result.kept
        if len(order) == 0:
            return None
        xy = result.xy.astype(np.int64)
        labels = np.asarray(result.masks[0], dtype=np.int32)
        annotated = None if tile.annotated is None else result.masks[1] > 0
        xy, cell = _surviving(xy, points.cell[order], labels, annotated, self.settings)
        return Sample(np.asarray(result.pixels, dtype=np.uint8), labels, annotated, xy, cell)


def _surviving(
    xy: NDArray[np.int64],
    was: NDArray[np.int32],
    labels: Labels,
    annotated: NDArray[np.bool_] | None,
    settings: Settings,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Drop points whose cell left the frame or became too small; relabel or drop those that moved (T8)."""
    from scipy.ndimage import find_objects

    now = labels[xy[:, 1], xy[:, 0]]
    areas = np.bincount(labels.ravel())
    boxes = find_objects(labels)
    keep = np.ones(len(xy), bool)
    for index, (before, after) in enumerate(zip(was, now, strict=True)):
        if before == 0:
            keep[index] = after == 0 or settings.switches.moved_points == "upstream"
            continue
        keep[index] = not (
            after == 0
            or areas[after] <= settings.points.min_cell_area
            or near_border(boxes[after - 1], settings.points.edge_distance, labels.shape)
            or (settings.switches.moved_points == "repaired" and after != before)
        )
    if annotated is not None:
        keep &= annotated[xy[:, 1], xy[:, 0]]
    cell = np.where(was == 0, 0, now).astype(np.int32)
    return xy[keep], cell[keep]


def _plain(tile: _Tile, points: TilePoints, size: int) -> Sample:
    """Stretch the tile as it is, points with it, to the network's input (T5: image and targets alike)."""
    height, width = tile.labels.shape
    factor = np.array([size / width, size / height])
    xy = np.clip((points.xy + 0.5) * factor, 0, size - 1).astype(np.int64)
    pixels = cv2.resize(tile.pixels, (size, size), interpolation=cv2.INTER_LINEAR)
    labels = np.asarray(cv2.resize(tile.labels, (size, size), interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.int32)
    annotated = None
    if tile.annotated is not None:
        known = cv2.resize(tile.annotated.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
        annotated = np.asarray(known) > 0
    # Shrinking can move the edge of a thin cell past its point.
    cell = np.where(points.cell > 0, labels[xy[:, 1], xy[:, 0]], 0).astype(np.int32)
    keep = (cell > 0) | (points.cell == 0)
    return Sample(np.asarray(pixels, dtype=np.uint8), labels, annotated, xy[keep], cell[keep])


def _resized(image: TrainingImage, settings: Settings) -> TrainingImage:
    """Apply `resize_size`; upstream reads it as (width, height) here (T9)."""
    if settings.data.resize_size is None:
        return image
    size = (
        settings.data.resize_size if settings.switches.resize_order == "repaired" else settings.data.resize_size[::-1]
    )
    return _to_size(image, (size[0], size[1]))


def _to_size(image: TrainingImage, size: tuple[int, int]) -> TrainingImage:
    annotated = image.annotated
    if annotated is not None:
        annotated = resize_mask(annotated.astype(np.int32), size) > 0
    return TrainingImage(
        image.name,
        image.sha256,
        np.asarray(resize_image(image.pixels, size), dtype=np.uint8),
        np.asarray(resize_mask(image.labels, size), dtype=np.int32),
        annotated,
    )


def rescaled(image: TrainingImage, factor: float) -> TrainingImage:
    """Return the image enlarged or reduced by `factor`; its content keeps its aspect to within a pixel."""
    if factor == 1.0:
        return image
    height, width = image.labels.shape
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    if factor >= 1:
        return _to_size(image, size)
    annotated = image.annotated
    return TrainingImage(
        image.name,
        image.sha256,
        # Averaging keeps fine texture from turning into noise when an image is reduced.
        np.asarray(cv2.resize(image.pixels, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8),
        np.asarray(resize_mask(image.labels, size), dtype=np.int32),
        None if annotated is None else resize_mask(annotated.astype(np.int32), size) > 0,
    )


def _cut(image: TrainingImage, settings: Settings) -> list[_Tile]:
    """Cut one image into tiles; tiles without anything annotated are left out."""
    pixels, labels, annotated = image.pixels, image.labels, image.annotated
    size = settings.data.patch_size
    if size is None:
        return [_Tile(pixels, labels, annotated)]
    rule: Literal["upstream", "even"] = "upstream" if settings.switches.tile_starts == "upstream" else "even"
    if min(labels.shape) < size:
        if settings.switches.tile_starts == "upstream":
            pixels = np.asarray(resize_to_short_edge(pixels, size), dtype=np.uint8)
            labels = np.asarray(resize_to_short_edge(labels, size, labels=True), dtype=np.int32)
            if annotated is not None:
                annotated = resize_to_short_edge(annotated.astype(np.int32), size, labels=True) > 0
        else:
            pixels, labels, annotated = _padded(pixels, labels, annotated, size)
    tiles = []
    for rows, columns in make_tiles(labels.shape, size, rule):
        known = None if annotated is None else annotated[rows, columns]
        if known is not None and not known.any():
            continue
        part = labels[rows, columns]
        if known is not None:
            part = np.where(known, part, 0).astype(np.int32)
            known = None if known.all() else known
        tiles.append(_Tile(np.ascontiguousarray(pixels[rows, columns]), np.ascontiguousarray(part), known))
    return tiles


def _padded(
    pixels: Pixels, labels: Labels, annotated: NDArray[np.bool_] | None, size: int
) -> tuple[Pixels, Labels, NDArray[np.bool_]]:
    """Extend a small image with black that counts as not annotated, instead of enlarging its cells."""
    height, width = labels.shape
    margin = ((0, max(0, size - height)), (0, max(0, size - width)))
    known = np.ones(labels.shape, bool) if annotated is None else annotated
    return np.pad(pixels, (*margin, (0, 0))), np.pad(labels, margin), np.pad(known, margin)


def _repeats(tiles: int, settings: Settings) -> int:
    """How often the tiles are repeated (upstream rule, T11), or the number of samples per epoch (repaired)."""
    wanted = settings.data.duplicate_data
    if settings.switches.duplicate_rule == "upstream":
        return wanted // tiles + 1 if tiles and 0 < tiles < wanted else 1
    return max(wanted, tiles)
