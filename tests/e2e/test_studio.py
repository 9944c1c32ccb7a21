"""The whole work of a biologist in the real window, by mouse and keys, through a crash and out of it again."""

import json
import os
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from desktop import JOB, LateError, until

from app.project.project import Project

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs an X server of its own")

#: As typed into the form; and after how many steps the training is stopped and kept, which even a busy computer does
#: in some seconds.
EPOCHS, STEPS = 5, 4


def truth_of(studio, name):
    """Return the label image that lies beside the sample."""
    path = Path(studio.now()["project"]) / "truth" / name
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.int32)


def nuclei(labels, count):
    """Return the largest nuclei that do not touch the border: (id, rows, columns)."""
    found = []
    for cell in np.unique(labels[labels > 0]):
        rows, columns = np.nonzero(labels == cell)
        if min(rows.min(), columns.min()) > 8 and max(rows.max(), columns.max()) < min(labels.shape) - 9:
            found.append((len(rows), int(cell), rows, columns))
    found.sort(key=lambda one: -one[0])
    return [one[1:] for one in found[:count]]


def axis_of(rows, columns, share):
    """Return the middle of a nucleus and the ends of its long axis (x, y), shortened to a share."""
    points = np.stack([columns, rows], axis=1) + 0.5
    middle = points.mean(axis=0)
    _values, vectors = np.linalg.eigh(np.cov((points - middle).T))
    along = (points - middle) @ vectors[:, 1]
    half = share * (along.max() - along.min()) / 2
    return tuple(middle), tuple(middle - half * vectors[:, 1]), tuple(middle + half * vectors[:, 1])


def document(state):
    return state["document"]


def seen(picture, canvas, labels):
    """Return how much stronger colours are on the screen where there are cells than beside them (0 to 255).

    The images of the sample are grey: whatever is coloured on them is a cell.
    """
    height, width = labels.shape
    rows, columns = np.mgrid[0:height, 0:width]
    screen_x = np.round(canvas["origin"][0] + (columns + 0.5) * canvas["zoom"]).astype(int)
    screen_y = np.round(canvas["origin"][1] + (rows + 0.5) * canvas["zoom"]).astype(int)
    left, top, across, down = canvas["rect"]
    inside = (screen_x >= left) & (screen_x < left + across) & (screen_y >= top) & (screen_y < top + down)
    # The scale bar covers the corner.
    inside &= (rows < height * 0.9) | (columns < width * 0.65)
    colours = picture[screen_y.clip(0, picture.shape[0] - 1), screen_x.clip(0, picture.shape[1] - 1)].astype(int)
    strength = colours.max(axis=2) - colours.min(axis=2)
    # Lines are softened: leave out what is near an edge.
    near = np.ones((5, 5))
    values = labels.astype(np.float32)
    edge = cv2.dilate(values, near) != cv2.erode(values, near)
    return strength, inside & ~edge


def assert_seen(desktop, studio, labels):
    """Every cell has colour on the screen, and the background has none."""
    studio.desktop.hands("mousemove", 683, 4)
    canvas = studio.fresh()["canvas"]

    def shown():
        return shows(desktop.picture(), canvas, labels)

    until(shown, "the cells on the screen", 20)
    # So that it cannot be true of just any picture.
    assert not shows(desktop.picture(), canvas, np.roll(labels, 40, axis=1))


def shows(picture, canvas, labels):
    """Whether there is colour on the screen just where these cells are."""
    strength, clear = seen(picture, canvas, labels)
    if np.median(strength[clear & (labels == 0)]) > 4:
        return False
    cells = [cell for cell in np.unique(labels[labels > 0]) if (clear & (labels == cell)).sum() > 20]
    return bool(cells) and all(np.median(strength[clear & (labels == cell)]) > 15 for cell in cells)


def stored(folder):
    """Read the project as it is on the disk: {image id: (cells, checksum of the labels, labels)}."""
    with Project.open(folder) as project:
        assert not project.read_only, project.why_read_only
        assert project.damage == []
        found = {}
        for image in project.images:
            plane = project.drawings.document(image.id)
            found[image.id] = (len(plane.cells), zlib.crc32(plane.labels.tobytes()), plane.labels.copy())
            assert project.images.get(image.id).cells == len(plane.cells)
        return found


def test_from_the_sample_to_a_crash_and_back(desktop):
    clock = Clock()
    studio = desktop.start("--sample")
    state = studio.wait(lambda now: now["document"]["cells"] > 20 and now["canvas"]["rect"], "the sample")
    first = state["image"]
    assert state["name"] == "nuclei_a.png"
    assert len(state["images"]) == 4
    clock.lap("sample")

    painted = paint_undo_redo(studio)
    clock.lap("painted")
    click_a_cell(studio)
    clock.lap("clicked")
    split_a_cell(studio, painted)
    clock.lap("split")
    train(studio)
    clock.lap("trained")
    predict_all(studio)
    clock.lap("predicted")
    accept_and_correct(studio)
    clock.lap("reviewed")
    compare(studio)
    clock.lap("compared")

    # An edit in the last moment: it is in the journal before the next one can begin.
    before = document(studio.now())
    studio.press("4 Review")
    studio.wait(lambda now: now["page"] == "review", "step 4")
    studio.key("Escape", "b")
    studio.wait(lambda now: now["canvas"]["tool"] == "brush", "the brush")
    studio.stroke(*free_place(studio))
    last = studio.wait(lambda now: document(now)["undo"] == before["undo"] + 1, "the last stroke")
    studio.kill()
    until(lambda: not desktop.programs(), "the end of the engines", 30)
    clock.lap("killed")

    folder = Path(last["project"])
    found = stored(folder)
    for image_id, expected in last["planes"].items():
        cells, checksum, _labels = found[image_id]
        assert cells == expected["cells"]
        assert checksum == expected["checksum"]
    assert set(last["planes"]) >= {first, last["images"]["nuclei_b.png"], last["images"]["nuclei_c.png"]}
    clock.lap("read")

    reopened(desktop, last, found)
    clock.lap("reopened")
    print(clock)


def paint_undo_redo(studio):
    """Next image; three nuclei with the brush, undo twice, redo twice; returns the long axes of the nuclei."""
    studio.press("nuclei_b.png", "row")
    studio.wait(lambda now: now["name"] == "nuclei_b.png" and document(now)["cells"] == 0, "the next image")
    studio.key("b")
    studio.wait(lambda now: now["canvas"]["tool"] == "brush", "the brush")
    axes = [axis_of(rows, columns, 0.55) for _cell, rows, columns in nuclei(truth_of(studio, "nuclei_b.png"), 3)]
    checksums = [document(studio.now())["checksum"]]
    for number, (middle, start, end) in enumerate(axes, 1):
        studio.stroke(start, middle, end)
        state = studio.wait(lambda now, n=number: (document(now)["cells"], document(now)["undo"]) == (n, n), "a cell")
        checksums.append(document(state)["checksum"])
    assert len(set(checksums)) == 4
    studio.key("ctrl+z", "ctrl+z")
    studio.wait(lambda now: (document(now)["checksum"], document(now)["redo"]) == (checksums[1], 2), "two undone")
    studio.key("ctrl+shift+z", "ctrl+y")
    studio.wait(lambda now: (document(now)["checksum"], document(now)["undo"]) == (checksums[3], 3), "two done again")
    return axes


def click_a_cell(studio):
    """C, wait until the engine is ready, click a nucleus, Enter."""
    _cell, rows, columns = nuclei(truth_of(studio, "nuclei_b.png"), 4)[3]
    studio.key("c")
    studio.wait(lambda now: now["canvas"]["tool"] == "click", "the click tool")
    studio.wait(lambda now: now["clicks"] == "ready", "the engine for clicks")
    studio.click(columns.mean() + 0.5, rows.mean() + 0.5)
    studio.wait(lambda now: now["canvas"]["preview"], "the preview")
    studio.key("Return")
    state = studio.wait(lambda now: document(now)["cells"] == 4 and not now["canvas"]["preview"], "the clicked cell")
    assert document(state)["undo"] == 4


def split_a_cell(studio, axes):
    """X, a line across the first painted cell."""
    (x, y), start, end = axes[0]
    studio.key("Escape", "x")
    studio.wait(lambda now: now["canvas"]["tool"] == "split", "the split tool")
    along = np.subtract(end, start) / np.hypot(*np.subtract(end, start))
    across = 20 * np.array([-along[1], along[0]])
    studio.stroke((x - across[0], y - across[1]), (x + across[0], y + across[1]))
    studio.wait(lambda now: (document(now)["cells"], document(now)["undo"]) == (5, 5), "two halves")


def train(studio):
    """Mark for training, a few epochs, and wait for the model."""
    studio.press("Use this image for training")
    studio.wait(lambda now: document(now)["training"] and document(now)["undo"] == 6, "the mark for training")
    studio.key("ctrl+2")
    studio.wait(lambda now: now["page"] == "train", "step 2")
    studio.press("Advanced")
    studio.press("Epochs", "QLineEdit")
    studio.wait(lambda now: any(one["name"] == "Epochs" and one.get("focus") for one in now["things"]), "the field")
    studio.key("ctrl+a")
    studio.type(str(EPOCHS))
    typed = str(EPOCHS)
    studio.wait(lambda now: any(one["name"] == "Epochs" and one.get("text") == typed for one in now["things"]), typed)
    studio.press("Train", "QPushButton")
    studio.wait(lambda now: now["jobs"] and now["jobs"][0]["kind"] == "train", "the training")
    state = studio.wait(lambda now: now["jobs"][0]["step"] >= STEPS, f"{STEPS} steps", JOB)
    # As many epochs as it says in the form; how many tiles one has is a setting.
    assert state["jobs"][0]["steps"] % EPOCHS == 0
    studio.press("Stop and keep", "QPushButton")
    state = studio.wait(lambda now: not now["jobs"] and now["model"], "the model", JOB)
    assert state["runs"][-1]["state"] == "stopped"
    assert (Path(state["project"]) / "models" / state["model"]).is_file()


def predict_all(studio):
    """Step 3, all images."""
    studio.press("3 Predict")
    studio.wait(lambda now: now["page"] == "predict", "step 3")
    studio.choose("Images", "All: 4")
    studio.key("ctrl+Return")
    studio.wait(lambda now: now["jobs"] and now["jobs"][0]["kind"] == "predict", "the prediction")
    state = studio.wait(lambda now: not now["jobs"] and now["runs"][-1]["kind"] == "predict", "the result", JOB)
    assert state["runs"][-1]["state"] == "finished"


def accept_and_correct(studio):
    """Step 4 on an image without cells: accept all, delete one, erase a part of another, undo and redo."""
    studio.press("nuclei_c.png", "row")
    studio.wait(lambda now: now["name"] == "nuclei_c.png" and document(now)["cells"] == 0, "another image")
    studio.press("4 Review")
    state = studio.wait(lambda now: now["page"] == "review" and now["offered"] > 3 and not now["choosing"], "proposals")
    offered = state["offered"]
    studio.press("Accept all*")
    state = studio.wait(lambda now: document(now)["undo"] == 1 and document(now)["cells"] > 3, "the accepted cells")
    assert document(state)["cells"] <= offered
    cells, everything = document(state)["cells"], document(state)["checksum"]
    studio.press("Delete", "ToolButton")
    studio.wait(lambda now: now["canvas"]["tool"] == "delete", "the delete tool")
    deleted = False
    for _cell, rows, columns in nuclei(truth_of(studio, "nuclei_c.png"), 8):
        studio.click(columns.mean() + 0.5, rows.mean() + 0.5)
        try:
            state = studio.wait(lambda now: document(now)["cells"] == cells - 1, "a cell less", 3)
        except LateError:
            continue
        deleted = True
        break
    assert deleted
    without = document(state)["checksum"]
    studio.key("ctrl+z")
    studio.wait(lambda now: document(now)["checksum"] == everything, "the cell again")
    studio.key("ctrl+y")
    studio.wait(lambda now: document(now)["checksum"] == without, "the cell gone again")


def compare(studio):
    """Step 5: accuracy of the prediction against the cells of the project."""
    studio.press("5 Measure")
    studio.wait(lambda now: now["page"] == "measure", "step 5")
    studio.choose("Truth", "All drawn cells", "TruthBox")
    studio.key("ctrl+Return")
    state = studio.wait(lambda now: now["accuracy"] >= 3, "the accuracy")
    headline = next(one["name"] for one in state["things"] if one["kind"] == "text" and one["name"].startswith("AP 0."))
    assert 0.05 < float(headline.removeprefix("AP ")) <= 1


def free_place(studio):
    """Return two image positions with nothing around them."""
    state = studio.now()
    labels = truth_of(studio, state["name"])
    free = cv2.distanceTransform((labels == 0).astype(np.uint8), cv2.DIST_L2, 5)
    free[:20], free[-20:], free[:, :20], free[:, -20:] = 0, 0, 0, 0
    y, x = np.unravel_index(free.argmax(), free.shape)
    return (x - 3, y), (x + 4, y + 1)


def reopened(desktop, before, found):
    """A new process opens the project from the start page: everything is there, and can be undone."""
    studio = desktop.start()
    studio.wait(lambda now: now["page"] == "start" and now["window"], "the start page")
    studio.press("Sample*", "RecentCard")
    state = studio.wait(lambda now: now["document"], "the project")
    assert not state["read_only"]
    assert state["counts"] == {image_id: cells for image_id, (cells, _sum, _labels) in found.items()}
    assert state["image"] == before["image"], "the image that was shown last"
    assert state["runs"] == before["runs"]
    for name in ("nuclei_b.png", "nuclei_c.png"):
        studio.press(name, "row")
        state = studio.wait(lambda now, name=name: now["name"] == name and now["document"], name)
        expected = before["planes"][state["image"]]
        assert document(state)["checksum"] == expected["checksum"]
        assert document(state)["undo"] == expected["undo"]
        assert document(state)["redo"] == expected["redo"]
        assert_seen(desktop, studio, found[state["image"]][2])
    # nuclei_c is shown: the last stroke, the deleted cell and all that was accepted go, one after the other.
    for undone in range(1, expected["undo"] + 1):
        studio.key("ctrl+z")
        state = studio.wait(
            lambda now, n=undone: (document(now)["undo"], document(now)["redo"]) == (expected["undo"] - n, n), "undo"
        )
    assert document(state)["cells"] == 0
    for _step in range(expected["undo"]):
        studio.key("ctrl+y")
    studio.wait(lambda now: document(now)["checksum"] == expected["checksum"], "everything again")
    studio.key("ctrl+q")
    until(lambda: studio.process.poll() is not None, "the end of the program")
    assert studio.process.returncode == 0, studio.words()
    until(lambda: not desktop.programs(), "the end of all processes", 20)
    assert "Traceback" not in studio.words()


class Clock:
    """What took how long."""

    def __init__(self):
        self.last = time.monotonic()
        self.laps = {}

    def lap(self, name):
        now = time.monotonic()
        self.laps[name] = round(now - self.last, 1)
        self.last = now
        print(f"{name}: {self.laps[name]} s")

    def __str__(self):
        return json.dumps(self.laps | {"whole": round(sum(self.laps.values()), 1)})
