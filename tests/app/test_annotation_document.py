"""The document: every sequence of edits can be taken back and done again, bit for bit."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from app.annotation import Change, Document, HistoryError, StepRef, operations
from app.annotation.steps import Step
from cellseg1.errors import MaskError, OutputError
from cellseg1.masks import box_of


class MemoryLog:
    """A step log that keeps everything in a list."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes]] = []
        self.reads: list[int] = []
        self.broken = False

    def append(self, kind: str, payload: bytes) -> int:
        if self.broken:
            raise OutputError("Cannot write: the disk is full.")
        self.records.append((kind, payload))
        return len(self.records) - 1

    def read(self, token: int) -> bytes:
        self.reads.append(token)
        return self.records[token][1]


def fresh_table(labels):
    """Areas and boxes, found the slow and simple way."""
    found = {}
    for cell in np.unique(labels[labels > 0]).tolist():
        at = labels == cell
        found[cell] = int(at.sum()), box_of(at)
    return found


def table(document):
    cells = document.cells
    ids = cells.ids().tolist()
    assert ids == sorted(set(ids))
    assert len(cells) == len(ids)
    assert cells.areas().tolist() == [cells.area(cell) for cell in ids]
    assert cells.boxes() == {cell: cells.box(cell) for cell in ids}
    return {cell: (cells.area(cell), cells.box(cell)) for cell in ids}


def state(document):
    return document.labels.copy(), dict(document.attributes)


def same(first, second):
    return np.array_equal(first[0], second[0]) and first[1] == second[1]


def random_selector(rng, document):
    height, width = document.shape
    kind = rng.integers(4)
    size = max(3, min(height, width) / 3)
    x, y = rng.uniform(-5, width + 5), rng.uniform(-5, height + 5)
    if kind == 0:
        dx, dy = rng.normal(0, size, 2)
        return operations.disc_selector(x, y, x + dx, y + dy, rng.choice([1, 2, 5, size]), document.shape)
    if kind == 1:
        corners = rng.normal(0, size / 2, (rng.integers(3, 9), 2)) + np.array([x, y])
        return operations.polygon_selector(corners, document.shape)
    if kind == 2:
        top, left = int(y) - 4, int(x) - 6
        return (top, left, top + 9, left + 14), rng.random((9, 14)) < 0.5
    mask = np.zeros(document.shape, bool)
    mask[int(max(0, y)) : int(y + size), int(max(0, x)) : int(x + size)] = True
    return mask


def random_labels(rng, shape, count):
    """Blobs, some with islands and holes, some with large ids."""
    labels = np.zeros(shape, np.int32)
    blank = Document(shape)
    for number in range(count):
        cell = number + 1 if rng.random() < 0.8 else int(rng.integers(70_000, 3_000_000))
        x, y, size = rng.uniform(0, shape[1]), rng.uniform(0, shape[0]), rng.uniform(3, 30)
        (top, left, bottom, right), mask = operations.disc_selector(x, y, x, y, size, blank.shape)
        labels[top:bottom, left:right][mask & (rng.random(mask.shape) < 0.95)] = cell
    return labels


def some_ids(rng, document, most):
    ids = document.cells.ids()
    chosen = rng.choice(ids, min(len(ids), int(rng.integers(1, most))), replace=False).tolist() if len(ids) else []
    return [*chosen, 999_999_999, 0, -4] if rng.random() < 0.3 else chosen


def any_id(rng, document):
    ids = document.cells.ids()
    return int(rng.choice(ids)) if len(ids) else 7


def many_dabs(rng, document):
    edit = document.begin("Paint")
    first, second = edit.next_id(), edit.next_id()
    for _ in range(5):
        edit.paint(random_selector(rng, document), first, bool(rng.integers(2)))
        edit.erase(random_selector(rng, document), None if rng.random() < 0.5 else second)
        edit.paint(random_selector(rng, document), second)
        top, left = rng.integers(0, document.shape[0]), rng.integers(0, document.shape[1])
        area = edit.area((int(top) - 3, int(left) - 3, int(top) + 4, int(left) + 5))
        area[rng.random(area.shape) < 0.2] = 0
    if rng.random() < 0.5:
        edit.set_attribute("region", [int(rng.integers(9)), 0, 5, 6])
    return edit.finish()


def given_up(rng, document):
    before, known = state(document), table(document)
    edit = document.begin("Given up")
    edit.paint(random_selector(rng, document), edit.next_id(), protect=False)
    edit.area((0, 0, *document.shape))[...] = 3
    edit.set_attribute("checked", not document.attributes.get("checked"))
    edit.cancel()
    assert same(before, state(document))
    assert known == table(document) == fresh_table(document.labels)


def accept(rng, document):
    labels = random_labels(rng, document.shape, 12)
    share = float(rng.choice([0.0, 0.5, 0.9]))
    if rng.random() < 0.5:
        return operations.accept_proposals(document, labels, min_new_share=share)[0]
    ids = np.unique(labels)[::2].tolist()
    cells = Document(labels.shape, labels).cells if rng.random() < 0.5 else None
    return operations.accept_proposals(document, labels, ids, min_new_share=share, cells=cells)[0]


def split(rng, document):
    cell = any_id(rng, document)
    box = document.cells.box(cell) or (0, 0, 4, 4)
    line = [(box[1] - 1, rng.uniform(box[0], box[2])), (box[3] + 1, rng.uniform(box[0], box[2]))]
    return operations.split_cell(document, cell, line)


def erase_one(rng, document):
    cell = any_id(rng, document)
    top, left, bottom, right = document.cells.box(cell) or (0, 0, 4, 4)
    box = top - 1, left - 2, bottom - int(rng.integers(2)), right + 1
    return operations.erase(document, (box, rng.random((box[2] - box[0], box[3] - box[1])) < 0.3), cell)


OPERATIONS = {
    "new": lambda rng, doc: operations.new_cell(doc, random_selector(rng, doc), protect=bool(rng.integers(2)))[0],
    "add": lambda rng, doc: operations.add_to_cell(
        doc, random_selector(rng, doc), any_id(rng, doc), protect=bool(rng.integers(2))
    ),
    "erase": lambda rng, doc: operations.erase(doc, random_selector(rng, doc)),
    "erase one": erase_one,
    "delete": lambda rng, doc: operations.delete_cells(doc, some_ids(rng, doc, 4)),
    "merge": lambda rng, doc: operations.merge_cells(doc, some_ids(rng, doc, 5)),
    "split": split,
    "fill": lambda rng, doc: operations.fill_holes(doc, any_id(rng, doc)),
    "fill all": lambda _, doc: operations.fill_holes(doc),
    "clean": lambda rng, doc: operations.clean_up(doc, any_id(rng, doc), 2, 5, keep_largest=bool(rng.integers(2))),
    "clean all": lambda _, doc: operations.clean_up(doc, None, 1, 6),
    "accept": accept,
    "import": lambda rng, doc: operations.import_labels(doc, random_labels(rng, doc.shape, 6)),
    "replace": lambda rng, doc: operations.replace_all(doc, random_labels(rng, doc.shape, 9), "Replace"),
    "region": lambda rng, doc: doc.set_attribute("Region", "region", [int(n) for n in rng.integers(0, 9, 4)]),
    "checked": lambda rng, doc: doc.set_attribute("Check", "checked", bool(rng.integers(2))),
    "dabs": many_dabs,
    "given up": given_up,
}


def walk(document, rng, steps, check_every=1):
    """Do random operations; return the states, the first one included, and how often each kind made a step."""
    states, made = [state(document)], dict.fromkeys(OPERATIONS, 0)
    kinds = list(OPERATIONS)
    tried = 0
    while len(states) <= steps:
        kind = kinds[tried % len(kinds)] if tried < len(kinds) else str(rng.choice(kinds))
        tried += 1
        before, known = states[-1], document.undo_count
        step = OPERATIONS[kind](rng, document)
        now = state(document)
        if step is None:
            assert same(before, now), kind
            assert document.undo_count == known
            continue
        made[kind] += 1
        assert not same(before, now), kind
        assert document.undo_count == known + 1
        assert step.box == box_of(before[0] != now[0])
        keys = {key for key in before[1] | now[1] if before[1].get(key) != now[1].get(key)}
        assert set(step.attributes) == keys
        if tried % check_every == 0:
            assert table(document) == fresh_table(document.labels), kind
        states.append(now)
    return states, made


def check_travel(document, states):
    """Undo to the start and redo to the end; every state on the way is the one that was seen."""
    assert document.undo_count == len(states) - 1
    for expected in states[-2::-1]:
        change = document.undo()
        assert change.kind == "undo"
        assert same(expected, state(document))
    assert table(document) == fresh_table(document.labels)
    assert document.undo() is None
    for expected in states[1:]:
        assert document.redo().kind == "redo"
        assert same(expected, state(document))
    assert table(document) == fresh_table(document.labels)
    assert document.redo() is None


@pytest.mark.parametrize(
    ("shape", "seed"), [((120, 203), 0), ((300, 530), 1), ((257, 90), 2), ((9, 700), 3), ((1, 40), 4), ((61, 1), 5)]
)
def test_any_sequence_can_be_undone_and_redone(shape, seed):
    rng = np.random.default_rng(seed)
    start = random_labels(rng, shape, 15)
    given = start.copy()
    document = Document(shape, given, {"region": [0, 0, 3, 4]})
    states, _made = walk(document, rng, 70)
    assert np.array_equal(given, start)
    assert np.array_equal(states[0][0], start)
    check_travel(document, states)


def test_going_back_and_forth_between_edits_keeps_the_table_right():
    rng = np.random.default_rng(7)
    document = Document((140, 260), random_labels(rng, (140, 260), 20))
    states = [state(document)]
    for _ in range(60):
        while rng.random() < 0.5 and document.undo() is not None:
            pass
        while rng.random() < 0.3 and document.redo() is not None:
            pass
        assert table(document) == fresh_table(document.labels)
        del states[document.undo_count + 1 :]
        assert same(states[-1], state(document)) or document.can_redo
        states = [*states[: document.undo_count], state(document)]
        more, _ = walk(document, rng, 1)
        assert not document.can_redo
        states.append(more[-1])
    check_travel(document, states)


def test_600_mixed_steps_all_come_back_also_from_the_log():
    rng = np.random.default_rng(11)
    log = MemoryLog()
    document = Document((90, 151), log=log, memory_limit=3000)
    states, made = walk(document, rng, 600, check_every=20)
    assert sum(made.values()) == 600
    assert not made.pop("given up")
    assert min(made.values()) >= 5, made
    assert document._history.memory <= 3000
    assert not log.reads
    check_travel(document, states)
    assert len(set(log.reads)) > 500
    # Undo and redo are in the log too, so that it can be replayed.
    again = Document((90, 151))
    for token, (kind, payload) in enumerate(log.records):
        again.replay(kind, payload, token)
    assert same(state(again), states[-1])
    assert again.history() == document.history()
    check_travel(again, states)


def test_without_a_log_nothing_is_dropped_from_memory():
    rng = np.random.default_rng(12)
    document = Document((60, 101), memory_limit=10)
    states, _ = walk(document, rng, 30)
    assert all(ref.token is None for ref in document.history()[0])
    check_travel(document, states)


def test_history_is_restored_from_a_log():
    rng = np.random.default_rng(13)
    log = MemoryLog()
    document = Document((70, 121), log=log)
    states, _ = walk(document, rng, 40)
    for _ in range(15):
        document.undo()
    done, undone = document.history()
    assert (len(done), len(undone)) == (25, 15)
    assert all(log.read(ref.token) == payload for ref, payload in zip(done + undone, document.payloads(), strict=True))
    assert all(ref.size == len(log.read(ref.token)) for ref in done + undone)
    opened = Document(document.shape, document.labels, dict(document.attributes), log)
    opened.load_history(done, undone)
    assert opened.history() == (done, undone)
    assert (opened.undo_name, opened.redo_name) == (done[-1].name, undone[0].name)
    while opened.redo():
        pass
    check_travel(opened, states)
    # Trimmed, the newest steps are left.
    opened.trim_history(12)
    for expected in states[-2:-14:-1]:
        opened.undo()
        assert same(expected, state(opened))
    assert not opened.can_undo


def test_a_new_edit_cuts_redo_and_a_cancelled_one_does_not():
    document = Document((40, 61))
    square = (10, 10, 20, 25), np.ones((10, 15), bool)
    operations.new_cell(document, square)
    document.undo()
    assert document.can_redo
    edit = document.begin("Given up")
    edit.paint(square, 5)
    edit.cancel()
    assert operations.erase(document, square) is None
    assert document.can_redo
    assert document.redo_name == "New cell"
    operations.new_cell(document, ((0, 0, 3, 3), np.ones((3, 3), bool)))
    assert not document.can_redo
    assert (document.redo_count, document.redo_name, document.redo()) == (0, "", None)
    assert document.labels.sum() == 9


def test_memory_counts_follow_cuts_and_spills():
    log = MemoryLog()
    document = Document((64, 95), log=log, memory_limit=1000)
    rng = np.random.default_rng(3)
    for _ in range(40):
        walk(document, rng, 3, check_every=99)
        for _ in range(rng.choice([0, 1, 2, 20])):
            document.undo()
        history = document._history
        held = [entry for entry in history.done + history.undone if entry.payload is not None]
        assert history.memory == sum(entry.size for entry in held)
        assert history.memory <= 1000


def test_one_edit_at_a_time_and_none_after_its_end():
    document = Document((40, 61), np.ones((40, 61), np.uint8))
    operations.delete_cells(document, [1])
    edit = document.begin("First")
    assert document.editing
    with pytest.raises(RuntimeError, match="First"):
        document.begin("Second")
    with pytest.raises(RuntimeError):
        document.set_attribute("Check", "checked", value=True)
    assert not document.can_undo
    assert document.undo() is None
    assert document.labels.sum() == 0
    assert edit.finish() is None
    assert edit.closed
    assert not document.editing
    assert edit.finish() is None
    edit.cancel()
    for call in (
        lambda: edit.area((0, 0, 2, 2)),
        lambda: edit.paint(np.ones((40, 61), bool), 1),
        lambda: edit.erase(np.ones((40, 61), bool)),
        lambda: edit.show((0, 0, 2, 2)),
        lambda: edit.set_attribute("checked", True),
    ):
        with pytest.raises(RuntimeError, match="finished or cancelled"):
            call()
    assert document.undo() is not None
    assert (document.labels == 1).all()


def test_an_error_during_an_edit_leaves_everything_as_before():
    document = Document((40, 61), attributes={"checked": True})

    def fail(edit):
        edit.area((0, 0, 30, 50))[...] = 4
        edit.set_attribute("checked", None)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        document.apply("Fail", fail)
    assert not document.labels.any()
    assert document.attributes == {"checked": True}
    assert not document.editing
    assert not document.can_undo
    with pytest.raises(MaskError):
        operations.new_cell(document, np.ones((3, 3), bool))
    with pytest.raises(MaskError):
        operations.new_cell(document, ((0, 0, 3, 4), np.ones((3, 3), bool)))
    assert not document.editing


def test_listeners_hear_what_happened_and_where():
    document = Document((40, 61))
    heard, others = [], []
    unsubscribe = document.subscribe(heard.append)
    document.subscribe(others.append)
    edit = document.begin("Paint")
    box = edit.paint(((2, 3, 6, 9), np.ones((4, 6), bool)), 1)
    revision = document.revision
    edit.show((2, 3, 600, 9))
    assert heard == [Change("live", "Paint", (2, 3, 40, 9))]
    assert document.revision > revision
    edit.name = "Painted"
    edit.finish()
    assert heard.pop() == Change("edit", "Painted", box)
    document.undo()
    assert heard.pop() == Change("undo", "Painted", box)
    assert document.redo() == heard.pop() == Change("redo", "Painted", box)
    document.set_attribute("Mark", "checked", value=True)
    assert heard.pop() == Change("edit", "Mark", None, ("checked",))
    edit = document.begin("Given up")
    edit.area((0, 0, 3, 4))[...] = 8
    edit.cancel()
    assert heard.pop() == Change("cancel", "Given up", (0, 0, 3, 4))
    # What was shown and then undone by hand has to be drawn again.
    edit = document.begin("There and back")
    edit.paint(((0, 0, 1, 1), np.ones((1, 1), bool)), 5)
    edit.erase(((0, 0, 1, 1), np.ones((1, 1), bool)))
    assert edit.finish() is None
    assert heard.pop().kind == "cancel"
    revision = document.revision
    document.begin("Nothing").cancel()
    assert document.revision == revision
    unsubscribe()
    unsubscribe()
    count = len(heard)
    document.undo()
    assert len(heard) == count
    assert others[-1].kind == "undo"


def test_a_listener_sees_the_finished_state_and_may_undo():
    document = Document((40, 61))
    seen = []

    def listen(change):
        seen.append((change.kind, document.cells.area(1), document.undo_count, document.editing))
        if change.kind == "edit":
            document.undo()

    document.subscribe(listen)
    operations.new_cell(document, ((0, 0, 3, 4), np.ones((3, 4), bool)))
    assert seen == [("edit", 12, 1, False), ("undo", 0, 0, False)]
    assert document.can_redo


def test_attributes_are_undone_with_the_pixels():
    document = Document((40, 61), attributes={"region": [0, 0, 5, 5], "training": None})
    assert dict(document.attributes) == {"region": [0, 0, 5, 5]}

    def change(edit):
        edit.paint(((0, 0, 3, 4), np.ones((3, 4), bool)), 2)
        edit.set_attribute("region", (np.int64(1), 2, np.float32(3), 4))
        edit.set_attribute("training", True)
        edit.set_attribute("checked", True)
        edit.set_attribute("checked", None)

    step = document.apply("Both", change)
    assert step.attributes == ("region", "training")
    assert document.attributes["region"] == [1, 2, 3, 4]
    document.undo()
    assert dict(document.attributes) == {"region": [0, 0, 5, 5]}
    assert not document.labels.any()
    assert document.redo().attributes == ("region", "training")
    assert dict(document.attributes) == {"region": [1, 2, 3, 4], "training": True}
    assert document.set_attribute("Same", "region", [1, 2, 3, 4]) is None
    assert document.set_attribute("True is not 1", "training", 1) is not None
    with pytest.raises(TypeError):
        document.attributes["checked"] = True
    with pytest.raises(TypeError):
        document.set_attribute("No JSON", "checked", object())
    assert not document.editing
    mine = [7, 7, 7, 7]
    document.set_attribute("Mine", "region", mine)
    mine.append(8)
    assert document.attributes["region"] == [7, 7, 7, 7]


def test_a_log_that_fails_loses_nothing():
    log = MemoryLog()
    document = Document((40, 61), log=log, memory_limit=0)
    heard = []
    document.subscribe(heard.append)
    operations.new_cell(document, ((0, 0, 3, 4), np.ones((3, 4), bool)))
    log.broken = True
    with pytest.raises(OutputError):
        operations.new_cell(document, ((5, 5, 8, 9), np.ones((3, 4), bool)))
    assert document.labels.max() == 2
    assert heard[-1].kind == "edit"
    assert document.undo_count == 2
    assert not document.editing
    # It has no place in the log, so it stays in memory although the limit is 0.
    with pytest.raises(OutputError):
        document.undo()
    assert document.labels.max() == 1
    log.broken = False
    document.redo()
    assert table(document) == fresh_table(document.labels)
    document.undo()
    document.undo()
    assert not document.labels.any()


def test_every_damaged_byte_of_a_step_is_noticed():
    document = Document((40, 61), random_labels(np.random.default_rng(0), (40, 61), 4))
    start = state(document)
    step = operations.delete_cells(document, document.cells.ids().tolist())
    document.undo()
    harmless = 0
    for at in range(len(step.payload)):
        damaged = bytearray(step.payload)
        damaged[at] ^= 0x10
        try:
            document.replay("step", bytes(damaged))
        except HistoryError:
            pass
        else:
            # A bit that fills up the last byte of the packed data means nothing.
            harmless += 1
            assert not document.labels.any()
            document.undo()
        with pytest.raises(HistoryError):
            document.replay("step", step.payload[:at])
        assert same(start, state(document))
    assert harmless <= 1
    with pytest.raises(HistoryError, match="another image"):
        Document((41, 61), np.pad(start[0], ((0, 1), (0, 0)))).replay("step", step.payload)
    # A whole step that does not follow from what is there.
    with pytest.raises(HistoryError, match="does not fit"):
        Document((40, 61)).replay("step", step.payload)
    with pytest.raises(HistoryError):
        Document((40, 61)).replay("undo")
    read = Step.from_payload(step.payload, (40, 61))
    assert read == step


def test_what_lies_beyond_a_damaged_step_is_forgotten_and_the_rest_stays():
    log = MemoryLog()
    document = Document((40, 61), log=log, memory_limit=0)
    for row in range(6):
        operations.new_cell(document, ((3 * row, 0, 3 * row + 2, 9), np.ones((2, 9), bool)))
    log.records[2] = ("step", b"\x01nonsense")
    for _ in range(3):
        document.undo()
    now = state(document)
    with pytest.raises(HistoryError, match="unchanged"):
        document.undo()
    assert same(now, state(document))
    assert not document.can_undo
    assert document.redo_count == 3
    log.records[4] = ("step", b"\x09from the future")
    document.redo()
    with pytest.raises(HistoryError):
        document.redo()
    assert not document.can_redo
    assert document.undo_count == 1
    assert table(document) == fresh_table(document.labels)
    document.log = None
    with pytest.raises(HistoryError, match="not stored"):
        document.undo()
    document.load_history([StepRef("Lost", None, 10)], [])
    with pytest.raises(HistoryError):
        document.undo()


def test_labels_are_copied_checked_and_read_only():
    given = np.zeros((40, 61), np.uint16)
    given[3:9, 4:20] = 65_535
    document = Document((40, 61), given)
    given[...] = 0
    assert document.cell_at(4, 3) == 65_535
    with pytest.raises(ValueError, match="read-only"):
        document.labels[0, 0] = 1
    copy = document.read((-5, 0, 6, 500))
    assert copy.shape == (6, 61)
    copy[...] = 9
    assert document.cells.ids().tolist() == [65_535]
    assert document.labels is document.labels
    assert document.labels.dtype == np.int32
    for wrong in (
        np.zeros((61, 40), np.int32),
        np.zeros((40, 61), np.float32),
        np.full((40, 61), -1),
        np.full((40, 61), 2**31, np.uint32),
    ):
        with pytest.raises(MaskError):
            Document((40, 61), wrong)


def test_the_cell_at_a_point():
    document = Document((40, 61))
    operations.new_cell(document, ((10, 20, 11, 21), np.ones((1, 1), bool)))
    assert document.cell_at(20.0, 10.0) == 1
    assert document.cell_at(20.99, 10.99) == 1
    assert document.cell_at(21.0, 10.0) == document.cell_at(20, 11.0) == document.cell_at(19.99, 10.5) == 0
    for outside in ((-0.1, 5), (61, 5), (5, -0.1), (5, 40), (float("nan"), 5)):
        assert document.cell_at(*outside) == 0


def test_areas_are_cut_off_at_the_edges():
    document = Document((40, 61))
    edit = document.begin("Area")
    assert edit.area((-3, 55, 4, 99)).shape == (4, 6)
    assert edit.area((50, 70, 60, 80)).size == 0
    edit.area((38, -5, 70, 2))[...] = 3
    assert np.shares_memory(edit.labels, document.labels)
    step = edit.finish()
    assert step.box == (38, 0, 40, 2)
    assert document.cells.boxes() == {3: (38, 0, 40, 2)}


def test_the_cost_of_a_stroke_does_not_depend_on_the_image():
    peaks = []
    for shape in ((600, 700), (4096, 5000)):
        document = Document(shape)
        operations.new_cell(document, ((1, 1, 2, 2), np.ones((1, 1), bool)))
        tracemalloc.start()
        edit = document.begin("Paint")
        for x in range(100, 500, 4):
            edit.paint(operations.disc_selector(x, 300, x + 4, 300, 60, shape), 7)
        edit.finish()
        document.undo()
        document.redo()
        operations.split_cell(document, 7, [(300, 200), (300, 400)])
        operations.fill_holes(document)
        operations.clean_up(document, 7)
        operations.delete_cells(document, [7])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 500_000
    assert peaks[1] < 8_000_000
