"""A training is refused before its first step, or its model is there in the end."""

import dataclasses
import errno
import os
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from test_training_trainer import BASE, discs

import cellseg1
from cellseg1.errors import CellSeg1Error, ImageError, ModelFileError, OutputError, SettingsError
from cellseg1.lora import load_card
from cellseg1.lora.io import model_bytes
from cellseg1.masks import write_label_image
from cellseg1.training import record
from cellseg1.training.checkpoint import checkpoint_path
from cellseg1.training.job import train
from cellseg1.training.trainer import Trainer

QUICK = {**BASE, "epoch_max": 1, "duplicate_data": 2, "point_spacing": 24, "max_point_num": 6}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    image = discs()
    np.save(folder / "a.npy", image.pixels[..., 0])
    write_label_image(folder / "a.tif", image.labels)
    return folder / "a.npy", folder / "a.tif"


def run(files, out, changes=None, **more):
    options = {"overrides": {**QUICK, **(changes or {})}, "device": "cpu", "measure": False, **more}
    return train(*files, out, **options)


@pytest.fixture
def no_step(monkeypatch):
    monkeypatch.setattr(Trainer, "run", lambda _self: pytest.fail("the training began"))


@pytest.mark.usefixtures("no_step")
def test_what_cannot_be_written_is_refused_before_the_first_step(files, tmp_path, monkeypatch):
    with pytest.raises(ModelFileError, match=r"no backbone tiny; save this model as \.cs1"):
        run(files, tmp_path / "m.pth")
    with pytest.raises(OutputError, match="too long"):
        run(files, tmp_path / f"{'ö' * 122}.cs1")
    with pytest.raises(SettingsError, match="vit_name is vit_b but the backbone is tiny"):
        run(files, tmp_path / "m.cs1", {"vit_name": "vit_b"})
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=30_000_000))
    with pytest.raises(OutputError, match=r"has 30 MB free, but the training of m\.cs1 needs \d+ MB"):
        run(files, tmp_path / "m.cs1", {"freeze_image_encoder": False})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_step")
@pytest.mark.parametrize("value", [0, 7, 255])
def test_an_image_of_one_value_is_refused(files, tmp_path, value):
    Image.fromarray(np.full((96, 128), value, np.uint8)).save(tmp_path / "flat.png")
    with pytest.raises(ImageError, match=r"flat\.png shows the same value in every pixel"):
        run((tmp_path / "flat.png", files[1]), tmp_path / "m.cs1")


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes")
def test_names_that_are_no_utf8(files, tmp_path):
    image, mask = (tmp_path / os.fsdecode(b"caf\xe9" + path.suffix.encode()) for path in files)
    for path, source in zip((image, mask), files, strict=True):
        path.write_bytes(source.read_bytes())
    out = tmp_path / os.fsdecode(b"m\xff.cs1")
    said = []
    result = run((image, mask), out, measure=True, say=said.append)
    assert result.path == out
    assert load_card(out).training_images[0].name == "caf\\xe9.npy"
    assert load_card(out).ap_training is not None
    "".join(said).encode()  # every sentence can be written


def test_a_name_may_be_text(files, tmp_path):
    result = train(
        str(files[0]), [str(files[1])], str(tmp_path / "m.cs1"), overrides=QUICK, device="cpu", measure=False
    )
    model = cellseg1.load(str(result.path), device="cpu")
    found = cellseg1.segment_folder(model, str(files[0]), str(tmp_path / "out"))
    assert cellseg1.evaluate(str(files[1]), str(found.folder / "a.png")).images[0].n_true > 0


class Fails:
    def __call__(self, *_args, **_more):
        raise self.error

    def __init__(self, error):
        self.error = error


@pytest.mark.parametrize("error", [RuntimeError("no"), MemoryError(), KeyError("x"), CellSeg1Error("No.")])
def test_a_figure_that_cannot_be_measured_costs_nothing(files, tmp_path, monkeypatch, error):
    plain = run(files, tmp_path / "plain.cs1")
    monkeypatch.setattr(record, "_with_ap", Fails(error))
    result = run(files, tmp_path / "m.cs1", measure=True)
    assert result.card.ap_training is None
    assert "the model is saved" in result.notes[-1].lower()
    assert same(result.path, plain.path)
    assert not checkpoint_path(result.path).exists()


def same(one, other):
    ours, theirs = load_file(one), load_file(other)
    return ours.keys() == theirs.keys() and all(value.tobytes() == theirs[key].tobytes() for key, value in ours.items())


def test_a_card_that_cannot_be_written_costs_its_ornaments_only(files, tmp_path, monkeypatch):
    def bytes_of(module, card, **more):
        if card.training_images:
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")
        return model_bytes(module, card, **more)

    monkeypatch.setattr("cellseg1.lora.io.model_bytes", bytes_of)
    result = run(files, tmp_path / "m.cs1")
    card = load_card(result.path)
    assert card.training_images == ()
    assert card.scale == result.card.scale
    assert card.settings == result.card.settings


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_folder_that_takes_nothing_any_more(files, tmp_path, monkeypatch, number):
    """The weights are kept somewhere else, and that is said."""
    real = os.replace, os.link
    monkeypatch.setenv("CELLSEG1_DATA_DIR", str(tmp_path / "data"))

    def refusing(which):
        def move(source, target, *rest):
            if os.fspath(target).startswith(str(tmp_path / "out")):
                raise OSError(number, os.strerror(number))
            return real[which](source, target, *rest)

        return move

    monkeypatch.setattr(os, "replace", refusing(0))
    monkeypatch.setattr(os, "link", refusing(1))
    result = run(files, tmp_path / "out" / "m.cs1", measure=True)
    assert result.path == tmp_path / "data" / "rescued" / "m.cs1"
    assert any(str(result.path) in note and "saved as" in note for note in result.notes)
    assert load_card(result.path).ap_training is not None


def test_two_trainings_of_one_name_both_stay(files, tmp_path):
    waiting, results = threading.Barrier(2), []

    def one(seed):
        def progress(_now):
            if not waiting.broken:
                waiting.wait(60)

        results.append(run(files, tmp_path / "m.cs1", {"seed": seed}, progress=progress).path)
        waiting.abort()

    threads = [threading.Thread(target=one, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {path.name for path in results} == {"m.cs1", "m_2.cs1"}
    assert {load_card(path).settings["seed"] for path in results} == {1, 2}


def test_checkpoints_of_two_trainings_do_not_mix(files, tmp_path):
    def stopped(seed):
        return run(files, tmp_path / "m.cs1", {"seed": seed, "epoch_max": 3}, stop=lambda: True)

    first = stopped(1)
    assert first.path.name == "m.cs1"
    other = tmp_path / "hidden"
    moved = [path.rename(other.with_suffix(path.suffix)) for path in (first.path, checkpoint_path(first.path))]

    def stop():
        # Meanwhile another training has written both.
        for path, name in zip(moved, (first.path, checkpoint_path(first.path)), strict=True):
            if path.exists():
                path.rename(name)
        return True

    second = run(files, tmp_path / "m.cs1", {"seed": 2, "epoch_max": 3}, stop=stop)
    assert second.path.name == "m_2.cs1"
    assert {path.name for path in tmp_path.iterdir()} == {
        *("m.cs1", "m.cs1.checkpoint", "m_2.cs1", "m_2.cs1.checkpoint")
    }
    for seed, name in ((1, "m.cs1"), (2, "m_2.cs1")):
        assert load_card(tmp_path / name).settings["seed"] == seed
        resumed = run(files, tmp_path / name, {"seed": seed, "epoch_max": 3}, resume=True)
        assert resumed.path.name == name
        assert resumed.outcome.finished


def test_only_what_decides_the_training_hinders_resuming(files, tmp_path):
    more = {"epoch_max": 3, "trained_share": None}
    run(files, tmp_path / "whole.cs1", more)
    run(files, tmp_path / "m.cs1", more, stop=lambda: True)
    with pytest.raises(ModelFileError, match="other images, masks or settings"):
        run(files, tmp_path / "m.cs1", {**more, "base_lr": 1e-3}, resume=True)
    other = {"pred_iou_thresh": 0.33, "point_spacing": 40, "min_area": 9, "method_name": "x", "output_size": "upstream"}
    result = run(files, tmp_path / "m.cs1", {**more, **other}, resume=True)
    assert same(result.path, tmp_path / "whole.cs1")
    assert load_card(result.path).notes == load_card(tmp_path / "whole.cs1").notes
    assert result.card.settings["pred_iou_thresh"] == 0.33


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(files, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("cellseg1.training.trainer.write_checkpoint", Fails(OutputError("The disk is full.")))
    result = run(files, tmp_path / "m.cs1", {"checkpoint_seconds": 1e-9})
    assert result.outcome.finished
    assert "goes on without a checkpoint" in caplog.text
    assert dataclasses.replace(result.card) == result.card
