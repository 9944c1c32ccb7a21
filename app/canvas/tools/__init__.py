"""The tools of the canvas, in the order of the column beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import PointerEvent, Tool
from .brush import BrushTool, EraserTool
from .click import ClickTool
from .cut import MergeTool, SplitTool
from .host import Assistant, EditAside, Span, ToolHost
from .outline import LassoTool, PolygonTool
from .region import RegionTool
from .select import SelectTool
from .tidy import CleanUpTool, DeleteTool, FillHolesTool

if TYPE_CHECKING:
    from PySide6.QtCore import QObject

__all__ = [
    "TOOL_KEYS",
    "Assistant",
    "ClickTool",
    "EditAside",
    "PointerEvent",
    "Span",
    "Tool",
    "ToolHost",
    "all_tools",
]

_TOOLS: tuple[type[Tool], ...] = (
    SelectTool,
    BrushTool,
    EraserTool,
    LassoTool,
    PolygonTool,
    ClickTool,
    SplitTool,
    MergeTool,
    DeleteTool,
    FillHolesTool,
    CleanUpTool,
    RegionTool,
)
#: The key that chooses each tool, by the tool's name.
TOOL_KEYS = {tool.name: tool.key for tool in _TOOLS}


def all_tools(host: ToolHost, parent: QObject) -> dict[str, Tool]:
    """One of each tool, by name."""
    return {tool.name: tool for tool in (kind(host, parent) for kind in _TOOLS)}
