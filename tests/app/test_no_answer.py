"""Files that never answer (a file server that is away): the window goes on, and closes."""

import threading

import numpy as np
import pytest
from PIL import Image
from window_help import main_window

from app.project.images import ProjectImages
from app.session import lanes as lanes_module
from app.session import session as session_module
from app.session import shown_image
from app.session.lanes import Crew, Lane


@pytest.fixture
def away(monkeypatch):
    """What is called so is on a server that is away; the event brings it back."""
    back = threading.Event()
    read, check = shown_image.read_image, ProjectImages.check

    def reading(path, *arguments):
        if "away" in path.name:
            back.wait()
        return read(path, *arguments)

    def checking(images, image_id):
        if "away" in images.get(image_id).name:
            back.wait()
        return check(images, image_id)

    monkeypatch.setattr(shown_image, "read_image", reading)
    monkeypatch.setattr("app.project.images.read_image", reading)
    monkeypatch.setattr(ProjectImages, "check", checking)
    monkeypatch.setattr(lanes_module, "PATIENCE", 0.05)
    monkeypatch.setattr(shown_image, "_READ_MS", 100)
    monkeypatch.setattr(session_module, "_LAST_READ_SECONDS", 0.05)
    yield back
    back.set()


@pytest.fixture
def window(away, tmp_path, monkeypatch, qtbot):
    for folder, names in (("here", ("a", "b")), ("server", ("away1", "away2", "away3"))):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.fromarray(np.full((60, 100), 90, np.uint8)).save(tmp_path / folder / f"{name}.png")
    with main_window(tmp_path / "home", monkeypatch) as window:
        session = window.session
        session.create_project(tmp_path, "Linked")
        session.add_images([tmp_path / "here", tmp_path / "server"], copy=False)
        qtbot.waitUntil(lambda: session.image is not None)
        yield window


def shown(window):
    session = window.session
    return session.project.images.get(session.image_id).name if session.image is not None else None


def test_other_images_open_and_it_is_said_and_shown_when_it_answers(window, away, qtbot):
    session = window.session
    ids = {one.name: one.id for one in session.project.images}
    for name in ("away1.png", "away2.png", "away3.png"):
        session.show_image(ids[name])
        qtbot.waitUntil(lambda: "has not been read for" in session.image_problem)
    session.show_image(ids["b.png"])
    qtbot.waitUntil(lambda: shown(window) == "b.png")
    assert session.image_problem == ""
    session.show_image(ids["away1.png"])
    qtbot.waitUntil(lambda: session.image_problem.startswith("away1.png has not been read"))
    away.set()
    qtbot.waitUntil(lambda: shown(window) == "away1.png")
    assert session.image_problem == ""


def test_its_project_opens_and_closes_and_so_does_the_window(window, away, qtbot):
    session = window.session
    folder = session.project.folder
    session.show_image(session.project.images[2].id)
    session.close_project()
    session.open_project(folder)
    assert [row.name for row in window.area.images.model.rows][2:] == ["away1.png", "away2.png", "away3.png"]
    qtbot.waitUntil(lambda: shown(window) == "a.png")
    session.show_image(session.project.images[2].id)
    qtbot.waitUntil(lambda: "has not been read for" in session.image_problem)
    window.close()
    assert not window.isVisible()
    window.shut_down()
    assert not away.is_set(), "nobody waited for it"


def test_a_missing_file_is_marked_without_holding_up_the_window(window, away, tmp_path, qtbot):
    session = window.session
    away.set()
    (tmp_path / "here" / "b.png").unlink()
    session.images_changed.emit()
    image_id = session.project.images[1].id
    qtbot.waitUntil(lambda: window.area.images.model.row_of(image_id).problem == "missing")
    Image.fromarray(np.full((60, 100), 90, np.uint8)).save(tmp_path / "here" / "b.png")
    session.images_changed.emit()
    qtbot.waitUntil(lambda: window.area.images.model.row_of(image_id).problem == "")


def test_an_image_that_is_removed_while_its_thumbnail_is_made_is_nothing_to_be_told(window, away, qtbot, monkeypatch):
    session = window.session
    here, go = threading.Event(), threading.Event()
    real = ProjectImages.get

    def late(images, image_id):
        if threading.current_thread() is not threading.main_thread() and image_id == removed:
            here.set()
            go.wait()
        return real(images, image_id)

    removed, told = session.project.images[1].id, []
    session.problem.connect(lambda sentence, _details: told.append(sentence))
    monkeypatch.setattr(ProjectImages, "get", late)
    window.files.make_thumbnail(removed)
    qtbot.waitUntil(here.is_set)
    session.remove_image(removed)
    answered = []
    monkeypatch.setattr(window.files, "is_there", lambda image_id: answered.append(image_id))
    go.set()
    qtbot.waitUntil(lambda: bool(answered or told))
    assert told == []


def test_a_thread_that_hangs_is_replaced_and_left_behind(qtbot, monkeypatch):
    monkeypatch.setattr(lanes_module, "PATIENCE", 0.05)
    monkeypatch.setattr(lanes_module, "_LOOK_MS", 10)
    back, got = threading.Event(), []
    lane = Lane(1, "lane", seconds=0.01)
    for _ in range(3):
        lane.run(back.wait, got.append, failed=pytest.fail)
    lane.run(lambda: "an answer", got.append, failed=pytest.fail)
    qtbot.waitUntil(lambda: got == ["an answer"])
    lane.close()
    assert not back.is_set()
    back.set()


def test_a_crew_does_no_more_at_a_time_than_it_has_hands():
    crew, running, most, lock = Crew(2, "crew"), [], [], threading.Lock()
    go, done = threading.Semaphore(0), threading.Semaphore(0)

    def task():
        with lock:
            running.append(1)
            most.append(len(running))
        go.acquire()
        with lock:
            running.pop()
        done.release()

    for _ in range(6):
        crew.submit(task)
    crew.look()
    for _ in range(6):
        go.release()
    for _ in range(6):
        done.acquire()
    assert max(most) <= 2
    assert crew.close(5)
