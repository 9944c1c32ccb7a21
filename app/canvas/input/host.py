"""What pointer and keys command."""

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
    """The canvas, as far as it is commanded by pointer and keys; where things are is asked of its view.

    Attributes
    ----------
    tool, tools
        The tool in hand, and all tools by name.
    """

    tool: Tool
    tools: dict[str, Tool]

    def guarded(self, action: Callable[..., object], *arguments: object) -> None:
        """Run what a tool does; whatever goes wrong, no half edit stays."""

    def show_pointed(self, spot: tuple[float, float] | None) -> None:
        """Say what is at an image position; None: the pointer is elsewhere."""

    def step_planes(self, steps: int) -> None:
        """Go on by planes."""

    def step_brush(self, steps: int) -> None:
        """Make the brush larger or smaller."""

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
        """Take the last edit back."""

    def redo(self) -> None:
        """Make the last edit again that was taken back."""

    def cycle_overlay(self) -> None:
        """Outline, filled, off, and again."""

    def set_tool(self, name: str) -> None:
        """Take another tool in hand."""
