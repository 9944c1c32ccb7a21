"""What the tests of drawings share: a step log in memory, simple tables, and random walks through all tools."""

from __future__ import annotations

import numpy as np

from app.annotation import Document, operations
from cellseg1.errors import OutputError
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
