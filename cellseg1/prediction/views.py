"""Which parts of an image the network looks at, at which size, and where it is asked (no torch here).

Two plans: the published *pyramid* (the whole image and layers of enlarged crops, Kirillov et al. 2023) and *tiles*
(overlapping windows at the scale the model was trained at, for images of any size).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellseg1.settings import Settings

#: Overlap of the crops of the first layer, as a share of the shorter side (SAM's default).
CROP_OVERLAP = 512 / 1500


@dataclass(frozen=True, slots=True)
class View:
    """One part of an image.

    Attributes
    ----------
    box
        x0, y0, x1, y1 in pixels of the (rescaled) image; the maximum corner is exclusive.
    size
        (h, w) in pixels of the model input.
    prompts
        (N, 2) float64, (x, y) in pixels of the model input.
    """

    box: tuple[int, int, int, int]
    size: tuple[int, int]
    prompts: NDArray[np.float64]

    def prompts_in_image(self) -> NDArray[np.float64]:
        """Return the prompts (N, 2) in pixels of the (rescaled) image."""
        x0, y0, x1, y1 = self.box
        factor = np.array([(x1 - x0) / self.size[1], (y1 - y0) / self.size[0]])
        return np.asarray(self.prompts * factor + (x0, y0), dtype=np.float64)


def point_grid(count: int) -> NDArray[np.float64]:
    """Return the (count * count, 2) centres of a regular grid over the unit square, row by row, as (x, y)."""
    along = np.linspace(0.5 / count, 1 - 0.5 / count, count)
    x, y = np.meshgrid(along, along)
    return np.asarray(np.stack([x.ravel(), y.ravel()], axis=1), dtype=np.float64)


def crop_boxes(shape: tuple[int, int], layers: int) -> list[tuple[tuple[int, int, int, int], int]]:
    """Return the boxes (x0, y0, x1, y1) of the image and its crops, each with its layer.

    Layer i has (2^i)^2 crops that overlap by `CROP_OVERLAP` x shorter side x 2 / 2^i.
    """
    height, width = shape
    short = min(shape)
    boxes: list[tuple[tuple[int, int, int, int], int]] = [((0, 0, width, height), 0)]
    for layer in range(1, layers + 1):
        per_side = 2**layer
        overlap = int(CROP_OVERLAP * short * 2 / per_side)
        crop_w = math.ceil((overlap * (per_side - 1) + width) / per_side)
        crop_h = math.ceil((overlap * (per_side - 1) + height) / per_side)
        for i in range(per_side):
            for j in range(per_side):
                x0, y0 = (crop_w - overlap) * i, (crop_h - overlap) * j
                boxes.append(((x0, y0, min(x0 + crop_w, width), min(y0 + crop_h, height)), layer))
    return boxes


def input_size(shape: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return (h, w) of an image of `shape` scaled so that its longer side is `longest`, rounded half up as SAM does."""
    factor = longest / max(shape)
    return int(shape[0] * factor + 0.5), int(shape[1] * factor + 0.5)


def plan_views(shape: tuple[int, int], settings: Settings) -> list[View]:
    """Plan the views of an image of `shape` (H, W) that was already rescaled to the model's scale."""
    return _tiles(shape, settings) if settings.prediction.view_plan == "tiles" else _pyramid(shape, settings)


def _pyramid(shape: tuple[int, int], settings: Settings) -> list[View]:
    """The published plan; with `pyramid_window`, a large image is cut into windows that are planned one by one."""
    side = settings.prediction.pyramid_window
    if side is None or max(shape) <= 1.5 * side:
        return _pyramid_of((0, 0), shape, settings)
    rows, columns = (_windows(length, side, settings.prediction.tile_overlap) for length in shape)
    return [
        view for y0, y1 in rows for x0, x1 in columns for view in _pyramid_of((x0, y0), (y1 - y0, x1 - x0), settings)
    ]


def _pyramid_of(corner: tuple[int, int], shape: tuple[int, int], settings: Settings) -> list[View]:
    left, top = corner
    views = []
    for (x0, y0, x1, y1), layer in crop_boxes(shape, settings.prediction.crop_n_layers):
        height, width = y1 - y0, x1 - x0
        if height < 1 or width < 1:
            continue
        size = input_size((height, width), settings.data.sam_image_size)
        # A very long image would lose its short side altogether.
        size = (max(1, size[0]), max(1, size[1]))
        count = max(
            1, int(settings.prediction.points_per_side / settings.prediction.crop_n_points_downscale_factor**layer)
        )
        prompts = point_grid(count) * (width, height) * (size[1] / width, size[0] / height)
        views.append(View((left + x0, top + y0, left + x1, top + y1), size, prompts))
    return views


def _tiles(shape: tuple[int, int], settings: Settings) -> list[View]:
    """Overlapping windows at the image's own scale; each grid point belongs to the window it is deepest in."""
    rows, columns = (
        _windows(length, settings.prediction.tile_size, settings.prediction.tile_overlap) for length in shape
    )
    ys, xs = (_grid(length, settings.prediction.point_spacing) for length in shape)
    owner_y, owner_x = _owners(ys, rows), _owners(xs, columns)
    views = []
    for i, (y0, y1) in enumerate(rows):
        for j, (x0, x1) in enumerate(columns):
            grid_x, grid_y = np.meshgrid(xs[owner_x == j] - x0, ys[owner_y == i] - y0)
            prompts = np.stack([grid_x.ravel(), grid_y.ravel()], axis=1)
            if len(prompts):
                views.append(View((x0, y0, x1, y1), (y1 - y0, x1 - x0), prompts))
    return views


def _windows(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    if length <= size:
        return [(0, length)]
    # An overlap of half a window or more would never get to the end.
    overlap = min(overlap, size // 2)
    count = math.ceil((length - overlap) / (size - overlap))
    starts = np.linspace(0, length - size, count).round().astype(int)
    return [(int(start), int(start) + size) for start in starts]


def _grid(length: int, spacing: float) -> NDArray[np.float64]:
    count = max(1, round(length / spacing))
    return np.asarray((np.arange(count) + 0.5) * length / count - 0.5).clip(0, length - 1)


def _owners(positions: NDArray[np.float64], windows: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Index of the window in which each position is farthest from the window's edges."""
    depth = np.stack([np.minimum(positions - start, end - 1 - positions) for start, end in windows])
    return np.asarray(depth.argmax(axis=0), dtype=np.int64)
