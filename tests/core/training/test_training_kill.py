"""A training killed at random moments and resumed ends with the model of one that was left alone."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
from safetensors.numpy import load_file

from cellseg1.bundled import resource_path
from cellseg1.files import atomic_write, remove_unfinished
from cellseg1.lora import load_card

STEPS = 40  # 5 epochs of 16 tiles, two at a time
SETTINGS = [
    f"--set={pair}"
    for pair in (
        "epoch_max=5",
        "duplicate_data=8",
        "batch_size=2",
        "gradient_accumulation_step=3",
        "patch_size=128",
        "sam_image_size=128",
        "checkpoint_seconds=0.2",
        # The adapter alone: with all weights most of the test would be writing checkpoints of 70 MB.
        "freeze_image_encoder=true",
        "freeze_prompt_encoder=true",
        "freeze_mask_decoder_transformer=true",
    )
]


def command(out, *more):
    sample = resource_path("sample_project") / "train"
    name = "nuclei_a.png"
    return [
        *(sys.executable, "-m", "cellseg1", "train", "--json", "-q", "--threads", "1", "--device", "cpu"),
        *("--image", str(sample / "images" / name), "--mask", str(sample / "masks" / name), "--out", str(out)),
        *SETTINGS,
        *more,
    ]


def step_of(checkpoint):
    """Step of a checkpoint, 0 when there is none yet."""
    from cellseg1.training.checkpoint import read_checkpoint

    return read_checkpoint(checkpoint)["step"] if checkpoint.exists() else 0


def kill_after(out, least, *more):
    """Start a training and kill it (SIGKILL) once its checkpoint has passed step `least`."""
    process = subprocess.Popen(command(out, *more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    checkpoint = out.with_name(out.name + ".checkpoint")
    deadline = time.monotonic() + 240
    try:
        while time.monotonic() < deadline and process.poll() is None:
            if step_of(checkpoint) >= least:
                break
            time.sleep(0.02)
        assert process.poll() is None, process.communicate()[0].decode()
        time.sleep(random.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    return step_of(checkpoint)


def same_card(path, other):
    """Cards without the times."""
    cards = [load_card(file).to_dict() for file in (path, other)]
    for card in cards:
        card.pop("created")
        card["settings"].pop("checkpoint_seconds")
    return cards[0] == cards[1]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "model.cs1"
    subprocess.run(command(out), check=True, capture_output=True, timeout=400)
    return out


def test_killed_three_times_and_resumed(tmp_path, undisturbed):
    out = tmp_path / "killed" / "model.cs1"
    reached = [0]
    for least in (3, 12, 24):
        resume = ["--resume"] if reached[-1] else []
        at = kill_after(out, max(least, reached[-1] + 1), *resume)
        assert 3 <= at < STEPS
        assert at > reached[-1]
        reached.append(at)
        assert not out.exists()
    result = subprocess.run(command(out, "--resume"), check=True, capture_output=True, timeout=400)
    summary = json.loads(result.stdout)
    assert summary["finished"]
    assert summary["steps"] == STEPS
    assert summary["resumed_from"] == reached[-1] > 0
    ours, theirs = load_file(out), load_file(undisturbed)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert value.tobytes() == theirs[key].tobytes(), key
    assert same_card(out, undisturbed)
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    path = tmp_path / "model [1].cs1.checkpoint"
    with atomic_write(path) as stream:
        stream.write(b"whole")
    left = tmp_path / f".{path.name}.abc.part"
    other = tmp_path / ".another.cs1.checkpoint.abc.part"
    left.write_bytes(b"half")
    other.write_bytes(b"half")
    remove_unfinished(path)
    assert not left.exists()
    assert other.exists()
    assert path.read_bytes() == b"whole"


def test_the_reference_depends_on_the_seed(tmp_path, undisturbed):
    """The comparison above could not fail if training gave the same model whatever happens."""
    out = tmp_path / "model.cs1"
    subprocess.run(command(out, "--set=seed=1"), check=True, capture_output=True, timeout=400)
    ours, theirs = load_file(out), load_file(undisturbed)
    assert any(value.tobytes() != theirs[key].tobytes() for key, value in ours.items())
