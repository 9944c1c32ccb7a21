"""Schedules, weights of updates, switches, memory: the rules of the training loop."""

import numpy as np
import pytest
import torch

from cellseg1.errors import ModelFileError, SettingsError
from cellseg1.lora.inject import inject_lora, lora_matrices
from cellseg1.sam.device import flushes_denormals
from cellseg1.sam.tiny import TinyModel
from cellseg1.settings import make_settings
from cellseg1.training.adapter import lora_config
from cellseg1.training.samples import Sample, SampleSource, TrainingImage, rescaled
from cellseg1.training.schedule import planned_updates
from cellseg1.training.trainer import Trainer


def discs(height=96, width=128, step=32, radius=9):
    yy, xx = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.int32)
    for number, (y, x) in enumerate((y, x) for y in range(16, height, step) for x in range(16, width, step)):
        labels[(yy - y) ** 2 + (xx - x) ** 2 < radius**2] = number + 1
    noise = np.random.default_rng(0).integers(0, 40, labels.shape)
    pixels = np.repeat(((labels > 0) * 150 + noise).astype(np.uint8)[..., None], 3, axis=2)
    return TrainingImage("discs", "0", pixels, labels)


BASE = {
    "target_diameter": None,
    "patch_size": 64,
    "sam_image_size": 64,
    "duplicate_data": 6,
    "batch_size": 2,
    "gradient_accumulation_step": 2,
    "epoch_max": 2,
    "edge_distance": 1,
    "precision": "float32",
}


def trainer(recipe="studio", images=None, seed_model=0, **changes):
    settings = make_settings(
        recipe, "tiny", {**BASE, **{k: v for k, v in changes.items() if k in make_settings().to_dict()}}
    )
    more = {key: value for key, value in changes.items() if key not in make_settings().to_dict()}
    torch.manual_seed(seed_model)
    model = TinyModel()
    inject_lora(model, lora_config(settings))
    return Trainer(model, SampleSource(images or [discs()], settings), settings, **more)


def adapter(one):
    return {matrix.name: matrix.parameter.detach().clone() for matrix in lora_matrices(one.model)}


@pytest.mark.parametrize(
    ("tiles", "batch", "accumulate", "planned", "taken"),
    [(48, 1, 32, 740, 600), (48, 4, 8, 712, 600), (8, 1, 8, 562, 300)],
)
def test_t1_schedule_lengths(tiles, batch, accumulate, planned, taken):
    batches = -(-tiles // batch)
    for switch, wanted in (("upstream", planned), ("repaired", taken)):
        settings = make_settings(
            "paper",
            "vit_b",
            {"batch_size": batch, "gradient_accumulation_step": accumulate, "schedule_length": switch},
        )
        assert planned_updates(batches, settings) == wanted


@pytest.mark.parametrize(
    ("tiles", "wanted", "upstream", "repaired"), [(16, 32, 48, 32), (16, 31, 32, 31), (32, 32, 32, 32), (1, 32, 33, 32)]
)
def test_t11_duplicates(tiles, wanted, upstream, repaired):
    # 16 tiles of 256 make 1 image of 512 pixels under both rules.
    settings = make_settings("paper", "vit_b", {"resize_size": None, "patch_size": None, "duplicate_data": wanted})
    images = [discs(32, 48)] * tiles
    assert len(SampleSource(images, settings)) == upstream
    assert len(SampleSource(images, settings.replace(duplicate_rule="repaired"))) == repaired


def test_a_short_epoch_goes_on_where_the_last_one_stopped():
    image = TrainingImage("a", "0", np.zeros((256, 512, 3), np.uint8), np.zeros((256, 512), np.int32))
    settings = make_settings("studio", "vit_b", {"patch_size": 64, "duplicate_data": 1, "epoch_tiles": 40})
    source = SampleSource([image], settings)
    tiles = source.tile_count
    assert tiles > 2 * 40
    assert len(source) == 40
    seen = np.concatenate([source.order(epoch) for epoch in range(tiles)])
    assert sorted(np.bincount(seen)) == [40] * tiles
    assert len(set(seen[:tiles])) == tiles
    everything = SampleSource([image], settings.replace(epoch_tiles=None))
    assert np.array_equal(everything.order(1)[:5], np.random.default_rng((0, 1)).permutation(tiles)[:5])
    assert len(SampleSource([image], settings.replace(epoch_tiles=1000))) == tiles


def test_t2_weights_of_an_update():
    """Seven tiles, groups of two batches of two: 2 + 2 + 2 + 1 tiles."""
    for rule, wanted in (("upstream", [0.5, 0.5, 0.5, 0.5]), ("repaired", [0.5, 0.5, 2 / 3, 1 / 3])):
        one = trainer(accumulation=rule, duplicate_data=7)
        assert one.source.batches() == 4
        weights = []
        for batch in range(4):
            one._pending = batch % 2
            weights.append(one._weight(batch, 1 if batch == 3 else 2))
        assert weights == pytest.approx(wanted)
    odd = trainer(accumulation="upstream", duplicate_data=6)  # three batches: the last group has one
    assert odd.source.batches() == 3
    odd._pending = 0
    assert odd._weight(2, 2) == 1.0


@pytest.mark.parametrize("rule", ["upstream", "repaired"])
def test_t3_a_skipped_batch(rule, monkeypatch):
    one = trainer(skipped_batch=rule)
    updates = []
    one._optimizer.register_step_pre_hook(lambda *_: updates.append(one._step))
    # Three batches per epoch, updates after 1 and 2; batch 1 of each epoch has no sample.
    real = one._samples
    monkeypatch.setattr(one, "_samples", lambda epoch, batch: [] if batch == 1 else real(epoch, batch))
    one.run()
    assert updates == ([2, 5] if rule == "upstream" else [1, 2, 4, 5])


def test_t4_a_tile_whose_points_left_the_frame(monkeypatch):
    source = SampleSource([discs()], make_settings("paper", "tiny", {**BASE, "resize_size": None}))
    gone = lambda *a, **k: None  # noqa: E731
    monkeypatch.setattr(source, "_augmented", gone)
    assert source.get(0, 0) is None
    repaired = SampleSource([discs()], make_settings("studio", "tiny", BASE))
    monkeypatch.setattr(repaired, "_augmented", gone)
    sample = repaired.get(0, 0)
    assert len(sample.xy) > 0
    empty = Sample(sample.pixels, sample.labels, None, sample.xy[:0], sample.cell[:0])
    for rule, left in (("upstream", 0), ("repaired", 1)):
        one = trainer(empty_tile=rule)
        answers = iter([empty, sample])
        monkeypatch.setattr(one.source, "get", lambda epoch, index, answers=answers: next(answers))
        assert len(one._samples(0, 0)) == left


def test_t5_without_augmentation_points_image_and_targets_agree():
    image = discs(48, 80)
    settings = make_settings(
        "studio", "tiny", {**BASE, "patch_size": None, "sam_image_size": 128, "data_augmentation": False}
    )
    sample = SampleSource([image], settings).get(0, 0)
    assert sample.labels.shape == (128, 128)
    assert sample.pixels[sample.labels > 0].mean() > 2 * sample.pixels[sample.labels == 0].mean()
    assert np.array_equal(sample.labels[sample.xy[:, 1], sample.xy[:, 0]], sample.cell)
    assert (sample.cell > 0).sum() >= 2


@pytest.mark.parametrize("rule", ["upstream", "repaired"])
def test_t8_points_that_moved(rule):
    from cellseg1.training.samples import _surviving

    labels = np.zeros((64, 96), np.int32)
    labels[10:30, 10:30], labels[10:30, 40:60] = 1, 2
    xy = np.array([[15, 15], [45, 15], [50, 20], [80, 50]])
    was = np.array([1, 1, 0, 0], np.int32)  # the second was on cell 1, the third on the background
    settings = make_settings("studio", "tiny", {"moved_points": rule})
    _, cell = _surviving(xy, was, labels, None, settings)
    assert list(cell) == ([1, 2, 0, 0] if rule == "upstream" else [1, 0])


def test_t9_resize_order():
    image = discs(96, 128)
    settings = make_settings("paper", "tiny", {**BASE, "resize_size": [64, 160], "patch_size": None})
    upstream = SampleSource([image], settings)
    repaired = SampleSource([image], settings.replace(resize_order="repaired"))
    assert upstream._tiles[0].labels.shape == (160, 64)
    assert repaired._tiles[0].labels.shape == (64, 160)


def test_a_small_image_is_extended_not_enlarged_when_repaired():
    tile = SampleSource([discs(40, 50)], make_settings("studio", "tiny", BASE))._tiles[0]
    assert tile.labels.shape == (64, 64)
    assert not tile.annotated[40:].any()
    assert not tile.annotated[:, 50:].any()
    assert tile.annotated[:40, :50].all()
    upstream = SampleSource([discs(40, 50)], make_settings("paper", "tiny", {**BASE, "resize_size": None}))._tiles[0]
    assert upstream.annotated is None


def test_rescaling_keeps_cells():
    image = discs(97, 131)
    for factor in (0.5, 1.7):
        other = rescaled(image, factor)
        assert other.labels.shape == (round(97 * factor), round(131 * factor))
        assert other.pixels.shape[:2] == other.labels.shape
        areas = np.bincount(other.labels.ravel())[1:] / np.bincount(image.labels.ravel())[1:]
        assert np.allclose(areas, factor**2, rtol=0.15)


def test_nothing_outside_the_region_matters():
    """Scribbles outside the annotated part change neither the loss nor the gradient."""
    image = discs()
    annotated = np.zeros(image.labels.shape, bool)
    annotated[:, :64] = True
    messy = image.labels.copy()
    messy[:, 64:] = np.where(messy[:, 64:] > 0, 0, 9)
    changes = {"patch_size": None, "sam_image_size": 128, "data_augmentation": False, "duplicate_data": 1}
    losses = []
    for labels in (image.labels, messy):
        one = trainer(images=[TrainingImage("a", "0", image.pixels, labels, annotated)], **changes)
        sample = one._samples(0, 0)[0]
        assert sample.annotated[sample.xy[:, 1], sample.xy[:, 0]].all()
        losses.append(one._one_batch())
    assert losses[0] == losses[1]


def test_same_seed_same_adapter_other_seed_another():
    first, second, third = trainer(), trainer(), trainer(seed=1)
    for one in (first, second, third):
        one.run()
    assert all(torch.equal(value, adapter(second)[key]) for key, value in adapter(first).items())
    assert any(not torch.equal(value, adapter(third)[key]) for key, value in adapter(first).items())


def test_global_random_states_are_left_alone():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one = trainer()
    torch.manual_seed(5)
    one.run()
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_stopped_anywhere_and_resumed(tmp_path):
    whole = trainer(checkpoint=tmp_path / "whole")
    outcome = whole.run()
    assert outcome.finished
    assert outcome.steps == 6
    for at in range(1, 6):
        path = tmp_path / f"part{at}"
        first = trainer(checkpoint=path, stop=None)
        first._stop = lambda at=at, first=first: first._step >= at
        assert not first.run().finished
        second = trainer(checkpoint=path, seed_model=7)  # other base weights: only the adapter comes back
        second.model.load_state_dict(
            {k: v for k, v in first.model.state_dict().items() if not k.endswith((".a.q", ".b.q", ".a.v", ".b.v"))},
            strict=False,
        )
        assert second.resume() == at
        result = second.run()
        assert result.resumed_from == at
        assert result.losses == outcome.losses
        assert all(torch.equal(value, adapter(whole)[key]) for key, value in adapter(second).items())


def test_the_finished_adapter_is_an_average_also_after_a_resume(tmp_path):
    raw, whole = trainer(), trainer(trained_share=0.25)
    first = {key: value.clone() for key, value in adapter(raw).items()}
    raw.run()
    whole.run()
    assert all(torch.equal(value, adapter(raw)[key]) for key, value in adapter(whole).items())
    whole.average()
    for key, value in adapter(whole).items():
        torch.testing.assert_close(value, first[key] + 0.25 * (adapter(raw)[key] - first[key]))
    part = trainer(trained_share=0.25, checkpoint=tmp_path / "c", stop=lambda: True)
    assert not part.run().finished
    part.average()
    again = trainer(trained_share=0.25, checkpoint=tmp_path / "c")
    again.resume()
    again.run()
    again.average()
    assert all(torch.equal(value, adapter(whole)[key]) for key, value in adapter(again).items())


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    first = trainer(checkpoint=tmp_path / "c", fingerprint="a", stop=lambda: True)
    first.run()
    with pytest.raises(ModelFileError, match="other images, masks or settings"):
        trainer(checkpoint=tmp_path / "c", fingerprint="b").resume()
    data = (tmp_path / "c").read_bytes()
    (tmp_path / "c").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFileError, match="damaged"):
        trainer(checkpoint=tmp_path / "c", fingerprint="a").resume()


def test_progress_counts_every_batch():
    seen = []
    one = trainer(progress=seen.append)
    one.run()
    assert [p.step for p in seen] == [1, 2, 3, 4, 5, 6]
    assert [p.epoch for p in seen] == [1, 1, 1, 2, 2, 2]
    assert seen[-1].seconds_left == 0
    assert all(p.steps == 6 and np.isfinite(p.loss) for p in seen)


def test_training_lowers_the_loss():
    one = trainer(epoch_max=6)
    losses = one.run().losses
    assert losses[-1] < losses[0]


def test_the_rate_reaches_the_end_of_its_cycle_when_repaired():
    ends = {}
    for rule in ("upstream", "repaired"):
        one = trainer(schedule_length=rule, gradient_accumulation_step=3, epoch_max=4)
        one.run()
        ends[rule] = one._optimizer.param_groups[0]["lr"]
    assert ends["repaired"] < 0.3 * ends["upstream"]


def test_base_weights_train_at_their_own_rate_when_not_frozen():
    one = trainer(freeze_image_encoder=False, backbone_lr=1e-5)
    rates = [group["max_lr"] for group in one._optimizer.param_groups]
    assert rates == pytest.approx([3e-3, 1e-5])
    before = one.model.image_encoder.stem2[0].weight.detach().clone()
    one.run()
    assert not torch.equal(one.model.image_encoder.stem2[0].weight, before)


def test_gradient_checkpointing_changes_nothing():
    plain, saving = trainer(lora_dropout=0.0), trainer(lora_dropout=0.0)
    saving.model.checkpoint_encoder = True
    plain.run()
    saving.run()
    for key, value in adapter(plain).items():
        assert torch.allclose(value, adapter(saving)[key], atol=1e-5), key


def spoil(one, steps):
    """Let the gradients of these batches hold a value that is not a number, as a faulty kernel did."""
    real = one._in_parts

    def faulty(*args):
        loss = real(*args)
        if one._step in steps:
            one._parameters[0][1].grad.view(-1)[3] = float("nan")
        return loss

    one._in_parts = faulty


def test_an_update_that_is_not_a_number_is_left_out(caplog):
    one = trainer(gradient_accumulation_step=1, epoch_max=3)
    spoil(one, {1, 4})
    outcome = one.run()
    assert outcome.finished
    assert outcome.steps == 9
    assert all(torch.isfinite(value).all() for _, value in one._parameters)
    assert sum("not numbers" in record.message for record in caplog.records) == 2
    undisturbed = trainer(gradient_accumulation_step=1, epoch_max=3)
    undisturbed.run()
    assert any(not torch.equal(a, b) for (_, a), (_, b) in zip(one._parameters, undisturbed._parameters, strict=True))


def test_a_training_that_diverged_ends_with_a_sentence(tmp_path):
    one = trainer(gradient_accumulation_step=1, epoch_max=20, checkpoint=tmp_path / "c.pt", checkpoint_seconds=0.001)
    spoil(one, set(range(5, 1000)))
    with pytest.raises(SettingsError, match=r"10 updates in a row.*precision=float32"):
        one.run()
    assert one._step == 14
    assert all(torch.isfinite(value).all() for _, value in one._parameters)


@pytest.fixture
def not_flushed():
    # The command, called earlier in this process, keeps them flushed.
    before = flushes_denormals()
    torch.set_flush_denormal(False)
    yield
    torch.set_flush_denormal(before)


@pytest.mark.usefixtures("not_flushed")
def test_numbers_below_the_smallest_normal_one_become_zero_in_a_training_only(monkeypatch):
    one = trainer()
    seen = []
    update = one._update

    def faint_loss(*_args):
        return sum((p.sum() * 1e-30 * 1e-10 for _, p in one._parameters), torch.zeros(()))

    def look():
        seen.extend(float(p.grad.view(torch.int32).abs().max()) for _, p in one._parameters)
        update()

    monkeypatch.setattr("cellseg1.training.trainer.forward_loss", faint_loss)
    monkeypatch.setattr(one, "_update", look)
    one.run()
    assert len(seen) > 0
    assert max(seen) == 0
    assert not flushes_denormals()
