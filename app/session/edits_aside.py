"""Edits of all cells of a large drawing, computed on a copy in a thread and applied in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QObject, Signal

from cellseg1.errors import CellSeg1Error

from ..annotation import Aside
from .lanes import Lane, Newest

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from cellseg1.masks import Box

    from ..annotation import Document

T = TypeVar("T")

#: Operations on all cells of larger drawings run in a thread.
_QUICK_PIXELS, _QUICK_CELLS = 2_000_000, 250


class EditsAside(QObject):
    """Runs one such edit at a time.

    Attributes
    ----------
    waiting
        Description of the running edit, during which no other is possible; empty without one.
    shown
        The document that is shown.
    foresee
        Prepares the display of a long edit in the thread; set by the object that shows it.
    """

    waiting_changed = Signal(str)
    problem = Signal(str, str)

    def __init__(self, lane: Lane, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.waiting = ""
        self.shown: Document | None = None
        self.foresee: Callable[[NDArray[np.int32], Box], Callable[[], None]] | None = None
        self._lane = lane
        self._open = Newest()

    def run(
        self, document: Document, what: str, operation: Callable[[Document], T], done: Callable[[T], object]
    ) -> None:
        """Run an operation that makes at most one step, then call `done` with its result.

        In a large drawing it runs on a copy in a thread, and its result is applied in one step: the window stays
        responsive, shows `what` is running, and allows no other edit.

        Raises
        ------
        CellSeg1Error
            While another such edit runs, or one is being drawn.
        """
        height, width = document.shape
        if height * width <= _QUICK_PIXELS and len(document.cells) <= _QUICK_CELLS:
            done(operation(document))
            return
        if self.waiting or document.editing:
            raise CellSeg1Error(self.waiting or self.tr("Finish what you are drawing first."))
        self._wait_for(what)
        aside, foresee, wanted = Aside(document), self.foresee, self._open.asked()

        def work() -> Callable[[], None] | CellSeg1Error | None:
            try:
                aside.work(operation)
            except CellSeg1Error as error:
                return error
            return None if foresee is None or aside.box is None else foresee(aside.labels, aside.box)

        def worked(found: Callable[[], None] | CellSeg1Error | None) -> None:
            self._wait_for("")
            if isinstance(found, CellSeg1Error):
                self.problem.emit(str(found), "")
            elif wanted():
                self._take_over(aside, document, found, lambda: self.run(document, what, operation, done))
                if not self.waiting:
                    done(aside.value)

        self._lane.run(work, worked, what, failed=lambda: self._wait_for(""))

    def _take_over(
        self, aside: Aside, document: Document, foreseen: Callable[[], None] | None, again: Callable[[], None]
    ) -> None:
        if foreseen is not None and document is self.shown:
            foreseen()
        try:
            if not aside.take_over(document):
                # A flag was set in the meantime: repeat with the current state.
                again()
        except (OSError, CellSeg1Error) as error:
            # The edit is done but could not be written; the project reports this and tries again.
            self.problem.emit(str(error), "")

    def _wait_for(self, what: str) -> None:
        self.waiting = what
        self.waiting_changed.emit(what)

    def drop(self) -> None:
        """Drop a running edit, because its project is closed."""
        self._open.drop()
