"""The published numbers, from the folder ``published`` (see its README)."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "published"

#: Label of a method, then data set, number of images or batch size, then the value.
Scores = dict[str, dict[str, float]]


@cache
def _table(name: str) -> tuple[dict[str, str], ...]:
    with (_FOLDER / name).open(encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(stream))


def scores(figure: str) -> Scores:
    """Return the scores of a figure by method and data set.

    Examples
    --------
    >>> scores("1a")["cellseg1"]["CPS"]
    0.9167
    """
    found: Scores = defaultdict(dict)
    for row in _table("scores.csv"):
        if row["figure"] == figure:
            found[row["method"]][row["set"]] = float(row["value"])
    return dict(found)


def series(figure: str) -> dict[str, dict[str, dict[int, float]]]:
    """Return the scores of a figure by method, data set, and number of images or batch size."""
    found: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in _table("scores.csv"):
        if row["figure"] == figure:
            found[row["method"]][row["set"]][int(row["x"])] = float(row["value"])
    return {method: dict(sets) for method, sets in found.items()}


def repeated(figure: str) -> dict[str, list[float]]:
    """Return repeated measurements by method."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in _table("scores.csv"):
        if row["figure"] == figure:
            found[row["method"]].append(float(row["value"]))
    return dict(found)


def one_image(data_set: str) -> dict[str, list[float]]:
    """Return the columns of a data set's table of single training images: ``train_id``, ``cells`` and the methods."""
    rows = [row for row in _table("one_image.csv") if row["set"] == data_set]
    return {name: [float(row[name]) for row in rows] for name in rows[0] if name != "set"}


def matrix() -> dict[str, dict[str, dict[str, float]]]:
    """Return the scores across the groups of TissueNet by method, training set and test set."""
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for row in _table("matrix.csv"):
        numbers = {name: float(value) for name, value in row.items() if name.startswith("TSN")}
        found[row["method"]][row["train_set"]] = numbers
    return dict(found)
