"""Choosing cells: against plain loops over full frames, and the corners of the rules."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from cellseg1.errors import SettingsError
from cellseg1.prediction.assemble import assemble
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.clean import without_small_regions
from cellseg1.prediction.runs import overlaps, runs_of
from cellseg1.prediction.select import Selector, SelectSettings, select

SHAPE = (48, 70)
ALL = SelectSettings(pred_iou_thresh=0, stability_score_thresh=0, max_mask_region_area_ratio=2, min_mask_region_area=0)


def _candidates(frames: np.ndarray, **columns: object) -> Candidates:
    count = len(frames)
    given = {"score": np.linspace(1, 0.9, count), "stability": np.ones(count)} | columns
    return Candidates.from_masks([(frame, (0, 0)) for frame in frames], frames.shape[1:], **given)


def _random_frames(rng: np.random.Generator, count: int) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    frames = np.zeros((count, *SHAPE), bool)
    for frame in frames:
        cy, cx = rng.uniform(0, SHAPE[0]), rng.uniform(0, SHAPE[1])
        frame |= ((y - cy) / rng.uniform(1, 9)) ** 2 + ((x - cx) / rng.uniform(1, 9)) ** 2 < 1
        frame &= rng.random(SHAPE) > 0.08
        frame |= rng.random(SHAPE) > 0.999
    return frames


def _random_candidates(seed: int, count: int = 60) -> tuple[Candidates, np.ndarray]:
    rng = np.random.default_rng(seed)
    frames = _random_frames(rng, count)
    made = _candidates(
        frames,
        score=np.round(rng.uniform(0.3, 1, count), 1),
        stability=np.round(rng.uniform(0.3, 1, count), 1),
        view=rng.integers(0, 3, count),
        view_boxes=[(0, 0, 70, 48)] * 3,
    )
    return made, frames


def _greedy(frames: np.ndarray, order: list[int], threshold: float) -> list[int]:
    kept: list[int] = []
    for i in order:
        rivals = [(frames[i] & frames[j]).sum() / max((frames[i] | frames[j]).sum(), 1) for j in kept]
        if all(np.float32(iou) <= np.float32(threshold) for iou in rivals):
            kept.append(i)
    return kept


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.3])
def test_suppression_is_the_greedy_walk(seed, threshold):
    made, frames = _random_candidates(seed)
    settings = SelectSettings(
        pred_iou_thresh=0.4,
        stability_score_thresh=0.5,
        crop_nms_thresh=threshold,
        max_mask_region_area_ratio=2,
        min_mask_region_area=0,
    )
    alive = [i for i in range(60) if made.score[i] > np.float32(0.4) and made.stability[i] >= np.float32(0.5)]
    merged: list[int] = []
    for view in range(3):
        own = sorted((i for i in alive if made.view[i] == view), key=lambda i: -made.score[i])
        merged += _greedy(frames, own, threshold)
    merged.sort(key=lambda i: -(made.score[i] * made.stability[i]))
    assert Selector(made).select(settings).kept.tolist() == _greedy(frames, merged, threshold)


def test_overlaps_between_two_sets():
    rng = np.random.default_rng(5)
    frames = _random_frames(rng, 30)
    runs = runs_of(_candidates(frames))
    one, other, pixels = overlaps(runs, np.arange(12))
    expected = np.einsum("iyx,jyx->ij", frames[:12].astype(int), frames.astype(int))
    table = np.zeros((12, 30), int)
    table[one, other] = pixels
    expected[np.arange(12), np.arange(12)] = 0
    np.testing.assert_array_equal(table, expected)


def _clean_by_opencv(mask: np.ndarray, threshold: int) -> np.ndarray:
    import cv2

    count, regions, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=8)
    for i in range(1, count):
        if stats[i, 4] < threshold:
            mask = mask | (regions == i)
    count, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = [i for i in range(1, count) if stats[i, 4] >= threshold]
    if count > 1 and not large:
        large = [1 + int(np.argmax(stats[1:, 4]))]
    return np.isin(regions, large)


@pytest.mark.parametrize("threshold", [1, 3, 20, 60, 2000])
def test_cleaning_in_crops_equals_the_full_frame(threshold):
    rng = np.random.default_rng(threshold)
    frames = _random_frames(rng, 40)
    frames[0] = True
    frames[1] = False
    frames[2] = True
    frames[2, :2, :3] = False
    frames[3] = False
    frames[3, 46:, :] = True
    frames[4, :, 1:] = True
    frames[4, :, 0] = False
    cleaned = without_small_regions(runs_of(_candidates(frames)), threshold)
    for i, frame in enumerate(frames):
        expected = _clean_by_opencv(frame, threshold)
        if cleaned.areas()[i] == expected.sum() < threshold:
            continue  # several equally large islands, all small: which one stays is nobody's rule
        np.testing.assert_array_equal(cleaned.raster(i), expected, err_msg=str(i))


def _largest(mask: np.ndarray) -> np.ndarray:
    regions, count = ndimage.label(mask)
    return regions == 1 + np.argmax(np.bincount(regions.ravel())[1:]) if count else mask


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("crossing", [False, True])
def test_assembly_against_plain_loops(seed, crossing):
    rng = np.random.default_rng(seed)
    frames = _random_frames(rng, 40)
    if crossing:  # bars of many lengths that cut each other many times over
        frames[:] = False
        for i, frame in enumerate(frames):
            y, x, length = rng.integers(0, 40), rng.integers(0, 60), rng.integers(10, 50)
            frame[(slice(y, y + 3), slice(x % 20, x % 20 + length))[:: 1 if i % 2 else -1]] = True
    order = np.argsort(-frames.sum(axis=(1, 2)), kind="stable")
    upstream = np.zeros(SHAPE, int)
    for number, i in enumerate(order):
        upstream[frames[i]] = 0
        upstream[_largest(frames[i])] = number + 1
    repaired = np.zeros(SHAPE, int)
    for number in range(len(order) - 1, -1, -1):
        repaired[_largest(_largest(frames[order[number]]) & (repaired == 0))] = number + 1
    runs = runs_of(_candidates(frames))
    for expected, flag in ((upstream, False), (repaired, True)):
        present = np.unique(expected[expected > 0])
        labels, cells, area = assemble(runs, repaired=flag)
        np.testing.assert_array_equal(cells, order[present - 1])
        np.testing.assert_array_equal(np.append(0, order + 1)[expected], np.append(0, cells + 1)[labels])
        np.testing.assert_array_equal(area, np.bincount(labels.ravel(), minlength=len(cells) + 1)[1:])


def test_a_cell_cut_in_two_keeps_its_larger_piece_and_shows_what_lies_below():
    frames = np.zeros((3, 20, 40), bool)
    frames[0, 1:19, 1:39] = True  # large, at the bottom
    frames[1, 8:12, 2:36] = True  # a bar on it
    frames[2, 6:14, 10:13] = True  # crosses the bar: its left piece is the smaller
    runs = runs_of(_candidates(frames))
    upstream = assemble(runs, repaired=False)[0]
    assert ndimage.label(upstream == 2)[1] == 2
    repaired = assemble(runs, repaired=True)[0]
    assert ndimage.label(repaired == 2)[1] == 1
    assert (repaired[8:12, 2:10] == 1).all()
    assert (repaired[8:12, 13:36] == 2).all()


def test_island_of_a_mask_does_not_erase_another():
    frames = np.zeros((2, 20, 40), bool)
    frames[0, 1:19, 1:20] = True
    frames[1, 2:10, 25:35] = True
    frames[1, 5, 5] = True
    runs = runs_of(_candidates(frames))
    assert assemble(runs, repaired=False)[0][5, 5] == 0
    assert assemble(runs, repaired=True)[0][5, 5] == 1


@pytest.mark.parametrize("seed", range(3))
def test_selecting_again_equals_a_fresh_run(seed):
    made, _ = _random_candidates(seed, 80)
    used = Selector(made)
    rng = np.random.default_rng(seed)
    choices = [SelectSettings(pred_iou_thresh=0.9), SelectSettings(pred_iou_thresh=0.3)]
    choices += [
        SelectSettings(
            pred_iou_thresh=rng.uniform(0.2, 0.9),
            stability_score_thresh=rng.uniform(0.2, 0.9),
            crop_nms_thresh=rng.uniform(0, 0.6),
            min_mask_region_area=int(rng.integers(0, 40)),
            min_cell_area=int(rng.integers(0, 40)),
            max_cell_area=int(rng.integers(60, 200)),
            overlap_boxes=str(rng.choice(["inclusive", "exact"])),
            assemble=str(rng.choice(["upstream", "repaired"])),
            second_nms=str(rng.choice(["upstream", "repaired"])),
        )
        for _ in range(12)
    ]
    for settings in choices + choices[::-1]:
        again, fresh = used.select(settings), select(made, settings)
        for name in ("labels", "cells", "score", "stability", "area", "kept"):
            np.testing.assert_array_equal(getattr(again, name), getattr(fresh, name))


def test_duplicates_one_pixel_wide():
    frames = np.zeros((2, *SHAPE), bool)
    frames[:, 5, 10:30] = True
    selector = Selector(_candidates(frames))
    assert selector.select(ALL).kept.tolist() == [0]
    inclusive = SelectSettings(**{**_as_dict(ALL), "overlap_boxes": "inclusive"})
    assert selector.select(inclusive).kept.tolist() == [0, 1]


def _as_dict(settings: SelectSettings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in settings.__slots__}


def test_no_proposals_empty_masks_and_single_pixels():
    assert select(_candidates(np.zeros((0, *SHAPE), bool))).labels.shape == SHAPE
    frames = np.zeros((3, *SHAPE), bool)
    frames[1, 0, 0] = frames[2, 47, 69] = True
    for settings in (SelectSettings(), ALL):
        result = select(_candidates(frames), settings)
        assert result.kept.tolist() == [0, 1, 2]
        assert result.cells.tolist() == [1, 2]
        assert result.area.tolist() == [1, 1]
        assert result.labels[0, 0] == 1
        assert result.labels[47, 69] == 2
        assert result.labels.dtype == np.int32
    nothing = select(_candidates(frames[:1]))
    assert not nothing.labels.any()
    assert len(nothing.cells) == 0


def test_equal_scores_keep_the_earlier():
    frames = np.zeros((4, *SHAPE), bool)
    frames[:, 5:15, 5:15] = True
    made = _candidates(frames, score=np.ones(4), view=[1, 0, 1, 0], view_boxes=[(0, 0, 70, 48)] * 2)
    assert select(made, ALL).kept.tolist() == [1]


def test_thresholds_are_strict_where_the_method_is():
    frames = np.zeros((1, 20, 50), bool)
    frames[0, :10, :10] = True
    made = _candidates(frames, score=[0.8], stability=[0.6])
    assert len(select(made).kept) == 0
    looser = SelectSettings(pred_iou_thresh=0.79, max_mask_region_area_ratio=0.11)
    assert len(select(made, looser).kept) == 1
    assert len(select(made, SelectSettings(pred_iou_thresh=0.79)).kept) == 0  # 100 of 1000 px is not less than 10 %


def test_cleaning_makes_duplicates_which_are_dropped():
    frames = np.zeros((2, *SHAPE), bool)
    frames[0, 10:20, 10:20] = True
    frames[0, 13:17, 13:17] = False  # a ring
    frames[1, 13:17, 13:17] = True  # what fills it
    selector = Selector(_candidates(frames))
    assert selector.select(SelectSettings()).kept.tolist() == [0]
    assert selector.select(SelectSettings(second_nms="upstream")).kept.tolist() == [1, 0]


def test_cell_sizes():
    frames = np.zeros((2, *SHAPE), bool)
    frames[0, 2:12, 2:12] = True
    frames[1, 20:25, 20:25] = True
    selector = Selector(_candidates(frames))
    assert selector.select(SelectSettings(min_cell_area=26)).cells.tolist() == [0]
    assert selector.select(SelectSettings(min_cell_area=25)).cells.tolist() == [0, 1]
    assert selector.select(SelectSettings(max_cell_area=99)).cells.tolist() == [1]
    covered = np.zeros((2, *SHAPE), bool)
    covered[0, 2:12, 2:12] = True
    covered[1, 2:12, 3:12] = True
    hidden = Selector(_candidates(covered)).select(SelectSettings(crop_nms_thresh=1, min_cell_area=11))
    assert hidden.cells.tolist() == [1]
    assert set(np.unique(hidden.labels)) == {0, 1}


@pytest.mark.parametrize(
    "wrong",
    [{"crop_nms_thresh": 2}, {"min_mask_region_area": -1}, {"max_cell_area": -5}, {"assemble": "other"}],
)
def test_settings_out_of_range(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        SelectSettings(**wrong)


def test_neither_torch_nor_qt_is_imported():
    code = (
        "import sys, numpy as np; from cellseg1.prediction.candidates import Candidates;"
        "from cellseg1.prediction.select import select; from cellseg1.prediction import overlay;"
        "import cellseg1.evaluation;"
        "m = np.ones((5, 6), bool);"
        "select(Candidates.from_masks([(m, (2, 3))], (90, 80), score=[1], stability=[1]));"
        "assert not {'torch', 'PySide6'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
