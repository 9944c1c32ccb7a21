"""Looking around and choosing cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt

from .base import CLICK_SLOP, PointerEvent, Tool

if TYPE_CHECKING:
    from PySide6.QtCore import QObject, QPointF

    from .host import ToolHost


class SelectTool(Tool):
    """A click selects, a drag moves the image."""

    name, key = "select", "V"
    edits = False

    def __init__(self, host: ToolHost, parent: QObject | None = None) -> None:
        super().__init__(host, parent)
        self._start: QPointF | None = None
        self._last: QPointF | None = None
        self._moved = False

    def title(self) -> str:
        """Return its name for people."""
        return self.tr("Select and move")

    def hint(self) -> str:
        """Return how to use it."""
        return self.tr("Click a cell to select it, Shift+click for more; drag moves the image. Delete removes cells.")

    def cursor(self) -> Qt.CursorShape:
        """An arrow, or a closed hand while the image is moved."""
        return Qt.CursorShape.ClosedHandCursor if self._moved else Qt.CursorShape.ArrowCursor

    @property
    def busy(self) -> bool:
        """Whether the button is held."""
        return self._start is not None

    def press(self, event: PointerEvent) -> None:
        """Begin a click or a drag."""
        if event.button == Qt.MouseButton.LeftButton:
            self._start = self._last = event.position
            self._moved = False

    def move(self, event: PointerEvent) -> None:
        """Move the image."""
        if self._start is None or self._last is None:
            return
        if not self._moved and (event.position - self._start).manhattanLength() >= CLICK_SLOP:
            self._moved = True
            self.host.refresh_cursor()
        if self._moved:
            step = event.position - self._last
            self.host.pan(step.x(), step.y())
            self._last = event.position

    def release(self, event: PointerEvent) -> None:
        """Select what was clicked."""
        if event.button != Qt.MouseButton.LeftButton or self._start is None:
            return
        moved = self._moved
        self.cancel()
        if not moved:
            self.host.click_at(event.x, event.y, add=event.shift or event.control)

    def double_click(self, event: PointerEvent) -> None:
        """Look at a cell closely."""
        cell = self.host.cell_at(event.x, event.y)
        box = self.host.box_of(cell) if cell else None
        if event.button == Qt.MouseButton.LeftButton and box is not None:
            self.host.show_box(box, closely=True)

    def cancel(self) -> bool:
        """Let go."""
        had = self._start is not None
        self._start = self._last = None
        self._moved = False
        self.host.refresh_cursor()
        return had
