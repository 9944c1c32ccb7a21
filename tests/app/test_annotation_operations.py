"""The tools: what they change, what they leave alone, and that each is one step with a name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from app.annotation import CellTable, Document, operations
from cellseg1 import masks
from cellseg1.errors import MaskError

SHAPE = (90, 151)


def rectangle(top, left, bottom, right):
    return (top, left, bottom, right), np.ones((bottom - top, right - left), bool)


def blobs(seed=0, shape=SHAPE, count=14, holes=True):
    """Round cells of all sizes that touch; with `holes` also pixels missing and lost pixels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for cell in range(1, count + 1):
        inside = (y - rng.uniform(0, shape[0])) ** 2 + (x - rng.uniform(0, shape[1])) ** 2 < rng.uniform(3, 16) ** 2
        labels[inside] = cell
        if holes:
            labels[inside & (rng.random(shape) < 0.05)] = 0
            labels[tuple(rng.integers(0, shape))] = cell
    return labels


def changed(document, step):
    """Check that there was one step, that undo takes it back, and redo does it again; return the box."""
    after = document.labels.copy()
    assert document.undo_name == step.name
    document.undo()
    box = masks.box_of(after != document.labels)
    document.redo()
    assert np.array_equal(after, document.labels)
    assert step.box == box
    return box


def test_new_cells_protect_others_unless_told():
    document = Document(SHAPE)
    step, cell = operations.new_cell(document, rectangle(10, 10, 20, 30))
    assert (step.name, step.box, cell) == ("New cell", (10, 10, 20, 30), 1)
    step, cell = operations.new_cell(document, rectangle(15, 20, 25, 40))
    assert cell == 2
    assert document.cells.area(1) == 200
    assert document.cells.area(2) == 200 - 50
    assert operations.new_cell(document, rectangle(11, 11, 19, 29)) == (None, 0)
    _, cell = operations.new_cell(document, rectangle(12, 12, 14, 14), protect=False)
    assert document.cells.area(1) == 196
    step = operations.add_to_cell(document, rectangle(10, 0, 25, 41), 1)
    assert step.name == "Add to cell"
    assert document.cells.area(2) == 150
    assert document.cells.area(3) == 4
    operations.add_to_cell(document, rectangle(0, 0, 90, 151), 1, protect=False)
    assert document.cells.ids().tolist() == [1]
    changed(document, operations.erase(document, rectangle(0, 0, 90, 20), cell=1))
    assert document.cells.box(1) == (0, 20, 90, 151)
    assert operations.erase(document, rectangle(0, 0, 90, 151), cell=2) is None


def test_unknown_cells_are_ignored():
    labels = blobs()
    document = Document(SHAPE, labels)
    gone = [0, -3, 99, 2**31 - 1]
    assert operations.add_to_cell(document, rectangle(0, 0, 9, 9), 99) is None
    assert operations.delete_cells(document, gone) is None
    assert operations.delete_cells(document, []) is None
    assert operations.merge_cells(document, [3, *gone, 3]) is None
    assert operations.merge_cells(document, []) is None
    for cell in gone:
        assert operations.split_cell(document, cell, [(0, 0), (150, 90)]) is None
        assert operations.fill_holes(document, cell) is None
        assert operations.clean_up(document, cell) is None
        assert operations.erase(document, rectangle(0, 0, 90, 151), cell) is None
    assert operations.accept_proposals(document, labels, gone) == (None, [])
    assert np.array_equal(document.labels, labels)
    assert not document.can_undo
    step = operations.delete_cells(document, [3, 99, 5, 3])
    assert step.name == "Delete 2 cells"
    assert np.array_equal(document.labels, np.where(np.isin(labels, [3, 5]), 0, labels))


def test_delete_and_merge():
    labels = blobs()
    document = Document(SHAPE, labels)
    step = operations.merge_cells(document, [9, 4, 77, 12])
    assert step.name == "Merge 3 cells"
    changed(document, step)
    assert np.array_equal(document.labels, np.where(np.isin(labels, [4, 12]), 9, labels))
    document.undo()
    operations.merge_cells(document, frozenset([12, 4, 9]))
    assert 4 in document.cells
    assert 9 not in document.cells
    assert operations.delete_cells(document, [np.int64(4)]).name == "Delete 1 cell"
    everything = document.cells.ids()
    assert operations.delete_cells(document, everything) is not None
    assert not document.labels.any()
    assert len(document.cells) == 0


def test_scattered_cells_are_deleted_too():
    # Every cell's box is the whole image.
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 40, (600, 1100)).astype(np.int32)
    document = Document(labels.shape, labels)
    operations.delete_cells(document, range(1, 31))
    assert np.array_equal(document.labels, np.where(labels <= 30, 0, labels))
    operations.merge_cells(document, range(31, 40))
    assert np.array_equal(document.labels, np.where(labels <= 30, 0, 31))


def test_split_cuts_along_the_drawn_line_and_gives_new_ids():
    document = Document(SHAPE)
    operations.import_labels(document, np.pad(np.full((20, 60), 70_000), ((30, 40), (40, 51))))
    operations.new_cell(document, rectangle(0, 0, 3, 3))
    step = operations.split_cell(document, 70_000, [(60.5, 10.0), (60.5, 70.0)])
    assert step.name == "Split cell"
    changed(document, step)
    assert document.cells.boxes() == {
        70_000: (30, 61, 50, 100),
        70_001: (0, 0, 3, 3),
        70_002: (30, 40, 50, 61),
    }
    document.undo()
    # The line must go through it.
    assert operations.split_cell(document, 70_000, [(60, 40), (90, 40)]) is None
    assert operations.split_cell(document, 70_000, [(60, 40)]) is None
    assert document.redo_count == 1


@pytest.mark.parametrize("seed", range(3))
def test_split_fill_and_clean_do_what_the_library_does(seed):
    labels = blobs(seed)
    line = [(5.5, 80.5), (70.5, 20.5), (140.5, 70.5)]
    for cell in np.unique(labels[labels > 0]).tolist():
        document, expected = Document(SHAPE, labels), labels.copy()
        masks.split(expected, cell, [(x - 0.5, y - 0.5) for x, y in line])
        operations.split_cell(document, cell, line)
        assert np.array_equal(document.labels, expected)
        for name, ours, theirs in (
            ("Fill holes", operations.fill_holes, masks.fill_holes),
            (
                "Clean up",
                lambda doc, cell: operations.clean_up(doc, cell, 2, 9, keep_largest=True),
                lambda labels, cell: masks.clean(labels, cell, smooth=2, min_island=9),
            ),
        ):
            document, expected = Document(SHAPE, labels), labels.copy()
            box = theirs(expected, cell)
            step = ours(document, cell)
            assert np.array_equal(document.labels, expected)
            assert (step is None) == (box is None)
            if step is not None:
                assert (step.name, changed(document, step)) == (name, masks.box_of(labels != expected))


@pytest.mark.parametrize("seed", range(3))
def test_all_cells_at_once(seed):
    labels = blobs(seed)
    document, expected = Document(SHAPE, labels), labels.copy()
    masks.fill_holes(expected)
    step = operations.fill_holes(document)
    assert np.array_equal(document.labels, expected)
    changed(document, step)
    masks.clean(expected, smooth=1, min_island=6, keep_largest=False)
    step = operations.clean_up(document, smooth=1, min_island=6)
    assert np.array_equal(document.labels, expected)
    changed(document, step)
    assert document.undo_count == 2


def test_lasso_takes_cells_that_lie_mostly_inside():
    document = Document(SHAPE)
    operations.new_cell(document, rectangle(10, 10, 20, 30))
    operations.new_cell(document, rectangle(40, 60, 50, 80))
    operations.new_cell(document, rectangle(60, 100, 70, 120))
    edit = document.begin("Large id")
    edit.paint(rectangle(10, 40, 20, 60), 900_000)
    edit.finish()

    def box(left, top, right, bottom):
        return [(left, top), (right, top), (right, bottom), (left, bottom)]

    assert operations.cells_in_lasso(document, box(0, 0, 151, 90)) == [1, 2, 3, 900_000]
    assert operations.cells_in_lasso(document, box(-50, -50, 500, 500)) == [1, 2, 3, 900_000]
    # Half is not most; a little more is.
    assert operations.cells_in_lasso(document, box(0, 0, 20, 90)) == []
    assert operations.cells_in_lasso(document, box(0, 0, 21, 90)) == [1]
    assert operations.cells_in_lasso(document, box(61, 0, 151, 90)) == [2, 3]
    assert operations.cells_in_lasso(document, [(0, 0), (9, 9)]) == []
    assert operations.cells_in_lasso(document, box(200, 200, 300, 300)) == []


def test_accepting_never_changes_drawn_cells():
    rng = np.random.default_rng(5)
    for round_ in range(6):
        drawn, proposals = blobs(round_, count=8), blobs(100 + round_, count=20)
        document = Document(SHAPE, drawn)
        share = float(rng.uniform(0, 1))
        wanted = None if round_ % 2 else [cell for cell in range(25) if cell % 3]
        step, new = operations.accept_proposals(document, proposals, wanted, min_new_share=share)
        assert np.array_equal(document.labels[drawn > 0], drawn[drawn > 0])
        expected, expected_new = drawn.copy(), []
        for cell in np.unique(proposals[proposals > 0]).tolist():
            if wanted is not None and cell not in wanted:
                continue
            at = proposals == cell
            free = at & (drawn == 0)
            if free.any() and free.sum() >= share * at.sum():
                expected_new.append(int(drawn.max()) + 1 + len(expected_new))
                expected[free] = expected_new[-1]
        assert np.array_equal(document.labels, expected)
        assert new == expected_new
        assert step.name == f"Accept {len(new)} cells"
        changed(document, step)
        # With the table of the proposals the answer is the same.
        again = Document(SHAPE, drawn)
        operations.accept_proposals(again, proposals, wanted, min_new_share=share, cells=CellTable.of(proposals))
        assert np.array_equal(again.labels, expected)


def test_accepting_checks_and_names():
    document = Document(SHAPE)
    proposals = np.zeros(SHAPE, np.uint8)
    proposals[5:9, 5:20] = 200
    step, new = operations.accept_proposals(document, proposals, [200])
    assert (step.name, new) == ("Accept 1 cell", [1])
    assert operations.accept_proposals(document, proposals) == (None, [])
    assert operations.accept_proposals(document, proposals, []) == (None, [])
    assert operations.accept_proposals(document, proposals, [200], cells=CellTable()) == (None, [])
    with pytest.raises(MaskError, match="shape"):
        operations.accept_proposals(document, proposals.T)
    assert document.undo_count == 1


def test_a_proposal_of_which_just_enough_is_new_is_accepted():
    proposals = np.zeros(SHAPE, np.int32)
    proposals[10:20, 10:30] = 1
    for columns, accepted in ((10, True), (11, False)):
        document = Document(SHAPE)
        operations.new_cell(document, rectangle(0, 0, 90, 10 + columns))
        assert operations.accept_proposals(document, proposals)[1] == ([2] if accepted else [])


def test_a_proposal_over_many_tiles_can_be_taken_back():
    proposals = np.zeros((530, 1100), np.int32)
    proposals[5:520, 100:1090] = 3
    document = Document(proposals.shape)
    step, _ = operations.accept_proposals(document, proposals)
    assert changed(document, step) == (5, 100, 520, 1090)
    assert np.array_equal(document.labels > 0, proposals > 0)
    document.undo()
    assert not document.labels.any()
    edit = document.begin("Given up")
    edit.paint(rectangle(0, 0, 530, 1100), 9)
    edit.cancel()
    assert not document.labels.any()


def test_import_goes_into_background_only():
    imported = blobs(3, holes=False)
    imported[imported == 2] = 1_000_000
    document = Document(SHAPE)
    step = operations.import_labels(document, imported.astype(np.uint32))
    assert np.array_equal(document.labels, imported)
    assert step.name == f"Import {len(np.unique(imported)) - 1} cells"
    other = blobs(4, holes=False)
    operations.import_labels(document, other)
    assert np.array_equal(document.labels[imported > 0], imported[imported > 0])
    added = (imported == 0) & (other > 0)
    assert (document.labels[added] > 1_000_000).all()
    assert np.array_equal(document.labels > 0, (imported > 0) | (other > 0))
    pairs = np.unique(np.stack([document.labels[added], other[added]]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    assert operations.import_labels(document, other) is None


def test_replacing_everything():
    first, second = blobs(1), blobs(2)
    document = Document(SHAPE, first)
    step = operations.replace_all(document, second.astype(np.uint16), "Take the prediction")
    assert np.array_equal(document.labels, second)
    assert step.name == "Take the prediction"
    changed(document, step)
    assert operations.replace_all(document, second, "Again") is None
    assert operations.replace_all(document, np.zeros(SHAPE, int), "Clear").box == masks.box_of(second > 0)
    document.undo()
    document.undo()
    assert np.array_equal(document.labels, first)


def test_accepting_5000_cells_is_a_small_step():
    side, step = 4096, 57
    y, x = np.mgrid[:step, :step]
    disc = ((y - 28) ** 2 + (x - 28) ** 2 < 27**2).astype(np.int32)
    tiles = np.arange(1, 71 * 71 + 1, dtype=np.int32).reshape(71, 71)
    labels = np.zeros((side, side + 8), np.int32)
    labels[: 71 * step, : 71 * step] = np.kron(
        np.random.default_rng(0).permutation(tiles.ravel()).reshape(71, 71), disc
    )
    document = Document(labels.shape)
    accepted, new = operations.accept_proposals(document, labels)
    assert len(new) == len(document.cells) == 5041
    assert len(accepted.payload) < 2_000_000
    assert np.array_equal(document.labels > 0, labels > 0)
    document.undo()
    assert not document.labels.any()
    assert len(document.cells) == 0


@pytest.mark.parametrize("diameter", [1, 1.5, 2, 3, 7.5, 20, 60])
def test_the_brush_covers_what_is_near_its_path(diameter):
    rng = np.random.default_rng(int(diameter * 10))
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    for _ in range(40):
        x0, y0, x1, y1 = rng.uniform(-20, 170), rng.uniform(-20, 110), rng.uniform(-20, 170), rng.uniform(-20, 110)
        if rng.random() < 0.5:
            x1, y1 = x0 + rng.integers(-4, 5), y0 + rng.integers(-4, 5) * rng.integers(0, 2)
        (top, left, bottom, right), mask = operations.disc_selector(x0, y0, x1, y1, diameter, SHAPE)
        assert 0 <= top <= bottom <= SHAPE[0]
        assert 0 <= left <= right <= SHAPE[1]
        selected = np.zeros(SHAPE, bool)
        selected[top:bottom, left:right] = mask
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = np.clip(((columns - x0) * (x1 - x0) + (rows - y0) * (y1 - y0)) / max(length, 1e-12), 0, 1)
        away = np.hypot(columns - x0 - along * (x1 - x0), rows - y0 - along * (y1 - y0))
        if diameter > 1.5:
            sure = np.abs(away - diameter / 2) > 1e-6
            assert np.array_equal(selected[sure], away[sure] <= diameter / 2)
        else:
            assert (away[selected] <= 0.75).all()
        # The pixel under the pointer is always part of it, so that no brush is too small to paint.
        for x, y in ((x0, y0), (x1, y1)):
            if 0 <= x < SHAPE[1] and 0 <= y < SHAPE[0]:
                assert selected[int(y), int(x)]


def test_a_thin_line_has_no_gaps():
    (top, left, bottom, right), mask = operations.disc_selector(3.2, 80.9, 140.7, 5.1, 1, SHAPE)
    assert (top, left, bottom, right) == (5, 3, 81, 141)
    assert mask.any(axis=0).all()
    assert mask.any(axis=1).all()
    from scipy import ndimage

    assert ndimage.label(mask, np.ones((3, 3)))[1] == 1
    assert mask.sum() == 138


def winding(polygon, x, y):
    """How often the outline goes around one point, by the angle."""
    total = 0.0
    for (ax, ay), (bx, by) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        a, b = np.arctan2(ay - y, ax - x), np.arctan2(by - y, bx - x)
        total += (b - a + np.pi) % (2 * np.pi) - np.pi
    return round(total / (2 * np.pi))


def test_outlines_choose_the_pixels_they_go_around():
    rng = np.random.default_rng(2)
    shape = (24, 37)
    for _ in range(12):
        polygon = [tuple(point) for point in rng.uniform((-8, -8), (45, 32), (rng.integers(3, 9), 2)).tolist()]
        (top, left, bottom, right), mask = operations.polygon_selector(polygon, shape)
        selected = np.zeros(shape, bool)
        selected[top:bottom, left:right] = mask
        expected = np.array([[winding(polygon, x + 0.5, y + 0.5) != 0 for x in range(37)] for y in range(24)])
        assert np.array_equal(selected, expected)
    box, mask = operations.polygon_selector([(2, 3), (10, 3), (10, 8), (2, 8)], shape)
    assert box == (3, 2, 8, 10)
    assert mask.all()
    # Drawn on past the beginning, the outline has no hole where it overlaps.
    twice = [(2, 3), (10, 3), (10, 8), (2, 8)] * 2
    assert operations.polygon_selector(twice, shape)[1].all()
    for nothing in ([], [(1, 1), (9, 9)], [(50, 50), (60, 50), (60, 60)], [(1.6, 1.6), (1.9, 1.6), (1.9, 1.9)]):
        box, mask = operations.polygon_selector(nothing, shape)
        assert mask.shape == (box[2] - box[0], box[3] - box[1])
        assert not mask.any()
        assert operations.new_cell(Document(shape), (box, mask)) == (None, 0)


def test_the_drawing_needs_neither_qt_nor_torch():
    code = (
        "import sys, app.annotation.operations\n"
        "bad = [name for name in sys.modules if name.split('.')[0] in ('PySide6', 'torch', 'shiboken6')]\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
