"""How long drawing takes in a document of 4096 x 4096 pixels with 5,000 cells, and what its history weighs.

Run it with ``python -m tests.bench.bench_document`` or ``python tests/bench/bench_document.py``; one thread is enough.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from app.annotation import CellTable, Document, Edit, operations
from cellseg1 import masks

SIZE, CELLS = 4096, 5000


def make_labels(size: int = SIZE, count: int = CELLS, seed: int = 0) -> np.ndarray:
    """Make cells on a jittered grid, so dense that neighbours touch."""
    rng = np.random.default_rng(seed)
    side = math.ceil(math.sqrt(count))
    step = size / side
    place = rng.permutation(side * side)[:count]
    centres = (np.stack([place // side, place % side], axis=1) + 0.5) * step + rng.normal(0, 4, (count, 2))
    radii = rng.uniform(0.38, 0.58, (count, 2)) * step
    labels = np.zeros((size, size), np.int32)
    for number, ((cy, cx), (ry, rx)) in enumerate(zip(centres, radii, strict=True), start=1):
        y0, x0, y1, x1 = max(0, int(cy - ry)), max(0, int(cx - rx)), int(cy + ry) + 2, int(cx + rx) + 2
        y, x = np.ogrid[y0 : min(y1, size), x0 : min(x1, size)]
        labels[y0:y1, x0:x1][((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1] = number
    return labels


Times = tuple[float, float]


def timed(work: Callable[[], Any]) -> tuple[Times, Any]:
    """Return milliseconds on the clock and of this process alone (on a busy computer they differ), and the result."""
    start, busy = time.perf_counter(), time.process_time()
    result = work()
    return ((time.perf_counter() - start) * 1000, (time.process_time() - busy) * 1000), result


def say(name: str, times: list[Times], note: str = "") -> None:
    """Print median, 95 % and worst on the clock, and the median of the process."""
    clock, process = (sorted(column) for column in zip(*times, strict=True))
    high = clock[min(len(clock) - 1, int(0.95 * len(clock)))]
    sys.stdout.write(
        f"{name:46s} median {statistics.median(clock):8.3f} ms, p95 {high:8.3f}, worst {clock[-1]:8.3f}; "
        f"process {statistics.median(process):8.3f}  {note}\n"
    )
    sys.stdout.flush()


def stroke(seed: int, events: int = 200) -> list[tuple[float, float, float, float]]:
    """Points of a pointer that wanders about 4 pixels per event."""
    rng = np.random.default_rng(seed)
    turn = np.cumsum(rng.normal(0, 0.15, events)) + rng.uniform(0, 6)
    x = np.clip(rng.uniform(300, SIZE - 300) + np.cumsum(4 * np.cos(turn)), 0, SIZE)
    y = np.clip(rng.uniform(300, SIZE - 300) + np.cumsum(4 * np.sin(turn)), 0, SIZE)
    return [(x[i], y[i], x[i + 1], y[i + 1]) for i in range(events - 1)]


def event(document: Document, edit: Edit, points: tuple[float, ...], diameter: float, cell: int) -> masks.Box:
    """Do what one event of the pointer asks for."""
    selector = operations.disc_selector(*points, diameter, document.shape)
    edit.paint(selector, cell)
    return selector[0]


def bench_strokes(document: Document, diameter: float, strokes: int = 30) -> None:
    """Time brush strokes and what follows them."""
    areas, events, finishes, undos, redos, sizes = [], [], [], [], [], []
    for number in range(strokes):
        cell = document.cells.next_id()
        edit = document.begin("New cell")
        for points in stroke(number):
            took, box = timed(partial(event, document, edit, points, diameter, cell))
            events.append(took)
            areas.append(timed(partial(edit.area, box))[0])
        took, step = timed(edit.finish)
        finishes.append(took)
        sizes.append(0 if step is None else len(step.payload))
        undos.append(timed(document.undo)[0])
        redos.append(timed(document.redo)[0])
        document.undo()
    note = f"{1000 / statistics.mean(clock for clock, _ in events):,.0f} events/s"
    say(f"brush {diameter:g} px: one pointer event", events, note)
    say(f"brush {diameter:g} px: area() of it once more", areas)
    say(f"brush {diameter:g} px: finish a stroke of 200 events", finishes, f"{statistics.median(sizes):.0f} bytes")
    say(f"brush {diameter:g} px: undo it", undos)
    say(f"brush {diameter:g} px: redo it", redos)


def bench_tools(document: Document) -> None:
    """Time the tools that change one cell or all."""
    rng = np.random.default_rng(1)
    chosen = [int(cell) for cell in rng.choice(document.cells.ids(), 50, replace=False)]

    def each(name: str, work: Callable[[int], Any]) -> None:
        say(name, [timed(lambda cell=cell: work(cell))[0] for cell in chosen])
        while document.can_undo:
            document.undo()

    def across(cell: int) -> list[tuple[float, float]]:
        top, left, bottom, right = document.cells.box(cell) or (0, 0, 1, 1)
        return [(left - 2, (top + bottom) / 2), (right + 2, (top + bottom) / 2)]

    each("delete a cell", lambda cell: operations.delete_cells(document, [cell]))
    other = dict(zip(chosen, rng.permutation(chosen).tolist(), strict=True))
    each("merge two cells", lambda cell: operations.merge_cells(document, [cell, other[cell]]))
    each("split a cell", lambda cell: operations.split_cell(document, cell, across(cell)))
    each("clean up a cell", lambda cell: operations.clean_up(document, cell))
    for name, work in {
        "fill the holes of all cells": lambda: operations.fill_holes(document),
        "clean up all cells": lambda: operations.clean_up(document),
        "delete all cells": lambda: operations.delete_cells(document, document.cells.ids().tolist()),
        "merge all cells": lambda: operations.merge_cells(document, document.cells.ids().tolist()),
    }.items():
        took, step = timed(work)
        say(name, [took], "nothing changed" if step is None else f"{len(step.payload) / 1e6:.2f} MB")
        if step is not None:
            say("    undo", [timed(document.undo)[0]])
    outline = [(100.0, 100.0), (4000.0, 300.0), (3600.0, 4000.0), (50.0, 3000.0)]
    took, found = timed(lambda: operations.cells_in_lasso(document, outline))
    say("cells in a lasso around most of the image", [took], f"{len(found)} cells")


def bench_accept(proposals: np.ndarray, rounds: int) -> None:
    """Time accept-all, its undo and redo, and watch the memory."""
    process = psutil.Process()
    document = Document(proposals.shape)
    table = CellTable.of(proposals)
    accepts, undos, redos, sizes, memory = [], [], [], [], []
    for _ in range(rounds):
        took, (step, _new) = timed(lambda: operations.accept_proposals(document, proposals))
        accepts.append(took)
        sizes.append(len(step.payload))
        undos.append(timed(document.undo)[0])
        redos.append(timed(document.redo)[0])
        # Deleting is a step too, so that every accept-all begins with background and the history grows.
        operations.delete_cells(document, document.cells.ids().tolist())
        memory.append(process.memory_info().rss / 1e6)
    say("accept 5,000 proposals", accepts, f"{statistics.median(sizes) / 1e6:.2f} MB")
    say("    undo", undos)
    say("    redo", redos)
    sys.stdout.write(
        f"memory of the process: {max(memory):.0f} MB at most, {document.undo_count} steps in the history\n"
    )
    accept = partial(operations.accept_proposals, document, proposals)
    ones = [timed(partial(accept, [cell], cells=table))[0] for cell in range(1, 200)]
    say("accept one proposal (its table at hand)", ones)
    say("    without a table", [timed(partial(accept, [300]))[0]])


def main() -> None:
    """Print the figures."""
    labels = make_labels()
    took, document = timed(lambda: Document(labels.shape, labels))
    say("open a document", [took], f"{len(document.cells)} cells, {np.mean(labels > 0):.0%} of the image")
    for diameter in (10, 60, 200):
        bench_strokes(document, diameter)
    bench_tools(document)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 250
    bench_accept(labels, rounds)


if __name__ == "__main__":
    main()
