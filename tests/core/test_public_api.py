"""The library by its own name: arrays or files in, typed results out, one sentence for what cannot be meant."""

import numpy as np
import pytest
from command import IMAGE, MASK

import cellseg1
from cellseg1.errors import ImageError, MaskError, ModelFileError, SettingsError, StoppedError

QUICK = {
    "epoch_max": 1,
    "duplicate_data": 2,
    "max_point_num": 8,
    "point_spacing": 20,
    "pred_iou_thresh": 0.3,
    "stability_score_thresh": 0.4,
}


@pytest.fixture(scope="module")
def cells():
    """A part of the sample, not square: image and labels."""
    part = np.s_[20:92, 10:130]
    return cellseg1.read_image(IMAGE).array[part].copy(), cellseg1.read_mask(MASK).labels[part].copy()


@pytest.fixture(scope="module")
def trained(cells, tmp_path_factory):
    """A model trained from arrays, and the file it was written to."""
    out = tmp_path_factory.mktemp("api") / "nuclei.cs1"
    return cellseg1.train(*cells, out, settings=QUICK, device="cpu"), out


def test_what_there_is_can_be_seen():
    assert dir(cellseg1) == sorted(cellseg1.__all__)
    assert {"load", "train", "segment_folder", "evaluate", "measure", "export", "read_image", "read_mask"} < set(
        dir(cellseg1)
    )
    for name in dir(cellseg1):
        assert getattr(cellseg1, name) is not None
    with pytest.raises(AttributeError, match="segmentate"):
        cellseg1.segmentate  # noqa: B018 - that it raises is the test


def test_a_trained_model_segments_as_the_one_that_is_loaded(cells, trained):
    model, out = trained
    assert (model.file, len(model.file_sha256)) == (out.absolute(), 64)
    loaded = cellseg1.load(out, device="cpu")
    assert loaded.card == model.card
    one, other = model.segment(cells[0]), loaded.segment(cells[0])
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert len(one) == one.labels.max() == len(one.scores) > 0
    assert one.labels.shape == cells[0].shape == (72, 120)
    assert repr(one).startswith(f"<Segmentation: {len(one)} cells in 72 x 120 pixels, ")
    assert repr(loaded).startswith(f"<Model: tiny, {out}, AP@0.5 0.")


def test_arrays_and_files_are_the_same(cells, trained, tmp_path):
    image, mask = cells
    np.save(tmp_path / "image.npy", image)
    cellseg1.export(mask, tmp_path / "mask.tif")
    opened = cellseg1.read_image(tmp_path / "image.npy")
    by_file = cellseg1.train(str(tmp_path / "image.npy"), [tmp_path / "mask.tif"], settings=QUICK, device="cpu")
    assert by_file.file is None
    wanted = trained[0].segment(image).labels
    for source in (str(tmp_path / "image.npy"), tmp_path / "image.npy", opened, image):
        np.testing.assert_array_equal(by_file.segment(source).labels, wanted)
    run = cellseg1.segment_folder(trained[1], tmp_path / "image.npy", tmp_path / "out", proposals=False, overlays=False)
    np.testing.assert_array_equal(cellseg1.read_mask(run.folder / run.planes[0].labels).labels, wanted)


def test_planes_axes_and_channels(cells, trained):
    model, image = trained[0], cells[0]
    stack = np.stack([image, np.zeros_like(image)])
    with pytest.raises(ImageError, match=r"has 2 planes.*z = 0 to 1.*plane='z=0'"):
        model.segment(stack, axes="ZYX")
    wanted = model.segment(image).labels
    np.testing.assert_array_equal(model.segment(stack, axes="ZYX", plane="z=0").labels, wanted)
    assert len(model.segment(stack, axes="ZYX", plane={"z": 1})) == 0
    for channels in (0, "0", [0]):
        np.testing.assert_array_equal(model.segment(stack, axes="CYX", channels=channels).labels, wanted)
    assert len(model.segment(np.moveaxis(stack, 0, 2), channels=1)) == 0


def test_other_thresholds_without_the_network(cells, trained, monkeypatch):
    result = trained[0].segment(cells[0])
    monkeypatch.setattr("cellseg1.prediction.plane.find_candidates", lambda *_a, **_k: pytest.fail("it was asked"))
    assert len(result.choose(pred_iou_thresh=1.0)) == 0
    np.testing.assert_array_equal(result.choose().labels, result.labels)
    with pytest.raises(SettingsError, match="pred_iou_thres"):
        result.choose(pred_iou_thres=0.3)


def test_saving_what_was_found(cells, trained, tmp_path):
    from cellseg1.prediction.candidates import Candidates

    result = trained[0].segment(cells[0])
    result.save(str(tmp_path / "new" / "cells.png"))
    np.testing.assert_array_equal(cellseg1.read_mask(tmp_path / "new" / "cells.png").labels, result.labels)
    result.save(tmp_path / "all.npz")
    assert len(Candidates.load(tmp_path / "all.npz")) == len(result.candidates)
    result.save_overlay(tmp_path / "overlay.png")
    np.testing.assert_array_equal(cellseg1.read_image(tmp_path / "overlay.png").array, result.overlay())
    with pytest.raises(MaskError, match=r"\.png"):
        result.save(tmp_path / "cells.jpg")
    trained[0].save(tmp_path / "copy.cs1")
    np.testing.assert_array_equal(
        cellseg1.load(tmp_path / "copy.cs1", device="cpu").segment(cells[0]).labels, result.labels
    )
    with pytest.raises(ModelFileError, match="not replaced"):
        trained[0].save(tmp_path / "copy.cs1")


def test_a_stopped_segmentation_is_an_error_of_its_own(cells, trained):
    with pytest.raises(StoppedError):
        trained[0].segment(cells[0], stop=lambda: True)


def test_comparing_and_measuring(cells):
    truth = cells[1]
    both = cellseg1.evaluate([truth, truth], [truth, np.zeros_like(truth)])
    assert [one.ap[0.5] for one in both.images] == [1.0, 0.0]
    assert cellseg1.evaluate(MASK, str(MASK)).pq == 1.0
    table = cellseg1.measure(truth, pixel_size_um=(0.5, 0.25))
    np.testing.assert_allclose(table["area_um2"], table["area_px"] * 0.125)
    assert len(cellseg1.measure(MASK)) == cellseg1.read_mask(MASK).n_cells
    assert "area_um2" not in cellseg1.measure(truth)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda model: model.segment(None), TypeError, "An image is a path, a NumPy array or what read_image returns"),
        (lambda model: model.segment([[1, 2], [3, 4]]), TypeError, "not list"),
        (lambda model: model.segment(np.array(["a", "b"])), ValueError, "give rows x columns of numbers"),
        (lambda model: model.segment(np.zeros(9)), ValueError, "name its axes"),
        (lambda model: model.segment(np.zeros((0, 5))), ValueError, "give rows x columns"),
        (lambda model: model.segment(np.zeros((9, 9)), axes="ZYX"), ValueError, "choose its axes"),
        (lambda model: model.segment(np.zeros((9, 9)), plane=3), ValueError, "is not a plane"),
        (lambda model: model.segment(np.zeros((9, 9)), channels=4.5), ValueError, "is not a channel"),
        (lambda model: model.segment("nowhere.png"), ValueError, "nowhere.png"),
        (lambda _: cellseg1.load(7), TypeError, "A model file is named by a path"),
        (lambda _: cellseg1.load(" "), ValueError, "empty name"),
        (lambda _: cellseg1.load("nowhere.cs1"), ValueError, "check its name"),
        (lambda _: cellseg1.segment_folder(7, "images", "out"), TypeError, "A model file is named by a path"),
        (lambda _: cellseg1.train(7, MASK), TypeError, "An image is a path"),
        (lambda _: cellseg1.train(IMAGE, None), TypeError, "A mask is a path or a NumPy array, not NoneType"),
        (lambda _: cellseg1.train([IMAGE, IMAGE], MASK), ValueError, "differ in number"),
        (lambda _: cellseg1.train([], []), ValueError, "There is no training image"),
        (lambda _: cellseg1.train(IMAGE, MASK, resume=True), ValueError, "give it as out"),
        (lambda _: cellseg1.train(IMAGE, MASK, settings={"epochs": 3}), ValueError, "epochs"),
        (lambda _: cellseg1.train(IMAGE, MASK, planes=[3]), ValueError, "is not a plane"),
        (lambda _: cellseg1.evaluate(MASK, np.zeros((9, 9), int)), TypeError, "read the file with read_mask"),
        (lambda _: cellseg1.evaluate([np.zeros((9, 9), int)] * 2, np.zeros((9, 9), int)), ValueError, "one for each"),
        (lambda _: cellseg1.evaluate(3, 4), TypeError, "The truth is a NumPy array"),
        (lambda _: cellseg1.evaluate(np.zeros((4, 6)) + 0.5, np.zeros((4, 6))), ValueError, ""),
        (lambda _: cellseg1.measure({}), TypeError, "A label image is a NumPy array, not dict"),
        (lambda _: cellseg1.measure(np.eye(5, dtype=int), pixel_size_um=-1), ValueError, "height and width"),
        (lambda _: cellseg1.export("a.png", "b.png"), TypeError, "A label image is a NumPy array, not str"),
        (lambda _: cellseg1.export(np.eye(5), "b.png"), ValueError, "no label image"),
        (lambda _: cellseg1.export(np.eye(5, dtype=int), 5), TypeError, "The file to write is named by a path"),
        (lambda model: model.segment("a\0.png"), ValueError, "character that no file name can have"),
        (lambda _: cellseg1.load("a\0.cs1"), ValueError, "NUL character"),
        (lambda _: cellseg1.train("a\0.png", MASK), ValueError, "character that no file name can have"),
        (lambda _: cellseg1.train(IMAGE, "a\0.png"), ValueError, "character that no file name can have"),
        (lambda _: cellseg1.train(IMAGE, MASK, out="a\0.cs1"), ValueError, "NUL character"),
        (lambda _: cellseg1.train(IMAGE, MASK, start_model="a\0.cs1"), ValueError, "NUL character"),
        (lambda model: cellseg1.segment_folder(model, "a\0", "out"), ValueError, ""),
        (lambda model: cellseg1.segment_folder(model, ["a\0.png"], "out"), ValueError, ""),
        (lambda model: cellseg1.segment_folder(model, IMAGE, "a\0"), ValueError, "NUL character"),
        (lambda _: cellseg1.evaluate("a\0", "b"), ValueError, "check its name"),
        (lambda _: cellseg1.measure("a\0.png"), ValueError, "character that no file name can have"),
        (lambda _: cellseg1.export(np.eye(5, dtype=int), "a\0.png"), ValueError, "NUL character"),
        (lambda model: model.save("a\0.cs1"), ValueError, "NUL character"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_sentence(trained, tmp_path, monkeypatch, call, error, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        call(trained[0])
    text = str(caught.value)
    assert words in text
    assert text.endswith((".", "?"))
    assert "\n" not in text
    assert "embedded null" not in text
    assert list(tmp_path.iterdir()) == []
