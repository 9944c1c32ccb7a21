"""Which of the twelve colours a cell has: touching cells differ, and a cell keeps its colour when others change."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cellseg1.prediction.overlay import PALETTE

from ..viewport import Box, grow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

REACH = 2
"""Cells at most this many pixels apart must differ."""

_NONE = 255
_COUNT = len(PALETTE)
_LIMIT = 1 << 22
"""Ids above share the places of smaller ones, so that a file with ids of nine digits does not fill the memory."""

_STRIP = 256
_FEW = 32
_LARGE = 1 << 19
"""Changed boxes of more pixels are not searched where few cells have changed."""
_POSTPONED = 1 << 19
"""Changed boxes of more pixels are not searched at once if all their cells have colours (see `unchecked`)."""

_ALIKE = 20.0
"""Colours nearer than this (CIELAB, also as colour-blind people see them) are not put side by side if avoidable."""

#: (dy, dx) of half of the surroundings: each pair is met from one side or the other.
_STEPS = ((0, 1), (0, 2), (1, 0), (2, 0), (1, 1), (1, -1))

#: Distances between the palette's colours in CIELAB: the smallest of normal, red-blind and green-blind sight (Machado,
#: Oliveira and Fernandes, 2009).
DISTANCES = np.array(
    [
        [0.00, 101.42, 51.56, 17.04, 109.52, 18.35, 80.87, 90.04, 26.64, 60.94, 80.06, 124.95],
        [101.42, 0.00, 48.86, 111.90, 24.81, 88.70, 20.66, 19.66, 80.36, 42.57, 21.02, 19.92],
        [51.56, 48.86, 0.00, 69.92, 55.68, 37.18, 17.88, 41.87, 36.99, 22.99, 31.42, 67.08],
        [17.04, 111.90, 69.92, 0.00, 124.98, 33.57, 84.26, 94.58, 23.69, 70.63, 79.28, 132.82],
        [109.52, 24.81, 55.68, 124.98, 0.00, 91.86, 22.73, 43.21, 92.87, 59.17, 41.08, 22.78],
        [18.35, 88.70, 37.18, 33.57, 91.86, 0.00, 69.82, 81.71, 31.70, 54.92, 73.24, 110.08],
        [80.87, 20.66, 17.88, 84.26, 22.73, 69.82, 0.00, 25.57, 61.17, 18.13, 20.14, 38.50],
        [90.04, 19.66, 41.87, 94.58, 43.21, 81.71, 25.57, 0.00, 66.41, 25.56, 9.03, 41.60],
        [26.64, 80.36, 36.99, 23.69, 92.87, 31.70, 61.17, 66.41, 0.00, 37.52, 55.64, 105.02],
        [60.94, 42.57, 22.99, 70.63, 59.17, 54.92, 18.13, 25.56, 37.52, 0.00, 10.72, 62.46],
        [80.06, 21.02, 31.42, 79.28, 41.08, 73.24, 20.14, 9.03, 55.64, 10.72, 0.00, 46.11],
        [124.95, 19.92, 67.08, 132.82, 22.78, 110.08, 38.50, 41.60, 105.02, 62.46, 46.11, 0.00],
    ]
)


def touching_pairs(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """(n, 2) ids of the cells that are at most `REACH` pixels apart, each pair once, the smaller id first."""
    height, width = labels.shape
    keys = []
    for start in range(0, height, _STRIP):
        strip = labels[start : min(height, start + _STRIP + REACH)]
        cells = strip > 0
        for dy, dx in _STEPS:
            if strip.shape[0] <= dy or width <= abs(dx):
                continue
            here = np.s_[: strip.shape[0] - dy, max(0, -dx) : width - max(0, dx)]
            there = np.s_[dy:, max(0, dx) : width - max(0, -dx)]
            first, second = strip[here], strip[there]
            at = first != second
            at &= cells[here]
            at &= cells[there]
            found = np.flatnonzero(at)
            if found.size:
                rows, columns = np.divmod(found, at.shape[1])
                a, b = first[rows, columns].astype(np.int64), second[rows, columns].astype(np.int64)
                keys.append(_distinct((np.minimum(a, b) << 32) | np.maximum(a, b)))
    if not keys:
        return np.zeros((0, 2), np.int64)
    key = _distinct(np.concatenate(keys))
    return np.stack([key >> 32, key & 0xFFFFFFFF], axis=1)


def pairs_near(labels: NDArray[np.int32], box: Box) -> NDArray[np.int64]:
    """`touching_pairs` of a box and the cells just around it."""
    top, left, bottom, right = grow(box, REACH, labels.shape)
    return touching_pairs(labels[top:bottom, left:right])


class Cells(Protocol):
    """What must be known of all cells (`app.annotation.CellTable`)."""

    def ids(self) -> NDArray[np.int64]:
        """Ids, ascending."""

    def areas(self) -> NDArray[np.int64]:
        """Areas in the order of the ids."""

    def box(self, cell: int) -> Box | None:
        """Box of a cell."""


class CellColours:
    """The palette index of every cell that was ever seen."""

    def __init__(self) -> None:
        self._index = np.full(1024, _NONE, np.uint8)
        self._foreseen: tuple[Box, NDArray[np.int64]] | None = None
        #: Where cells of one colour may touch; whoever looks (`pairs_near`, then `part`) sets it to None.
        self.unchecked: Box | None = None
        self._remember(None)

    def __call__(self, cell: int) -> int:
        """Palette index of a cell; 0 for one that was never seen."""
        index = int(self._index[cell % _LIMIT]) if cell % _LIMIT < len(self._index) else _NONE
        return 0 if index == _NONE else index

    @property
    def table(self) -> NDArray[np.uint8]:
        """(n, 3) RGB by `place` of the id; for ids without a cell any colour."""
        return np.asarray(PALETTE[np.where(self._index == _NONE, 0, self._index)])

    def place(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the labels as indices into tables of `size` entries."""
        return labels if len(self._index) < _LIMIT else labels & np.int32(_LIMIT - 1)

    @property
    def size(self) -> int:
        """Entries of a table by id."""
        return len(self._index)

    def assign_all(self, labels: NDArray[np.int32], table: Cells | None = None) -> None:
        """Forget everything and colour a whole label image; with the table of its cells in less time."""
        self.unchecked = None
        self._index = np.full(1024, _NONE, np.uint8)
        self._remember(table)
        self._assign(self._missing(labels) if table is None else self._uncoloured(table), touching_pairs(labels))

    def meet(self, labels: NDArray[np.int32], box: Box) -> bool:
        """Colour cells that are new in the box, quickly; return whether there were any.

        Meant for a stroke in progress: what the new cell comes to touch later is seen to by `update`.
        """
        new = self._missing(labels[box[0] : box[2], box[1] : box[3]])
        if not new.size:
            return False
        top, left, bottom, right = grow(box, 8 * REACH, labels.shape)
        # Everything in sight counts as touching: the stroke will probably get there.
        near = np.unique(labels[top:bottom, left:right])
        near = near[near > 0].astype(np.int64)
        pairs = [(cell, other) for cell in new for other in near if other != cell]
        self._assign(new, np.array(pairs, np.int64).reshape(-1, 2))
        return True

    def foresee(self, box: Box, pairs: NDArray[np.int64]) -> None:
        """Say which cells touch in a box (`pairs_near`) after the change that comes next: `update` is quick then."""
        self._foreseen = box, pairs

    def update(self, labels: NDArray[np.int32], box: Box, table: Cells) -> tuple[bool, list[int]]:
        """Colour what is new in a changed box, and part cells of one colour that touch there now.

        Parameters
        ----------
        labels
            The whole label image.
        box
            Where it changed.
        table
            The cells of the label image after the change.

        Returns
        -------
        tuple[bool, list[int]]
            Whether any colour was given, and the cells that had another one before.
        """
        new = self._uncoloured(table)
        grown = self._grown(table)
        self._remember(table)
        if not new.size and _area(box) > _POSTPONED and self._foreseen is None:
            # Undo and redo of much: all cells have their colours from before, and hardly ever do two clash.
            self.unchecked = box
            pairs = np.zeros((0, 2), np.int64)
        elif _area(box) > _LARGE and len(grown) <= 4 * _FEW:
            # A long stroke: only what it changed can have come to touch something.
            pairs = self._around(labels, grown, table)
        elif self._foreseen is not None and self._foreseen[0] == box:
            pairs = self._foreseen[1]
        else:
            pairs = pairs_near(labels, box)
        self._foreseen = None
        return self._part(labels, new, pairs, table)

    def part(self, labels: NDArray[np.int32], pairs: NDArray[np.int64], table: Cells) -> tuple[bool, list[int]]:
        """Part cells of one colour among pairs that were found elsewhere; returns as `update`."""
        there = np.isin(pairs, np.asarray(table.ids())).all(axis=1)
        return self._part(labels, np.zeros(0, np.int64), pairs[there], table)

    def _part(
        self, labels: NDArray[np.int32], new: NDArray[np.int64], pairs: NDArray[np.int64], table: Cells
    ) -> tuple[bool, list[int]]:
        known = self._of(pairs)
        clash = pairs[(known[:, 0] == known[:, 1]) & (known[:, 0] != _NONE)]
        # The younger one gives way: the older one is what the eye has learnt.
        changed = [int(cell) for cell in np.unique(clash.max(axis=1))] if len(clash) else []
        if not new.size and not changed:
            return False, []
        todo = np.unique(np.concatenate([new, np.array(changed, np.int64)]))
        if len(todo) <= _FEW:
            pairs = np.concatenate([pairs, self._around(labels, todo, table)])
        for cell in changed:
            self._index[cell % _LIMIT] = _NONE
        self._assign(todo, pairs)
        return True, changed

    def _around(self, labels: NDArray[np.int32], cells: Iterable[int], table: Cells) -> NDArray[np.int64]:
        """Pairs in the whole surroundings of each cell, of which the changed box may hold only a part."""
        found = [np.zeros((0, 2), np.int64)]
        for cell in cells:
            box = table.box(int(cell))
            if box is not None:
                top, left, bottom, right = grow(box, REACH, labels.shape)
                found.append(touching_pairs(labels[top:bottom, left:right]))
        return np.concatenate(found)

    def _remember(self, table: Cells | None) -> None:
        self._ids = np.zeros(0, np.int64) if table is None else table.ids()
        self._areas = np.zeros(0, np.int64) if table is None else table.areas()

    def _grown(self, table: Cells) -> NDArray[np.int64]:
        """Cells that are new or have another area than when last remembered."""
        ids, areas = np.asarray(table.ids()), table.areas()
        if not len(self._ids):
            return ids
        place = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return np.asarray(ids[(self._ids[place] != ids) | (self._areas[place] != areas)])

    def _uncoloured(self, table: Cells) -> NDArray[np.int64]:
        ids = np.asarray(table.ids())
        self.reserve(int(ids[-1]) if len(ids) else 0)
        return np.asarray(ids[self._of(ids) == _NONE])

    def reserve(self, highest: int) -> None:
        """Make room for ids up to `highest`."""
        needed = min(_LIMIT, highest + 1)
        if needed > len(self._index):
            larger = np.full(min(_LIMIT, max(needed, 2 * len(self._index))), _NONE, np.uint8)
            larger[: len(self._index)] = self._index
            self._index = larger

    def _missing(self, labels: NDArray[np.int32]) -> NDArray[np.int64]:
        """Ids in the labels without a colour, ascending."""
        if labels.size == 0:
            return np.zeros(0, np.int64)
        self.reserve(int(labels.max()))
        unseen = (self._index == _NONE)[self.place(labels)]
        unseen &= labels > 0
        return np.unique(labels[unseen]).astype(np.int64)

    def _of(self, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.asarray(self._index[ids % _LIMIT])

    def _assign(self, todo: NDArray[np.int64], pairs: NDArray[np.int64]) -> None:
        """Give each cell in `todo` a colour that none of its neighbours has, those with most neighbours first."""
        if not len(todo):
            return
        both = np.concatenate([pairs, pairs[:, ::-1]])
        both = both[np.isin(both[:, 0], todo)]
        both = both[np.argsort(both[:, 0], kind="stable")]
        start = np.searchsorted(both[:, 0], todo, side="left")
        end = np.searchsorted(both[:, 0], todo, side="right")
        for i in np.lexsort((todo, start - end)):
            cell = int(todo[i])
            taken = 0
            for colour in self._of(both[start[i] : end[i], 1]).tolist():
                taken |= 1 << colour
            # Bits of cells that have no colour yet are above those of the palette.
            self._index[cell % _LIMIT] = _choose(cell * 7 % _COUNT, taken & ((1 << _COUNT) - 1))


@cache
def _choose(start: int, taken: int) -> int:
    """Palette index that stands out from those whose bits are set.

    Each cell starts its search elsewhere in the palette, so that all colours are used.
    """
    order = (start + np.arange(_COUNT)) % _COUNT
    others = [colour for colour in range(_COUNT) if taken >> colour & 1]
    if not others:
        return int(order[0])
    apart = DISTANCES[order][:, others].min(axis=1)
    far = np.flatnonzero(apart >= _ALIKE)
    return int(order[far[0]] if far.size else order[apart.argmax()])


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    # By sorting: for millions of values numpy.unique, which hashes, takes several times as long.
    values = np.sort(values)
    new = np.ones(len(values), bool)
    new[1:] = values[1:] != values[:-1]
    return values[new]
