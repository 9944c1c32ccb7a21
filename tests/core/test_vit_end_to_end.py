"""Train and predict with a SAM (the golden small one in the place of vit_b), in both recipes and both file formats."""

import numpy as np
import pytest
import torch
from golden_models import rule_state, small_sam, small_shape
from PIL import Image

from cellseg1.errors import BackboneError
from cellseg1.images import read_image
from cellseg1.lora import load_card, read_pth
from cellseg1.masks import write_label_image
from cellseg1.model import load_model
from cellseg1.prediction.job import predict
from cellseg1.sam.shapes import VIT_SHAPES
from cellseg1.training.job import train
from cellseg1.training.record import save_trained

QUICK = {
    "epoch_max": 6,
    "duplicate_data": 4,
    "batch_size": 2,
    "gradient_accumulation_step": 2,
    "points_per_side": 8,
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "max_mask_region_area_ratio": 1.0,
    "sam_image_size": 128,
    "patch_size": 96,
    "min_cell_area": 20,
    "edge_distance": 2,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weights file in the layout of the official ones, for 256-pixel inputs."""
    path = tmp_path_factory.mktemp("weights") / "sam_small.pth"
    torch.save(rule_state(small_sam(lora=False)), path)
    return path


@pytest.fixture
def files(tmp_path, monkeypatch, weights):
    monkeypatch.setitem(VIT_SHAPES, "vit_b", small_shape())
    yy, xx = np.mgrid[:120, :176]
    labels = np.zeros((120, 176), np.int32)
    for number, (y, x) in enumerate((y, x) for y in range(20, 120, 40) for x in range(20, 176, 44)):
        labels[(yy - y) ** 2 + (xx - x) ** 2 < 13**2] = number + 1
    noise = np.random.default_rng(0).integers(0, 60, labels.shape)
    Image.fromarray(((labels > 0) * 150 + noise).astype(np.uint8)).save(tmp_path / "image.png")
    write_label_image(tmp_path / "mask.png", labels)
    return tmp_path


def trained(files, weights, recipe, out="model.cs1", **changes):
    return train(
        [files / "image.png"],
        [files / "mask.png"],
        files / out,
        backbone="vit_b",
        recipe=recipe,
        overrides={**QUICK, "model_path": str(weights), **changes},
        device="cpu",
    )


def labels_of(model, files, out):
    run = predict(model, [files / "image.png"], files / out, overlays=False)
    return read_image(run.folder / "image.png").array


@pytest.mark.parametrize(("recipe", "size"), [("paper", (128, 160)), ("studio", (120, 176))])
def test_both_recipes(files, weights, recipe, size):
    changes = {"resize_size": [128, 160]} if recipe == "paper" else {}
    result = trained(files, weights, recipe, **changes)
    assert result.outcome.finished
    assert np.isfinite(result.outcome.losses).all()
    card = load_card(result.path)
    assert (card.recipe, card.backbone, card.image_size) == (recipe, "vit_b", 128)
    assert card.ap_training is not None
    model = load_model(result.path, device="cpu")
    labels = labels_of(model, files, "with")
    # P5: the paper's results have the size that images are resized to, ours that of the image.
    assert labels.shape == size
    model.set_adapter(False)
    assert not np.array_equal(labels_of(model, files, "without"), labels)


def test_published_format_there_and_back(files, weights):
    result = trained(files, weights, "paper", resize_size=None)
    model = load_model(result.path, device="cpu")
    wanted = labels_of(model, files, "cs1")
    pth = files / "lora_vit_b_4_128_20260101-000000.pth"
    save_trained(pth, model.module, model.card)
    file = read_pth(pth)
    assert (file.image_size, file.image_encoder_rank, file.mask_decoder_rank) == (128, 4, 4)
    assert len(torch.load(pth, weights_only=True)) == 99
    overrides = {key: value for key, value in QUICK.items() if key != "epoch_max"}
    again = load_model(
        pth, device="cpu", overrides={**overrides, "resize_size": None, "vit_name": "vit_b"}, backbone_weights=weights
    )
    assert np.array_equal(labels_of(again, files, "pth"), wanted)


def test_a_renamed_tensor_of_the_backbone_is_an_error(files, weights):
    state = torch.load(weights, weights_only=True)
    state["image_encoder.pos_embedding"] = state.pop("image_encoder.pos_embed")
    broken = files / "broken.pth"
    torch.save(state, broken)
    with pytest.raises(BackboneError, match="pos_embed"):
        trained(files, broken, "studio")


def test_resume_with_dropout_and_a_vit(files, weights):
    whole = trained(files, weights, "studio", out="whole.cs1")
    stops = iter([False, True])
    args = {"backbone": "vit_b", "overrides": {**QUICK, "model_path": str(weights)}, "device": "cpu"}
    images, masks = [files / "image.png"], [files / "mask.png"]
    half = train(images, masks, files / "half.cs1", stop=lambda: next(stops), **args)
    assert not half.outcome.finished
    rest = train(images, masks, files / "half.cs1", resume=True, **args)
    assert rest.outcome.resumed_from == half.outcome.steps > 0
    from safetensors.numpy import load_file

    ours, theirs = load_file(rest.path), load_file(whole.path)
    assert all(np.array_equal(value, theirs[key]) for key, value in ours.items())
