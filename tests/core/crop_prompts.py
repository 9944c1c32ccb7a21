"""What crops for pre-training of both architectures must fulfil."""

import numpy as np


def assert_prompts_are_where_they_say(crop):
    """Points and clicks lie on the cell, or off it, that they name."""
    x, y = crop.points.astype(int).T
    assert np.array_equal(crop.labels[y, x], crop.cell)
    for points, kinds, cell in zip(crop.clicks, crop.click_labels, crop.click_cell, strict=True):
        for (px, py), kind in zip(points.astype(int), kinds, strict=True):
            if kind in (0, 1):
                assert (crop.labels[py, px] == cell) == (kind == 1)
