"""A plan holds what a training will do, and nothing is built or written for it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cellseg1.errors import MaskError, ModelFileError
from cellseg1.masks import write_label_image
from cellseg1.training.plan import TrainingFiles, plan_training


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr("cellseg1.model.build_backbone", lambda *_args, **_options: pytest.fail("a network was built"))
    yy, xx = np.mgrid[:80, :120]
    labels = ((yy // 40) * 3 + xx // 40 + 1).astype(np.int32) * ((yy % 40 > 8) & (xx % 40 > 8))
    Image.fromarray((labels * 30).astype(np.uint8)).save(tmp_path / "i.png")
    write_label_image(tmp_path / "m.png", labels)
    return TrainingFiles(images=[tmp_path / "i.png"], masks=[tmp_path / "m.png"])


def plan(files, out, said, **changes):
    options = {
        "backbone": "tiny",
        "recipe": "studio",
        "overrides": {},
        "device": "cpu",
        "resume": False,
        "start_model": None,
        "channels": None,
        "tell": said.append,
    }
    return plan_training(files, Path(out), **{**options, **changes})


def test_what_is_planned(files, tmp_path):
    (tmp_path / "m.cs1").write_bytes(b"another model")
    said = []
    made = plan(files, tmp_path / "m.cs1", said, overrides={"epoch_max": 3})
    assert (made.target, made.resumes, made.start_model) == (tmp_path / "m_2.cs1", False, None)
    assert (made.backbone, made.settings.training.epoch_max) == ("tiny", 3)
    assert [image.labels.shape for image in made.images] == [(80, 120)]
    assert 0.5 < made.scale < 2
    assert any("is kept; the new model is m_2.cs1" in sentence for sentence in said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["i.png", "m.cs1", "m.png"]


def test_what_is_refused(files, tmp_path):
    with pytest.raises(ModelFileError, match="no backbone tiny"):
        plan(files, tmp_path / "m.pth", [])
    with pytest.raises(MaskError, match="differ in number"):
        plan(TrainingFiles(images=files.images, masks=[]), tmp_path / "m.cs1", [])
