"""The proposals of the newest prediction for the shown plane: thresholds at once, accept and reject."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.annotation import operations
from app.canvas.layers import ProposalLayer
from cellseg1.images import resize_mask
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.select import Selection, Selector, SelectSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from app.annotation import Change
    from app.session import Session

#: What the sliders change; every other setting of the choice is the run's.
SLIDERS = ("pred_iou_thresh", "stability_score_thresh", "crop_nms_thresh", "min_cell_area", "max_cell_area")
#: A proposal of which more than this share is drawn already is not offered any more.
_TAKEN = 0.5


class Proposals(QObject):
    """Proposals of the shown plane.

    `changed` follows every new choice; `busy_changed` tells when a choice is being made.  Choosing runs in the
    session's background; while one is made, only the newest wish waits.
    """

    changed = Signal()
    busy_changed = Signal(bool)
    settings_changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.run_id: str | None = None
        self.settings = SelectSettings()
        self.selection: Selection | None = None
        self._selector: Selector | None = None
        self._labels: NDArray[np.int32] | None = None
        self._offered: NDArray[np.int64] = np.zeros(0, np.int64)
        self._generation = 0
        self._choosing = False
        self._again = False
        session.image_changed.connect(self.reload)
        session.project_changed.connect(self.reload)
        session.document_changed.connect(self._edited)

    # ---- loading

    def reload(self, run_id: str | None = None) -> None:
        """Load the newest prediction of the shown plane (or that of `run_id`)."""
        self._generation += 1
        generation = self._generation
        self._selector = self.selection = self._labels = self.run_id = None
        self._offered = np.zeros(0, np.int64)
        session = self._session
        self.changed.emit()
        if session.project is None or session.image_id is None or session.plane is None:
            return
        project = session.project
        if not isinstance(run_id, str):
            run = project.latest_prediction(session.image_id, session.z, session.t)
        else:
            run = next((one for one in project.runs if one.id == run_id), None)
        if run is None:
            return
        path = project.proposals_path(run.id, session.image_id, session.z, session.t)
        if not path.exists():
            return
        self.run_id = run.id
        self.settings = self._stored(run.fields.get("select", {}))
        self.settings_changed.emit()

        def load() -> Selector:
            return Selector(Candidates.load(path))

        def loaded(selector: Selector) -> None:
            if generation == self._generation:
                self._selector = selector
                self._choose()

        session.run(load, loaded, self.tr("Loading the proposals"))

    def _stored(self, values: Mapping[str, Any]) -> SelectSettings:
        known = {field.name for field in dataclasses.fields(SelectSettings)}
        return SelectSettings(**{key: value for key, value in values.items() if key in known})

    # ---- choosing

    def set_thresholds(self, **values: Any) -> None:
        """Change slider values (see `SLIDERS`) and choose again; `changed` follows."""
        self.settings = dataclasses.replace(self.settings, **values)
        self._choose()

    def _choose(self) -> None:
        if self._selector is None:
            return
        if self._choosing:
            self._again = True
            return
        self._choosing, self._again = True, False
        self.busy_changed.emit(True)
        selector, settings, generation = self._selector, self.settings, self._generation
        self._session.run(
            lambda: _try(selector, settings),
            lambda found: self._chosen(generation, found),
            self.tr("Choosing cells"),
        )

    def _chosen(self, generation: int, found: Selection | Exception) -> None:
        self._choosing = False
        self.busy_changed.emit(False)
        if isinstance(found, Exception):
            self._session.problem.emit(str(found), "")
        elif generation == self._generation and self._session.plane is not None:
            self.selection = found
            shape = self._session.plane.shape[:2]
            self._labels = found.labels
            if found.labels.shape != shape:
                self._labels = np.asarray(resize_mask(found.labels, (shape[0], shape[1])), np.int32)
            self._refresh()
        if self._again:
            self._choose()

    @property
    def busy(self) -> bool:
        """Whether a choice is being made."""
        return self._choosing

    # ---- what is offered

    def _edited(self, change: Change) -> None:
        if change.kind not in ("live", "cancel") and self._labels is not None:
            self._refresh()

    def _refresh(self) -> None:
        """Find which chosen proposals are neither drawn nor rejected."""
        assert self._labels is not None
        assert self.selection is not None
        document = self._session.document
        count = len(self.selection.cells)
        offered = np.ones(count + 1, bool)
        offered[0] = False
        if document is not None:
            drawn = document.labels > 0
            if drawn.any():
                area = np.bincount(self._labels.ravel(), minlength=count + 1)[: count + 1]
                taken = np.bincount(self._labels[drawn].ravel(), minlength=count + 1)[: count + 1]
                offered &= taken <= _TAKEN * np.maximum(area, 1)
            rejected = document.attributes.get("rejected", {}).get(self.run_id or "", [])
            if rejected:
                offered[1:] &= ~np.isin(self.selection.cells, np.asarray(rejected))
        self._offered = np.flatnonzero(offered)
        self.changed.emit()

    @property
    def offered(self) -> NDArray[np.int64]:
        """Ids (in `labels`) of the proposals that are neither drawn nor rejected, ascending."""
        return self._offered

    @property
    def labels(self) -> NDArray[np.int32] | None:
        """Label image (H, W) of all chosen proposals at the size of the shown plane."""
        return self._labels

    def scores(self) -> NDArray[np.float32]:
        """Score of every id of `labels`; index 0 is the background."""
        if self.selection is None:
            return np.zeros(1, np.float32)
        return np.concatenate([[np.float32(0)], self.selection.score])

    def layer(self) -> ProposalLayer | None:
        """Return what the canvas draws: only what is offered."""
        if self._labels is None or self.selection is None or not len(self._offered):
            return None
        keep = np.zeros(len(self.selection.cells) + 1, bool)
        keep[self._offered] = True
        return ProposalLayer(labels=np.where(keep[self._labels], self._labels, 0), score=self.scores())

    # ---- accept and reject

    def accept(self, ids: Iterable[int] | None = None) -> int:
        """Make proposals (None: all that are offered) into cells, as one edit; returns how many."""
        document = self._session.document
        if document is None or self._labels is None:
            return 0
        wanted = self._offered if ids is None else np.intersect1d(np.fromiter(ids, np.int64), self._offered)
        _step, new = operations.accept_proposals(document, self._labels, [int(one) for one in wanted])
        return len(new)

    def accept_above(self, score: float) -> int:
        """Accept what is offered with a score of at least `score`."""
        scores = self.scores()
        return self.accept([int(one) for one in self._offered if scores[one] >= score])

    def reject(self, ids: Iterable[int] | None = None) -> int:
        """Do not offer proposals (None: all) any more, as one edit that can be undone; returns how many."""
        document = self._session.document
        if document is None or self.selection is None or self.run_id is None:
            return 0
        wanted = self._offered if ids is None else np.intersect1d(np.fromiter(ids, np.int64), self._offered)
        if not len(wanted):
            return 0
        stored = {key: list(value) for key, value in document.attributes.get("rejected", {}).items()}
        new = {int(self.selection.cells[int(one) - 1]) for one in wanted}
        stored[self.run_id] = sorted({*stored.get(self.run_id, []), *new})
        name = self.tr("Reject {n} proposals").format(n=len(wanted))
        document.set_attribute(name, "rejected", stored)
        return len(wanted)

    def reject_below(self, score: float) -> int:
        """Reject what is offered with a score below `score`."""
        scores = self.scores()
        return self.reject([int(one) for one in self._offered if scores[one] < score])

    def apply_to_run(self) -> None:
        """Use the present thresholds for every image of the run (for exports and for images opened later)."""
        project = self._session.project
        if project is not None and self.run_id is not None:
            project.update_run(self.run_id, select=dataclasses.asdict(self.settings))
            self._session.note.emit(self.tr("These thresholds now hold for all images of this prediction."))


def choose_labels(path: Path, settings: SelectSettings, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Choose the cells of one stored set of proposals, as a label image of `shape`."""
    labels = Selector(Candidates.load(path)).select(settings).labels
    return labels if labels.shape == shape else np.asarray(resize_mask(labels, shape), np.int32)


def _try(selector: Selector, settings: SelectSettings) -> Selection | Exception:
    try:
        return selector.select(settings)
    except (ValueError, MemoryError) as error:
        return error
