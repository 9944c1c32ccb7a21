"""How well the bundled backbone answers clicks, boxes and both together, on pictures its training did not see."""

import cv2
import numpy as np
import pytest
import torch

from cellseg1.bundled import resource_path
from cellseg1.images import read_image, to_model_input
from cellseg1.masks import read_mask
from cellseg1.model import rule_of
from cellseg1.sam.tiny import WINDOW, build_tiny
from cellseg1.settings import make_settings

torch.set_num_threads(1)


def prompts_of(labels, identity):
    """Points (x, y) and SAM's point labels of each kind of prompt for one cell."""
    cell = labels == identity
    rows, columns = np.nonzero(cell)
    depth = cv2.distanceTransform(np.pad(cell, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    middle = (int(x), int(y))
    corners = [(columns.min(), rows.min()), (columns.max(), rows.max())]
    away_y, away_x = np.nonzero(~cell)
    near = np.argsort((away_y - y) ** 2 + (away_x - x) ** 2)[len(away_y) // 2000]
    second = len(rows) // 3
    return {
        "click": ([middle], [1]),
        "two clicks": ([middle, (columns[second], rows[second])], [1, 1]),
        "click and negative click": ([middle, (away_x[near], away_y[near])], [1, 0]),
        "box": (corners, [2, 3]),
        "loose box": ([(corners[0][0] - 3, corners[0][1] - 3), (corners[1][0] + 3, corners[1][1] + 3)], [2, 3]),
        "box and click": ([middle, *corners], [1, 2, 3]),
    }


def answer(model, embedding, shape, points, kinds):
    """The mask (H, W) that the model gives for one prompt."""
    xy = torch.tensor(np.array([points], dtype=np.float32))
    decoded = model.decode(embedding, xy, torch.tensor([kinds]), torch.zeros(1, dtype=torch.int64))
    logits = cv2.resize(decoded.logits[0].numpy(), (WINDOW, WINDOW), interpolation=cv2.INTER_LINEAR)
    x, y = decoded.origin[0].tolist()
    around = np.zeros((shape[0] + 2 * WINDOW, shape[1] + 2 * WINDOW), bool)
    around[y + WINDOW : y + 2 * WINDOW, x + WINDOW : x + 2 * WINDOW] = logits > 0
    return around[WINDOW:-WINDOW, WINDOW:-WINDOW]


@pytest.fixture(scope="module")
def overlaps():
    """IoU of every cell of one sample image (a part that is not square) by kind of prompt."""
    model = build_tiny(resource_path("backbones/tiny.safetensors"))
    folder = resource_path("sample_project") / "test"
    pixels = to_model_input(read_image(folder / "images/nuclei_b.png").plane(), rule_of(make_settings()))[:, :200]
    labels = read_mask(folder / "masks/nuclei_b.png").labels[:, :200]
    found = {}
    with torch.no_grad():
        embedding = model.encode(torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float())
        for identity in np.unique(labels)[1:]:
            cell = labels == identity
            if np.count_nonzero(cell) < 60:
                continue
            for kind, (points, kinds) in prompts_of(labels, identity).items():
                mask = answer(model, embedding, labels.shape, points, kinds)
                found.setdefault(kind, []).append(np.count_nonzero(mask & cell) / np.count_nonzero(mask | cell))
    return {kind: np.array(values) for kind, values in found.items()}


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("click", 0.7),
        ("two clicks", 0.7),
        ("click and negative click", 0.72),
        ("box", 0.77),
        ("loose box", 0.73),
        ("box and click", 0.77),
    ],
)
def test_every_kind_of_prompt_finds_the_cell(overlaps, kind, least):
    assert len(overlaps[kind]) >= 20
    assert overlaps[kind].mean() >= least


def test_what_is_added_to_a_click_helps(overlaps):
    click = overlaps["click"].mean()
    assert overlaps["box"].mean() > click + 0.02
    assert overlaps["click and negative click"].mean() > click
    assert np.mean(overlaps["box"] > 0.5) >= np.mean(overlaps["click"] > 0.5)
