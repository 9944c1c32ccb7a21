"""Whether the window ever stands still: its event loop while an engine trains, and while much is done at once.

``QT_QPA_PLATFORM=offscreen python tests/bench/bench_window.py [--seconds 20]``

The real window with the real engine.  A timer of 5 ms in the window's thread notes how late it comes: first while
``tiny`` trains on the sample (untouched, and while somebody paints), then on an image of 4096 x 4096 with 5,000 cells,
where everything that concerns all cells is done once.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

import numpy as np  # noqa: E402

_EVERY_MS = 5


class Clock:
    """Notes how much later than it should the event loop comes round."""

    def __init__(self) -> None:
        from PySide6.QtCore import Qt, QTimer

        self.late: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer(interval=_EVERY_MS)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late.append(max(0.0, now - self._last - _EVERY_MS / 1000))
        self._last = now

    def start(self) -> None:
        """Begin anew."""
        self.late.clear()
        self._last = time.perf_counter()

    def stop(self) -> None:
        """End for good."""
        self._timer.stop()


def events(seconds: float) -> None:
    """Let the event loop run as it does in the program, and not be polled."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def until(condition, seconds: float = 120.0) -> None:
    """Let events pass until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("it took too long")
        events(0.02)


def say(name: str, value: str, target: str = "") -> None:
    """Print one figure."""
    sys.stdout.write(f"{name:64s} {value:>34s}  {target}\n")
    sys.stdout.flush()


def delays(clock: Clock) -> str:
    """Write what was noted."""
    late = np.array(clock.late) * 1000
    return " ".join(f"{np.percentile(late, q):.1f}" for q in (50, 99, 100)) + f" ms of {len(late):,}"


def while_training(window, clock: Clock, seconds: float) -> None:
    """Train on the sample, at rest and while painting."""
    from bench_canvas import stroke

    window.projects.do_try_sample()
    until(lambda: window.session.document is not None)
    window.show_step("train")
    until(lambda: bool(window.area.train.images.facts and window.area.train.images.facts[0].looked))
    clock.start()
    events(3)
    say("nothing to do: event loop late by p50, p99, max", delays(clock))
    clock.start()
    window.area.train.press()
    until(lambda: bool(window.session.training and window.session.training.curve))
    say("starting a training, until its first step", delays(clock))
    clock.start()
    events(seconds)
    say("training, Train page with curve and preview shown", delays(clock), "p99 < 50 ms")
    window.show_step("annotate")
    window.canvas.set_tool("brush")
    rng = np.random.default_rng(0)
    clock.start()
    took = []
    end = time.monotonic() + seconds / 2
    while time.monotonic() < end:
        took += [wall for wall, _busy in stroke(window.canvas, rng, 40)]
        events(0.05)
    say("training, painting all the time", delays(clock), "p99 < 50 ms")
    wall = np.array(took) * 1000
    say("    mouse move while painting p50, p95, max", " ".join(f"{np.percentile(wall, q):.1f}" for q in (50, 95, 100)))
    window.session.training.stop()
    until(lambda: window.session.training is None)
    window.session.close_project()


def all_cells(window, clock: Clock, folder: Path) -> None:
    """Do everything once that concerns all of 5,000 cells."""
    import tifffile
    from bench_canvas import make_cells, make_plane

    from app.annotation import operations

    labels = make_cells()
    tifffile.imwrite(folder / "big.tif", make_plane(labels))
    session, canvas = window.session, window.canvas
    session.create_project(folder, "Big")

    def phase(name, begin, condition) -> None:
        events(0.3)
        clock.start()
        started = time.perf_counter()
        begin()
        until(condition)
        took = time.perf_counter() - started
        events(0.6)
        say(name, f"{took:.2f} s, longest delay {max(clock.late) * 1000:.0f} ms")

    phase(
        "4096 x 4096: added and shown",
        lambda: session.add_images([folder / "big.tif"], copy=False),
        lambda: session.document is not None,
    )
    document = session.document
    phase(
        "5,000 cells imported",
        lambda: session.edit_aside(document, "", lambda doc: operations.import_labels(doc, labels), lambda _step: None),
        lambda: len(document.cells) > 0,
    )
    phase("cleaned up", lambda: canvas.tools["clean"].clean(None), lambda: document.undo_name == "Clean up")
    phase("    undo", canvas.undo, lambda: document.undo_name != "Clean up")
    phase("deleted", window.area.annotate.cells._delete_all, lambda: not len(document.cells))
    phase("    undo", canvas.undo, lambda: len(document.cells) > 0)
    session.set_training(True)
    phase(
        "step Train with its warnings",
        lambda: window.show_step("train"),
        lambda: bool(window.area.train.images.facts and window.area.train.images.facts[0].looked),
    )
    phase(
        "training started, until its first step",
        window.area.train.press,
        lambda: bool(session.training and session.training.curve),
    )
    session.training.kill()
    until(lambda: session.training is None)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["CELLSEG1_STUDIO_HOME"] = place
        from PySide6.QtWidgets import QApplication

        from app.preferences.store import PreferencesStore
        from app.shell.main_window import MainWindow
        from app.theme import apply_theme

        app = QApplication([])
        apply_theme(app, "light")
        window = MainWindow(PreferencesStore())
        window.resize(1366, 720)
        window.show()
        window.preferences.set("project_folder", place)
        clock = Clock()
        while_training(window, clock, options.seconds)
        all_cells(window, clock, Path(place))
        clock.stop()
        window.closing.stop_jobs = True
        window.close()
        window.shut_down()
        window.help.close_log()


if __name__ == "__main__":
    main()
