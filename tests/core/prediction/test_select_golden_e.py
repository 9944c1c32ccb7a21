"""Mask suppression, cleaning and assembly against the published code (golden e)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cellseg1.prediction.assemble import assemble
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.clean import without_small_regions
from cellseg1.prediction.runs import Runs, runs_of
from cellseg1.prediction.select import Selector, SelectSettings

GOLDEN = Path(__file__).parents[2] / "golden"
THRESHOLDS = (0, 5, 30, 50, 70)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "e_mask_nms.npz") as stored:
        return {name: stored[name] for name in stored.files}


@pytest.fixture(scope="module")
def masks(golden) -> np.ndarray:
    return np.unpackbits(golden["masks_packed"], axis=-1, count=160).astype(bool)


@pytest.fixture(scope="module")
def candidates(golden, masks) -> Candidates:
    ones = np.ones(len(masks))
    return Candidates.from_masks(
        [(mask, (0, 0)) for mask in masks], masks.shape[1:], score=golden["scores"], stability=ones
    )


def _settings(threshold: int, boxes: str) -> SelectSettings:
    return SelectSettings(
        pred_iou_thresh=-1.0,
        crop_nms_thresh=threshold / 100,
        max_mask_region_area_ratio=2.0,
        min_mask_region_area=0,
        overlap_boxes=boxes,
        assemble="upstream",
        second_nms="upstream",
    )


def test_boxes_and_areas(golden, candidates):
    filled = golden["areas"] > 0
    expected = golden["boxes_xyxy"] + np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(candidates.box_xyxy[filled], expected[filled])
    np.testing.assert_array_equal(candidates.area, golden["areas"])
    runs = runs_of(candidates)
    np.testing.assert_array_equal(runs.boxes(), candidates.box_xyxy)
    np.testing.assert_array_equal(runs.areas(), golden["areas"])


def test_iou_matrix(golden, candidates):
    selector = Selector(candidates)
    first, second, iou = selector.overlapping_pairs()
    matrix = np.eye(60, dtype=np.float32)
    shown = ~selector._lines_only
    matrix[first[shown], second[shown]] = matrix[second[shown], first[shown]] = iou[shown]
    np.testing.assert_allclose(matrix, golden["iou_matrix"], atol=1e-7)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize(("boxes", "name"), [("inclusive", "keep_opt"), ("exact", "keep_not_opt")])
def test_suppression(golden, candidates, threshold, boxes, name):
    kept = Selector(candidates).select(_settings(threshold, boxes)).kept
    np.testing.assert_array_equal(kept, golden[f"{name}_{threshold:03d}"])


@pytest.mark.parametrize("threshold", [5, 50])
def test_label_image(golden, candidates, threshold):
    result = Selector(candidates).select(_settings(threshold, "inclusive"))
    expected = golden[f"label_image_from_keep_{threshold:03d}"]
    np.testing.assert_array_equal(result.labels, expected)
    np.testing.assert_array_equal(result.area, np.bincount(expected.ravel())[1:])


def test_repaired_assembly_makes_single_pieces(golden, candidates):
    from scipy import ndimage

    chosen = runs_of(candidates).take(golden["keep_opt_050"])
    labels, order, area = assemble(chosen, repaired=True)
    assert len(order) == len(area) == labels.max()
    for number in range(1, labels.max() + 1):
        assert ndimage.label(labels == number)[1] == 1


def test_small_regions(golden, candidates, masks):
    runs = runs_of(candidates).take(np.arange(56))
    cleaned = without_small_regions(runs, 20)
    expected = np.unpackbits(golden["small_regions_cleaned_packed"], axis=-1, count=160).astype(bool)
    for i in range(56):
        np.testing.assert_array_equal(cleaned.raster(i), expected[i])
    changed = np.array([(expected[i] != masks[i]).any() for i in range(56)])
    np.testing.assert_array_equal(changed, golden["small_regions_changed"])
    assert isinstance(cleaned, Runs)
