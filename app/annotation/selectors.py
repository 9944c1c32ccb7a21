"""Areas that tools choose: a brush moved along a line, and the inside of a drawn outline.

Points are (x, y) in pixels; pixel (0, 0) covers 0..1 in both, so its centre is at (0.5, 0.5).  Selectors are pairs
(box, boolean array as large as the box), cut off at the edges of the image; the box is empty when nothing is chosen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellseg1.masks import Box

    Area = tuple[Box, NDArray[np.bool_]]

_FINE = 1.5
"""Brushes up to this diameter draw a line one pixel wide: a circle so small would miss most pixel centres."""


def disc_selector(x0: float, y0: float, x1: float, y1: float, diameter: float, shape: tuple[int, int]) -> Area:
    """Choose the pixels whose centres are under a round brush moved from (x0, y0) to (x1, y1)."""
    if diameter <= _FINE:
        return _line_selector(x0, y0, x1, y1, shape)
    radius = diameter / 2
    top, bottom = _span(min(y0, y1) - radius, max(y0, y1) + radius, shape[0])
    left, right = _span(min(x0, x1) - radius, max(x0, x1) + radius, shape[1])
    if top >= bottom or left >= right:
        return _nothing()
    # The area is convex: in every row it is one interval, that around what its two discs and its band cover there.
    rows = np.arange(top, bottom) + 0.5
    low, high = np.full(len(rows), math.inf), np.full(len(rows), -math.inf)
    for x, y in ((x0, y0), (x1, y1)):
        inside = np.abs(rows - y) <= radius
        half = np.sqrt(np.maximum(radius**2 - (rows - y) ** 2, 0))
        np.minimum(low, x - half, out=low, where=inside)
        np.maximum(high, x + half, out=high, where=inside)
    length = math.hypot(x1 - x0, y1 - y0)
    if length > 0:
        nx, ny = -(y1 - y0) / length * radius, (x1 - x0) / length * radius
        corners = [(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)]
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            if ay == by:
                continue
            crossed = (rows >= min(ay, by)) & (rows <= max(ay, by))
            at = ax + (rows - ay) * ((bx - ax) / (by - ay))
            np.minimum(low, at, out=low, where=crossed)
            np.maximum(high, at, out=high, where=crossed)
    columns = np.arange(left, right) + 0.5
    return (top, left, bottom, right), (columns >= low[:, np.newaxis]) & (columns <= high[:, np.newaxis])


def polygon_selector(polygon: Sequence[tuple[float, float]], shape: tuple[int, int]) -> Area:
    """Choose the pixels whose centres an outline goes around; where it overlaps itself is inside too."""
    if len(polygon) < 3:
        return _nothing()
    points = np.asarray(polygon, float)
    top, bottom = _span(points[:, 1].min(), points[:, 1].max(), shape[0])
    left, right = _span(points[:, 0].min(), points[:, 0].max(), shape[1])
    if top >= bottom or left >= right:
        return _nothing()
    # How often the outline goes around a pixel: the sum of the sides passed on the way to it, up or down.
    turns = np.zeros((bottom - top, right - left + 1), np.int16)
    for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, axis=0), strict=True):
        first, last = math.ceil(min(ay, by) - 0.5), math.ceil(max(ay, by) - 0.5)
        rows = np.arange(max(first, top), min(last, bottom))
        if rows.size:
            at = ax + (rows + 0.5 - ay) * ((bx - ax) / (by - ay))
            columns = np.clip(np.ceil(at - 0.5).astype(np.int64) - left, 0, right - left)
            turns[rows - top, columns] += 1 if by > ay else -1
    return (top, left, bottom, right), np.cumsum(turns[:, :-1], axis=1, dtype=np.int16) != 0


def _line_selector(x0: float, y0: float, x1: float, y1: float, shape: tuple[int, int]) -> Area:
    """Choose the pixels under a thin line; steps to a diagonal neighbour are allowed."""
    steps = int(max(abs(math.floor(x1) - math.floor(x0)), abs(math.floor(y1) - math.floor(y0)))) + 1
    columns = np.floor(np.linspace(x0, x1, steps)).astype(np.int64)
    rows = np.floor(np.linspace(y0, y1, steps)).astype(np.int64)
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    rows, columns = rows[inside], columns[inside]
    if not rows.size:
        return _nothing()
    top, left, bottom, right = int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
    selected = np.zeros((bottom - top, right - left), bool)
    selected[rows - top, columns - left] = True
    return (top, left, bottom, right), selected


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Return the pixels of a row whose centres may lie between two coordinates, cut off at the edges."""
    return max(0, math.ceil(low - 0.5)), min(size, math.floor(high - 0.5) + 1)


def _nothing() -> Area:
    return (0, 0, 0, 0), np.zeros((0, 0), bool)
