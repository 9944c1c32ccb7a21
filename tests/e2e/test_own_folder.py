"""A project from one's own folders, as everybody begins: again and again, while the computer is busy with other things.

``CELLSEG1_E2E_ROUNDS`` says how often the long form does it (20 times and once more unless it is set).
"""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
from desktop import LateError, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs an X server of its own")

ROUNDS = int(os.environ.get("CELLSEG1_E2E_ROUNDS", "21"))


@pytest.fixture
def busy():
    """Somebody else who uses the computer."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    yield
    for burner in burners:
        burner.kill()
        burner.wait()


def folder_of(place, name, count, seed):
    """Write TIFFs of several shapes and types, none of them square."""
    folder = place / name
    folder.mkdir(parents=True)
    chance = np.random.default_rng(seed)
    for number in range(count):
        height, width = 420 + 140 * number, 610 + 130 * number
        rows, columns = np.mgrid[0:height, 0:width]
        kind, most = ((np.uint8, 255), (np.uint16, 4095), (np.uint16, 65535))[number % 3]
        picture = 0.1 + 0.05 * chance.random((height, width))
        for y, x in chance.random((12, 2)) * (height, width):
            picture += 0.7 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 60)
        picture = (picture.clip(0, 1) * most).astype(kind)
        # One is a stack with a page and its tags for each plane: much to read, and all of it in another thread.
        stack = np.stack([picture] * 40) if number == 1 else picture
        options = {"metadata": {"axes": "ZYX"}, "ome": True} if number == 1 else {}
        tifffile.imwrite(folder / f"{name}_{number}.tif", stack, **options)
    return folder


def in_file_dialog(studio, title, path):
    """Name a folder in the file dialog that opens."""
    studio.window(title)
    time.sleep(0.5)  # It takes the keyboard a moment after it is there.
    for _attempt in range(4):
        studio.key("ctrl+a")
        studio.type(str(path))
        studio.key("Return")
        try:
            until(lambda: title not in studio.desktop.titles(), "the end of the file dialog", 8)
            return
        except LateError:
            # Its completion wrote into the line while it was typed: away with what it says to that.
            assert studio.process.poll() is None, studio.words()
            studio.key("Escape")
            studio.window(title)
    raise LateError(f"{title}: the folder cannot be named")


def shown(studio, names, what):
    """Wait until the project has these images, and one is shown."""
    return studio.wait(lambda now: now["document"] and sorted(now["images"]) == names, what)


def create(studio, names):
    """Press "Create project" and wait for the first image."""
    studio.press("Create project", "QPushButton")
    studio.window("New project", there=False)
    assert shown(studio, names, "the project")["page"] == "annotate"


def look_at_all(studio):
    for name in sorted(studio.now()["images"]):
        studio.press(name, "row")
        studio.wait(lambda now, name=name: now["name"] == name and now["document"], name)


def whole_beginning(desktop, place, *, blind):
    """A project from a folder, a second folder later, a third dropped on the start page; the window ends as asked."""
    first, second, third = (folder_of(place, name, 3, seed) for seed, name in enumerate(("alpha", "beta", "gamma")))
    alpha, beta, gamma = (sorted(path.name for path in folder.iterdir()) for folder in (first, second, third))
    studio = desktop.start(blind=blind)
    studio.wait(lambda now: now["page"] == "start" and now["window"], "the start page")
    studio.press("New project*")
    studio.window("New project")
    studio.press("Name of the project", "QLineEdit")
    studio.key("ctrl+a")
    studio.type("Own")
    studio.press("Add a folder...", "QPushButton")
    in_file_dialog(studio, "Add a folder of images", first)
    create(studio, alpha)
    look_at_all(studio)
    studio.key("ctrl+shift+i")
    in_file_dialog(studio, "Add all images of a folder", second)
    studio.window("Add images")
    studio.press("Copy", "QPushButton")
    shown(studio, alpha + beta, "the second folder")
    look_at_all(studio)
    studio.key("ctrl+w")
    studio.wait(lambda now: now["page"] == "start" and now["window"], "the start page again")
    studio.drop([third], "Try the sample*")
    studio.window("New project")
    create(studio, gamma)
    look_at_all(studio)
    studio.key("ctrl+q")
    until(lambda: studio.process.poll() is not None, "the end of the program")
    assert studio.process.returncode == 0, studio.words()
    assert "Traceback" not in studio.words()


@pytest.mark.parametrize("rounds", [2, pytest.param(ROUNDS, marks=pytest.mark.slow)])
def test_project_from_own_folders(desktop, busy, rounds):
    # The first round sees where everything is; the others press there, and look at nothing inside the program.
    whole_beginning(desktop, desktop.folder / "own", blind=False)
    ended = []
    for number in range(1, rounds):
        until(lambda: not desktop.programs(), "the end of all processes", 30)
        desktop.move()
        try:
            whole_beginning(desktop, desktop.folder / f"own{number}", blind=True)
        except AssertionError as error:
            ended.append(f"round {number}: {str(error)[:2000]}")
            studio = desktop.studios[-1]
            if studio.process.poll() is None:
                studio.kill()
    assert not ended, f"{len(ended)} of {rounds - 1}:\n" + "\n".join(ended)
