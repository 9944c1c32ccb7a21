"""Making the bundled backbone: crops, drawn cells, held-out groups, resume."""

import json

import cv2
import numpy as np
import pytest
import torch
from crop_prompts import assert_prompts_are_where_they_say
from PIL import Image

from cellseg1.training.pretrain.batches import batches, make_batch
from cellseg1.training.pretrain.card import write_card
from cellseg1.training.pretrain.crops import draw_crop
from cellseg1.training.pretrain.endless import State
from cellseg1.training.pretrain.loop import _State, batch_loss, run
from cellseg1.training.pretrain.pack import read_data, write_pack
from cellseg1.training.pretrain.pool import Sample, is_held_out, kind_of, load_pool
from cellseg1.training.pretrain.settings import EndlessSettings, PretrainSettings
from cellseg1.training.pretrain.synthetic import synthetic_crop


@pytest.fixture(scope="module")
def pool():
    image, labels = synthetic_crop(np.random.default_rng(3), 200)
    return {"bbbc039": [Sample("one", image[:150], labels[:150], 20.0)]}


@pytest.mark.parametrize("seed", range(12))
def test_crops_have_prompts_where_they_say(pool, seed):
    crop = draw_crop(np.random.default_rng(seed), pool, 96, 0.5)
    assert crop.image.shape == (96, 96, 3)
    assert crop.labels.shape == (96, 96)
    assert_prompts_are_where_they_say(crop)


def test_drawn_cells_differ_and_repeat():
    first, second = (synthetic_crop(np.random.default_rng(8), 96) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    counts = {int(synthetic_crop(np.random.default_rng(seed), 96)[1].max()) for seed in range(10)}
    assert len(counts) > 3


def test_held_out_groups():
    grey = np.full((512, 640), 5, np.uint8)
    assert kind_of(grey) == "fluorescence"
    assert is_held_out(grey, "fluorescence")
    assert not is_held_out(np.full((256, 256), 5, np.uint8), "fluorescence")
    bright = np.full((1024, 1024), 210, np.uint8)
    assert kind_of(bright) == "brightfield"
    assert is_held_out(bright, "brightfield")
    violet = np.zeros((256, 320, 3), np.uint8) + np.array([160, 130, 200], np.uint8)
    assert kind_of(violet) == "stained"
    assert not is_held_out(violet, "stained")
    assert is_held_out(violet + np.array([60, 100, 30], np.uint8), "stained")


def write_set(root):
    for name, size in (("a.png", (60, 90)), ("b.png", (512, 640))):
        image, labels = synthetic_crop(np.random.default_rng(1), max(size))
        grey = (image[: size[0], : size[1], 0] // 4).astype(np.uint8)
        for kind, array in (("images", grey), ("masks", labels[: size[0], : size[1]].astype(np.uint16))):
            folder = root / "dsb2018_stage1" / kind
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / name)


def test_the_pool_leaves_out_what_is_held_out(tmp_path):
    write_set(tmp_path)
    pool, used, held = load_pool(tmp_path)
    assert used == ["dsb2018_stage1/a.png"]
    assert held == ["dsb2018_stage1/b.png"]
    assert list(pool) == ["dsb2018_stage1/fluorescence"]
    assert pool["dsb2018_stage1/fluorescence"][0].image.shape == (60, 90, 3)


def test_a_training_taken_up_again_is_the_same(pool, tmp_path):
    settings = PretrainSettings(batch=2, crop=64, warm_up=2)
    device = torch.device("cpu")
    states = []
    for interrupted in (False, True):
        torch.manual_seed(0)
        state = _State(settings, device)
        for step in range(3):
            if interrupted and step == 2:
                state.save(tmp_path / "c.pt")
                torch.manual_seed(99)
                state = _State(settings, device)
                state.load(tmp_path / "c.pt")
            state.train_step(next(batches(pool, settings, step)))
        states.append(state)
    for key, value in states[0].model.state_dict().items():
        assert torch.equal(value, states[1].model.state_dict()[key]), key
        assert torch.equal(states[0].average[key], states[1].average[key]), key


@pytest.mark.parametrize("made", [_State, State])
def test_gradients_that_are_no_numbers_change_nothing(made, caplog):
    state = made(PretrainSettings() if made is _State else EndlessSettings(), torch.device("cpu"))
    before = {key: value.clone() for key, value in state.model.state_dict().items()}
    state.update(sum(p.sum() for p in state.model.parameters()) * float("nan"), 1e-3)
    assert state.step == 1
    assert "The update of step 0 is left out" in caplog.text
    for key, value in state.model.state_dict().items():
        assert torch.equal(value, before[key]), key
        assert torch.equal(state.average[key], before[key]), key
    state.update(sum(p.sum() for p in state.model.parameters()), 1e-3)
    assert any(not torch.equal(value, before[key]) for key, value in state.model.state_dict().items())


def test_the_loss_is_finite_and_has_gradients_everywhere(pool):
    state = _State(PretrainSettings(), torch.device("cpu"))
    crops = [draw_crop(np.random.default_rng(seed), pool, 96, 0.5) for seed in range(12)]
    loss, figures = batch_loss(state.model, make_batch(crops), torch.device("cpu"))
    assert torch.isfinite(loss)
    assert 0 <= figures["point"] <= 1
    loss.backward()
    missing = [name for name, p in state.model.named_parameters() if p.grad is None]
    # A bias of the keys adds the same to a whole row of a softmax: it changes nothing and has no gradient.
    assert [name for name in missing if not name.endswith("token_to_image.k_proj.bias")] == []


def test_the_rate_falls_at_the_end():
    state = _State(PretrainSettings(warm_up=10), torch.device("cpu"))
    state.step, state.seconds = 300, 61.0
    assert not state.finished(80.0)  # three quarters of the time are over: from here it falls
    assert (state.decay_from, state.last_step) == (300, 400)
    state.step = 350
    assert state.rate() == pytest.approx(0.5e-3)
    state.step = 400
    assert state.finished(80.0)


def test_the_command_writes_weights_curve_and_list(tmp_path):
    write_set(tmp_path / "data")
    run(
        tmp_path / "data",
        tmp_path / "out",
        0.02,
        PretrainSettings(batch=1, crop=64, warm_up=1),
        False,
        torch.device("cpu"),
    )
    from cellseg1.sam.tiny import build_tiny

    assert build_tiny(tmp_path / "out" / "tiny.safetensors").name == "tiny"
    assert (tmp_path / "out" / "heldout.txt").read_text() == "dsb2018_stage1/b.png\n"
    last = json.loads((tmp_path / "out" / "curve.jsonl").read_text().splitlines()[-1])
    assert set(last["fixed"]) == {"dsb2018_stage1/fluorescence", "synthetic"}
    weights = tmp_path / "tiny.safetensors"
    weights.write_bytes((tmp_path / "out" / "tiny.safetensors").read_bytes())
    write_card(tmp_path / "out", weights, {"batch": 1}, "a test")
    card = json.loads((tmp_path / "tiny.json").read_text())
    assert card["size_bytes"] == weights.stat().st_size
    assert card["training"]["hardware"] == "a test"
    assert card["training"]["steps"] == last["step"]
    assert (tmp_path / "tiny_heldout.txt").read_text() == "dsb2018_stage1/b.png\n"


def same_pools(one, other):
    assert list(one) == list(other)
    for key in one:
        for a, b in zip(one[key], other[key], strict=True):
            assert (a.name, a.diameter) == (b.name, b.diameter)
            assert np.array_equal(a.image, b.image)
            assert np.array_equal(a.labels, b.labels)
            assert a.labels.dtype == b.labels.dtype


def test_a_packed_pool_is_the_folder(tmp_path):
    write_set(tmp_path / "data")
    write_pack(tmp_path / "data", tmp_path / "small.zip")
    pool, used, held = read_data(tmp_path / "data")
    again = read_data(tmp_path / "small.zip")
    same_pools(pool, again[0])
    assert again[1:] == (used, held)


def test_a_lossy_pack_stays_grey_and_keeps_the_labels(tmp_path):
    write_set(tmp_path / "data")
    write_pack(tmp_path / "data", tmp_path / "small.zip", quality=90)
    (sample,) = read_data(tmp_path / "small.zip")[0]["dsb2018_stage1/fluorescence"]
    (exact,) = load_pool(tmp_path / "data")[0]["dsb2018_stage1/fluorescence"]
    assert np.array_equal(sample.labels, exact.labels)
    assert (sample.image == sample.image[..., :1]).all()
    assert 0 < np.abs(sample.image.astype(int) - exact.image).mean() < 6


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_drawing_ahead_in_processes_gives_the_same_batches(pool):
    settings = PretrainSettings(batch=2, crop=64)
    # OpenCV has threads by now, as after reading the images; the processes must not wait for them for ever.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    draw_crop(np.random.default_rng(0), pool, 256, 0.0)
    alone, ahead = batches(pool, settings, 5), batches(pool, settings, 5, workers=2)
    for _ in range(4):
        one, other = next(alone), next(ahead)
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.low_labels, other.low_labels)
        for name in ("point", "box", "clicks"):
            for part in ("crop", "points", "kinds", "cell"):
                assert np.array_equal(getattr(getattr(one, name), part), getattr(getattr(other, name), part))
    alone.close()
    ahead.close()
    cv2.setNumThreads(threads)


def test_a_training_can_begin_with_given_weights(tmp_path):
    from cellseg1.bundled import resource_path

    path = resource_path("backbones/tiny.safetensors")
    state = _State(PretrainSettings(), torch.device("cpu"), path)
    from safetensors.torch import load_file

    for key, value in load_file(path).items():
        assert torch.equal(state.model.state_dict()[key], value.float()), key
        assert torch.equal(state.average[key], value.float()), key
