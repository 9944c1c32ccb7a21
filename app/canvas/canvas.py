"""The canvas: an image, the document of its cells, and the tools that change it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QEvent, Qt, Signal
from shiboken6 import isValid

from cellseg1.errors import CellSeg1Error

from ..annotation.cells import following
from .input.commands import KeyCommands
from .input.keyboard import KeyboardPointer
from .input.pointer import Pointer, pointed_at
from .layers import decor
from .layers.cell_colours import REACH, touching_pairs
from .tools import all_tools
from .tools.brush import BRUSH_RANGE, stepped
from .tools.click import ClickTool
from .tools.host import edit_at_once
from .view import ImageView
from .viewport import grow

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PySide6.QtGui import QPainter
    from PySide6.QtWidgets import QWidget

    from ..annotation import Change, Document, Step
    from ..project.display import Display
    from .input.host import Handlers
    from .tools import Assistant, EditAside, Span, Tool
    from .viewport import Box

_MANY = 100
#: Events of the user, which a disabled widget ignores.
_DONE = frozenset(
    (
        *(QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease, QEvent.Type.MouseButtonDblClick),
        *(QEvent.Type.MouseMove, QEvent.Type.Wheel, QEvent.Type.KeyPress, QEvent.Type.KeyRelease),
    )
)
_MODES = ("fill", "outline", "none")


class Canvas(ImageView):
    """Shows an image and its cells, and lets them be changed.

    Signals
    -------
    pointed
        `Pointed`, or None when the pointer is not over the image.
    tool_changed, brush_size_changed, selection_changed
        With the name, the diameter, the ids (frozenset).
    hint, problem
        A line on what can be done now; a sentence on what went wrong.
    edited
        The name of each finished edit.
    proposal_clicked, mark_clicked
        The id of a proposal, the index of a mark.
    plane_step
        Ctrl+wheel: by how many planes to go on.
    """

    pointed = Signal(object)
    tool_changed = Signal(str)
    brush_size_changed = Signal(int)
    selection_changed = Signal(object)
    hint = Signal(str)
    problem = Signal(str)
    edited = Signal(str)
    proposal_clicked = Signal(int)
    mark_clicked = Signal(int)
    plane_step = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        # Qt may send events during construction.
        self._handlers: Handlers = {}
        super().__init__(parent)
        self._document: Document | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._selection: frozenset[int] = frozenset()
        self._brush_size = 12
        self._region_preview: Span | None = None
        self.protect = True
        self.read_only = False
        #: What is going on beside the window that no edit may get in the way of; empty: nothing.
        self.waiting = ""
        #: Does an operation that may take long (see `Session.edit_aside`); without, it is done at once.
        self.edit_aside: EditAside = edit_at_once
        #: Runs something in a thread and gives its result to something else (see `Session.run`); without, at once.
        self.in_background: Callable[[Callable[[], Any], Callable[[Any], None]], Any] = _run_at_once
        self.assistant: Assistant | None = None
        self.tools: dict[str, Tool] = all_tools(self, self)
        self.tool: Tool = self.tools["select"]
        self.pointer = Pointer(self, self)
        self._keys = KeyboardPointer(self, self, self.pointer)
        commands = KeyCommands(self, self, self.pointer, self._keys)
        self._handlers = {
            **self.pointer.handlers(),
            **commands.handlers(),
            QEvent.Type.MouseButtonPress: self._keys.mouse_press,
        }
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(self.tr("Image"))
        self._describe()
        self.refresh_cursor()

    def event(self, event: QEvent) -> bool:
        """Pass events of pointer and keys to their handlers."""
        kind = event.type()
        handler = self._handlers.get(kind)
        if handler is not None and (self.isEnabled() or kind not in _DONE) and handler(event):
            return True
        return super().event(event)

    # Document

    @property
    def document(self) -> Document | None:
        """The cells that are shown and changed."""
        return self._document

    def set_document(self, document: Document | None) -> None:
        """Show the cells of a document; it must have the size of the image, if there is one."""
        self.settle()
        if document is not None and self.plane is not None and document.shape != self.shape:
            raise ValueError(f"A document of the shape {document.shape} does not fit an image of {self.shape}.")
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._document = document
        self._region_preview = None
        labels = None
        if document is not None:
            if self.plane is None:
                self._set_shape(document.shape)
            labels = document.labels
            self.scene.colours.assign_all(labels, document.cells)
            self._unsubscribe = document.subscribe(self._document_changed)
        self.scene.cells.set_labels(labels)
        self.select(())
        self._show_region()
        self.update()

    def set_image(self, plane: NDArray[Any] | None, display: Display | None = None) -> None:
        """Show another plane; a document of another size is let go."""
        self.settle()
        if self._document is not None and (plane is None or plane.shape[:2] != self._document.shape):
            self.set_document(None)
        super().set_image(plane, display)
        self.pointed.emit(None)

    def editable_document(self) -> Document | None:
        """Return the document if it may be changed; says why not."""
        if self._document is None:
            self.hint.emit(self.tr("Open an image first."))
            return None
        if self.read_only:
            self.hint.emit(self.tr("This project is open for reading only; nothing can be changed here."))
            return None
        if self.waiting:
            self.hint.emit(self.waiting)
            return None
        if self._hidden or self.overlay.mode == "none":
            self.hint.emit(self.tr("Cells are hidden: press O to see what you draw."))
        return self._document

    def settle(self) -> None:
        """End what is unfinished: strokes are kept, everything else is discarded."""
        self.pointer.held_by_keys = False
        self.guarded(self.tool.interrupt)
        self.tool.cancel()

    def undo(self) -> None:
        """Take the last edit back, or an unfinished stroke."""
        self.pointer.held_by_keys = False
        if self.tool.busy and self.tool.cancel():
            return
        if (document := self._document_to_travel()) is not None:
            self._jump(document.undo())

    def redo(self) -> None:
        """Make the last edit again that was taken back."""
        if (document := self._document_to_travel()) is not None and not self.tool.busy:
            self._jump(document.redo())

    def _document_to_travel(self) -> Document | None:
        """Return the document if its history may be gone through now."""
        if self.waiting:
            self.hint.emit(self.waiting)
        return None if self.read_only or self.waiting else self._document

    def box_of(self, cell: int) -> Box | None:
        """Box of a cell, None when there is none of this id."""
        return None if self._document is None else self._document.cells.box(cell)

    def cell_at(self, x: float, y: float) -> int:
        """Id of the cell at an image position, 0 for none."""
        height, width = self.shape
        if self._document is None or not (0 <= x < width and 0 <= y < height):
            return 0
        return self._document.cell_at(x, y)

    # Selection

    @property
    def selection(self) -> frozenset[int]:
        """Ids of the selected cells."""
        return self._selection

    def select(self, cells: Iterable[int]) -> None:
        """Select these cells and no others; ids without a cell are left out."""
        chosen = frozenset(int(cell) for cell in cells if self.box_of(int(cell)) is not None)
        if chosen == self._selection:
            return
        changed = chosen ^ self._selection
        self._selection = chosen
        self.scene.cells.set_selection(chosen)
        if len(changed) > _MANY:
            self.scene.cells.clear()
            self.update()
        else:
            for box in map(self.box_of, changed):
                if box is not None:
                    self.scene.cells.invalidate(box)
                    self.update_box(box)
        self._describe()
        self.selection_changed.emit(chosen)

    def select_next(self, step: int = 1) -> None:
        """Select the next cell by id, and bring it into view."""
        if self._document is None or not len(self._document.cells):
            return
        cell = following(np.asarray(self._document.cells.ids()), self._selection, step)
        self.select({cell})
        box = self.box_of(cell)
        if box is not None:
            self.reveal(box)

    def step_through(self, step: int) -> bool:
        """Go to the next proposal while some are open, else to the next cell; return whether there was one."""
        proposals = self.scene.proposals
        ids = proposals.open_ids()
        if len(ids):
            number = following(ids, proposals.selection, step)
            self._choose_proposal(number)
            self.reveal(proposals.box(number))
            return True
        if self._document is None or not len(self._document.cells):
            return False
        self.select_next(step)
        return True

    def _choose_proposal(self, number: int) -> None:
        self.select_proposals(frozenset({number}))
        self.proposal_clicked.emit(number)

    def delete_selected(self) -> bool:
        """Delete the selected cells; return whether there were any."""
        if not self._selection:
            return False
        document = self.editable_document()
        if document is not None:
            from ..annotation import operations

            self.tool.cancel()
            chosen = sorted(self._selection)
            self.guarded(
                lambda: self.edit_aside(
                    document,
                    self.tr("Deleting cells..."),
                    lambda doc: operations.delete_cells(doc, chosen),
                    self.done,
                )
            )
        return True

    def click_at(self, x: float, y: float, *, add: bool) -> None:
        """Select what is at an image position: a mark, a cell, a proposal or nothing."""
        mark = decor.mark_at(self._view, self.scene.marks, *self._view.to_device(x, y), unit=self.devicePixelRatioF())
        if mark >= 0:
            self.mark_clicked.emit(mark)
        cell = self.cell_at(x, y)
        if add:
            self.select(self._selection ^ {cell} if cell else self._selection)
        else:
            self.select({cell} if cell else ())
        height, width = self.shape
        proposals = self.proposals
        if not cell and proposals is not None and 0 <= x < width and 0 <= y < height:
            number = int(proposals.labels[int(y), int(x)])
            if number and number not in proposals.accepted:
                self._choose_proposal(number)

    # Tools

    def set_tool(self, name: str) -> None:
        """Take another tool in hand; what the old one left unfinished is ended."""
        if name not in self.tools:
            raise ValueError(f"There is no tool of the name {name}.")
        tool = self.tools[name]
        if tool is not self.tool:
            self.settle()
            self.pointer.redraw_brush()
            self.tool = tool
            self.pointer.redraw_brush()
            self.refresh_cursor()
            self.update()
            self.tool_changed.emit(name)
        self.hint.emit(tool.hint())

    @property
    def brush_size(self) -> int:
        """Diameter of brush and eraser in image pixels."""
        return self._brush_size

    def set_brush_size(self, size: int) -> None:
        """Set the diameter, within 1 to 500 pixels."""
        size = min(BRUSH_RANGE[1], max(BRUSH_RANGE[0], int(size)))
        if size != self._brush_size:
            self.pointer.redraw_brush()
            self._brush_size = size
            self.pointer.redraw_brush()
            self.refresh_cursor()
            self.brush_size_changed.emit(size)

    def step_brush(self, steps: int) -> None:
        """Make the brush larger or smaller, by an eighth or at least a pixel a step."""
        self.set_brush_size(stepped(self._brush_size, steps))

    def cycle_overlay(self) -> None:
        """Outline, filled, off, and again."""
        mode = _MODES[(_MODES.index(self.overlay.mode) + 1) % len(_MODES)]
        self.set_overlay(replace(self.overlay, mode=mode))  # type: ignore[arg-type]

    def offer(self, mask: NDArray[np.bool_], box: Box, score: float | None = None) -> None:
        """Hand an answer of the assistant to the click tool."""
        click = self.tools["click"]
        if isinstance(click, ClickTool):
            click.offer(mask, box, score)

    def done(self, step: Step | None) -> None:
        """Announce a finished edit; None: it changed nothing."""
        if step is not None:
            self.edited.emit(step.name)

    def say(self, text: str) -> None:
        """Show a passing hint."""
        self.hint.emit(text)

    def step_planes(self, steps: int) -> None:
        """Ask for another plane, relative to the shown one."""
        self.plane_step.emit(steps)

    def refresh_cursor(self) -> None:
        """Show the pointer shape for the action of a click."""
        self.pointer.refresh_cursor()

    def show_pointed(self, spot: tuple[float, float] | None) -> None:
        """Report the value at an image position, here and in linked views; None: the pointer is elsewhere."""
        height, width = self.shape
        if spot is None or not (0 <= spot[0] < width and 0 <= spot[1] < height):
            self._point_links(None)
            self.pointed.emit(None)
            return
        self._point_links(spot)
        self.pointed.emit(pointed_at(self.plane, self._document, *spot))

    def say_nothing_painted(self) -> None:
        """Explain why a drawn outline made no cell."""
        self.hint.emit(self.tr("Nothing was painted: other cells are protected here."))

    # Region

    @property
    def region(self) -> Span | None:
        """(x, y, width, height) of the annotated part."""
        if self._document is None:
            return None
        values = self._document.attributes.get("region")
        if not values or len(values) != 4:
            return None
        x, y, width, height = (int(value) for value in values)
        return x, y, width, height

    def preview_region(self, span: Span | None) -> None:
        """Show a region that is being dragged; None: the document's again."""
        self._region_preview = span
        self._show_region()

    def _show_region(self) -> None:
        region = self._region_preview or self.region
        if region != self.scene.region or self.tool.name == "region":
            self.scene.region = region
            self.update()

    # Changes of the document

    def _document_changed(self, change: Change) -> None:
        if not isValid(self):
            # The window is gone, the document lives on.
            if self._unsubscribe is not None:
                self._unsubscribe()
            return
        if "region" in change.attributes:
            self._show_region()
        if change.box is None or self._document is None:
            return
        live = change.kind == "live"
        for box in self.scene.cells_changed(change.box, self._document.cells, live=live):
            self.update_box(box)
        if self.scene.colours.unchecked is not None:
            self._look_for_alike(self._document)
        if not live:
            # A selected cell may be gone, or may have grown.
            gone = [cell for cell in self._selection if self.box_of(cell) is None]
            if gone:
                self.select(self._selection.difference(gone))
            self._describe()

    def _look_for_alike(self, document: Document) -> None:
        """Look in the background for cells of one colour that touch after a very large change."""
        box, self.scene.colours.unchecked = self.scene.colours.unchecked, None
        if box is None:
            return
        top, left, bottom, right = grow(box, REACH, document.shape)
        labels = document.labels[top:bottom, left:right].copy()

        def found(pairs: NDArray[np.int64]) -> None:
            if isValid(self) and self._document is document:
                for changed in self.scene.cells_touch(pairs, document.cells):
                    self.update_box(changed)

        self.in_background(lambda: touching_pairs(labels), found)

    def _jump(self, change: Change | None) -> None:
        if change is not None:
            if change.box is not None:
                self.reveal(change.box)
            self.edited.emit(change.name)

    def guarded(self, action: Callable[..., object], *arguments: object) -> None:
        """Run what a tool does; whatever goes wrong, no half edit stays."""
        try:
            action(*arguments)
        except CellSeg1Error as error:
            self.tool.cancel()
            self.problem.emit(str(error))
        except BaseException:
            self.tool.cancel()
            raise

    def _describe(self) -> None:
        """Say for people who cannot see it what is selected."""
        count = len(self._selection)
        if count == 1 and self._document is not None:
            (cell,) = self._selection
            area = self._document.cells.area(cell)
            text = self.tr("Cell {cell} is selected, {area} pixels.").format(cell=cell, area=area)
        elif count:
            text = self.tr("%n cells are selected.", "", count)
        else:
            text = self.tr("No cell is selected.")
        keys = self.tr(
            "Arrow keys move the tool, P sets it down and lifts it, Ctrl and arrow keys move the image, plus and minus "
            "zoom, Tab goes to the next cell, Ctrl+Tab leaves the image."
        )
        self.setAccessibleDescription(f"{text} {keys}")

    # Drawing

    def paint_over(self, painter: QPainter) -> None:
        """Draw what the tool has unfinished."""
        self.tool.paint(painter)

    def paint_last(self, painter: QPainter) -> None:
        """Draw the brush and the focus."""
        diameter, at = self.tool.brush_diameter(), self.pointer.position
        if diameter is not None and at is not None and not self.pointer.panning:
            painter.save()
            size = diameter * self.zoom / self.devicePixelRatioF()
            decor.paint_brush(painter, at.x(), at.y(), size, self.devicePixelRatioF())
            painter.restore()
        elif self.pointer.led_by_keys and at is not None:
            decor.paint_ghost(painter, at.x(), at.y(), 1.0)
        if self.hasFocus() and self.pointer.focus_shown:
            decor.paint_focus(painter, self.rect(), self.palette().highlight().color())


def _run_at_once(work: Callable[[], Any], done: Callable[[Any], None]) -> None:
    done(work())
