"""Edits of label images: pixels, protection, and the box of the change."""

from __future__ import annotations

import numpy as np
import pytest

from cellseg1.errors import MaskError
from cellseg1.masks import box_of, clean, delete, erase, fill_holes, merge, paint, split, union

H, W = 40, 61


def blank() -> np.ndarray:
    return np.zeros((H, W), np.int32)


def disk(y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:H, :W]
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


def check_box(before: np.ndarray, after: np.ndarray, box: object) -> None:
    assert box == box_of(before != after)


def test_box_and_union() -> None:
    assert box_of(np.zeros((4, 5), bool)) is None
    one = np.zeros((4, 5), bool)
    one[1:3, 2:5] = True
    assert box_of(one) == (1, 2, 3, 5)
    assert box_of(one, (10, 20)) == (11, 22, 13, 25)
    assert union([None, (1, 2, 3, 4), (0, 3, 2, 9)]) == (0, 2, 3, 9)
    assert union([None]) is None


def test_paint_protects_other_cells() -> None:
    labels = blank()
    labels[disk(20, 20, 8)] = 1
    before = labels.copy()
    box = paint(labels, disk(20, 30, 8), 2)
    check_box(before, labels, box)
    assert ((labels == 1) == (before == 1)).all()
    assert ((labels == 2) == (disk(20, 30, 8) & (before == 0))).all()
    again = labels.copy()
    assert paint(labels, disk(20, 30, 8), 2) is None
    box = paint(labels, disk(20, 30, 8), 2, protect=False)
    check_box(again, labels, box)
    assert (labels[disk(20, 30, 8)] == 2).all()
    with pytest.raises(MaskError, match="from 1"):
        paint(labels, disk(1, 1, 1), 0)


def test_paint_in_a_box_that_hangs_over_the_edge() -> None:
    labels = blank()
    box = paint(labels, ((-3, 55, 4, 70), np.ones((7, 15), bool)), 3)
    assert box == (0, 55, 4, 61)
    assert (labels[0:4, 55:61] == 3).all()
    assert labels.sum() == 3 * 24
    assert paint(labels, ((-9, -9, -2, -2), np.ones((7, 7), bool)), 3) is None
    assert paint(labels, ((50, 70, 52, 72), np.ones((2, 2), bool)), 3) is None
    with pytest.raises(MaskError, match="does not fit"):
        paint(labels, np.ones((5, 5), bool), 3)


def test_erase_all_or_one() -> None:
    labels = blank()
    labels[:, :30], labels[:, 30:] = 1, 2
    before = labels.copy()
    check_box(before, labels, erase(labels, disk(20, 30, 5), 2))
    assert (labels[:, :30] == 1).all()
    assert (labels[disk(20, 30, 5) & (before == 2)] == 0).all()
    erase(labels, disk(20, 30, 5))
    assert not labels[disk(20, 30, 5)].any()
    assert erase(labels, disk(20, 30, 5)) is None


def test_delete_and_merge() -> None:
    labels = blank()
    for i in range(5):
        labels[3:9, 2 + 10 * i : 8 + 10 * i] = i + 1
    before = labels.copy()
    check_box(before, labels, delete(labels, [2, 4, 99, 0]))
    assert np.unique(labels).tolist() == [0, 1, 3, 5]
    before = labels.copy()
    check_box(before, labels, merge(labels, [5, 1]))
    assert np.unique(labels).tolist() == [0, 3, 5]
    assert (labels[before == 1] == 5).all()
    assert merge(labels, [5]) is None
    with pytest.raises(MaskError, match="Cannot merge"):
        merge(labels, [0, 3])
    assert delete(labels, [77]) is None


@pytest.mark.parametrize("line", [[(30, 0), (30, 39)], [(10, 0), (50, 39)], [(31.4, -5), (28, 20), (33, 60)]])
def test_split_divides_and_loses_no_pixel(line: list[tuple[float, float]]) -> None:
    labels = blank()
    cell = disk(20, 30, 12)
    labels[cell] = 4
    labels[:, 50:] = 9
    before = labels.copy()
    box, new = split(labels, 4, line)
    assert new == [10]
    check_box(before, labels, box)
    assert ((labels == 4) | (labels == 10))[cell].all()
    assert ((labels == 9) == (before == 9)).all()
    first, second = (labels == 4).sum(), (labels == 10).sum()
    assert first >= second > 0.3 * cell.sum()


def test_split_by_a_line_that_crosses_twice_and_one_that_does_not() -> None:
    labels = blank()
    labels[10:30, 10:50] = 1
    zigzag = [(20, 5), (20, 35), (40, 35), (40, 5)]
    _, new = split(labels, 1, zigzag)
    assert new == [2, 3]
    assert np.bincount(labels.ravel())[1:].tolist() == sorted(np.bincount(labels.ravel())[1:], reverse=True)
    before = labels.copy()
    assert split(labels, 1, [(0, 0), (60, 2)]) == (None, [])  # beside the cell
    assert split(labels, 1, [(20, 0), (20, 12)])[0] is None  # ends inside
    assert split(labels, 8, zigzag) == (None, [])
    assert split(labels, 1, [(20, 5)]) == (None, [])
    np.testing.assert_array_equal(labels, before)


def test_split_leaves_pieces_alone_that_the_line_does_not_touch() -> None:
    labels = blank()
    labels[5:15, 5:25] = 1
    labels[25:35, 5:25] = 1
    _, new = split(labels, 1, [(14, 0), (14, 20)])
    assert new == [2]
    assert (labels[25:35, 5:25] == 1).all()


def test_fill_holes_keeps_cells_inside() -> None:
    labels = blank()
    ring = disk(20, 30, 12) & ~disk(20, 30, 8)
    labels[ring] = 1
    labels[disk(20, 30, 3)] = 2
    labels[0:5, 0:5] = 3
    labels[2, 2] = 0
    before = labels.copy()
    box = fill_holes(labels, 1)
    check_box(before, labels, box)
    assert (labels[disk(20, 30, 3)] == 2).all()
    assert ((labels == 1) == (disk(20, 30, 12) & ~disk(20, 30, 3))).all()
    assert labels[2, 2] == 0
    assert fill_holes(labels) == (2, 2, 3, 3)
    assert fill_holes(labels) is None


def test_clean_keeps_the_largest_4_connected_piece() -> None:
    labels = blank()
    labels[5:15, 5:25] = 1
    labels[15, 25] = 1  # touches only at a corner
    labels[30:33, 40:43] = 1
    labels[35:37, 5:7] = 2
    before = labels.copy()
    check_box(before, labels, clean(labels, 1))
    assert (labels == 1).sum() == 200
    assert (labels == 2).sum() == 4
    assert clean(labels) is None


def test_clean_drops_small_islands_only() -> None:
    labels = blank()
    labels[5:15, 5:25] = 1
    labels[30:35, 40:45] = 1
    labels[20, 20] = 1
    labels[38, 2:5] = 7
    clean(labels, min_island=10, keep_largest=False)
    assert (labels == 1).sum() == 225
    assert not (labels == 7).any()


def test_clean_smooths_without_taking_from_neighbours() -> None:
    labels = blank()
    body = disk(20, 25, 10)
    labels[body] = 1
    labels[20, 36:45] = 1  # a hair
    labels[30, 24:27] = 0
    labels[28:31, 25] = 0  # a notch
    labels[0:40, 46:] = 2
    before = labels.copy()
    check_box(before, labels, clean(labels, 1, smooth=2))
    assert not (labels[20, 39:45] == 1).any()
    assert (labels[28, 25]) == 1
    assert ((labels == 2) == (before == 2)).all()
    assert abs(int((labels == 1).sum()) - int(body.sum())) < 12
    thin = blank()
    thin[20, 5:40] = 1
    assert clean(thin, smooth=3) is None  # it would vanish


def test_smoothing_does_not_shrink_cells_at_the_image_border() -> None:
    labels = blank()
    labels[:20, :30] = 1
    clean(labels, smooth=3)
    assert (labels[0, :25] == 1).all()
    assert (labels[:15, 0] == 1).all()
