"""Cells drawn over the image: filled, outlined, selected; and a second label image to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from .tiles import Rect, TileLayer, sampled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from ...project.display import Colour
    from .cell_colours import CellColours

_SOFT_BELOW = 3.0
"""Above this zoom pixels are seen as squares, whose edges stay sharp."""

_CLOSE = 6.0
_WHITE = 0xFFFFFFFF
_BLACK = 0xC0000000


@dataclass(frozen=True, slots=True)
class Overlay:
    """How cells are drawn over the image.

    Attributes
    ----------
    mode
        ``fill`` (with a fine outline), ``outline`` or ``none``.
    opacity
        Of the filling, 0..1.
    outline_width
        In pixels of the screen.
    color
        (r, g, b) for all cells instead of one for each, to compare two label images.
    """

    mode: Literal["fill", "outline", "none"] = "fill"
    opacity: float = 0.35
    outline_width: int = 1
    color: Colour | None = None


class LabelLayer(TileLayer):
    """Tiles of a label image; the colour of each cell comes from a table."""

    def __init__(self, colours: CellColours) -> None:
        super().__init__()
        self.labels: NDArray[np.int32] | None = None
        self.colours = colours
        self.overlay = Overlay()
        self.pixel_ratio = 1.0
        self._fill = np.zeros(1, np.uint32)
        self._line = np.zeros(1, np.uint32)
        self._selected = np.zeros(1, bool)
        self._selection: frozenset[int] = frozenset()

    def set_labels(self, labels: NDArray[np.int32] | None) -> None:
        """Show another label image; the tables are those of `colours`, which must know its cells."""
        self.labels = labels
        self.refresh_tables()
        self.clear()

    def set_overlay(self, overlay: Overlay) -> None:
        """Draw in another way."""
        self.overlay = overlay
        self.refresh_tables()
        self.clear()

    def set_selection(self, cells: Iterable[int]) -> None:
        """Mark cells; the caller invalidates their boxes."""
        self._selection = frozenset(cells)
        self._selected = self._flags(self._selection)

    def refresh_tables(self) -> None:
        """Take over new colours."""
        overlay = self.overlay
        colours = self.colours.table
        if overlay.color is not None:
            colours = np.broadcast_to(np.array(overlay.color, np.uint8), colours.shape)
        self._fill = premultiplied(colours, overlay.opacity if overlay.mode == "fill" else 0.0)
        # In a filled cell a line of full strength would be louder than the image.
        self._line = premultiplied(colours, 1.0 if overlay.mode == "outline" else min(1.0, 0.55 + overlay.opacity))
        self._selected = self._flags(self._selection)

    def reach(self) -> int:
        """Lines, the white ring of the selection, and the softened edge."""
        return self._width(_CLOSE * self.pixel_ratio) + 4 * max(1, round(self.pixel_ratio)) + 2

    def render(self, rect: Rect, zoom: float) -> NDArray[np.uint32]:
        """Render a rectangle of the overlay."""
        shape = rect[3] - rect[1], rect[2] - rect[0]
        labels = self.labels
        if labels is None or self.overlay.mode == "none":
            return np.zeros(shape, np.uint32)
        margin = self.reach()
        ids = self.colours.place(sampled_labels(labels, rect, zoom, margin))
        if not ids.any():
            return np.zeros(shape, np.uint32)
        inside = np.s_[margin:-margin, margin:-margin]
        edge = edges(ids, self._width(zoom))
        picture = np.take(self._fill, ids) if self.overlay.mode == "fill" else np.zeros(ids.shape, np.uint32)
        np.copyto(picture, np.take(self._line, ids), where=edge)
        if zoom < _SOFT_BELOW:
            picture = softened(picture)
        if self._selection:
            selected = self._selected[ids]
            if selected.any():
                self._ring(picture, ids, selected)
        return np.ascontiguousarray(picture[inside])

    def _width(self, zoom: float) -> int:
        # Close up, cells are large and a fine line gets lost.
        more = 1 if zoom >= _CLOSE * self.pixel_ratio else 0
        return max(1, round((self.overlay.outline_width + more) * self.pixel_ratio))

    def _ring(self, picture: NDArray[np.uint32], ids: NDArray[np.int32], selected: NDArray[np.bool_]) -> None:
        """White inside the selected cells, and a dark line around, so that it is seen on a light image too."""
        unit = max(1, round(self.pixel_ratio))
        around = cv2.dilate(selected.view(np.uint8), _disc(unit)).view(bool) & ~selected
        picture[around] = _BLACK
        picture[edges(ids, 2 * unit) & selected] = _WHITE

    def _flags(self, cells: frozenset[int]) -> NDArray[np.bool_]:
        flags = np.zeros(self.colours.size, bool)
        known = [cell for cell in cells if cell > 0]
        if known:
            places = self.colours.place(np.array(known, np.int32))
            flags[places[places < len(flags)]] = True
        return flags


def premultiplied(colours: NDArray[np.uint8], opacity: float) -> NDArray[np.uint32]:
    """(n,) 0xAARRGGBB of (n, 3) colours; the first, the background, is clear."""
    alpha = round(255 * min(1.0, max(0.0, opacity)))
    shade = ((colours.astype(np.uint32) * alpha + 127) // 255).astype(np.uint32)
    table = (np.uint32(alpha) << 24) | (shade[:, 0] << 16) | (shade[:, 1] << 8) | shade[:, 2]
    table[0] = 0
    return table.astype(np.uint32)


def sampled_labels(labels: NDArray[np.int32], rect: Rect, zoom: float, margin: int) -> NDArray[np.int32]:
    """Return the label under each device pixel of a rectangle and `margin` pixels around it."""
    rows = sampled(rect[1] - margin, rect[3] + margin, zoom, labels.shape[0])
    columns = sampled(rect[0] - margin, rect[2] + margin, zoom, labels.shape[1])
    part = labels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.asarray(np.take(np.take(part, rows - rows[0], axis=0), columns - columns[0], axis=1))


def edges(ids: NDArray[np.int32], width: int) -> NDArray[np.bool_]:
    """Pixels of cells that are at most `width` pixels from another cell or from the background."""
    # Exact: single precision holds whole numbers up to 2^24, and ids in tables are smaller.
    values = ids.astype(np.float32)
    kernel = _disc(width)
    edge: NDArray[np.bool_] = cv2.erode(values, kernel) != cv2.dilate(values, kernel)
    edge &= ids > 0
    return edge


def softened(picture: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Take the stairs off lines."""
    height, width = picture.shape
    parts = np.ascontiguousarray(picture).view(np.uint8).reshape(height, width, 4)
    # All four parts are summed alike, so that no colour becomes stronger than its opacity, which would overflow.
    blurred = np.asarray(cv2.GaussianBlur(parts, (3, 3), 0.55))
    return blurred.reshape(height, width * 4).view(np.uint32)


def _disc(radius: int) -> NDArray[np.uint8]:
    span = np.arange(-radius, radius + 1)
    return (span[:, None] ** 2 + span**2 <= radius * (radius + 0.5)).astype(np.uint8)
