"""The scale that fits the image's own cells."""

import dataclasses

import numpy as np
import pytest

from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.own_scale import LIMIT, at_own_scale, densest_place
from cellseg1.prediction.select import SelectSettings, select

SHAPE = (120, 200)


def proposals(scale, size, count, score=0.9):
    """`count` square cells of `size` pixels, far from each other."""
    places = [(y, x) for y in range(0, 110 - size, size + 4) for x in range(0, 190 - size, size + 4)][:count]
    assert len(places) == count
    masks = [(np.ones((size, size), bool), (x, y)) for y, x in places]
    found = Candidates.from_masks(masks, SHAPE, score=[score] * count, stability=[0.9] * count)
    return dataclasses.replace(found, settings={"scale": scale})


def run(answers, scale=0.8, target=28.0, closer=None, farther=None):
    """Answer the looks one after the other; return the chosen scale and the scales that were tried."""
    tried, places = [], []

    def find(wanted, number, box):
        if number == 0 and tried and box is None:
            assert wanted == pytest.approx(scale / 3)
            return proposals(wanted, 0, 0) if farther is None else farther(wanted)
        if box is not None:
            assert wanted == pytest.approx(2 * tried[-1])
            assert len(tried) == 1
            places.append(box)
            return proposals(wanted, 0, 0) if closer is None else closer(wanted)
        tried.append(wanted)
        assert number == len(tried) - 1
        return answers[number](wanted)

    settings = SelectSettings(max_mask_region_area_ratio=0.9)
    found = at_own_scale(find, lambda one: select(one, settings), scale, target)
    assert len(places) <= 1
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


def test_groups_that_fall_into_smaller_cells_seen_closer_are_no_cells():
    """The groups have the very size that is wanted, so only the closer look can tell."""
    answers = [lambda s: proposals(s, 30, 8, score=0.5), lambda s: proposals(s, 12, 60)]
    scale = 28 / diameter(30)
    chosen, tried = run(answers, scale, closer=lambda s: proposals(s, 12, 60))
    assert tried == pytest.approx([scale, 28 / diameter(12)])
    assert chosen == tried[1]
    # Pieces that explain less of the place than the whole cells did are pieces.
    assert run(answers, scale, closer=lambda s: proposals(s, 12, 60, score=0.3))[1] == [scale]
    # The same cells, seen closer, change nothing.
    assert run(answers, scale, closer=lambda s: proposals(s, 28, 8))[1] == [scale]


def test_cells_too_large_to_be_seen_are_found_from_farther_away():
    """A prompt is decoded in a window that such cells fill: nothing, or bits of them, are found at first."""
    scale = 28 / diameter(10)
    found = [
        lambda s: proposals(s, 0, 0),
        lambda s: proposals(s, 10, 4),
        lambda s: proposals(s, 16, 5, score=0.5),
    ]
    for first in found:
        chosen, tried = run([first], scale, farther=lambda s: proposals(s, 30, 8))
        assert tried == [scale]
        assert chosen == pytest.approx(scale / 3)
        # A size between the two scales is looked at once more, at the scale that fits it.
        answers = [first, lambda s: proposals(s, 20, 12)]
        chosen, tried = run(answers, scale, farther=lambda s: proposals(s, 20, 12))
        assert tried == pytest.approx([scale, 28 / diameter(20)])
        assert chosen == tried[1]


def test_what_explains_hardly_more_from_farther_away_is_groups_of_cells():
    scale = 28 / diameter(10)
    large = [lambda s: proposals(s, 17, 12), lambda s: proposals(s, 17, 12)]
    chosen, tried = run(large, scale, farther=lambda s: proposals(s, 30, 5))
    assert tried == pytest.approx([scale, 28 / diameter(17)])
    assert chosen == tried[1]


def test_cells_that_are_seen_well_are_not_looked_at_from_farther_away():
    scale = 28 / diameter(30)

    def never(_scale):
        raise AssertionError

    assert run([lambda s: proposals(s, 30, 8)], scale, farther=never)[1] == [scale]
    assert run([lambda s: proposals(s, 14, 20)] * 2, scale, farther=never)[0] == pytest.approx(28 / diameter(14))


def test_stopping_in_the_look_from_farther_away_gives_none():
    assert run([lambda s: proposals(s, 0, 0)], farther=lambda _s: None)[0] is None


def test_stopping_in_the_closer_look_gives_none():
    assert run([lambda s: proposals(s, 30, 8)], closer=lambda _s: None)[0] is None


def test_densest_place_lies_in_the_image_around_the_most_proposals():
    one = np.ones((4, 4), bool)
    masks = [(one, (150 + 5 * i, 90)) for i in range(6)] + [(one, (10, 10))]
    found = Candidates.from_masks(
        masks,
        SHAPE,
        score=[0.9] * 7,
        stability=[0.9] * 7,
        point_xy=[(x + 2, y + 2) for _mask, (x, y) in masks],
    )
    top, left, bottom, right = densest_place(found, 60)
    assert (bottom - top, right - left) == (60, 60)
    assert top <= 90 < bottom
    assert left <= 150 < 175 < right
    assert 0 <= top < bottom <= SHAPE[0]
    assert 0 <= left < right <= SHAPE[1]
    assert densest_place(found, 500) == (0, 0, *SHAPE)
    assert densest_place(proposals(1, 0, 0), 60) is None
