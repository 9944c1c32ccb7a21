"""The published augmentation against what albumentations 1.3.1 gave (golden n), and what it promises."""

import random

import numpy as np
import pytest
from golden_models import golden

from cellseg1.settings import make_settings
from cellseg1.training.augment import augment

DATA = golden("n_augment")
CASES = {
    "studio": ("studio", {}),
    "paper": ("paper", {}),
    # Parts that never fit, so that the middle is taken.
    "narrow": ("paper", {"crop_ratio": [3, 5], "crop_scale": [0.9, 1.0], "crop_prob": 1.0}),
}


def tile(height, width):
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 3 % 256, columns * 2 % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
    labels = (rows // 12 * 20 + columns // 16 + 1).astype(np.int32)
    labels[rows % 12 < 3] = 0
    y, x = np.mgrid[2:height:17, 3:width:19]
    return pixels, labels, np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)


def settings_of(name):
    recipe, changes = CASES[name]
    return make_settings(recipe, "tiny", overrides={"sam_image_size": 128, **changes})


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(8))
def test_a_seed_gives_what_the_research_code_got(name, seed):
    pixels, labels, xy = tile(96, 150)
    result = augment(settings_of(name), seed, pixels, [labels], xy)
    wanted = {key: DATA[f"{name}.{seed}.{key}"] for key in ("xy", "kept", "pixels", "labels")}
    assert np.array_equal(result.kept, wanted["kept"])
    np.testing.assert_allclose(result.xy, wanted["xy"], rtol=0, atol=1e-9)
    assert result.pixels.shape == (128, 128, 3)
    # Versions of OpenCV round differently in the last place, and at the edge of a cell.
    unlike = np.abs(result.pixels[::4, ::4].astype(int) - wanted["pixels"]) > 1
    assert unlike.mean() < 0.01
    assert (result.masks[0][::4, ::4] != wanted["labels"]).mean() < 0.01


def test_points_and_masks_move_alike():
    """Points in the middle of large cells stay on their cells, in every mask, whatever is drawn."""
    rows, columns = np.mgrid[:192, :300]
    labels = (rows // 48 * 6 + columns // 50 + 1).astype(np.int32)
    y, x = np.mgrid[24:192:48, 25:300:50]
    xy = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    pixels = np.zeros((192, 300, 3), np.uint8)
    total = 0
    for seed in range(40):
        result = augment(settings_of("studio"), seed, pixels, [labels, (labels % 2).astype(np.uint8)], xy)
        x, y = result.xy.astype(int).T
        assert np.array_equal(result.masks[0][y, x], result.kept + 1)
        assert np.array_equal(result.masks[1][y, x], (result.kept + 1) % 2)
        total += len(x)
    assert total > 400


def test_nothing_random_outside_is_touched_and_no_point_is_needed():
    pixels, labels, xy = tile(96, 150)
    random.seed(5)
    first = random.random()
    random.seed(5)
    result = augment(settings_of("paper"), 3, pixels, [labels], xy[:0])
    assert random.random() == first
    assert result.xy.shape == (0, 2)
    again = augment(settings_of("paper"), 3, pixels, [labels], xy)
    assert again.pixels.tobytes() == result.pixels.tobytes()
