"""The proposals of the newest prediction for the shown plane: thresholds at once, accept and reject."""

from __future__ import annotations

import dataclasses
import traceback
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, Signal

from cellseg1.errors import CellSeg1Error
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.select import Selection, Selector, SelectSettings

from ..annotation import operations
from ..annotation.offered import Choice, Drawn, choose, fitted
from ..annotation.proposal_layer import ProposalLayer
from .lanes import Newest
from .run_requests import select_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from cellseg1.masks import Box

    from ..annotation import Change, Document, Step
    from .edits_aside import EditsAside
    from .lanes import Lane
    from .shown_image import ShownPlane

_MANY = 256


class Proposals(QObject):
    """Proposals of the plane that is shown (`show`).

    The selection and the overlap of proposals with drawn cells are computed in the background; during one selection
    only the newest request waits.  After an edit, overlaps are updated where pixels changed.

    Signals
    -------
    run_changed
        Another prediction is shown, or none, with its thresholds.
    changed
        There is a new selection, or an edit that changes the offered proposals.
    layer_changed(ProposalLayer or None)
        The layer for the canvas changed, while it is drawn (`set_drawn`).
    """

    run_changed = Signal()
    changed = Signal()
    layer_changed = Signal(object)
    problem = Signal(str, str)
    note = Signal(str)

    def __init__(self, lane: Lane, edits: EditsAside, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = lane
        self._edits = edits
        self._shown: ShownPlane | None = None
        self._drawn_on = False
        self.run_id: str | None = None
        self.settings = SelectSettings()
        self._selector: Selector | None = None
        self._choice: Choice | None = None
        self._document: Document | None = None
        self._drawn: Drawn | None = None
        # Whether an edit was open when `_drawn` was made: it holds pixels that the edit may take back.
        self._unfinished = False
        self._open = np.zeros(1, bool)
        self._offered: NDArray[np.int64] = np.zeros(0, np.int64)
        self._layer: ProposalLayer | None = None
        #: Drops data read for a plane or run that is no longer shown.
        self._wish = Newest()
        self._choosing = False
        self._again = False

    # ---- loading

    def show(self, shown: ShownPlane | None) -> None:
        """Load the newest prediction of another plane."""
        self._shown = shown
        self.reload()

    def reload(self, run_id: str | None = None) -> None:
        """Load the newest prediction of the shown plane (or that of `run_id`)."""
        self._wish.drop()
        self._selector = self._choice = self._document = self._drawn = self._layer = self.run_id = None
        self._offered = np.zeros(0, np.int64)
        self._tell_changed()
        path = self._find(run_id)
        self.run_changed.emit()
        if path is not None:
            self._lane.run(
                lambda: Selector(Candidates.load(path)),
                self._loaded,
                self.tr("Loading the proposals"),
                newest=self._wish,
            )

    def _find(self, run_id: str | None) -> Path | None:
        """Take over the run and its thresholds; return the file of its proposals of the shown plane, or None."""
        if self._shown is None:
            return None
        project, plane = self._shown.project, (self._shown.image_id, self._shown.z, self._shown.t)
        if run_id is None:
            run = project.runs.latest_prediction(*plane)
        else:
            run = next((one for one in project.runs if one.id == run_id), None)
        path = None if run is None else project.runs.proposals_path(run.id, *plane)
        if run is None or path is None or not path.exists():
            return None
        self.run_id = run.id
        self.settings = select_of(run.fields.get("select", {}))
        return path

    def _loaded(self, selector: Selector) -> None:
        self._selector = selector
        self._choose()

    def _tell_changed(self) -> None:
        self.changed.emit()
        if self._drawn_on:
            self.layer_changed.emit(self.layer())

    def set_drawn(self, on: bool) -> None:
        """Set whether the canvas draws them; `layer_changed` follows."""
        if on or self._drawn_on:
            self.layer_changed.emit(self.layer() if on else None)
        self._drawn_on = on

    # ---- choosing

    def set_thresholds(self, settings: SelectSettings) -> None:
        """Select again with these settings; `changed` follows."""
        self.settings = settings
        self._choose()

    def _choose(self) -> None:
        if self._selector is None or self._shown is None:
            return
        if self._choosing:
            self._again = True
            return
        self._choosing, self._again = True, False
        selector, settings, wanted = self._selector, self.settings, self._wish.current()
        height, width = self._shown.pixels.shape[:2]
        drawn = self._look_at_document()
        lent = None if drawn is None else drawn.lend()
        self._lane.run(
            lambda: _try(selector, settings, (height, width), lent),
            lambda found: self._chosen(drawn, found, wanted=wanted()),
            self.tr("Choosing cells"),
        )

    def _look_at_document(self) -> Drawn | None:
        """Return where the shown document has cells; looks through it only the first time."""
        document = None if self._shown is None else self._shown.document
        if document is not self._document:
            self._document = document
            self._drawn = None if document is None else Drawn(document.labels)
            self._unfinished = document is not None and document.editing
        return self._drawn

    def _chosen(self, drawn: Drawn | None, found: Choice | Exception, *, wanted: bool) -> None:
        self._choosing = False
        if isinstance(found, Exception):
            if drawn is not None:
                drawn.let_go()
            self.problem.emit(str(found) or type(found).__name__, _details(found))
        elif wanted:
            if drawn is not None:
                drawn.catch_up(found)
            self._choice = found
            self._offer(found, new=True)
        if self._again:
            self._choose()

    @property
    def busy(self) -> bool:
        """Whether a choice is being made."""
        return self._choosing

    # ---- what is offered

    def edited(self, change: Change) -> None:
        """Update after an edit of the shown document was finished, undone, redone or cancelled."""
        document, drawn = self._document, self._drawn
        if document is None or drawn is None:
            return
        box = change.box
        if self._unfinished:
            box, self._unfinished = drawn.whole, False
        elif change.kind == "cancel":
            # Nothing of an edit is taken over before it is finished.
            return
        if box is not None:
            drawn.change(document.labels, box, self._choice)
        if self._choice is not None:
            self._offer(self._choice)

    def _offer(self, choice: Choice, *, new: bool = False) -> None:
        """Find which chosen proposals are neither drawn nor rejected, and say so when these are others."""
        offered = choice.free()
        if self._document is not None:
            rejected = self._document.attributes.get("rejected", {}).get(self.run_id or "", [])
            if rejected:
                offered[1:] &= ~np.isin(choice.selection.cells, np.asarray(rejected))
        if new or not np.array_equal(offered, self._open):
            self._open, self._offered, self._layer = offered, np.flatnonzero(offered), None
            self._tell_changed()

    @property
    def selection(self) -> Selection | None:
        """The chosen proposals; None while nothing was chosen."""
        return None if self._choice is None else self._choice.selection

    @property
    def offered(self) -> NDArray[np.int64]:
        """Ids (in `labels`) of the proposals that are neither drawn nor rejected, ascending."""
        return self._offered

    @property
    def labels(self) -> NDArray[np.int32] | None:
        """Label image (H, W) of all chosen proposals at the size of the shown plane."""
        return None if self._choice is None else self._choice.labels

    def box(self, number: int) -> Box | None:
        """Box of a proposal in the image; None when there is none of this id."""
        return None if self._choice is None else self._choice.table.box(number)

    def scores(self) -> NDArray[np.float32]:
        """Score of every id of `labels`; index 0 is the background."""
        if self._choice is None:
            return np.zeros(1, np.float32)
        return np.concatenate([[np.float32(0)], self._choice.selection.score])

    def layer(self) -> ProposalLayer | None:
        """Return what the canvas draws: only what is offered.

        Between two choices its label image stays the same array, with all that was chosen; what is not offered any
        more is among `accepted`.
        """
        choice = self._choice
        if choice is None or not len(self._offered):
            return None
        if self._layer is None:
            gone = np.flatnonzero(~self._open[1:]) + 1
            self._layer = ProposalLayer(
                choice.labels, self.scores(), accepted=frozenset(gone.tolist()), boxes=choice.boxes
            )
        return self._layer

    # ---- accept and reject

    def accept(self, ids: Iterable[int] | None = None, done: Callable[[int], None] | None = None) -> int | None:
        """Make proposals (None: all that are offered) into cells, as one edit.

        Returns
        -------
        int | None
            How many; None when that is worked out in the background: `done`, which is told in any case, then is later.

        Raises
        ------
        CellSeg1Error
            While another edit of that kind goes on.
        """
        document, choice = None if self._shown is None else self._shown.document, self._choice
        if document is None or choice is None:
            return 0
        wanted = self._offered if ids is None else np.intersect1d(np.fromiter(ids, np.int64), self._offered)
        if len(wanted) >= _MANY:
            counts: list[int] = []

            def accepted(found: tuple[Step | None, list[int]]) -> None:
                counts.append(len(found[1]))
                if done is not None:
                    done(counts[0])

            # Many lie all over the image: asking for the box of each takes longer than it saves.
            self._edits.run(
                document,
                self.tr("Accepting {n} proposals...").format(n=len(wanted)),
                lambda doc: operations.accept_proposals(doc, choice.labels, wanted.tolist()),
                accepted,
            )
            return counts[0] if counts else None
        _step, new = operations.accept_proposals(document, choice.labels, wanted.tolist(), cells=choice.table)
        if done is not None:
            done(len(new))
        return len(new)

    def accept_above(self, score: float, done: Callable[[int], None] | None = None) -> int | None:
        """Accept what is offered with a score of at least `score` (see `accept`)."""
        scores = self.scores()
        return self.accept([int(one) for one in self._offered if scores[one] >= score], done)

    def reject(self, ids: Iterable[int] | None = None) -> int:
        """Do not offer proposals (None: all) any more, as one edit that can be undone; returns how many."""
        document, choice = None if self._shown is None else self._shown.document, self._choice
        if document is None or choice is None or self.run_id is None:
            return 0
        wanted = self._offered if ids is None else np.intersect1d(np.fromiter(ids, np.int64), self._offered)
        if not len(wanted):
            return 0
        stored = {key: list(value) for key, value in document.attributes.get("rejected", {}).items()}
        new = choice.selection.cells[wanted - 1].tolist()
        stored[self.run_id] = sorted({*stored.get(self.run_id, []), *new})
        name = f"Reject {len(wanted)} proposals"
        document.set_attribute(name, "rejected", stored)
        return len(wanted)

    def reject_below(self, score: float) -> int:
        """Reject what is offered with a score below `score`."""
        scores = self.scores()
        return self.reject([int(one) for one in self._offered if scores[one] < score])

    def apply_to_run(self) -> None:
        """Use the present thresholds for every image of the run (for exports and for images opened later)."""
        if self._shown is not None and self.run_id is not None:
            self._shown.project.runs.update(self.run_id, select=dataclasses.asdict(self.settings))
            self.note.emit(self.tr("These thresholds now hold for all images of this prediction."))


def choose_labels(path: Path, settings: SelectSettings, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Choose the cells of one stored set of proposals, as a label image of `shape`."""
    return fitted(Selector(Candidates.load(path)).select(settings).labels, shape)


def _details(error: Exception) -> str:
    """What is of use for a report: nothing where the sentence says it all."""
    if isinstance(error, CellSeg1Error):
        return ""
    return "".join(traceback.format_exception(error))


def _try(
    selector: Selector, settings: SelectSettings, shape: tuple[int, int], drawn: NDArray[np.bool_] | None
) -> Choice | Exception:
    try:
        return choose(selector, settings, shape, drawn)
    except Exception as error:  # noqa: BLE001 - whatever it was: the next move of a slider must find nothing running
        return error
