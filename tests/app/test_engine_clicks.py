"""Clicks in a real child process."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from engine_help import alive, discs, wait_for

from cellseg1.bundled import resource_path
from cellseg1.images import read_image, resize_image, resize_mask
from cellseg1.masks import read_mask


class Listener:
    """Remembers what an interactive engine said."""

    def __init__(self, engine):
        self.engine = engine
        self.encoded, self.masks, self.failed = [], {}, []
        engine.encoded.connect(lambda key, seconds: self.encoded.append((key, seconds)))
        engine.masks.connect(lambda number, mask: self.masks.update({number: mask}))
        engine.failed.connect(lambda *words: self.failed.append(words))

    def clear(self):
        self.encoded.clear()
        self.masks.clear()
        self.failed.clear()

    def encode(self, key, *arguments, **more):
        before = len(self.encoded)
        self.engine.encode(key, *arguments, device="cpu", **more)
        wait_for(lambda: len(self.encoded) > before or self.failed)
        return self.encoded[-1][1]

    def click(self, key, points=(), box=None):
        number = self.engine.click(key, points, box)
        wait_for(lambda: number in self.masks or self.failed)
        assert not self.failed, self.failed
        return self.masks[number]


@pytest.fixture(scope="module")
def shared_engine(qapp):
    from app.engine.jobs import Interactive
    from app.engine.messages import EngineOptions

    engine = Interactive(EngineOptions("interactive", threads=1, nice=5))
    listener = Listener(engine)
    listener.encode("warm", np.repeat(discs(64, 80)[0][..., None], 3, axis=2))
    yield listener
    engine.close(3)
    engine.join()


@pytest.fixture
def listener(shared_engine):
    shared_engine.clear()
    return shared_engine


@pytest.fixture(scope="module")
def picture():
    """A part of the sample that is not square, with its true cells."""
    sample = resource_path("sample_project") / "train"
    pixels = read_image(sample / "images" / "nuclei_a.png").plane()[20:196, 8:248]
    labels = read_mask(sample / "masks" / "nuclei_a.png").labels[20:196, 8:248]
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels), labels


def whole(mask, shape):
    frame = np.zeros(shape, bool)
    top, left, bottom, right = mask.box
    assert mask.mask.shape == (bottom - top, right - left)
    frame[top:bottom, left:right] = mask.mask
    return frame


def iou(one, other):
    return (one & other).sum() / max(1, (one | other).sum())


def inner_cells(labels, margin=4):
    """Cells away from the border with a point deep inside each (x, y)."""
    from scipy.ndimage import distance_transform_edt

    found = []
    for cell in np.unique(labels)[1:]:
        depth = distance_transform_edt(labels == cell)
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        rows, columns = np.nonzero(labels == cell)
        inside = margin <= rows.min() and rows.max() < labels.shape[0] - margin
        if inside and margin <= columns.min() and columns.max() < labels.shape[1] - margin and depth.max() > 5:
            found.append((int(cell), float(x) + 0.5, float(y) + 0.5))
    return found


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_a_click_gives_the_clicked_cell(listener, picture, factor):
    pixels, labels = picture
    if factor != 1:
        size = (round(pixels.shape[0] * factor), round(pixels.shape[1] * factor))
        pixels, labels = resize_image(pixels, size), resize_mask(labels, size)
    listener.encode(f"sample {factor}", pixels, scale=1 / factor)
    scores, values = [], []
    cells = inner_cells(labels)
    assert len(cells) >= 5
    for cell, x, y in cells:
        mask = listener.click(f"sample {factor}", [(x, y, 1)])
        values.append(iou(whole(mask, labels.shape), labels == cell))
        scores.append(mask.score)
    assert np.median(values) > 0.7
    assert np.mean(np.array(values) > 0.5) > 0.7
    assert 0.5 < np.median(scores) <= 1
    # A shift of two pixels, such as a wrong half pixel or exchanged axes make, would show.
    cell, x, y = cells[int(np.argmax(values))]
    best = whole(listener.click(f"sample {factor}", [(x, y, 1)]), labels.shape)
    found, truth = (np.mean(np.nonzero(one), axis=1) for one in (best, labels == cell))
    assert np.abs(found - truth).max() < 1.5 * factor


def test_the_background_has_a_low_score(listener, picture):
    pixels, labels = picture
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(labels == 0)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    listener.encode("sample", pixels)
    inside = [listener.click("sample", [(x, y, 1)]).score for _, x, y in inner_cells(labels)]
    assert listener.click("sample", [(x + 0.5, y + 0.5, 1)]).score < np.median(inside) - 0.2


def test_a_box_and_negative_points(listener, picture):
    pixels, labels = picture
    listener.encode("sample", pixels)
    values, kept = [], []
    cells = inner_cells(labels)
    for cell, x, y in cells:
        rows, columns = np.nonzero(labels == cell)
        box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        values.append(iou(whole(listener.click("sample", box=box), labels.shape), labels == cell))
        others = [(ox, oy, 0) for other, ox, oy in cells if other != cell]
        near = min(others, key=lambda place: (place[0] - x) ** 2 + (place[1] - y) ** 2)
        found = whole(listener.click("sample", [(x, y, 1), near]), labels.shape)
        assert not found[int(near[1]), int(near[0])]
        kept.append(iou(found, labels == cell))
    assert np.median(values) > 0.7
    assert np.median(kept) > 0.6
    empty = listener.click("sample", [(30.0, 30.0, 0)])
    assert (empty.box, empty.mask.size, empty.score) == ((0, 0, 0, 0), 0, 0.0)


def test_the_last_four_images_stay_prepared(listener, picture):
    pixels, _labels = picture
    for number in range(4):
        assert listener.encode(f"kept {number}", pixels[number:]) > 0
    for number in range(4):
        assert listener.encode(f"kept {number}", pixels[number:]) == 0
    listener.encode("kept 4", pixels[4:])
    assert listener.encode("kept 3", pixels[3:]) == 0
    assert listener.encode("kept 0", pixels) > 0
    # Another scale is another preparation.
    assert listener.encode("kept 3", pixels[3:], scale=1.2) > 0


def test_a_large_image_is_prepared_part_by_part(listener, picture):
    pixels, labels = picture
    big = np.tile(pixels, (5, 4, 1))
    seconds = listener.encode("big", big, at=(10.0, 10.0))
    cell, x, y = inner_cells(labels)[0]
    far = (x + 3 * pixels.shape[1], y + 4 * pixels.shape[0])
    mask = whole(listener.click("big", [(*far, 1)]), big.shape[:2])
    truth = np.zeros(big.shape[:2], bool)
    truth[4 * pixels.shape[0] :, 3 * pixels.shape[1] :] = labels == cell
    assert iou(mask, truth) > 0.5
    assert seconds < 3


def test_what_cannot_be_prepared_is_told_with_its_traceback(listener, picture, tmp_path):
    listener.engine.encode("sample", picture[0], tmp_path / "none.cs1", device="cpu")
    wait_for(lambda: listener.failed)
    assert "none.cs1" in listener.failed[0][0]
    assert "Traceback" in listener.failed[0][1]


def test_late_answers_are_dropped(listener, picture):
    pixels, labels = picture
    listener.encode("sample", pixels)
    cells = inner_cells(labels)
    numbers = [listener.engine.click("sample", [(x, y, 1)]) for _, x, y in cells]
    wait_for(lambda: numbers[-1] in listener.masks)
    wait_for(lambda: not listener.engine.busy)
    assert list(listener.masks) == numbers[-1:]
    with pytest.raises(KeyError):
        listener.engine.click("never encoded", [(1, 1, 1)])


def test_going_through_images_prepares_only_the_last(listener, picture):
    pixels, _ = picture
    for number in range(6):
        listener.engine.encode(f"passing {number}", pixels[:, number:], device="cpu")
    wait_for(lambda: not listener.engine.busy)
    keys = [key for key, _ in listener.encoded]
    assert keys[-1] == "passing 5"
    assert len(keys) < 6


def test_the_computer_is_examined(listener):
    reports = []
    listener.engine.examine(reports.append)
    wait_for(lambda: reports)
    assert reports[0]["threads"] == 1


def test_shared_memory_is_gone(listener, picture):
    listener.encode("sample", picture[0])
    wait_for(lambda: not listener.engine.busy)
    folder = Path("/dev/shm")
    assert not list(folder.glob(f"cs1-{os.getpid()}-*"))


def test_killed_idle_and_started_again(qapp, picture):
    """In one engine: a crash while it prepares, a click that brings it back, idling, another click."""
    from app.engine.jobs import Interactive
    from app.engine.messages import EngineOptions

    pixels, labels = picture
    _, x, y = inner_cells(labels)[0]
    engine = Interactive(EngineOptions("interactive", threads=1))
    heard = Listener(engine)
    try:
        assert engine.pid is None
        heard.encode("a", pixels)
        before = heard.click("a", [(x, y, 1)])
        first = engine.pid
        os.kill(first, signal.SIGSTOP)
        engine.encode("b", np.tile(pixels, (2, 2, 1)), device="cpu")
        time.sleep(0.2)
        assert list(Path("/dev/shm").glob(f"cs1-{os.getpid()}-*"))
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: heard.failed)
        assert "Nothing you drew was lost" in heard.failed[0][0]
        assert "SIGKILL" in heard.failed[0][1]
        assert engine.pid is None
        assert not list(Path("/dev/shm").glob(f"cs1-{os.getpid()}-*"))
        heard.failed.clear()
        # Nobody prepared the image again: the engine does it by itself.
        after = heard.click("a", [(x, y, 1)])
        second = engine.pid
        assert second not in (None, first)
        assert after.box == before.box
        assert np.array_equal(after.mask, before.mask)
        engine.idle_seconds = 0.05
        heard.click("a", [(x, y, 1)])
        wait_for(lambda: engine.pid is None)
        wait_for(lambda: not alive(second))
        wait_for(lambda: not engine._leaving)
        assert not heard.failed
    finally:
        engine.close(3)
        engine.join()
