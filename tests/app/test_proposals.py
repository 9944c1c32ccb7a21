from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from page_help import FakeProject
from PySide6.QtCore import QObject, Signal

from app.annotation import Document, offered, operations
from app.canvas import ProposalLayer
from app.canvas.layers.proposals import ProposalTiles
from app.canvas.layers.tiles import TILE
from app.session.proposals import Proposals
from app.session.shown_image import ShownPlane
from cellseg1.errors import CellSeg1Error
from cellseg1.images import resize_mask
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.select import Selector, SelectSettings

SHAPE = (90, 140)


def ellipse(shape, x, y, rx, ry):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((columns - x) / rx) ** 2 + ((rows - y) / ry) ** 2 <= 1


def make_candidates(shape, seed=0, count=60):
    """Ellipses all over each other, some at the edges of the image."""
    rng = np.random.default_rng(seed)
    height, width = shape
    masks = []
    while len(masks) < count:
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        mask = ellipse(shape, x, y, *(rng.uniform(0.03, 0.08, 2) * width))
        if mask.any():
            masks.append((mask, (0, 0)))
    return Candidates.from_masks(masks, shape, score=rng.uniform(0.5, 1, count), stability=rng.uniform(0.6, 1, count))


class Session(QObject):
    """Does work in the background when the test says so, and delivers it when the test says so."""

    problem = Signal(str, str)
    note = Signal(str)

    def __init__(self, folder, shape=SHAPE, predicted_shape=SHAPE, seed=0, document=None):
        super().__init__()
        self.project = FakeProject(folder, ["one.tif"])
        self.image_id, self.z, self.t = "i0", 0, 0
        self.project.images.get("i0").plane_shape = shape
        run = self.project.add_run(
            [], select={"pred_iou_thresh": 0.5, "stability_score_thresh": 0.5, "crop_nms_thresh": 0.6}
        )
        path = self.project.runs.proposals_path(run.id, "i0", 0, 0)
        path.parent.mkdir(parents=True)
        make_candidates(predicted_shape, seed).save(path)
        self.candidates = Candidates.load(path)
        self.plane = np.zeros(shape, np.uint8)
        self.document = Document(shape) if document is None else document
        self.problems = []
        self.problem.connect(lambda *args: self.problems.append(args))
        self.waiting = []
        self.done = []
        self.proposals = Proposals(self, SimpleNamespace(run=self.edit_aside))
        self.proposals.problem.connect(self.problem)
        self.proposals.note.connect(self.note)
        self.watch()
        self.changes = []
        self.proposals.changed.connect(lambda: self.changes.append(self.proposals.offered))

    def watch(self):
        self.document.subscribe(lambda change: change.kind == "live" or self.proposals.edited(change))

    def edit_aside(self, document, what, operation, done):
        done(operation(document))

    def run(self, work, done, name="", newest=None):
        wanted = None if newest is None else newest.asked()
        if wanted is not None:
            take, done = done, lambda answer: take(answer) if wanted() else None
        self.waiting.append((work, done))

    def work(self):
        work, done = self.waiting.pop(0)
        self.done.append((work(), done))

    def deliver(self):
        result, done = self.done.pop(0)
        done(result)

    def settle(self):
        while self.waiting or self.done:
            if self.waiting:
                self.work()
            self.deliver()

    def show_plane(self):
        shown = ShownPlane(self.project, self.image_id, self.z, self.t, None, self.plane, self.document)
        self.proposals.show(shown)

    def show(self):
        self.show_plane()
        self.settle()
        self.changes.clear()


@pytest.fixture
def session(qapp, tmp_path):
    session = Session(tmp_path)
    session.show()
    return session


def offered_anew(session):
    """Count everything from the beginning."""
    proposals, document = session.proposals, session.document
    selection = Selector(session.candidates).select(proposals.settings)
    labels = resize_mask(selection.labels, document.shape)
    assert np.array_equal(proposals.labels, labels)
    drawn = document.labels > 0
    rejected = document.attributes.get("rejected", {}).get(proposals.run_id, [])
    found = []
    for number, cell in enumerate(selection.cells, start=1):
        mine = labels == number
        if cell not in rejected and np.count_nonzero(mine & drawn) <= 0.5 * max(1, np.count_nonzero(mine)):
            found.append(number)
    return labels, found


def check(session, tiles):
    """What is offered and drawn is what one would find who begins anew."""
    proposals = session.proposals
    labels, expected = offered_anew(session)
    assert proposals.offered.tolist() == expected
    layer = proposals.layer()
    assert (layer is None) == (not expected)
    tiles.set_layer(layer)
    fresh = ProposalTiles()
    if layer is not None:
        fresh.set_layer(ProposalLayer(np.where(np.isin(labels, expected), labels, 0), proposals.scores()))
        visible = set(np.unique(labels)) & set(expected)
        assert set(tiles.open_ids().tolist()) == visible
        for number in visible:
            assert tiles.box(number) == fresh.box(number) == proposals.box(number)
    fresh.select(tiles.selection if layer is not None else frozenset())
    assert np.array_equal(shown(tiles, labels.shape), shown(fresh, labels.shape))


ZOOM = 2.5


def shown(tiles, shape):
    """The picture made of a layer's tiles, as the screen would show it."""
    size = round(shape[1] * ZOOM), round(shape[0] * ZOOM)
    if (tiles._zoom, tiles._size) != (ZOOM, size):
        tiles.clear()
        tiles._zoom, tiles._size = ZOOM, size
    picture = np.zeros(size[::-1], np.uint32)
    for row in range(-(-size[1] // TILE)):
        for column in range(-(-size[0] // TILE)):
            pixels = tiles._tile(row, column).pixels
            picture[row * TILE :, column * TILE :][: pixels.shape[0], : pixels.shape[1]] = pixels
    return picture


def stroke(rng, shape):
    x0, y0, x1, y1 = rng.uniform(-0.05, 1.05, 4) * [shape[1], shape[0], shape[1], shape[0]]
    return operations.disc_selector(x0, y0, x1, y1, rng.uniform(4, 25), shape)


@pytest.mark.parametrize(("predicted_shape", "seed"), [(SHAPE, 0), (SHAPE, 1), ((45, 70), 2), ((130, 200), 3)])
def test_after_random_edits_it_is_as_if_counted_anew(qapp, tmp_path, predicted_shape, seed):
    session = Session(tmp_path, SHAPE, predicted_shape, seed)
    session.show()
    proposals, document = session.proposals, session.document
    rng = np.random.default_rng(seed)
    tiles = ProposalTiles()
    check(session, tiles)
    assert len(proposals.offered) > 8

    def some(most=3):
        count = min(len(proposals.offered), int(rng.integers(1, most + 1)))
        return rng.choice(proposals.offered, count, replace=False).tolist()

    def slide():
        score, overlap = float(rng.uniform(0.5, 0.8)), float(rng.uniform(0, 1))
        proposals.set_thresholds(replace(proposals.settings, pred_iou_thresh=score, crop_nms_thresh=overlap))

    actions = {
        "draw": lambda: operations.new_cell(document, stroke(rng, SHAPE)),
        "erase": lambda: operations.erase(document, stroke(rng, SHAPE)),
        "delete": lambda: operations.delete_cells(document, document.cells.ids()[:2].tolist()),
        "accept": lambda: proposals.accept(some()),
        "accept above": lambda: proposals.accept_above(0.97),
        "reject": lambda: proposals.reject(some()),
        "reject below": lambda: proposals.reject_below(0.55),
        "check": lambda: document.set_attribute("check", "checked", bool(rng.integers(2))),
        "undo": document.undo,
        "redo": document.redo,
        "mark": lambda: tiles.select(frozenset(some(2))),
        "slide": slide,
        # The thread looks at the document, or has looked, and what follows is yet to be counted.
        "work": lambda: session.work() if session.waiting else None,
        "deliver": lambda: session.deliver() if session.done else None,
    }
    counted = 0
    often = [8, 4, 2, 6, 1, 4, 1, 2, 14, 6, 5, 2, 7, 7]
    for name in rng.permutation(np.repeat(list(actions), np.multiply(often, 2))).tolist():
        if name in ("accept", "reject", "mark") and not len(proposals.offered):
            continue
        actions[name]()
        counted += not proposals.busy
        if not proposals.busy:
            check(session, tiles)
    session.settle()
    check(session, tiles)
    proposals.accept()
    check(session, tiles)
    while document.undo() is not None:
        pass
    check(session, tiles)
    assert counted > 40


@pytest.mark.parametrize("when", ["before the work", "after the work"])
def test_an_edit_while_a_choice_is_made_is_counted(session, when):
    proposals, document = session.proposals, session.document
    proposals.accept(proposals.offered[:3].tolist())
    before = set(proposals.offered.tolist())
    proposals.set_thresholds(replace(proposals.settings, pred_iou_thresh=0.55))
    if when == "after the work":
        session.work()
    proposals.accept(proposals.offered[:4].tolist())
    document.undo()
    proposals.accept(proposals.offered[-2:].tolist())
    session.settle()
    _, expected = offered_anew(session)
    assert proposals.offered.tolist() == expected
    assert len(document.cells) == 5
    assert before != set(expected)


def test_while_a_choice_is_made_the_earlier_one_follows_edits(session):
    proposals = session.proposals
    before = proposals.offered.tolist()
    labels = proposals.labels
    proposals.set_thresholds(replace(proposals.settings, pred_iou_thresh=0.7))
    assert proposals.busy
    proposals.accept(before[:1])
    assert proposals.offered.tolist() == before[1:]
    assert proposals.labels is labels
    assert len(session.changes) == 1
    session.settle()
    assert not proposals.busy
    assert proposals.labels is not labels


def test_what_is_drawn_already_is_not_offered(qapp, tmp_path):
    labels = np.zeros(SHAPE, np.int32)
    labels[:, :70] = 3
    session = Session(tmp_path, document=Document(SHAPE, labels))
    session.show()
    found = session.proposals.offered.tolist()
    assert found == offered_anew(session)[1]
    assert 0 < len(found) < len(session.proposals.selection.cells)


@pytest.mark.parametrize("end", ["cancel", "finish"])
def test_an_edit_that_was_open_when_it_was_counted(qapp, tmp_path, end):
    session = Session(tmp_path)
    document = session.document
    edit = document.begin("New cell")
    edit.area((0, 0, *SHAPE))[:] = 1
    edit.show((0, 0, *SHAPE))
    session.show()
    assert len(session.proposals.offered) == 0
    if end == "finish":
        # The step's box is what it changed in the end, which is less than what was counted.
        edit.area((0, 0, *SHAPE))[:, 40:] = 0
        edit.finish()
    else:
        edit.cancel()
    found = session.proposals.offered.tolist()
    assert found == offered_anew(session)[1] != []
    edit = document.begin("New cell")
    edit.area((0, 0, *SHAPE))[:] = 1
    edit.show((0, 0, *SHAPE))
    assert session.proposals.offered.tolist() == found, "an edit counts when it is finished"
    edit.area((0, 0, *SHAPE))[:, 70:] = 0
    edit.finish()
    assert session.proposals.offered.tolist() == offered_anew(session)[1]


def test_changed_is_said_only_when_something_else_is_offered(session):
    proposals, document = session.proposals, session.document
    free = np.argwhere(proposals.labels == 0)[0]
    box = (int(free[0]), int(free[1]), int(free[0]) + 1, int(free[1]) + 1)
    layer = proposals.layer()
    document.set_attribute("check", "checked", True)
    operations.new_cell(document, (box, np.ones((1, 1), bool)))
    assert session.changes == []
    assert proposals.layer() is layer
    number = int(proposals.offered[2])
    proposals.reject([number])
    assert len(session.changes) == 1
    assert number not in session.changes[0]
    document.undo()
    assert len(session.changes) == 2
    assert number in session.changes[1]
    proposals.set_thresholds(proposals.settings)
    session.settle()
    assert len(session.changes) == 3, "a new choice is always told"


def test_a_late_choice_for_another_image_is_dropped(session):
    proposals = session.proposals
    proposals.set_thresholds(replace(proposals.settings, pred_iou_thresh=0.7))
    session.work()
    session.document = Document(SHAPE, np.ones(SHAPE, np.int32))
    session.watch()
    session.show_plane()
    assert proposals.selection is None
    assert proposals.layer() is None
    session.deliver()
    assert proposals.selection is None
    session.settle()
    assert proposals.selection is not None
    assert proposals.settings.pred_iou_thresh == 0.5
    assert len(proposals.offered) == 0, "all is drawn on the other image"
    session.document.undo()
    operations.delete_cells(session.document, [1])
    assert len(proposals.offered) == len(proposals.selection.cells)


def test_only_the_newest_wish_waits(session):
    proposals = session.proposals
    for score in (0.6, 0.7, 0.8, 0.9):
        proposals.set_thresholds(replace(proposals.settings, pred_iou_thresh=score))
    assert len(session.waiting) == 1
    session.work()
    session.deliver()
    assert len(session.waiting) == 1
    session.settle()
    assert len(session.changes) == 2
    expected = Selector(session.candidates).select(
        SelectSettings(pred_iou_thresh=0.9, stability_score_thresh=0.5, crop_nms_thresh=0.6)
    )
    assert np.array_equal(proposals.labels, expected.labels)


@pytest.mark.parametrize("error", [RuntimeError("broken"), MemoryError(), CellSeg1Error("The proposals are damaged.")])
def test_after_an_error_the_sliders_work_again(session, monkeypatch, error):
    proposals = session.proposals
    before = proposals.offered.tolist()

    def fail(_selector, _settings):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Selector, "select", fail)
        proposals.set_thresholds(replace(proposals.settings, pred_iou_thresh=0.7))
        proposals.accept(before[:1])
        session.settle()
    sentence, details = session.problems[0]
    assert sentence
    assert ("Traceback" in details) == (not isinstance(error, CellSeg1Error))
    assert not proposals.busy
    assert proposals.offered.tolist() == before[1:]
    proposals.set_thresholds(replace(proposals.settings, pred_iou_thresh=0.6))
    session.settle()
    assert proposals.offered.tolist() == offered_anew(session)[1]


@pytest.mark.parametrize("count", [1, 5, None])
def test_accepting_makes_the_same_cells_as_without_a_table(session, count):
    proposals, document = session.proposals, session.document
    operations.new_cell(document, stroke(np.random.default_rng(5), SHAPE))
    other = Document(SHAPE, document.labels)
    wanted = proposals.offered[:count].tolist()
    operations.accept_proposals(other, proposals.labels, wanted)
    assert proposals.accept(wanted if count else None) == len(other.cells) - 1 > 0
    assert np.array_equal(document.labels, other.labels)


def test_accepting_looks_only_at_what_it_changes(session, monkeypatch):
    """The document hears of one small box, and only that is read again, by the canvas too."""
    proposals, document = session.proposals, session.document
    tiles = ProposalTiles()
    tiles.set_layer(proposals.layer())
    shown(tiles, SHAPE)
    drawn_before = tiles.rendered_pixels
    number = int(proposals.offered[0])
    labels = proposals.labels
    top, left, bottom, right = proposals.box(number)
    changes = []
    document.subscribe(changes.append)
    read = []
    bands = offered._bands
    monkeypatch.setattr(offered, "_bands", lambda box: read.append(box) or bands(box))
    sizes = []
    segments = operations.segments
    monkeypatch.setattr(
        operations, "segments", lambda first, *rest: sizes.append(first.shape) or segments(first, *rest)
    )
    proposals.accept([number])
    assert sizes == [(bottom - top, right - left)]
    assert [change.box for change in changes] == [(top, left, bottom, right)] == read
    assert proposals.layer().labels is labels, "the label image is handed over once per choice"
    tiles.set_layer(proposals.layer())
    shown(tiles, SHAPE)
    margin = 2 * tiles.reach() + 2
    most = ((bottom - top) * ZOOM + margin) * ((right - left) * ZOOM + margin)
    assert 0 < tiles.rendered_pixels - drawn_before <= most
    assert number not in tiles.open_ids()


def test_many_decided_at_once_and_none_left(session):
    proposals, document = session.proposals, session.document
    count = len(proposals.offered)
    assert proposals.accept() == count
    assert proposals.layer() is None
    assert len(session.changes) == 1
    document.undo()
    assert len(proposals.offered) == count
    assert proposals.reject() == count
    assert len(proposals.offered) == 0
    document.undo()
    assert proposals.layer().accepted == frozenset()


def test_a_layer_without_boxes_looks_them_up():
    labels = np.zeros(SHAPE, np.int32)
    labels[3:20, 100:140] = 2
    labels[40:90, 7:9] = 5
    tiles = ProposalTiles()
    tiles.set_layer(ProposalLayer(labels, np.full(6, 0.9)))
    assert tiles.open_ids().tolist() == [2, 5]
    assert tiles.box(2) == (3, 100, 20, 140)
    assert tiles.box(5) == (40, 7, 90, 9)


def test_other_scores_of_the_same_labels_are_drawn():
    labels = np.zeros(SHAPE, np.int32)
    labels[30:60, 50:100] = 1
    tiles = ProposalTiles()
    tiles.set_layer(ProposalLayer(labels, np.array([0, 0.5])))
    before = shown(tiles, SHAPE)
    tiles.set_layer(ProposalLayer(labels, np.array([0, 0.99])))
    assert not np.array_equal(shown(tiles, SHAPE), before)
    tiles.set_layer(ProposalLayer(labels, np.array([0, 0.99]), rejected=frozenset({1})))
    grey = shown(tiles, SHAPE)
    fresh = ProposalTiles()
    fresh.set_layer(ProposalLayer(labels.copy(), np.array([0, 0.99]), rejected=frozenset({1})))
    assert np.array_equal(grey, shown(fresh, SHAPE))
    tiles.set_layer(None)
    assert not shown(tiles, SHAPE).any()
