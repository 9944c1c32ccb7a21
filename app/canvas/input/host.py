"""The interface of the canvas for pointer and keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..tools import Tool

Handlers = dict[QEvent.Type, Callable[[Any], bool]]
"""By kind of event: takes an event of that kind, and returns whether nobody else needs to see it."""


class InputHost(Protocol):
    """The canvas as pointer and keyboard see it; positions come from its view.

    Attributes
    ----------
    tool, tools
        The current tool, and all tools by name.
    """

    tool: Tool
    tools: dict[str, Tool]

    def guarded(self, action: Callable[..., object], *arguments: object) -> None:
        """Run an action of a tool; on an error its edit is cancelled."""

    def show_pointed(self, spot: tuple[float, float] | None) -> None:
        """Report the value at an image position; None: the pointer is elsewhere."""

    def step_planes(self, steps: int) -> None:
        """Show another plane, relative to the shown one."""

    def step_brush(self, steps: int) -> None:
        """Change the size of the brush by steps."""

    def step_through(self, step: int) -> bool:
        """Go to the next cell or proposal; return whether there was one."""

    @property
    def selection(self) -> frozenset[int]:
        """Ids of the selected cells."""

    def select(self, cells: Iterable[int]) -> None:
        """Select these cells and no others."""

    def delete_selected(self) -> bool:
        """Delete the selected cells; return whether there were any."""

    def undo(self) -> None:
        """Undo the last edit."""

    def redo(self) -> None:
        """Redo the last undone edit."""

    def cycle_overlay(self) -> None:
        """Cycle through outline, filled and off."""

    def set_tool(self, name: str) -> None:
        """Choose another tool."""
