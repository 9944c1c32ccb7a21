"""Which chosen proposals are drawn already, counted in a thread and then kept up to date from what changes.

Nothing here looks at more of an image than changed, except `choose` (for a thread) and `Drawn` when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellseg1.images import resize_mask

from . import CellTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cellseg1.masks import Box
    from cellseg1.prediction.select import Selection, Selector, SelectSettings

#: A proposal of which more than this share is drawn already is not offered any more.
_TAKEN = 0.5
#: Pixels that are looked at together: they fit into the processor's cache, and another thread gets its turn between.
_BAND = 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The proposals that were chosen, at the size of the shown plane.

    Attributes
    ----------
    selection
        What was chosen, at the size of the prediction.
    labels
        (H, W) int32; label i + 1 is ``selection.cells[i]``.
    table
        Area and box of every label.
    area, taken
        (n + 1,) by label, pixels: all, and those that are drawn already.  `taken` is changed in place.
    boxes
        (n + 1, 4) by label: top, left, bottom, right; zeros for one that has no pixels.
    """

    selection: Selection
    labels: NDArray[np.int32]
    table: CellTable
    area: NDArray[np.int64]
    taken: NDArray[np.int64]
    boxes: NDArray[np.int64]

    def free(self) -> NDArray[np.bool_]:
        """(n + 1,) by label: whether enough of it is not drawn yet; the background is not."""
        free: NDArray[np.bool_] = self.taken <= _TAKEN * np.maximum(self.area, 1)
        free[0] = False
        return free

    def count(self, drawn: NDArray[np.bool_]) -> None:
        """Count `taken` anew."""
        self.taken[:] = 0
        for rows in _bands((0, 0, *drawn.shape)):
            here = drawn[rows]
            if here.any():
                self.taken[:] += np.bincount(self.labels[rows][here], minlength=len(self.taken))

    def move(self, place: tuple[slice, slice], moved: NDArray[np.bool_], now: NDArray[np.bool_]) -> None:
        """Take over that in a part of the image the `moved` pixels became drawn, or background, as `now` says."""
        ids, gained = self.labels[place][moved], now[moved]
        # Most changes touch a few proposals; adding one by one is then quicker than going through all of them.
        if len(ids) < len(self.taken):
            np.add.at(self.taken, ids, np.where(gained, 1, -1))
        else:
            size = len(self.taken)
            self.taken[:] += np.bincount(ids[gained], minlength=size) - np.bincount(ids[~gained], minlength=size)


def choose(
    selector: Selector, settings: SelectSettings, shape: tuple[int, int], drawn: NDArray[np.bool_] | None
) -> Choice:
    """Choose proposals for a plane of `shape`, and count what of them is `drawn`; made for a thread."""
    selection = selector.select(settings)
    labels = fitted(selection.labels, shape)
    size = len(selection.cells) + 1
    table = CellTable.of(labels)
    area, boxes = np.zeros(size, np.int64), np.zeros((size, 4), np.int64)
    area[table.ids()] = table.areas()
    boxes[table.ids()] = np.array(list(table.boxes().values()), np.int64).reshape(-1, 4)
    choice = Choice(selection, labels, table, area, np.zeros(size, np.int64), boxes)
    if drawn is not None:
        choice.count(drawn)
    return choice


def fitted(labels: NDArray[np.int32], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return a label image at the size of the shown plane."""
    return labels if labels.shape == shape else np.asarray(resize_mask(labels, shape), np.int32)


class Drawn:
    """Where a document has cells: a copy, because the document changes while a thread counts.

    What a thread got by `lend` never changes.  When it is done, `catch_up` brings what it counted up to date.
    """

    def __init__(self, labels: NDArray[np.int32]) -> None:
        self._pixels: NDArray[np.bool_] = labels != 0
        self._lent: NDArray[np.bool_] | None = None
        self._since: list[Box] = []

    @property
    def whole(self) -> Box:
        """Box of the whole image."""
        height, width = self._pixels.shape
        return 0, 0, height, width

    def lend(self) -> NDArray[np.bool_]:
        """Return the pixels to a thread, one at a time, until `catch_up` or `let_go`."""
        self._lent, self._since = self._pixels, []
        return self._pixels

    def catch_up(self, choice: Choice) -> None:
        """Make what was counted with the lent pixels what it were with those of now."""
        lent, since = self._lent, self._since
        self.let_go()
        if lent is not None:
            for box in since:
                _follow(lent, self._pixels, box, choice)

    def let_go(self) -> None:
        """End the loan without a result."""
        self._lent, self._since = None, []

    def change(self, labels: NDArray[np.int32], box: Box, choice: Choice | None) -> None:
        """Take over what a box of the document holds now, also into the choice that is shown."""
        if self._lent is not None:
            if self._pixels is self._lent:
                self._pixels = self._pixels.copy()
            self._since.append(box)
        _follow(self._pixels, labels, box, choice)


def _follow(drawn: NDArray[np.bool_], truth: NDArray[np.generic], box: Box, choice: Choice | None) -> None:
    """Make `drawn` what `truth` (cells are not 0) is in a box, and count what that changes."""
    for place in _bands(box):
        now: NDArray[np.bool_] = truth[place] != 0
        moved = now != drawn[place]
        if not moved.any():
            continue
        if choice is not None:
            choice.move(place, moved, now)
        drawn[place] = now


def _bands(box: Box) -> Iterator[tuple[slice, slice]]:
    top, left, bottom, right = box
    rows = max(1, _BAND // max(1, right - left))
    for y in range(top, bottom, rows):
        yield slice(y, min(bottom, y + rows)), slice(left, right)
