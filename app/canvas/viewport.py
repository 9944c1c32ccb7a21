"""Which part of the image is seen, and how large: the only place that turns screen positions into image positions.

Positions on the screen are device pixels, so that an image at 100 % has one image pixel per pixel of the screen on
every display; positions in the image are (x, y) floats of which pixel (0, 0) covers 0..1 x 0..1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

Box: TypeAlias = tuple[int, int, int, int]
"""(top, left, bottom, right), ends excluded."""

MAX_ZOOM = 64.0
_FIT_MARGIN = 16


@dataclass(frozen=True, slots=True)
class ViewState:
    """What linked views share: the image position in the middle of the view, and the zoom."""

    center: tuple[float, float]
    zoom: float


def grow(box: Box, by: int, shape: tuple[int, int]) -> Box:
    """Return the box enlarged by `by` pixels on every side, within the image."""
    top, left, bottom, right = box
    return max(0, top - by), max(0, left - by), min(shape[0], bottom + by), min(shape[1], right + by)


class Viewport:
    """A window of `width` x `height` device pixels onto an image of `shape` (rows, columns).

    The image's corner lies at whole device pixels (`left`, `top`), so that tiles are copied, never resampled.
    """

    def __init__(self) -> None:
        self.width, self.height = 1, 1
        self.shape: tuple[int, int] = (0, 0)
        self.zoom = 1.0
        self.left, self.top = 0, 0

    @property
    def state(self) -> ViewState:
        """The middle of the view and the zoom."""
        return ViewState(self.to_image(self.width / 2, self.height / 2), self.zoom)

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Image position of a device position."""
        return (x - self.left) / self.zoom, (y - self.top) / self.zoom

    def to_device(self, x: float, y: float) -> tuple[float, float]:
        """Device position of an image position."""
        return x * self.zoom + self.left, y * self.zoom + self.top

    def image_size(self) -> tuple[int, int]:
        """Width and height of the whole image in device pixels."""
        return math.ceil(self.shape[1] * self.zoom), math.ceil(self.shape[0] * self.zoom)

    def visible_box(self) -> Box:
        """Image pixels that are at least partly seen."""
        x0, y0 = self.to_image(0, 0)
        x1, y1 = self.to_image(self.width, self.height)
        height, width = self.shape
        return (
            min(height, max(0, math.floor(y0))),
            min(width, max(0, math.floor(x0))),
            min(height, max(0, math.ceil(y1))),
            min(width, max(0, math.ceil(x1))),
        )

    def device_rect(self, box: Box, margin: int = 0) -> tuple[int, int, int, int]:
        """Device rectangle (x0, y0, x1, y1) that covers a box of image pixels, enlarged by `margin` device pixels."""
        x0, y0 = self.to_device(box[1], box[0])
        x1, y1 = self.to_device(box[3], box[2])
        return math.floor(x0) - margin, math.floor(y0) - margin, math.ceil(x1) + margin, math.ceil(y1) + margin

    def fit_zoom(self) -> float:
        """Return the zoom at which the whole image is seen, with a little air around it."""
        height, width = self.shape
        if not height or not width:
            return 1.0
        air = _FIT_MARGIN if min(self.width, self.height) > 8 * _FIT_MARGIN else 0
        fitting = min((self.width - 2 * air) / width, (self.height - 2 * air) / height)
        return min(MAX_ZOOM, max(1e-3, fitting))

    def limited(self, zoom: float) -> float:
        """Return the zoom within its limits; one can always zoom out until the image fills a quarter of the view."""
        return min(MAX_ZOOM, max(min(self.fit_zoom() / 4, 0.1), zoom))

    def fit(self) -> None:
        """Show the whole image."""
        self.zoom = self.fit_zoom()
        self.center_on(self.shape[1] / 2, self.shape[0] / 2)

    def center_on(self, x: float, y: float) -> None:
        """Put an image position into the middle of the view, as far as the image stays in reach."""
        self.left = round(self.width / 2 - x * self.zoom)
        self.top = round(self.height / 2 - y * self.zoom)
        self._keep_in_reach()

    def zoom_about(self, zoom: float, x: float, y: float) -> None:
        """Change the zoom; what lies under the device position stays there."""
        image_x, image_y = self.to_image(x, y)
        self.zoom = self.limited(zoom)
        self.left = round(x - image_x * self.zoom)
        self.top = round(y - image_y * self.zoom)
        self._keep_in_reach()

    def move(self, dx: float, dy: float) -> None:
        """Shift the image on the screen by device pixels."""
        self.left += round(dx)
        self.top += round(dy)
        self._keep_in_reach()

    def resize(self, width: int, height: int) -> None:
        """Give the view another size; its middle stays."""
        x, y = self.state.center
        self.width, self.height = max(1, width), max(1, height)
        self.center_on(x, y)

    def _keep_in_reach(self) -> None:
        # The image may leave the middle of the view, for work at its border, but never get lost.
        width, height = self.image_size()
        self.left = int(min(self.width * 0.75, max(self.width * 0.25 - width, self.left)))
        self.top = int(min(self.height * 0.75, max(self.height * 0.25 - height, self.top)))
