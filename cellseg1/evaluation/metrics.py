"""Scores of a segmentation: AP, precision, recall, F1, PQ, SEG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import SettingsError
from cellseg1.evaluation.matching import OverlapTable, count_matches, match_at, overlap_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: IoU 0.50 to 0.95 in steps of 0.05.
DEFAULT_THRESHOLDS: tuple[float, ...] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of one pair of label images; all lie in 0..1, and all are 1 when neither holds an object.

    Attributes
    ----------
    thresholds
        The T IoU thresholds of `ap`, `tp`, `fp` and `fn`.
    ap
        (T,) TP / (TP + FP + FN), the average precision of Cellpose and StarDist.
    tp, fp, fn
        (T,) matched, invented and missed objects.
    precision, recall, f1
        TP / (TP + FP), TP / (TP + FN) and their harmonic mean at an IoU of 0.5, whatever the thresholds.
    pq, sq, rq
        Panoptic quality (Kirillov et al. 2019) = segmentation quality (mean IoU of matched pairs) x recognition
        quality; a pair is matched when its IoU is *greater* than 0.5.
    seg
        SEG of the Cell Tracking Challenge (Maška et al. 2014): mean over true objects of the IoU with the object
        that covers more than half of it, else 0.  It does not see invented objects; with no true object it is 0.
    """

    thresholds: tuple[float, ...]
    ap: NDArray[np.float64]
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    precision: float
    recall: float
    f1: float
    pq: float
    sq: float
    rq: float
    seg: float


def check_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    """Return them as floats.

    Raises
    ------
    SettingsError
        When there is none, or one does not lie in (0, 1].
    """
    values = tuple(float(value) for value in thresholds)
    if not values or not all(0 < value <= 1 for value in values):
        raise SettingsError(f"IoU thresholds must be greater than 0 and at most 1, not {values}.")
    return values


def score_table(table: OverlapTable, thresholds: Sequence[float] = DEFAULT_THRESHOLDS) -> Scores:
    """Compute all scores from an overlap table.

    Raises
    ------
    SettingsError
        As `check_thresholds`.
    """
    levels = check_thresholds(thresholds)
    n_true, n_pred = len(table.true.ids), len(table.pred.ids)
    tp = count_matches(table, levels)
    fp, fn = n_pred - tp, n_true - tp
    at_half = int(count_matches(table, (0.5,))[0])
    matched = match_at(table, float(np.nextafter(0.5, 1)))[2]
    sq = float(matched.mean()) if len(matched) else float(n_true + n_pred == 0)
    rq = _ratio(2 * len(matched), n_true + n_pred)
    return Scores(
        thresholds=levels,
        ap=np.array([_ratio(int(a), int(a + b + c)) for a, b, c in zip(tp, fp, fn, strict=True)]),
        tp=tp,
        fp=fp,
        fn=fn,
        precision=_ratio(at_half, n_pred, n_true),
        recall=_ratio(at_half, n_true, n_pred),
        f1=_ratio(2 * at_half, n_true + n_pred),
        pq=sq * rq,
        sq=sq,
        rq=rq,
        seg=_seg(table),
    )


def average_precision(
    true: NDArray[Any], pred: NDArray[Any], thresholds: Sequence[float] = DEFAULT_THRESHOLDS
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return AP, TP, FP and FN, (T,) each, of two (H, W) label images; see `Scores`.

    Raises
    ------
    MaskError
        As `overlap_table`.
    SettingsError
        As `check_thresholds`.
    """
    levels = check_thresholds(thresholds)
    scores = score_table(overlap_table(true, pred), levels)
    return scores.ap, scores.tp, scores.fp, scores.fn


def _ratio(part: int, whole: int, other: int = 0) -> float:
    """Return the ratio; where it is undefined, 1 when there are no objects at all, else 0."""
    return part / whole if whole else float(other == 0)


def _seg(table: OverlapTable) -> float:
    n_true = len(table.true.ids)
    if not n_true:
        return float(len(table.pred.ids) == 0)
    covers = 2 * table.pixels > table.true.area[table.row]
    return float(table.iou[covers].sum() / n_true)
