"""The tools of the canvas, in the order of the column beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.canvas.tools.base import PointerEvent, Tool
from app.canvas.tools.brush import BrushTool, EraserTool
from app.canvas.tools.click import ClickTool
from app.canvas.tools.cut import MergeTool, SplitTool
from app.canvas.tools.host import Assistant, EditAside, Span, ToolHost
from app.canvas.tools.outline import LassoTool, PolygonTool
from app.canvas.tools.region import RegionTool
from app.canvas.tools.select import SelectTool
from app.canvas.tools.tidy import CleanUpTool, DeleteTool, FillHolesTool

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
#: The key that takes each tool in hand, by its name.
TOOL_KEYS = {tool.name: tool.key for tool in _TOOLS}


def all_tools(host: ToolHost, parent: QObject) -> dict[str, Tool]:
    """One of each tool, by name."""
    return {tool.name: tool for tool in (kind(host, parent) for kind in _TOOLS)}
