"""The tiles plan with a network that sees perfectly: positions, scales, seams."""

import numpy as np
import pytest
import torch

from cellseg1.evaluation import evaluate_labels
from cellseg1.prediction.decode import find_candidates
from cellseg1.prediction.select import select, select_settings
from cellseg1.sam.interface import Decoded, Embedding
from cellseg1.sam.tiny import window_origin
from cellseg1.settings import make_settings

LEVELS = (10, 90, 170, 250)
# One channel is always full, so that no blend of a colour with black is another colour.
PALETTE = torch.tensor(
    [(r, g, b) for r in LEVELS for g in LEVELS for b in LEVELS if 250 in (r, g, b)], dtype=torch.float32
)


class Oracle(torch.nn.Module):
    """Every cell has a colour of its own; the mask of a prompt is where its colour is."""

    name = "oracle"

    def __init__(self, windows=True):
        super().__init__()
        self.image_size = None if windows else 256
        self.largest = 0

    def device_of(self):
        return torch.device("cpu")

    def encode(self, pixels):
        self.largest = max(self.largest, *pixels.shape[-2:])
        return Embedding((pixels,), tuple(pixels.shape[-2:]))

    def decode(self, embedding, points, labels, image_index, min_score=None):
        pixels = embedding.features[0][0]
        height, width = pixels.shape[-2:]
        at = points[:, 0].round().long()
        x, y = at[:, 0].clamp(0, width - 1), at[:, 1].clamp(0, height - 1)
        colours = pixels[:, y, x].T
        # A blend of a cell's colour with the ground (resampling makes such) is nobody's.
        scores = ((colours[:, None] - PALETTE).abs().amax(2).amin(1) < 12).float()
        kept = torch.nonzero(scores > min_score)[:, 0]
        origin = window_origin(points, labels)[kept]
        grid = torch.arange(32) * 4 + 2
        logits = []
        for (left, top), colour in zip(origin.tolist(), colours[kept], strict=True):
            rows, columns = top + grid, left + grid
            inside = (rows[:, None] >= 0) & (rows[:, None] < height) & (columns >= 0) & (columns < width)
            seen = pixels[:, rows.clamp(0, height - 1)][:, :, columns.clamp(0, width - 1)]
            same = ((seen - colour[:, None, None]).abs().amax(0) < 40) & inside
            logits.append(torch.where(same, 4.0, -4.0))
        return Decoded(scores, kept, torch.stack(logits) if logits else torch.zeros(0, 32, 32), origin)


def coloured(shape, diameter):
    """Discs in 25 colours, none of which comes twice within a window."""
    labels = np.zeros(shape, np.int32)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    step = int(diameter * 1.3)
    image = np.zeros((*shape, 3), np.uint8)
    number = 0
    for row, y in enumerate(range(step // 2, shape[0], step)):
        for column, x in enumerate(range(step // 2, shape[1], step)):
            number += 1
            top, left = max(0, y - step), max(0, x - step)
            box = (slice(top, y + step), slice(left, x + step))
            disc = (yy[box] - y) ** 2 + (xx[box] - x) ** 2 < (diameter / 2) ** 2
            labels[box][disc] = number
            image[box][disc] = PALETTE[(5 * row + column) % 25].numpy()
    return image, labels


@pytest.mark.parametrize(
    ("shape", "diameter", "scale"),
    [
        ((200, 330), 28, 1.0),
        ((700, 1300), 28, 1.0),
        ((300, 900), 14, 2.0),
        ((900, 1500), 70, 0.4),
        ((611, 407), 20, 1.37),
    ],
)
def test_every_cell_is_found_where_it_is(shape, diameter, scale):
    image, labels = coloured(shape, diameter)
    settings = make_settings("studio", "tiny")
    model = Oracle()
    candidates = find_candidates(model, image, settings, scale=scale)
    assert model.largest <= settings.prediction.tile_size
    assert candidates.shape == shape
    found = select(candidates, select_settings(settings))
    assert found.labels.shape == shape
    score = evaluate_labels(labels, found.labels, thresholds=(0.5, 0.7))
    assert score.ap[0.5] > 0.99
    assert score.ap[0.7] > 0.97
    assert not [mistake for mistake in score.mistakes if mistake.kind in {"split", "merged"}]


def test_prompts_are_in_image_pixels():
    image, labels = coloured((300, 450), 20)
    candidates = find_candidates(Oracle(), image, make_settings("studio", "tiny"), scale=1.5)
    x, y = candidates.point_xy.round().astype(int).T
    assert (labels[y.clip(0, 299), x.clip(0, 449)] > 0).mean() > 0.97


def test_a_black_image_has_no_proposals():
    image = np.zeros((100, 170, 3), np.uint8)
    assert len(find_candidates(Oracle(), image, make_settings("studio", "tiny"))) == 0


def test_progress_and_stop():
    image, _ = coloured((600, 1200), 28)
    settings = make_settings("studio", "tiny")
    seen = []
    find_candidates(Oracle(), image, settings, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert find_candidates(Oracle(), image, settings, stop=lambda: True) is None


def test_the_pyramid_plan_works_with_windows_too():
    image, labels = coloured((240, 320), 20)
    settings = make_settings("paper", "tiny", {"sam_image_size": 320, "resize_size": None, "points_per_side": 24})
    found = select(find_candidates(Oracle(), image, settings), select_settings(settings))
    assert evaluate_labels(labels, found.labels, thresholds=(0.5,)).ap[0.5] > 0.9


def test_a_large_image_gets_a_pyramid_for_every_window():
    from cellseg1.prediction.views import plan_views

    image, labels = coloured((500, 900), 28)
    settings = make_settings("studio", "vit_b", {"pyramid_window": 256, "sam_image_size": 256, "points_per_side": 20})
    views = plan_views(image.shape[:2], settings)
    assert len(views) % 5 == 0
    assert max(x1 - x0 for (x0, _, x1, _) in (view.box for view in views)) == 256
    found = select(find_candidates(Oracle(), image, settings), select_settings(settings))
    score = evaluate_labels(labels, found.labels, thresholds=(0.5,))
    assert score.ap[0.5] > 0.97
    assert not [mistake for mistake in score.mistakes if mistake.kind in {"split", "merged"}]
    assert len(plan_views((384, 300), settings)) == 5
