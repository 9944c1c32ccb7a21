"""The image itself, reduced where it is seen small."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PySide6.QtGui import QImage

from ...project.display import Display, channel_count, render
from .tiles import Rect, TileLayer, sampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLAIN = ("u1", "u2", "i2", "f4", "f8")
_SMOOTH_BELOW = 2.0
"""Between 100 % and this zoom pixels would look uneven if each were drawn as a block."""


class ImageLayer(TileLayer):
    """Tiles of one plane, shown as `display` says."""

    image_format = QImage.Format.Format_RGB32

    def __init__(self) -> None:
        super().__init__()
        self.plane: NDArray[Any] | None = None
        self.display = Display()
        self._reduced: dict[int, NDArray[Any]] = {}

    def set_plane(self, plane: NDArray[Any] | None) -> None:
        """Show another plane."""
        self.plane = plane
        self._reduced.clear()
        self.clear()

    def set_display(self, display: Display) -> None:
        """Show it in another way; only what is seen is rendered again."""
        self.display = display
        self.clear()

    def render(self, rect: Rect, zoom: float) -> NDArray[np.uint32]:
        """Render a rectangle of the picture."""
        plane = self.plane
        if plane is None:
            return np.zeros((rect[3] - rect[1], rect[2] - rect[0]), np.uint32)
        if zoom >= _SMOOTH_BELOW or zoom == 1:
            rows = sampled(rect[1], rect[3], zoom, plane.shape[0])
            columns = sampled(rect[0], rect[2], zoom, plane.shape[1])
            part = plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            colours = _packed(render(part, self.display))
            if zoom == 1:
                return colours
            return np.asarray(np.take(np.take(colours, rows - rows[0], axis=0), columns - columns[0], axis=1))
        source = self._level(max(0, math.floor(math.log2(1 / zoom)))) if zoom < 1 else plane
        return _packed(self._interpolated(source, plane.shape, rect, zoom))

    def _interpolated(self, source: NDArray[Any], shape: tuple[int, ...], rect: Rect, zoom: float) -> NDArray[np.uint8]:
        x0, y0, x1, y1 = rect
        # Levels are not exact halves when the size is odd, so that their true scale counts.
        down, across = source.shape[0] / shape[0], source.shape[1] / shape[1]
        top = max(0, math.floor(y0 / zoom * down) - 1)
        left = max(0, math.floor(x0 / zoom * across) - 1)
        bottom = min(source.shape[0], math.ceil(y1 / zoom * down) + 2)
        right = min(source.shape[1], math.ceil(x1 / zoom * across) + 2)
        colours = render(source[top:bottom, left:right], self.display)
        sx, sy = across / zoom, down / zoom
        # Pixel centres lie at halves: device (u + 0.5) shows source (u + 0.5) * s - 0.5.
        matrix = np.array([[sx, 0.0, (x0 + 0.5) * sx - 0.5 - left], [0.0, sy, (y0 + 0.5) * sy - 0.5 - top]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(colours, matrix, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(picture, np.uint8)

    def _level(self, level: int) -> NDArray[Any]:
        """Return the plane reduced to 1 / 2^level, made from the next finer one that is there."""
        if self.plane is None:
            raise RuntimeError("There is no image to reduce.")
        if level == 0:
            return self.plane
        if level not in self._reduced:
            finer = max((known for known in self._reduced if known < level), default=0)
            source = self._reduced[finer] if finer else self.plane
            height, width = self.plane.shape[:2]
            size = max(1, -(-width >> level)), max(1, -(-height >> level))
            reduced = [_reduce(source if source.ndim == 2 else source[..., c], size) for c in _channels(source)]
            self._reduced[level] = reduced[0] if source.ndim == 2 else np.stack(reduced, axis=-1)
        return self._reduced[level]


def _channels(plane: NDArray[Any]) -> range:
    return range(channel_count(plane))


def _reduce(channel: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if channel.dtype.kind == "b":
        # As 0 and 1 a mean would be rounded to one of them.
        channel = channel.astype(np.float32)
    elif channel.dtype.str[1:] not in _PLAIN or channel.dtype.byteorder == ">":
        channel = channel.astype(np.float32)
    return np.asarray(cv2.resize(np.ascontiguousarray(channel), size, interpolation=cv2.INTER_AREA))


def _packed(picture: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """(H, W, 3) RGB as 0xffRRGGBB."""
    mixed = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGRA))
    return mixed.view("<u4")[..., 0].astype(np.uint32, copy=False)
