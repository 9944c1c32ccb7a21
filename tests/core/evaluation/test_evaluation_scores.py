"""Scores, mistakes and reports."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from cellseg1.errors import CellSeg1Error, MaskError, SettingsError
from cellseg1.evaluation import (
    average_precision,
    evaluate_labels,
    evaluate_pairs,
    find_mistakes,
    match_at,
    match_ious,
    overlap_table,
)

SHAPE = (40, 64)


def _boxes(*boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    for number, y0, y1, x0, x1 in boxes:
        labels[y0:y1, x0:x1] = number
    return labels


def _random_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pair = []
    centres = rng.uniform((0, 0), SHAPE, (25, 2))
    for _ in range(2):
        labels = np.zeros(SHAPE, np.int64)
        for number in rng.permutation(25):
            cy, cx = centres[number] + rng.normal(0, 2, 2)
            labels[((y - cy) / rng.uniform(1, 7)) ** 2 + ((x - cx) / rng.uniform(1, 7)) ** 2 < 1] = 3 * number + 1
        pair.append(labels)
    return pair[0], pair[1]


@pytest.mark.parametrize("seed", range(8))
def test_matching_against_a_full_assignment(seed):
    true, pred = _random_pair(seed)
    table = overlap_table(true, pred)
    iou = np.zeros((len(table.true.ids), len(table.pred.ids)))
    for i, a in enumerate(table.true.ids):
        for j, b in enumerate(table.pred.ids):
            iou[i, j] = ((true == a) & (pred == b)).sum() / ((true == a) | (pred == b)).sum()
    np.testing.assert_allclose(table.iou_matrix(), iou)
    for threshold in (0.05, 0.1, 0.25, 0.5, 0.75):
        wanted = iou >= threshold
        rows, columns = linear_sum_assignment(wanted + np.where(wanted, iou, 0) / (2 * min(iou.shape)), maximize=True)
        real = wanted[rows, columns]
        row, column, value = match_at(table, threshold)
        assert len(row) == real.sum()
        assert len(set(row)) == len(set(column)) == len(row)
        np.testing.assert_allclose(value.sum(), iou[rows[real], columns[real]].sum())
        np.testing.assert_allclose(value, iou[row, column])
    best = linear_sum_assignment(iou, maximize=True)
    np.testing.assert_allclose(match_ious(table)[0].sum(), iou[best].sum())


def test_scores_by_hand():
    true = _boxes((1, 0, 10, 0, 10), (5, 20, 30, 0, 10), (9, 20, 30, 40, 50))
    pred = _boxes((2, 0, 10, 0, 8), (3, 20, 30, 0, 10), (7, 0, 5, 50, 60), (8, 35, 40, 50, 60))
    score = evaluate_labels(true, pred, (0.5, 0.9))
    assert score.ap == {0.5: 2 / 5, 0.9: 1 / 6}
    assert (score.precision, score.recall, score.f1) == (2 / 4, 2 / 3, 4 / 7)
    assert score.sq == pytest.approx(0.9)
    assert score.rq == pytest.approx(4 / 7)
    assert score.pq == pytest.approx(0.9 * 4 / 7)
    assert score.seg == pytest.approx(1.8 / 3)
    assert (score.n_true, score.n_pred) == (3, 4)


def test_nothing_on_either_side():
    empty, one = np.zeros(SHAPE, np.uint8), _boxes((300, 3, 9, 3, 9))
    both = evaluate_labels(empty, empty)
    assert set(both.ap.values()) == {1.0}
    assert (both.precision, both.recall, both.f1, both.pq, both.seg) == (1, 1, 1, 1, 1)
    for true, pred in ((empty, one), (one, empty)):
        score = evaluate_labels(true, pred)
        assert set(score.ap.values()) == {0.0}
        assert (score.precision, score.recall, score.f1, score.pq, score.seg) == (0, 0, 0, 0, 0)
    assert evaluate_labels(np.zeros((0, 5), int), np.zeros((0, 5), int)).pq == 1


def test_very_large_labels():
    true, pred = _random_pair(1)
    plain = evaluate_labels(true, pred)
    far = evaluate_labels(np.where(true > 0, true + 2**40, 0), np.where(pred > 0, pred + 2**31, 0).astype(np.uint64))
    assert far.ap == plain.ap
    full = np.full(SHAPE, 65535, np.uint16)
    assert evaluate_labels(full, full.astype(np.int64) * 2**20).pq == 1
    assert evaluate_labels(full > 0, full).pq == 1


def test_what_is_refused():
    labels = _boxes((1, 0, 5, 0, 5))
    with pytest.raises(MaskError, match="differ in shape"):
        evaluate_labels(labels, labels.T)
    for wrong in (labels.astype(float), labels - 1, labels[None]):
        with pytest.raises(MaskError):
            evaluate_labels(wrong, labels)
    for levels in ((), (0,), (1.5,), (float("nan"),)):
        with pytest.raises(SettingsError):
            average_precision(labels, labels, levels)
    with pytest.raises(CellSeg1Error, match="nothing to evaluate"):
        evaluate_pairs([])
    with pytest.raises(MaskError, match=r"^b\.png: "):
        evaluate_pairs([("a.png", labels, labels), ("b.png", labels, labels[:-1])])


def test_resizing_the_truth():
    labels = _boxes((4, 4, 20, 4, 20), (9, 24, 36, 30, 60))
    large = np.kron(labels, np.ones((2, 2), int))
    score = evaluate_labels(large, labels, resize_true=True)
    assert score.pq == 1
    assert evaluate_labels(labels, labels[::2, ::2], resize_true=True).seg > 0.9


def test_missed_and_invented():
    true = _boxes((6, 2, 12, 4, 14))
    pred = _boxes((8, 8, 18, 4, 14), (3, 30, 34, 30, 40))
    missed, invented_3, invented_8 = find_mistakes(overlap_table(true, pred))
    assert (missed.kind, missed.true_ids, missed.pred_ids) == ("missed", (6,), (8,))
    assert missed.centroid == (6.5, 8.5)
    assert missed.box == (2, 4, 12, 14)
    assert missed.iou == pytest.approx(40 / 160)
    assert missed.overlap == pytest.approx(0.4)
    assert (invented_3.kind, invented_3.true_ids, invented_3.pred_ids, invented_3.iou) == ("invented", (), (3,), 0)
    assert invented_3.box == (30, 30, 34, 40)
    assert (invented_8.kind, invented_8.true_ids, invented_8.pred_ids) == ("invented", (6,), (8,))


def test_split_and_merged():
    true = _boxes((1, 0, 10, 0, 20), (2, 20, 30, 0, 10), (3, 20, 30, 10, 20), (4, 30, 40, 50, 60))
    pred = _boxes((1, 0, 10, 0, 9), (2, 0, 10, 9, 20), (5, 20, 30, 0, 20), (6, 30, 40, 50, 60))
    merged, split = find_mistakes(overlap_table(true, pred))
    assert (merged.kind, merged.true_ids, merged.pred_ids) == ("merged", (2, 3), (5,))
    assert merged.box == (20, 0, 30, 20)
    assert (merged.iou, merged.overlap) == (0.5, 1)
    assert (split.kind, split.true_ids, split.pred_ids) == ("split", (1,), (1, 2))
    assert split.iou == pytest.approx(0.55)
    assert not find_mistakes(overlap_table(true, true))


def test_report(tmp_path):
    true, pred = _random_pair(3)
    report = evaluate_pairs([("a.tif", true, pred), ("Zähler.png", true, true)], (0.5, 0.75))
    values = report.to_dict()
    assert list(values) == ["ap", "precision", "recall", "f1", "pq", "seg", "images"]
    assert list(values["ap"]) == ["0.50", "0.75"]
    assert list(values["images"][0]) == ["name", "ap", "pq", "n_true", "n_pred", "mistakes"]
    assert values["ap"]["0.50"] == pytest.approx((report.images[0].ap[0.5] + 1) / 2)
    assert values["images"][1]["mistakes"] == []
    report.to_json(tmp_path / "new" / "r.json")
    text = (tmp_path / "new" / "r.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text) == values
    report.to_csv(tmp_path / "r.csv")
    with open(tmp_path / "r.csv", encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["name"] for row in rows] == ["a.tif", "Zähler.png", "mean"]
    assert float(rows[2]["ap_0.50"]) == values["ap"]["0.50"]
    assert float(rows[2]["pq"]) == values["pq"]


def test_default_report_has_ten_thresholds():
    labels = _boxes((1, 0, 5, 0, 5))
    names = list(evaluate_pairs([("x", labels, labels)]).to_dict()["ap"])
    assert names == [f"0.{n}" for n in range(50, 100, 5)]
