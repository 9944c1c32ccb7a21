"""The training loop of the bundled backbone: reproducible, resumable, on the CPU or a GPU."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cellseg1.files import write_bytes, write_with
from cellseg1.sam.precision import autocast_dtype
from cellseg1.sam.tiny import SKIP_STRIDE, WINDOW, TinyModel
from cellseg1.training.pretrain.crops import Crop, draw_crop
from cellseg1.training.pretrain.pool import Sample, load_pool

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PretrainSettings:
    """What decides the result, together with the data; stored in the checkpoint and the card."""

    seed: int = 0
    batch: int = 8
    crop: int = 160
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: int = 300
    decay_share: float = 0.25
    ema: float = 0.999
    synthetic_share: float = 0.3
    clip: float = 1.0


def run(data: Path, out: Path, minutes: float, settings: PretrainSettings, resume: bool, device: torch.device) -> None:
    """Train for `minutes` of active time (pauses of the process do not count); checkpoints each minute.

    The learning rate is constant after a warm-up and falls linearly to zero over the last `decay_share`; when the
    fall begins is written into the checkpoint, so a longer run can be taken up at any time before.

    Writes ``checkpoint.pt``, ``curve.jsonl``, ``heldout.txt`` and, at the end, ``tiny.safetensors`` (float16).
    """
    out.mkdir(parents=True, exist_ok=True)
    pool, used, held = load_pool(data)
    write_bytes(out / "heldout.txt", ("\n".join(held) + "\n").encode())
    log.info("%d training images, %d held out", len(used), len(held))
    torch.manual_seed(settings.seed)
    state = _State(settings, device)
    path = out / "checkpoint.pt"
    if resume and path.exists():
        state.load(path)
        log.info("resumed at step %d after %.1f min", state.step, state.seconds / 60)
    saved = time.monotonic()
    fixed = fixed_crops(pool)
    while not state.finished(minutes * 60):
        started = time.monotonic()
        figures = state.train_step(pool)
        # A process that was paused (SIGSTOP) must not think it worked all the time.
        state.seconds += min(time.monotonic() - started, 10.0)
        if state.step % 50 == 0:
            _append(out / "curve.jsonl", {"step": state.step, "seconds": round(state.seconds), **figures})
        if state.step % 1000 == 0:
            _append(
                out / "curve.jsonl", {"step": state.step, "fixed": evaluate_crops(state.ema_model(), fixed, device)}
            )
        if time.monotonic() - saved > 60:
            state.save(path)
            saved = time.monotonic()
    state.save(path)
    _append(out / "curve.jsonl", {"step": state.step, "fixed": evaluate_crops(state.ema_model(), fixed, device)})
    export(state.ema_model(), out / "tiny.safetensors")


def export(model: TinyModel, path: Path) -> None:
    """Write the weights as float16 safetensors."""
    from safetensors.torch import save

    tensors = {key: value.detach().cpu().half().contiguous() for key, value in model.state_dict().items()}
    write_bytes(path, save(tensors))


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


class _State:
    """Model, optimiser, average and counters."""

    def __init__(self, settings: PretrainSettings, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.model = TinyModel().to(device).train()
        self.average = {key: value.detach().clone() for key, value in self.model.state_dict().items()}
        decay = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
        self.step = 0
        self.seconds = 0.0
        self.decay_from: int | None = None
        self.last_step: int | None = None

    def finished(self, budget: float) -> bool:
        """Whether the budget (active seconds) is used; decides, once, at which step the rate begins to fall."""
        share = self.settings.decay_share
        if self.decay_from is None and self.seconds >= budget * (1 - share):
            self.decay_from = self.step
            self.last_step = self.step + max(1, round(self.step * share / (1 - share)))
        return self.last_step is not None and self.step >= self.last_step

    def rate(self) -> float:
        """Learning rate of the current step."""
        rate = self.settings.learning_rate * min(1.0, (self.step + 1) / self.settings.warm_up)
        if self.decay_from is not None and self.last_step is not None:
            rate *= max(0.0, (self.last_step - self.step) / (self.last_step - self.decay_from))
        return rate

    def train_step(self, pool: dict[str, list[Sample]]) -> dict[str, float]:
        """Take one step on a fresh batch; the randomness of each crop comes from (seed, step, index)."""
        settings = self.settings
        crops = [
            draw_crop(
                np.random.default_rng((settings.seed, self.step, i)), pool, settings.crop, settings.synthetic_share
            )
            for i in range(settings.batch)
        ]
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        loss, figures = batch_loss(self.model, crops, self.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        self.optimizer.step()
        self.step += 1
        keep = min(settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                self.average[key].lerp_(value, 1 - keep)
        return {**figures, "lr": self.rate()}

    def ema_model(self) -> TinyModel:
        """Return a copy of the model with the averaged weights, in evaluation mode."""
        model = TinyModel().to(self.device)
        model.load_state_dict(self.average)
        return model.eval()

    def save(self, path: Path) -> None:
        """Write everything needed to go on, atomically."""
        content = {
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "decay_from": self.decay_from,
            "last_step": self.last_step,
        }
        write_with(path, lambda stream: torch.save(content, stream))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of `save`."""
        content = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(content["model"])
        self.average = content["average"]
        self.optimizer.load_state_dict(content["optimizer"])
        self.step, self.seconds = content["step"], content["seconds"]
        self.decay_from, self.last_step = content["decay_from"], content["last_step"]


def batch_loss(model: TinyModel, crops: list[Crop], device: torch.device) -> tuple[Tensor, dict[str, float]]:
    """Loss of a batch of crops: masks of prompted cells (BCE and Dice) and scores of all prompts.

    The score of a cell is its IoU / 0.8, at most 1; background points learn 0.
    """
    pixels = torch.from_numpy(np.stack([crop.image for crop in crops])).to(device).permute(0, 3, 1, 2).float()
    single = [
        (i, p[None], c, (1,)) for i, crop in enumerate(crops) for p, c in zip(crop.points, crop.cell, strict=True)
    ]
    clicks = [
        (i, p, c, tuple(k))
        for i, crop in enumerate(crops)
        for p, k, c in zip(crop.clicks, crop.click_labels, crop.click_cell, strict=True)
    ]
    targets = [_low_labels(crop.labels) for crop in crops]
    loss = pixels.new_zeros(())
    figures: dict[str, float] = {}
    dtype = autocast_dtype(device)

    def cast() -> torch.autocast:
        return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)

    with cast():
        embedding = model.encode(pixels)
    boxes = [entry for entry in clicks if 2 in entry[3]]
    signed = [entry for entry in clicks if 2 not in entry[3]]
    for name, prompts, weight in (("point", single, 1.0), ("box", boxes, 0.15), ("clicks", signed, 0.15)):
        if not prompts:
            continue
        index = torch.tensor([entry[0] for entry in prompts], device=device)
        points = torch.from_numpy(np.stack([entry[1] for entry in prompts])).to(device)
        kinds = torch.tensor([entry[3] for entry in prompts], device=device)
        with cast():
            decoded = model.decode(embedding, points, kinds, index)
        logits, scores = decoded.logits.float(), decoded.scores.float()
        origin = decoded.origin.cpu().numpy()
        wanted = np.stack(
            [_window(targets[entry[0]], corner) == entry[2] for entry, corner in zip(prompts, origin, strict=True)]
        )
        cell = torch.tensor([entry[2] > 0 for entry in prompts], device=device)
        truth = torch.from_numpy(wanted.astype(np.float32)).to(device)
        cell &= truth.sum((1, 2)) > 0
        part, mean_iou = _mask_and_score_loss(logits, scores, truth, cell)
        loss = loss + weight * part
        figures[name] = mean_iou
    return loss, {"loss": round(float(loss.detach()), 4), **{key: round(value, 4) for key, value in figures.items()}}


def _mask_and_score_loss(logits: Tensor, scores: Tensor, truth: Tensor, cell: Tensor) -> tuple[Tensor, float]:
    on = logits[cell]
    wanted = truth[cell]
    with torch.no_grad():
        hard = (on > 0).float()
        both = (hard * wanted).sum((1, 2))
        iou = both / (hard.sum((1, 2)) + wanted.sum((1, 2)) - both).clamp(min=1)
        target = torch.zeros_like(scores)
        target[cell] = (iou / 0.8).clamp(max=1)
    loss = 2.0 * F.mse_loss(scores, target)
    if len(on):
        probability = on.sigmoid()
        dice = 1 - (2 * (probability * wanted).sum((1, 2)) + 1) / (probability.sum((1, 2)) + wanted.sum((1, 2)) + 1)
        loss = loss + 5.0 * F.binary_cross_entropy_with_logits(on, wanted) + dice.mean()
    return loss, float(iou.mean()) if len(on) else math.nan


def _low_labels(labels: np.ndarray[Any, np.dtype[np.int32]]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Labels at the resolution of the mask logits, with a margin of half a window of -1 (outside the crop)."""
    low = labels[SKIP_STRIDE // 2 :: SKIP_STRIDE, SKIP_STRIDE // 2 :: SKIP_STRIDE]
    return np.pad(low, WINDOW // SKIP_STRIDE // 2 + 2, constant_values=-1)


def _window(
    low: np.ndarray[Any, np.dtype[np.int32]], corner: np.ndarray[Any, np.dtype[np.int64]]
) -> np.ndarray[Any, np.dtype[np.int32]]:
    side = WINDOW // SKIP_STRIDE
    x, y = corner // SKIP_STRIDE + side // 2 + 2
    return low[y : y + side, x : x + side]


def fixed_crops(pool: dict[str, list[Sample]], count: int = 8) -> dict[str, list[Crop]]:
    """The same few crops of every set at each evaluation (seeds of their own)."""
    result = {}
    for number, key in enumerate(sorted(pool)):
        rngs = [np.random.default_rng((987654, number, i)) for i in range(count)]
        result[key] = [draw_crop(rng, {key: pool[key]}, 160, 0.0) for rng in rngs]
    result["synthetic"] = [draw_crop(np.random.default_rng((987654, 99, i)), {}, 160, 1.0) for i in range(count)]
    return result


def evaluate_crops(model: TinyModel, crops: dict[str, list[Crop]], device: torch.device) -> dict[str, float]:
    """Mean IoU of single-point prompts by set, on crops the training may have seen in other guises."""
    with torch.no_grad():
        return {key: batch_loss(model, some, device)[1].get("point", math.nan) for key, some in crops.items()}
