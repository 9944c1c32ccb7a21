"""Splitting a cell along a drawn line, and merging cells."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from ...annotation import operations
from .base import FreehandTool, Point, PointerEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...annotation import Document, Step


def cells_under(document: Document, points: Sequence[Point]) -> list[int]:
    """Ids of the cells that a line crosses, the one it crosses longest first."""
    height, width = document.shape
    found: list[NDArray[np.int32]] = []
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        count = int(2 * max(abs(x1 - x0), abs(y1 - y0))) + 2
        columns = np.floor(np.linspace(x0, x1, count)).astype(int)
        rows = np.floor(np.linspace(y0, y1, count)).astype(int)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        found.append(document.labels[rows[inside], columns[inside]])
    crossed = np.concatenate(found) if found else np.zeros(0, np.int32)
    ids, counts = np.unique(crossed[crossed > 0], return_counts=True)
    return [int(cell) for cell in ids[np.argsort(-counts, kind="stable")]]


class SplitTool(FreehandTool):
    """A line drawn across a cell parts it."""

    name, key = "split", "X"

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Split")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr("Draw a line right across a cell, from outside to outside.")

    def finished(self, points: list[Point], event: PointerEvent) -> None:  # noqa: ARG002
        """Part the cell that the line crosses longest."""
        document = self.document()
        if document is None or self.is_click(points):
            return
        crossed = cells_under(document, points)
        if not crossed:
            self.say(self.tr("There is no cell under the line."))
            return
        selected = self.host.selection
        # The selected cell is meant, if the line crosses it at all.
        cell = next((one for one in crossed if one in selected), crossed[0])
        step = operations.split_cell(document, cell, points)
        if step is None:
            self.say(self.tr("The line must cross the cell from side to side."))
            return
        self.done(step)
        self.host.select(())


class MergeTool(FreehandTool):
    """Clicks, or a line across, choose cells; Enter makes them one."""

    name, key = "merge", "M"

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Merge")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr("Click two or more cells, or drag a line across them; then Enter. Esc starts over.")

    @property
    def busy(self) -> bool:
        """Whether a line is being drawn; chosen cells are a selection, which may stay."""
        return bool(self.points)

    def finished(self, points: list[Point], event: PointerEvent) -> None:
        """Choose more cells."""
        document = self.document()
        if document is None:
            return
        chosen = set(self.host.selection)
        if self.is_click(points):
            cell = document.cell_at(event.x, event.y)
            if cell:
                chosen ^= {cell}
        else:
            chosen |= set(cells_under(document, points))
        self.host.select(chosen)
        if len(chosen) > 1:
            self.say(self.tr("Enter merges %n cells.", "", len(chosen)))

    def accept(self) -> bool:
        """Merge."""
        document = self.document()
        chosen = sorted(self.host.selection)
        if document is None or len(chosen) < 2:
            self.say(self.tr("Choose two cells or more to merge them."))
            return False

        def merged(step: Step | None) -> None:
            if step is not None:
                self.done(step)
                self.host.select({cell for cell in chosen if self.host.box_of(cell) is not None})

        self.host.edit_aside(
            document, self.tr("Merging cells..."), lambda doc: operations.merge_cells(doc, chosen), merged
        )
        return True
