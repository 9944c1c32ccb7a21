"""LoRA training step and upstream's file against the published research code (golden c and d)."""

import hashlib
import lzma

import numpy as np
import pytest
import torch
from golden_models import GOLDEN, golden, pixels, rule, small_sam
from torch.nn import functional as F

from cellseg1.lora.card import Card
from cellseg1.lora.inject import lora_matrices, lora_state, remove_lora, trainable_parameters, trainable_summary
from cellseg1.lora.io import apply_model, save_model
from cellseg1.lora.pth import apply_pth, read_pth, write_pth
from cellseg1.sam.interface import Embedding


@pytest.fixture(scope="module")
def d():
    return golden("d_checkpoint")


@pytest.fixture(scope="module")
def upstream_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("pth") / "lora_small.pth"
    data = lzma.decompress((GOLDEN / "d_lora_small.pth.xz").read_bytes())
    readme = "d0ffe49384f2399d5489ccf8f3172d08096dfe037a100627678d0a82f7b37c8c"
    assert hashlib.sha256(data).hexdigest() == readme
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("variant", ["plain", "checkpoint", "fast"])
def test_training_step(variant):
    c = golden("c_train_step")
    sam = small_sam().train()
    sam.checkpoint_encoder = variant == "checkpoint"
    sam.fast_attention = variant == "fast"
    parameters = dict(trainable_parameters(sam))
    assert sorted(parameters) == c["keys"].tolist()
    assert sum(p.numel() for p in parameters.values()) == 29_696
    points = torch.from_numpy(np.concatenate([c["points_xy_0"], c["points_xy_1"]]))[:, None].double()
    image_index = torch.tensor([0] * len(c["points_xy_0"]) + [1] * len(c["points_xy_1"]))
    labels = torch.ones(points.shape[:2], dtype=torch.int64)
    out = sam.decode(sam.encode(pixels(c["images"])), points, labels, image_index)
    count = int(np.prod(c["true_masks_lowres_shape"]))
    masks = np.unpackbits(c["true_masks_lowres_packed"])[:count].reshape(c["true_masks_lowres_shape"])
    masks = torch.from_numpy(masks.astype(np.float32))
    truth = torch.from_numpy(c["true_cell_prob"])
    types = np.concatenate([c["types_0"], c["types_1"]])
    # One cell of image 0 vanishes at low resolution, and its target score with it.
    assert np.array_equal(c["true_cell_prob"] == 1, (types == 1) & masks.numpy().any(axis=(1, 2)))
    mse = F.mse_loss(out.scores, truth)
    ce = F.binary_cross_entropy_with_logits(out.logits[truth == 1], masks[truth == 1])
    loss = mse + 1.0 * ce
    np.testing.assert_allclose(out.scores.detach(), c["pred_cell_prob"], atol=1e-4)
    np.testing.assert_allclose(out.logits[:2].detach(), c["pred_logits_first2"], atol=1e-4)
    for found, key in ((loss, "loss"), (ce, "ce_loss"), (mse, "mse_loss")):
        assert found.item() == pytest.approx(float(c[key]), rel=1e-5)
    loss.backward()
    for index, key in enumerate(c["keys"].tolist()):
        grad, expected = parameters[key].grad.numpy(), c[f"grad.{key}"]
        np.testing.assert_allclose(grad, expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=key)
        assert np.linalg.norm(grad.astype(np.float64)) == pytest.approx(c["grad_norm"][index], rel=1e-4)
        assert c["grad_norm_fp64"][index] == pytest.approx(c["grad_norm"][index], rel=1e-4)
    torch.optim.AdamW(parameters.values(), lr=3e-3).step()
    for key in c["keys"].tolist():
        np.testing.assert_allclose(parameters[key].detach(), c[f"after.{key}"], rtol=0, atol=5e-5, err_msg=key)
    frozen = [p for p in sam.parameters() if not p.requires_grad]
    assert all(p.grad is None for p in frozen)
    assert trainable_summary(sam).startswith("Trainable: 0.03 M of ")
    assert len(c["instance_masks"]) == 2


def test_reads_upstreams_file(d, upstream_file):
    found = read_pth(upstream_file)
    assert (found.image_encoder_rank, found.mask_decoder_rank) == (4, 4)
    assert (found.backbone, found.image_size, found.image_size_known) == (None, 512, False)
    tensors = found.lora | found.base
    for key, shape in zip(d["keys"].tolist(), d["shapes"].tolist(), strict=True):
        assert str(tuple(tensors[key].shape)) == shape
        assert torch.equal(tensors[key], rule(key, tensors[key].shape)), key
    sam = small_sam(lora=False)
    apply_pth(upstream_file, sam)
    assert lora_state(sam).originals == {}
    with torch.no_grad():
        features = sam.encode(pixels(d["image"])).features[0]
    np.testing.assert_allclose(features, d["embedding_after_load"], atol=1e-4)


def test_writes_upstreams_file(d, upstream_file, tmp_path):
    write_pth(tmp_path / "ours.pth", small_sam())
    ours = torch.load(tmp_path / "ours.pth", weights_only=True)
    theirs = torch.load(upstream_file, weights_only=True, map_location="cpu")
    assert list(ours) == list(theirs) == d["keys"].tolist()
    for key, is_parameter in zip(d["keys"].tolist(), d["is_parameter"].tolist(), strict=True):
        assert torch.equal(ours[key], theirs[key])
        assert isinstance(ours[key], torch.nn.Parameter) is is_parameter
        assert ours[key].requires_grad is is_parameter


def check_seed7(sam, d):
    with torch.no_grad():
        features = sam.encode(pixels(d["image"])).features[0]
        np.testing.assert_allclose(features, d["seed7_file_on_seed0_backbone_embedding"], atol=1e-4)
        points, labels = torch.from_numpy(d["points_xy"])[:, None], torch.from_numpy(d["labels"])[:, None]
        out = sam.decode(Embedding((features,), (256, 256)), points, labels, torch.zeros(8, dtype=torch.int64))
    np.testing.assert_allclose(out.logits[:, None], d["seed7_low_res_logits"], atol=1e-4)
    np.testing.assert_allclose(out.scores[:, None], d["seed7_iou"], atol=1e-4)


def test_seed7_file_overwrites_what_upstream_overwrites(d, tmp_path):
    write_pth(tmp_path / "seed7.pth", small_sam(seed=7))
    sam = small_sam(lora=False)
    # Fill the cached positions first: they must follow the matrix that the file overwrites.
    sam.dense_position()
    before = {key: value.clone() for key, value in sam.state_dict().items()}
    apply_pth(tmp_path / "seed7.pth", sam)
    check_seed7(sam, d)
    remove_lora(sam)
    after = sam.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    apply_pth(tmp_path / "seed7.pth", sam)
    save_model(tmp_path / "seed7.cs1", sam, Card(recipe="paper"), exact=True)
    remove_lora(sam)
    assert lora_state(sam) is None
    apply_model(tmp_path / "seed7.cs1", sam)
    check_seed7(sam, d)
    write_pth(tmp_path / "again.pth", sam)
    first, again = (torch.load(tmp_path / name, weights_only=True) for name in ("seed7.pth", "again.pth"))
    assert list(first) == list(again)
    for key, value in first.items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=1e-6)


def test_names_are_in_upstreams_order(d):
    names = [matrix.name for matrix in lora_matrices(small_sam())]
    keys = d["keys"].tolist()
    assert names == [key for key in keys if key in set(names)]
    assert len(names) == 44
