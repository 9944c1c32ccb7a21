"""Deleting cells, filling their holes, and cleaning up outlines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt

from ...annotation import operations
from .base import FreehandTool, Point, PointerEvent, Tool

if TYPE_CHECKING:
    from PySide6.QtCore import QObject

    from ...annotation import Document, Step
    from .host import ToolHost


class DeleteTool(FreehandTool):
    """A click deletes a cell, a lasso all cells in it."""

    name, key = "delete", "D"

    def __init__(self, host: ToolHost, parent: QObject | None = None) -> None:
        super().__init__(host, parent)
        self.closed = True

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Delete")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr("Click a cell to delete it, or draw around many.")

    def cursor(self) -> Qt.CursorShape:
        """A hand: it acts on what it points at."""
        return Qt.CursorShape.PointingHandCursor

    def finished(self, points: list[Point], event: PointerEvent) -> None:
        """Delete."""
        document = self.document()
        if document is None:
            return
        if self.is_click(points):
            cell = document.cell_at(event.x, event.y)
            cells = [cell] if cell else []
        else:
            cells = [int(cell) for cell in operations.cells_in_lasso(document, points)]
        if not cells:
            self.say(self.tr("There is no cell here."))
            return
        self.host.edit_aside(
            document, self.tr("Deleting cells..."), lambda doc: operations.delete_cells(doc, cells), self.done
        )


class FillHolesTool(Tool):
    """A click on a cell, or into its hole, fills it; Enter fills those of the selected cell, or of all."""

    name, key = "fill", "F"
    acts_at_once = True

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Fill holes")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr("Click a cell with holes. Enter: the selected cell, or all cells.")

    def cursor(self) -> Qt.CursorShape:
        """A hand: it acts on what it points at."""
        return Qt.CursorShape.PointingHandCursor

    def press(self, event: PointerEvent) -> None:
        """Fill the holes of a cell."""
        document = self.document()
        if event.button != Qt.MouseButton.LeftButton or document is None:
            return
        cell = document.cell_at(event.x, event.y) or enclosing_cell(document, event.x, event.y)
        if not cell:
            self.say(self.tr("There is no cell here."))
            return
        self._fill(document, cell)

    def accept(self) -> bool:
        """Fill without pointing."""
        document = self.document()
        if document is None:
            return False
        selected = self.host.selection
        self._fill(document, next(iter(selected)) if len(selected) == 1 else None)
        return True

    def _fill(self, document: Document, cell: int | None) -> None:
        def filled(step: Step | None) -> None:
            if step is None:
                self.say(self.tr("There are no holes to fill."))
            self.done(step)

        self.host.edit_aside(
            document, self.tr("Filling holes..."), lambda doc: operations.fill_holes(doc, cell), filled
        )


class CleanUpTool(Tool):
    """A click tidies a cell; Enter the selected cell, or all.

    Attributes
    ----------
    smooth
        Radius in pixels of the bumps and notches that go.
    min_island
        Pieces of fewer pixels go.
    """

    name, key = "clean", "U"
    acts_at_once = True

    def __init__(self, host: ToolHost, parent: QObject | None = None) -> None:
        super().__init__(host, parent)
        self.smooth = 2
        self.min_island = 20

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Clean up")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr("Click a cell to smooth it and drop its islands. Enter: the selected cell, or all cells.")

    def cursor(self) -> Qt.CursorShape:
        """A hand: it acts on what it points at."""
        return Qt.CursorShape.PointingHandCursor

    def press(self, event: PointerEvent) -> None:
        """Tidy a cell."""
        document = self.document()
        if event.button != Qt.MouseButton.LeftButton or document is None:
            return
        cell = document.cell_at(event.x, event.y)
        if not cell:
            self.say(self.tr("There is no cell here."))
            return
        self.clean(cell)

    def accept(self) -> bool:
        """Tidy without pointing."""
        selected = self.host.selection
        return self.clean(next(iter(selected)) if len(selected) == 1 else None)

    def clean(self, cell: int | None) -> bool:
        """Tidy one cell, or all; return whether that was possible."""
        document = self.document()
        if document is None:
            return False
        smooth, islands = self.smooth, self.min_island

        def cleaned(step: Step | None) -> None:
            if step is None:
                self.say(self.tr("It is tidy already."))
            self.done(step)

        self.host.edit_aside(
            document,
            self.tr("Cleaning up..."),
            lambda doc: operations.clean_up(doc, cell, smooth, islands),
            cleaned,
        )
        return True


def enclosing_cell(document: Document, x: float, y: float) -> int:
    """Return the smallest cell in a hole of which a point lies, or 0."""
    from scipy import ndimage

    found = []
    for cell, (top, left, bottom, right) in document.cells.boxes().items():
        if left <= x < right and top <= y < bottom:
            found.append(((bottom - top) * (right - left), cell, (top, left, bottom, right)))
    for _, cell, (top, left, bottom, right) in sorted(found):
        filled = ndimage.binary_fill_holes(np.asarray(document.labels[top:bottom, left:right]) == cell)
        if filled[int(y) - top, int(x) - left]:
            return int(cell)
    return 0
