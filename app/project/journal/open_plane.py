"""An open drawing: a document, its journal, and the snapshots that are made of it from time to time."""

from __future__ import annotations

import contextlib
import functools
import weakref
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cellseg1.errors import CellSeg1Error

from ...annotation.document import Document
from ...annotation.steps import HistoryError
from ...base.errors import ProjectError
from . import journal as journals
from .journal import Journal
from .records import OPERATIONS, State
from .recovery import Recovered, damage_sentence, keep_damaged, recover

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Literal


def restore(journal: Journal, found: Recovered, shape: tuple[int, int], log: Journal | None = None) -> Document:
    """Make a document of what is stored; what does not follow from the rest is marked as lost in `found`."""
    start = found.start or State(0, np.zeros(shape, np.int32))
    document = Document(shape, None if found.start is None else start.labels, dict(start.attributes), journal)
    document.load_history(start.done, start.undone)
    for record in found.operations:
        kind = cast('Literal["step", "undo", "redo"]', OPERATIONS[record.kind])
        try:
            payload = journal.read(record.number) if kind == "step" else b""
            document.replay(kind, payload, record.number if kind == "step" else None)
        except HistoryError:
            found.lost = True
            found.damaged.append(journal.path)
            break
    document.log = log or journal
    return document


def read_drawing(path: Path, shape: tuple[int, int] | None) -> Document | None:
    """Read a plane's drawing without opening it for editing; None when nothing is stored."""
    found = recover(path, shape)
    if found.empty or found.shape is None or (shape is not None and found.shape != shape):
        return None
    journal = Journal(path, found.shape, found, read_only=True)
    try:
        document = restore(journal, found, found.shape)
        document.log = None
        return document
    finally:
        journal.release()


def counted(path: Path, shape: tuple[int, int] | None, size: int) -> dict[str, Any] | None:
    """Return the facts of the image list about a closed drawing; None when nothing is stored or it is damaged.

    Damage is reported and repaired when it is opened.
    """
    found = recover(path, shape)
    document = None if found.damaged else read_drawing(path, shape)
    return None if document is None else description(document, found.last, size)


def missing_sentence(what: str) -> str:
    """Return the sentence about a journal that ends before the last known edit."""
    return (
        f"The last edits of {what} are missing: its journal is older than the project or was cut short. "
        "Every edit before them is there."
    )


def state_of(document: Document, number: int) -> State:
    """Copy all that is needed to go on from the present state."""
    done, undone = document.history()
    return State(number, document.labels.copy(), dict(document.attributes), done, undone)


class OpenPlane:
    """The document of a plane while it is in use.

    Parameters
    ----------
    path
        Its journal.
    shape
        Height and width of the image's plane; None: from the journal.
    what
        Displayed name of the image.
    in_background
        Runs a function in the project's thread.
    damage
        Called with a sentence about each damaged file.
    there
        Tells whether the project's folder still exists.

    Raises
    ------
    ProjectError
        When the drawing belongs to an image of another size or to a newer program, or its size is unknown.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int] | None,
        what: str,
        *,
        read_only: bool,
        on_problem: Callable[[OSError | None], None],
        wake: Callable[[], None],
        in_background: Callable[[Callable[[], None]], None],
        damage: list[str],
        there: Callable[[], bool] | None = None,
    ) -> None:
        found = recover(path, shape)
        if found.shape is not None and shape is not None and found.shape != shape and not found.empty:
            raise ProjectError(
                f"The cells of {what} were drawn on an image of {found.shape[1]} x {found.shape[0]} pixels, but now it "
                f"has {shape[1]} x {shape[0]}. They are kept; bring the former image (or its axes) back to see them."
            )
        size = found.shape if found.shape is not None and (shape is None or not found.empty) else shape
        if size is None:
            raise ProjectError(f"The size of {what} is not known. Open the image first.")
        self.what = what
        self._in_background = in_background
        self._compact_above = journals.COMPACT_BYTES
        self._storing = False
        self.journal = Journal(
            path,
            size,
            found,
            on_problem=on_problem,
            wake=wake,
            read_only=read_only,
            there=there,
            on_replaced=functools.partial(_say_replaced, damage, what),
        )
        document = restore(self.journal, found, size)
        self.damaged = bool(found.damaged)
        if found.damaged:
            self._mend(document, found, damage)
        self.document = weakref.ref(document)
        #: Holds the document as long as the project wants to.
        self.kept: Document | None = document

    def _mend(self, document: Document, found: Recovered, damage: list[str]) -> None:
        """Set damaged files aside and write journal and snapshot anew."""
        said = False

        def mend() -> None:
            nonlocal said
            sentences = keep_damaged(found, self.what)
            if not said:
                damage.extend(sentences)
                said = True
            self.journal.compact(state, mark)

        if not self.journal.read_only:
            number, mark = self.journal.mark()
            state = state_of(document, number)
            self.journal.repair(mend)
        if not said:
            damage.extend(damage_sentence(found, path, self.what) for path in dict.fromkeys(found.damaged))
            said = True

    # ---- while it is edited

    def changed(self) -> None:
        """Store the drawing in the background when much happened since the last time."""
        document = self.document()
        journal = self.journal
        if document is None or journal.read_only or self._storing or journal.unsaved:
            return
        compact = journal.size > self._compact_above
        if not compact and journal.since_snapshot < journals.SNAPSHOT_BYTES:
            return
        if compact:
            document.trim_history(journals.KEPT_STEPS)
        number, mark = journal.mark()
        state = state_of(document, number)
        self._storing = True
        self._in_background(functools.partial(self._store, state, mark, compact=compact))

    def _store(self, state: State, mark: int, *, compact: bool) -> None:
        try:
            # The journal has everything, so a failure costs nothing; it is tried again later.
            with contextlib.suppress(OSError, CellSeg1Error):
                if compact:
                    self.journal.compact(state, mark)
                    self._compact_above = max(journals.COMPACT_BYTES, 2 * self.journal.size)
                else:
                    self.journal.write_snapshot(state, mark)
        finally:
            self._storing = False

    # ---- at the end

    def save(self) -> None:
        """Store the drawing as it is now, unless that is stored already."""
        document = self.document()
        journal = self.journal
        if document is None or journal.read_only or self._storing or not journal.last:
            return
        journal.sync()
        if journal.unsaved or journal.snapshot_number == journal.last or document.editing:
            return
        number, mark = journal.mark()
        with contextlib.suppress(OSError, CellSeg1Error):
            if journal.size > self._compact_above:
                document.trim_history(journals.KEPT_STEPS)
                journal.compact(state_of(document, number), mark)
            else:
                journal.write_snapshot(state_of(document, number), mark)

    def move_to(self, path: Path) -> None:
        """Go on in a copy of the journal, or, when the old file cannot be read, in one made from memory.

        Raises
        ------
        OSError
            When nothing can be written there either.
        """
        journal = self.journal
        if path.exists():
            journal.moved(path, copied=True)
            return
        document = self.document()
        if document is None or not journal.last:
            journal.moved(path)
        else:
            number, mark = journal.mark()
            journal.compact(state_of(document, number), mark, path)
        journal.writable()

    def describe(self) -> dict[str, Any] | None:
        """Return what the list of images shows of the plane; None when the document is gone."""
        document = self.document()
        return None if document is None else description(document, self.journal.last, self.journal.size)


def _say_replaced(damage: list[str], what: str, path: Path, kept: Path | None) -> None:
    other = "" if kept is None else f" The other file is kept as {kept.name}."
    damage.append(
        f"{path.name} of {what} was replaced or deleted by another program while it was open. It was written again "
        f"with all edits that were made here.{other}"
    )


def description(document: Document, number: int, size: int) -> dict[str, Any]:
    """Return the facts of the image list about a drawing; the journal's `size` shows whether they are current."""
    return {
        "cells": len(document.cells),
        "training": bool(document.attributes.get("training")),
        "checked": bool(document.attributes.get("checked")),
        "revision": number,
        "bytes": size,
    }
