"""The loss of the second architecture: masks, scores and dense maps."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from cellseg1.sam.precision import cast
from cellseg1.sam.tiny2 import WAY_UNIT, Tiny2Model
from cellseg1.training.pretrain.batches import windows_of
from cellseg1.training.pretrain.batches2 import MARGIN, Batch2

#: Weight of each kind of prompt.
_KINDS = (("point", 1.0), ("box", 0.15), ("clicks", 0.15))
_MASK, _DICE, _SCORE, _DENSE = 5.0, 1.0, 1.0, 1.0
#: Extra weight of values near a mask's edge, which decide its sharpness.
_EDGE = 3.0


def batch_loss2(model: Tiny2Model, batch: Batch2, device: torch.device) -> tuple[Tensor, dict[str, float]]:
    """Loss of a batch, and its parts with the mean IoU of the prompted cells by kind of prompt."""
    pixels = torch.from_numpy(batch.pixels).to(device).permute(0, 3, 1, 2).float()
    labels = torch.from_numpy(batch.labels).to(device)
    with cast(device):
        embedding = model.encode(pixels)
        maps = model.dense_logits(embedding)
    inside = labels[:, MARGIN:-MARGIN, MARGIN:-MARGIN, 0] >= 0
    loss, figures = dense_loss(maps.float(), torch.from_numpy(batch.dense).to(device), inside)
    loss = _DENSE * loss
    for name, weight in _KINDS:
        prompts = getattr(batch, name)
        if not len(prompts.crop):
            continue
        crop, points, kinds, wanted = prompts.tensors(device)
        with cast(device):
            decoded = model.decode(embedding, points, kinds, crop)
        found = windows_of(labels, crop, decoded, MARGIN)
        truth = (found == wanted[:, None, None, None]).float().mean(3)
        known = (found[..., 0] >= 0).float()
        mask, score, iou = mask_and_score_loss(decoded.logits.float(), decoded.scores, truth, known, wanted > 0)
        loss = loss + weight * (mask + _SCORE * score)
        figures |= {name: iou}
        if name == "point":
            figures |= {"mask": float(mask.detach()), "score": float(score.detach())}
    figures["loss"] = float(loss.detach())
    return loss, {key: round(value, 4) for key, value in figures.items()}


def mask_and_score_loss(
    logits: Tensor, scores: Tensor, truth: Tensor, known: Tensor, is_cell: Tensor
) -> tuple[Tensor, Tensor, float]:
    """Loss of the masks of cells, loss of all scores, and the mean IoU.

    Parameters
    ----------
    logits, truth, known
        (N, S, S); a truth is the share of pixels that belong to the cell, and beyond the image nothing is known.
    scores
        (N,) between 0 and 1; they learn the IoU of the mask that was given, and 0 on background.
    is_cell
        (N,) whether the prompt is on a cell.
    """
    truth = truth * known
    cell = is_cell & (truth > 0.5).flatten(1).any(1)
    on, wanted, seen = logits[cell], truth[cell], known[cell]
    target = torch.zeros_like(scores)
    with torch.no_grad():
        hard, right = ((on > 0) * seen).flatten(1), (wanted > 0.5).float().flatten(1)
        both = (hard * right).sum(1)
        iou = both / (hard.sum(1) + right.sum(1) - both).clamp(min=1)
        target[cell] = iou
        around = F.avg_pool2d(wanted[:, None], 5, stride=1, padding=2)[:, 0]
        weight = seen * (1 + _EDGE * ((around > 0) & (around < 1)))
    score = F.binary_cross_entropy(scores.clamp(1e-6, 1 - 1e-6), target)
    if not len(on):
        return logits.sum() * 0, score, math.nan
    entropy = F.binary_cross_entropy_with_logits(on, wanted, weight, reduction="sum") / weight.sum()
    probability = on.sigmoid() * seen
    dice = 1 - (2 * (probability * wanted).sum((1, 2)) + 1) / ((probability + wanted).sum((1, 2)) + 1)
    return _MASK * entropy + _DICE * dice.mean(), score, float(iou.mean())


def dense_loss(maps: Tensor, truth: Tensor, inside: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Loss of the maps (B, 5, H, W), and its parts; only places `inside` (B, H, W) the image count."""
    seen = inside.float()
    total = seen.sum().clamp(min=1)
    cell, depth, border = (
        (F.binary_cross_entropy_with_logits(maps[:, i], truth[:, i], reduction="none") * seen).sum() / total
        for i in range(3)
    )
    covered = seen * truth[:, 0]
    way = F.smooth_l1_loss(maps[:, 3:], truth[:, 3:] / WAY_UNIT, reduction="none", beta=0.1).sum(1)
    way = (way * covered).sum() / covered.sum().clamp(min=1)
    parts = {"cell": cell, "depth": depth, "border": border, "way": way}
    return cell + depth + border + 0.5 * way, {name: float(part.detach()) for name, part in parts.items()}
