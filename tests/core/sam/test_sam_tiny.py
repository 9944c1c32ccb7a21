"""The bundled backbone: sizes, windows, budgets, its file."""

import json

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cellseg1.bundled import resource_path
from cellseg1.errors import BackboneError
from cellseg1.sam.tiny import WINDOW, TinyModel, build_tiny, window_origin

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model():
    return build_tiny(resource_path("backbones/tiny.safetensors"))


def prompts(*points, label=1):
    xy = torch.tensor(points, dtype=torch.float32)[:, None]
    return xy, torch.full(xy.shape[:2], label), torch.zeros(len(xy), dtype=torch.int64)


@pytest.mark.parametrize("size", [(64, 96), (160, 304), (250, 333), (1, 500), (17, 16)])
def test_any_size_is_encoded(model, size):
    with torch.no_grad():
        embedding = model.encode(torch.rand(1, 3, *size) * 255)
        decoded = model.decode(embedding, *prompts((size[1] - 1.0, size[0] - 1.0), (0, 0)))
    assert embedding.input_size == size
    high, wide = (-(-side // 16) * 16 for side in size)
    assert embedding.features[0].shape[-2:] == (high // 8, wide // 8)
    assert embedding.features[1].shape[-2:] == (high // 4, wide // 4)
    assert decoded.logits.shape == (2, WINDOW // 4, WINDOW // 4)
    assert torch.isfinite(decoded.logits).all()


def test_budgets():
    model = TinyModel()
    with torch.no_grad(), FlopCounterMode(display=False) as encoder:
        embedding = model.encode(torch.zeros(1, 3, 512, 512))
    assert encoder.get_total_flops() <= 20e9
    with torch.no_grad(), FlopCounterMode(display=False) as decoder:
        model.decode(embedding, *prompts(*[(i * 7.0, i * 5.0) for i in range(64)]))
    assert decoder.get_total_flops() / 64 <= 1e9


@pytest.mark.parametrize("gradients", [False, True])
def test_half_precision_gives_nearly_the_same(model, gradients):
    """What a GPU and newer processors compute in; `precision` = auto chooses it there, and only there."""
    xy, labels, index = prompts((20, 30), (80, 40), (0, 95))
    torch.manual_seed(0)
    image = torch.rand(1, 3, 96, 160) * 255
    with torch.set_grad_enabled(gradients):
        whole = model.decode(model.encode(image), xy, labels, index)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model.decode(model.encode(image), xy, labels, index)
    assert (whole.scores - half.scores.float()).abs().max() < 0.1
    assert (whole.logits - half.logits.float()).abs().mean() < 0.1 * whole.logits.abs().mean()


def test_each_prompt_is_answered_for_itself(model):
    """Batches of prompts, of images, and a minimum score change no answer."""
    torch.manual_seed(0)
    images = torch.rand(2, 3, 96, 160) * 255
    xy, labels, _ = prompts((5, 5), (80, 40), (150, 90), (33.5, 60.25), (100, 10))
    index = torch.tensor([0, 1, 1, 0, 1])
    with torch.no_grad():
        both = model.encode(images)
        whole = model.decode(both, xy, labels, index)
        for i in range(5):
            alone = model.encode(images[index[i]][None])
            one = model.decode(alone, xy[i : i + 1], labels[i : i + 1], torch.zeros(1, dtype=torch.int64))
            assert torch.allclose(one.logits[0], whole.logits[i], atol=1e-3)
            assert torch.allclose(one.scores[0], whole.scores[i], atol=1e-4)
            assert torch.equal(one.origin[0], whole.origin[i])
        limit = float(whole.scores.median())
        some = model.decode(both, xy, labels, index, min_score=limit)
    assert torch.equal(some.kept, torch.nonzero(whole.scores > limit)[:, 0])
    assert torch.allclose(some.logits, whole.logits[some.kept], atol=1e-4)
    assert torch.equal(some.origin, whole.origin[some.kept])


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("least", [None, 0.2])
def test_memory_that_is_used_again_changes_no_answer(model, monkeypatch, half, least):
    """With gradients every value has a place of its own; without them batches follow each other in the same one."""
    monkeypatch.setattr(model, "decode_batch", 3)
    torch.manual_seed(0)
    image = torch.rand(1, 3, 96, 160) * 255
    asked = prompts(*[(i * 21.0, i * 13.0) for i in range(8)])
    answers = []
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients), torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            embedding = model.encode(image)
            before = [feature.clone() for feature in embedding.features]
            answers.append(model.decode(embedding, *asked, min_score=least))
            assert all(torch.equal(one, other) for one, other in zip(before, embedding.features, strict=True))
    own, again = answers
    assert len(own.scores) == 8
    assert len(own.kept) > 3, "what is kept must come from several batches"
    for name in ("scores", "kept", "logits", "origin"):
        assert torch.equal(getattr(own, name), getattr(again, name)), name


def test_no_prompt_and_nobody_good_enough(model):
    with torch.no_grad():
        embedding = model.encode(torch.zeros(1, 3, 64, 80))
        none = model.decode(embedding, torch.zeros(0, 1, 2), torch.zeros(0, 1), torch.zeros(0, dtype=torch.int64))
        bad = model.decode(embedding, *prompts((10, 10)), min_score=1e9)
    assert none.logits.shape == (0, 32, 32)
    assert bad.logits.shape == (0, 32, 32)
    assert len(bad.scores) == 1


def test_windows_follow_clicks_and_boxes():
    xy, labels, _ = prompts((100, 60))
    assert window_origin(xy, labels).tolist() == [[40, 0]]  # (36, -4), to the nearest multiple of 8
    clicks = torch.tensor([[[100.0, 60.0], [300.0, 60.0]]])
    assert torch.equal(window_origin(clicks, torch.tensor([[1, 0]])), window_origin(xy, labels))
    box = torch.tensor([[[0.0, 0.0], [80.0, 40.0], [120.0, 80.0]]])
    assert torch.equal(window_origin(box, torch.tensor([[-1, 2, 3]])), window_origin(xy, labels))


def test_moving_the_image_moves_the_mask(model):
    """By a multiple of every stride and window of the encoder (128 px), far from the borders."""
    from cellseg1.images import read_image, to_model_input
    from cellseg1.model import rule_of
    from cellseg1.settings import make_settings

    image = read_image(resource_path("sample_project/test/images/nuclei_b.png")).plane()
    part = to_model_input(image, rule_of(make_settings()))
    canvas = np.zeros((2, 512, 640, 3), np.uint8)
    canvas[0, 128:384, 128:384] = part
    canvas[1, 128:384, 256:512] = part
    with torch.no_grad():
        embedding = model.encode(torch.from_numpy(canvas).permute(0, 3, 1, 2).float())
        xy = torch.tensor([[[200.0, 230.0]], [[328.0, 230.0]]])
        decoded = model.decode(embedding, xy, torch.ones(2, 1), torch.tensor([0, 1]))
    assert (decoded.origin[1] - decoded.origin[0]).tolist() == [128, 0]
    same = ((decoded.logits[0] > 0) == (decoded.logits[1] > 0)).float().mean()
    assert same > 0.97


def test_it_tells_a_nucleus_from_the_ground(model):
    """The shipped weights answer: prompts on cells score higher than prompts on the background."""
    from cellseg1.images import read_image, to_model_input
    from cellseg1.masks import read_mask
    from cellseg1.model import rule_of
    from cellseg1.settings import make_settings
    from cellseg1.training.points import sample_points

    folder = resource_path("sample_project/test")
    pixels = to_model_input(read_image(folder / "images/nuclei_c.png").plane(), rule_of(make_settings()))
    labels = read_mask(folder / "masks/nuclei_c.png").labels
    points = sample_points(labels, make_settings(), np.random.default_rng(0))
    with torch.no_grad():
        embedding = model.encode(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())
        decoded = model.decode(embedding, *prompts(*points.xy.tolist()))
    on = points.cell > 0
    scores = decoded.scores.numpy()
    assert np.median(scores[on]) > 0.7
    assert np.median(scores[~on]) < 0.3


def test_the_file_and_its_card():
    path = resource_path("backbones/tiny.safetensors")
    card = json.loads(resource_path("backbones/tiny.json").read_text(encoding="utf-8"))
    assert path.stat().st_size == card["size_bytes"] <= 24e6
    import hashlib

    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["sha256"]


def test_a_file_of_another_network_is_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "tiny.safetensors"
    save_file({"something": torch.zeros(3)}, str(path))
    with pytest.raises(BackboneError, match="does not fit this version"):
        build_tiny(path)
    path.write_bytes(b"\0" * 100)
    with pytest.raises(BackboneError, match="damaged"):
        build_tiny(path)
