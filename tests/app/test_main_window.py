"""The window as a whole, without its engines: project, images, steps, drawing, keys, closing, single instance."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget
from window_help import main_window

from app.preferences.store import PreferencesStore
from app.project.project import Project
from app.shell.actions import ACTIONS, TOOLS, shortcut_table
from app.shell.single_instance import InstanceServer, hand_over
from app.shell.step_bar import STEPS
from app.widgets.banner import Banner
from cellseg1.errors import OutputError
from cellseg1.masks import write_label_image

HEIGHT, WIDTH = 60, 100


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def window(home, monkeypatch, qtbot):
    with main_window(home / "home", monkeypatch) as window:
        yield window


def pictures(folder, count=3, seed=0):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH), np.uint8)).save(folder / f"im{number}.png")
    return folder


def masks(folder):
    folder.mkdir()
    labels = np.zeros((HEIGHT, WIDTH), np.int32)
    labels[10:20, 10:25] = 1
    labels[30:45, 50:70] = 2
    write_label_image(folder / "im1.png", labels)
    return folder


@pytest.fixture
def project(window, home, qtbot):
    window.session.create_project(home, "Cells")
    window.session.add_images([pictures(home / "images")], copy=True, masks=[masks(home / "masks")])
    qtbot.waitUntil(lambda: window.session.document is not None)
    return window.session.project


def on_canvas(window, x, y):
    return window.canvas.to_widget(x, y).toPoint()


def paint(window, *places):
    first, *rest = [on_canvas(window, x, y) for x, y in places]
    QTest.mousePress(window.canvas, Qt.MouseButton.LeftButton, pos=first)
    for place in rest:
        QTest.mouseMove(window.canvas, place)
    QTest.mouseRelease(window.canvas, Qt.MouseButton.LeftButton, pos=rest[-1] if rest else first)


def test_every_action_has_someone_who_does_it_and_no_two_share_a_key(window):
    keys = [key for spec in ACTIONS for key in spec.keys] + [tool.key for tool in TOOLS]
    assert len(keys) == len(set(keys))
    assert [tool.name for tool in TOOLS] == list(window.canvas.tools)
    # connect_all in the constructor fails for an action that nobody does.
    assert all(window.actions_[spec.name].objectName() == spec.name for spec in ACTIONS)
    listed = {key for _group, rows in shortcut_table() for keys, _text in rows for key in keys.split(" / ")}
    assert {key for spec in ACTIONS for key in spec.keys} <= listed
    assert {tool.key for tool in TOOLS} <= listed


def test_every_key_that_a_tooltip_names_is_in_the_list_of_keys(window, project):
    listed = {key for _group, rows in shortcut_table() for keys, _text in rows for key in keys.split(" / ")}
    key = re.compile(r"\(((?:Ctrl\+|Shift\+|Alt\+)*(?:[A-Z]|[A-Z][a-z]+|F?\d+))\)")
    named = {one for widget in window.findChildren(QWidget) for one in key.findall(widget.toolTip())}
    assert {"B", "Ctrl+2", "Ctrl+F", "Ctrl+I"} <= named
    assert named <= listed


def test_the_project_menu_fits_a_small_screen(window, project):
    menu = window.area.step_bar.project_button.menu()
    whole = [menu, *(action.menu() for action in menu.actions() if action.menu() is not None)]
    assert len(whole) == 4  # and the recent ones, this project, help
    assert all(one.sizeHint().height() < 600 for one in whole)
    there = {action.objectName() for one in whole for action in one.actions()}
    steps = {spec.name for spec in ACTIONS if spec.name.startswith("step_")}
    moving = {"undo", "redo", "fit", "actual_size", "overlay", "next_unchecked", "next_image", "previous_image"}
    assert {spec.name for spec in ACTIONS} - there == steps | moving | {"save_elsewhere"}


@pytest.mark.parametrize("entry", ["Add images...", "Add a folder..."])
def test_the_button_beside_images_opens_the_file_dialogs(window, project, monkeypatch, entry):
    asked = []
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_all: asked.append("Add images...") or ([], ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_all: asked.append("Add a folder...") or "")
    (action,) = (one for one in window.area.images._add.menu().actions() if one.text() == entry)
    action.trigger()
    assert asked == [entry]


def test_the_start_page_is_shown_first_and_only_what_is_possible_is_enabled(window):
    assert window.stack.currentWidget() is window.start_page
    assert not window.actions_["add_images"].isEnabled()
    assert window.actions_["new_project"].isEnabled()


def test_images_with_masks_come_into_the_list_and_are_shown(window, project, qtbot):
    assert window.stack.currentWidget() is not window.start_page
    rows = window.area.images.model.rows
    assert [(row.name, row.state, row.cells) for row in rows] == [
        ("im0.png", "new", 0),
        ("im1.png", "annotated", 2),
        ("im2.png", "new", 0),
    ]
    assert window.session.plane.shape == (HEIGHT, WIDTH)
    assert window.canvas.shape == (HEIGHT, WIDTH)
    window.actions_["next_image"].trigger()
    qtbot.waitUntil(lambda: window.session.document is not None and len(window.session.document.cells) == 2)
    assert window.area.images.current() == rows[1].id
    assert window.canvas.document is window.session.document


def test_strokes_are_cells_with_undo_that_survive_another_image_and_another_window(window, project, home, qtbot):
    window.show_step("annotate")
    first = window.session.image_id
    paint(window, (20, 20), (28, 24))
    paint(window, (70, 40), (78, 42))
    assert len(window.session.document.cells) == 2
    window.actions_["undo"].trigger()
    assert len(window.session.document.cells) == 1
    window.actions_["next_image"].trigger()
    qtbot.waitUntil(lambda: window.session.image_id != first and window.session.document is not None)
    window.actions_["previous_image"].trigger()
    qtbot.waitUntil(lambda: window.session.image_id == first and window.session.document is not None)
    assert window.actions_["redo"].isEnabled()
    window.actions_["redo"].trigger()
    labels = window.session.document.labels.copy()
    assert len(np.unique(labels)) == 3
    folder = project.folder
    window.session.close_project()
    assert window.stack.currentWidget() is window.start_page
    with Project.open(folder) as again:
        document = again.drawings.document(first)
        assert np.array_equal(document.labels, labels)
        assert document.undo_count == 2
        assert [again.images.get(image.id).cells for image in again.images] == [2, 2, 0]


def test_steps_show_their_panel_and_keep_image_and_zoom(window, project):
    window.canvas.zoom_to(3.0)
    for name in STEPS:
        window.actions_[f"step_{name}"].trigger()
        assert window.step() == name
        assert window.area.step_bar.step() == name
        assert window.canvas.zoom == pytest.approx(3.0)
        assert window.session.image_id is not None
    assert window.area.tool_column.tool() == "select"
    window.show_step("annotate")
    assert window.canvas.tool.name == "brush"


def test_tools_answer_their_keys_wherever_the_focus_is_but_not_while_one_types(window, project, qtbot):
    window.show_step("annotate")
    window.activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is window)
    window.area.images.setFocus()
    for tool in TOOLS:
        QTest.keyClick(window.focusWidget() or window, tool.key.lower())
        assert window.canvas.tool.name == tool.name
    field = window.area.images.search
    field.setFocus()
    QTest.keyClick(field, "b")
    assert window.canvas.tool.name == TOOLS[-1].name
    assert field.text() == "b"


def test_flags_of_other_images_change_the_list(window, project, qtbot):
    ids = [image.id for image in project.images]
    window.flags.set([ids[0], ids[1]], "training", True)
    qtbot.waitUntil(lambda: bool(project.images.training()))
    assert project.images.training() == [(ids[1], 0, 0)] or {one[0] for one in project.images.training()} >= {ids[1]}
    assert window.area.images.model.row_of(ids[1]).state == "training"
    window.flags.set([ids[2]], "checked", True)
    qtbot.waitUntil(lambda: window.area.images.model.row_of(ids[2]).state == "checked")


def test_a_read_only_project_says_so_and_cannot_be_drawn_on(window, project, home, qtbot):
    folder = project.folder
    window.session.close_project()
    holder = Project.open(folder)
    try:
        window.session.open_project(folder)
        qtbot.waitUntil(lambda: window.session.document is not None)
        assert window.session.project.read_only
        before = window.session.document.labels.copy()
        paint(window, (20, 20), (28, 24))
        assert np.array_equal(window.session.document.labels, before)
        assert "read-only" in window.area.step_bar.project_button.text()
    finally:
        window.session.close_project()
        holder.close()


def test_a_storage_problem_is_shown_until_it_is_solved(window, project):
    window.storage.tell("The disk is full.")
    assert window.area.notes.storage.label.text().startswith("The disk is full.")
    window.storage.tell("The disk is still full.")
    assert window.area.notes.storage.label.text().startswith("The disk is still full.")
    window.storage.tell("")
    assert window.area.notes.storage.isHidden()


def test_a_missing_image_is_said_and_the_others_can_be_shown(window, project, qtbot, monkeypatch):
    told = []
    monkeypatch.setattr("app.shell.wiring.show_error", lambda _parent, sentence, _details="": told.append(sentence))
    ids = [image.id for image in project.images]
    project.images.path(ids[2]).unlink()
    window.session.shown._kept.clear()
    window.session.show_image(ids[2])
    qtbot.waitUntil(lambda: bool(told))
    assert "im2.png" in told[0]
    window.session.show_image(ids[1])
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert window.session.image_id == ids[1]


def test_layout_and_brush_are_remembered(window, home):
    window.canvas.set_brush_size(37)
    window.preferences.flush()
    stored = json.loads(next((home / "home").rglob("preferences.json")).read_text())
    assert stored["values"]["brush_size"] == 37
    window._remember_geometry()
    assert PreferencesStore().values.brush_size == 37


def test_a_second_start_hands_its_arguments_over(home, qtbot):
    assert not hand_over(["/x"])
    server = InstanceServer()
    got = []
    server.asked.connect(got.append)
    code = "import sys; from PySide6.QtCore import QCoreApplication; app = QCoreApplication([]);"
    code += "from app.shell.single_instance import hand_over; sys.exit(0 if hand_over(['--sample', 'p/ä']) else 3)"
    second = subprocess.Popen([sys.executable, "-c", code])
    qtbot.waitUntil(lambda: second.poll() is not None, timeout=20000)
    assert second.returncode == 0
    assert got == [["--sample", "p/ä"]]
    server.close()
    assert not hand_over([])


def test_the_window_loads_no_torch():
    code = "import sys, app.shell.application; sys.exit(bool({'torch', 'torchvision'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


def test_files_dropped_on_the_list_are_added(window, project, home, monkeypatch):
    monkeypatch.setattr(window.image_commands, "_ask_copy", lambda: True)
    more = pictures(home / "more", 2, seed=1)
    for number in range(2):
        (more / f"im{number}.png").rename(more / f"other{number}.png")
    window.area.images.files_dropped.emit([more])
    names = [row.name for row in window.area.images.model.rows]
    assert names[3:] == ["other0.png", "other1.png"]
    assert len(names) == 5


def test_the_sample_opens_with_cells_for_training_and_is_made_once(window, qtbot):
    window.actions_["step_annotate"].trigger()
    window.projects.do_try_sample()
    qtbot.waitUntil(lambda: window.session.document is not None)
    project = window.session.project
    assert [image.name for image in project.images] == [f"nuclei_{letter}.png" for letter in "abcd"]
    assert project.images.get(project.images[0].id).cells == 35
    assert len(project.images.training()) == 1
    assert (project.folder / "truth" / "nuclei_b.png").exists()
    window.session.close_project()
    window.projects.do_try_sample()
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert window.session.project.folder == project.folder


def test_positions_on_the_canvas_are_positions_in_the_image(window, project):
    for x, y in ((0.5, 0.5), (WIDTH - 0.5, HEIGHT - 0.5), (33.0, 7.0)):
        place = window.canvas.to_widget(x, y)
        assert window.canvas.to_image(place) == pytest.approx((x, y), abs=0.02)
        assert window.canvas.rect().contains(QPoint(int(place.x()), int(place.y())))


@pytest.mark.parametrize(("preferred", "closes"), [("background", False), ("stop", True)])
def test_closing_during_a_job_does_what_the_preferences_say(window, monkeypatch, preferred, closes):
    done = []
    monkeypatch.setattr(type(window.session.jobs), "running", property(lambda _self: ["a job"]))
    monkeypatch.setattr(window.background, "hide_window", lambda: done.append("background"))
    monkeypatch.setattr(window.closing, "_stop", lambda _jobs: done.append("stop"))
    monkeypatch.setattr("app.shell.closing.CloseDuringJobDialog", lambda *_all, **_named: pytest.fail("it asked"))
    window.preferences.set("closing_during_job", preferred)
    assert window.closing.may_close() is closes
    assert done == [preferred]
    monkeypatch.undo()


def test_half_a_pixel_of_outline_is_one(window):
    window.preferences.set("outline_width", 3)
    window.preferences.set("outline_width", 0.5)
    assert window.canvas.overlay.outline_width == 1
    assert window.preferences.values.outline_width == 1


def test_remarks_do_not_push_out_what_lasts(window, project):
    notes = window.area.notes
    notes.show_read_only("Open for reading only.")
    for number in range(6):
        window.say(f"Remark {number}.")
    assert [one.label.text() for one in notes.passing()] == ["Remark 3.", "Remark 4.", "Remark 5."]
    assert notes.read_only.isVisible()
    assert notes.read_only.label.text() == "Open for reading only."


def test_messages_of_both_places_stand_below_each_other_and_go_with_their_project(window, project, home):
    notes = window.area.notes
    window.storage.tell("The disk is full.")
    window.session.waiting_changed.emit("Cleaning up...")
    window.say("A remark.")
    QApplication.processEvents()
    places = [one.geometry() for one in (notes.storage, notes.waiting, notes.passing()[0])]
    assert [place.top() for place in places[1:]] == [place.bottom() + 5 for place in places[:-1]]
    assert not notes.waiting.close_button.isVisible()
    window.session.waiting_changed.emit("")
    window.session.create_project(home, "Another")
    assert notes.storage.isHidden()
    assert notes.waiting.isHidden()
    assert notes.passing() == []


def test_a_training_is_offered_in_every_step_only_if_it_ended_with_the_program(window, project):
    run = project.runs.new("train").name
    out = project.models_folder / "Cells.cs1.checkpoint"
    out.parent.mkdir(exist_ok=True)
    out.write_bytes(b"checkpoint")
    offer = window.area.notes.offer

    def offered():
        window.area.train.refresh()
        return [step for step in STEPS if window.show_step(step) or offer.isVisible()]

    request = {"out": "models/Cells.cs1"}
    project.runs.update(run, state="interrupted", request=request, title="Cells")
    assert offered() == list(STEPS)
    assert "ended unexpectedly during the training of Cells" in offer.label.text()
    project.runs.update(run, state="failed")
    assert offered() == ["train"]
    project.runs.update(run, state="stopped")
    assert offered() == ["train"]
    project.runs.update(run, resume_later=True)
    assert offered() == list(STEPS)
    resumed = []
    window.session.resume_training = resumed.append
    window.show_step("measure")
    offer.resume.click()
    assert resumed == [run]
    assert window.step() == "train"
    offer.discard.click()
    assert offered() == []


def test_the_start_page_tells_what_is_wrong_with_the_preferences(home, monkeypatch, qtbot):
    path = home / "home" / "config" / "preferences.json"
    path.parent.mkdir(parents=True)
    path.write_text("{damaged")
    with main_window(home / "home", monkeypatch) as window:
        note = window.start_page.note
        assert note.isVisible()
        assert "preferences could not be read" in note.label.text()
        note.close_button.click()
        monkeypatch.setattr("app.preferences.store.atomic_write", full)
        window.preferences.set("outline_width", 2)
        assert not window.preferences.flush()
        assert note.isVisible()
        assert "cannot be saved" in note.label.text()
        window.session.create_project(home, "Cells")
        assert not note.label.text()
        # What was read there is not told again.
        texts = [banner.label.text() for banner in window.findChildren(Banner)]
        assert not any("preferences could not be read" in text for text in texts)
        monkeypatch.undo()
        monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(home / "home"))


def test_damaged_preferences_and_those_that_cannot_be_saved_are_told(home, monkeypatch, qtbot):
    path = home / "home" / "config" / "preferences.json"
    path.parent.mkdir(parents=True)
    path.write_text("{damaged")
    with main_window(home / "home", monkeypatch) as window:
        window.session.create_project(home, "Cells")
        texts = [banner.label.text() for banner in window.findChildren(Banner)]
        assert sum("preferences could not be read" in text for text in texts) == 1
        monkeypatch.setattr("app.preferences.store.atomic_write", full)
        for width in (2, 3):
            window.preferences.set("outline_width", width)
            assert not window.preferences.flush()
        texts = [banner.label.text() for banner in window.findChildren(Banner)]
        assert sum("cannot be saved" in text for text in texts) == 1
        monkeypatch.undo()
        monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(home / "home"))


def full(*_arguments):
    raise OutputError("The disk is full.")
