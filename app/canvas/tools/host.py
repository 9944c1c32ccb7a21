"""The interface of the canvas for tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PySide6.QtCore import QPointF, QRect

    from ...annotation import Document, Step
    from ..viewport import Box

Prompt = tuple[float, float, int]
"""(x, y, 1 for inside or 0 for outside)."""

Span = tuple[int, int, int, int]
"""(x, y, width, height) in image pixels."""

EditAside = Callable[["Document", str, Callable[["Document"], Any], Callable[[Any], None]], None]
"""Does an operation that may take long: document, what is being done, the operation, what to do with its result."""


class Assistant(Protocol):
    """Answers prompts; the answer comes later through `ClickTool.offer`."""

    def request(self, points: tuple[Prompt, ...], box: Box | None) -> None:
        """Request the cell with these points inside and outside, and this box around it."""


class ToolHost(Protocol):
    """The canvas as tools see it.

    Attributes
    ----------
    protect
        Whether painting leaves other cells as they are.
    assistant
        Answers clicks; None without a model.
    edit_aside
        Runs an operation that may take long.
    """

    protect: bool
    assistant: Assistant | None
    edit_aside: EditAside

    # The drawing

    def editable_document(self) -> Document | None:
        """Return the document if it is editable now; otherwise show the reason and return None."""

    def cell_at(self, x: float, y: float) -> int:
        """Id of the cell at an image position, 0 for none."""

    def box_of(self, cell: int) -> Box | None:
        """Box of a cell, None when there is none of this id."""

    def done(self, step: Step | None) -> None:
        """Announce a finished edit; None: it changed nothing."""

    @property
    def region(self) -> Span | None:
        """The annotated part."""

    def preview_region(self, span: Span | None) -> None:
        """Show a region during dragging; None: that of the document."""

    # Selection

    @property
    def selection(self) -> frozenset[int]:
        """Ids of the selected cells."""

    def select(self, cells: Iterable[int]) -> None:
        """Select these cells and no others."""

    def click_at(self, x: float, y: float, *, add: bool) -> None:
        """Select the cell at an image position."""

    # The view

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""

    @property
    def zoom(self) -> float:
        """Pixels of the screen per image pixel."""

    @property
    def brush_size(self) -> int:
        """Diameter of brush and eraser in image pixels."""

    def devicePixelRatioF(self) -> float:  # noqa: N802 - Qt's name
        """Pixels of the screen per pixel of the layout."""

    def to_widget(self, x: float, y: float) -> QPointF:
        """Position in the widget of an image position."""

    def pan(self, dx: float, dy: float) -> None:
        """Move the image by pixels of the layout."""

    def show_box(self, box: Box, *, closely: bool = False) -> None:
        """Bring a box of image pixels into view."""

    # Display of the tool

    def say(self, text: str) -> None:
        """Show a passing hint."""

    def say_nothing_painted(self) -> None:
        """Explain why a drawn outline made no cell."""

    def refresh(self, area: QRect) -> None:
        """Redraw an area."""

    def refresh_cursor(self) -> None:
        """Show the current pointer shape of the tool."""


def edit_at_once(
    document: Document,
    _what: str,
    operation: Callable[[Document], Any],
    done: Callable[[Any], None],
) -> None:
    """Run an operation synchronously, as an `EditAside`."""
    done(operation(document))
