"""What the training makes of mask files: stacks follow the planes of their image, and pieces are a choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellseg1.errors import MaskError
from cellseg1.evaluation.job import evaluate
from cellseg1.model import input_of
from cellseg1.settings import make_settings
from cellseg1.training.inputs import read_region, read_training_set


def labels(count: int) -> np.ndarray:
    """Return a label image of `count` squares."""
    array = np.zeros((48, 90), np.uint16)
    for i in range(count):
        y, x = 4 + i // 6 * 14, 4 + i % 6 * 14
        array[y : y + 10, x : x + 10] = i + 1
    return array


@pytest.fixture
def stacks(tmp_path: Path) -> tuple[Path, Path]:
    """Return an image of three time points and its masks, whose pages have no names."""
    picture = np.random.default_rng(0).integers(0, 4000, (3, 48, 90)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", picture, imagej=True, metadata={"axes": "TYX"})
    with tifffile.TiffWriter(tmp_path / "a_mask.tif") as writer:
        for count in (11, 12, 13):
            writer.write(labels(count), metadata=None, contiguous=False)
    return tmp_path / "a.tif", tmp_path / "a_mask.tif"


def test_the_plane_of_the_image_is_that_of_the_mask(stacks: tuple[Path, Path]) -> None:
    image, mask = stacks
    settings = input_of(make_settings("studio", "tiny"))
    for chosen, cells in ((None, 11), ((0, 1), 12), ((0, 2), 13)):
        (entry,) = read_training_set([image], [mask], None, settings, lambda _text: None, planes=[chosen])
        assert entry.image.labels.max() == cells
    flat = image.with_name("flat.tif")
    tifffile.imwrite(flat, np.random.default_rng(0).integers(0, 4000, (48, 90)).astype(np.uint16))
    with pytest.raises(MaskError, match="one plane"):
        read_training_set([flat], [mask], None, settings, lambda _text: None)


def test_a_region_file_is_taken_as_it_is(tmp_path: Path) -> None:
    # Mostly inside: as a mask of cells its outside would be taken for the cells.
    inside = np.full((48, 90), 255, np.uint8)
    inside[10:20, 30:50] = 0
    tifffile.imwrite(tmp_path / "r.tif", inside)
    found, boxes = read_region(tmp_path / "r.tif", (48, 90))
    assert found is not None
    np.testing.assert_array_equal(found, inside > 0)
    assert boxes == ((0, 0, 90, 48),)


def test_pieces_are_a_choice_in_training_and_evaluation(tmp_path: Path) -> None:
    cells = labels(18)
    classes = np.where(cells > 0, 1 + cells % 2, 0).astype(np.uint8)
    for folder, array in (("truth", classes), ("pred", cells)):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", array)
    picture = tmp_path / "a.tif"
    tifffile.imwrite(picture, np.random.default_rng(0).integers(0, 255, (48, 90)).astype(np.uint8))
    said: list[str] = []
    settings = input_of(make_settings("studio", "tiny"))
    mask = tmp_path / "truth" / "a.tif"
    (entry,) = read_training_set([picture], [mask], None, settings, said.append)
    assert entry.image.labels.max() == 18
    assert any("2 ids for 18 separate pieces" in sentence for sentence in said)
    (entry,) = read_training_set([picture], [mask], None, settings, said.append, pieces="keep")
    assert entry.image.labels.max() == 2
    said.clear()
    report = evaluate(tmp_path / "truth", tmp_path / "pred", say=said.append)
    assert report.images[0].n_true == 18
    assert report.images[0].ap[0.5] == 1
    assert any("2 ids for 18 separate pieces" in sentence for sentence in said)
    said.clear()
    report = evaluate(tmp_path / "truth", tmp_path / "pred", say=said.append, pieces="keep")
    assert report.images[0].n_true == 2
    assert any("Cells 1, 2 are in several separate pieces" in sentence for sentence in said)


def test_stacks_are_compared_plane_by_plane(stacks: tuple[Path, Path], tmp_path: Path) -> None:
    _image, truth = stacks
    pred = tmp_path / "pred.tif"
    tifffile.imwrite(pred, np.stack([labels(11), labels(12), labels(11)]), photometric="minisblack")
    report = evaluate(truth, pred)
    assert [(one.n_true, one.n_pred) for one in report.images] == [(11, 11), (12, 12), (13, 11)]
    assert report.images[2].name == "pred.tif (z 2, t 0)"
    tifffile.imwrite(pred, labels(11))
    with pytest.raises(MaskError, match="3 planes and"):
        evaluate(truth, pred)


def test_predictions_of_planes_belong_to_a_stack(stacks: tuple[Path, Path], tmp_path: Path) -> None:
    _image, mask = stacks
    truth, pred = tmp_path / "truth", tmp_path / "pred"
    for folder in (truth, pred):
        folder.mkdir()
    mask.rename(truth / "a.tif")
    tifffile.imwrite(truth / "b.tif", labels(5))
    tifffile.imwrite(pred / "b.tif", labels(5))
    for t, count in enumerate((11, 12, 12)):
        tifffile.imwrite(pred / f"a_t{t:03d}_z000.tif", labels(count))
    report = evaluate(truth, pred)
    assert [(one.name, one.n_true, one.n_pred) for one in report.images] == [
        ("b.tif", 5, 5),
        ("a_t000_z000.tif", 11, 11),
        ("a_t001_z000.tif", 12, 12),
        ("a_t002_z000.tif", 13, 12),
    ]
    tifffile.imwrite(pred / "a_t003_z000.tif", labels(3))
    with pytest.raises(MaskError, match="has no plane"):
        evaluate(truth, pred)
