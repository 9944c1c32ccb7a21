"""Quality of a network's masks on fixed crops, for both architectures, at the resolution of the image."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from cellseg1.sam.precision import cast
from cellseg1.sam.tiny import TinyModel
from cellseg1.training.pretrain.batches import gather_prompts
from cellseg1.training.pretrain.crops import Crop, with_prompts
from cellseg1.training.pretrain.pool import Sample

Rng = np.random.Generator


def plain_crop(rng: Rng, sample: Sample, side: int, diameter: float) -> Crop:
    """Cut a crop in which the median cell of the image is `diameter` pixels wide, around one of the cells."""
    scale = diameter / sample.diameter
    height, width = sample.labels.shape
    places = np.flatnonzero(sample.labels)
    y, x = divmod(int(places[rng.integers(len(places))]), width)
    reach = side / 2 / scale
    middle = np.array([x, y], np.float64) + rng.standard_normal(2) * reach / 3
    low = np.minimum(reach, np.array([width, height]) / 2)
    left, top = np.clip(middle, low, np.array([width, height]) - low) - reach
    along = ((np.arange(side) + 0.5) / scale - 0.5).astype(np.float32)
    map_x, map_y = np.meshgrid(along + np.float32(left), along + np.float32(top))
    source = sample.image
    if scale < 0.8:
        source = cv2.GaussianBlur(source, (0, 0), 0.4 / scale).astype(np.uint8)
    image = cv2.remap(source, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    labels = cv2.remap(sample.labels.astype(np.float32), map_x, map_y, cv2.INTER_NEAREST, borderValue=0)
    return with_prompts(rng, np.asarray(image, dtype=np.uint8), labels.astype(np.int32), 12, (3, 5), near=0.5)


def fixed_crops(
    pool: dict[str, list[Sample]], diameter: float, count: int = 8, side: int = 160
) -> dict[str, list[Crop]]:
    """Return the same few crops of every set each time."""
    result = {}
    for number, key in enumerate(sorted(pool)):
        crops = []
        for i in range(count):
            rng = np.random.default_rng((987654, number, i))
            crops.append(plain_crop(rng, pool[key][int(rng.integers(len(pool[key])))], side, diameter))
        result[key] = crops
    return result


@torch.no_grad()
def measure(model: TinyModel, crops: list[Crop], device: torch.device) -> dict[str, float]:
    """Measure single-point prompts.

    Returns
    -------
    ``iou``: its mean over cells; ``above75``: the share of cells where it exceeds 0.75; ``off``: mean distance of
    score and IoU over all prompts, the IoU of a prompt on the background being 0; ``ground``: mean score of those.
    """
    point = gather_prompts(crops)[0]
    pixels = torch.from_numpy(np.stack([crop.image for crop in crops])).to(device).permute(0, 3, 1, 2).float()
    index, points, kinds, _cells = point.tensors(device)
    with cast(device):
        decoded = model.decode(model.encode(pixels), points, kinds, index)
    logits = F.interpolate(decoded.logits.float()[:, None], scale_factor=decoded.stride, mode="bilinear")[:, 0]
    found, origin = (logits > 0).cpu().numpy(), decoded.origin.cpu().numpy()
    reach = found.shape[-1]
    labels = [np.pad(crop.labels, reach, constant_values=-1) for crop in crops]
    ious = np.zeros(len(found))
    for i, (mask, (x, y)) in enumerate(zip(found, origin, strict=True)):
        if point.cell[i] == 0:
            continue
        window: NDArray[np.int32] = labels[point.crop[i]][y + reach : y + 2 * reach, x + reach : x + 2 * reach]
        # What lies beyond the image is cut off when a mask is used; what lies beyond the window is missed.
        known = window >= 0
        both = np.count_nonzero(mask & (window == point.cell[i]))
        size = np.count_nonzero(labels[point.crop[i]] == point.cell[i])
        ious[i] = both / (size + np.count_nonzero(mask & known) - both)
    cell = point.cell > 0
    scores = decoded.scores.float().cpu().numpy()
    return {
        "iou": round(float(ious[cell].mean()), 4),
        "above75": round(float((ious[cell] > 0.75).mean()), 4),
        "off": round(float(np.abs(scores - ious).mean()), 4),
        "ground": round(float(scores[~cell].mean()), 4) if (~cell).any() else 0.0,
    }
