"""The scale that fits the image's own cells."""

import dataclasses

import numpy as np
import pytest

from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.own_scale import LIMIT, at_own_scale
from cellseg1.prediction.select import SelectSettings, select

SHAPE = (120, 200)


def proposals(scale, size, count, score=0.9):
    """`count` square cells of `size` pixels, far from each other."""
    places = [(y, x) for y in range(0, 110 - size, size + 4) for x in range(0, 190 - size, size + 4)][:count]
    assert len(places) == count
    masks = [(np.ones((size, size), bool), (x, y)) for y, x in places]
    found = Candidates.from_masks(masks, SHAPE, score=[score] * count, stability=[0.9] * count)
    return dataclasses.replace(found, settings={"scale": scale})


def run(answers, scale=0.8, target=28.0):
    """Answer the looks one after the other; return the chosen scale and the scales that were tried."""
    tried = []

    def find(wanted, number):
        tried.append(wanted)
        assert number == len(tried) - 1
        return answers[number](wanted)

    settings = SelectSettings(max_mask_region_area_ratio=0.9)
    found = at_own_scale(find, lambda one: select(one, settings), scale, target)
    return (None if found is None else found.settings["scale"]), tried


def diameter(size):
    return 2 * size / np.sqrt(np.pi)


def test_cells_of_the_right_size_are_looked_at_once():
    chosen, tried = run([lambda s: proposals(s, 30, 8)], scale=28 / diameter(30) * 1.2)
    assert len(tried) == 1
    assert chosen == tried[0]


def test_smaller_cells_are_enlarged_until_they_fit():
    answers = [lambda s: proposals(s, 14, 20), lambda s: proposals(s, 10, 40), lambda s: proposals(s, 10, 40)]
    chosen, tried = run(answers)
    assert tried == pytest.approx([0.8, 28 / diameter(14), 28 / diameter(10)])
    assert chosen == tried[2]


def test_larger_cells_are_reduced():
    answers = [lambda s: proposals(s, 40, 6), lambda s: proposals(s, 40, 6)]
    chosen, tried = run(answers, scale=1.5)
    assert tried == pytest.approx([1.5, 28 / diameter(40)])
    assert chosen == tried[1]


def test_a_look_that_explains_less_is_thrown_away():
    answers = [lambda s: proposals(s, 12, 40), lambda s: proposals(s, 10, 6)]
    chosen, tried = run(answers)
    assert len(tried) == 2
    assert chosen == 0.8


def test_the_scale_changes_by_a_limited_factor():
    answers = [lambda s: proposals(s, 3, 200)] * 3
    _chosen, tried = run(answers, scale=0.5)
    assert max(tried) == 0.5 * LIMIT


def test_too_few_cells_change_nothing_and_stopping_gives_none():
    assert run([lambda s: proposals(s, 8, 4)])[0] == 0.8
    assert run([lambda s: proposals(s, 0, 0)])[0] == 0.8
    assert run([lambda _s: None])[0] is None
    assert run([lambda s: proposals(s, 14, 20), lambda _s: None])[0] is None
