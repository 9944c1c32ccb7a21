"""Edits of a label image: each changes the array in place and says where.

Every function takes (H, W) int32 labels, works within the bounding box of what it touches, and returns the box of the
changed pixels as (top, left, bottom, right), bottom and right excluded, or None when nothing changed.  An area is
chosen by a *selector*: a boolean array as large as the label image, or a pair (box, boolean array as large as the box);
what lies outside the image is ignored.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cellseg1.errors import MaskError
from cellseg1.masks.ids import components

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cellseg1.masks.ids import Labels

Box: TypeAlias = tuple[int, int, int, int]
Selector: TypeAlias = NDArray[np.bool_] | tuple[Box, NDArray[np.bool_]]

_CRUMB = 3
"""Parts of fewer pixels that a drawn line chips off are no cells."""


def box_of(selected: NDArray[np.bool_], offset: tuple[int, int] = (0, 0)) -> Box | None:
    """Bounding box of the true pixels of (h, w), shifted by `offset` (y, x); None when there are none."""
    rows = np.flatnonzero(selected.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(selected[rows[0] : rows[-1] + 1].any(axis=0))
    top, left = offset
    return top + int(rows[0]), left + int(columns[0]), top + int(rows[-1]) + 1, left + int(columns[-1]) + 1


def union(boxes: Iterable[Box | None]) -> Box | None:
    """Return the smallest box around all boxes that are not None."""
    some = [box for box in boxes if box is not None]
    if not some:
        return None
    tops, lefts, bottoms, rights = zip(*some, strict=True)
    return min(tops), min(lefts), max(bottoms), max(rights)


def paint(labels: Labels, selector: Selector, cell: int, *, protect: bool = True) -> Box | None:
    """Give the selected pixels the id `cell` (1 or more).

    With `protect` only background is painted, never another cell.
    """
    if cell < 1:
        raise MaskError(f"Cannot paint with the id {cell}: cells are numbered from 1. Use erase for the background.")
    view, selected, offset = _select(labels, selector)
    change = selected & (view == 0) if protect else selected & (view != cell)
    view[change] = cell
    return box_of(change, offset)


def erase(labels: Labels, selector: Selector, cell: int | None = None) -> Box | None:
    """Make the selected pixels background; with `cell` only those of that cell."""
    view, selected, offset = _select(labels, selector)
    change = selected & (view != 0) if cell is None else selected & (view == cell)
    view[change] = 0
    return box_of(change, offset)


def delete(labels: Labels, cells: Iterable[int]) -> Box | None:
    """Remove whole cells; unknown ids are ignored."""
    return _recolour(labels, cells, 0)


def merge(labels: Labels, cells: Sequence[int]) -> Box | None:
    """Give all pixels of `cells` the first of their ids; they need not touch."""
    if not cells or min(cells) < 1:
        raise MaskError(f"Cannot merge {list(cells)}: name the ids of two or more cells.")
    return _recolour(labels, cells[1:], cells[0])


def split(labels: Labels, cell: int, line: Sequence[tuple[float, float]]) -> tuple[Box | None, list[int]]:
    """Cut a cell along a drawn line.

    Parameters
    ----------
    labels
        Changed in place: the largest part keeps the id, each other part gets a new one (the highest id + 1, ...); the
        pixels under the line go to the part that is nearest.
    cell
        The id to cut.
    line
        Two or more points (x, y) in pixels; pixel centres are at whole numbers.

    Returns
    -------
    tuple[Box | None, list[int]]
        Changed box and the new ids; (None, []) when the line does not divide the cell.
    """
    from scipy import ndimage

    box = box_of(labels == cell) if cell > 0 else None
    if box is None or len(line) < 2:
        return None, []
    top, left, bottom, right = box
    view = labels[top:bottom, left:right]
    inside = view == cell
    drawn = _rasterise(line, box)
    next_id = int(labels.max()) + 1
    new_ids: list[int] = []
    changed: list[Box | None] = []
    pieces = components(inside)
    # Pieces the line does not touch keep their id: a cell may already lie in several.
    for piece in np.unique(pieces[drawn & inside]):
        whole = pieces == piece
        parts = components(whole & ~drawn)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        parts[(sizes < _CRUMB)[parts]] = 0
        kept = [int(part) for part in np.argsort(-sizes, kind="stable") if sizes[part] >= _CRUMB]
        if len(kept) < 2:
            continue
        rows, columns = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
        nearest = parts[rows, columns]
        for part in kept[1:]:
            area = whole & (nearest == part)
            view[area] = next_id
            changed.append(box_of(area, (top, left)))
            new_ids.append(next_id)
            next_id += 1
    return union(changed), new_ids


def fill_holes(labels: Labels, cell: int | None = None) -> Box | None:
    """Fill background that a cell encloses; cells inside the hole stay.  None: every cell."""
    from scipy import ndimage

    changed: list[Box | None] = []
    for number, (top, left, bottom, right) in _boxes(labels, cell):
        view = labels[top:bottom, left:right]
        filled: NDArray[np.bool_] = ndimage.binary_fill_holes(view == number)
        change = filled & (view == 0)
        view[change] = number
        changed.append(box_of(change, (top, left)))
    return union(changed)


def clean(
    labels: Labels, cell: int | None = None, *, smooth: int = 0, min_island: int = 0, keep_largest: bool = True
) -> Box | None:
    """Tidy the outline and the pieces of one cell, or of every cell.

    Parameters
    ----------
    labels
        Changed in place; a cell only grows into background.
    cell
        The id, or None for all.
    smooth
        Radius in pixels of the bumps and notches to remove; 0: none.
    min_island
        4-connected pieces of fewer pixels are removed, also a cell that has no larger one.
    keep_largest
        Remove all pieces but the largest 4-connected one.
    """
    changed: list[Box | None] = []
    height, width = labels.shape
    for number, (top, left, bottom, right) in _boxes(labels, cell):
        y0, x0 = max(0, top - smooth), max(0, left - smooth)
        view = labels[y0 : min(height, bottom + smooth), x0 : min(width, right + smooth)]
        before = view == number
        wanted = _smoothed(before, smooth) & (before | (view == 0)) if smooth > 0 else before
        if keep_largest or min_island > 1:
            wanted = _without_islands(wanted, min_island, keep_largest=keep_largest)
        view[before & ~wanted] = 0
        view[wanted] = number
        changed.append(box_of(before ^ wanted, (y0, x0)))
    return union(changed)


def _smoothed(cell: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Opening, then closing with a disk; outside the box the nearest pixel is repeated, so borders do not shrink."""
    import cv2

    span = np.arange(-radius, radius + 1)
    disk = (span[:, np.newaxis] ** 2 + span**2 <= radius * (radius + 1)).astype(np.uint8)
    padded = np.pad(cell, 2 * radius, mode="edge").astype(np.uint8)

    # OpenCV is several times as quick as scipy here, which counts when thousands of cells are cleaned.
    def grown(area: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.dilate(area, disk, borderType=cv2.BORDER_CONSTANT, borderValue=0))

    def shrunk(area: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.erode(area, disk, borderType=cv2.BORDER_CONSTANT, borderValue=0))

    opened = grown(shrunk(padded))
    # A cell thinner than the disk would vanish; it is then left as it was.
    closed = shrunk(grown(opened if opened.any() else padded))
    result: NDArray[np.bool_] = closed[2 * radius : -2 * radius, 2 * radius : -2 * radius].astype(bool)
    return result


def _without_islands(cell: NDArray[np.bool_], min_island: int, *, keep_largest: bool) -> NDArray[np.bool_]:
    pieces = components(cell)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    keep = sizes >= max(1, min_island)
    if keep_largest:
        keep &= np.arange(len(sizes)) == sizes.argmax()
    result: NDArray[np.bool_] = keep[pieces]
    return result


def _boxes(labels: Labels, cell: int | None) -> list[tuple[int, Box]]:
    """Ids and boxes of one cell, or of all."""
    from scipy import ndimage

    if cell is not None:
        box = box_of(labels == cell) if cell > 0 else None
        return [] if box is None else [(cell, box)]
    found = enumerate(ndimage.find_objects(labels), start=1)
    return [(n, (at[0].start, at[1].start, at[0].stop, at[1].stop)) for n, at in found if at is not None]


def _recolour(labels: Labels, cells: Iterable[int], new: int) -> Box | None:
    change = np.isin(labels, [cell for cell in cells if cell > 0 and cell != new])
    box = box_of(change)
    if box is not None:
        at = np.s_[box[0] : box[2], box[1] : box[3]]
        labels[at][change[at]] = new
    return box


def _select(labels: Labels, selector: Selector) -> tuple[Labels, NDArray[np.bool_], tuple[int, int]]:
    """Return the view of the labels, the selected pixels in it, and where it starts."""
    if isinstance(selector, tuple):
        (top, left, bottom, right), selected = selector
    else:
        (top, left, bottom, right), selected = (0, 0, *labels.shape), selector
    if selected.shape != (bottom - top, right - left):
        raise MaskError(
            f"An area of shape {selected.shape} does not fit its box of {bottom - top} x {right - left} pixels."
        )
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = max(y0, min(bottom, labels.shape[0])), max(x0, min(right, labels.shape[1]))
    inside = selected[y0 - top : y1 - top, x0 - left : x1 - left].astype(bool, copy=False)
    view = labels[y0:y1, x0:x1]
    return view[: inside.shape[0], : inside.shape[1]], inside, (y0, x0)


def _rasterise(line: Sequence[tuple[float, float]], box: Box) -> NDArray[np.bool_]:
    """Draw the line one pixel wide into an array of the size of `box`."""
    top, left, bottom, right = box
    drawn = np.zeros((bottom - top, right - left), bool)
    for (x0, y0), (x1, y1) in itertools.pairwise(line):
        # One sample per step of the longer side gives an 8-connected line, which parts 4-connected pieces.
        a, b = np.rint([y0, x0]).astype(int), np.rint([y1, x1]).astype(int)
        steps = int(max(abs(b - a))) + 1
        rows = np.rint(np.linspace(a[0], b[0], steps)).astype(int) - top
        columns = np.rint(np.linspace(a[1], b[1], steps)).astype(int) - left
        inside = (rows >= 0) & (rows < bottom - top) & (columns >= 0) & (columns < right - left)
        drawn[rows[inside], columns[inside]] = True
    return drawn
