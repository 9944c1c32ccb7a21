"""The label image of a plane with its history: one place through which every change of the drawing goes."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellseg1.errors import CellSeg1Error, MaskError

from .cells import HIGHEST_ID, CellTable
from .edit import Edit, Ends, clipped
from .history import Entry, History
from .steps import Change, Content, HistoryError, Step, StepLog, StepRef, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cellseg1.masks import Box

    from .pixel_runs import PixelRuns


class Document:
    """A label image, attributes (such as the annotated region), and the steps that made them.

    Parameters
    ----------
    shape
        Height and width of the plane.
    labels
        What is there at the beginning (copied); None: nothing.
    attributes
        JSON values at the beginning (copied).  A key that is None is the same as an absent one: read with ``get``.
    log
        What every step is written to; the document works without.
    memory_limit
        Bytes of history to keep in memory; older steps are read back from the log.  Without a log all stay.

    Raises
    ------
    MaskError
        When `labels` is no label image of that shape.

    Notes
    -----
    Not for several threads.  While an edit is open, `undo`, `redo` and `set_attribute` are not possible: the first two
    then do nothing, `begin` (and so `apply` and `set_attribute`) raises RuntimeError.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        labels: NDArray[Any] | None = None,
        attributes: dict[str, Any] | None = None,
        log: StepLog | None = None,
        memory_limit: int = 64 << 20,
    ) -> None:
        height, width = shape
        self._shape = int(height), int(width)
        if labels is None:
            self._labels = np.zeros(self._shape, np.int32)
        else:
            self._labels = np.array(as_labels(labels, self._shape), np.int32, order="C")
        self._view = self._labels.view()
        self._view.flags.writeable = False
        self._attributes = {key: value for key, value in plain(attributes or {}).items() if value is not None}
        self._cells = CellTable.of(self._labels) if labels is not None else CellTable()
        self._history = History(memory_limit)
        self._edit: Edit | None = None
        self._revision = 0
        self._listeners: list[tuple[Callable[[Change], None], bool]] = []
        self.log = log

    # ---- what is there

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self._shape

    @property
    def revision(self) -> int:
        """A number that grows with everything that can be seen: edits, undo, and what an open edit shows."""
        return self._revision

    @property
    def labels(self) -> NDArray[np.int32]:
        """The (H, W) label image, an open edit's changes included; read-only, and always the same array."""
        return self._view

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What else belongs to the drawing; not to be changed but by `set_attribute`.

        ``region`` [x, y, w, h], the annotated part; ``checked`` and ``training`` true or false; others may be added.
        """
        return MappingProxyType(self._attributes)

    @property
    def cells(self) -> CellTable:
        """The cells as they are after the last finished edit; always the same object."""
        return self._cells

    def clip(self, box: Box) -> Box:
        """Cut a box off at the edges of the image; one that lies outside becomes empty."""
        return clipped(box, self._shape)

    def read(self, box: Box) -> NDArray[np.int32]:
        """Return a copy of the label image in a box, cut off at the edges of the image."""
        top, left, bottom, right = self.clip(box)
        return self._labels[top:bottom, left:right].copy()

    def cell_at(self, x: float, y: float) -> int:
        """Return the id at a point; 0 on background and outside the image."""
        height, width = self._shape
        if not (0 <= x < width and 0 <= y < height):
            return 0
        return int(self._labels[math.floor(y), math.floor(x)])

    # ---- editing

    @property
    def editing(self) -> bool:
        """Whether an edit is open."""
        return self._edit is not None

    def begin(self, name: str) -> Edit:
        """Open an edit, to be finished or cancelled; RuntimeError while another is open."""
        if self._edit is not None:
            raise RuntimeError(f"The edit {self._edit.name!r} is not finished yet.")
        # Made for each edit: a document that held these would be in a reference cycle.
        ends = Ends(self._show, self._commit, self._cancelled)
        self._edit = Edit(name, self._labels, self._attributes, self._cells, ends)
        return self._edit

    def apply(self, name: str, change: Callable[[Edit], object]) -> Step | None:
        """Do a whole edit at once; None when it changed nothing.  An exception in `change` cancels it."""
        edit = self.begin(name)
        try:
            change(edit)
            return edit.finish()
        except BaseException:
            edit.cancel()
            raise

    def set_attribute(self, name: str, key: str, value: Any) -> Step | None:
        """Change an attribute to a JSON value (None removes it) as a step of its own; None when it is that already."""
        return self.apply(name, lambda edit: edit.set_attribute(key, value))

    # ---- beside it

    def twin(self) -> Document:
        """Return an independent copy without history and log: something to work on in another thread.

        Raises
        ------
        RuntimeError
            While an edit is open.
        """
        if self._edit is not None:
            raise RuntimeError(f"The edit {self._edit.name!r} is not finished yet.")
        copy = Document(self._shape, None, dict(self._attributes))
        copy._labels[...] = self._labels
        copy._cells.become(self._cells)
        return copy

    def adopt(self, twin: Document, step: Step) -> None:
        """Take over the one step that a twin made since it was copied; nothing may have changed here meanwhile."""
        if self._edit is not None:
            raise RuntimeError(f"The edit {self._edit.name!r} is not finished yet.")
        if step.box is not None:
            top, left, bottom, right = step.box
            self._labels[top:bottom, left:right] = twin._labels[top:bottom, left:right]
            self._cells.become(twin._cells)
        for key in step.attributes:
            value = twin._attributes.get(key)
            if value is None:
                self._attributes.pop(key, None)
            else:
                self._attributes[key] = value
        self._conclude(step)

    # ---- history

    @property
    def can_undo(self) -> bool:
        """Whether `undo` would do something now."""
        return self._edit is None and bool(self._history.done)

    @property
    def can_redo(self) -> bool:
        """Whether `redo` would do something now."""
        return self._edit is None and bool(self._history.undone)

    @property
    def undo_name(self) -> str:
        """Name of the step that `undo` takes back; empty when there is none."""
        return self._history.done[-1].name if self._history.done else ""

    @property
    def redo_name(self) -> str:
        """Name of the step that `redo` does again; empty when there is none."""
        return self._history.undone[-1].name if self._history.undone else ""

    @property
    def undo_count(self) -> int:
        """How many steps can be undone."""
        return len(self._history.done)

    @property
    def redo_count(self) -> int:
        """How many steps can be redone."""
        return len(self._history.undone)

    def undo(self) -> Change | None:
        """Take the last step back; None when there is none, or while an edit is open.

        Raises
        ------
        HistoryError
            When the step is damaged: nothing changes, and it and all older ones are forgotten.
        """
        return self._travel(forward=False) if self.can_undo else None

    def redo(self) -> Change | None:
        """Do the last undone step again; None when there is none, or while an edit is open.

        Raises
        ------
        HistoryError
            When the step is damaged: nothing changes, and it and all later ones are forgotten.
        """
        return self._travel(forward=True) if self.can_redo else None

    def history(self) -> tuple[list[StepRef], list[StepRef]]:
        """Return what can be undone and what can be redone, both in the order in which the steps were made."""
        done, undone = self._history.done, self._history.undone
        return [entry.ref() for entry in done], [entry.ref() for entry in reversed(undone)]

    def payloads(self) -> Iterator[bytes]:
        """Yield the payloads of `history`, done and undone, oldest first: to write them to another log."""
        for entry in (*self._history.done, *reversed(self._history.undone)):
            yield self._history.payload(entry, self.log)

    def load_history(self, done: Sequence[StepRef], undone: Sequence[StepRef]) -> None:
        """Take over a history that is in the log and ends in the present state; lists ordered as in `history`."""
        self._history.load(done, undone)

    def trim_history(self, keep: int) -> None:
        """Forget all but the newest `keep` steps that can be undone."""
        self._history.drop_done(keep)

    def replay(self, kind: Literal["step", "undo", "redo"], payload: bytes = b"", token: int | None = None) -> None:
        """Do again what a log recorded, in its order, without writing it to the log or telling listeners.

        Raises
        ------
        HistoryError
            When it does not follow from the present state; nothing has changed then.
        """
        if self._edit is not None:
            raise RuntimeError("A log cannot be replayed while an edit is open.")
        if kind == "step":
            content = self._fitting(payload, forward=True)
            self._put(content, forward=True)
            self._history.push(content.name, payload, token)
        elif self._history.done if kind == "undo" else self._history.undone:
            self._move(forward=kind == "redo")
        else:
            raise HistoryError(f"There is no step to {kind} in the history. The drawing itself is unchanged.")

    # ---- listeners

    def subscribe(self, callback: Callable[[Change], None], *, live: bool = True) -> Callable[[], None]:
        """Call `callback` after every visible change; returns a function that unsubscribes.

        Parameters
        ----------
        live
            Also during an edit, many times a second.
        """
        listener = callback, live
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    # ---- within this package

    def _announce(
        self,
        kind: Literal["edit", "undo", "redo", "live", "cancel"],
        name: str,
        box: Box | None,
        attributes: tuple[str, ...] = (),
    ) -> Change:
        self._revision += 1
        change = Change(kind, name, box, attributes)
        for listener, live in tuple(self._listeners):
            if live or kind != "live":
                listener(change)
        return change

    def _show(self, name: str, box: Box) -> None:
        self._announce("live", name, box)

    def _cancelled(self, edit: Edit, box: Box | None, attributes: tuple[str, ...]) -> None:
        self._edit = None
        if box is not None or attributes:
            self._announce("cancel", edit.name, box, attributes)

    def _commit(self, edit: Edit, runs: PixelRuns, attributes: dict[str, tuple[Any, Any]]) -> Step:
        """Take over the changes of an edit as a step."""
        content = Content(edit.name, runs, attributes)
        step = Step(edit.name, runs.box(), tuple(attributes), content.pack(self._shape))
        edit.close()
        self._edit = None
        self._cells.update(self._labels, runs, forward=True)
        self._conclude(step)
        return step

    def _conclude(self, step: Step) -> None:
        """Write a step down and tell of it."""
        token, failure = self._record("step", step.payload)
        self._history.push(step.name, step.payload, token)
        self._announce("edit", step.name, step.box, step.attributes)
        if failure is not None:
            raise failure

    def _travel(self, *, forward: bool) -> Change:
        content = self._move(forward=forward)
        kind: Literal["undo", "redo"] = "redo" if forward else "undo"
        _, failure = self._record(kind, b"")
        change = self._announce(kind, content.name, content.runs.box(), tuple(content.attributes))
        if failure is not None:
            raise failure
        return change

    def _move(self, *, forward: bool) -> Content:
        history = self._history
        entry: Entry = history.undone[-1] if forward else history.done[-1]
        try:
            content = self._fitting(history.payload(entry, self.log), forward=forward)
        except HistoryError:
            # What lies beyond a damaged step cannot be reached any more.
            if forward:
                history.drop_undone()
            else:
                history.drop_done()
            raise
        self._put(content, forward=forward)
        if forward:
            history.redid()
        else:
            history.undid()
        return content

    def _fitting(self, payload: bytes, *, forward: bool) -> Content:
        """Unpack a step and make sure that it starts from what is there now."""
        content = Content.unpack(payload, self._shape)
        runs = content.runs
        if not runs.found_in(self._labels, runs.old if forward else runs.new):
            raise HistoryError(
                "A step of the history does not fit the drawing any more and was left out. "
                "The drawing itself is unchanged."
            )
        return content

    def _put(self, content: Content, *, forward: bool) -> None:
        runs = content.runs
        runs.write(self._labels, runs.new if forward else runs.old)
        self._cells.update(self._labels, runs, forward=forward)
        for key, (before, after) in content.attributes.items():
            value = after if forward else before
            if value is None:
                self._attributes.pop(key, None)
            else:
                self._attributes[key] = value

    def _record(
        self, kind: Literal["step", "undo", "redo"], payload: bytes
    ) -> tuple[int | None, OSError | CellSeg1Error | None]:
        if self.log is None:
            return None, None
        try:
            return self.log.append(kind, payload), None
        except (OSError, CellSeg1Error) as error:
            return None, error


def as_labels(labels: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return a label image as int32 (the same array if it is that already), or say why it is none of that shape."""
    labels = np.asarray(labels)
    if labels.shape != tuple(shape):
        raise MaskError(
            f"The label image has the shape {labels.shape}, but the image has {shape[1]} x {shape[0]} pixels. "
            "Choose the mask that belongs to the image."
        )
    if labels.dtype.kind not in "bui":
        raise MaskError(f"Cell ids must be whole numbers, not {labels.dtype}.")
    if labels.size and labels.dtype.kind != "b" and (int(labels.min()) < 0 or int(labels.max()) > HIGHEST_ID):
        raise MaskError(f"The label image holds ids outside 0 ... {HIGHEST_ID}. Number its cells 1, 2, 3 ...")
    return labels.astype(np.int32, copy=False)
