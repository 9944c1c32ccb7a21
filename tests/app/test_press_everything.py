"""Every entry of every menu, every button and every key of each page, on the real window; the fixtures watch."""

import shutil
import time

import numpy as np
import pytest
import shiboken6
import tifffile
from page_help import candidates_of
from press_help import Fingers
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QDesktopServices, QKeySequence
from PySide6.QtWidgets import QApplication, QFileDialog
from window_help import main_window

from app.dialogs.tour import TourOverlay
from app.engine import link as links
from app.engine.messages import Quit, Stop
from app.project.project import Project
from app.shell.actions import ACTIONS, TOOLS
from app.shell.background import Background
from app.shell.step_bar import STEPS
from cellseg1.bundled import resource_path


def silent_engine(link):
    """Stand in for an engine: it begins, says nothing, and ends when it is told to."""
    link.begun.set()
    while True:
        links.wait([link._woken], 0.05)
        with link._lock:
            asked = [request for _number, request, _array in link._outbox]
            link._outbox.clear()
            over = link._hard_end is not None and time.monotonic() >= link._hard_end - links._HARD_SECONDS
        if over or any(isinstance(request, (Stop, Quit)) for request in asked):
            return links.Exit(0, ended_by_us=True)


@pytest.fixture
def safe(tmp_path, monkeypatch):
    """Nothing leaves the folder of the test: file dialogs answer, and what belongs to the desktop is only noted."""
    asked = []
    folder = tmp_path / "mine"
    folder.mkdir()
    tifffile.imwrite(folder / "one.tif", np.arange(60 * 90, dtype=np.uint16).reshape(60, 90))
    (tmp_path / "saved").mkdir()
    files = {"Add images": [str(folder / "one.tif")]}
    folders = {"Add all images of a folder": str(folder), "Add a folder of images": str(folder)}

    def once(call, caption, answer, nothing):
        # The first time something is chosen, afterwards nothing is.
        asked.append((call, caption))
        return answer if asked.count((call, caption)) == 1 else nothing

    def open_names(_parent=None, caption="", *_rest, **_named):
        return once("files", caption, files.get(caption, []), []), ""

    def open_name(_parent=None, caption="", *_rest, **_named):
        return once("file", caption, "", ""), ""

    def folder_name(_parent=None, caption="", *_rest, **_named):
        return once("folder", caption, folders.get(caption, ""), "")

    def save_name(_parent=None, caption="", start="", *_rest, **_named):
        name = f"{len(asked)}-{start.rsplit('/', 1)[-1] or 'file'}"
        return once("save", caption, str(tmp_path / "saved" / name), ""), ""

    monkeypatch.setattr(QFileDialog, "getOpenFileNames", open_names)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", open_name)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", folder_name)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", save_name)
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: asked.append(("desktop", url)))
    monkeypatch.setattr("send2trash.send2trash", lambda path: shutil.move(path, tmp_path / "saved"))
    monkeypatch.setattr(links.Link, "_serve", silent_engine)
    monkeypatch.setattr(Background, "leave", lambda _self: None)
    return asked


def sample(folder):
    """The sample with cells, a prediction of two images, and a model's name in its run."""
    source = resource_path("sample_project")
    with Project.create(folder, "Pressed") as project:
        project.add_images(
            sorted((source / "train" / "images").iterdir()), copy=True, masks=[source / "train" / "masks"]
        )
        project.add_images(sorted((source / "test" / "images").iterdir()), copy=True)
        predicted(project)
        shutil.copytree(source / "test" / "masks", project.folder / "truth")
        return project.folder


def stack(folder):
    """Two z-stacks with two channels, of which a plane is drawn and one predicted."""
    place = folder / "stacks"
    place.mkdir()
    pixels = np.random.default_rng(1).integers(0, 4000, (3, 2, 90, 140)).astype(np.uint16)
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(place / name, pixels, metadata={"axes": "ZCYX"}, imagej=True)
    with Project.create(folder, "Stacked") as project:
        project.add_images([place], copy=True)
        for image in project.images:
            project.images.describe(image.id, project.images.read(image.id))
        predicted(project, z=1)
        return project.folder


def predicted(project, z=0):
    from cellseg1.images import read_image

    run = project.runs.new("predict", model="", select={"pred_iou_thresh": 0.5, "stability_score_thresh": 0.5})
    for image in project.images[:2]:
        path = project.runs.proposals_path(run.name, image.id, z, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = read_image(project.images.path(image.id)).plane(z, 0).shape[:2]
        candidates = candidates_of([(20, 20, 9, 0.95), (60, 25, 8, 0.9), (100, 60, 10, 0.6)], shape)
        candidates.save(path)
        project.runs.add_result(run.name, image.id, z, 0, cells=len(candidates))
        document = project.drawings.document(image.id, z, 0)
        labels = np.zeros(shape, np.int32)
        labels[10:30, 10:30], labels[50:70, 90:112] = 1, 2
        document.apply("Paint", lambda edit, labels=labels: edit.paint(((0, 0, *labels.shape), labels == 2), 1000))
        project.drawings.update_plane(image.id, z, 0, document)
    project.runs.update(run.name, state="finished")


class Player:
    """Keeps the window where the next press is to be."""

    def __init__(self, window, fingers, template):
        self.window, self.fingers, self.template = window, fingers, template
        self.number = 0
        self.folder = None

    def fresh(self):
        """Open a copy of the project that nobody has pressed anything in."""
        self.free()
        self.number += 1
        self.folder = self.template.with_name(f"{self.template.stem} {self.number}.cs1project")
        shutil.copytree(self.template, self.folder)
        self.open()

    def free(self):
        for job in self.window.session.jobs.running:
            job.handle.stop(0)
        until(lambda: not self.window.session.jobs.running)

    def open(self):
        window = self.window
        if not window.isVisible():
            window.background.show_window()
        if window.session.project is None or window.session.project.folder != self.folder:
            self.free()
            if not self.folder.exists():
                shutil.copytree(self.template, self.folder)
            window.projects.open_path(self.folder)
            self.fingers.settle()
        if window.session.image_id is None and window.session.project.images:
            until(lambda: window.session.document is not None or window.session.image_problem)
        until(lambda: not window.session.proposals.busy)

    def step(self, name):
        self.open()
        if len(self.window.session.jobs.running) > 1:
            self.free()
        for tour in self.window.findChildren(TourOverlay):
            while shiboken6.isValid(tour) and tour.isVisible():
                self.fingers.pressed.append("tour: next")
                tour.next_button.click()
                self.fingers.settle()
        if self.window.step() != name:
            self.window.show_step(name)
        QApplication.processEvents()


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        QApplication.processEvents()
        assert time.monotonic() < end
        time.sleep(0.003)


@pytest.mark.parametrize("make", [sample, stack])
def test_everything_can_be_pressed(make, safe, tmp_path, monkeypatch, qtbot, nothing_goes_wrong_unseen):
    template = make(tmp_path)
    with main_window(tmp_path / "home", monkeypatch) as window:
        window.preferences.set("project_folder", str(tmp_path / "made"))
        fingers = Fingers()
        player = Player(window, fingers, template)
        try:
            press_pages(window, fingers, player)
            if make is sample:
                press_the_rest(window, fingers, player)
        finally:
            fingers.end()
            player.free()
        assert nothing_goes_wrong_unseen.dialogs == [], "errors that nobody expected"
    assert len(fingers.pressed) > 200
    pressed = "\n".join(fingers.pressed)
    for spec in ACTIONS if make is sample else ():
        if spec.name != "save_elsewhere":
            assert spec.text in pressed or any(f"key {key}" in pressed for key in spec.keys), spec.name


def press_pages(window, fingers, player):
    fingers.all_below("start page", lambda: window.start_page, lambda: window.session.close_project())
    for name in STEPS:
        # Once more with everything as it was: what was pressed first may have switched off other things.
        for _again in range(2):
            player.fresh()
            player.step(name)
            fingers.all_below(name, lambda: window.stack.currentWidget(), lambda name=name: player.step(name))


def press_the_rest(window, fingers, player):
    player.fresh()
    player.step("annotate")
    view = window.area.images.view
    place = view.visualRect(view.model().index(0, 0)).center()
    fingers.context_menu(view.viewport(), QPoint(place))
    view.setCurrentIndex(view.model().index(0, 0))
    for entry in [action.text() for action in window.area.images.menu().actions() if action.text()]:
        player.fresh()
        view.selectAll()
        menu = window.area.images.menu()
        (action,) = (one for one in menu.actions() if one.text() == entry)
        fingers.pressed.append(f"list > {entry}")
        if action.isEnabled():
            action.trigger()
        menu.deleteLater()
        fingers.settle()
    player.fresh()
    for tool in TOOLS:
        player.step("annotate")
        window.canvas.setFocus()
        fingers.key(window, QKeySequence(tool.key))
        assert window.canvas.tool.name == tool.name
        for key in (Qt.Key.Key_P, Qt.Key.Key_Right, Qt.Key.Key_P, Qt.Key.Key_Tab, Qt.Key.Key_Return, Qt.Key.Key_Escape):
            fingers.held(window.canvas, key)
    for step in STEPS:
        for spec in ACTIONS:
            if step != STEPS[0] and spec.group in ("Project", "Help"):
                # They do the same everywhere.
                continue
            for key in spec.keys:
                player.step(step)
                window.canvas.setFocus()
                fingers.key(window, QKeySequence(key))
    window.session.close_project()
    for card in list(window.start_page.recent.cards)[:1]:
        fingers.context_menu(card, QPoint(10, 10))
        fingers.menu("recent project", card.menu())
    fingers.settle()
