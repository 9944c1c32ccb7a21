"""Painting and erasing by strokes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt

from ...annotation import operations
from .base import Point, PointerEvent, Tool

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PySide6.QtCore import QObject

    from ...annotation import Document, Edit
    from ..viewport import Box
    from .host import ToolHost

#: Smallest and largest diameter in image pixels.
BRUSH_RANGE = (1, 500)
_CROSS_BELOW = 7.0
"""A circle of fewer pixels on the screen needs a cross around it to be found."""


class BrushTool(Tool):
    """Starts a new cell on background and adds to the cell the stroke starts in; Alt erases, Shift continues."""

    name, key = "brush", "B"
    erases = False

    def __init__(self, host: ToolHost, parent: QObject | None = None) -> None:
        super().__init__(host, parent)
        self._edit: Edit | None = None
        self._document: Document | None = None
        self._cell = 0
        self._erasing = False
        self._last: Point = (0.0, 0.0)
        self._continued = 0

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Brush")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr(
            "Drag on background: a new cell; from inside a cell: adds to it. Shift continues the last cell, "
            "Alt erases, [ ] or Shift+wheel changes the size."
        )

    def cursor(self) -> Qt.CursorShape:
        """Only the circle, unless that is tiny."""
        small = self.host.brush_size * self.host.zoom / self.host.devicePixelRatioF() < _CROSS_BELOW
        return Qt.CursorShape.CrossCursor if small else Qt.CursorShape.BlankCursor

    def brush_diameter(self) -> float | None:
        """Return the true size."""
        return float(self.host.brush_size)

    @property
    def busy(self) -> bool:
        """Whether a stroke is being drawn."""
        return self._edit is not None

    def press(self, event: PointerEvent) -> None:
        """Begin a stroke."""
        if event.button != Qt.MouseButton.LeftButton or self._edit is not None:
            return
        document = self.document()
        if document is None:
            return
        self._erasing = self.erases or event.alt
        under = document.cell_at(event.x, event.y)
        if self._erasing:
            self._cell, name = under, "Erase"
        elif event.shift and (known := self._known_cell()):
            self._cell, name = known, "Paint cell"
        elif under:
            self._cell, name = under, "Paint cell"
        else:
            self._cell, name = document.cells.next_id(), "New cell"
        self._document = document
        self._edit = document.begin(name)
        self._last = event.x, event.y
        self._dab(event.x, event.y)

    def move(self, event: PointerEvent) -> None:
        """Continue the stroke, without a gap however fast the pointer is."""
        if self._edit is not None:
            self._dab(event.x, event.y)

    def release(self, event: PointerEvent) -> None:
        """End the stroke: it is one step."""
        if event.button == Qt.MouseButton.LeftButton and self._edit is not None:
            if (event.x, event.y) != self._last:
                self._dab(event.x, event.y)
            self._finish()

    def interrupt(self) -> None:
        """Keep what was drawn when the window loses the pointer."""
        if self._edit is not None:
            self._finish()

    def cancel(self) -> bool:
        """Take the stroke back."""
        edit, self._edit, self._document = self._edit, None, None
        if edit is None:
            return False
        edit.cancel()
        return True

    def _finish(self) -> None:
        edit, document = self._edit, self._document
        if edit is None or document is None:
            return
        try:
            step = edit.finish()
        except BaseException:
            self.cancel()
            raise
        self._edit = self._document = None
        if step is None:
            if not self._erasing and self.host.protect:
                self.say(self.tr("Nothing was painted: other cells are protected here."))
            return
        self.done(step)
        if not self._erasing:
            self._continued = self._cell
            self.host.select({self._cell})

    def _dab(self, x: float, y: float) -> None:
        edit, document = self._edit, self._document
        if edit is None or document is None:
            return
        try:
            box, mask = operations.disc_selector(*self._last, x, y, self.host.brush_size, document.shape)
            self._last = x, y
            changed = self._apply(edit, document, box, mask)
            if changed is not None:
                edit.show(changed)
        except BaseException:
            self.cancel()
            raise

    def _apply(self, edit: Edit, document: Document, box: Box, mask: NDArray[np.bool_]) -> Box | None:
        protect = self.host.protect
        if not self._erasing:
            return edit.paint((box, mask), self._cell, protect=protect)
        if not protect:
            return edit.erase((box, mask))
        if not self._cell:
            # Protected, and begun outside: the first cell that is touched is the one that is meant.
            touched = document.labels[box[0] : box[2], box[1] : box[3]][mask]
            touched = touched[touched > 0]
            if not touched.size:
                return None
            self._cell = int(np.bincount(np.unique(touched, return_inverse=True)[1]).argmax())
            self._cell = int(np.unique(touched)[self._cell])
        return edit.erase((box, mask), self._cell)

    def _known_cell(self) -> int:
        """Return the cell that Shift continues: the selected one, else the last one that was painted."""
        selected = self.host.selection
        for cell in (next(iter(selected)) if len(selected) == 1 else 0, self._continued):
            if cell and self.host.box_of(cell) is not None:
                return cell
        return 0


class EraserTool(BrushTool):
    """Erases under the brush."""

    name, key = "eraser", "E"
    erases = True

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Eraser")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr(
            "Drag to erase. With Protect cells on, only the first cell you touch changes. "
            "[ ] or Shift+wheel changes the size."
        )


def stepped(size: int, steps: int) -> int:
    """Change a diameter by steps of an eighth, at least one pixel."""
    for _ in range(abs(steps)):
        by = max(1, size // 8)
        size += by if steps > 0 else -by
    return size
