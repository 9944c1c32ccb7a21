"""Golden c: loss, gradients and one optimiser step of our own loss on a batch of two images."""

import cv2
import numpy as np
import pytest
import torch
from golden_models import golden, small_sam

from cellseg1.lora.inject import lora_matrices
from cellseg1.training.loss import count_batch, forward_loss, low_resolution
from cellseg1.training.samples import Sample

DATA = golden("c_train_step")


def batch():
    samples = []
    for i in range(2):
        labels = DATA["instance_masks"][i].astype(np.int32)
        xy = DATA[f"points_xy_{i}"]
        cell = np.where(DATA[f"types_{i}"] == 1, labels[xy[:, 1], xy[:, 0]], 0).astype(np.int32)
        samples.append(Sample(DATA["images"][i], labels, None, xy, cell))
    return samples


def test_targets():
    model = small_sam()
    counts, targets = count_batch(model, batch())
    masks = np.concatenate([target.masks for target in targets])
    packed = DATA["true_masks_lowres_packed"]
    truth = np.unpackbits(packed, axis=None)[: masks.size].reshape(masks.shape)
    assert np.array_equal(masks, truth)
    is_cell = np.concatenate([target.is_cell for target in targets])
    assert np.array_equal(is_cell, DATA["true_cell_prob"])
    assert counts.points == 25
    assert counts.mask_values == 17 * 64 * 64


def test_low_resolution_is_opencv_nearest_exact():
    labels = np.random.default_rng(0).integers(0, 99, (256, 320)).astype(np.int32)
    wanted = cv2.resize(labels, (80, 64), interpolation=cv2.INTER_NEAREST_EXACT)
    assert np.array_equal(low_resolution(labels), wanted)


@pytest.mark.parametrize("parts", [1, 2])
def test_loss_gradients_and_step(parts):
    model = small_sam()
    model.train()
    samples = batch()
    counts, targets = count_batch(model, samples)
    trainable = {matrix.name: matrix.parameter for matrix in lora_matrices(model)}
    assert sorted(trainable) == [str(key) for key in DATA["keys"]]
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 29_696
    optimizer = torch.optim.AdamW(list(trainable.values()), lr=3e-3)
    total = 0.0
    for start in range(0, 2, 2 // parts):
        part = slice(start, start + 2 // parts)
        loss = forward_loss(model, samples[part], targets[part], counts, 1.0)
        loss.backward()
        total += float(loss.detach())
    assert total == pytest.approx(float(DATA["loss"]), rel=1e-5)
    for key, norm in zip(DATA["keys"], DATA["grad_norm"], strict=True):
        gradient = trainable[str(key)].grad.numpy()
        assert np.linalg.norm(gradient.astype(np.float64)) == pytest.approx(norm, rel=1e-4)
        wanted = DATA[f"grad.{key}"]
        assert np.abs(gradient - wanted).max() <= 1e-4 * np.abs(wanted).max()
    optimizer.step()
    for key in DATA["keys"]:
        assert np.abs(trainable[str(key)].detach().numpy() - DATA[f"after.{key}"]).max() <= 5e-5


def test_predictions_of_the_batch():
    model = small_sam()
    pixels = torch.from_numpy(DATA["images"]).permute(0, 3, 1, 2).float()
    xy = torch.from_numpy(np.concatenate([DATA["points_xy_0"], DATA["points_xy_1"]])).float()[:, None]
    index = torch.tensor([0] * 15 + [1] * 10)
    with torch.no_grad():
        decoded = model.decode(model.encode(pixels), xy, torch.ones(25, 1, dtype=torch.int64), index)
    assert np.abs(decoded.scores.numpy() - DATA["pred_cell_prob"]).max() < 1e-4
    assert np.abs(decoded.logits[:2].numpy() - DATA["pred_logits_first2"]).max() < 1e-4
