"""AP and matching against the published code (golden f)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cellseg1.evaluation import DEFAULT_THRESHOLDS, average_precision, evaluate_labels, match_ious, overlap_table

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "f_average_precision.npz") as stored:
        return {name: stored[name] for name in stored.files}


def test_default_thresholds(golden):
    np.testing.assert_allclose(DEFAULT_THRESHOLDS, golden["thresholds"], atol=1e-12)


@pytest.mark.parametrize("pair", range(12))
def test_pairs(golden, pair):
    result = average_precision(golden["true"][pair], golden["pred"][pair], golden["thresholds"])
    true = golden["true"][pair]
    gaps = int(true.max()) - len(np.unique(true[true > 0]))
    assert gaps == (2 if pair == 11 else 0)
    # Upstream counts the gaps of pair 11 as missed objects; the truth numbered without gaps has none.
    tp, fp, fn = golden["tp"][pair], golden["fp"][pair], golden["fn"][pair] - gaps
    for got, expected in zip(result, (tp / np.maximum(tp + fp + fn, 1), tp, fp, fn), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)
    if not gaps:
        np.testing.assert_allclose(result[0], golden["ap"][pair], atol=1e-6)


def test_pair_eleven_renumbered(golden):
    true, pred = golden["true"][11], golden["pred"][11]
    compact = np.unique(true, return_inverse=True)[1].reshape(true.shape)
    a, b = evaluate_labels(true, pred), evaluate_labels(compact, pred)
    assert (a.ap, a.pq, a.seg, a.n_true) == (b.ap, b.pq, b.seg, b.n_true)


def test_iou_and_best_partners(golden):
    table = overlap_table(golden["true"][0], golden["pred"][0])
    with_background = golden["iou_pair0"]
    inner = with_background[1:, 1:] if with_background.shape[0] == len(table.true.ids) + 1 else with_background
    np.testing.assert_allclose(table.iou_matrix(), inner, atol=1e-12)
    iou, partner = match_ious(table)
    np.testing.assert_allclose(iou, golden["mask_ious_pair0"], atol=1e-12)
    np.testing.assert_array_equal(partner[iou > 0], golden["mask_ious_pred_pair0"][iou > 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_label_types(golden, dtype):
    expected = average_precision(golden["true"][1], golden["pred"][1])
    result = average_precision(golden["true"][1].astype(dtype), golden["pred"][1].astype(dtype))
    for a, b in zip(result, expected, strict=True):
        np.testing.assert_array_equal(a, b)
