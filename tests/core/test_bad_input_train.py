"""Every item of the issue's *Bad input* list that concerns training, tried through the command."""

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
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
    refused_training,
    sentence,
    train_quick,
    tree,
)
from PIL import Image

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
        (["--set", "input_low=50", "--set", "input_high=50"], ["input_low (50) must be below input_high (50)"]),
        (["--recipe", "magic"], ["no recipe 'magic'", "paper, studio"]),
        (["--backbone", "vit_x"], ["no backbone called 'vit_x'", "tiny, vit_b, vit_l, vit_h"]),
        (["--backbone", "vit_b"], ["vit_b is not on this computer", "download it"]),
        (["--set", "model_path=/no/such.pth"], ["no backbone file /no/such.pth"]),
        (["--device", "abacus"], ["device 'abacus' is unknown", "choose auto, cpu"]),
        (["--device", "cuda:77"], ["device cuda:77 cannot be used", "Choose auto or cpu"]),
        (["--threads", "0"], ["--threads cannot be 0"]),
        (["--region", ""], ["region '' is neither"]),
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
    refused_training(tmp_path, ["xxx", "is too long"], out="x" * 300 + ".cs1")
    refused_training(tmp_path, ["xxx", "is too long"], out="x" * 240 + ".cs1")  # with its checkpoint


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
        if Path(f"/proc/self/fd/{handle}").is_dir():
            return  # a folder is flushed for what is in it already
        calls.append(handle)
        if len(calls) > 1:  # the check before the training succeeds
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("CELLSEG1_DATA_DIR", str(tmp_path))
    text = sentence(train_quick(tmp_path / "m.cs1"))
    assert len(calls) > 2  # other places were tried
    assert "the disk is full" in text
    assert str(tmp_path / "m.cs1") in text
    assert set(tree(tmp_path)) <= {"rescued"}


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
