"""Changed pixels as runs: found by comparing two label images, packed into few bytes, written back quickly.

A run is a piece of one row in which the old id and the new id stay the same.  Runs are kept in the order of
(old id, new id, row, column): the runs of a cell follow each other from row to row, so that the differences between
neighbours are tiny and compress well.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cellseg1.masks import Box

    Longs = NDArray[np.int64]
    Ids = NDArray[np.int32]
    Segments = tuple[Longs, Longs, Longs, Ids, Ids]

_COUNTS = struct.Struct("<QQ")
_BAND = 1 << 18
"""Pixels that are written at a time: what is needed for them fits into the processor's cache."""
_SPARSE = 6
"""Below one changed pixel in this many of the box, pixels are addressed one by one."""


def segments(first: Ids, second: Ids, top: int = 0, left: int = 0) -> Segments:
    """Cut the rows of two (h, w) arrays into pieces in which neither changes.

    Returns
    -------
    tuple
        Row, column (shifted by `top` and `left`), length, value in `first`, value in `second`; in scan order.
    """
    height, width = first.shape
    edge = np.empty((height, width), bool)
    edge[:, :1] = True
    np.not_equal(first[:, 1:], first[:, :-1], out=edge[:, 1:])
    if second is not first:
        edge[:, 1:] |= second[:, 1:] != second[:, :-1]
    start = np.flatnonzero(edge)
    y, x = np.divmod(start, max(1, width))
    return y + top, x + left, np.diff(start, append=height * width), first[y, x], second[y, x]


@dataclass(frozen=True, slots=True, eq=False)
class PixelRuns:
    """Rows, columns, lengths (int64), old and new ids (int32) of changed pixels."""

    y: Longs
    x: Longs
    length: Longs
    old: Ids
    new: Ids

    def __len__(self) -> int:
        return len(self.y)

    @classmethod
    def gather(cls, parts: Iterable[Segments]) -> PixelRuns:
        """Keep the segments whose two values differ, in our order, joined where they were cut in two."""
        kept = [tuple(column[part[3] != part[4]] for column in part) for part in parts]
        kept = [part for part in kept if part[0].size]
        if not kept:
            none, no_ids = np.zeros(0, np.int64), np.zeros(0, np.int32)
            return cls(none, none, none, no_ids, no_ids)
        y, x, length, old, new = (np.concatenate(column) for column in zip(*kept, strict=True))
        pair = (old.astype(np.int64) << 32) | new
        order = np.lexsort((y * (int((x + length).max()) + 1) + x, pair))
        y, x, length, pair = y[order], x[order], length[order], pair[order]
        fresh = np.ones(len(y), bool)
        fresh[1:] = (pair[1:] != pair[:-1]) | (y[1:] != y[:-1]) | (x[1:] != x[:-1] + length[:-1])
        first = np.flatnonzero(fresh)
        order = order[first]
        return cls(y[first], x[first], np.add.reduceat(length, first), old[order], new[order])

    def box(self) -> Box | None:
        """Return the box around all runs."""
        if not len(self):
            return None
        right = int((self.x + self.length).max())
        return int(self.y.min()), int(self.x.min()), int(self.y.max()) + 1, right

    def groups(self) -> Longs:
        """Return where each new pair of (old id, new id) begins."""
        fresh = np.ones(len(self), bool)
        fresh[1:] = (self.old[1:] != self.old[:-1]) | (self.new[1:] != self.new[:-1])
        return np.flatnonzero(fresh)

    def pack(self) -> bytes:
        """Return the runs as bytes that compress well (they are not compressed yet)."""
        first = self.groups()
        parts = [
            _COUNTS.pack(len(first), len(self)),
            _to_bytes(_differences(self.old[first])),
            _to_bytes(_differences(self.new[first])),
            _to_bytes(np.diff(first, append=len(self)).astype(np.uint64)),
            *(_to_bytes(_differences(column)) for column in (self.y, self.x, self.length)),
        ]
        return b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes, shape: tuple[int, int]) -> PixelRuns:
        """Reverse `pack`; ValueError when the bytes are no runs inside an image of `shape`."""
        try:
            n_groups, n_runs = _COUNTS.unpack_from(data)
        except struct.error as error:
            raise ValueError("too short") from error
        at = _COUNTS.size
        columns = []
        for count in (n_groups, n_groups, n_groups, n_runs, n_runs, n_runs):
            values, at = _from_bytes(data, at, count)
            columns.append(values)
        if n_runs > shape[0] * shape[1] or n_groups > n_runs:
            raise ValueError("more than there are pixels")
        counts = columns[2].astype(np.int64)
        # The sum of huge numbers could overflow.
        if at != len(data) or ((counts < 1) | (counts > n_runs)).any() or int(counts.sum()) != n_runs:
            raise ValueError("counts do not agree")
        old, new = (np.repeat(_sums(column), counts) for column in columns[:2])
        y, x, length = (_sums(column) for column in columns[3:])
        highest = np.iinfo(np.int32).max
        if n_runs and (
            min(int(column.min()) for column in (y, x, length - 1, old, new)) < 0
            or int(y.max()) >= shape[0]
            or max(int(x.max()), int(length.max())) > shape[1]
            or int((x + length).max()) > shape[1]
            or max(int(old.max()), int(new.max())) > highest
        ):
            raise ValueError("outside the image")
        if n_runs and _overlap(y * shape[1] + x, length):
            raise ValueError("runs lie over each other")
        return cls(y, x, length, old.astype(np.int32), new.astype(np.int32))

    def found_in(self, labels: Ids, ids: Ids) -> bool:
        """Whether every run begins with its id of `ids`: quick, and enough to notice another state of the image."""
        return bool((labels[self.y, self.x] == ids).all())

    def write(self, labels: Ids, ids: Ids) -> None:
        """Give the pixels of every run its id of `ids`; `labels` is the whole image, C-contiguous."""
        box = self.box()
        if box is None:
            return
        area = (box[2] - box[0]) * (box[3] - box[1])
        # Which way is quicker depends on how full the box is, not on the image.
        if int(self.length.sum()) * _SPARSE < area:
            self._write_pixels(labels, ids)
        else:
            self._write_bands(labels, ids, box)

    def _write_pixels(self, labels: Ids, ids: Ids) -> None:
        flat = labels.reshape(-1)
        start = self.y * labels.shape[1] + self.x
        before = np.cumsum(self.length) - self.length
        at = np.repeat(start - before, self.length)
        at += np.arange(len(at))
        flat[at] = np.repeat(ids, self.length)

    def _write_bands(self, labels: Ids, ids: Ids, box: Box) -> None:
        top, left, bottom, right = box
        width = right - left
        start = (self.y - top) * width + (self.x - left)
        # The runs of each cell are in order already, which this way of sorting makes use of.
        order = np.argsort(start, kind="stable")
        start, length, ids = start[order], self.length[order], ids[order]
        same = bool((ids == ids[0]).all())
        rows = max(1, _BAND // width)
        edges = np.arange(0, bottom - top + rows, rows)
        cuts = np.searchsorted(start, edges * width)
        for band, (a, b) in enumerate(itertools.pairwise(cuts.tolist())):
            if a == b:
                continue
            y0, y1 = top + int(edges[band]), min(bottom, top + int(edges[band + 1]))
            # Gaps and runs in turn, beginning and ending with a gap.
            parts = np.zeros(2 * (b - a) + 1, np.int64)
            begin = start[a:b] - edges[band] * width
            parts[1::2] = length[a:b]
            parts[0:-1:2] = begin
            parts[2:-1:2] -= begin[:-1] + length[a : b - 1]
            parts[-1] = (y1 - y0) * width - parts[:-1].sum()
            flags = np.zeros(len(parts), bool)
            flags[1::2] = True
            where = np.repeat(flags, parts).reshape(y1 - y0, width)
            view = labels[y0:y1, left:right]
            if same:
                np.copyto(view, ids[0], where=where)
            else:
                values = np.zeros(len(parts), np.int32)
                values[1::2] = ids[a:b]
                np.copyto(view, np.repeat(values, parts).reshape(where.shape), where=where)


def _overlap(start: Longs, length: Longs) -> bool:
    """Tell whether two runs share a pixel."""
    order = np.argsort(start, kind="stable")
    first, size = start[order], length[order]
    return bool((first[:-1] + size[:-1] > first[1:]).any())


def _differences(values: NDArray[np.int32] | Longs) -> NDArray[np.uint64]:
    """Differences between neighbours, signs in the lowest bit, so that small ones stay small."""
    wide: Longs = values.astype(np.int64)
    steps = wide - np.concatenate([[0], wide[:-1]])[: len(wide)]
    coded: Longs = (steps << 1) ^ (steps >> 63)
    return coded.view(np.uint64)


def _sums(coded: NDArray[np.uint64]) -> Longs:
    steps = (coded >> np.uint64(1)).view(np.int64) ^ -(coded & np.uint64(1)).view(np.int64)
    return np.cumsum(steps)


def _to_bytes(values: NDArray[np.uint64]) -> bytes:
    """As many bytes per value as the largest needs, all lowest bytes first: the upper ones are mostly 0."""
    width = max(1, (int(values.max(initial=0)).bit_length() + 7) // 8)
    planes = values.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]
    return bytes([width]) + planes.T.tobytes()


def _from_bytes(data: bytes, at: int, count: int) -> tuple[NDArray[np.uint64], int]:
    width = data[at] if at < len(data) else 0
    end = at + 1 + width * count
    if not 1 <= width <= 8 or end > len(data):
        raise ValueError("cut short")
    planes = np.zeros((count, 8), np.uint8)
    planes[:, :width] = np.frombuffer(data, np.uint8, width * count, at + 1).reshape(width, count).T
    return planes.view("<u8").reshape(-1).astype(np.uint64), end
