"""The real window is killed while the mouse paints: all that was finished is there, bit for bit.

Fifty kills of a program without a window are in tests/app/test_journal_kill.py.
"""

import random
import subprocess
import threading
import time
import zlib
from pathlib import Path

import pytest
from desktop import until

from app.project.project import Project

KILLS = 5
#: Places for short strokes, far enough apart that each makes a cell of its own: (x, y).
PLACES = [(x, y) for y in range(14, 250, 16) for x in range(14, 240, 20)]


class Painter(threading.Thread):
    """Paints one stroke after the other until it is told to stop; `sent` counts those whose button was let go."""

    def __init__(self, studio, places):
        super().__init__(name="painter")
        self.studio = studio
        self.places = iter(places)
        self.sent = 0
        self.stop = threading.Event()

    def run(self):
        for x, y in self.places:
            if self.stop.is_set():
                return
            try:
                self.studio.stroke((x, y), (x + 6, y + 2), (x + 2, y + 5), steps=4)
            except (subprocess.SubprocessError, KeyError):
                return
            self.sent += 1


def read(folder, image_id):
    """Return the document of an image: number of cells, undo steps, and the checksum before each of them."""
    with Project.open(folder) as project:
        assert not project.read_only, project.why_read_only
        assert project.damage == []
        plane = project.drawings.document(image_id)
        assert project.images.get(image_id).cells == len(plane.cells)
        checksums = {plane.undo_count: zlib.crc32(plane.labels.tobytes())}
        cells, undo, undone = len(plane.cells), plane.undo_count, 0
        while plane.can_undo:
            plane.undo()
            undone += 1
            checksums[plane.undo_count] = zlib.crc32(plane.labels.tobytes())
        for _ in range(undone):
            plane.redo()
        assert zlib.crc32(plane.labels.tobytes()) == checksums[undo]
        return cells, undo, checksums


@pytest.mark.slow
def test_five_kills_while_painting(desktop):
    chance = random.Random(5)
    folder = image_id = None
    undo, checksums = 0, {}
    for kill in range(KILLS):
        studio = desktop.start(*(["--sample"] if folder is None else [folder]))
        studio.wait(lambda now: now["document"] and now["canvas"]["rect"], "the project")
        studio.press("nuclei_d.png", "row")
        state = studio.wait(lambda now: now["name"] == "nuclei_d.png" and now["document"], "the image")
        folder, image_id = Path(state["project"]), state["image"]
        # What was read after the kill is what the window shows, too.
        assert state["document"]["undo"] == undo
        if undo:
            assert state["document"]["checksum"] == checksums[undo]
        studio.key("b", "bracketleft", "bracketleft", "bracketleft", "bracketleft")
        studio.wait(lambda now: now["canvas"]["tool"] == "brush" and now["canvas"]["brush"] < 13, "the brush")
        painter = Painter(studio, PLACES[undo:])
        painter.start()
        try:
            studio.wait(lambda now, n=undo: now["settled"][now["image"]]["undo"] > n, "a stroke")
            time.sleep(chance.uniform(0.2, 1.5))  # The moment is the test.
            studio.kill()
        finally:
            painter.stop.set()
            painter.join(30)
        # What the window said last, some strokes before its end.
        last = studio.now()["settled"][image_id]
        until(lambda: not desktop.programs(), "the end of all processes", 30)
        cells, found, checksums = read(folder, image_id)
        assert last["undo"] > undo
        assert last["undo"] <= found <= undo + painter.sent + 1, f"kill {kill}"
        assert checksums[last["undo"]] == last["checksum"], "what it showed is what is stored"
        assert cells == found, "each stroke is a cell"
        undo = found
    assert undo > KILLS
