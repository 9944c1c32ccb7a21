"""The targets of the dense head: the maps of `cellseg1.sam.tiny2.DENSE_MAPS` from a label image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cellseg1.sam.tiny2 import MASK_STRIDE_2

Labels = NDArray[np.int32]
Float = NDArray[np.float32]

#: A pixel with two cells within this distance (px) is on a border between cells.
_NEAR = 2


def dense_maps(labels: Labels) -> Float:
    """Return the five maps (5, H / 2, W / 2) of labels (H, W), even sides; -1 counts as background.

    A value is the mean of its four pixels; that of the way to the centre, of those in a cell.
    """
    cells = np.maximum(labels, 0)
    inside = (cells > 0).astype(np.float32)
    depth = relative_depth(cells)
    border = between_cells(cells).astype(np.float32)
    to_x, to_y = _ways(cells)
    covered = _halved(inside)
    some = np.maximum(covered, 0.25)
    return np.stack(
        [covered, _halved(depth), _halved(border), _halved(to_x * inside) / some, _halved(to_y * inside) / some]
    )


def relative_depth(cells: Labels) -> Float:
    """Distance of each pixel to the edge of its own cell, divided by the largest one of that cell; 0 outside.

    The image's border is no edge: a cell that it cuts is deepest at the border where more of it lies beyond.
    """
    edge = np.zeros(cells.shape, bool)
    for axis in (0, 1):
        differs = np.diff(cells, axis=axis) != 0
        first, second = [slice(None)] * 2, [slice(None)] * 2
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        edge[tuple(first)] |= differs
        edge[tuple(second)] |= differs
    inner = ~edge & (cells > 0)
    # The middle of an edge pixel is half a pixel away from the edge.
    depth = np.where(cells > 0, cv2.distanceTransform(inner.astype(np.uint8), cv2.DIST_L2, 5) + 0.5, 0)
    if edge.any() or not cells.any():
        # Without an edge, the whole image has the largest depth.
        deepest = np.zeros(int(cells.max()) + 1, np.float32)
        np.maximum.at(deepest, cells.ravel(), depth.ravel().astype(np.float32))
        return np.asarray(depth / np.maximum(deepest, 0.5)[cells], dtype=np.float32)
    return np.ones(cells.shape, np.float32)


def between_cells(cells: Labels) -> NDArray[np.bool_]:
    """Tell which pixels have parts of two cells or more within `_NEAR` pixels."""
    kernel = np.ones((2 * _NEAR + 1, 2 * _NEAR + 1), np.uint8)
    # float32 holds every label exactly; OpenCV has no morphology of int32.
    values = cells.astype(np.float32)
    highest = cv2.dilate(values, kernel)
    lowest = cv2.erode(np.where(values > 0, values, np.float32(2**24)), kernel)
    return np.asarray((lowest < highest) & (highest > 0))


def _ways(cells: Labels) -> tuple[Float, Float]:
    """Way (x, y) in pixels from the middle of each pixel to the centre of gravity of its cell."""
    flat = cells.ravel()
    yy, xx = np.mgrid[: cells.shape[0], : cells.shape[1]].astype(np.float32)
    area = np.maximum(np.bincount(flat), 1)
    centre_x = (np.bincount(flat, xx.ravel()) / area).astype(np.float32)
    centre_y = (np.bincount(flat, yy.ravel()) / area).astype(np.float32)
    return centre_x[cells] - xx, centre_y[cells] - yy


def _halved(values: Float) -> Float:
    height, width = values.shape
    parts = values.reshape(height // MASK_STRIDE_2, MASK_STRIDE_2, width // MASK_STRIDE_2, MASK_STRIDE_2)
    return np.asarray(parts.mean((1, 3)), dtype=np.float32)
