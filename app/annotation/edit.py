"""An unfinished edit: the only way in which the pixels of a document change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1 import masks
from cellseg1.errors import MaskError

from .pixel_runs import PixelRuns, segments
from .steps import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cellseg1.masks import Box, Selector

    from .cells import CellTable
    from .pixel_runs import Segments
    from .steps import Step

TILE = 256
"""Side of the squares of which the old content is kept."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The callables that an edit reports to.

    Attributes
    ----------
    show
        Pixels in a box changed during the edit: name, box.
    commit
        The edit is finished with these changes; returns the resulting step.
    cancel
        The edit was cancelled: edit, and the box and attributes that are restored.
    """

    show: Callable[[str, Box], object]
    commit: Callable[[Edit, PixelRuns, dict[str, tuple[Any, Any]]], Step]
    cancel: Callable[[Edit, Box | None, tuple[str, ...]], object]


class Edit:
    """Made by `Document.begin`; becomes one step by `finish`, or nothing by `cancel`.

    Pixels change in the document's label image at once; of every 256 x 256 tile that is about to change the old
    content is saved first.  After `finish` or `cancel` the edit is closed: both may be called again and do nothing,
    everything else raises RuntimeError, and areas handed out before must not be written to any more.

    Attributes
    ----------
    name
        The step's name for people; may be set until the edit is finished.
    """

    def __init__(
        self, name: str, labels: NDArray[np.int32], attributes: dict[str, Any], cells: CellTable, ends: Ends
    ) -> None:
        self.name = name
        self._ends = ends
        self._cells = cells
        self._labels = labels
        self._view = labels.view()
        self._view.flags.writeable = False
        self._attributes = attributes
        self._before: dict[str, Any] = {}
        self._saved: dict[tuple[int, int], NDArray[np.int32]] = {}
        # Of each saved tile the part that was handed out: all that need be compared.
        self._windows: dict[tuple[int, int], Box] = {}
        self._given = 0
        self._closed = False

    @property
    def labels(self) -> NDArray[np.int32]:
        """The (H, W) label image with this edit's changes so far; read-only."""
        return self._view

    @property
    def closed(self) -> bool:
        """Whether it was finished or cancelled."""
        return self._closed

    def next_id(self) -> int:
        """Return the id for a new cell; every call within an edit returns another one."""
        self._given += 1
        return self._cells.next_ids(self._given)[-1]

    # ---- changing

    def area(self, box: Box) -> NDArray[np.int32]:
        """Return a writable view of the label image in a box, cut off at the edges of the image."""
        self._require_open()
        top, left, bottom, right = clipped(box, self._labels.shape)
        for row in range(top // TILE, -(-bottom // TILE)):
            for column in range(left // TILE, -(-right // TILE)):
                self._save(row, column, top, left, bottom, right)
        return self._labels[top:bottom, left:right]

    def _save(self, row: int, column: int, top: int, left: int, bottom: int, right: int) -> None:
        """Keep what a tile holds now, and that the box is about to change."""
        y, x = row * TILE, column * TILE
        top, left, bottom, right = max(top, y), max(left, x), min(bottom, y + TILE), min(right, x + TILE)
        at = row, column
        window = self._windows.get(at)
        if window is None:
            self._saved[at] = self._labels[y : y + TILE, x : x + TILE].copy()
            self._windows[at] = (top, left, bottom, right)
        else:
            self._windows[at] = (
                min(top, window[0]),
                min(left, window[1]),
                max(bottom, window[2]),
                max(right, window[3]),
            )

    def paint(self, selector: Selector, cell: int, protect: bool = True) -> Box | None:
        """Give the selected pixels the id `cell`; with `protect` only background, never another cell."""
        at = self._selected(selector)
        if at is None:
            return None
        box, selected = at
        local = (0, 0, *selected.shape)
        return _moved(masks.paint(self.area(box), (local, selected), cell, protect=protect), box)

    def erase(self, selector: Selector, cell: int | None = None) -> Box | None:
        """Make the selected pixels background; with `cell` only those of that cell."""
        at = self._selected(selector)
        if at is None:
            return None
        box, selected = at
        local = (0, 0, *selected.shape)
        return _moved(masks.erase(self.area(box), (local, selected), cell), box)

    def put(self, runs: PixelRuns) -> None:
        """Give the pixels of runs their new ids."""
        self._require_open()
        if not len(runs):
            return
        rows, first, last = runs.y // TILE, runs.x // TILE, (runs.x + runs.length - 1) // TILE
        across = self._labels.shape[1] // TILE + 1
        # A run may reach over several tiles.
        reached = [rows * across + np.minimum(first + k, last) for k in range(int((last - first).max()) + 1)]
        for tile in np.unique(np.concatenate(reached)).tolist():
            self._save_whole(*divmod(tile, across))
        runs.write(self._labels, runs.new)

    def _save_whole(self, row: int, column: int) -> None:
        y, x = row * TILE, column * TILE
        self._save(row, column, y, x, min(y + TILE, self._labels.shape[0]), min(x + TILE, self._labels.shape[1]))

    def set_attribute(self, key: str, value: Any) -> None:
        """Change an attribute within this step; None removes it."""
        self._require_open()
        value = plain(value)
        old = self._attributes.get(key)
        if _same(value, old):
            return
        self._before.setdefault(key, old)
        if value is None:
            self._attributes.pop(key, None)
        else:
            self._attributes[key] = value

    def show(self, box: Box) -> None:
        """Tell listeners while the edit goes on that pixels in the box changed."""
        self._require_open()
        self._ends.show(self.name, clipped(box, self._labels.shape))

    # ---- ending

    def finish(self) -> Step | None:
        """Make this edit one step of the history; None when nothing is different from before."""
        if self._closed:
            return None
        runs = PixelRuns.gather(self._compared())
        attributes = {
            key: (before, self._attributes.get(key))
            for key, before in self._before.items()
            if not _same(before, self._attributes.get(key))
        }
        if not len(runs) and not attributes:
            self.cancel()
            return None
        # Until the document has taken it over, the edit can still be cancelled.
        return self._ends.commit(self, runs, attributes)

    def cancel(self) -> None:
        """Leave everything as it was before."""
        if self._closed:
            return
        for (row, column), saved in self._saved.items():
            self._labels[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = saved
        changed = [key for key, before in self._before.items() if not _same(before, self._attributes.get(key))]
        for key, before in self._before.items():
            if before is None:
                self._attributes.pop(key, None)
            else:
                self._attributes[key] = before
        box = masks.union(self._windows.values())
        self.close()
        self._ends.cancel(self, box, tuple(changed))

    def close(self) -> None:
        """End the edit: it has become a step, or was cancelled."""
        self._closed = True

    def _compared(self) -> Iterator[Segments]:
        for (row, column), saved in self._saved.items():
            top, left, bottom, right = self._windows[row, column]
            y, x = row * TILE, column * TILE
            before = saved[top - y : bottom - y, left - x : right - x]
            yield segments(before, self._labels[top:bottom, left:right], top, left)

    def _selected(self, selector: Selector) -> tuple[Box, NDArray[np.bool_]] | None:
        """Cut a selector off at the edges of the image; None when nothing is left."""
        if isinstance(selector, tuple):
            (top, left, bottom, right), selected = selector
            if selected.shape != (bottom - top, right - left):
                raise _misfit(selected.shape, (bottom - top, right - left))
        else:
            selected, top, left = selector, 0, 0
            if selected.shape != self._labels.shape:
                raise _misfit(selected.shape, self._labels.shape)
            found = masks.box_of(selected)
            if found is None:
                return None
            top, left, bottom, right = found
            selected = selected[top:bottom, left:right]
        y0, x0, y1, x1 = clipped((top, left, bottom, right), self._labels.shape)
        if y0 >= y1 or x0 >= x1:
            return None
        return (y0, x0, y1, x1), selected[y0 - top : y1 - top, x0 - left : x1 - left]

    def _require_open(self) -> None:
        if self._closed:
            raise RuntimeError("This edit was finished or cancelled; begin a new one.")


def clipped(box: Box, shape: tuple[int, ...]) -> Box:
    """Clip a box to an image of a shape; a box outside becomes empty."""
    height, width = shape
    top, left = min(max(0, int(box[0])), height), min(max(0, int(box[1])), width)
    return top, left, max(top, min(int(box[2]), height)), max(left, min(int(box[3]), width))


def _misfit(found: tuple[int, ...], wanted: tuple[int, ...]) -> MaskError:
    """Return the error for an array that does not fit."""
    return MaskError(f"An area of shape {found} does not fit into {wanted[0]} x {wanted[1]} pixels.")


def _moved(box: Box | None, by: Box) -> Box | None:
    if box is None:
        return None
    return box[0] + by[0], box[1] + by[1], box[2] + by[0], box[3] + by[1]


def _same(first: Any, second: Any) -> bool:
    """Whether two JSON values are the same; True is not 1."""
    return type(first) is type(second) and bool(first == second)
