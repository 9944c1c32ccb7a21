"""Pictures of a layer at the size it has on the screen, kept in tiles and made when they are first seen.

A tile belongs to one zoom.  It is copied to the screen, never resampled: moving the view costs no more than copying,
and a stroke redraws the few pixels that it changed.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPoint, QRect
from PySide6.QtGui import QImage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PySide6.QtGui import QPainter

    from ..viewport import Box, Viewport

TILE = 256
Rect = tuple[int, int, int, int]
"""(x0, y0, x1, y1) in device pixels, from the corner of the image."""


class _Tile:
    """Pixels and the QImage that looks at them: what is written into the one is seen in the other."""

    __slots__ = ("dirty", "empty", "image", "pixels")

    def __init__(self, pixels: NDArray[np.uint32], image_format: QImage.Format) -> None:
        self.pixels = np.ascontiguousarray(pixels)
        height, width = self.pixels.shape
        self.image = QImage(self.pixels.data, width, height, 4 * width, image_format)
        self.dirty: Rect | None = None
        self.empty = not self.pixels.any()

    def write(self, pixels: NDArray[np.uint32], x: int, y: int) -> None:
        self.pixels[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        self.empty = not self.pixels.any()


class TileLayer:
    """Base of what is drawn from tiles; a subclass says how in `render`."""

    image_format = QImage.Format.Format_ARGB32_Premultiplied

    def __init__(self, limit: int = 48 << 20) -> None:
        self._tiles: OrderedDict[tuple[int, int], _Tile] = OrderedDict()
        self._zoom = 0.0
        self._size = (0, 0)
        self._limit = limit
        self.rendered_pixels = 0

    def render(self, rect: Rect, zoom: float) -> NDArray[np.uint32]:
        """Return the pixels 0xAARRGGBB of a rectangle of the whole picture at a zoom."""
        raise NotImplementedError

    def reach(self) -> int:
        """How many device pixels around a change may look different."""
        return 0

    @property
    def cached_bytes(self) -> int:
        """Memory that the tiles take."""
        return sum(tile.pixels.nbytes for tile in self._tiles.values())

    def clear(self) -> None:
        """Throw all tiles away; only what is seen is made again."""
        self._tiles.clear()

    def invalidate(self, box: Box) -> None:
        """Mark what shows a box of image pixels as changed."""
        zoom, reach = self._zoom, self.reach()
        if not self._tiles:
            return
        x0, y0 = math.floor(box[1] * zoom) - reach, math.floor(box[0] * zoom) - reach
        x1, y1 = math.ceil(box[3] * zoom) + reach, math.ceil(box[2] * zoom) + reach
        for (row, column), tile in self._tiles.items():
            part = _common((x0, y0, x1, y1), self._rect(row, column))
            if part is not None:
                old = tile.dirty or part
                tile.dirty = min(old[0], part[0]), min(old[1], part[1]), max(old[2], part[2]), max(old[3], part[3])

    def paint(self, painter: QPainter, view: Viewport, exposed: Rect) -> None:
        """Draw what lies in an exposed rectangle of the screen; the painter counts in device pixels."""
        size = view.image_size()
        if view.zoom != self._zoom or size != self._size:
            self._tiles.clear()
            self._zoom, self._size = view.zoom, size
        left, top = view.left, view.top
        wanted = _common((exposed[0] - left, exposed[1] - top, exposed[2] - left, exposed[3] - top), (0, 0, *size))
        if wanted is None:
            return
        for row in range(wanted[1] // TILE, (wanted[3] - 1) // TILE + 1):
            for column in range(wanted[0] // TILE, (wanted[2] - 1) // TILE + 1):
                tile = self._tile(row, column)
                part = _common(wanted, self._rect(row, column))
                if tile.empty or part is None:
                    continue
                x0, y0, x1, y1 = part
                source = QRect(x0 - column * TILE, y0 - row * TILE, x1 - x0, y1 - y0)
                painter.drawImage(QPoint(left + x0, top + y0), tile.image, source)
        self._forget()

    def _tile(self, row: int, column: int) -> _Tile:
        tile = self._tiles.get((row, column))
        if tile is None:
            tile = _Tile(self._make(self._rect(row, column)), self.image_format)
            self._tiles[row, column] = tile
        elif tile.dirty is not None:
            x0, y0, _, _ = tile.dirty
            tile.write(self._make(tile.dirty), x0 - column * TILE, y0 - row * TILE)
            tile.dirty = None
        self._tiles.move_to_end((row, column))
        return tile

    def _make(self, rect: Rect) -> NDArray[np.uint32]:
        self.rendered_pixels += (rect[2] - rect[0]) * (rect[3] - rect[1])
        return self.render(rect, self._zoom)

    def _rect(self, row: int, column: int) -> Rect:
        width, height = self._size
        x, y = column * TILE, row * TILE
        return x, y, min(width, x + TILE), min(height, y + TILE)

    def _forget(self) -> None:
        # Tiles that were not seen for longest go first; what was just painted never does.
        most = max(self._limit // (4 * TILE * TILE), 1)
        while len(self._tiles) > most:
            self._tiles.popitem(last=False)


def _common(a: Rect, b: Rect) -> Rect | None:
    x0, y0, x1, y1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def sampled(start: int, end: int, zoom: float, length: int) -> NDArray[np.intp]:
    """Image row (or column) under the middle of each device pixel from `start` to `end`, within the image."""
    at = np.floor((np.arange(start, end) + 0.5) / zoom).astype(np.intp)
    return np.asarray(np.clip(at, 0, length - 1))
