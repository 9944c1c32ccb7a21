"""Every item of the issue's *Bad input* list that concerns prediction and evaluation, tried through the command."""

import errno
import json
import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import tifffile
import torch
from command import (
    IMAGE,
    MASK,
    PLAIN,
    as_cmyk,
    as_palette,
    as_rgba,
    crop,
    cut_short,
    done,
    header_bomb,
    labels_of,
    not_an_image,
    own_resources,
    predict,
    refused,
    refused_prediction,
    run,
    sentence,
    tree,
)
from PIL import Image

from cellseg1.lora.header import CARD_KEY, HASH_KEY, SCHEMA_KEY, load_card
from cellseg1.prediction import plane

# ---- must work


@pytest.mark.parametrize(
    ("convert", "name", "said"),
    [
        (as_rgba, "a.png", "a.png: The alpha channel was dropped"),
        (as_cmyk, "a.jpg", "a.jpg: The CMYK image was converted to RGB"),
        (as_cmyk, "a.tif", "a.tif: The CMYK image was converted to RGB"),
        (as_palette, "a.png", "palette"),
    ],
)
def test_unusual_colours_are_converted_and_said(tmp_path, model, image, convert, name, said):
    ran = predict(model, tmp_path / "out", convert(image, tmp_path / name))
    assert said in ran.err
    assert labels_of(tmp_path / "out" / "a.png").shape == (96, 96)


def test_very_long_and_black_images(tmp_path, model):
    Image.fromarray(np.arange(5000, dtype=np.uint16)[None]).save(tmp_path / "long.tif")
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(tmp_path / "black.png")
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(tmp_path / "dot.png")
    files = [tmp_path / name for name in ("black.png", "dot.png", "long.tif")]
    found = predict(model, tmp_path / "out", *files, more=["--json"]).json()["images"]
    assert [one["error"] for one in found] == ["", "", ""]
    assert found[0]["cells"] == found[1]["cells"] == 0
    assert labels_of(tmp_path / "out" / "long.png").shape == (1, 5000)
    black = np.asarray(Image.open(tmp_path / "out" / "black.png"))
    assert (black.shape, black.max()) == ((60, 80), 0)


def many_ids(count=70_000):
    ids = np.arange(1, count + 1, dtype=np.int32).reshape(250, -1)
    return np.kron(ids, np.ones((2, 2), np.int32))


def test_seventy_thousand_ids_are_evaluated(tmp_path):
    ids = many_ids()
    for name in ("truth", "pred"):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", ids.astype(np.uint32), compression="zlib")
    report = done("evaluate", "--truth", tmp_path / "truth", "--pred", tmp_path / "pred", "--json").json()
    assert report["ap"]["0.50"] == 1.0
    assert report["images"][0]["n_true"] == report["images"][0]["n_pred"] == 70_000


def test_seventy_thousand_ids_are_written_as_tiff(tmp_path, model, image, monkeypatch):
    monkeypatch.setattr(plane, "fitted_labels", lambda *_rest: (many_ids(), np.zeros(0, np.intp)))
    ran = predict(model, tmp_path / "out", image, more=["--json"])
    assert "65,535 cells do not fit into a PNG; saved as TIFF" in ran.err
    assert ran.json()["images"][0]["labels"] == "cells.tif"
    written = tifffile.imread(tmp_path / "out" / "cells.tif")
    assert written.dtype == np.uint32
    np.testing.assert_array_equal(written, many_ids())


def test_spaces_and_other_letters_in_paths(tmp_path, model):
    folder = tmp_path / "ö 中文"
    folder.mkdir()
    (folder / "mod ell.cs1").write_bytes(model.read_bytes())
    crop(IMAGE, folder / "zellen ß 1.png")
    predict(folder / "mod ell.cs1", folder / "ergebnis ü", folder / "zellen ß 1.png")
    assert labels_of(folder / "ergebnis ü" / "zellen ß 1.png").shape == (96, 96)
    report = run("evaluate", "--truth", folder / "ergebnis ü", "--pred", folder / "ergebnis ü", "--json").json()
    assert report["images"][0]["name"] == "zellen ß 1.png"


def test_an_existing_result_folder_is_kept(tmp_path, model, image, monkeypatch):
    out = tmp_path / "out"
    predict(model, out, image)
    before = tree(out)
    second = predict(model, out, image, more=["--json"])
    assert tree(out) == before
    assert "out has results in it, which are kept; the new ones are in out_2" in second.err
    assert second.json()["folder"] == str(tmp_path / "out_2")
    assert sorted(tree(tmp_path / "out_2")) == sorted(before)
    # The folder of the images, or the present one, is no place for results either.
    third = predict(model, image.parent, image.parent, more=["--json"])
    assert third.json()["folder"] == str(tmp_path / "in_2")
    monkeypatch.chdir(out)
    assert predict(model, ".", image, more=["--json"]).json()["folder"] == str(tmp_path / "out_3")
    assert tree(out) == before
    assert list(tree(image.parent)) == ["cells.png"]


# ---- must be refused: images


def bad_image(kind, folder):
    """Make an unusable image; returns it with what the sentence must say."""
    match kind:
        case "missing":
            return folder / "missing.png", "check its name"
        case "text":
            return not_an_image(folder / "text.png"), "is not an image"
        case "cut png":
            return cut_short(IMAGE, folder / "cut.png"), "damaged"
        case "cut tif":
            tifffile.imwrite(folder / "whole.tif", np.asarray(Image.open(IMAGE)))
            return cut_short(folder / "whole.tif", folder / "cut.tif"), "damaged"
    return header_bomb(folder / kind), "100000 x 100000"


KINDS = ["missing", "text", "cut png", "cut tif", "bomb.png", "bomb.bmp", "bomb.tif"]


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_cannot_be_used(tmp_path, model, kind):
    path, said = bad_image(kind, tmp_path)
    refused_prediction(tmp_path, [path, said], model, path)


def test_one_bad_image_among_good_ones(tmp_path, model, image):
    cut_short(IMAGE, image.parent / "broken.png")
    crop(IMAGE, image.parent / "more.png", 64)
    out = tmp_path / "out"
    ran = run("predict", "--model", model, "--out", out, image.parent, *PLAIN, "--json")
    text = sentence(ran)
    assert "1 of 3 images could not be segmented, the others are done" in text
    assert str(image.parent / "broken.png") in text
    listed = {one["image"]: one for one in ran.json()["images"]}
    assert "damaged" in listed["broken.png"]["error"]
    assert [listed[name]["error"] for name in ("cells.png", "more.png")] == ["", ""]
    assert json.loads((out / "run.json").read_text())["planes"][0]["error"] == listed["broken.png"]["error"]
    assert sorted(path.name for path in out.glob("*.png")) == ["cells.png", "more.png"]


def test_inputs_that_would_share_a_name(tmp_path, model, image):
    other = image.parent / "cells.tif"
    with Image.open(image) as picture:
        picture.save(other)
    words = [image, other, "would both be saved as cells", "rename one"]
    refused_prediction(tmp_path, words, model, image, other)
    refused_prediction(tmp_path, words, model, image.parent)
    other.unlink()
    upper = tmp_path / "CELLS.PNG"
    upper.write_bytes(image.read_bytes())
    refused_prediction(tmp_path, [image, upper, "would both"], model, image, upper)


def test_a_stack_that_would_share_a_name_with_an_image(tmp_path, model, image):
    image.rename(image.parent / "s_t000_z001.png")
    tifffile.imwrite(image.parent / "s.tif", np.zeros((2, 40, 50), np.uint8), metadata={"axes": "ZYX"})
    ran = run("predict", "--model", model, "--out", tmp_path / "out", image.parent, *PLAIN)
    assert "s_t000_z001" in sentence(ran)
    assert "rename it" in sentence(ran)


def test_empty_folder_and_no_input(tmp_path, model):
    (tmp_path / "empty").mkdir()
    refused_prediction(tmp_path, ["no images in the folder", tmp_path / "empty"], model, tmp_path / "empty")
    assert run("predict", "--model", model, "--out", tmp_path / "out").code == 2


def test_an_empty_name_is_not_the_current_folder(tmp_path, model, image, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = tree(tmp_path)
    for arguments in (("--out", "", image), ("--out", "results", ""), ("--out", " ", image)):
        ran = run("predict", "--model", model, *arguments)
        assert ran.code == 2
        assert "the name is empty" in ran.err
    assert tree(tmp_path) == before


# ---- must be refused: the output folder


def test_a_folder_that_cannot_be_written(tmp_path, model, image, monkeypatch):
    if Path("/proc").is_dir():
        refused_prediction(tmp_path, ["/proc/none", "Choose another output folder"], model, image, out="/proc/none")
    refused_prediction(tmp_path, [image, "is a file; give a folder"], model, image, out=image)
    refused_prediction(tmp_path, ["in the way", "Choose another"], model, image, out=image / "below")
    refused_prediction(tmp_path, ["the name is too long", "Choose another"], model, image, out="x" * 300)

    def read_only(*_args, **_kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", read_only)
    refused_prediction(tmp_path, [tmp_path / "out", "read-only"], model, image)


@pytest.mark.parametrize("allowed", [0, 1, 2, 4, 5, 6, 7])
def test_a_disk_that_becomes_full(tmp_path, model, image, monkeypatch, allowed):
    crop(IMAGE, image.parent / "more.png", 64)
    real, calls = os.fsync, []

    def full(handle):
        if Path(f"/proc/self/fd/{handle}").is_dir():
            return  # a folder is flushed for what is in it already
        calls.append(handle)
        if len(calls) > allowed:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    text = sentence(run("predict", "--model", model, "--out", tmp_path / "out", image.parent, *PLAIN))
    assert "the disk is full" in text
    # One flush for the check, one for the record, three for the files of each image.
    files = [] if allowed < 5 else ["candidates/cells.npz", "cells.png", "overlays/cells.png", "run.json"]
    left = {name for name, data in tree(tmp_path).items() if data is not None} - {"in/cells.png", "in/more.png"}
    assert sorted(left) == [f"out/{name}" for name in files]
    assert (tmp_path / "out").exists() == bool(files)


# ---- must be refused: models


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize(("kind", "said"), [("zip", "program code"), ("plain", "is not a LoRA file")])
def test_a_pickle_that_executes_code_does_not(tmp_path, image, kind, said):
    marker, path = tmp_path / "executed", tmp_path / "lora_vit_b_4_512_x.pth"
    if kind == "zip":
        torch.save({"w_a_000": Evil(marker)}, path)
        torch.load(path, weights_only=False)
    else:
        path.write_bytes(pickle.dumps({"w_a_000": Evil(marker)}))
        pickle.loads(path.read_bytes())
    assert marker.exists()  # the file is dangerous indeed
    marker.unlink()
    refused_prediction(tmp_path, [path, said], path, image)
    refused(tmp_path, [path, said], "model", "show", path)
    refused(tmp_path, [path, said], "model", "convert", path, tmp_path / "new.cs1")
    assert not marker.exists()


def rebuilt(model, target, *, card=None, cut=None):
    """Write a model again with other values in its card, and its tensors cut to another rank, but a valid form."""
    values = {**load_card(model).to_dict(), **(card or {})}
    tensors = safetensors.torch.load_file(model)
    if cut is not None:
        tensors = {
            key: (value[:cut] if value.shape[0] == 4 else value[:, :cut]).contiguous()
            for key, value in tensors.items()
            if key.startswith("lora.")
        }
    metadata = {SCHEMA_KEY: "1", CARD_KEY: json.dumps(values), HASH_KEY: ""}
    safetensors.torch.save_file(tensors, target, metadata)
    return target


def test_adapters_that_do_not_fit(tmp_path, model, image, monkeypatch):
    monkeypatch.setenv("CELLSEG1_DATA_DIR", str(tmp_path / "data"))
    lora = load_card(model).to_dict()["lora"]
    path = tmp_path / "other.cs1"
    cases = [
        ({"card": {"lora": {**lora, "image_encoder_rank": 8}}}, ["another shape", "train the model again"]),
        ({"cut": 2}, ["another shape", "train the model again"]),
        ({"card": {"lora": {**lora, "mask_decoder_rank": 0}}}, ["have no place in it"]),
        ({"card": {"lora": {**lora, "mask_decoder_rank": 1000}}}, ["card is damaged"]),
        ({"card": {"backbone_sha256": "ab" * 32}}, ["another version of the backbone tiny", "train it again"]),
        ({"card": {"backbone": "vit_z"}}, ["no backbone called 'vit_z'"]),
        ({"card": {"settings": {"crop_n_layers": 99}}}, ["crop_n_layers cannot be 99"]),
        ({"card": {"input_rule": {"kind": "magic"}}}, ["magic"]),
    ]
    for change, words in cases:
        rebuilt(model, path, **change)
        refused_prediction(tmp_path, [path, *words], path, image)
    rebuilt(model, path, card={"backbone": "vit_b"})
    refused_prediction(tmp_path, ["vit_b is not on this computer", "download it"], path, image)
    rebuilt(model, path)  # nothing changed: the way of building them is not what is refused
    predict(path, tmp_path / "out", image)


def test_model_files_that_cannot_be_read(tmp_path, model, image):
    half = tmp_path / "half.cs1"
    data = model.read_bytes()
    half.write_bytes(data[: len(data) // 2])
    refused_prediction(tmp_path, [half, "cut short"], half, image)
    refused(tmp_path, [half, "cut short"], "model", "show", half)
    half.write_bytes(data[:-100] + bytes([data[-100] ^ 1]) + data[-99:])
    refused_prediction(tmp_path, [half, "damaged", "copy it again"], half, image)
    half.write_bytes(b"")
    refused_prediction(tmp_path, [half, "is not a CellSeg1 model"], half, image)
    refused_prediction(tmp_path, [tmp_path, "Cannot read the model"], tmp_path, image)
    refused_prediction(tmp_path, ["no model file", tmp_path / "no.cs1"], tmp_path / "no.cs1", image)
    refused_prediction(tmp_path, [image, "is not a CellSeg1 model"], image, image)


def test_a_backbone_with_a_flipped_byte(tmp_path, model, image, monkeypatch):
    file = own_resources(tmp_path, monkeypatch)
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 16
    file.write_bytes(data)
    refused_prediction(tmp_path, [file, "is damaged", "install CellSeg1 Studio again"], model, image)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--set", "pred_iou_tresh=0.5"], ["no setting 'pred_iou_tresh'", "did you mean 'pred_iou_thresh'?"]),
        (["--set", "pred_iou_thresh=1.5"], ["pred_iou_thresh cannot be 1.5", "at least 0 and at most 1"]),
        (["--set", "tile_size=100"], ["tile_size cannot be 100", "multiple of 16"]),
        (["--device", "tpu"], ["device 'tpu' is unknown"]),
        (["--threads", "-1"], ["--threads cannot be -1"]),
        (["--threads", "99999999999"], ["--threads cannot be 99999999999", "at most 1024"]),
        (["--backbone-file", "/no/such"], ["no backbone file /no/such"]),
    ],
)
def test_settings_that_cannot_be(tmp_path, model, image, more, words):
    refused_prediction(tmp_path, words, model, image, more=more)


# ---- evaluation


@pytest.mark.skipif(os.name == "nt", reason="names of Unix")
def test_a_file_name_does_not_steer_the_terminal(tmp_path):
    path = tmp_path / "a\x1b[2Jb.png"
    path.write_bytes(b"no image")
    ran = run("evaluate", "--truth", path, "--pred", path)
    assert ran.code == 2
    assert "a\\x1b[2Jb.png is not an image" in ran.err
    assert "\x1b" not in ran.err


def test_evaluations_that_cannot_be(tmp_path):
    for name in ("truth", "pred", "empty"):
        (tmp_path / name).mkdir()
    truth, pred = tmp_path / "truth", tmp_path / "pred"
    crop(MASK, truth / "a.png")
    refused(tmp_path, ["no label images", pred], "evaluate", "--truth", truth, "--pred", pred)
    refused(tmp_path, ["no folder", tmp_path / "no"], "evaluate", "--truth", tmp_path / "no", "--pred", truth)
    crop(MASK, pred / "b.png")
    refused(tmp_path, ["no prediction", "a.png"], "evaluate", "--truth", truth, "--pred", pred)
    crop(MASK, pred / "a.png", 80)
    refused(tmp_path, ["a.png", "80", "96"], "evaluate", "--truth", truth, "--pred", pred)
    refused(
        tmp_path, [truth / "a.png", "is a file", "two folders"], "evaluate", "--truth", truth / "a.png", "--pred", truth
    )
    refused(tmp_path, [pred, "it is a folder"], "evaluate", "--truth", truth, "--pred", truth, "--csv", pred)
    if hasattr(os, "mkfifo"):
        # Devices and pipes would be replaced by a file: /dev/stdout, where the user may do so.
        os.mkfifo(tmp_path / "pipe")
        arguments = ("evaluate", "--truth", truth, "--pred", truth, "--csv", tmp_path / "pipe")
        assert "a device or a pipe" in sentence(run(*arguments))
        assert (tmp_path / "pipe").is_fifo()
        (tmp_path / "pipe").unlink()
    refused(tmp_path, ["thresholds", "2.0"], "evaluate", "--truth", truth, "--pred", truth, "--threshold", "2")
    table = tmp_path / "truth" / "a.png" / "table.csv"
    refused(tmp_path, [table.parent, "in the way"], "evaluate", "--truth", truth, "--pred", truth, "--csv", table)
    cut_short(MASK, pred / "a.png")
    refused(tmp_path, [pred / "a.png", "damaged"], "evaluate", "--truth", truth, "--pred", pred)
