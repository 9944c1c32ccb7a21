"""How long a project takes: 2,000 linked images, edits of a large image with their journal, opening it again.

Run it with ``python -m tests.bench.bench_project`` or ``python tests/bench/bench_project.py``; one thread is enough.
Figures of the issue: 2,000 linked images are usable within 2 s; a 4096 x 4096 image with 5,000 cells opens within 2 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from app.annotation import operations
from app.project.project import Project
from app.project.thumbnails import thumbnail
from tests.bench.bench_document import CELLS, SIZE, make_labels

IMAGES = 2000
STROKES = 500


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return milliseconds on the clock, and the result."""
    start = time.perf_counter()
    result = work()
    return (time.perf_counter() - start) * 1000, result


def say(name: str, milliseconds: float | list[float], note: str = "") -> None:
    """Print one line."""
    if isinstance(milliseconds, list):
        ordered = sorted(milliseconds)
        text = f"median {statistics.median(ordered):9.2f} ms, p95 {ordered[int(0.95 * len(ordered))]:8.2f}"
        text += f", worst {ordered[-1]:8.2f}"
    else:
        text = f"       {milliseconds:9.2f} ms"
    sys.stdout.write(f"{name:52s} {text}  {note}\n")
    sys.stdout.flush()


def many_links(folder: Path) -> None:
    """Add many linked images, look at the list, close, open again."""
    from PIL import Image

    pictures = folder / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = rng.integers(0, 255, (200, 300)).astype(np.uint8)
        Image.fromarray(pixels).save(pictures / f"img_{number}.png", compress_level=0)
    project = Project.create(folder, "Many")
    spent, report = timed(lambda: project.add_images([pictures], copy=False))
    say(f"add {len(report.added):,} linked images", spent, "(limit 2,000)")

    def rows(project: Project) -> list[Any]:
        return [
            (image.name, project.images.get(image.id).state, project.images.check(image.id)) for image in project.images
        ]

    say("state of every row, its file looked at", timed(lambda: rows(project))[0])
    project.set_setting("shown", 1)
    say("write project.json and its copy", timed(project.flush)[0])
    say("close", timed(project.close)[0])
    spent, project = timed(lambda: Project.open(project.folder))
    say("open again", spent, "(limit 2,000)")
    say("state of every row", timed(lambda: rows(project))[0])
    spent, _ = timed(lambda: [thumbnail(project, image.id) for image in project.images[:20]])
    say("one thumbnail of 300 x 200", spent / 20)
    project.close()


def large_image(folder: Path) -> None:
    """Accept thousands of cells, paint strokes, close, open, crash, open."""
    import tifffile

    labels = make_labels()
    tifffile.imwrite(folder / "large.tif", np.zeros((SIZE, SIZE), np.uint8))
    project = Project.create(folder, "Large")
    (image_id,) = project.add_images([folder / "large.tif"], copy=False).added
    document = project.drawings.document(image_id)
    spent, _ = timed(lambda: operations.import_labels(document, labels))
    journal = project.drawings.journal_path(image_id)
    say(f"import {CELLS:,} cells at {SIZE} x {SIZE}", spent, f"journal {journal.stat().st_size / 1e6:.2f} MB")
    rng, strokes = np.random.default_rng(1), []
    for _ in range(STROKES):
        x, y = rng.uniform(50, SIZE - 50, 2)
        selector = operations.disc_selector(x, y, x + 20, y + 15, 16, document.shape)
        strokes.append(timed(lambda selector=selector: operations.new_cell(document, selector))[0])
    say("one finished stroke, written to the system", strokes, f"journal {journal.stat().st_size / 1e6:.2f} MB")
    say("undo", [timed(document.undo)[0] for _ in range(50)])
    say("redo", [timed(document.redo)[0] for _ in range(50)])
    say("everything to the disk", timed(project.flush)[0])
    crashed = folder / "Crashed.cs1project"
    project.duplicate(folder, "Crashed")
    say("close (stores the drawing)", timed(project.close)[0])
    snapshot = journal.with_suffix(".snapshot")
    for name, place in (("open again after closing", project.folder), ("open again after a crash", crashed)):
        start = time.perf_counter()
        with Project.open(place) as again:
            document = again.drawings.document(image_id)
            spent = (time.perf_counter() - start) * 1000
            assert len(document.cells) > CELLS
            note = f"snapshot {snapshot.stat().st_size / 1e6:.2f} MB" if place == project.folder else ""
            say(name, spent, f"{note} {document.undo_count} steps (limit 2,000)")
            if place == project.folder:
                say("first undo, read from the journal", timed(document.undo)[0])
                say("thumbnail", timed(lambda: thumbnail(again, image_id))[0])


def main() -> None:
    """Print all figures."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("CELLSEG1_STUDIO_HOME", str(Path(folder) / "home"))
        for part in (many_links, large_image):
            place = Path(folder) / part.__name__
            place.mkdir()
            part(place)


if __name__ == "__main__":
    main()
