"""Short memory, and a user who presses Ctrl+C: the rest of the issue's *Bad input* list, tried through the command."""

import json
import signal

import numpy as np
import pytest
import torch
from command import (
    IMAGE,
    PLAIN,
    QUICK,
    crop,
    done,
    labels_of,
    predict,
    refused_prediction,
    refused_training,
    run,
    sentence,
    train_quick,
    tree,
)
from safetensors.numpy import load_file

from cellseg1.prediction import pipeline
from cellseg1.prediction.candidates import Candidates
from cellseg1.sam.memory import is_out_of_memory
from cellseg1.sam.tiny import TinyModel
from cellseg1.training import trainer

# ---- training with little memory

STEADY = ("--set=lora_dropout=0", "--set=precision=float32", "--set=patch_size=128", "--set=sam_image_size=128")
FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: not enough memory: you tried ..."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"),
]


def limited_training(monkeypatch, error, *, most=2, checkpointing=False):
    """Let the loss run out of memory above `most` tiles, at `most` after a part went well; returns the tried sizes."""
    real, tried = trainer.forward_loss, []

    def forward(model, samples, *rest):
        tried.append(len(samples))
        loss = real(model, samples, *rest)
        again = len(samples) == most > 1 and tried[-2:] == [most, most]
        if len(samples) > most or again or (checkpointing and not model.checkpoint_encoder):
            raise error
        return loss

    monkeypatch.setattr(trainer, "forward_loss", forward)
    return tried


def recorded_gradients(monkeypatch):
    """Keep the gradients of every update (Adam forgives a wrong scale, so the adapters alone would not show it)."""
    real, kept = torch.optim.AdamW.step, []

    def step(self, *rest, **more):
        kept.append([p.grad.clone() for group in self.param_groups for p in group["params"] if p.grad is not None])
        return real(self, *rest, **more)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    return kept


@pytest.fixture(scope="module")
def roomy(tmp_path_factory):
    """Train with memory enough: the adapter, and the gradients of each update."""
    out = tmp_path_factory.mktemp("roomy") / "m.cs1"
    with pytest.MonkeyPatch.context() as patch:
        gradients = recorded_gradients(patch)
        assert train_quick(out, *STEADY).code == 0
    return load_file(out), gradients


@pytest.mark.parametrize("error", FULL[:2], ids=["cuda", "cpu"])
def test_short_memory_trains_the_same_model(tmp_path, monkeypatch, roomy, error):
    tried = limited_training(monkeypatch, error, checkpointing=error is FULL[0])
    gradients = recorded_gradients(monkeypatch)
    ran = train_quick(tmp_path / "m.cs1", *STEADY)
    assert ran.code == 0, ran
    assert tried[:4] == ([4, 2, 1, 1] if error is FULL[0] else [4, 2, 2, 1])
    assert set(tried[4:]) == {1}
    roomy, expected = roomy
    assert len(gradients) == len(expected) >= 2
    for ours, theirs in zip(gradients[0], expected[0], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)
    ours = load_file(tmp_path / "m.cs1")
    assert ours.keys() == roomy.keys()
    moved = 0.0
    for key, value in ours.items():
        # Sums in another order differ in their last bits, which Adam may enlarge where a gradient is almost nothing.
        np.testing.assert_allclose(value, roomy[key], atol=2e-4, err_msg=key)
        moved = max(moved, float(np.abs(value).max()) if "_b_" in key or key.endswith("b") else 0.0)
    assert moved > 1e-3  # the B matrices begin at zero: the training did something


def test_what_counts_as_short_memory():
    assert all(is_out_of_memory(error) for error in (*FULL, MemoryError()))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.parametrize("error", FULL[:2], ids=["cuda", "cpu"])
def test_no_memory_for_a_training_is_a_sentence(tmp_path, monkeypatch, error):
    limited_training(monkeypatch, error, most=0)
    text = refused_training(tmp_path, ["memory is not enough for this training"])
    assert "close other programs" in text


def test_no_memory_before_the_training_is_a_sentence(tmp_path, monkeypatch):
    def build(*_args, **_kwargs):
        raise FULL[1]

    monkeypatch.setattr("cellseg1.model.build_backbone", build)
    refused_training(tmp_path, ["memory is not enough", "close other programs"])


def test_no_memory_for_the_measurement_keeps_the_model(tmp_path, monkeypatch):
    def decode(*_args, **_kwargs):
        raise FULL[1]

    monkeypatch.setattr("cellseg1.sam.tiny.TinyModel.encode", _only_in_training(decode))
    ran = train_quick(tmp_path / "m.cs1")
    assert ran.code == 0, ran
    assert "the model is saved" in ran.err
    assert done("model", "show", tmp_path / "m.cs1", "--json").json()["ap_training"] is None


def _only_in_training(otherwise):
    from cellseg1.sam.tiny import TinyModel

    real = TinyModel.encode
    return lambda model, *rest: real(model, *rest) if model.training else otherwise()


# ---- a training stopped by the user


def stopping_at(monkeypatch, step):
    """Press Ctrl+C while the batch number `step` (from 1) is computed."""
    real, calls = trainer.forward_loss, []

    def forward(*arguments):
        calls.append(1)
        if len(calls) == step:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(trainer, "forward_loss", forward)


LONGER = ("--set=batch_size=1", "--set=gradient_accumulation_step=3")


def test_ctrl_c_keeps_the_model_and_resume_goes_on(tmp_path, monkeypatch):
    whole, out = tmp_path / "whole.cs1", tmp_path / "m.cs1"
    out.write_bytes(b"my old model")
    assert train_quick(whole, *LONGER).code == 0
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        stopping_at(patch, 3)
        stopped = train_quick(out, *LONGER, "--json")
    assert signal.getsignal(signal.SIGINT) is before
    assert stopped.code == 1
    assert "what is done is kept" in stopped.err
    assert (stopped.json()["finished"], stopped.json()["steps"]) == (False, 3)
    target, checkpoint = tmp_path / "m_2.cs1", tmp_path / "m_2.cs1.checkpoint"
    assert stopped.json()["model"] == str(target)
    assert checkpoint.is_file()
    assert "Stopped after" in done("model", "show", target, "--json").json()["notes"]
    # Neither a second training nor one with other settings may spoil what can be resumed.
    refused_training(tmp_path, [target, "--resume"], out="m.cs1", more=LONGER)
    refused_training(
        tmp_path, [checkpoint, "other images, masks or settings"], out="m.cs1", more=(*LONGER, "--resume", "--epochs=2")
    )
    resumed = train_quick(out, *LONGER, "--resume", "--json")
    assert resumed.code == 0, resumed
    assert (resumed.json()["finished"], resumed.json()["resumed_from"]) == (True, 3)
    assert resumed.json()["model"] == str(target)
    assert not checkpoint.exists()
    assert out.read_bytes() == b"my old model"
    ours, theirs = load_file(target), load_file(whole)
    assert all(value.tobytes() == theirs[key].tobytes() for key, value in ours.items())
    refused_training(tmp_path, ["nothing to resume"], out="m.cs1", more=(*LONGER, "--resume"))


def test_a_damaged_checkpoint_is_a_sentence(tmp_path):
    checkpoint = tmp_path / "m.cs1.checkpoint"
    checkpoint.write_bytes(b"half a checkpoint")
    refused_training(tmp_path, [checkpoint, "damaged"], out="m.cs1", more=["--resume"])


def test_the_demo_stops_with_a_sentence(tmp_path, monkeypatch):
    stopping_at(monkeypatch, 1)
    ran = run("demo", "--out", tmp_path / "demo", *QUICK, "--set", "batch_size=1")
    assert "stopped" in sentence(ran, code=1)
    assert (tmp_path / "demo" / "model.cs1").is_file()


# ---- prediction with little memory, or stopped


def limited_decoding(monkeypatch, error, most, action, *arguments):
    """Let the decoder run out of memory above `most` prompts during an action; returns the numbers that were tried."""
    real, tried = TinyModel.decode, []

    def decode(self, embedding, points, *rest, **more):
        tried.append(len(points))
        if len(points) > most:
            raise error
        return real(self, embedding, points, *rest, **more)

    monkeypatch.setattr(TinyModel, "decode", decode)
    action(*arguments)
    return tried


@pytest.mark.parametrize("error", FULL[:2], ids=["cuda", "cpu"])
def test_short_memory_gives_the_same_labels(tmp_path, model, image, monkeypatch, error):
    with monkeypatch.context() as patch:
        prompts = sum(limited_decoding(patch, error, 1000, predict, model, tmp_path / "roomy", image))
    tried = limited_decoding(monkeypatch, error, 5, predict, model, tmp_path / "short", image)
    assert tried[0] > 5 >= tried[-1]
    assert sum(size for size in tried if size <= 5) == prompts
    roomy, short = labels_of(tmp_path / "roomy" / "cells.png"), labels_of(tmp_path / "short" / "cells.png")
    assert roomy.max() > 0
    np.testing.assert_array_equal(roomy, short)
    proposals = [Candidates.load(tmp_path / name / "candidates" / "cells.npz") for name in ("roomy", "short")]
    np.testing.assert_array_equal(proposals[0].point_xy, proposals[1].point_xy)
    np.testing.assert_allclose(proposals[0].score, proposals[1].score, atol=1e-4)


@pytest.mark.parametrize("error", FULL[:2], ids=["cuda", "cpu"])
def test_no_memory_for_a_prediction_is_a_sentence(tmp_path, model, image, monkeypatch, error):
    words = ["memory is not enough for this prediction", "close other programs"]
    limited_decoding(monkeypatch, error, 0, refused_prediction, tmp_path, words, model, image)


def test_ctrl_c_keeps_the_images_that_are_done(tmp_path, model, image, monkeypatch):
    crop(IMAGE, image.parent / "more.png", 64)
    real, seen = pipeline.read_image, []

    def reading(path):
        seen.append(path)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(path)

    monkeypatch.setattr(pipeline, "read_image", reading)
    ran = run("predict", "--model", model, "--out", tmp_path / "out", image.parent, *PLAIN, "--json")
    assert ran.code == 1
    assert ran.json()["stopped"]
    assert [one["image"] for one in ran.json()["images"]] == ["cells.png"]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["stopped"]
    assert sorted(tree(tmp_path / "out")) == [
        *("candidates", "candidates/cells.npz", "cells.png", "overlays", "overlays/cells.png", "run.json")
    ]
