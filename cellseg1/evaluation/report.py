"""The result of an evaluation: per image and mean, as Python values, JSON or CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellseg1.errors import MaskError
from cellseg1.evaluation.matching import overlap_table
from cellseg1.evaluation.metrics import DEFAULT_THRESHOLDS, check_thresholds, score_table
from cellseg1.evaluation.mistakes import Mistake, find_mistakes
from cellseg1.files import write_bytes
from cellseg1.tables import csv_bytes
from cellseg1.text import json_text


@dataclass(frozen=True, slots=True)
class ImageScore:
    """The scores of one image; for their meaning see `cellseg1.evaluation.metrics.Scores`.

    Attributes
    ----------
    ap
        IoU threshold -> TP / (TP + FP + FN).
    n_true, n_pred
        Number of true and predicted objects.
    mistakes
        What went wrong at an IoU of 0.5.
    """

    name: str
    ap: dict[float, float]
    precision: float
    recall: float
    f1: float
    pq: float
    sq: float
    rq: float
    seg: float
    n_true: int
    n_pred: int
    mistakes: tuple[Mistake, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: name, ap, pq, n_true, n_pred, mistakes."""
        return {
            "name": self.name,
            "ap": _named(self.ap),
            "pq": self.pq,
            "n_true": self.n_true,
            "n_pred": self.n_pred,
            "mistakes": [mistake.to_dict() for mistake in self.mistakes],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The scores of several images and their means; every image counts the same, as in the published results.

    At least one image; all with the same thresholds.
    """

    images: tuple[ImageScore, ...]
    thresholds: tuple[float, ...] = field(default=DEFAULT_THRESHOLDS)

    def __post_init__(self) -> None:
        """Refuse an empty report: its means would not exist (MaskError)."""
        if not self.images:
            raise MaskError("There is nothing to evaluate: no pair of a true and a predicted mask was given.")

    @property
    def ap(self) -> dict[float, float]:
        """Mean AP at each IoU threshold."""
        return {level: float(np.mean([image.ap[level] for image in self.images])) for level in self.thresholds}

    @property
    def precision(self) -> float:
        """Mean precision at IoU 0.5."""
        return self._mean(lambda image: image.precision)

    @property
    def recall(self) -> float:
        """Mean recall at IoU 0.5."""
        return self._mean(lambda image: image.recall)

    @property
    def f1(self) -> float:
        """Mean F1 at IoU 0.5."""
        return self._mean(lambda image: image.f1)

    @property
    def pq(self) -> float:
        """Mean panoptic quality."""
        return self._mean(lambda image: image.pq)

    @property
    def seg(self) -> float:
        """Mean SEG."""
        return self._mean(lambda image: image.seg)

    def _mean(self, value: Callable[[ImageScore], float]) -> float:
        return float(np.mean([value(image) for image in self.images]))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; never NaN."""
        return {
            "ap": _named(self.ap),
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "pq": self.pq,
            "seg": self.seg,
            "images": [image.to_dict() for image in self.images],
        }

    def to_json(self, path: Path) -> None:
        """Write `to_dict` to `path` as UTF-8 JSON, in one step.

        Raises
        ------
        OutputError
            When the file cannot be written.
        """
        write_bytes(Path(path), (json_text(self.to_dict(), indent=2) + "\n").encode())

    def to_csv(self, path: Path) -> None:
        """Write one row per image and a last one, ``mean``, to `path` as UTF-8 CSV, in one step.

        Raises
        ------
        OutputError
            When the file cannot be written.
        """
        single = ("precision", "recall", "f1", "pq", "seg")
        rows: list[list[Any]] = [
            ["name", *(f"ap_{_name(level)}" for level in self.thresholds), *single, "n_true", "n_pred"]
        ]
        for image in self.images:
            ap = [image.ap[level] for level in self.thresholds]
            rows.append([image.name, *ap, *(getattr(image, key) for key in single), image.n_true, image.n_pred])
        total = [sum(image.n_true for image in self.images), sum(image.n_pred for image in self.images)]
        count = len(self.images)
        means = [*self.ap.values(), *(getattr(self, key) for key in single), *(value / count for value in total)]
        rows.append(["mean", *means])
        write_bytes(Path(path), csv_bytes(rows))


def evaluate_labels(
    true: NDArray[Any],
    pred: NDArray[Any],
    thresholds: Sequence[float] = DEFAULT_THRESHOLDS,
    *,
    name: str = "",
    resize_true: bool = False,
) -> ImageScore:
    """Compare two label images.

    Parameters
    ----------
    true, pred
        (H, W) of any integer type, 0 is background; gaps in the numbers do not matter.
    thresholds
        IoU thresholds of the AP, in (0, 1].
    name
        What to call the image in the report.
    resize_true
        Bring `true` to the shape of `pred` (nearest exact) instead of refusing another shape.

    Raises
    ------
    MaskError
        When the shapes differ or an array is not a label image.
    SettingsError
        When a threshold is out of its range.
    """
    levels = check_thresholds(thresholds)
    table = overlap_table(true, pred, resize_true=resize_true)
    scores = score_table(table, levels)
    return ImageScore(
        name=name,
        ap={level: float(value) for level, value in zip(levels, scores.ap, strict=True)},
        precision=scores.precision,
        recall=scores.recall,
        f1=scores.f1,
        pq=scores.pq,
        sq=scores.sq,
        rq=scores.rq,
        seg=scores.seg,
        n_true=len(table.true.ids),
        n_pred=len(table.pred.ids),
        mistakes=tuple(find_mistakes(table)),
    )


def evaluate_pairs(
    items: Iterable[tuple[str, NDArray[Any], NDArray[Any]]],
    thresholds: Sequence[float] = DEFAULT_THRESHOLDS,
    *,
    resize_true: bool = False,
) -> Report:
    """Compare many pairs (name, true, pred), one in memory at a time; see `evaluate_labels`.

    Raises
    ------
    MaskError
        As `evaluate_labels`, with the name of the image; also when there is no pair.
    SettingsError
        When a threshold is out of its range.
    """
    levels = check_thresholds(thresholds)
    images: list[ImageScore] = []
    for name, true, pred in items:
        try:
            images.append(evaluate_labels(true, pred, levels, name=name, resize_true=resize_true))
        except MaskError as error:
            raise MaskError(f"{name}: {error}") from error
    return Report(tuple(images), levels)


def _name(level: float) -> str:
    """Return ``0.50`` for 0.5; more digits only where two would not be the same number."""
    return f"{level:.2f}" if abs(round(level, 2) - level) < 1e-9 else f"{level:g}"


def _named(ap: dict[float, float]) -> dict[str, float]:
    return {_name(level): value for level, value in ap.items()}
