"""The second architecture of the bundled backbone: sizes, maps, windows, prompts, and what it takes from the first."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from cellseg1.bundled import resource_path
from cellseg1.errors import BackboneError
from cellseg1.sam.attention import attend, attend_by_products
from cellseg1.sam.tiny import TinyModel, build_tiny
from cellseg1.sam.tiny2 import DENSE_MAPS, WINDOW_2, Tiny2Model, begin, begin_from_first, build_tiny2
from cellseg1.training.pretrain.dense import dense_maps
from cellseg1.training.pretrain.loss2 import dense_loss
from cellseg1.training.pretrain.state import export

torch.set_num_threads(1)
FIRST = resource_path("backbones/tiny.safetensors")


@pytest.fixture(scope="module")
def model():
    model = begin_from_first(build_tiny(FIRST)).eval()
    torch.manual_seed(1)
    # What begins as nothing would hide faults.
    for layer in (model.mask_decoder.fine_weights[2], model.image_encoder.refine4.conv2):
        torch.nn.init.normal_(layer.weight, std=0.02)
    return model


def prompts(*points, label=1):
    xy = torch.tensor(points, dtype=torch.float32)[:, None]
    return xy, torch.full(xy.shape[:2], label), torch.zeros(len(xy), dtype=torch.int64)


@pytest.mark.parametrize("size", [(64, 96), (160, 304), (250, 333), (1, 500), (17, 16)])
@torch.no_grad()
def test_any_size_is_encoded(model, size):
    embedding = model.encode(torch.rand(1, 3, *size) * 255)
    decoded = model.decode(embedding, *prompts((size[1] - 1.0, size[0] - 1.0), (0, 0)))
    high, wide = (-(-side // 16) * 16 for side in size)
    assert embedding.input_size == size
    assert embedding.features[0].shape[-2:] == (high // 8, wide // 8)
    assert embedding.features[1].shape[-2:] == (high // 4, wide // 4)
    assert decoded.logits.shape == (2, WINDOW_2 // 2, WINDOW_2 // 2)
    assert decoded.stride == 2
    assert torch.isfinite(decoded.logits).all()
    assert ((decoded.scores > 0) & (decoded.scores < 1)).all()
    maps = model.dense(embedding)
    assert maps.shape == (1, len(DENSE_MAPS), -(-size[0] // 2), -(-size[1] // 2))
    assert ((maps[:, :3] >= 0) & (maps[:, :3] <= 1)).all()


@torch.no_grad()
def test_nothing_asked_nothing_answered(model):
    embedding = model.encode(torch.zeros(1, 3, 32, 48))
    empty = model.decode(embedding, torch.zeros(0, 1, 2), torch.zeros(0, 1).long(), torch.zeros(0).long())
    assert empty.logits.shape == (0, WINDOW_2 // 2, WINDOW_2 // 2)
    refused = model.decode(embedding, *prompts((5, 6), (40, 20)), min_score=1.0)
    assert refused.logits.shape == (0, WINDOW_2 // 2, WINDOW_2 // 2)
    assert refused.scores.shape == (2,)


def test_budgets():
    model = Tiny2Model()
    assert 5e6 < sum(p.numel() for p in model.parameters()) < 9e6
    with torch.no_grad(), FlopCounterMode(display=False) as encoder:
        embedding = model.encode(torch.zeros(1, 3, 512, 512))
        model.dense(embedding)
    assert encoder.get_total_flops() <= 27e9
    with torch.no_grad(), FlopCounterMode(display=False) as decoder:
        model.decode(embedding, *prompts(*[(i * 7.0, i * 5.0) for i in range(64)]))
    assert decoder.get_total_flops() / 64 <= 0.025e9


def test_prompts_do_not_influence_each_other(model):
    torch.manual_seed(0)
    with torch.no_grad():
        embedding = model.encode(torch.rand(2, 3, 80, 112) * 255)
        xy, labels, _ = prompts((20, 30), (100, 40), (0, 79), (56, 3), (111, 79))
        index = torch.tensor([0, 1, 0, 1, 1])
        together = model.decode(embedding, xy, labels, index)
        model.decode_batch = 2
        batched = model.decode(embedding, xy, labels, index)
        model.decode_batch = 256
    for i in range(5):
        with torch.no_grad():
            alone = model.decode(embedding, xy[i : i + 1], labels[i : i + 1], index[i : i + 1])
        torch.testing.assert_close(alone.logits[0], together.logits[i], atol=2e-4, rtol=1e-4)
        torch.testing.assert_close(alone.scores[0], together.scores[i], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(batched.logits, together.logits, atol=2e-4, rtol=1e-4)
    # With gradients every value is kept, without them memory is used again: the answers are the same.
    kept = model.decode(embedding, xy, labels, index)
    torch.testing.assert_close(kept.logits.detach(), together.logits, atol=2e-4, rtol=1e-4)
    with torch.no_grad():
        some = model.decode(embedding, xy, labels, index, min_score=float(together.scores.median()))
    assert some.kept.tolist() == torch.nonzero(together.scores > together.scores.median())[:, 0].tolist()
    torch.testing.assert_close(some.logits, together.logits[some.kept], atol=2e-4, rtol=1e-4)


@torch.no_grad()
def test_boxes_and_clicks_are_taken(model):
    torch.manual_seed(0)
    embedding = model.encode(torch.rand(1, 3, 96, 144) * 255)
    xy = torch.tensor([[[60.0, 40.0], [50.0, 30.0], [74.0, 52.0]], [[60.0, 40.0], [70.0, 44.0], [20.0, 10.0]]])
    labels = torch.tensor([[1, 2, 3], [1, 1, 0]])
    decoded = model.decode(embedding, xy, labels, torch.zeros(2, dtype=torch.int64))
    assert decoded.origin.tolist() == [[16, -8], [16, -8]]
    moved = model.decode(embedding, xy + torch.tensor([32.0, 16.0]), labels, torch.zeros(2, dtype=torch.int64))
    assert (moved.origin - decoded.origin).tolist() == [[32, 16], [32, 16]]


@torch.no_grad()
def test_each_value_of_a_mask_and_of_a_map_lies_where_it_says(model):
    """What is added at stride 2 belongs to its own 2 x 2 pixels: a feature set there changes just that value."""
    decoder = model.mask_decoder
    windows, token = torch.randn(1, 144, 128), torch.randn(1, 128)
    skip = torch.zeros(1, 24, 24, 96)
    changed = skip.clone()
    # Of the four places of stride 2 in the place (5, 9) of stride 4, the one below on the left.
    changed[0, 5, 9, 32 + 2 * 16 : 32 + 3 * 16] = 3.0
    difference = decoder.masks(token, windows.clone(), changed.flatten(1, 2)) - decoder.masks(
        token, windows.clone(), skip.flatten(1, 2)
    )
    assert torch.nonzero(difference[0].abs() > 1e-6).tolist() == [[11, 18]]


def test_the_maps_find_cells_where_they_are(model):
    """The head alone is trained on a few drawn discs, features as they are; the maxima must lie in other discs."""

    def picture(seed):
        rng = np.random.default_rng(seed)
        yy, xx = np.mgrid[:80, :112]
        labels = np.zeros((80, 112), np.int32)
        for number in range(3):
            y, x = rng.integers(10, 70), 18 + 38 * number + rng.integers(-5, 6)
            labels[(yy - y) ** 2 + (xx - x) ** 2 < 11**2] = number + 1
        image = 30 + 150 * (labels > 0) + rng.normal(0, 5, labels.shape)
        return torch.tensor(np.repeat(image[None], 3, 0), dtype=torch.float32), labels

    head = model.dense_head.train()
    with torch.no_grad():
        features = model.encode(torch.stack([picture(seed)[0] for seed in range(4)])).features[1]
    truth = torch.tensor(np.stack([dense_maps(picture(seed)[1]) for seed in range(4)]))
    inside = torch.ones(4, 40, 56, dtype=torch.bool)
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    for _ in range(60):
        loss, _parts = dense_loss(head(features), truth, inside)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    image, labels = picture(9)
    with torch.no_grad():
        maps = model.dense(model.encode(image[None]))[0].numpy()
    for number in (1, 2, 3):
        yy, xx = np.nonzero(labels == number)
        # The part of the picture around one disc, in values of the maps.
        left = max(0, (xx.min() - 6) // 2)
        part = maps[1][:, left : (xx.max() + 6) // 2]
        y, x = np.unravel_index(part.argmax(), part.shape)
        centre = np.array([yy.mean(), xx.mean()])
        assert np.abs(np.array([2 * y + 0.5, 2 * (x + left) + 0.5]) - centre).max() <= 4
        deep = maps[3:, yy[0] // 2 + 5, int(centre[1]) // 2 - 3]
        assert deep[0] > 1.5  # left of the centre: the way leads to the right


@torch.no_grad()
def test_the_trunk_of_the_first_is_taken_over():
    first = build_tiny(FIRST)
    second = begin_from_first(first)
    torch.testing.assert_close(
        second.prompt_encoder.get_dense_pe()[0],
        first.prompt_encoder.get_dense_pe()[0][:, 2:14, 2:14],
        atol=1e-5,
        rtol=0,
    )
    torch.manual_seed(0)
    image = torch.rand(1, 3, 64, 96) * 255
    one, other = first.encode(image), second.encode(image)
    torch.testing.assert_close(one.features[0], other.features[0])
    torch.testing.assert_close(one.features[1], other.features[1][:, :32])


def test_weights_go_into_a_file_and_back_and_are_told_apart(model, tmp_path):
    path = tmp_path / "second.safetensors"
    export(model, path)
    assert path.stat().st_size < 20e6
    again = build_tiny2(path)
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value.half().float()), key
    assert torch.equal(begin(path).state_dict()["dense_head.conv.weight"], again.dense_head.conv.weight)
    assert "dense_head.conv.weight" in begin(FIRST).state_dict()
    with pytest.raises(BackboneError, match="does not fit"):
        build_tiny2(FIRST)
    with pytest.raises(BackboneError, match="does not fit"):
        build_tiny(path)


def test_the_first_architecture_is_what_it_was(tmp_path):
    export(build_tiny(FIRST), tmp_path / "first.safetensors")
    kept, written = load_file(FIRST), load_file(tmp_path / "first.safetensors")
    assert kept.keys() == written.keys() == TinyModel().state_dict().keys()
    assert all(torch.equal(kept[key], written[key]) for key in kept)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_by_products_is_the_same(masked):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 4, 2, 20, 16)
    mask = None
    if masked:
        mask = torch.rand(4, 1, 1, 20) > 0.3
    torch.testing.assert_close(attend_by_products(q, k, v, mask), attend(q, k, v, mask), atol=1e-5, rtol=1e-4)
