"""Many masks at once as horizontal runs of pixels.

A cell 30 pixels wide and high is 900 pixels but some 30 runs, and everything that turning proposals into a label
image needs (areas, boxes, overlaps, connected components, holes) is a sort or a search over the runs of all masks
together.  So no step here loops over masks in Python or touches the full frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellseg1.prediction.ranges import expand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellseg1.prediction.candidates import Candidates

#: Unpacked bytes held at a time while the packed masks are read; bounds the memory for very large masks.
_CHUNK_PIXELS = 1 << 25


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """The pixels of `count` masks, as runs sorted by mask, row and column; runs of one row never touch.

    Attributes
    ----------
    count
        Number of masks, the empty ones included.
    shape
        (H, W) of the image in pixels.
    mask
        (R,) int64, ascending: the mask each run belongs to.
    y
        (R,) int64 row of the run in the image.
    x0, x1
        (R,) int64 first column, and the column after the last.
    """

    count: int
    shape: tuple[int, int]
    mask: NDArray[np.int64]
    y: NDArray[np.int64]
    x0: NDArray[np.int64]
    x1: NDArray[np.int64]

    @property
    def indptr(self) -> NDArray[np.int64]:
        """(count + 1,) where the runs of each mask begin."""
        return np.searchsorted(self.mask, np.arange(self.count + 1)).astype(np.int64)

    def take(self, index: NDArray[np.integer]) -> Runs:
        """Return the masks `index` (M,), in that order."""
        ptr = self.indptr
        owner, run = expand(ptr[index], ptr[np.asarray(index) + 1])
        return Runs(len(index), self.shape, owner, self.y[run], self.x0[run], self.x1[run])

    def keep(self, run: NDArray[np.bool_]) -> Runs:
        """Return the same masks with only the runs where `run` (R,) is true."""
        return Runs(self.count, self.shape, self.mask[run], self.y[run], self.x0[run], self.x1[run])

    def areas(self) -> NDArray[np.int64]:
        """(count,) pixels of each mask."""
        return np.bincount(self.mask, weights=self.x1 - self.x0, minlength=self.count).astype(np.int64)

    def boxes(self) -> NDArray[np.int32]:
        """(count, 4) x0, y0, x1, y1 in pixels, the last two exclusive; zeros for an empty mask."""
        boxes = np.zeros((self.count, 4), np.int32)
        filled, first = np.unique(self.mask, return_index=True)
        if len(filled):
            last = np.append(first[1:], len(self.mask)) - 1
            boxes[filled, 0] = np.minimum.reduceat(self.x0, first)
            boxes[filled, 1] = self.y[first]
            boxes[filled, 2] = np.maximum.reduceat(self.x1, first)
            boxes[filled, 3] = self.y[last] + 1
        return boxes

    def pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(T,) number of the run, and index into the flattened image, of every pixel of every mask."""
        start = self.y * self.shape[1]
        return expand(start + self.x0, start + self.x1)

    def raster(self, index: int) -> NDArray[np.bool_]:
        """(H, W) bool: mask `index` in the whole frame."""
        frame = np.zeros(self.shape, bool)
        frame.reshape(-1)[self.take(np.array([index])).pixels()[1]] = True
        return frame


def join(parts: list[Runs]) -> Runs:
    """Return the masks of all `parts` (at least one, of the same image), one after the other."""
    offset = np.cumsum([0, *(part.count for part in parts)])
    return Runs(
        int(offset[-1]),
        parts[0].shape,
        np.concatenate([part.mask + shift for part, shift in zip(parts, offset, strict=False)]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.x0 for part in parts]),
        np.concatenate([part.x1 for part in parts]),
    )


def runs_of(candidates: Candidates) -> Runs:
    """Return the masks of `candidates` as runs, in the same order."""
    boxes = candidates.box_xyxy.astype(np.int64)
    bits = np.diff(candidates.offsets) * 8
    parts: list[Runs] = []
    first = 0
    while first < len(bits) or not parts:
        # As many whole masks as fit the chunk, at least one.
        ahead = np.cumsum(bits[first : first + 65536])
        last = first + max(1, int(np.searchsorted(ahead, _CHUNK_PIXELS, side="right")))
        last = min(last, len(bits))
        low, high = candidates.offsets[first], candidates.offsets[last]
        parts.append(_unpack(candidates.packed[low:high], bits[first:last], boxes[first:last], candidates.shape))
        first = last
    return join(parts)


def _unpack(
    packed: NDArray[np.uint8], bits: NDArray[np.int64], boxes: NDArray[np.int64], shape: tuple[int, int]
) -> Runs:
    flat = np.unpackbits(packed)
    offset = np.cumsum(bits) - bits
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    owner, row = expand(np.zeros(len(boxes), np.int64), np.where(width > 0, height, 0))
    row_start = offset[owner] + row * width[owner]
    row_end = row_start + width[owner] - 1
    before = np.zeros_like(flat)
    before[1:] = flat[:-1]
    # Rows of a crop follow each other in memory: a run must not go on from the end of one into the next.
    before[row_start] = 0
    start = np.flatnonzero(flat > before)
    after = np.zeros_like(flat)
    after[:-1] = flat[1:]
    after[row_end] = 0
    stop = np.flatnonzero(flat > after) + 1
    line = np.searchsorted(row_start, start, side="right") - 1
    mask = owner[line]
    x0 = start - row_start[line] + boxes[mask, 0]
    return Runs(len(boxes), shape, mask, row[line] + boxes[mask, 1], x0, x0 + (stop - start))


def components(runs: Runs, connectivity: int) -> NDArray[np.int64]:
    """Label the connected components of every mask.

    Parameters
    ----------
    connectivity
        4 (pixels share a side) or 8 (or a corner).

    Returns
    -------
    (R,) int64: the component of each run, numbered over all masks by where each begins in reading order.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    total = len(runs.mask)
    stride = runs.shape[1] + 2
    # One number that grows along mask, row, column; a row is left free below the last of every mask.
    row = (runs.mask * (runs.shape[0] + 2) + runs.y) * stride
    below = row + stride
    sides = ("right", "left") if connectivity == 4 else ("left", "right")
    lo = np.searchsorted(row + runs.x1, below + runs.x0, side=sides[0])  # type: ignore[call-overload]
    hi = np.searchsorted(row + runs.x0, below + runs.x1, side=sides[1])  # type: ignore[call-overload]
    above, under = expand(lo, hi)
    graph = coo_array((np.ones(len(above), np.int8), (above, under)), shape=(total, total))
    labels = connected_components(graph, directed=False)[1]
    first = np.unique(labels, return_index=True)[1]
    order = np.empty(len(first), np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return np.asarray(order[labels], np.int64)


def largest_components(runs: Runs, connectivity: int) -> NDArray[np.bool_]:
    """(R,) which runs belong to the largest component of their mask; of equal ones the first in reading order."""
    if not len(runs.mask):
        return np.zeros(0, bool)
    component = components(runs, connectivity)
    size = np.bincount(component, weights=runs.x1 - runs.x0)
    mask_of = np.empty(len(size), np.int64)
    mask_of[component] = runs.mask
    order = np.lexsort((np.arange(len(size)), -size, mask_of))
    best = order[np.unique(mask_of[order], return_index=True)[1]]
    keep = np.zeros(len(size), bool)
    keep[best] = True
    return keep[component]


def segments(runs: Runs) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Cut the flattened image wherever any run begins or ends; every mask then is a set of whole segments.

    Returns
    -------
    cuts
        (C,) int64, ascending: segment i is the flat pixels ``[cuts[i], cuts[i + 1])``.
    run, segment
        (S,) int64 each: the segments of every run, run by run, ascending.
    """
    line = runs.y * runs.shape[1]
    ends = np.concatenate([line + runs.x0, line + runs.x1])
    # One sort gives both the cuts and the place of every end among them.
    order = np.argsort(ends)
    ordered = ends[order]
    new = np.ones(len(ends), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    place = np.empty(len(ends), np.int64)
    place[order] = np.cumsum(new) - 1
    run, segment = expand(place[: len(line)], place[len(line) :])
    return ordered[new], run, segment


def overlaps(
    runs: Runs, rows: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count the pixels that masks share.

    Parameters
    ----------
    rows
        The masks to compare with all masks; without it all are compared, each pair once (first < second).

    Returns
    -------
    first, second, pixels
        (P,) int64: the pairs with at least one common pixel, sorted, and how many pixels they share.
    """
    from scipy.sparse import csr_array

    cuts, run, segment = segments(runs)
    shape = (runs.count, max(len(cuts), 1))
    weight = np.diff(cuts, append=cuts[-1:]).astype(np.int32)[segment]
    indptr = np.searchsorted(runs.mask[run], np.arange(runs.count + 1))
    covers = csr_array((np.ones(len(run), np.int32), segment, indptr), shape=shape)
    sizes = csr_array((weight, segment, indptr), shape=shape)
    shared = ((covers if rows is None else covers[rows]) @ sizes.T).tocoo()
    first, second, pixels = shared.row.astype(np.int64), shared.col.astype(np.int64), shared.data.astype(np.int64)
    if rows is not None:
        first = rows[first]
    wanted = first < second if rows is None else first != second
    first, second, pixels = first[wanted], second[wanted], pixels[wanted]
    order = np.lexsort((second, first))
    return first[order], second[order], pixels[order]
