"""The main job on the sample project, as a user runs it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cellseg1.images import read_image
from cellseg1.masks import read_mask
from cellseg1.model import load_model
from cellseg1.prediction.job import predict


def run_demo(folder, *more):
    result = subprocess.run(
        [sys.executable, "-m", "cellseg1", "demo", "--json", "-q", "--device", "cpu", "--out", "results", *more],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    assert result.stderr == ""
    return folder / "results", json.loads(result.stdout)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo from an empty folder, with a quarter of its training."""
    return run_demo(tmp_path_factory.mktemp("demo"), "--set", "epoch_max=3")


@pytest.mark.slow
def test_the_whole_demo(tmp_path):
    """As a user runs it: two to five minutes on two cores."""
    _, found = run_demo(tmp_path)
    assert found["ap"]["0.50"] >= 0.80
    assert found["ap"]["0.50"] >= found["without_adapter"]["ap"]["0.50"] + 0.03


def test_it_finds_the_cells_and_training_helps(demo):
    _, found = demo
    assert found["ap"]["0.50"] >= 0.70
    assert found["ap"]["0.50"] >= found["without_adapter"]["ap"]["0.50"]
    assert len(found["images"]) == len(found["without_adapter"]["images"]) == 3
    assert found["seconds"] > 0


def test_it_shows_what_it_found(demo):
    folder, found = demo
    assert (folder / "model.cs1").exists()
    for name in ("with_adapter", "without_adapter"):
        scores = json.loads((folder / name / "scores.json").read_text())
        wanted = found if name == "with_adapter" else found["without_adapter"]
        assert scores["ap"] == wanted["ap"]
        assert (folder / name / "scores.csv").stat().st_size > 100
        for picture in ("nuclei_b.png", "nuclei_c.png", "nuclei_d.png"):
            labels = read_mask(folder / name / picture)
            assert labels.labels.shape == (256, 256)
            with Image.open(folder / name / "overlays" / picture) as overlay:
                shown = np.asarray(overlay)
            assert shown.shape == (256, 256, 3)
            # Outlines are coloured; the image itself is grey.
            assert (np.ptp(shown.astype(int), axis=2) > 20).sum() > 200


def test_taking_the_adapter_away_changes_the_label_image(demo, tmp_path):
    from cellseg1.bundled import resource_path
    from cellseg1.lora.inject import lora_matrices, remove_lora

    folder, _ = demo
    image = resource_path("sample_project/test/images/nuclei_c.png")
    model = load_model(folder / "model.cs1", device="cpu")
    again = predict(model, [image], tmp_path / "again")
    with_adapter = read_image(folder / "with_adapter" / "nuclei_c.png").array
    assert np.array_equal(read_image(again.folder / "nuclei_c.png").array, with_adapter)
    assert lora_matrices(model.module)
    remove_lora(model.module)
    assert not lora_matrices(model.module)
    zeroed = predict(model, [image], tmp_path / "zeroed")
    labels = read_image(zeroed.folder / "nuclei_c.png").array
    assert not np.array_equal(labels, with_adapter)
    assert np.array_equal(labels, read_image(folder / "without_adapter" / "nuclei_c.png").array)
