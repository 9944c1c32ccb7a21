"""Training on from a model, on a plane of a stack, and looking at the model while it is trained."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_training_trainer import BASE, discs

from cellseg1.errors import ModelFileError, SettingsError
from cellseg1.images import Image, ImageInfo, read_image
from cellseg1.lora import load_card
from cellseg1.masks import write_label_image
from cellseg1.model import load_model
from cellseg1.prediction.plane import predict_pixels, predict_plane
from cellseg1.training.job import train

QUICK = {**BASE, "epoch_max": 1, "duplicate_data": 2, "point_spacing": 24, "max_point_num": 6}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    image = discs()
    np.save(folder / "a.npy", image.pixels[..., 0])
    empty = np.zeros_like(image.pixels[..., 0])
    np.save(folder / "stack.npy", np.stack([empty, image.pixels[..., 0], 255 - image.pixels[..., 0]]))
    write_label_image(folder / "a.tif", image.labels)
    return folder


def run(files, out, name="a.npy", changes=None, **more):
    return train(
        [files / name], [files / "a.tif"], out, overrides={**QUICK, **(changes or {})}, device="cpu",
        **{"measure": False, **more},
    )  # fmt: skip


@pytest.fixture(scope="module")
def first(files):
    run(files, files / "first.cs1", changes={"image_encoder_lora_rank": 2})
    return files / "first.cs1"


def same(one, other):
    ours, theirs = load_file(one), load_file(other)
    return ours.keys() == theirs.keys() and all(ours[key].tobytes() == theirs[key].tobytes() for key in ours)


def test_training_goes_on_from_a_model(files, first, tmp_path):
    still = {"base_lr": 1e-12, "backbone_lr": 1e-12}
    run(files, tmp_path / "on.cs1", changes=still, start_model=first)
    before, after = load_file(first), load_file(tmp_path / "on.cs1")
    assert before.keys() == after.keys()
    # With no rate to speak of it is the model it began with (and not a fresh adapter, whose B is zero).
    assert all(np.allclose(before[key], after[key], atol=1e-6) for key in before)
    assert any(np.abs(value).max() > 1e-4 for key, value in after.items() if "_b_" in key)
    card = load_card(tmp_path / "on.cs1")
    assert card.lora.image_encoder_rank == 2
    assert "Trained on from first.cs1" in card.notes
    run(files, tmp_path / "fresh.cs1", changes={**still, "image_encoder_lora_rank": 2})
    assert not all(np.allclose(load_file(tmp_path / "fresh.cs1")[key], before[key], atol=1e-6) for key in before)


def test_a_model_of_another_rank_or_backbone_is_refused(files, first, tmp_path):
    with pytest.raises(ModelFileError, match="rank 2"):
        run(files, tmp_path / "m.cs1", changes={"image_encoder_lora_rank": 5}, start_model=first)
    with pytest.raises(ModelFileError, match="no model file"):
        run(files, tmp_path / "m.cs1", start_model=tmp_path / "none.cs1")
    assert not list(tmp_path.iterdir())


def test_a_resumed_training_wants_the_model_it_began_with(files, first, tmp_path):
    changes = {"epoch_max": 3}
    whole = run(files, tmp_path / "whole.cs1", changes=changes, start_model=first)
    assert whole.outcome.finished
    part = run(files, tmp_path / "part.cs1", changes=changes, start_model=first, stop=lambda: True)
    assert not part.outcome.finished
    with pytest.raises(ModelFileError, match="other images, masks or settings"):
        run(files, tmp_path / "part.cs1", changes={**changes, "image_encoder_lora_rank": 2}, resume=True)
    run(files, tmp_path / "part.cs1", changes=changes, start_model=first, resume=True)
    assert same(tmp_path / "part.cs1", tmp_path / "whole.cs1")


def test_looking_at_the_model_changes_nothing(files, tmp_path):
    run(files, tmp_path / "plain.cs1")
    seen = {}

    def watch(model, images):
        seen.update(model=model, images=images, found=[])

    def progress(_now):
        module = seen["model"].module
        assert module.training
        seen["found"].append(predict_pixels(seen["model"], seen["images"][0].pixels).labels)
        assert module.training

    run(files, tmp_path / "watched.cs1", watch=watch, progress=progress)
    assert len(seen["found"]) >= 1
    assert seen["found"][0].shape == seen["images"][0].labels.shape
    assert same(tmp_path / "plain.cs1", tmp_path / "watched.cs1")


def test_the_measure_may_be_decided_at_the_end(files, tmp_path):
    asked = []
    result = run(files, tmp_path / "a.cs1", measure=lambda outcome: asked.append(outcome) or False)
    assert [one.finished for one in asked] == [True]
    assert result.card.ap_training is None
    assert run(files, tmp_path / "b.cs1", measure=lambda outcome: outcome.finished).card.ap_training is not None


def as_stack(path):
    image = read_image(path)
    info = ImageInfo(path, "NPY", "ZYX", image.array.shape, image.info.dtype)
    return Image(image.array, info) if image.array.ndim == 3 else image


def test_a_plane_of_a_stack_is_trained_on(files, tmp_path):
    run(files, tmp_path / "flat.cs1")
    said = []
    result = run(files, tmp_path / "plane.cs1", "stack.npy", read=as_stack, planes=[(1, 0)], say=said.append)
    assert same(tmp_path / "flat.cs1", tmp_path / "plane.cs1")
    assert result.card.training_images[0].name == "stack.npy (z 1, t 0)"
    assert not any("planes" in sentence for sentence in said)
    with pytest.raises(SettingsError, match="planes"):
        run(files, tmp_path / "x.cs1", "stack.npy", planes=[(0, 0), (1, 0)])


def test_another_plane_is_another_training(files, tmp_path):
    run(files, tmp_path / "m.cs1", "stack.npy", read=as_stack, planes=[(1, 0)], stop=lambda: True,
        changes={"epoch_max": 3})  # fmt: skip
    with pytest.raises(ModelFileError, match="other images"):
        run(files, tmp_path / "m.cs1", "stack.npy", read=as_stack, planes=[(2, 0)], resume=True,
            changes={"epoch_max": 3})  # fmt: skip


def test_one_plane_is_predicted(files, first):
    model = load_model(first, device="cpu", overrides={"pred_iou_thresh": 0.3, "stability_score_thresh": 0.3})
    stack = as_stack(files / "stack.npy")
    assert predict_plane(model, stack, z=0).cells == 0
    shares = []
    found = predict_plane(model, stack, z=1, scale=1.25, progress=shares.append)
    assert found.labels.shape == found.candidates.shape == (96, 128)
    assert found.cells == len(np.unique(found.labels)) - 1 > 0
    assert found.candidates.settings["scale"] == 1.25
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert dataclasses.replace(model).scale == 1.0
