"""Golden m through the real pipeline: views, decoding, proposals, selection, with a network that answers by rote."""

import json

import numpy as np
import pytest
import torch
from golden_models import golden

from cellseg1.prediction.decode import find_candidates
from cellseg1.prediction.select import Selector, select_settings
from cellseg1.prediction.views import plan_views
from cellseg1.sam.interface import Decoded, Embedding
from cellseg1.settings import make_settings

DATA = golden("m_amg_end_to_end")


class Rote(torch.nn.Module):
    """Answers prompt number i of the run with the golden logits number i."""

    name = "rote"
    image_size = 256

    def __init__(self):
        super().__init__()
        self.asked = 0
        self.sizes = []
        self.points = []

    def device_of(self):
        return torch.device("cpu")

    def encode(self, pixels):
        self.sizes.append(tuple(pixels.shape[-2:]))
        return Embedding((torch.zeros(1),), tuple(pixels.shape[-2:]))

    def decode(self, embedding, points, labels, image_index, min_score=None):
        part = slice(self.asked, self.asked + len(points))
        self.asked = part.stop
        self.points.append(points[:, 0].numpy())
        assert (labels == 1).all()
        scores = torch.from_numpy(DATA["scores"][part])
        kept = torch.nonzero(scores > min_score)[:, 0]
        logits = torch.from_numpy(DATA["low_res_q"][part].astype(np.float32) / 4 + 0.1)[kept]
        return Decoded(scores, kept, logits, torch.zeros(len(kept), 2, dtype=torch.int64))


@pytest.fixture(scope="module")
def run():
    settings = make_settings(
        "paper", "vit_b", {**json.loads(str(DATA["params_json"])), "resize_size": None, "sam_image_size": 256}
    )
    model = Rote()
    candidates = find_candidates(model, DATA["image"], settings)
    return settings, model, candidates, Selector(candidates).select(select_settings(settings))


def test_the_network_is_asked_what_upstream_asks(run):
    settings, model, _, _ = run
    views = plan_views(DATA["image"].shape[:2], settings)
    assert np.array_equal([view.box for view in views], DATA["crop_boxes"])
    assert np.array_equal([view.size for view in views], DATA["crop_input_sizes"])
    assert np.array_equal(model.sizes, DATA["crop_input_sizes"])
    assert np.abs(np.concatenate(model.points) - DATA["prompt_xy_model_input"]).max() < 1e-4


def test_label_image(run):
    _, _, _, selection = run
    truth = DATA["label_image"]
    assert selection.labels.max() == truth.max()
    # Cells of equal area may swap numbers (upstream's sort is not stable), so cells are compared, not numbers.
    ours = {np.packbits(selection.labels == label).tobytes() for label in range(1, truth.max() + 1)}
    theirs = {np.packbits(truth == label).tobytes() for label in range(1, truth.max() + 1)}
    assert len(ours & theirs) >= 24
    assert ((selection.labels > 0) == (truth > 0)).mean() >= 0.9999


def test_masks_scores_and_points(run):
    _, _, candidates, selection = run
    masks = np.unpackbits(DATA["out_masks_packed"], axis=-1)[..., : DATA["image"].shape[1]].astype(bool)
    assert len(selection.kept) == len(masks)
    areas, boxes = selection.masks.areas(), selection.masks.boxes()
    for i, mask in enumerate(masks):
        x, y = DATA["out_point_xy"][i]
        same = np.abs(candidates.point_xy[selection.kept] - (x, y)).max(axis=1) < 1e-3
        same &= np.abs(candidates.score[selection.kept] - DATA["out_predicted_iou"][i]) < 1e-6
        (found,) = np.flatnonzero(same)
        assert abs(int(areas[found]) - int(DATA["out_area"][i])) <= 2
        assert int(DATA["out_area"][i]) == mask.sum()
        left, top, width, height = DATA["out_bbox_xywh"][i]
        assert np.abs(boxes[found] - (left, top, left + width + 1, top + height + 1)).max() <= 1
        which = selection.kept[found]
        assert candidates.stability[which] == pytest.approx(DATA["out_stability"][i], abs=0.01)
        x0, y0, x1, y1 = candidates.view_boxes[candidates.view[which]]
        assert np.array_equal((x0, y0, x1 - x0, y1 - y0), DATA["out_crop_box_xywh"][i])


def test_true_cells_are_found(run):
    from cellseg1.evaluation import evaluate_labels

    assert evaluate_labels(DATA["true_labels"], run[3].labels, thresholds=(0.5,)).ap[0.5] == 1


def test_order_and_numbers_with_upstreams_sort(run):
    """The order of the 26 masks is that of an unstable sort of equal scores; with that very sort all is equal.

    Selection sorts stably, so that a result never depends on a sorting method; here its order is replaced by what
    torch's unstable sort makes of upstream's second suppression (score 1 for masks that cleaning left as they were).
    """
    from cellseg1.prediction.assemble import assemble

    _, _, candidates, selection = run
    unchanged = selection.masks.areas() == candidates.area[selection.kept]
    order = torch.argsort(torch.from_numpy(unchanged.astype(np.float32)), descending=True, stable=False).numpy()
    kept, masks = selection.kept[order], selection.masks.take(order)
    assert np.abs(candidates.point_xy[kept] - DATA["out_point_xy"]).max() < 1e-3
    assert np.abs(candidates.score[kept] - DATA["out_predicted_iou"]).max() < 1e-6
    assert np.abs(masks.areas() - DATA["out_area"]).max() <= 2
    labels, _, _ = assemble(masks, repaired=False)
    assert (labels == DATA["label_image"]).mean() >= 0.9999
