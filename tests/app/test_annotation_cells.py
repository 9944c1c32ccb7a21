"""The table of cells and the runs of changed pixels, each against the slow and simple way."""

from __future__ import annotations

import numpy as np
import pytest

from app.annotation import CellTable, Document
from app.annotation.pixel_runs import PixelRuns, segments
from cellseg1.masks import box_of, median_cell_diameter


def simple_table(labels):
    return {
        cell: (int((labels == cell).sum()), box_of(labels == cell)) for cell in np.unique(labels[labels > 0]).tolist()
    }


def as_dict(table):
    return {cell: (table.area(cell), table.box(cell)) for cell in table.ids().tolist()}


def runs_between(before, after):
    return PixelRuns.gather([segments(before, after)])


def noise(seed, shape, ids, share=0.5):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.choice(np.array(ids, np.int32), shape), 0).astype(np.int32)


IDS = [1, 2, 65_535, 65_536, 70_001, 2**31 - 1]


@pytest.mark.parametrize("shape", [(7, 11), (300, 41), (1, 90), (90, 1), (513, 20)])
def test_a_table_of_a_whole_image(shape):
    labels = noise(0, shape, IDS, 0.02 if shape[0] > 100 else 0.4)
    table = CellTable.of(labels)
    assert as_dict(table) == simple_table(labels)
    assert CellTable.of(np.zeros(shape, np.int32)).boxes() == {}


@pytest.mark.parametrize("seed", range(4))
def test_a_table_follows_changes_both_ways(seed):
    rng = np.random.default_rng(seed)
    labels = noise(seed, (30, 47), IDS, 0.05)
    table = CellTable.of(labels)
    for _ in range(40):
        before = labels.copy()
        top, left = rng.integers(0, 28), rng.integers(0, 45)
        part = labels[top : top + rng.integers(1, 30), left : left + rng.integers(1, 40)]
        part[...] = noise(rng.integers(1000), part.shape, IDS[: rng.integers(1, 6)], rng.choice([0, 0.02, 0.5]))
        runs = runs_between(before, labels)
        table.update(labels, runs, forward=True)
        assert as_dict(table) == simple_table(labels)
        if rng.random() < 0.4:
            labels[...] = before
            table.update(labels, runs, forward=False)
            assert as_dict(table) == simple_table(labels)


def test_boxes_shrink_over_wide_gaps():
    labels = np.zeros((700, 900), np.int32)
    labels[[3, 3, 650, 650, 300], [5, 880, 4, 870, 400]] = 9
    document = Document(labels.shape, labels)
    for y, x, box in ((3, 5, (3, 4, 651, 881)), (3, 880, (300, 4, 651, 871)), (650, 4, (300, 400, 651, 871))):
        edit = document.begin("Erase")
        edit.erase(((y, x, y + 1, x + 1), np.ones((1, 1), bool)))
        edit.finish()
        assert document.cells.box(9) == box
    for _ in range(3):
        document.undo()
    assert document.cells.box(9) == (3, 4, 651, 881)


def test_what_a_table_answers():
    labels = np.zeros((20, 31), np.int32)
    labels[2:5, 3:9] = 4
    labels[10:20, 0:3] = 70_000
    table = CellTable.of(labels)
    assert len(table) == 2
    assert 4 in table
    assert np.int32(4) in table
    assert 5 not in table
    assert "4" not in table
    assert (table.area(5), table.box(5), table.area(0), table.box(-1)) == (0, None, 0, None)
    assert table.areas().tolist() == [18, 30]
    assert table.boxes() == {4: (2, 3, 5, 9), 70_000: (10, 0, 20, 3)}
    assert all(isinstance(number, int) for number in table.box(4))
    assert table.median_diameter() == pytest.approx(median_cell_diameter(labels))
    assert CellTable().median_diameter() == 0.0
    assert table.next_id() == 70_001
    assert CellTable().next_ids(3) == [1, 2, 3]
    labels[0, 0] = 2**31 - 2
    assert CellTable.of(labels).next_id() == 2**31 - 1
    labels[0, 1] = 2**31 - 1
    labels[0, 2] = 1
    assert CellTable.of(labels).next_ids(4) == [2, 3, 5, 6]


def test_ids_are_a_snapshot():
    document = Document((20, 31), np.ones((20, 31), np.uint8))
    ids = document.cells.ids()
    with pytest.raises(ValueError, match="read-only"):
        ids[0] = 3
    edit = document.begin("Paint")
    numbers = [edit.next_id(), edit.next_id()]
    for number in numbers:
        edit.paint(((number, 0, number + 1, 5), np.ones((1, 5), bool)), number, protect=False)
    # The table shows finished edits only.
    assert document.cells.ids().tolist() == [1]
    edit.finish()
    assert ids.tolist() == [1]
    assert document.cells.ids().tolist() == [1, *numbers] == [1, 2, 3]


@pytest.mark.parametrize(
    ("shape", "share"), [((40, 61), 0.5), ((40, 61), 0.01), ((1, 700), 0.3), ((700, 1), 0.3), ((260, 1500), 0.2)]
)
def test_runs_are_packed_and_written_back(shape, share):
    before = noise(1, shape, IDS, 0.5)
    after = np.where(np.random.default_rng(2).random(shape) < share, noise(3, shape, IDS, 0.6), before).astype(np.int32)
    runs = runs_between(before, after)
    assert int(runs.length.sum()) == int((before != after).sum())
    assert runs.box() == box_of(before != after)
    again = PixelRuns.unpack(runs.pack(), shape)
    for name in ("y", "x", "length", "old", "new"):
        assert np.array_equal(getattr(runs, name), getattr(again, name))
        assert getattr(runs, name).dtype == getattr(again, name).dtype
    assert again.found_in(before, again.old)
    assert again.found_in(after, again.new)
    assert not again.found_in(after, again.old)
    for write in (
        PixelRuns.write,
        PixelRuns._write_pixels,
        lambda runs, labels, ids: runs._write_bands(labels, ids, runs.box()),
    ):
        labels = before.copy()
        write(again, labels, again.new)
        assert np.array_equal(labels, after)
        write(again, labels, again.old)
        assert np.array_equal(labels, before)


def test_runs_that_were_cut_in_two_are_joined():
    before, after = np.zeros((4, 600), np.int32), np.zeros((4, 600), np.int32)
    after[1:3, 100:500] = 7
    parts = [segments(before[:, x : x + 256], after[:, x : x + 256], 0, x) for x in (0, 256, 512)]
    runs = PixelRuns.gather(parts)
    assert runs.x.tolist() == [100, 100]
    assert runs.length.tolist() == [400, 400]
    nothing = PixelRuns.gather([segments(before, before)])
    assert len(nothing) == 0
    assert nothing.box() is None
    nothing.write(before, nothing.new)


@pytest.mark.parametrize(
    ("column", "value"),
    [("y", -1), ("y", 40), ("x", -1), ("x", 61), ("length", 0), ("length", 99), ("old", -2), ("new", -1)],
)
def test_runs_outside_the_image_are_refused(column, value):
    columns = {"y": 3, "x": 5, "length": 7, "old": 1, "new": 2} | {column: value}
    kinds = dict.fromkeys(("y", "x", "length"), np.int64) | dict.fromkeys(("old", "new"), np.int32)
    runs = PixelRuns(**{name: np.array([columns[name]], kinds[name]) for name in columns})
    with pytest.raises(ValueError, match="outside"):
        PixelRuns.unpack(runs.pack(), (40, 61))


def test_cut_or_lengthened_bytes_are_refused():
    data = runs_between(np.zeros((40, 61), np.int32), noise(0, (40, 61), IDS)).pack()
    for cut in (0, 5, 16, 17, 30, len(data) - 1):
        with pytest.raises(ValueError, match=r"short|agree|outside"):
            PixelRuns.unpack(data[:cut], (40, 61))
    with pytest.raises(ValueError, match="agree"):
        PixelRuns.unpack(data + b"\0", (40, 61))
