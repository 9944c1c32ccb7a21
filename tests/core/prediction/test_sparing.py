"""The background is asked on a coarser grid."""

import numpy as np
import torch

from cellseg1.prediction.sparing import SparingPrompts
from cellseg1.sam.interface import Decoded

ROWS, COLUMNS, SPACING = 9, 14, 10


def grid(rows=ROWS, columns=COLUMNS):
    ys, xs = np.mgrid[:rows, :columns]
    return np.stack([xs.ravel() * SPACING + 4.5, ys.ravel() * SPACING + 4.5], 1)


def answer(scores):
    nothing = torch.zeros(0, dtype=torch.int64)
    return Decoded(torch.tensor(scores), nothing, torch.zeros((0, 4, 4)), torch.zeros((0, 2), dtype=torch.int64))


def test_only_the_neighbourhood_of_cells_is_asked_finely():
    prompts = grid()
    sparing = SparingPrompts(prompts)
    first = sparing.first()
    assert len(first) == ROWS * COLUMNS // 2
    cell = np.array([44.5, 24.5])  # row 2, column 4: a dark field
    scores = [0.9 if (prompts[one] == cell).all() else 0.001 for one in first]
    for start in range(0, len(first), 8):
        sparing.note(first[start : start + 8], answer(scores[start : start + 8]))
    rest = sparing.rest()
    assert sorted(map(tuple, prompts[rest])) == sorted(
        (44.5 + dx, 24.5 + dy) for dx, dy in ((-10, 0), (10, 0), (0, -10), (0, 10))
    )
    assert not len(sparing.rest())


def test_nothing_is_asked_twice_and_everything_where_cells_are_everywhere():
    sparing = SparingPrompts(grid())
    first = sparing.first()
    sparing.note(first, answer([0.5] * len(first)))
    rest = sparing.rest()
    assert sorted([*first, *rest]) == list(range(ROWS * COLUMNS))
    sparing.note(rest, answer([0.5] * len(rest)))
    assert not len(sparing.rest())


def test_small_views_are_asked_at_once_and_empty_ones_never():
    assert len(SparingPrompts(grid(2, 9)).first()) == 18
    empty = SparingPrompts(np.zeros((0, 2)))
    assert not len(empty.first())
    assert not len(empty.rest())
