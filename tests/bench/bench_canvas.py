"""How quick the canvas is: 5,000 cells at 4096 x 4096, drawn into memory.

Run it with ``QT_QPA_PLATFORM=offscreen OMP_NUM_THREADS=1 python tests/bench/bench_canvas.py``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parents[2]))

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from app.annotation import Document
from app.annotation.operations import accept_proposals
from app.canvas import Canvas, Overlay, ProposalLayer

SIZE, CELLS = 4096, 5000
WINDOW = 1366, 768


def make_cells(size: int = SIZE, count: int = CELLS, seed: int = 0) -> NDArray[np.int32]:
    """Draw ellipses on a jittered grid, so dense that neighbours touch."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(count)))
    step = size / side
    labels = np.zeros((size, size), np.int32)
    for cell, place in enumerate(rng.permutation(side * side)[:count], start=1):
        cy, cx = (place // side + 0.5) * step + rng.normal(0, 4), (place % side + 0.5) * step + rng.normal(0, 4)
        ry, rx = rng.uniform(0.35, 0.6, 2) * step
        y0, x0 = max(0, int(cy - ry)), max(0, int(cx - rx))
        y, x = np.ogrid[y0 : min(size, int(cy + ry) + 2), x0 : min(size, int(cx + rx) + 2)]
        part = labels[y0 : y0 + y.shape[0], x0 : x0 + x.shape[1]]
        part[(((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1) & (part == 0)] = cell
    return labels


def make_plane(labels: NDArray[np.int32], seed: int = 1) -> NDArray[np.uint16]:
    """Make 16-bit values to go with the cells."""
    rng = np.random.default_rng(seed)
    light = rng.uniform(0.4, 1, int(labels.max()) + 1).astype(np.float32)
    light[0] = 0.08
    plane = cv2.GaussianBlur(light[labels], (0, 0), 1.5) * 3000 + 300
    plane += rng.normal(0, 60, labels.shape).astype(np.float32)
    return plane.clip(0, 65535).astype(np.uint16)


def send(canvas: Canvas, kind: QEvent.Type, x: float, y: float) -> None:
    """Send a mouse event at a place of the widget, and draw what it changed."""
    left = Qt.MouseButton.LeftButton
    button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else left
    held = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else left
    at = QPointF(x, y)
    QApplication.sendEvent(canvas, QMouseEvent(kind, at, at, button, held, Qt.KeyboardModifier.NoModifier))
    QApplication.processEvents()


def stroke(canvas: Canvas, rng: np.random.Generator, moves: int = 120) -> list[tuple[float, float]]:
    """Paint a winding stroke; return the seconds (also of the processor) that each move took, drawing included."""
    width, height = canvas.width(), canvas.height()
    x, y = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height
    turn = rng.uniform(0, 6.3)
    send(canvas, QEvent.Type.MouseButtonPress, x, y)
    taken = []
    for _ in range(moves):
        turn += rng.normal(0, 0.3)
        x, y = min(width - 5.0, max(5.0, x + 9 * np.cos(turn))), min(height - 5.0, max(5.0, y + 9 * np.sin(turn)))
        start, busy = time.perf_counter(), time.thread_time()
        send(canvas, QEvent.Type.MouseMove, x, y)
        taken.append((time.perf_counter() - start, time.thread_time() - busy))
    send(canvas, QEvent.Type.MouseButtonRelease, x, y)
    return taken


def say(name: str, value: str, target: str = "") -> None:
    """Print one figure."""
    sys.stdout.write(f"{name:58s} {value:>22s}  {target}\n")
    sys.stdout.flush()


def ms(seconds: float) -> str:
    """Write a time."""
    return f"{seconds * 1000:.1f} ms"


def timed(action: object) -> float:
    """Seconds that an action and the drawing after it take."""
    start = time.perf_counter()
    action()  # type: ignore[operator]
    QApplication.processEvents()
    return time.perf_counter() - start


def in_threads(canvas: Canvas) -> ThreadPoolExecutor:
    """Let the canvas do in a thread what the window's session does there (`Session.run`)."""

    class Bridge(QObject):
        done = Signal(object)

    bridge, pool = Bridge(canvas), ThreadPoolExecutor(1)
    bridge.done.connect(lambda pair: pair[1](pair[0].result()))

    def run(work: Callable[[], object], done: Callable[[object], None]) -> None:
        pool.submit(work).add_done_callback(lambda future: bridge.done.emit((future, done)))

    canvas.in_background = run
    return pool


def main() -> None:
    """Print all figures."""
    app = QApplication.instance() or QApplication([])
    process = psutil.Process()
    labels = make_cells()
    plane = make_plane(labels)
    rng = np.random.default_rng(2)
    canvas = Canvas()
    canvas.resize(*WINDOW)
    canvas.show()
    app.processEvents()

    start = time.perf_counter()
    document = Document(labels.shape, labels)
    threads = in_threads(canvas)
    made = time.perf_counter() - start
    opening = timed(lambda: (canvas.set_image(plane), canvas.set_document(document), canvas.repaint()))
    say("Document made from a label image", ms(made))
    say("opening: image, document, first drawing", ms(opening), "< 2000 ms")
    say("another zoom, whole view drawn again", ms(timed(lambda: (canvas.zoom_by(1), canvas.repaint()))))
    canvas.zoom_to(1.0)
    canvas.repaint()
    say("moving the view by 40 pixels", ms(timed(lambda: (canvas.pan(40, 25), canvas.repaint()))))
    display = canvas.display.with_channel(0, high=canvas.display.channels[0].high * 0.8)
    say("another contrast", ms(timed(lambda: (canvas.set_display(display), canvas.repaint()))))
    say("another opacity", ms(timed(lambda: (canvas.set_overlay(Overlay("fill", 0.5)), canvas.repaint()))))
    every = document.cells.ids().tolist()
    say("selecting all cells", ms(timed(lambda: canvas.select(every))))
    canvas.select(())

    canvas.set_tool("brush")
    canvas.protect = False
    for zoom in (0.25, 1.0, 4.0):
        for size in (12, 60):
            canvas.zoom_to(zoom)
            canvas.set_brush_size(size)
            QApplication.processEvents()
            times, undos, undos_busy = [], [], []
            for _ in range(5):
                times += stroke(canvas, rng)
                busy_before = time.thread_time()
                undos.append(timed(canvas.undo))
                undos_busy.append(time.thread_time() - busy_before)
            name = f"mouse move while painting, brush {size} px at {zoom:.0%}: p50, p95, max"
            wall, busy = np.array(times).T * 1000
            say(name, " ".join(f"{np.percentile(wall, q):.1f}" for q in (50, 95, 100)) + " ms", "p95 < 16 ms")
            say(
                "    of the processor alone: p50, p95",
                " ".join(f"{np.percentile(busy, q):.1f}" for q in (50, 95)) + " ms",
            )
            undone = f"{ms(float(np.median(undos)))} {ms(max(undos))}"
            say("    undo of the stroke, drawing included: median, max", undone, "< 50 ms")
            say("    of the processor alone: median, max", f"{ms(float(np.median(undos_busy)))} {ms(max(undos_busy))}")

    canvas.set_tool("select")
    canvas.fit()
    canvas.set_proposals(None)
    layer = ProposalLayer(labels, rng.uniform(0.5, 1, CELLS + 1))
    say("5,000 proposals, drawn", ms(timed(lambda: (canvas.set_proposals(layer), canvas.repaint()))))
    canvas.set_document(empty := Document(labels.shape))
    say("accepting all of them, drawn", ms(timed(lambda: accept_proposals(empty, labels))))
    say("    undo, drawn", ms(timed(canvas.undo)))
    say("    redo, drawn", ms(timed(canvas.redo)))
    memory = process.memory_info().rss / 2**20
    say("memory of the process", f"{memory:.0f} MiB", "< 1024 MiB")
    if sys.platform == "linux":
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        say("    most at any time (making the test image included)", f"{most:.0f} MiB")
    threads.shutdown()
    canvas.close()


if __name__ == "__main__":
    main()
