"""The list of mistakes: what was missed, invented, split or merged, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellseg1.evaluation.matching import Objects, OverlapTable, match_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Kind = Literal["missed", "invented", "split", "merged"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake, enough to list it and to show it.

    Attributes
    ----------
    kind
        ``missed``: a true object without a match; ``invented``: a predicted one without; ``split``: one true object
        that holds at least half of each of several predicted ones; ``merged``: one predicted object that holds at
        least half of each of several true ones.  What takes part in a split or merge is not listed again as missed
        or invented.
    true_ids, pred_ids
        The labels that take part; for ``missed`` and ``invented`` also the best overlapping object of the other
        image, if any.
    centroid
        (y, x) in pixels, the mean of the pixel coordinates of the object the mistake is about: the true one, or for
        ``invented`` and ``merged`` the predicted one.
    box
        (y0, x0, y1, x1) of that object, the maximum corner exclusive.
    iou
        The best IoU of that object with any of the other image, 0..1.
    overlap
        The share of that object, 0..1, that the listed objects of the other image cover together.
    """

    kind: Kind
    true_ids: tuple[int, ...]
    pred_ids: tuple[int, ...]
    centroid: tuple[float, float]
    box: tuple[int, int, int, int]
    iou: float
    overlap: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "kind": self.kind,
            "true_ids": list(self.true_ids),
            "pred_ids": list(self.pred_ids),
            "centroid": list(self.centroid),
            "box": list(self.box),
            "iou": self.iou,
            "overlap": self.overlap,
        }


def find_mistakes(table: OverlapTable, threshold: float = 0.5) -> list[Mistake]:
    """List the mistakes at one IoU threshold: merges, splits, missed, invented, each by label.

    An object matched well enough can still be a split (a fragment lies beside the match) or a merge.
    """
    row, column, _ = match_at(table, threshold)
    n_true, n_pred = len(table.true.ids), len(table.pred.ids)
    # Half or more of the other object lies inside this one.
    holds_pred = 2 * table.pixels >= table.pred.area[table.column]
    holds_true = 2 * table.pixels >= table.true.area[table.row]
    split = np.bincount(table.row[holds_pred], minlength=n_true) >= 2
    merged = np.bincount(table.column[holds_true], minlength=n_pred) >= 2
    true_done, pred_done = split.copy(), merged.copy()
    true_done[row] = pred_done[column] = True
    true_done[table.row[holds_true & merged[table.column]]] = True
    pred_done[table.column[holds_pred & split[table.row]]] = True
    order = np.argsort(table.column, kind="stable")
    truth = _Side(table.true, table.pred.ids, table.row, table.column, table)
    guess = _Side(table.pred, table.true.ids, table.column[order], table.row[order], table, order)
    found = [guess.mistake("merged", i, holds_true) for i in np.flatnonzero(merged).tolist()]
    found += [truth.mistake("split", i, holds_pred) for i in np.flatnonzero(split).tolist()]
    found += [truth.mistake("missed", i) for i in np.flatnonzero(~true_done).tolist()]
    found += [guess.mistake("invented", i) for i in np.flatnonzero(~pred_done).tolist()]
    return found


class _Side:
    """The overlap table read from one side: for each own object its partners in the other image."""

    def __init__(
        self,
        objects: Objects,
        other_ids: NDArray[np.int64],
        own: NDArray[np.int64],
        other: NDArray[np.int64],
        table: OverlapTable,
        order: NDArray[np.int64] | None = None,
    ) -> None:
        self._objects = objects
        self._other_ids = other_ids
        self._other = other
        self._order = np.arange(len(own)) if order is None else order
        self._table = table
        self._begin = np.searchsorted(own, np.arange(len(objects.ids) + 1))
        self._boxes: list[tuple[slice, slice]] | None = None

    def _place(self, index: int) -> tuple[tuple[float, float], tuple[int, int, int, int]]:
        """Return centroid (y, x) and box (y0, x0, y1, x1) of object `index`."""
        if self._boxes is None:
            from scipy import ndimage

            self._boxes = ndimage.find_objects(self._objects.index, max_label=len(self._objects.ids))
        rows, columns = self._boxes[index]
        y, x = np.nonzero(self._objects.index[rows, columns] == index + 1)
        centroid = (rows.start + float(y.mean()), columns.start + float(x.mean()))
        return centroid, (rows.start, columns.start, rows.stop, columns.stop)

    def mistake(self, kind: Kind, index: int, chosen: NDArray[np.bool_] | None = None) -> Mistake:
        """Describe object `index`; its partners are those of the pairs `chosen` (P,), else the best one."""
        begin, end = self._begin[index], self._begin[index + 1]
        pairs, other = self._order[begin:end], self._other[begin:end]
        iou, pixels = self._table.iou[pairs], self._table.pixels[pairs]
        take = np.argsort(-iou, kind="stable")[:1] if chosen is None else np.flatnonzero(chosen[pairs])
        own_ids = (int(self._objects.ids[index]),)
        other_ids = _plain(self._other_ids[other[take]])
        true_first = kind in ("split", "missed")
        centroid, box = self._place(index)
        return Mistake(
            kind=kind,
            true_ids=own_ids if true_first else other_ids,
            pred_ids=other_ids if true_first else own_ids,
            centroid=centroid,
            box=box,
            iou=float(iou.max()) if len(iou) else 0.0,
            overlap=float(pixels[take].sum() / self._objects.area[index]),
        )


def _plain(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
