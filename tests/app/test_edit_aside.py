"""Edits of all cells of a large drawing are worked out beside the window and taken over at once."""

import threading

import numpy as np
import pytest
from PIL import Image
from window_help import main_window

from app.annotation import Aside, Document, operations
from app.session import edits_aside
from cellseg1.masks import write_label_image

HEIGHT, WIDTH = 130, 200


def many_cells():
    labels = np.zeros((HEIGHT, WIDTH), np.int32)
    for number in range(40):
        y, x = divmod(number, 10)
        labels[5 + y * 30 : 25 + y * 30, 3 + x * 19 : 17 + x * 19] = number + 1
        labels[3 + y * 30 : 5 + y * 30, 8 + x * 19] = number + 1
    return labels


OPERATIONS = {
    "clean up": lambda doc: operations.clean_up(doc, None, 2, 9),
    "delete": lambda doc: operations.delete_cells(doc, range(3, 30)),
    "merge": lambda doc: operations.merge_cells(doc, [2, 3, 9]),
    "nothing": lambda doc: operations.delete_cells(doc, [999]),
    "a flag": lambda doc: doc.set_attribute("Mark", "checked", True),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_is_the_same_as_done_at_once_with_its_history(name):
    direct, document = Document((HEIGHT, WIDTH), many_cells()), Document((HEIGHT, WIDTH), many_cells())
    heard = []
    document.subscribe(heard.append)
    OPERATIONS[name](direct)
    aside = Aside(document)
    aside.work(OPERATIONS[name])
    assert not heard
    assert aside.take_over(document)
    assert np.array_equal(document.labels, direct.labels)
    assert document.cells.boxes() == direct.cells.boxes()
    assert document.cells.areas().tolist() == direct.cells.areas().tolist()
    assert dict(document.attributes) == dict(direct.attributes)
    assert document.undo_name == direct.undo_name
    assert len(heard) == (name != "nothing")
    while document.undo():
        direct.undo()
    assert np.array_equal(document.labels, many_cells())
    assert dict(document.attributes) == {}
    document.redo()
    direct.redo()
    assert np.array_equal(document.labels, direct.labels)


def test_it_is_refused_when_the_document_changed_meanwhile():
    document = Document((HEIGHT, WIDTH), many_cells())
    aside = Aside(document)
    aside.work(OPERATIONS["clean up"])
    document.set_attribute("Mark", "checked", True)
    before = np.array(document.labels)
    assert not aside.take_over(document)
    assert np.array_equal(document.labels, before)


def test_two_steps_are_an_error_of_the_program():
    aside = Aside(Document((HEIGHT, WIDTH), many_cells()))
    with pytest.raises(RuntimeError, match="one step"):
        aside.work(lambda doc: (operations.delete_cells(doc, [1]), operations.delete_cells(doc, [2])))


@pytest.fixture
def window(tmp_path, monkeypatch, qtbot):
    monkeypatch.setattr(edits_aside, "_QUICK_PIXELS", 1000)
    with main_window(tmp_path / "home", monkeypatch) as window:
        (tmp_path / "images").mkdir()
        (tmp_path / "masks").mkdir()
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "images/a.png")
        write_label_image(tmp_path / "masks/a.png", many_cells())
        window.session.create_project(tmp_path, "Cells")
        window.session.add_images([tmp_path / "images"], copy=True, masks=[tmp_path / "masks"])
        qtbot.waitUntil(lambda: window.session.document is not None)
        yield window


def test_the_window_goes_on_says_so_and_lets_nothing_in_between(window, qtbot):
    document, canvas = window.session.document, window.canvas
    go, threads = threading.Event(), []

    def slow(doc):
        threads.append(threading.current_thread())
        assert go.wait(10)
        return operations.clean_up(doc)

    got = []
    before = np.array(document.labels)
    window.session.edit_aside(document, "Cleaning up...", slow, got.append)
    assert canvas.waiting == "Cleaning up..."
    assert not window.actions_["undo"].isEnabled()
    hints = []
    canvas.hint.connect(hints.append)
    assert canvas.editable_document() is None
    canvas.undo()
    assert hints == ["Cleaning up..."] * 2
    assert np.array_equal(document.labels, before)
    go.set()
    qtbot.waitUntil(lambda: bool(got))
    assert threads[0] is not threading.main_thread()
    assert not canvas.waiting
    assert document.undo_name == "Clean up"
    assert not np.array_equal(document.labels, before)
    canvas.undo()
    assert np.array_equal(document.labels, before)


def test_a_flag_that_is_set_meanwhile_is_kept_and_so_is_the_edit(window, qtbot):
    document = window.session.document
    go, got, runs = threading.Event(), [], []

    def slow(doc):
        runs.append(doc)
        assert go.wait(10)
        return operations.delete_cells(doc, range(1, 11))

    window.session.edit_aside(document, "Deleting...", slow, got.append)
    window.session.set_checked(True)
    go.set()
    qtbot.waitUntil(lambda: bool(got))
    assert len(runs) == 2
    assert document.attributes["checked"] is True
    assert len(document.cells) == 30


def test_what_goes_wrong_is_told_and_everything_goes_on(window, qtbot):
    document = window.session.document
    told = []
    window.session.problem.disconnect()
    window.session.problem.connect(lambda sentence, _details: told.append(sentence))

    def broken(_doc):
        raise ZeroDivisionError("seven")

    window.session.edit_aside(document, "Dividing", broken, told.append)
    qtbot.waitUntil(lambda: bool(told))
    assert told == ["Dividing failed: seven"]
    assert not window.canvas.waiting
    operations.delete_cells(document, [1])
    assert len(document.cells) == 39


def test_colours_are_those_of_an_edit_at_once(window, qtbot):
    canvas, document = window.canvas, window.session.document
    canvas.edit_aside(
        document, "Deleting...", lambda doc: operations.delete_cells(doc, range(2, 39)), lambda _step: None
    )
    qtbot.waitUntil(lambda: len(document.cells) == 3)
    canvas.undo()
    from app.canvas.layers.cell_colours import touching_pairs

    pairs = touching_pairs(document.labels)
    assert all(canvas.scene.colours(int(a)) != canvas.scene.colours(int(b)) for a, b in pairs)
    assert canvas.scene.colours._foreseen is None


def test_after_a_very_large_undo_alike_neighbours_are_parted_in_the_background(qtbot, monkeypatch):
    from canvas_help import make_canvas

    from app.canvas.layers import cell_colours as colours

    monkeypatch.setattr(colours, "_POSTPONED", 100)
    canvas, document = make_canvas(qtbot)
    later = []
    canvas.in_background = lambda work, done: later.append((work, done))
    operations.delete_cells(document, [2, 3])
    given = canvas.scene.colours
    # As if cells that came meanwhile had led to it; 2 and 3 touch.
    given._index[3] = given._index[2]
    canvas.undo()
    assert given(2) == given(3)
    work, done = later[-1]
    done(work())
    assert given(2) != given(3)
    assert given.unchecked is None


def test_the_look_for_alike_neighbours_comes_too_late_for_another_document(qtbot, monkeypatch):
    from canvas_help import make_canvas

    from app.canvas.layers import cell_colours as colours

    monkeypatch.setattr(colours, "_POSTPONED", 100)
    canvas, document = make_canvas(qtbot)
    later = []
    canvas.in_background = lambda work, done: later.append((work, done))
    operations.delete_cells(document, [2, 3])
    canvas.undo()
    canvas.set_document(None)
    work, done = later[-1]
    done(work())
    assert canvas.document is None
