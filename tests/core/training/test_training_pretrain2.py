"""Training the second architecture: what it is shown, what it is asked, and that it goes on where it was."""

import json
import os
import signal
import sys

import numpy as np
import pytest
import torch
from crop_prompts import assert_prompts_are_where_they_say
from PIL import Image

from cellseg1.sam.device import flushes_denormals
from cellseg1.sam.interface import Decoded
from cellseg1.sam.tiny2 import build_tiny2
from cellseg1.training.pretrain import __main__ as command
from cellseg1.training.pretrain.batches import windows_of
from cellseg1.training.pretrain.batches2 import MARGIN, make_batch2
from cellseg1.training.pretrain.crops import Crop
from cellseg1.training.pretrain.crops2 import draw_crop2, in_pieces
from cellseg1.training.pretrain.dense import between_cells, dense_maps, relative_depth
from cellseg1.training.pretrain.drawn import draw_cells
from cellseg1.training.pretrain.endless import KEPT, State, Steps, batches2, checkpoints, run, sprint, take
from cellseg1.training.pretrain.loss2 import mask_and_score_loss
from cellseg1.training.pretrain.measure import fixed_crops, measure
from cellseg1.training.pretrain.pack import write_pack
from cellseg1.training.pretrain.pool import Sample, load_held
from cellseg1.training.pretrain.settings import EndlessSettings

CPU = torch.device("cpu")
SMALL = EndlessSettings(sides=((32, 2), (48, 1)), warm_up=2)


@pytest.fixture(scope="module")
def pool():
    image, labels = draw_cells(np.random.default_rng(3), 200)
    return {"bbbc039": [Sample("one", image[:150], labels[:150], 20.0)]}


def two_squares():
    labels = np.zeros((32, 48), np.int32)
    labels[4:14, 10:20] = 7
    labels[4:14, 20:30] = 3
    return labels


# ---- what the dense head should answer


def test_depth_is_one_in_the_middle_of_each_cell_and_small_at_its_edge():
    depth = relative_depth(two_squares())
    assert depth[8, 15] == depth[8, 24] == 1
    assert depth[0, 0] == 0
    # The edge between touching cells counts from both sides.
    assert depth[8, 19] == depth[8, 20] == depth[4, 15] == pytest.approx(0.1, abs=0.03)
    thin = np.zeros((32, 48), np.int32)
    thin[5, 3:30] = 2
    assert (relative_depth(thin)[5, 3:30] == 1).all()


def test_a_cell_that_the_border_cuts_is_deepest_at_the_border():
    labels = np.zeros((40, 64), np.int32)
    yy, xx = np.mgrid[:40, :64]
    labels[(yy - 41) ** 2 + (xx - 30) ** 2 < 15**2] = 1
    depth = relative_depth(labels)
    assert depth[39, 30] == depth.max() == 1
    assert relative_depth(np.ones((8, 12), np.int32)).min() == 1


def test_maps_are_halved_and_the_way_leads_to_the_centre():
    maps = dense_maps(two_squares())
    assert maps.shape == (5, 16, 24)
    assert maps[0, 4, 7] == 1
    assert maps[0, 0, 0] == 0
    assert maps[2, 4, 9] == 1
    assert maps[2, 4, 6] == maps[2, 12, 12] == 0
    # Value (4, 5) covers x = 10, 11 and y = 8, 9; the cell's centre lies at (14.5, 8.5).
    assert maps[3:, 4, 5].tolist() == pytest.approx([4.0, 0.0])
    assert between_cells(two_squares())[8, 18:22].all()
    apart = two_squares()
    apart[:, 19:22] = 0
    assert between_cells(apart)[8, 20]
    apart[:, 16:25] = 0
    assert not between_cells(apart).any()


# ---- what is shown


@pytest.mark.parametrize("seed", range(16))
def test_crops_have_prompts_where_they_say(pool, seed):
    shown = (64, 59) if seed % 2 else (64, 64)
    crop = draw_crop2(np.random.default_rng(seed), pool, 64, shown, 0.5)
    assert crop.image.shape == (*shown, 3)
    assert crop.labels.shape == shown
    assert_prompts_are_where_they_say(crop)


def test_drawn_cells_differ_and_repeat():
    first, second = (draw_cells(np.random.default_rng(8), 96) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    drawn = [draw_cells(np.random.default_rng(seed), 96) for seed in range(60)]
    assert len({int(labels.max()) for _, labels in drawn}) > 10
    assert all(image.shape == (96, 96, 3) and image.dtype == np.uint8 for image, _ in drawn)
    # Every picture shows something.
    assert all(image.std() > 1 for image, _ in drawn)


def test_mirrored_pieces_of_a_cell_are_cells_of_their_own():
    labels = np.zeros((12, 20), np.int32)
    labels[2:5, 2:6] = 4
    labels[2:5, 12:16] = 4
    labels[8, 8] = 9
    pieces = in_pieces(labels)
    assert sorted(np.unique(pieces)) == [0, 1, 2]
    assert pieces[3, 3] != pieces[3, 13]
    assert pieces[8, 8] == 0


def crop_of(labels):
    image = np.repeat((labels > 0).astype(np.uint8)[..., None] * 200, 3, 2)
    nothing = np.zeros((0, 3), np.int32)
    return Crop(
        image,
        labels,
        np.array([[28.0, 30.0]], np.float32),
        np.array([1], np.int32),
        np.zeros((0, 3, 2), np.float32),
        nothing,
        np.zeros(0, np.int32),
    )


def test_beyond_the_image_nothing_is_known_and_inside_all_to_the_last_row():
    labels = np.zeros((37, 61), np.int32)
    labels[25:37, 20:36] = 1
    batch = make_batch2([crop_of(labels)])
    assert batch.pixels.shape == (1, 37, 61, 3)
    assert batch.dense.shape == (1, 5, 24, 32)
    assert batch.labels.shape == (1, 24 + 2 * MARGIN, 32 + 2 * MARGIN, 4)
    zero, origin = torch.zeros(1, dtype=torch.int64), torch.tensor([[-16, -16]])
    decoded = Decoded(torch.zeros(1), zero, torch.zeros(1, 48, 48), origin, 2)
    found = windows_of(torch.from_numpy(batch.labels), zero, decoded, MARGIN)[0].numpy()
    whole = np.full((96, 96), -1)
    whole[16:53, 16:77] = labels
    fours = whole.reshape(48, 2, 48, 2).transpose(0, 2, 1, 3).reshape(48, 48, 4)
    assert np.array_equal(found, fours)


def test_what_a_mask_says_beyond_the_image_does_not_count():
    torch.manual_seed(0)
    logits = torch.randn(2, 48, 48)
    known = torch.ones(2, 48, 48)
    known[:, 30:] = 0
    truth = torch.zeros(2, 48, 48)
    truth[:, 10:30, 10:40] = 1
    scores, cells = torch.tensor([0.4, 0.6]), torch.tensor([True, True])
    before = mask_and_score_loss(logits, scores, truth, known, cells)
    logits[:, 30:] += 9
    truth[:, 30:] = 1
    after = mask_and_score_loss(logits, scores, truth, known, cells)
    assert [float(part) for part in before] == [float(part) for part in after]


def test_scores_learn_the_iou_itself():
    truth = torch.zeros(2, 48, 48)
    truth[:, 10:20, 10:30] = 1
    logits = torch.where(truth > 0, 9.0, -9.0)
    logits[:, 10:20, 30:34] = 9.0
    known, cells = torch.ones_like(truth), torch.tensor([True, False])
    right = torch.tensor([200 / 240, 1e-6], requires_grad=True)
    _, score, iou = mask_and_score_loss(logits, right, truth, known, cells)
    score.backward()
    assert iou == pytest.approx(200 / 240)
    assert abs(float(right.grad[0])) < 1e-3
    high = torch.tensor([0.95, 0.3], requires_grad=True)
    mask_and_score_loss(logits, high, truth, known, cells)[1].backward()
    assert (high.grad > 0.1).all()


# ---- the training


def test_steps_depend_on_seed_and_number_alone(pool):
    one, other = Steps(pool, SMALL)[5], Steps(pool, SMALL)[5]
    assert np.array_equal(one.pixels, other.pixels)
    assert np.array_equal(one.dense, other.dense)
    assert not np.array_equal(one.pixels, Steps(pool, EndlessSettings(sides=SMALL.sides, seed=1))[5].pixels)
    assert len({Steps(pool, SMALL)[step].pixels.shape for step in range(12)}) > 4


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_drawing_ahead_in_a_process_gives_the_same(pool):
    alone, ahead = batches2(pool, SMALL, 3), batches2(pool, SMALL, 3, workers=1)
    for _ in range(2):
        one, other = next(alone), next(ahead)
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.labels, other.labels)
    alone.close()
    ahead.close()


def test_a_resumed_training_is_the_undisturbed_one(pool, tmp_path):
    steps = Steps(pool, SMALL)
    whole = State(SMALL, CPU)
    figures = [whole.train_step(steps[step]) for step in range(3)]
    part = State(SMALL, CPU)
    part.train_step(steps[0])
    part.save(tmp_path)
    again = State(EndlessSettings(sides=SMALL.sides, warm_up=2), CPU)
    again.load(checkpoints(tmp_path)[-1])
    assert [again.train_step(steps[step]) for step in (1, 2)] == figures[1:]
    for key, value in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[key], value), key
        assert torch.equal(again.average[key], whole.average[key]), key
    # Kinds of prompts that the last step did not draw have none, nor what a softmax does not see (`two_way`).
    idle = [name for name, parameter in whole.model.named_parameters() if parameter.grad is None]
    assert [name for name in idle if not name.startswith("prompt_encoder.") and "k_proj.bias" not in name] == []


def write_set(folder):
    for part in ("images", "masks"):
        (folder / "dsb2018_stage1" / part).mkdir(parents=True)
    for number, shape in enumerate([(96, 128), (512, 640)]):
        rng = np.random.default_rng(number)
        labels = np.zeros(shape, np.uint16)
        for i in range(12):
            y, x = rng.integers(10, shape[0] - 10), rng.integers(10, shape[1] - 10)
            labels[y - 6 : y + 6, x - 8 : x + 8] = i + 1
        image = ((labels > 0) * 60 + rng.integers(0, 20, shape)).astype(np.uint8)
        for part, array in (("images", image), ("masks", labels)):
            Image.fromarray(array).save(folder / "dsb2018_stage1" / part / f"{number}.png")


def test_a_training_ends_when_asked_goes_on_and_gives_weights(tmp_path, monkeypatch):
    write_set(tmp_path / "data")
    out = tmp_path / "run"
    train_step = State.train_step

    def and_asked(self, *arguments):
        if self.step % 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(self, *arguments)

    monkeypatch.setattr(State, "train_step", and_asked)
    monkeypatch.setattr("cellseg1.training.pretrain.endless._NOTE_STEPS", 2)
    for done in range(1, KEPT + 2):
        state = run(tmp_path / "data", out, SMALL, CPU)
        assert state.step == 2 * done
    assert [path.name for path in checkpoints(out)] == [f"checkpoint-{step:08d}.pt" for step in (4, 6, 8)]
    assert (out / "heldout.txt").read_text(encoding="utf-8") == "dsb2018_stage1/1.png\n"
    rows = [json.loads(line) for line in (out / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == [0, 2, 4, 6, 8]
    assert set(rows[0]["fixed"]) == {"dsb2018_stage1/fluorescence", "held out/fluorescence"}
    before = checkpoints(out)[-1].read_bytes()
    monkeypatch.setattr(State, "train_step", train_step)
    for steps in (0, 2):
        take(tmp_path / "data", out, tmp_path / f"{steps}.safetensors", SMALL, CPU, steps, 0)
    assert (tmp_path / "0.safetensors").read_bytes() != (tmp_path / "2.safetensors").read_bytes()
    assert checkpoints(out)[-1].read_bytes() == before
    went_on = run(tmp_path / "data", tmp_path / "other", SMALL, CPU, minutes=0, begin_with=tmp_path / "2.safetensors")
    assert went_on.step == 0


def test_a_sprint_writes_weights_from_packed_data(tmp_path, monkeypatch):
    write_set(tmp_path / "data")
    write_pack(tmp_path / "data", tmp_path / "small.zip")
    train_step, shares = State.train_step, []

    def a_minute_each(self, batch, share=1.0):
        shares.append(share)
        self.seconds += 60
        return train_step(self, batch, share)

    monkeypatch.setattr(State, "train_step", a_minute_each)
    weights = tmp_path / "taken.safetensors"
    sprint(tmp_path / "small.zip", tmp_path / "run", weights, SMALL, CPU, 5)
    assert shares == [1, 1, 1, 1, 0.5]
    assert build_tiny2(weights).dense_head is not None


def test_measuring_sees_what_is_held_out(pool, tmp_path):
    write_set(tmp_path)
    held = load_held(tmp_path, ["dsb2018_stage1/1.png"])
    assert list(held) == ["held out/fluorescence"]
    crops = fixed_crops({**pool, **held}, 24.0, count=2, side=96)
    assert list(crops) == ["bbbc039", "held out/fluorescence"]
    figures = measure(State(SMALL, CPU).ema_model(), crops["held out/fluorescence"], CPU)
    assert all(0 <= value <= 1 for value in figures.values())
    assert figures["above75"] <= figures["iou"] / 0.75


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--data", "nowhere", "--minutes", "1"], "nowhere does not exist"),
        (["--architecture", "1"], "--minutes is missing"),
        (["--sprint"], "--minutes is missing"),
        (["--architecture", "1", "--minutes", "1", "--take", "w"], "need --architecture 2"),
        (["--architecture", "1", "--minutes", "1", "--sprint"], "need --architecture 2"),
        (["--architecture", "1", "--minutes", "1", "--times", "2"], "need --architecture 2"),
        (["--take", "w"], "There is no training in"),
    ],
)
def test_wrong_options_are_told_before_anything_begins(monkeypatch, tmp_path, capsys, given, said):
    monkeypatch.setattr(sys, "argv", ["pretrain", "--architecture", "2", "--data", str(tmp_path), "--out", "o", *given])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_flushes_denormals_and_passes_on_what_was_asked(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        "cellseg1.training.pretrain.endless.run",
        lambda *given, **more: seen.append((flushes_denormals(), given[2].times, more["minutes"])),
    )
    arguments = ["pretrain", "--architecture", "2", "--data", str(tmp_path), "--out", str(tmp_path), "--times", "3"]
    monkeypatch.setattr(sys, "argv", arguments)
    before = flushes_denormals()
    try:
        assert command.main() == 0
    finally:
        torch.set_flush_denormal(before)
    assert seen == [(True, 3, None)]
