"""Number, area and box of every cell, kept up to date from the pixels that changed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .pixel_runs import segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellseg1.masks import Box

    from .pixel_runs import Ids, Longs, PixelRuns

HIGHEST_ID = int(np.iinfo(np.int32).max)
_ROWS = 256


class CellTable:
    """The cells of a label image.

    A document's table follows finished edits, undo and redo; while an edit is open it still shows the state before.
    Nothing in it depends on how large the ids are.
    """

    def __init__(self) -> None:
        self._ids: Longs = _locked(np.zeros(0, np.int64))
        self._areas: Longs = np.zeros(0, np.int64)
        self._boxes: Longs = np.zeros((0, 4), np.int64)

    @classmethod
    def of(cls, labels: NDArray[np.int32]) -> CellTable:
        """Look through a whole (H, W) int32 label image once."""
        table = cls()
        for top in range(0, labels.shape[0], _ROWS):
            band = labels[top : top + _ROWS]
            y, x, length, ids, _ = segments(band, band, top)
            kept = ids > 0
            if kept.any():
                table._gain(*_summed(ids[kept], length[kept], _run_boxes(y[kept], x[kept], length[kept])))
        return table

    # ---- what is asked

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, cell: object) -> bool:
        return isinstance(cell, (int, np.integer)) and self._place(int(cell)) is not None

    def ids(self) -> NDArray[np.int64]:
        """Return the ids, ascending; a read-only array that does not change when the table does."""
        return self._ids

    def areas(self) -> NDArray[np.int64]:
        """Return the areas in pixels, in the order of `ids`."""
        return self._areas.copy()

    def area(self, cell: int) -> int:
        """Area in pixels; 0 when there is no such cell."""
        place = self._place(cell)
        return 0 if place is None else int(self._areas[place])

    def box(self, cell: int) -> Box | None:
        """Box of a cell; None when there is no such cell."""
        place = self._place(cell)
        if place is None:
            return None
        top, left, bottom, right = self._boxes[place].tolist()
        return top, left, bottom, right

    def boxes(self) -> dict[int, Box]:
        """Return all boxes by id, the ids ascending."""
        return {cell: (box[0], box[1], box[2], box[3]) for cell, box in zip(*self._lists(), strict=True)}

    def next_id(self) -> int:
        """Return the id for a new cell: one more than the highest, or, should that be the last, the lowest free one."""
        return self.next_ids(1)[0]

    def next_ids(self, count: int) -> list[int]:
        """Return that many ids for new cells, ascending."""
        highest = int(self._ids[-1]) if len(self._ids) else 0
        if highest + count <= HIGHEST_ID:
            return list(range(highest + 1, highest + 1 + count))
        taken = set(self._ids.tolist())
        free: list[int] = []
        candidate = 1
        while len(free) < count:
            if candidate not in taken:
                free.append(candidate)
            candidate += 1
        return free

    def median_diameter(self) -> float:
        """Return the median diameter in pixels of circles of the cells' areas; 0.0 when there is no cell."""
        return float(np.median(2 * np.sqrt(self._areas / math.pi))) if len(self._areas) else 0.0

    # ---- what changes

    def become(self, other: CellTable) -> None:
        """Take over what another table holds."""
        self._ids, self._areas, self._boxes = other._ids, other._areas.copy(), other._boxes.copy()

    def update(self, labels: NDArray[np.int32], runs: PixelRuns, *, forward: bool) -> None:
        """Follow a change that `labels` already shows: forward from old to new ids, or back."""
        if not len(runs):
            return
        first = runs.groups()
        boxes = np.stack(
            [
                np.minimum.reduceat(runs.y, first),
                np.minimum.reduceat(runs.x, first),
                np.maximum.reduceat(runs.y, first) + 1,
                np.maximum.reduceat(runs.x + runs.length, first),
            ],
            axis=1,
        )
        sizes = np.add.reduceat(runs.length, first)
        lost, gained = (runs.old, runs.new) if forward else (runs.new, runs.old)
        # Gains first: an area may pass through 0 only at the end.
        for ids, follow in ((gained[first], self._gain), (lost[first], None)):
            kept = ids > 0
            if kept.any():
                changes = _summed(ids[kept], sizes[kept], boxes[kept])
                if follow is not None:
                    follow(*changes)
                else:
                    self._lose(labels, *changes)

    def _gain(self, ids: Longs, areas: Longs, boxes: Longs) -> None:
        new = ids[~np.isin(ids, self._ids, assume_unique=True)]
        if new.size:
            at = np.searchsorted(self._ids, new)
            nowhere = np.array([HIGHEST_ID, HIGHEST_ID, -1, -1])
            self._ids = _locked(np.insert(self._ids, at, new))
            self._areas = np.insert(self._areas, at, 0)
            self._boxes = np.insert(self._boxes, at, nowhere, axis=0)
        places = np.searchsorted(self._ids, ids)
        self._areas[places] += areas
        self._boxes[places, :2] = np.minimum(self._boxes[places, :2], boxes[:, :2])
        self._boxes[places, 2:] = np.maximum(self._boxes[places, 2:], boxes[:, 2:])

    def _lose(self, labels: Ids, ids: Longs, areas: Longs, boxes: Longs) -> None:
        places = np.searchsorted(self._ids, ids)
        self._areas[places] -= areas
        # A box can only shrink on a side on which pixels were lost.
        sides = boxes == self._boxes[places]
        for i in np.flatnonzero(sides.any(axis=1) & (self._areas[places] > 0)):
            self._boxes[places[i]] = _shrunk(labels, int(ids[i]), self._boxes[places[i]].tolist(), sides[i].tolist())
        gone = places[self._areas[places] == 0]
        if gone.size:
            self._ids = _locked(np.delete(self._ids, gone))
            self._areas = np.delete(self._areas, gone)
            self._boxes = np.delete(self._boxes, gone, axis=0)

    def _place(self, cell: int) -> int | None:
        place = int(np.searchsorted(self._ids, cell))
        return place if place < len(self._ids) and self._ids[place] == cell else None

    def _lists(self) -> tuple[list[int], list[list[int]]]:
        return self._ids.tolist(), self._boxes.tolist()


def _locked(values: Longs) -> Longs:
    values.flags.writeable = False
    return values


def _run_boxes(y: Longs, x: Longs, length: Longs) -> Longs:
    return np.stack([y, x, y + 1, x + length], axis=1)


def _summed(ids: Ids, areas: Longs, boxes: Longs) -> tuple[Longs, Longs, Longs]:
    """Put together what belongs to the same id: distinct ids, their areas and boxes."""
    order = np.argsort(ids, kind="stable")
    ids, areas, boxes = ids[order], areas[order], boxes[order]
    first = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    low = np.minimum.reduceat(boxes[:, :2], first, axis=0)
    high = np.maximum.reduceat(boxes[:, 2:], first, axis=0)
    return ids[first].astype(np.int64), np.add.reduceat(areas, first), np.concatenate([low, high], axis=1)


def _shrunk(labels: Ids, cell: int, box: list[int], sides: list[bool]) -> list[int]:
    """Move the given sides of a box that is too large inwards until they meet the cell."""
    top, left, bottom, right = box
    if sides[0]:
        top += _first_row(labels[top:bottom, left:right], cell)
    if sides[2]:
        bottom -= _first_row(labels[top:bottom, left:right][::-1], cell)
    if sides[1]:
        left += _first_row(labels[top:bottom, left:right].T, cell)
    if sides[3]:
        right -= _first_row(labels[top:bottom, left:right].T[::-1], cell)
    return [top, left, bottom, right]


def _first_row(view: Ids, cell: int) -> int:
    """Index of the first row in which the cell is; looks at few rows beyond it, however large the view is."""
    start, step = 0, 2
    while start < len(view):
        found = (view[start : start + step] == cell).any(axis=1)
        if found.any():
            return start + int(found.argmax())
        start, step = start + step, 2 * step
    return 0


def following(ids: NDArray[np.int64], chosen: frozenset[int], step: int) -> int:
    """Return the id after (or before) the selected ones, wrapping around at the end."""
    if not chosen:
        return int(ids[0 if step > 0 else -1])
    if step > 0:
        return int(ids[np.searchsorted(ids, max(chosen), side="right") % len(ids)])
    return int(ids[np.searchsorted(ids, min(chosen), side="left") - 1])
