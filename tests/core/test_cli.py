"""The command: help made from the settings table, JSON for machines, and that options do what they say."""

import json
import lzma
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from command import (
    IMAGE,
    MASK,
    QUICK,
    SAMPLE,
    crop,
    done,
    labels_of,
    predict,
    quick_model,
    refused,
    run,
    train_quick,
    tree,
)
from golden_models import GOLDEN
from PIL import Image
from safetensors.torch import load_file

from cellseg1._version import __version__
from cellseg1.lora import load_card
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.select import Selector, select_settings
from cellseg1.settings import TABLE, acts_in, make_settings, settings_from_dict


@pytest.fixture
def image(tmp_path):
    (tmp_path / "in").mkdir()
    return crop(IMAGE, tmp_path / "in" / "cells.png", 128)


# ---- help


@pytest.mark.parametrize(
    "command",
    [
        *([name] for name in ("demo", "train", "predict", "evaluate", "measure", "doctor")),
        *(["model", action] for action in ("show", "convert")),
        *(["backbone", action] for action in ("list", "import", "download")),
    ],
    ids=" ".join,
)
def test_every_subcommand_explains_itself(command):
    text = done(*command, "--help").out
    assert f"usage: cellseg1 {' '.join(command)} " in text
    assert "--json" in text
    assert "--quiet" in text


def test_the_commands_are_listed():
    text = done("--help").out
    for name in ("demo", "train", "predict", "evaluate", "measure", "model", "backbone", "doctor"):
        assert f"\n    {name} " in text
    assert done("--version").out == f"cellseg1 {__version__}\n"
    for wrong in ([], ["dance"], ["model"], ["backbone", "dance"], ["train"], ["predict", "--model"]):
        assert run(*wrong).code == 2


@pytest.mark.parametrize(
    ("command", "without"),
    [("train", {"files"}), ("predict", {"files", "training", "network", "points", "augmentation", "loss", "log"})],
)
def test_help_is_made_from_the_settings_table(command, without):
    text = done(command, "--help").out
    flat = " ".join(text.split())
    defaults = make_settings()
    for name, item in TABLE.items():
        wanted = item.group not in without and (command == "train" or acts_in(name, "predict"))
        assert (f"\n  {name}\n" in text) == wanted, name
        if not wanted:
            continue
        assert item.help in flat, name
        value = defaults[name]
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            assert f"[{value}{' ' + item.unit if item.unit else ''}; " in flat, name
    for unit in ("px", "px²", "%"):
        assert f" {unit}; " in flat


# ---- machines and quiet people


def test_results_as_json(tmp_path, model, image):
    trained = train_quick(tmp_path / "m.cs1", "--json").json()
    assert trained["model"] == str(tmp_path / "m.cs1")
    assert trained["finished"]
    assert trained["resumed_from"] == 0
    assert 0 <= trained["ap_training"] <= 1
    predicted = predict(model, tmp_path / "out", image, more=["--json"]).json()
    assert predicted == {
        "folder": str(tmp_path / "out"),
        "stopped": False,
        "images": [
            {"image": "cells.png", "labels": "cells.png", "cells": predicted["images"][0]["cells"], "error": ""}
        ],
    }
    crop(MASK, tmp_path / "truth.png", 128)
    measured = done(
        "evaluate", "--truth", tmp_path / "truth.png", "--pred", tmp_path / "out" / "cells.png", "--json"
    ).json()
    assert next(iter(measured["ap"])) == "0.50"
    assert 0 <= measured["pq"] <= 1
    assert len(measured["images"]) == 1
    few = done("evaluate", "--truth", SAMPLE / "test" / "masks", "--pred", SAMPLE / "test" / "masks", "--json")
    assert set(few.json()["ap"].values()) == {1.0}


def test_quiet_is_silent(tmp_path, model, image):
    rgba = tmp_path / "rgba.png"
    with Image.open(image) as picture:
        picture.convert("RGBA").save(rgba)
    assert predict(model, tmp_path / "loud", rgba).err != ""
    ran = predict(model, tmp_path / "out", rgba, more=["-q"])
    assert ran.err == ""
    assert "rgba.png" in ran.out
    trained = train_quick(tmp_path / "m.cs1", "-q")
    assert (trained.code, trained.err) == (0, "")
    assert "m.cs1" in trained.out
    assert run("predict", "--model", model, "--out", tmp_path / "o", tmp_path / "no.png", "-q").err != ""


def test_evaluate_writes_a_table(tmp_path):
    truth = SAMPLE / "test" / "masks"
    ran = done("evaluate", "--truth", truth, "--pred", truth, "--threshold", "0.5", "--csv", tmp_path / "scores.csv")
    assert "AP@0.50  1.0000" in ran.out
    lines = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 3 + 1
    assert lines[-1].startswith("mean,1.0")


def test_doctor():
    report = done("doctor", "--json").json()
    assert report["program"] == __version__
    assert report["devices"][-1]["name"] == "cpu"
    assert report["devices"][-1]["usable"]
    assert report["memory_gib"] > report["memory_free_gib"] > 0
    assert report["disk_free_gib"] > 0
    assert [backbone["name"] for backbone in report["backbones"]] == ["tiny", "vit_b", "vit_l", "vit_h"]
    assert all(backbone["usable"] or backbone["problem"] for backbone in report["backbones"])
    if report["chosen_device"] == "cpu":
        assert report["why_no_gpu"]
    text = done("doctor").out
    assert "Computes on: " in text
    assert "Data folder: " in text


def test_backbones(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_DATA_DIR", str(tmp_path / "data"))
    listed = {one["name"]: one for one in done("backbone", "list", "--json").json()}
    assert list(listed) == ["tiny", "vit_b", "vit_l", "vit_h"]
    assert listed["tiny"]["usable"]
    assert not listed["vit_h"]["installed"]
    assert "download it (2.6 GB)" in listed["vit_h"]["problem"]
    assert "tiny" in done("backbone", "list").out
    refused(tmp_path, [tmp_path / "no.pth", "no file"], "backbone", "import", tmp_path / "no.pth")
    refused(tmp_path, [IMAGE, "is not a SAM backbone"], "backbone", "import", IMAGE)
    refused(tmp_path, ["no backbone called 'vit_z'"], "backbone", "download", "vit_z")


# ---- models


def test_model_show(tmp_path, model):
    card = done("model", "show", model, "--json").json()
    assert (card["backbone"], card["recipe"]) == ("tiny", "studio")
    assert card["training_images"][0]["name"] == "nuclei_a.png"
    assert card["settings"]["epoch_max"] == 1
    assert "backbone: tiny" in done("model", "show", model).out
    published = tmp_path / "lora_vit_b_4_256_x.pth"
    published.write_bytes(lzma.decompress((GOLDEN / "d_lora_small.pth.xz").read_bytes()))
    shown = done("model", "show", published, "--json").json()
    assert (shown["format"], shown["image_size"], shown["image_size_known"]) == ("published .pth", 256, True)
    assert (shown["image_encoder_lora_rank"], shown["mask_decoder_lora_rank"]) == (4, 4)
    assert shown["backbone"] is None
    words = [published, "which backbone", "--set vit_name=NAME"]
    refused(tmp_path, words, "predict", "--model", published, "--out", tmp_path / "out", IMAGE)


def test_model_convert(tmp_path, model):
    words = ["no backbone tiny", "save this model as .cs1"]
    refused(tmp_path, words, "model", "convert", model, tmp_path / "new" / "m.pth")
    refused(tmp_path, ["must end in .cs1"], "model", "convert", model, tmp_path / "m.zip")
    refused(tmp_path, ["exists and is not replaced"], "model", "convert", model, model)
    done("model", "convert", model, tmp_path / "copy.cs1")
    ours, theirs = load_file(tmp_path / "copy.cs1"), load_file(model)
    assert all(value.equal(theirs[key]) for key, value in ours.items())
    assert load_card(tmp_path / "copy.cs1") == load_card(model)


# ---- train


def test_regions_are_kept_in_the_card(tmp_path):
    more = ("--set=patch_size=128", "--set=sam_image_size=128", "--set=point_spacing=40")
    assert train_quick(tmp_path / "box.cs1", "--region", "20,30,150,140", *more).code == 0
    assert load_card(tmp_path / "box.cs1").training_images[0].regions == ((20, 30, 150, 140),)
    inside = np.zeros((256, 256), np.uint8)
    inside[30:170, 20:170] = 255
    Image.fromarray(inside).save(tmp_path / "region.png")
    assert train_quick(tmp_path / "mask.cs1", "--region", tmp_path / "region.png", *more).code == 0
    ours, theirs = load_file(tmp_path / "mask.cs1"), load_file(tmp_path / "box.cs1")
    assert all(value.equal(theirs[key]) for key, value in ours.items())
    assert train_quick(tmp_path / "all.cs1", *more).code == 0
    assert load_card(tmp_path / "all.cs1").training_images[0].regions == ()
    whole = load_file(tmp_path / "all.cs1")
    assert any(not value.equal(theirs[key]) for key, value in whole.items())


def test_two_images(tmp_path):
    pairs = []
    for name, size in (("a", 128), ("b", 100)):
        pairs += ["--image", crop(IMAGE, tmp_path / f"{name}.png", size)]
        pairs += ["--mask", crop(MASK, tmp_path / f"{name}_mask.png", size)]
    done("train", *pairs, "--out", tmp_path / "m.cs1", *QUICK)
    names = [image.name for image in load_card(tmp_path / "m.cs1").training_images]
    assert names == ["a.png", "b.png"]


def test_a_published_settings_file(tmp_path):
    for part, source in (("images", IMAGE), ("masks", MASK)):
        (tmp_path / part).mkdir()
        for number, size in enumerate((90, 128, 100)):
            crop(source, tmp_path / part / f"{number}.png", size)
    config = tmp_path / "config.yaml"
    config.write_text(
        f"vit_name: tiny\ntrain_image_dir: {tmp_path / 'images'}\ntrain_mask_dir: {tmp_path / 'masks'}\n"
        f"train_id: [1]\nresize_size: null\npatch_size: 128\nsam_image_size: 128\nbase_lr: 2e-3\nepoch_max: 7\n"
        f"result_pth_path: {tmp_path / 'ignored.pth'}\nselected_gpu: 0\nmethod_name: cellseg1\ntrain_num: 1\n"
        "crop_n_layers: 0\npoints_per_side: 8\n",
        encoding="utf-8",
    )
    out = tmp_path / "m.cs1"
    done("train", "--config", config, "--out", out, *QUICK)
    card = load_card(out)
    assert [image.name for image in card.training_images] == ["1.png"]
    settings = settings_from_dict(card.settings)
    # --set wins over the file, the file over the recipe.
    assert (settings.training.epoch_max, settings.training.base_lr, settings.data.sam_image_size) == (1, 0.002, 128)
    assert not (tmp_path / "ignored.pth").exists()
    done("train", "--config", config, "--out", tmp_path / "n.cs1", *QUICK, "--epochs", "2", "--recipe", "paper")
    card = load_card(tmp_path / "n.cs1")
    assert (card.recipe, card.settings["epoch_max"], card.settings["schedule_length"]) == ("paper", 2, "upstream")


def test_memory_statistics_are_written_beside_the_model(tmp_path):
    more = ("--set=track_gpu_memory=true", "--set=patch_size=128", "--set=sam_image_size=128")
    assert train_quick(tmp_path / "m.cs1", *more).code == 0
    first = (tmp_path / "memory_stats.json").read_bytes()
    assert json.loads(first)["0"].keys() == {"peak_allocated", "peak_reserved"}
    assert train_quick(tmp_path / "m.cs1", *more).code == 0
    assert (tmp_path / "memory_stats.json").read_bytes() == first
    assert (tmp_path / "memory_stats_2.json").is_file()


# ---- predict


def test_folder_and_stack(tmp_path, model, image):
    with Image.open(image) as picture:
        plane = np.asarray(picture)[:96, :96]
    tifffile.imwrite(
        image.parent / "stack.tif",
        np.stack([plane, plane * 0, plane[::-1]]),
        photometric="minisblack",
        metadata={"axes": "ZYX"},
    )
    (image.parent / "notes.txt").write_text("no image")
    listed = predict(model, tmp_path / "out", image.parent, more=["--json", "--no-overlays", "--no-candidates"]).json()
    names = ["cells.png", *(f"stack_t000_z{z:03d}.png" for z in range(3))]
    assert [one["labels"] for one in listed["images"]] == names
    assert sorted(tree(tmp_path / "out")) == [*names[:1], "run.json", *names[1:]]
    cells = [labels_of(tmp_path / "out" / name).max() for name in names]
    assert cells == [one["cells"] for one in listed["images"]]
    assert cells[0] > 0
    assert cells[1] > 0
    assert cells[2] == 0


def test_format_tif(tmp_path, model, image):
    predict(model, tmp_path / "png", image)
    predict(model, tmp_path / "tif", image, more=["--format", "tif"])
    written = tifffile.imread(tmp_path / "tif" / "cells.tif")
    assert written.dtype == np.uint8
    np.testing.assert_array_equal(written, np.asarray(Image.open(tmp_path / "png" / "cells.png")))
    with Image.open(tmp_path / "tif" / "overlays" / "cells.png") as overlay:
        assert (overlay.size, overlay.mode) == ((128, 128), "RGB")


def test_zeroing_the_adapter_changes_the_label_image(tmp_path, image):
    """A strong adapter of random numbers, so that the test does not depend on how good a training is."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    from cellseg1.lora.header import HASH_KEY

    path = quick_model(tmp_path)
    with safe_open(path, "pt") as file:
        metadata = {**file.metadata(), HASH_KEY: ""}
    generator = torch.Generator().manual_seed(0)
    tensors = {key: torch.randn(value.shape, generator=generator) * 0.05 for key, value in load_file(path).items()}
    save_file(tensors, tmp_path / "strong.cs1", metadata)
    save_file({key: value * 0 for key, value in tensors.items()}, tmp_path / "zero.cs1", metadata)
    for name, more in (("strong", ()), ("zero", ()), ("strong", ("--no-adapter",))):
        predict(tmp_path / f"{name}.cs1", tmp_path / f"{name}{len(more)}", image, more=more)
    strong, zero, plain = (labels_of(tmp_path / name / "cells.png") for name in ("strong0", "zero0", "strong1"))
    assert zero.max() > 0
    assert not np.array_equal(strong, zero)
    np.testing.assert_array_equal(plain, zero)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pred_iou_thresh": 0.31, "stability_score_thresh": 0.3},
        {"pred_iou_thresh": 0.8},
        {"crop_nms_thresh": 0.6},
        {"min_area": 150, "max_area": 700},
        {"min_mask_region_area": 0, "assemble": "upstream", "second_nms": "upstream"},
    ],
    ids=lambda changes: "-".join(changes) or "none",
)
def test_thresholds_apply_again_without_the_network(tmp_path, model, image, changes):
    predict(model, tmp_path / "run", image)
    candidates = Candidates.load(tmp_path / "run" / "candidates" / "cells.npz")
    recorded = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["settings"]
    settings = settings_from_dict(recorded).replace(**changes)
    again = Selector(candidates).select(select_settings(settings)).labels
    more = [f"--set={name}={value}" for name, value in changes.items()]
    predict(model, tmp_path / "fresh", image, more=more)
    fresh = labels_of(tmp_path / "fresh" / "cells.png")
    assert again.max() > 0 or changes.get("pred_iou_thresh", 0) > 0.5
    np.testing.assert_array_equal(again, fresh)


# ---- start


def test_importing_is_light():
    """What `import cellseg1` and the help load, seen in a fresh interpreter."""
    code = (
        "import sys, cellseg1, cellseg1.cli\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))\n"
        "cellseg1.cli.main(['--help'])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(json.loads(ran.stdout.splitlines()[0].replace("'", '"')))
    heavy = {"torch", "PySide6", "shiboken6", "PyQt6", "numpy", "scipy", "skimage", "cv2", "PIL", "tifffile", "nibabel"}
    assert loaded & heavy == set()
    assert "cellseg1" in loaded
    imports = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import cellseg1"], check=True, capture_output=True, text=True
    ).stderr
    names = {line.rpartition("|")[2].strip() for line in imports.splitlines()}
    assert {name for name in names if name.startswith("cellseg1")} <= {"cellseg1", "cellseg1._version"}
    assert {name.partition(".")[0] for name in names} & (heavy | {"safetensors", "yaml"}) == set()


def test_the_python_interface_is_the_same(tmp_path, model, image):
    import cellseg1

    result = cellseg1.segment_folder(cellseg1.load(model, device="cpu"), [image], tmp_path / "python")
    predict(model, tmp_path / "command", image)
    ours = tree(tmp_path / "command")
    assert (result.folder / "cells.png").read_bytes() == ours["cells.png"]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cellseg1.nothing


@pytest.mark.skipif(sys.platform != "linux", reason="where logs lie")
@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (MemoryError("the inner reason"), "memory is not enough"),
        (OSError(5, "the inner reason"), "the inner reason"),
        (ZeroDivisionError("the inner reason"), "ZeroDivisionError"),
    ],
)
def test_what_becomes_a_sentence_is_in_the_log_with_its_traceback(tmp_path, model, image, monkeypatch, cause, said):
    from cellseg1.prediction import plane

    def fails(*_args, **_more):
        raise cause

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(plane, "predict_candidates", fails)
    ran = run("predict", "--model", model, "--out", tmp_path / "out", image, "--device", "cpu")
    assert said in ran.err
    assert "Traceback" not in ran.err
    (log,) = (tmp_path / "state").rglob("command.log")
    text = log.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "the inner reason" in text
    assert "in fails" in text


def test_a_plain_refusal_needs_no_log(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert run("predict", "--model", tmp_path / "no.cs1", "--out", tmp_path / "out", IMAGE).code == 2
    assert not (tmp_path / "state").exists()
