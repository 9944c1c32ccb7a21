"""Content of the figures: rows of a results table in the form that each figure needs, without drawing."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cellseg1.errors import CellSeg1Error
from cellseg1.paper.data_sets import DATA_SETS, FIVE, TISSUES
from cellseg1.paper.runs import BACKBONES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from cellseg1.paper.facts import Scores
    from cellseg1.paper.table import Row


class NothingToDrawError(CellSeg1Error, LookupError):
    """A figure needs images that were not given; the message says which."""


@dataclass(frozen=True, slots=True)
class Content:
    """The sources of all figures.

    Attributes
    ----------
    rows
        Of the results table.
    data
        Folder of the prepared data sets, for figures that show images.
    predictions
        Folder with a folder of label images per data set, named like it.
    nms
        Folder with ``image``, ``box`` and ``mask`` (pictures of any format): one image, and its cells after suppression
        by boxes and by masks.
    """

    rows: Sequence[Row] = field(default=())
    data: Path | None = None
    predictions: Path | None = None
    nms: Path | None = None


def variant(row: Row) -> str:
    """Return the label of a row's method: ``ours: paper, vit_h``."""
    whose = "ours" if row.method_name == "cellseg1" else f"ours, {row.method_name}"
    return ": ".join([whose, *filter(None, [", ".join(filter(None, (row.recipe, row.vit_name)))])])


def main_rows(rows: Iterable[Row]) -> list[Row]:
    """Return one row per training image, test set and variant: that of the longest training and largest batch.

    Of several seeds, the lowest counts.
    """

    def rank(row: Row) -> tuple[int, int, int]:
        return (row.epoch_max or 0, row.batch_size or 0, -(row.seed or 0))

    best: dict[tuple[object, ...], Row] = {}
    for row in rows:
        key = (variant(row), row.train_set, row.test_set, row.train_id, row.train_num)
        if key not in best or rank(row) > rank(best[key]):
            best[key] = row
    return list(best.values())


def same_set(rows: Iterable[Row]) -> list[Row]:
    """Return the main rows whose training and test set are the same."""
    return [row for row in main_rows(rows) if row.train_set == row.test_set]


def one_image_rows(rows: Iterable[Row], short: str) -> dict[str, list[Row]]:
    """Return the runs of a data set on a single training image, by variant, in the order of the images."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in same_set(rows):
        if row.train_set == short and row.train_num == 1 and row.train_id:
            found[variant(row)].append(row)
    return {label: sorted(some, key=lambda row: row.train_id or ()) for label, some in sorted(found.items())}


def best_of_each_set(rows: Sequence[Row]) -> Scores:
    """Figure 1a: the best training image of each of the five sets."""
    return _collect(FIVE, lambda short: one_image_rows(rows, short), max)


def _collect(
    shorts: Iterable[str], found: Callable[[str], dict[str, list[Row]]], one: Callable[[list[float]], float]
) -> Scores:
    scores: Scores = defaultdict(dict)
    for short in shorts:
        for label, some in found(short).items():
            scores[label][short] = one([row.ap for row in some])
    return dict(scores)


def across(rows: Iterable[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """Figure 5c: scores by variant, training group and test group, where a variant was tested across groups."""
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in main_rows(rows):
        if row.train_set in TISSUES and row.test_set in TISSUES and row.train_num == 1:
            found[variant(row)][row.train_set][row.test_set] = row.ap
    return {
        label: {short: matrix[short] for short in TISSUES if short in matrix}
        for label, matrix in sorted(found.items())
        if any(set(tested) - {short} for short, tested in matrix.items())
    }


def on_other_tissues(rows: Iterable[Row]) -> Scores:
    """Figure 1b: for each group of TissueNet the mean over the other groups."""
    scores: Scores = defaultdict(dict)
    for label, matrix in across(rows).items():
        for short, tested in matrix.items():
            others = [value for other, value in tested.items() if other != short]
            if others:
                scores[label][short] = statistics.fmean(others)
    return dict(scores)


def on_same_tissue(rows: Iterable[Row]) -> Scores:
    """Figure 5a: for each group of TissueNet the score on its own test images."""
    scores: Scores = defaultdict(dict)
    for row in sorted(same_set(rows), key=variant):
        if row.train_set in TISSUES and row.train_num == 1:
            scores[variant(row)][row.test_set] = row.ap
    return dict(scores)


def of_generalist(rows: Iterable[Row]) -> Scores:
    """Figures 4b and 5b: the model of all images of CPG on every set."""
    scores: Scores = defaultdict(dict)
    for row in sorted(main_rows(rows), key=variant):
        if row.train_set == "CPG" and row.train_num != 1:
            scores[variant(row)][row.test_set] = row.ap
    return dict(scores)


def by_number(rows: Sequence[Row], short: str) -> dict[str, dict[int, float]]:
    """Figure 4a: scores by variant and number of training images; with one image the median over the images."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for label, some in one_image_rows(rows, short).items():
        found[label][1] = statistics.median(row.ap for row in some)
    published = DATA_SETS[short].published
    for row in same_set(rows):
        if row.train_set == short and row.train_num != 1:
            number = row.train_num if row.train_num is not None else (published[0] if published else None)
            if number is not None:
                found[variant(row)][number] = row.ap
    return {label: dict(sorted(numbers.items())) for label, numbers in sorted(found.items())}


def mean_by_step(numbers: dict[str, dict[int, float]]) -> dict[str, float]:
    """Figure 4b: the mean over data sets at 1, 5, 10 and all training images, where every set has a score.

    Parameters
    ----------
    numbers
        Scores by data set and number of training images.
    """
    steps: dict[str, list[float]] = defaultdict(list)
    for values in numbers.values():
        for number, value in values.items():
            steps[str(number) if number in (1, 5, 10) else "all"].append(value)
    return {step: statistics.fmean(steps[step]) for step in STEPS if len(steps[step]) == len(FIVE)}


#: Numbers of training images of figure 4b.
STEPS = ("1", "5", "10", "all")


def by_backbone(rows: Iterable[Row]) -> dict[str, Scores]:
    """Extended figure 4: scores by recipe, backbone and set, on training images that several backbones share."""
    shared: dict[tuple[str, str, object], list[Row]] = defaultdict(list)
    for row in same_set(rows):
        if row.train_set in FIVE and row.train_num == 1 and row.vit_name and row.method_name == "cellseg1":
            shared[row.recipe, row.train_set, row.train_id].append(row)
    found: dict[str, Scores] = defaultdict(lambda: defaultdict(dict))
    for (recipe, short, _), some in shared.items():
        if len(some) > 1:
            for row in some:
                found[recipe][row.vit_name][short] = row.ap
    order = {name: place for place, name in enumerate(BACKBONES)}
    return {
        recipe: dict(sorted(scores.items(), key=lambda one: (order.get(one[0], -1), one[0])))
        for recipe, scores in sorted(found.items())
    }


def by_batch(rows: Iterable[Row], column: str) -> dict[str, dict[str, dict[int, float]]]:
    """Extended figure 5: one column by variant, set and batch size, on images that several batch sizes share."""
    shared: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.train_set == row.test_set and row.train_set in FIVE and row.train_num == 1 and row.batch_size:
            shared[variant(row), row.train_set, row.train_id, row.epoch_max, row.seed].append(row)
    found: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for some in shared.values():
        if len({row.batch_size for row in some}) > 1:
            for row in some:
                value = getattr(row, column)
                if value is not None and row.batch_size is not None:
                    found[variant(row)][row.train_set][row.batch_size] = float(value)
    return {label: dict(sets) for label, sets in sorted(found.items())}
