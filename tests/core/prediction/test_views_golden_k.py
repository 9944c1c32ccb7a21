"""Golden k: crops and point grids; and the tiles plan."""

import numpy as np
import pytest
from golden_models import golden

from cellseg1.prediction.views import crop_boxes, plan_views, point_grid
from cellseg1.settings import make_settings

DATA = golden("k_crops_grid")


@pytest.mark.parametrize("name", [key.removeprefix("boxes_") for key in DATA if key.startswith("boxes_")])
def test_crops(name):
    size, layers = name.split("_layers")
    height, width = (int(part) for part in size.split("x"))
    found = crop_boxes((height, width), int(layers))
    assert np.array_equal([box for box, _ in found], DATA[f"boxes_{name}"])
    assert np.array_equal([layer for _, layer in found], DATA[f"layer_{name}"])


def test_grids():
    assert np.abs(point_grid(32) - DATA["grid32"]).max() < 1e-12
    settings = make_settings("paper", "vit_b", {"crop_n_layers": 2, "crop_n_points_downscale_factor": 2})
    last = plan_views((400, 300), settings)[-1]
    x0, y0, x1, y1 = last.box
    grid = (last.prompts_in_image() - (x0, y0)) / (x1 - x0, y1 - y0)
    assert np.abs(grid - DATA["grid_layer2_scale2"]).max() < 1e-9


@pytest.mark.parametrize("shape", [(40, 60), (512, 512), (513, 700), (1, 5000), (1200, 300), (2000, 1500)])
def test_tiles_cover_the_image_and_ask_every_point_once(shape):
    settings = make_settings("studio", "tiny")
    views = plan_views(shape, settings)
    covered = np.zeros(shape, bool)
    for view in views:
        x0, y0, x1, y1 = view.box
        assert 0 <= x0 < x1 <= shape[1]
        assert 0 <= y0 < y1 <= shape[0]
        assert view.size == (y1 - y0, x1 - x0)
        covered[y0:y1, x0:x1] = True
        assert (view.prompts >= 0).all()
        assert (view.prompts <= np.array(view.size)[::-1] - 1).all()
    assert covered.all()
    points = np.concatenate([view.prompts_in_image() for view in views])
    assert len(np.unique(points.round(6), axis=0)) == len(points)
    xs, ys = np.unique(points[:, 0].round(6)), np.unique(points[:, 1].round(6))
    assert len(points) == len(xs) * len(ys)
    for along, length in ((xs, shape[1]), (ys, shape[0])):
        assert np.diff(along).max(initial=0) <= settings.prediction.point_spacing * 1.5
        assert along[0] <= settings.prediction.point_spacing
        assert along[-1] >= length - 1 - settings.prediction.point_spacing


def test_points_lie_deep_inside_their_tile():
    settings = make_settings("studio", "tiny")
    for view in plan_views((1500, 2000), settings):
        x0, y0, x1, y1 = view.box
        half = settings.prediction.tile_overlap / 2 - settings.prediction.point_spacing
        for axis, (low, high, length) in enumerate(((x0, x1, 2000), (y0, y1, 1500))):
            if low > 0:
                assert view.prompts[:, axis].min() >= half
            if high < length:
                assert view.prompts[:, axis].max() <= high - low - 1 - half
