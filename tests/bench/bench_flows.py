"""How many files a simple action of the user goes through, on its way to the screen.

``QT_QPA_PLATFORM=offscreen python tests/bench/bench_flows.py [--files]``

The real window with the sample project.  A profile function looks at every call of Python while one thing is done:
a mouse move with the brush down, a training from the click until its engine is launched, a step of a threshold slider
until the choice is offered.  Of each it prints the calls, the files of `app` that run, the crossings (calls from one
of these files into another), the calls that touch the disk, and the time (with the profile function in it).
Painting is left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from bench_proposals import make_candidates  # noqa: E402
from bench_window import events, until  # noqa: E402

_APP = str(ROOT / "app") + os.sep
_DISK = {os.stat, os.lstat, os.listdir, os.scandir, os.open, os.replace, os.mkdir, open}
MOVES, STEPS = 20, 6


class Calls:
    """Counts calls, files and crossings while it is on, in all threads that Python starts."""

    def __init__(self) -> None:
        self.on = False
        self._names: dict[str, str] = {}
        self.clear()
        threading.setprofile(self._seen)
        sys.setprofile(self._seen)

    def clear(self) -> None:
        """Begin anew."""
        self.calls = self.disk = 0
        self.files: Counter[str] = Counter()
        self.crossings: Counter[tuple[str, str]] = Counter()

    def _file(self, frame: FrameType) -> str:
        """Return a frame's file below `app`, empty when it is elsewhere."""
        name = frame.f_code.co_filename
        if name not in self._names:
            self._names[name] = name[len(_APP) : -3] if name.startswith(_APP) else ""
        return self._names[name]

    def _seen(self, frame: FrameType, event: str, what: Any) -> None:
        if not self.on:
            return
        if event == "c_call":
            self.disk += getattr(what, "__hash__", None) is not None and what in _DISK
            return
        if event != "call":
            return
        here = self._file(frame)
        if not here:
            return
        self.calls += 1
        self.files[here] += 1
        caller = frame.f_back
        while caller is not None and not self._file(caller):
            caller = caller.f_back
        if caller is not None and self._file(caller) != here:
            self.crossings[self._file(caller), here] += 1

    def end(self) -> None:
        """Look no more."""
        sys.setprofile(None)
        threading.setprofile(None)


def say(name: str, counter: Calls, seconds: float, times: int, *, files: bool) -> None:
    """Print the figures of one thing that was done so many times."""
    sys.stdout.write(
        f"{name:44s} {counter.calls / times:7.0f} calls {len(counter.files):4d} files "
        f"{sum(counter.crossings.values()) / times:6.0f} crossings {counter.disk / times:5.0f} disk "
        f"{seconds / times * 1000:8.1f} ms\n"
    )
    if files:
        for name_, count in counter.files.most_common():
            sys.stdout.write(f"    {name_:40s} {count / times:7.1f}\n")
        for (caller, here), count in counter.crossings.most_common():
            sys.stdout.write(f"    {caller:40s} -> {here:40s} {count / times:7.1f}\n")
    sys.stdout.flush()


def counted(counter: Calls, action: Callable[[], None]) -> float:
    """Count what an action does, and return its seconds."""
    begun = time.perf_counter()
    counter.on = True
    try:
        action()
    finally:
        counter.on = False
    return time.perf_counter() - begun


def painting(window: Any, counter: Calls, *, files: bool) -> None:
    """Move the mouse with the brush down."""
    from bench_canvas import send
    from PySide6.QtCore import QEvent

    canvas = window.canvas
    canvas.set_tool("brush")
    x, y = canvas.width() * 0.4, canvas.height() * 0.5
    send(canvas, QEvent.Type.MouseButtonPress, x, y)
    send(canvas, QEvent.Type.MouseMove, x + 3, y)
    events(0.3)
    counter.clear()
    seconds = 0.0
    for number in range(MOVES):
        seconds += counted(counter, lambda at=x + 6 + 5 * number: send(canvas, QEvent.Type.MouseMove, at, y))
    send(canvas, QEvent.Type.MouseButtonRelease, x + 6 + 5 * MOVES, y)
    say("mouse move with the brush down", counter, seconds, MOVES, files=files)
    window.session.document.undo()
    events(1.0)


def training(window: Any, counter: Calls, *, files: bool) -> None:
    """Start a training, until the click is worked off and the engine is launched."""
    window.show_step("train")
    until(lambda: bool(window.area.train.images.facts and window.area.train.images.facts[0].looked))
    events(1.0)
    counter.clear()
    seconds = counted(counter, window.area.train.press)
    job = window.session.training
    say("training: click until launched", counter, seconds, 1, files=files)
    job.stop(grace=0.1)
    until(lambda: window.session.training is None)
    events(1.0)


def sliding(window: Any, counter: Calls, *, files: bool) -> None:
    """Move a threshold of the shown prediction, until what it chooses is offered."""
    from PySide6.QtWidgets import QApplication

    session = window.session
    height, width = session.plane.shape[:2]
    folder = session.project.runs.new("predict")
    session.project.runs.update(folder.name, title="", state="finished", select={}, model=None)
    path = session.project.runs.proposals_path(folder.name, session.image_id, session.z, session.t)
    path.parent.mkdir(parents=True, exist_ok=True)
    make_candidates(min(height, width), 60).save(path)
    session.project.runs.add_result(folder.name, session.image_id, session.z, session.t, cells=60)
    window.show_step("predict")
    window.show_step("review")
    window.show_step("predict")
    session.proposals.reload()
    until(lambda: session.proposals.selection is not None and not session.proposals.busy)
    events(1.0)
    counter.clear()
    field = window.area.predict.thresholds.score
    seconds = 0.0
    heard: list[int] = []
    session.proposals.changed.connect(lambda: heard.append(0))
    for number in range(STEPS):
        heard.clear()

        def step(value: float = 0.85 + 0.02 * number) -> None:
            field.spin.setValue(value)
            end = time.monotonic() + 30
            while not (heard and not session.proposals.busy):
                QApplication.processEvents()
                if time.monotonic() > end:
                    raise SystemExit("no choice came")

        seconds += counted(counter, step)
        events(0.5)
    say("slider step until the choice is there", counter, seconds, STEPS, files=files)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", action="store_true", help="list the files and the crossings, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CELLSEG1_STUDIO_HOME"] = folder
        from PySide6.QtWidgets import QApplication

        from app.preferences.store import PreferencesStore
        from app.shell.main_window import MainWindow
        from app.theme import apply_theme

        app = QApplication.instance() or QApplication([])
        apply_theme(app, "light")
        counter = Calls()
        window = MainWindow(PreferencesStore())
        window.resize(1366, 768)
        window.show()
        try:
            window.complete()
            window.projects.do_try_sample()
            until(lambda: window.session.document is not None)
            events(1.0)
            window.setUpdatesEnabled(False)
            painting(window, counter, files=options.files)
            training(window, counter, files=options.files)
            sliding(window, counter, files=options.files)
        finally:
            counter.end()
            window.session.projects.ask_to_leave = lambda: True
            window.close()
            window.shut_down()


if __name__ == "__main__":
    main()
