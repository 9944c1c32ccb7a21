"""The document: edits, attributes, listeners, and what happens when something goes wrong."""

import tracemalloc
import weakref

import numpy as np
import pytest
from annotation_help import MemoryLog, fresh_table, random_labels, same, state, table

from app.annotation import Change, Document, HistoryError, StepRef, operations
from app.annotation.steps import Step
from cellseg1.errors import MaskError, OutputError


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


def test_a_document_is_let_go_with_its_last_user_also_after_edits():
    document = Document((40, 61))
    document.set_attribute("Mark", "checked", value=True)
    document.begin("Given up").cancel()
    alive = weakref.ref(document)
    del document
    assert alive() is None


def test_listeners_hear_what_happened_and_where():
    document = Document((40, 61))
    heard, others, finished = [], [], []
    unsubscribe = document.subscribe(heard.append)
    document.subscribe(others.append)
    document.subscribe(finished.append, live=False)
    edit = document.begin("Paint")
    box = edit.paint(((2, 3, 6, 9), np.ones((4, 6), bool)), 1)
    revision = document.revision
    edit.show((2, 3, 600, 9))
    assert heard == [Change("live", "Paint", (2, 3, 40, 9))]
    assert not finished
    assert document.revision > revision
    edit.name = "Painted"
    edit.finish()
    assert heard.pop() == finished.pop() == Change("edit", "Painted", box)
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
