"""A prediction is refused before its model is loaded, and before anything is written."""

import numpy as np
import pytest
from PIL import Image

from cellseg1.errors import CellSeg1Error, ImageError, OutputError, SettingsError
from cellseg1.images import PlaneChoice
from cellseg1.prediction.plan import plan_prediction


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("b10.png", "b2.png", "b2_cp_masks.png"):
        Image.fromarray(np.zeros((20, 33), np.uint8)).save(folder / name)
    return folder


def test_a_plan_holds_what_will_be_done(images, tmp_path):
    said = []
    plan = plan_prediction(images, tmp_path / "out", channels="DAPI,2", plane="z=3", suffix=".tif", say=said.append)
    assert [path.name for path in plan.paths] == ["b2.png", "b10.png"]
    assert plan.planes == PlaneChoice(z=3)
    assert (plan.channels, plan.suffix, plan.out) == ("DAPI,2", ".tif", tmp_path / "out")
    assert len(said) == 1
    assert "b2_cp_masks.png" in said[0]
    assert not (tmp_path / "out").exists(), "a plan leaves nothing behind"


@pytest.mark.parametrize(
    ("wish", "error", "why"),
    [
        ({"suffix": ".jpg"}, OutputError, "cannot be written as"),
        ({"channels": "0,1,2,3"}, SettingsError, "4 channels"),
        ({"plane": "q=1"}, SettingsError, "not a plane"),
    ],
)
def test_what_is_wanted_and_cannot_be_is_refused(images, tmp_path, wish, error, why):
    with pytest.raises(error, match=why):
        plan_prediction(images, tmp_path / "out", **wish)


def test_files_and_folders_that_cannot_be_used_are_refused(images, tmp_path):
    with pytest.raises(ImageError, match="no file"):
        plan_prediction(tmp_path / "nowhere.png", tmp_path / "out")
    other = tmp_path / "B2.TIF"
    other.write_bytes(b"")
    with pytest.raises(ImageError, match="would both be saved as"):
        plan_prediction([images / "b2.png", other], tmp_path / "out")
    with pytest.raises(CellSeg1Error):
        plan_prediction(images, images / "b2.png" / "out")
