"""How quick proposals follow the sliders, and how quick they are accepted: 512 x 512 and 4096 x 4096.

Run it with ``QT_QPA_PLATFORM=offscreen OMP_NUM_THREADS=1 python tests/bench/bench_proposals.py``; ``--small`` leaves
the large image out.  Next to the clock stand the processor time of the window's thread alone and of all threads: on a
busy computer, and where one core has to serve the thread in the background too, the clock says more about the computer.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "app"))

import numpy as np
from page_help import FakeProject, FakeSession
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication, QWidget

from app.canvas import Canvas
from app.pages.review.panel import ReviewPanel
from cellseg1.prediction.candidates import Candidates

WINDOW = 1366, 768
SIZES = ((512, 78), (4096, 5000))
"""Side of the image, and how many cells it has; each is proposed twice."""


def make_candidates(side: int, cells: int, seed: int = 0) -> Candidates:
    """Make cells on a jittered grid, so dense that neighbours touch, each proposed twice."""
    rng = np.random.default_rng(seed)
    across = int(np.ceil(np.sqrt(cells)))
    step = side / across
    place = rng.permutation(across * across)[:cells]
    centres = (np.stack([place // across, place % across], axis=1) + 0.5) * step + rng.normal(0, 4, (cells, 2))
    radii = rng.uniform(0.35, 0.55, (cells, 2)) * step
    masks, scores = [], []
    for (cy, cx), (ry, rx) in zip(np.repeat(centres, 2, axis=0), np.repeat(radii, 2, axis=0), strict=True):
        y0, x0 = max(0, int(cy - ry)), max(0, int(cx - rx))
        y, x = np.ogrid[y0 : min(int(cy + ry) + 2, side), x0 : min(int(cx + rx) + 2, side)]
        masks.append((((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1, (x0, y0)))
        scores.append(rng.uniform(0.81, 0.99))
    return Candidates.from_masks(masks, (side, side), score=scores, stability=[0.95] * len(masks))


class Painted(QObject):
    """Counts the pictures of a widget."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Count, and let everything pass."""
        self.count += event.type() == QEvent.Type.Paint
        return super().eventFilter(watched, event)


class Bench:
    """The proposals of one image, with the canvas and the panel of step 4."""

    def __init__(self, folder: Path, side: int, cells: int) -> None:
        self.project = FakeProject(folder, ["one.tif"])
        entry = self.project.images[0]
        entry.plane_shape = side, side
        entry.planes["0,0"] = {}
        run = self.project.add_run([], select={"pred_iou_thresh": 0.8, "crop_nms_thresh": 0.3})
        path = self.project.runs.proposals_path(run.id, entry.id, 0, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        make_candidates(side, cells).save(path)
        self.session = session = FakeSession(self.project)
        self.canvas = canvas = Canvas()
        canvas.resize(*WINDOW)
        self.panel = ReviewPanel(session, canvas)

        def image_changed() -> None:
            canvas.set_image(session.plane, session.display)
            canvas.set_document(session.document)

        session.image_changed.connect(image_changed)
        session.proposals.changed.connect(lambda: canvas.set_proposals(session.proposals.layer()))
        canvas.show()
        self.panel.show()
        self.painted = Painted(canvas)
        session.show_image(entry.id)
        self.settle()

    def settle(self) -> None:
        """Until nothing runs and everything is drawn."""
        quiet = 0
        while quiet < 3:
            QApplication.processEvents()
            quiet = 0 if self.session.pending else quiet + 1
            time.sleep(0.002)

    def slide(self, score: float) -> tuple[float, float, float, float]:
        """Move the slider; milliseconds to the picture, the longest block, and the two processor times."""
        heard: list[int] = []
        note = self.session.proposals.changed.connect(lambda: heard.append(self.painted.count))
        start, busy, all_busy = time.perf_counter(), time.thread_time(), time.process_time()
        self.session.proposals.set_thresholds(replace(self.session.proposals.settings, pred_iou_thresh=score))
        longest = 0.0
        while not heard or self.painted.count == heard[0]:
            turn = time.perf_counter()
            QApplication.processEvents()
            took = time.perf_counter() - turn
            longest = max(longest, took)
            if took < 0.0005:
                time.sleep(0.001)
        end = (
            time.perf_counter() - start,
            longest,
            time.thread_time() - busy,
            time.process_time() - all_busy,
        )
        self.session.proposals.changed.disconnect(note)
        self.settle()
        return end[0] * 1000, end[1] * 1000, end[2] * 1000, end[3] * 1000

    def now(self, work: Callable[[], Any]) -> tuple[float, float, float]:
        """Do something with all that follows from it at once, the picture included: clock, processor time (twice)."""
        start, busy, all_busy = time.perf_counter(), time.thread_time(), time.process_time()
        work()
        QApplication.processEvents()
        QApplication.processEvents()
        end = time.perf_counter(), time.thread_time(), time.process_time()
        self.settle()
        return (end[0] - start) * 1000, (end[1] - busy) * 1000, (end[2] - all_busy) * 1000

    def close(self) -> None:
        """Let go of everything."""
        self.session.close()
        self.panel.close()
        self.canvas.close()


def say(name: str, rows: list[tuple[float, float, float]]) -> None:
    """Print the medians of clock and processor times, and the worst on the clock."""
    clock, busy, all_busy = zip(*rows, strict=True)
    sys.stdout.write(
        f"  {name:42s} {statistics.median(clock):7.1f} ms (worst {max(clock):7.1f}); processor: "
        f"window's thread {statistics.median(busy):6.1f}, all {statistics.median(all_busy):6.1f}\n"
    )
    sys.stdout.flush()


def measure(bench: Bench) -> None:
    """Print the figures of one image."""
    proposals, document = bench.session.proposals, bench.session.document
    sys.stdout.write(f"{bench.canvas.shape}: {len(proposals.offered)} proposals offered\n")
    _say_slides(bench, "slider to picture")
    bench.slide(0.8)
    ones = proposals.offered[:: max(1, len(proposals.offered) // 12)][:10].tolist()
    say("accept one", [bench.now(partial(proposals.accept, [one])) for one in ones])
    say("    undo of it", [bench.now(document.undo) for _ in ones])
    bench.panel.step(1)
    bench.settle()
    say("accept one and go to the next, in step 4", [bench.now(bench.panel.accept_current) for _ in ones])
    say("reject one and go to the next, in step 4", [bench.now(bench.panel.reject_current) for _ in ones])
    say("accept all", [bench.now(proposals.accept)])
    say("    undo of it", [bench.now(document.undo)])
    say("    redo", [bench.now(document.redo)])
    _say_slides(bench, "slider to picture, all drawn")
    document.undo()
    bench.settle()
    proposals.accept(proposals.offered[::2].tolist())
    bench.settle()
    _say_slides(bench, "slider to picture, half of them drawn")


def _say_slides(bench: Bench, name: str) -> None:
    rows = [bench.slide(0.8 + 0.002 * k) for k in range(1, 6)]
    say(name, [(row[0], row[2], row[3]) for row in rows])
    say("    longest block of the window's thread", [(row[1], row[2], row[3]) for row in rows])


def main() -> None:
    """Print the figures."""
    app = QApplication.instance() or QApplication([])
    for side, cells in SIZES[:1] if "--small" in sys.argv else SIZES:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), side, cells)
            try:
                measure(bench)
            finally:
                bench.close()
    del app


if __name__ == "__main__":
    main()
