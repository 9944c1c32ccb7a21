"""How much of a training's change is kept."""

import numpy as np
import pytest
import torch

from cellseg1.images import read_image
from cellseg1.lora import load_card
from cellseg1.masks import list_images, read_mask
from cellseg1.model import Model, input_of, prepare_backbone
from cellseg1.settings import make_settings
from cellseg1.training import share
from cellseg1.training.job import train
from cellseg1.training.samples import TrainingImage


def test_the_better_before_the_less_is_changed():
    assert [share.share_for(ap) for ap in (0.0, 0.5, 0.7, 1.0)] == [1.0, 1.0, 0.5, 0.5]
    assert share.share_for(0.6) == pytest.approx(0.75)


def test_the_fullest_part():
    labels = np.zeros((50, 90), np.int32)
    labels[30:34, 70:74] = 1
    labels[40:44, 80:84] = 2
    labels[2:6, 2:6] = 3
    rows, columns = share.fullest_part(labels, 40)
    assert (rows.start, rows.stop, columns.start, columns.stop) == (10, 50, 50, 90)
    rows, columns = share.fullest_part(labels, 60)
    assert (rows.start, rows.stop) == (0, 50)
    assert columns.stop - columns.start == 60
    assert len(np.unique(labels[rows, columns])) == 3


@pytest.fixture
def sample():
    from cellseg1.bundled import resource_path

    folder = resource_path("sample_project/train")
    return list_images(folder / "images")[0], list_images(folder / "masks")[0]


def test_a_network_that_knows_the_cells_scores_well_and_an_untrained_one_does_not(sample):
    image, mask = sample
    settings = make_settings("studio", "tiny")
    pixels = np.repeat(read_image(image).plane()[:, :, None], 3, axis=2).astype(np.uint8)
    # A part that is not annotated does not count, whatever is found there.
    labels, annotated = read_mask(mask).labels.copy(), np.ones(pixels.shape[:2], bool)
    annotated[:, :60] = False
    labels[:, :60] = 0
    backbone, _ = prepare_backbone("tiny", settings, torch.device("cpu"))
    model = Model(backbone, None, settings, input_of(settings), 1.19)
    images = [TrainingImage("a", "0", pixels, labels, annotated)]
    ap = share.ap_before(model, images)
    assert ap > 0.6
    # The thresholds that the trained model will be used with do not decide how well the network knew the cells before.
    strict = Model(backbone, None, settings.replace(pred_iou_thresh=0.99), input_of(settings), 1.19)
    assert share.ap_before(strict, images) == ap
    # Results of another size are compared at that size.
    resized = Model(backbone, None, settings.replace(resize_size=(200, 260)), input_of(settings), 1.19)
    assert share.ap_before(resized, images) > 0.4
    for parameter in model.module.parameters():
        parameter.data.normal_(0, 0.02)
    assert share.ap_before(model, images) < 0.2


@pytest.mark.parametrize(("ap", "said"), [(0.9, "50% of what is learned"), (0.2, "all of what is learned")])
def test_a_training_says_what_it_keeps_and_keeps_it(sample, tmp_path, monkeypatch, ap, said):
    monkeypatch.setattr("cellseg1.training.job.ap_before", lambda model, images: ap)
    given = {"epoch_max": 1, "epoch_tiles": 2, "duplicate_data": 2, "batch_size": 1, "precision": "float32"}
    results = []
    for name, kept in (("chosen", None), ("given", share.share_for(ap))):
        result = train(
            [sample[0]],
            [sample[1]],
            tmp_path / f"{name}.cs1",
            overrides={**given, "trained_share": kept},
            device="cpu",
            measure=False,
        )
        results.append(result)
    from safetensors import safe_open

    assert said in load_card(results[0].path).notes
    assert any(said in note for note in results[0].notes)
    assert not any("what is learned" in note for note in results[1].notes)
    with safe_open(results[0].path, "pt") as one, safe_open(results[1].path, "pt") as other:
        assert set(one.keys()) == set(other.keys())
        assert all(torch.equal(one.get_tensor(key), other.get_tensor(key)) for key in one.keys())  # noqa: SIM118


@pytest.mark.parametrize("seed", range(12))
def test_the_fullest_part_is_that_of_a_plain_search(seed):
    rng = np.random.default_rng(seed)
    height, width, side = (int(value) for value in rng.integers((1, 1, 1), (90, 120, 60)))
    small = rng.integers(0, 40, (height // 5 + 1, width // 7 + 1)) * (
        rng.random((height // 5 + 1, width // 7 + 1)) < 0.5
    )
    labels = np.kron(small, np.ones((5, 7)))[:height, :width].astype(np.int32)

    def starts(size):
        return sorted({*range(0, max(1, size - side), max(1, side // 2)), max(0, size - side)})

    best, found = None, -1
    for y in starts(height):
        for x in starts(width):
            count = len(np.unique(labels[y : y + side, x : x + side]))
            if count > found:
                best, found = (slice(y, min(height, y + side)), slice(x, min(width, x + side))), count
    assert share.fullest_part(labels, side) == best
