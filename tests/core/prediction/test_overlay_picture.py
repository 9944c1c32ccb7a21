"""Drawing cells over a picture."""

from __future__ import annotations

import numpy as np
import pytest

from cellseg1.errors import MaskError
from cellseg1.prediction.overlay import PALETTE, label_colors, overlay_picture

SHAPE = (90, 130)


def _voronoi(seed: int, count: int) -> np.ndarray:
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    seeds = np.zeros(SHAPE, np.int32)
    seeds[rng.integers(0, SHAPE[0], count), rng.integers(0, SHAPE[1], count)] = np.arange(1, count + 1)
    place = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    labels = seeds[tuple(place)]
    labels[(np.add.outer(np.arange(90), np.arange(130)) % 40) < 2] = 0
    return labels


@pytest.mark.parametrize("seed", range(5))
def test_neighbours_differ(seed):
    labels = _voronoi(seed, 150)
    colors = label_colors(labels)
    assert colors.shape == (labels.max() + 1,)
    assert colors.max() < len(PALETTE) == 12
    assert len(np.unique(colors)) > 8
    shown = colors[labels].astype(int)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1), (2, 0), (0, 2), (2, 2)):
        a = labels[: SHAPE[0] - dy, max(0, -dx) : SHAPE[1] - max(0, dx)]
        b = labels[dy:, max(0, dx) : SHAPE[1] + min(0, dx)]
        ca = shown[: SHAPE[0] - dy, max(0, -dx) : SHAPE[1] - max(0, dx)]
        cb = shown[dy:, max(0, dx) : SHAPE[1] + min(0, dx)]
        assert (ca != cb)[(a != b) & (a > 0) & (b > 0)].all()
    np.testing.assert_array_equal(colors, label_colors(labels.astype(np.uint16)))


def test_one_large_cell_among_many():
    labels = np.zeros((60, 200), np.uint16)
    labels[20:40] = 1
    labels[:20] = 2 + np.arange(200) // 2
    colors = label_colors(labels)
    assert (colors[2:102] != colors[1]).all()


def test_outline_lies_inside_the_cell():
    image = np.full((*SHAPE, 3), 7, np.uint8)
    labels = np.zeros(SHAPE, np.int64)
    labels[10:20, 30:50] = 3
    for width in (1, 2):
        picture = overlay_picture(image, labels, "outline", width)
        changed = (picture != 7).any(axis=2)
        expected = labels == 3
        expected[10 + width : 20 - width, 30 + width : 50 - width] = False
        np.testing.assert_array_equal(changed, expected)
        assert (picture[changed] == PALETTE[label_colors(labels)[3]]).all()
    filled = overlay_picture(image, labels, "fill")
    np.testing.assert_array_equal((filled != 7).any(axis=2), labels == 3)
    assert (image == 7).all()


def test_wide_outlines_stay_in_their_cell():
    labels = np.zeros((20, 30), np.uint8)
    labels[:, :3] = 1
    labels[:, 3:10] = 2
    picture = overlay_picture(np.zeros((20, 30, 3), np.uint8), labels, width=4)
    colors = PALETTE[label_colors(labels)]
    assert (picture[:, :3] == colors[1]).all()
    assert (picture[:, 3:7] == colors[2]).all()


def test_nothing_to_draw_and_wrong_pictures():
    image = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    np.testing.assert_array_equal(overlay_picture(image, np.zeros(SHAPE, np.uint16), "fill"), image)
    assert label_colors(np.zeros(SHAPE, int)).shape == (1,)
    with pytest.raises(MaskError, match="differ"):
        overlay_picture(image, np.zeros(SHAPE[::-1], int))
    with pytest.raises(MaskError, match="8-bit"):
        overlay_picture(image[..., 0], np.zeros(SHAPE, int))
