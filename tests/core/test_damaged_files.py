"""Damaged and hostile models, checkpoints, proposals and settings: a sentence or the right values, nothing else."""

import io
import json
import os
import random
import signal
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
import yaml
from golden_models import small_sam

from cellseg1.errors import CellSeg1Error, ModelFileError
from cellseg1.lora import Card, apply_model, lora_matrices, read_pth, save_model, write_pth
from cellseg1.lora.inject import base_tensors
from cellseg1.prediction.candidates import Candidates
from cellseg1.settings import Settings, load_yaml, make_settings
from cellseg1.training.checkpoint import read_checkpoint, write_checkpoint

KINDS = ("cs1", "pth", "checkpoint", "npz", "yaml")


def proposals():
    rng = np.random.default_rng(0)
    masks = [(rng.random((9, 7)) < 0.7, (int(rng.integers(60)), int(rng.integers(40)))) for _ in range(40)]
    return Candidates.from_masks(
        masks, (60, 80), score=rng.random(40), stability=rng.random(40), settings={"floor": 0.3}
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One sound file of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    files = {kind: folder / f"lora_vit_b_4_320_x.{kind}" for kind in KINDS}
    save_model(files["cs1"], small_sam(), Card(notes="ü", scale=1.5))
    write_pth(files["pth"], small_sam())
    generator = torch.Generator().manual_seed(0)
    state = {
        "weights": {f"w{i}": torch.rand(30, 20, generator=generator) for i in range(6)},
        "step": 7,
        "losses": [0.5],
    }
    write_checkpoint(files["checkpoint"], state)
    proposals().save(files["npz"])
    values = Settings().to_dict()
    files["yaml"].write_text(yaml.safe_dump({key: value for key, value in values.items() if value is not None}))
    return files


@pytest.fixture(scope="module")
def sam():
    return small_sam(lora=False)


def read(kind, path, model):
    """Read a file as the program does; returns everything in it as comparable values."""
    match kind:
        case "cs1":
            card = apply_model(path, model)
            tensors = {one.name: one.parameter.detach().numpy().tobytes() for one in lora_matrices(model)}
            base = {key: value.numpy().tobytes() for key, value in base_tensors(model).items()}
            return json.dumps(card.to_dict(), sort_keys=True), tensors, base
        case "pth":
            found = read_pth(path)
            return {key: value.numpy().tobytes() for key, value in (found.lora | found.base).items()}
        case "checkpoint":
            content = read_checkpoint(path)
            return {key: value.numpy().tobytes() for key, value in content.pop("weights").items()}, content
        case "npz":
            found = Candidates.load(path)
            return {
                key: value.tobytes() if isinstance(value, np.ndarray) else value for key, value in vars(found).items()
            }
        case _:
            values = load_yaml(path)
            values.pop("vit_name", None)
            return make_settings("paper", "vit_h", values)


class Hang(BaseException):
    """No boundary may catch this."""


def tried(kind, path, model):
    """Read within a minute: the values, or None where there was a sentence."""

    def late(*_):
        raise Hang

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    try:
        return read(kind, path, model)
    except CellSeg1Error as error:
        said = str(error)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert said.strip().endswith((".", ")", "?"))
    assert len(said) < 1000
    return None


@pytest.mark.skipif(os.name == "nt", reason="alarms of POSIX")
@pytest.mark.parametrize("kind", ["cs1", "pth", "checkpoint", "npz"])
@pytest.mark.parametrize("count", [30, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_flipped_bit_never_changes_a_value(tmp_path, whole, sam, kind, count):
    data, expected = whole[kind].read_bytes(), read(kind, whole[kind], sam)
    path = tmp_path / whole[kind].name
    refused = 0
    for place in range(3, len(data), max(1, len(data) // count)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        found = tried(kind, path, sam)
        refused += found is None
        assert found is None or found == expected, place
    # What may be flipped unseen is filling and times of entries.
    assert refused > 0.6 * count


def mutated(data, rng):
    """Damage bytes as disks, transfers and fuzzers do."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place, length = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 8, 64, 700))
        match rng.randrange(7):
            case 0:
                data[place : place + length] = rng.randbytes(length)
            case 1:
                data[place : place + 8] = rng.choice((b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"\0\0\0\x80" * 2))
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = rng.randbytes(length)
            case 4:
                del data[place:]
            case 5:
                other = rng.randrange(len(data) + 1)
                data[place : place + length] = data[other : other + length]
            case 6:
                data[place:place] = rng.choice(
                    (b"[" * 2000, b"{" * 2000, b"9" * 5000, b"1e999", b"Infinity", b"-", b'"', b"\n")
                )
    return bytes(data)


def mutated_inside(data, rng):
    """Damage an entry of a ZIP file and store it with a right checksum, so that what reads it is tried."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        victim = rng.choice(names)
        for name in names:
            content = old.read(name)
            new.writestr(
                name, mutated(content, rng) if name == victim else content, rng.choice((zipfile.ZIP_STORED, 8))
            )
    return out.getvalue()


def mutated_card(data, rng):
    """Damage the header of a model, and keep its length right."""
    length = int.from_bytes(data[:8], "little")
    header = mutated(data[8 : 8 + length], rng)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


@pytest.mark.skipif(os.name == "nt", reason="alarms of POSIX")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [16, pytest.param(600, marks=pytest.mark.slow)])
def test_random_damage_gives_a_sentence(tmp_path, whole, sam, kind, count):
    rng = random.Random(f"{kind} {count}")
    data, path = whole[kind].read_bytes(), tmp_path / whole[kind].name
    outcomes = set()
    tracemalloc.start()
    for number in range(count):
        change = mutated
        if number % 2 and kind != "yaml":
            change = mutated_card if kind == "cs1" else mutated_inside
        path.write_bytes(change(data, rng))
        outcomes.add(tried(kind, path, sam) is None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert True in outcomes
    assert peak < 200_000_000


def claiming(path, shape, kind="uint8", name="packed"):
    """Write proposals in which one column claims another shape."""
    text = io.BytesIO()
    proposals().save(path)
    np.lib.format.write_array_header_1_0(text, {"descr": np.dtype(kind).str, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path) as old:
        content = {entry: old.read(entry) for entry in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for entry, data in content.items():
            new.writestr(entry, text.getvalue() if entry == f"{name}.npy" else data)
    return path


def test_proposals_allocate_nothing_because_they_claim_it(tmp_path):
    cases = [
        ((13 * 2**30,), "uint8", "packed"),
        ((2**40, 4), "int32", "box_xyxy"),
        ((0,), "int8", "packed"),
        ((-5,), "uint8", "packed"),
    ]
    tracemalloc.start()
    for shape, kind, name in cases:
        with pytest.raises(ModelFileError, match=r"are damaged or not a file of proposals"):
            Candidates.load(claiming(tmp_path / "a.npz", shape, kind, name))
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_proposals_that_unpack_to_more_than_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    proposals().save(path)
    monkeypatch.setattr("cellseg1.memory.available_bytes", lambda: 1000)
    with pytest.raises(CellSeg1Error, match=r"needs .* of memory"):
        Candidates.load(path)


def test_a_tensor_that_shows_one_value_many_times_is_refused(tmp_path):
    path = tmp_path / "lora_vit_b_4_320_x.pth"
    torch.save({"w_a_000": torch.zeros(1).expand(2**33, 4)}, path)
    assert path.stat().st_size < 10_000
    with pytest.raises(ModelFileError, match="damaged"):
        read_pth(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a")
    for reader in (read_pth, read_checkpoint, Candidates.load, lambda path: apply_model(path, None), load_yaml):
        with pytest.raises(CellSeg1Error):
            reader(tmp_path / "a")
