"""Proposals over the image: dashed outlines, filled by score, so that they are never taken for drawn cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .cells import edges, sampled_labels, softened
from .tiles import Rect, TileLayer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...annotation.proposal_layer import ProposalLayer
    from ..viewport import Box

#: From doubtful to certain: orange, yellow, blue; distinct with the common kinds of colour blindness.
SCORE_COLOURS = np.array([(230, 120, 0), (240, 228, 66), (70, 170, 240)], np.float64)
_LOWEST_SCORE = 0.5
_DASH = 6.0
_OPACITY = 0.30
_REJECTED = 0xB0808080
_SELECTED = 0xFFFFFFFF
_GAP = 0x80000000
#: When more proposals change than these, all that is seen is drawn anew.
_MANY = 64


def score_colour(score: float) -> tuple[int, int, int]:
    """Colour of a score, for legends and lists."""
    r, g, b = _ramp(np.array([score]))[0]
    return int(r), int(g), int(b)


def _ramp(score: NDArray[Any]) -> NDArray[np.float64]:
    unit = np.clip((np.nan_to_num(np.asarray(score, np.float64)) - _LOWEST_SCORE) / (1 - _LOWEST_SCORE), 0, 1)
    places = np.linspace(0, 1, len(SCORE_COLOURS))
    return np.stack([np.interp(unit, places, SCORE_COLOURS[:, c]) for c in range(3)], axis=1)


class ProposalTiles(TileLayer):
    """Tiles of the proposals."""

    def __init__(self) -> None:
        super().__init__()
        self.layer: ProposalLayer | None = None
        self.pixel_ratio = 1.0
        self._selected: frozenset[int] = frozenset()
        self._fill = np.zeros(1, np.uint32)
        self._line = np.zeros(1, np.uint32)
        self._dashed = np.zeros(1, bool)
        # The id itself, or 0 for what is not drawn.
        self._shown = np.zeros(1, np.int32)
        # Middle and half size of each proposal, along whose outline the dashes are counted.
        self._place = np.ones((1, 4), np.float32)
        self._present = np.zeros(1, bool)

    def set_layer(self, layer: ProposalLayer | None) -> None:
        """Show other proposals."""
        before, self.layer = self.layer, layer
        if layer is before:
            return
        if layer is not None and before is not None and layer.labels is before.labels:
            self._tables()
            if np.array_equal(layer.score, before.score):
                self._redraw((layer.accepted ^ before.accepted) | (layer.rejected ^ before.rejected))
            else:
                self.clear()
            return
        if layer is not None:
            boxes = _boxes(layer.labels) if layer.boxes is None else np.asarray(layer.boxes)
            self._place, self._present = _places(boxes)
            self._selected = frozenset()
            self._tables()
        self.clear()

    def select(self, ids: frozenset[int]) -> None:
        """Mark proposals with a white outline."""
        changed = ids ^ self._selected
        self._selected = ids
        if changed:
            self._tables()
            self._redraw(changed)

    def _redraw(self, ids: frozenset[int]) -> None:
        """Draw proposals anew."""
        if len(ids) > _MANY:
            self.clear()
            return
        for number in ids:
            if 0 < number < len(self._present) and self._present[number]:
                self.invalidate(self.box(number))

    @property
    def selection(self) -> frozenset[int]:
        """Ids of the marked proposals."""
        return self._selected

    def open_ids(self) -> NDArray[np.int64]:
        """Ids that were neither accepted nor rejected, ascending."""
        if self.layer is None:
            return np.zeros(0, np.int64)
        ids = np.flatnonzero(self._present)
        decided = np.fromiter(self.layer.accepted | self.layer.rejected, np.int64)
        return np.setdiff1d(ids, decided)

    def box(self, number: int) -> Box:
        """Box of a proposal."""
        x, y, half_width, half_height = (float(value) for value in self._place[number])
        return round(y - half_height), round(x - half_width), round(y + half_height), round(x + half_width)

    def reach(self) -> int:
        """Lines and the softened edge."""
        return 2 * max(1, round(self.pixel_ratio)) + 2

    def render(self, rect: Rect, zoom: float) -> NDArray[np.uint32]:
        """Render a rectangle of the proposals."""
        layer = self.layer
        shape = rect[3] - rect[1], rect[2] - rect[0]
        if layer is None:
            return np.zeros(shape, np.uint32)
        margin = self.reach()
        ids = np.take(self._shown, sampled_labels(layer.labels, rect, zoom, margin))
        if not ids.any():
            return np.zeros(shape, np.uint32)
        picture = np.take(self._fill, ids)
        # On small proposals a line of two pixels would leave nothing to be filled.
        unit = max(1, round(self.pixel_ratio))
        edge = edges(ids, unit if zoom < 1 else 2 * unit)
        rows, columns = np.nonzero(edge)
        number = ids[rows, columns]
        x0, y0 = rect[0] - margin, rect[1] - margin
        drawn = self._on_dash(number, (columns + x0 + 0.5) / zoom, (rows + y0 + 0.5) / zoom, zoom)
        # The gaps are dark, so that light dashes are seen on a light image.
        picture[rows, columns] = np.where(drawn, self._line[number], np.where(self._line[number] > 0, _GAP, 0))
        picture = softened(picture)
        return np.ascontiguousarray(picture[margin:-margin, margin:-margin])

    def _on_dash(self, number: NDArray[np.int32], x: NDArray[Any], y: NDArray[Any], zoom: float) -> NDArray[np.bool_]:
        """Whether points of outlines lie on a dash: dashes are counted by the angle around the proposal's middle."""
        cx, cy, rx, ry = self._place[number].T
        turn = np.arctan2((y - cy) / ry, (x - cx) / rx) / (2 * np.pi) + 0.5
        around = np.pi * (rx + ry) * zoom
        # A whole number of dashes, so that they meet.
        count = np.maximum(3, np.rint(around / (2 * _DASH * self.pixel_ratio)))
        on: NDArray[np.bool_] = (turn * count) % 1.0 < 0.58
        return on | ~self._dashed[number]

    def _tables(self) -> None:
        layer = self.layer
        if layer is None:
            return
        size = len(self._place)
        score = np.zeros(size)
        known = np.asarray(layer.score, np.float64)[:size]
        score[: len(known)] = known
        colours = _ramp(score)
        self._fill = _blend(colours, _OPACITY)
        self._line = _blend(colours, 1.0)
        self._dashed = np.ones(size, bool)
        rejected = _known(layer.rejected, size)
        self._fill[rejected], self._line[rejected] = 0, _REJECTED
        selected = _known(self._selected, size)
        self._line[selected], self._dashed[selected] = _SELECTED, False
        self._shown = np.arange(size, dtype=np.int32)
        self._shown[_known(layer.accepted, size)] = 0
        self._fill[0] = self._line[0] = 0


def _blend(colours: NDArray[np.float64], opacity: float) -> NDArray[np.uint32]:
    shade = np.rint(colours * opacity).astype(np.uint32)
    alpha = np.uint32(round(255 * opacity))
    return ((alpha << np.uint32(24)) | (shade[:, 0] << 16) | (shade[:, 1] << 8) | shade[:, 2]).astype(np.uint32)


def _known(ids: frozenset[int], size: int) -> NDArray[np.int64]:
    """Ids for which there is a place in tables."""
    numbers = np.fromiter(ids, np.int64, len(ids))
    return numbers[(numbers > 0) & (numbers < size)]


def _boxes(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """(n + 1, 4) by id: top, left, bottom, right; zeros for an id that is not there."""
    from scipy import ndimage

    found = ndimage.find_objects(labels)
    boxes = np.zeros((len(found) + 1, 4), np.int64)
    for number, at in enumerate(found, start=1):
        if at is not None:
            rows, columns = at
            boxes[number] = rows.start, columns.start, rows.stop, columns.stop
    return boxes


def _places(boxes: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(n, 4) by id middle (x, y) and half width and height of boxes, ones where there is none; and which there are."""
    present = boxes[:, 2] > boxes[:, 0]
    places = np.ones((len(boxes), 4), np.float32)
    top, left, bottom, right = boxes[present].T
    places[present] = np.stack([left + right, top + bottom, right - left, bottom - top], axis=1) / 2
    return places, present
