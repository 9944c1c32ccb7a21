"""A random but legal user on the real window: nothing unhandled, nothing leaked, and the window always answers.

``CELLSEG1_E2E_SECONDS`` says how long the long form goes on (half an hour unless it is set), ``CELLSEG1_E2E_SEED``
which way it goes.
"""

import json
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from desktop import JOB, LateError, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs an X server of its own")

SHORT = 60
LONG = int(os.environ.get("CELLSEG1_E2E_SECONDS", "1800"))
SEED = int(os.environ.get("CELLSEG1_E2E_SEED", "1"))
TOOLS = "belgcxmdfur"
#: Dialogs that are kept for the next time.
KEPT = {"LogWindow"}


class User:
    def __init__(self, studio, chance, place):
        self.studio, self.chance, self.place = studio, chance, place
        self.did = []
        self.files = 0

    # ---- acts

    def paint(self):
        """A stroke somewhere on the image with the brush, the eraser or a lasso."""
        state = self.studio.now()
        if not state.get("document") or not state["canvas"]["rect"]:
            return
        self.studio.key("Escape", self.chance.choice("bbbel"))
        height, width = state["canvas"]["shape"][:2]
        x, y = self.chance.uniform(10, width - 30), self.chance.uniform(10, height - 30)
        points = [(x + self.chance.uniform(0, 20), y + self.chance.uniform(0, 20)) for _ in range(4)]
        left, top, across, down = state["canvas"]["rect"]
        seen = [self.studio.at(*point) for point in points]
        # What is scrolled out of the view cannot be pointed at.
        if all(left < one < left + across and top < other < top + down for one, other in seen):
            self.studio.stroke(*points, steps=4)

    def undo(self):
        self.studio.key(*["ctrl+z"] * self.chance.randint(1, 4))

    def redo(self):
        self.studio.key(*["ctrl+y"] * self.chance.randint(1, 3))

    def tool(self):
        self.studio.key("Escape", self.chance.choice(TOOLS))

    def image(self):
        self.studio.key(self.chance.choice(["Next", "Prior", "n"]))

    def row(self):
        rows = [one for one in self.studio.now()["things"] if one["kind"] == "row" and one["rect"]]
        if rows:
            left, top, _width, height = self.chance.choice(rows)["rect"]
            button = self.chance.choice([1, 1, 1, 3])
            self.studio.desktop.hands("mousemove", left + 30, top + height // 2, "sleep", "0.1", "click", button)

    def step(self):
        self.studio.key(f"ctrl+{self.chance.randint(1, 5)}")

    def view(self):
        self.studio.key(self.chance.choice(["0", "1", "o", "Tab", "ctrl+s", "bracketleft", "bracketright"]))

    def wheel(self):
        canvas = self.studio.now()["canvas"]["rect"]
        if canvas:
            left, top, width, height = canvas
            where = left + width * self.chance.random(), top + height * self.chance.random()
            button = self.chance.choice([4, 5])
            self.studio.desktop.hands("mousemove", *map(round, where), "click", "--repeat", "3", button)

    def resize(self):
        size = self.chance.randint(900, 1350), self.chance.randint(560, 720)
        found = self.studio.desktop.hands("search", "--onlyvisible", "--name", "CellSeg1 Studio$", check=False)
        for number in found.stdout.decode().split():
            self.studio.desktop.hands("windowsize", number, *size, check=False)

    def menu(self):
        things = [one for one in self.studio.now()["things"] if one["name"].endswith(": menu") and one["rect"]]
        if things:
            left, top, width, height = things[0]["rect"]
            self.studio.desktop.hands("mousemove", left + width // 2, top + height // 2, "click", "1")
            self.studio.key(*["Down"] * self.chance.randint(1, 8), "Escape", "Escape")

    def dialog(self):
        self.studio.key(self.chance.choice(["ctrl+comma", "F1", "ctrl+m", "ctrl+l", "ctrl+e", "ctrl+i", "ctrl+o"]))

    def train(self):
        self.studio.key("ctrl+2", "ctrl+Return")

    def predict(self):
        self.studio.key("ctrl+3", "ctrl+Return")

    def cancel(self):
        for one in self.studio.now()["things"]:
            if one["name"].startswith(("Stop and keep", "Cancel (keep")) and one["rect"] and one["enabled"]:
                left, top, width, height = one["rect"]
                self.studio.desktop.hands("mousemove", left + width // 2, top + height // 2, "click", "1")
                return

    def drop(self):
        """A file of one's own on the image list, or on the start page."""
        state = self.studio.now()
        self.files += 1
        path = self.place / f"own_{self.files}.tif"
        values = self.chance.randbytes(90 * 130 * 2)
        tifffile.imwrite(path, np.frombuffer(values, np.uint16).reshape(90, 130))
        name, kind = ("Try the sample*", None) if state["page"] == "start" else ("Add images", "QToolButton")
        self.studio.drop([path], name, kind)

    def project(self):
        """Close the project; the start page opens the next."""
        self.studio.key("ctrl+w")

    def start(self):
        cards = [one for one in self.studio.now()["things"] if one["kind"] == "QAbstractButton" and one["rect"]]
        cards = [one for one in cards if one["name"] != "Open"]
        if cards:
            left, top, _width, height = self.chance.choice(cards)["rect"]
            self.studio.desktop.hands("mousemove", left + 40, top + height // 2, "sleep", "0.1", "click", "1")

    # ---- the day

    def act(self):
        """Do one thing that can be done now."""
        state = self.studio.now()
        if state["popup"]:
            self.studio.key("Escape")
            return
        if state["dialogs"]:
            self._answer(state)
            return
        if state["page"] == "start":
            acts = {"start": 6, "drop": 1, "dialog": 1, "resize": 1}
        else:
            acts = {
                "paint": 30,
                "undo": 8,
                "redo": 5,
                "tool": 6,
                "image": 6,
                "row": 6,
                "step": 8,
                "view": 6,
                "wheel": 5,
            }
            acts |= {
                "resize": 3,
                "menu": 3,
                "dialog": 3,
                "train": 2,
                "predict": 3,
                "cancel": 3,
                "drop": 2,
                "project": 2,
            }
        name = self.chance.choices(list(acts), list(acts.values()))[0]
        self.did.append(name)
        getattr(self, name)()

    def _answer(self, state):
        """Press a button of the dialog, or Escape."""
        self.did.append(f"answer {state['dialogs'][-1]['title']}")
        wanted = ("Copy", "Create project", "Stop", "Stop and resume later", "Close", "OK")
        things = [one for one in state["things"] if one["name"] in wanted and one["rect"] and one["enabled"]]
        if things and self.chance.random() < 0.7:
            left, top, width, height = self.chance.choice(things)["rect"]
            self.studio.desktop.hands("mousemove", left + width // 2, top + height // 2, "click", "1")
        else:
            self.studio.key("Escape")

    def one_epoch(self):
        """So that a training ends soon."""
        self.studio.key("ctrl+2")
        self.studio.wait(lambda now: now["page"] == "train", "step 2")
        self.studio.press("Advanced")
        self.studio.press("Epochs", "QLineEdit")
        self.studio.key("ctrl+a")
        self.studio.type("1")
        self.studio.key("Tab", "ctrl+1")


@pytest.mark.parametrize("seconds", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)])
def test_a_random_user(desktop, tmp_path, seconds):
    studio = desktop.start("--sample")
    studio.wait(lambda now: now["document"]["cells"] > 20 and now["canvas"]["rect"], "the sample")
    user = User(studio, random.Random(SEED), tmp_path)
    user.one_epoch()
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            user.act()
            time.sleep(user.chance.choice([0.05, 0.1, 0.3, 0.8]))
            # Fails on an exception, a message of Qt, an error dialog, or the end of the program.
            studio.fresh()
    finally:
        (desktop.folder / "did.json").write_text(json.dumps(user.did))
        stalls = studio.now().get("stalls", [])
        print(f"{len(user.did)} acts, {len(stalls)} stalls")
        for stall in sorted(stalls, key=lambda one: -one["seconds"])[:20]:
            print(f"--- {stall['seconds']} s (in {stall['gap']} s)\n{stall['stack']}")
    for _ in range(10):
        if not studio.now()["dialogs"] and not studio.now()["popup"]:
            break
        studio.key("Escape")
        studio.fresh()
    leaked = [kind for kind in studio.fresh()["hidden"] if kind not in KEPT]
    assert leaked == [], "closed dialogs are freed"
    finish(desktop, studio)


def finish(desktop, studio):
    """Quit, stop what runs, and look that nothing is left."""
    studio.key("ctrl+q")
    try:
        until(lambda: studio.process.poll() is not None, "the end of the program", 10)
    except LateError:
        studio.press("Stop and resume later")
        until(lambda: studio.process.poll() is not None, "the end of the program", JOB)
    assert studio.process.returncode == 0, studio.words()
    until(lambda: not desktop.programs(), "the end of all processes", 30)
    assert "Traceback" not in studio.words()
    assert Path(studio.desktop.home).exists()
