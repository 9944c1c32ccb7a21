"""Channels, planes and grey values through the command: chosen at training, stored, checked, changed in prediction."""

import json

import numpy as np
import pytest
import safetensors.torch
import tifffile
from command import IMAGE, MASK, PLAIN, QUICK, crop, done, labels_of, predict, refused, refused_prediction
from PIL import Image

from cellseg1.images import InputRule, InputSpecification
from cellseg1.images.specification import Channel
from cellseg1.lora.header import CARD_KEY, HASH_KEY, SCHEMA_KEY, load_card
from cellseg1.model import load_model


def sample(size=96):
    with Image.open(IMAGE) as picture:
        return np.asarray(picture.convert("L"))[:size, :size].astype(np.uint16) * 100 + 300


def stack_of(path, channels, names=None):
    """Write (C, H, W) as ImageJ or OME-TIFF with names."""
    metadata = {"axes": "CYX"} if names is None else {"axes": "CYX", "Channel": {"Name": list(names)}}
    tifffile.imwrite(path, np.stack(channels), metadata=metadata, ome=names is not None, imagej=names is None)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A training image whose cells are in the last of four channels, and the model of that channel."""
    folder = tmp_path_factory.mktemp("channels")
    noise = np.random.default_rng(0).integers(1, 900, (4, 96, 96)).astype(np.uint16)
    stack_of(folder / "train.ome.tif", [*noise[:3], sample()], ["BF", "GFP", "RFP", "DAPI"])
    crop(MASK, folder / "mask.png")
    files = "--image", folder / "train.ome.tif", "--mask", folder / "mask.png"
    done("train", *files, "--out", folder / "m.cs1", "--channels", "dapi", *QUICK)
    return folder


def test_the_channel_of_the_training_is_stored_and_used(folder, tmp_path):
    card = load_card(folder / "m.cs1")
    specification = InputSpecification.from_dict(card.input)
    assert specification.channels == (Channel("DAPI", 3),)
    assert specification.by_hand
    alone = tmp_path / "alone.tif"
    tifffile.imwrite(alone, sample())
    other = stack_of(tmp_path / "other.ome.tif", [np.zeros_like(sample()), sample()], ["GFP", "DAPI"])
    ran = predict(folder / "m.cs1", tmp_path / "out", folder / "train.ome.tif", alone, other)
    expected = labels_of(tmp_path / "out" / "alone.png")
    assert expected.max() > 3
    for path in sorted((tmp_path / "out").glob("*ome*.png")) + sorted((tmp_path / "out").glob("train*.png")):
        np.testing.assert_array_equal(labels_of(path), expected)
    assert "other.ome.tif: DAPI is channel 1 here." in ran.err
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["input"]["channels"] == [{"name": "DAPI", "index": 3}]


def test_channels_that_do_not_fit_are_refused_or_given_anew(folder, tmp_path):
    wrong = stack_of(tmp_path / "wrong.ome.tif", [sample(), sample()], ["Hoechst", "GFP"])
    text = refused_prediction(
        tmp_path, ["wrong.ome.tif has no channel DAPI", "0 (Hoechst), 1 (GFP)"], folder / "m.cs1", wrong
    )
    assert "--channels" in text
    few = stack_of(tmp_path / "few.tif", [sample(), sample()])
    refused_prediction(tmp_path, ["few.tif has no channel DAPI; its channels are 0, 1"], folder / "m.cs1", few)
    predict(folder / "m.cs1", tmp_path / "out", wrong, few, more=["--channels", "0"])
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["input"]["channels"] == [{"name": "0", "index": 0}]
    assert all(plane["cells"] > 3 for plane in record["planes"])
    more = ["--channels", "0,1,2,3"]
    refused_prediction(tmp_path, ["4 channels cannot be used"], folder / "m.cs1", few, out="new", more=more)


def test_settings_of_the_input_are_used_recorded_or_refused(folder, tmp_path):
    image = tmp_path / "a.tif"
    tifffile.imwrite(image, sample())
    model = folder / "m.cs1"
    assert load_model(model, device="cpu").input.rule == InputRule("percentile", outliers="leave_out")
    predict(model, tmp_path / "out", image, more=["--set", "input_high=60", "--set", "input_low=40"])
    predict(model, tmp_path / "plain", image)
    written = [tmp_path / name / "overlays" / "a.png" for name in ("out", "plain")]
    assert written[0].read_bytes() != written[1].read_bytes()
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["input"]["intensity"] == {"kind": "percentile", "low": 40, "high": 60, "outliers": "leave_out"}
    assert (record["settings"]["input_low"], record["settings"]["input_high"]) == (40, 60)
    predict(model, tmp_path / "hand", image, more=["--set", "input_range=[300, 9000]"])
    assert json.loads((tmp_path / "hand" / "run.json").read_text())["input"]["intensity"]["ranges"] == [[300, 9000]]
    for more, words in (
        (["--set", "input_rule=minmax", "--set", "input_high=98"], ["input_high has no effect with input_rule=minmax"]),
        (["--set", "input_range=[1, 9]", "--set", "input_low=1"], ["input_low has no effect beside input_range"]),
        (["--set", "input_range=[9, 1]"], ["input_range cannot be [9.0, 1.0]"]),
        (["--set", "input_range=[1, 2, 3]"], ["input_range cannot be"]),
        (["--set", "input_range=[1, 9, 1, 9]"], ["set for 2 channels, but the network sees 1"]),
    ):
        refused_prediction(tmp_path, words, model, image, out="none", more=more)


def test_a_model_of_the_older_version_sees_what_it_saw(folder, tmp_path):
    values = load_card(folder / "m.cs1").to_dict()
    values.pop("input")
    values["input_rule"] = {"kind": "percentile", "low": 0.1, "high": 99.9}
    for name in ("input_outliers", "input_range"):
        values["settings"].pop(name)
    metadata = {SCHEMA_KEY: "1", CARD_KEY: json.dumps(values), HASH_KEY: ""}
    safetensors.torch.save_file(safetensors.torch.load_file(folder / "m.cs1"), tmp_path / "old.cs1", metadata)
    old = load_model(tmp_path / "old.cs1", device="cpu")
    assert old.input == InputSpecification(InputRule("percentile", 0.1, 99.9, "keep"))
    better = load_model(tmp_path / "old.cs1", device="cpu", overrides={"input_outliers": "leave_out"})
    assert better.input.rule.outliers == "leave_out"


def test_a_plane_is_chosen(folder, tmp_path):
    empty = np.zeros_like(sample())
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack([empty, empty, sample()]), imagej=True, metadata={"axes": "ZYX"})
    files = "--image", path, "--mask", folder / "mask.png"
    done("train", *files, "--out", tmp_path / "z.cs1", "--plane", "z=2", *QUICK)
    assert load_card(tmp_path / "z.cs1").input["planes"] == [[2, 0]]
    predict(tmp_path / "z.cs1", tmp_path / "out", path, more=["--plane", "z=2"])
    assert [one.name for one in (tmp_path / "out").glob("*.png")] == ["stack_t000_z002.png"]
    assert labels_of(tmp_path / "out" / "stack_t000_z002.png").max() > 3
    refused_prediction(
        tmp_path,
        ["no plane z = 3: choose a number from 0 to 2"],
        tmp_path / "z.cs1",
        path,
        out="new",
        more=["--plane", "z=3"],
    )
    refused_prediction(
        tmp_path, ["'4' is not a plane", "z=3"], tmp_path / "z.cs1", path, out="new", more=["--plane", "4"]
    )
    words = ["--plane is given 2 times for 1 images"]
    refused(tmp_path, words, "train", *files, "--out", tmp_path / "n.cs1", "--plane", "z=1", "--plane", "z=2", *PLAIN)
