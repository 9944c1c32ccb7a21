"""Proposals: packing, choosing, joining, files."""

from __future__ import annotations

import numpy as np
import pytest

from cellseg1.errors import ModelFileError
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.runs import runs_of

SHAPE = (37, 61)


def _random(seed: int, count: int = 12) -> tuple[Candidates, np.ndarray]:
    rng = np.random.default_rng(seed)
    frames = np.zeros((count, *SHAPE), bool)
    crops = []
    for i in range(count):
        h, w = rng.integers(0, 15, 2)
        y, x = rng.integers(0, SHAPE[0] - h), rng.integers(0, SHAPE[1] - w)
        crop = rng.random((h, w)) > 0.4
        frames[i, y : y + h, x : x + w] = crop
        crops.append((crop, (int(x), int(y))))
    made = Candidates.from_masks(
        crops,
        SHAPE,
        score=rng.random(count),
        stability=rng.random(count),
        point_xy=rng.random((count, 2)),
        view=rng.integers(0, 2, count),
        view_boxes=[(0, 0, 61, 37), (10, 0, 40, 37)],
        settings={"score": 0.3},
    )
    return made, frames


def test_masks_come_back():
    made, frames = _random(0)
    runs = runs_of(made)
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(made.full_mask(i), frame)
        np.testing.assert_array_equal(runs.raster(i), frame)
        crop, (y0, x0) = made.mask(i)
        x0_, y0_, x1, y1 = made.box_xyxy[i]
        assert (x0, y0) == (x0_, y0_)
        assert crop.shape == (y1 - y0_, x1 - x0_)
        assert crop.sum() == made.area[i]


def test_runs_in_chunks_are_the_same(monkeypatch):
    made, _ = _random(3, 40)
    whole = runs_of(made)
    monkeypatch.setattr("cellseg1.prediction.runs._CHUNK_PIXELS", 100)
    parts = runs_of(made)
    for name in ("mask", "y", "x0", "x1"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def test_subset_and_concatenate():
    made, frames = _random(1)
    chosen = made.subset([5, 2, 7])
    for place, i in enumerate((5, 2, 7)):
        np.testing.assert_array_equal(chosen.full_mask(place), frames[i])
    assert len(made.subset(made.score > 2)) == 0
    both = Candidates.concatenate([chosen, made.subset(made.area == 0), made])
    assert len(both) == 3 + (made.area == 0).sum() + 12
    assert len(both.view_boxes) == 2
    np.testing.assert_array_equal(both.full_mask(len(both) - 1), frames[-1])
    with pytest.raises(ValueError, match="joined"):
        Candidates.concatenate([])


@pytest.mark.parametrize("count", [0, 12])
def test_file(tmp_path, count):
    made, _ = _random(2, count)
    path = tmp_path / "Zellen ü" / "x.npz"
    made.save(path)
    back = Candidates.load(path)
    assert back.shape == SHAPE
    assert back.settings == {"score": 0.3}
    for name in ("box_xyxy", "area", "score", "stability", "point_xy", "view", "offsets", "packed", "view_boxes"):
        np.testing.assert_array_equal(getattr(back, name), getattr(made, name))
        assert getattr(back, name).dtype == getattr(made, name).dtype


def test_damaged_files(tmp_path):
    made, _ = _random(2)
    path = tmp_path / "x.npz"
    made.save(path)
    data = path.read_bytes()
    for bad in (b"", b"no zip", data[: len(data) // 2], data[:200] + bytes(60) + data[260:]):
        path.write_bytes(bad)
        with pytest.raises(ModelFileError, match="damaged"):
            Candidates.load(path)
    np.savez(path, header=np.zeros(3, np.uint8))
    with pytest.raises(ModelFileError, match="damaged"):
        Candidates.load(path)
    with pytest.raises(FileNotFoundError):
        Candidates.load(tmp_path / "none.npz")


def test_inconsistent_and_later_files(tmp_path, monkeypatch):
    made, _ = _random(2)
    path = tmp_path / "x.npz"
    monkeypatch.setattr("cellseg1.prediction.candidates.SCHEMA", 2)
    made.save(path)
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match="later version"):
        Candidates.load(path)
    columns = dict(made.__dict__)
    for name, value in {
        "score": made.score[:-1],
        "view": made.view + 9,
        "box_xyxy": made.box_xyxy + np.int32(1000),
        "offsets": made.offsets[:-1],
        "packed": made.packed[:-1],
    }.items():
        with pytest.raises(ValueError, match=name):
            Candidates(**{**columns, name: value})
