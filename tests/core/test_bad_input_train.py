"""Every item of the issue's *Bad input* list that concerns training, tried through the command."""

import errno
import os
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from command import (
    IMAGE,
    MASK,
    QUICK,
    as_cmyk,
    as_palette,
    as_rgba,
    crop,
    cut_short,
    done,
    header_bomb,
    not_an_image,
    own_resources,
    refused,
    run,
    sentence,
    train_quick,
    tree,
)
from PIL import Image
from safetensors.numpy import load_file

from cellseg1.sam.memory import is_out_of_memory
from cellseg1.training import trainer


def refused_training(folder, words, *, image=IMAGE, mask=MASK, out="results/m.cs1", more=()):
    """Run a training that must refuse with a sentence, and leave `folder` as it was."""
    files = ("--image", image, *(() if mask is None else ("--mask", mask)))
    return refused(folder, words, "train", *files, "--out", folder / out, *QUICK, *more)


# ---- must work


@pytest.mark.parametrize(
    ("convert", "name", "said"),
    [
        (as_rgba, "a.png", "alpha channel was dropped"),
        (as_cmyk, "a.jpg", "CMYK image was converted to RGB"),
        (as_cmyk, "a.tif", "CMYK image was converted to RGB"),
        (as_palette, "a.png", "palette"),
    ],
)
def test_unusual_colours_are_converted_and_said(tmp_path, convert, name, said):
    image = convert(IMAGE, tmp_path / name)
    ran = train_quick(tmp_path / "m.cs1", image=image)
    assert ran.code == 0, ran
    assert said in ran.err
    assert (tmp_path / "m.cs1").is_file()


def test_spaces_and_other_letters_in_paths(tmp_path):
    folder = tmp_path / "ö 中文"
    folder.mkdir()
    image, mask = crop(IMAGE, folder / "bild ä.png", 128), crop(MASK, folder / "маска 1.png", 128)
    ran = train_quick(folder / "neu é" / "modell ü.cs1", image=image, mask=mask)
    assert ran.code == 0, ran
    assert "modell ü.cs1" in ran.out
    assert done("model", "show", folder / "neu é" / "modell ü.cs1", "--json").json()["training_images"][0]["name"] == (
        "bild ä.png"
    )


def test_an_existing_model_is_kept(tmp_path):
    out = tmp_path / "m.cs1"
    out.write_bytes(b"my old model")
    first = train_quick(out)
    second = train_quick(out, "--set", "seed=1")
    assert (first.code, second.code) == (0, 0)
    assert "m.cs1 exists and is kept; the new model is m_2.cs1" in first.err
    assert out.read_bytes() == b"my old model"
    assert sorted(tree(tmp_path)) == ["m.cs1", "m_2.cs1", "m_3.cs1"]
    assert "m_3.cs1" in second.out


# ---- must be refused


def damaged_inputs(folder):
    """Images that cannot be used, with what the sentence must say."""
    whole = folder / "whole.tif"
    tifffile.imwrite(whole, np.asarray(Image.open(IMAGE)))
    Image.fromarray(np.full((1, 1), 7, np.uint8)).save(folder / "dot.png")
    np.save(folder / "nan.npy", np.full((256, 256), np.nan, np.float32))
    return {
        "missing": (folder / "missing.png", "does not exist"),
        "text": (not_an_image(folder / "text.png"), "is not an image"),
        "cut tiff": (cut_short(whole, folder / "cut.tif"), "damaged"),
        "cut png": (cut_short(IMAGE, folder / "cut.png"), "damaged"),
        "bomb png": (header_bomb(folder / "bomb.png"), "100000 x 100000"),
        "bomb bmp": (header_bomb(folder / "bomb.bmp"), "100000 x 100000"),
        "bomb tif": (header_bomb(folder / "bomb.tif"), "100000 x 100000"),
        "1 x 1": (folder / "dot.png", "1 x 1 pixels"),
        "nan": (folder / "nan.npy", "NaN"),
        "folder": (folder, "is a folder"),
    }


KINDS = ["missing", "text", "cut tiff", "cut png", "bomb png", "bomb bmp", "bomb tif", "1 x 1", "nan", "folder"]


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_cannot_be_used(tmp_path, kind):
    path, said = damaged_inputs(tmp_path)[kind]
    refused_training(tmp_path, [path, said], image=path)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("1 x 1", "nan")])
def test_masks_that_cannot_be_read(tmp_path, kind):
    path, said = damaged_inputs(tmp_path)[kind]
    refused_training(tmp_path, [path, said], mask=path)


def test_masks_that_do_not_belong(tmp_path):
    small, empty = crop(MASK, tmp_path / "small.png", 100), tmp_path / "empty.png"
    Image.fromarray(np.zeros((256, 256), np.uint8)).save(empty)
    refused_training(tmp_path, [small, "100 x 100", "256 x 256", "use the mask of this very image"], mask=small)
    refused_training(tmp_path, [empty, "holds no cells"], mask=empty)
    refused_training(tmp_path, ["Images (1) and masks (0)", "give one mask for every image"], mask=None)
    refused(tmp_path, ["no training image"], "train", "--out", tmp_path / "m.cs1", *QUICK)


def test_image_without_mask_in_the_folders_of_a_settings_file(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for name in ("a.png", "b.png"):
        crop(IMAGE, tmp_path / "images" / name)
    crop(MASK, tmp_path / "masks" / "a.png")
    config = tmp_path / "config.yaml"
    config.write_text(f"train_image_dir: {tmp_path / 'images'}\ntrain_mask_dir: {tmp_path / 'masks'}\n")
    out = tmp_path / "results" / "m.cs1"
    refused(tmp_path, ["No mask was found for b.png"], "train", "--config", config, "--out", out, *QUICK)
    crop(MASK, tmp_path / "masks" / "b.png")
    words = ["train_id [5]", "has 2 images"]
    refused(tmp_path, words, "train", "--config", config, "--out", out, *QUICK, "--set", "train_id=[5]")


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("here", "neither a file nor x,y,width,height"),
        ("1,2,3", "neither a file nor"),
        ("1,2,3,x", "neither a file nor"),
        ("300,0,20,20", "outside the image of 256 x 256"),
        ("0,0,0,0", "outside the image"),
        ("0,0,1,1", "no cell inside the region"),
    ],
)
def test_bad_regions(tmp_path, region, said):
    refused_training(tmp_path, [said], more=("--region", region))


def test_region_masks_that_do_not_fit(tmp_path):
    small = crop(MASK, tmp_path / "small.png", 100)
    refused_training(tmp_path, ["region is 100 x 100", "image is 256 x 256"], more=("--region", small))
    refused_training(tmp_path, ["Images (1) and regions (2)"], more=("--region", "0,0,9,9", "--region", "0,0,9,9"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--set", "epoch_maxx=3"], ["no setting 'epoch_maxx'", "did you mean 'epoch_max'?"]),
        (["--set", "colour=red"], ["no setting 'colour'"]),
        (["--set", "epoch_max"], ["'epoch_max' is not a setting; write it as name=value"]),
        (["--set", "epoch_max=0"], ["epoch_max cannot be 0", "at least 1"]),
        (["--epochs", "-3"], ["epoch_max cannot be -3"]),
        (["--set", "epoch_max=.inf"], ["epoch_max cannot be inf"]),
        (["--set", "epoch_max=.nan"], ["epoch_max cannot be nan"]),
        (["--set", "neg_area_threshold=.inf"], ["neg_area_threshold cannot be inf", "finite"]),
        (["--set", "seed=2024-99-99"], ["seed cannot be '2024-99-99'", "a whole number"]),
        (["--set", "base_lr=2"], ["base_lr cannot be 2", "above 0 and at most 1"]),
        (["--set", "sam_image_size=250"], ["sam_image_size cannot be 250", "multiple of 16"]),
        (["--set", "precision=half"], ["precision cannot be 'half'", "one of float32, auto"]),
        (["--set", "input_low=50", "--set", "input_high=50"], ["50", "low < high"]),
        (["--recipe", "magic"], ["no recipe 'magic'", "paper, studio"]),
        (["--backbone", "vit_x"], ["no backbone called 'vit_x'", "tiny, vit_b, vit_l, vit_h"]),
        (["--backbone", "vit_b"], ["vit_b is not on this computer", "download it"]),
        (["--set", "model_path=/no/such.pth"], ["no backbone file /no/such.pth"]),
        (["--device", "abacus"], ["device 'abacus' is unknown", "choose auto, cpu"]),
        (["--device", "cuda:77"], ["device cuda:77 cannot be used", "Choose auto or cpu"]),
        (["--threads", "0"], ["--threads cannot be 0"]),
        (["--config", "/no/such.yaml"], ["/no/such.yaml", "Check its name"]),
    ],
)
def test_settings_that_cannot_be(tmp_path, monkeypatch, more, words):
    monkeypatch.setenv("CELLSEG1_DATA_DIR", str(tmp_path / "data"))
    refused_training(tmp_path, words, more=more)


def test_model_names_that_cannot_be(tmp_path):
    (tmp_path / "taken.cs1").mkdir()
    (tmp_path / "file").write_text("x")
    refused_training(tmp_path, ["m.txt", "must end in .cs1"], out="m.txt")
    refused_training(tmp_path, ["taken.cs1 is a folder"], out="taken.cs1")
    refused_training(tmp_path, [tmp_path / "file", "a file of that name is in the way"], out="file/m.cs1")
    refused_training(tmp_path, ["research code has no backbone tiny", "save this model as .cs1"], out="new/m.pth")
    refused_training(tmp_path, ["name too long"], out="x" * 300 + ".cs1")


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    if Path("/proc").is_dir():
        refused_training(tmp_path, ["/proc/none", "Choose another output folder"], out="/proc/none/m.cs1")

    def read_only(*_args, **_kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", read_only)
    refused_training(tmp_path, [tmp_path / "results", "read-only"])


def test_a_disk_that_is_full_at_the_end(tmp_path, monkeypatch):
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 1:  # the check before the training succeeds
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    text = sentence(train_quick(tmp_path / "m.cs1"))
    assert len(calls) == 2
    assert "the disk is full" in text
    assert str(tmp_path / "m.cs1") in text
    assert tree(tmp_path) == {}


def test_a_backbone_with_a_flipped_byte(tmp_path, monkeypatch):
    file = own_resources(tmp_path, monkeypatch)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    refused_training(tmp_path, [file, "is damaged", "install CellSeg1 Studio again"])
    listed = done("backbone", "list", "--json").json()[0]
    assert listed["name"] == "tiny"
    assert not listed["usable"]
    assert "damaged" in listed["problem"]
    file.write_bytes(bytes(data[:-7]))
    refused_training(tmp_path, [file])
    file.unlink()
    refused_training(tmp_path, ["backbone tiny is missing", "install"])


# ---- out of memory

STEADY = ("--set=lora_dropout=0", "--set=precision=float32", "--set=patch_size=128", "--set=sam_image_size=128")
FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: not enough memory: you tried ..."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"),
]


def limited(monkeypatch, error, most, *, checkpointing=False):
    """Let the network's loss run out of memory above `most` tiles; returns the sizes that were tried."""
    real, tried = trainer.forward_loss, []

    def forward(model, samples, *rest):
        tried.append(len(samples))
        loss = real(model, samples, *rest)
        if len(samples) > most or (checkpointing and not model.checkpoint_encoder):
            raise error
        return loss

    monkeypatch.setattr(trainer, "forward_loss", forward)
    return tried


@pytest.fixture(scope="module")
def roomy(tmp_path_factory):
    """Train with memory enough."""
    out = tmp_path_factory.mktemp("roomy") / "m.cs1"
    assert train_quick(out, *STEADY).code == 0
    return load_file(out)


@pytest.mark.parametrize("error", FULL[:2], ids=["cuda", "cpu"])
def test_short_memory_gives_the_same_model(tmp_path, monkeypatch, roomy, error):
    tried = limited(monkeypatch, error, 1, checkpointing=error is FULL[0])
    ran = train_quick(tmp_path / "m.cs1", *STEADY)
    assert ran.code == 0, ran
    assert tried[:3] == [4, 2, 1]
    assert set(tried[3:]) == {1}
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
def test_no_memory_at_all_is_a_sentence(tmp_path, monkeypatch, error):
    limited(monkeypatch, error, 0)
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


# ---- stopped by the user


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
