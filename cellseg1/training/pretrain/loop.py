"""The training loop of the bundled backbone: reproducible, resumable, on the CPU or a GPU."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cellseg1.files import write_bytes, write_with
from cellseg1.sam.precision import cast
from cellseg1.sam.tiny import TinyModel, build_tiny
from cellseg1.training.pretrain.batches import MARGIN, Batch, batches, make_batch, windows_of
from cellseg1.training.pretrain.crops import draw_crop
from cellseg1.training.pretrain.pack import read_data
from cellseg1.training.pretrain.pool import Sample
from cellseg1.training.pretrain.settings import PretrainSettings
from cellseg1.training.pretrain.state import Trained, append_row, export

log = logging.getLogger(__name__)


def run(
    data: Path,
    out: Path,
    minutes: float,
    settings: PretrainSettings,
    resume: bool,
    device: torch.device,
    workers: int = 0,
    begin_with: Path | None = None,
) -> None:
    """Train for `minutes` of active time (pauses of the process do not count); checkpoints each minute.

    The learning rate is constant after a warm-up and falls linearly to zero over the last `decay_share`; when the
    fall begins is written into the checkpoint, so a longer run can be taken up at any time before.

    Parameters
    ----------
    data
        The folder of sets, or a packed file of them (`cellseg1.training.pretrain.pack`).
    workers
        Processes that draw the crops; 0 draws them in this one.  The crops are the same.
    begin_with
        Weights to begin with instead of random ones.

    Writes ``checkpoint.pt``, ``curve.jsonl``, ``heldout.txt`` and, at the end, ``tiny.safetensors`` (float16).
    """
    out.mkdir(parents=True, exist_ok=True)
    pool, used, held = read_data(data)
    write_bytes(out / "heldout.txt", ("\n".join(held) + "\n").encode())
    log.info("%d training images, %d held out", len(used), len(held))
    torch.manual_seed(settings.seed)
    state = _State(settings, device, begin_with)
    path = out / "checkpoint.pt"
    if resume and path.exists():
        state.load(path)
        log.info("resumed at step %d after %.1f min", state.step, state.seconds / 60)
    saved = time.monotonic()
    fixed = fixed_batches(pool)

    def look() -> None:
        append_row(
            out / "curve.jsonl", {"step": state.step, "fixed": evaluate_batches(state.ema_model(), fixed, device)}
        )

    with contextlib.closing(batches(pool, settings, state.step, workers)) as coming:
        while not state.finished(minutes * 60):
            with state.counted():
                figures = state.train_step(next(coming))
            if state.step % 50 == 0:
                append_row(out / "curve.jsonl", {"step": state.step, "seconds": round(state.seconds), **figures})
            if state.step % 1000 == 0:
                look()
            if time.monotonic() - saved > 60:
                state.save(path)
                saved = time.monotonic()
    state.save(path)
    look()
    export(state.ema_model(), out / "tiny.safetensors")


class _State(Trained[TinyModel, PretrainSettings]):
    """Training whose rate falls to zero at the end of a time."""

    def __init__(self, settings: PretrainSettings, device: torch.device, begin_with: Path | None = None) -> None:
        super().__init__(build_tiny(begin_with), settings, device)
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
        rate = self.settings.learning_rate * self.warm()
        if self.decay_from is not None and self.last_step is not None:
            rate *= max(0.0, (self.last_step - self.step) / (self.last_step - self.decay_from))
        return rate

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Take one step."""
        loss, figures = batch_loss(self.model, batch, self.device)
        self.update(loss, self.rate())
        return {**figures, "lr": self.rate()}

    def save(self, path: Path) -> None:
        """Write everything needed to go on, atomically."""
        content = {**self.content(), "decay_from": self.decay_from, "last_step": self.last_step}
        write_with(path, lambda stream: torch.save(content, stream))

    def load(self, path: Path) -> dict[str, Any]:
        """Go on from a checkpoint of `save`."""
        content = super().load(path)
        self.decay_from, self.last_step = content["decay_from"], content["last_step"]
        return content


def batch_loss(model: TinyModel, batch: Batch, device: torch.device) -> tuple[Tensor, dict[str, float]]:
    """Loss of a batch: masks of prompted cells (BCE and Dice) and scores of all prompts.

    The score of a cell is its IoU / 0.8, at most 1; background points learn 0.
    """
    pixels = torch.from_numpy(batch.pixels).to(device).permute(0, 3, 1, 2).float()
    low = torch.from_numpy(batch.low_labels).to(device)
    loss = pixels.new_zeros(())
    figures: dict[str, float] = {}
    with cast(device):
        embedding = model.encode(pixels)
    for name, prompts, weight in (
        ("point", batch.point, 1.0),
        ("box", batch.box, 0.15),
        ("clicks", batch.clicks, 0.15),
    ):
        if not len(prompts.crop):
            continue
        crop, points, kinds, wanted = prompts.tensors(device)
        with cast(device):
            decoded = model.decode(embedding, points, kinds, crop)
        truth = windows_of(low, crop, decoded, MARGIN) == wanted[:, None, None]
        cell = (wanted > 0) & truth.any(2).any(1)
        part, mean_iou = _mask_and_score_loss(decoded.logits.float(), decoded.scores.float(), truth.float(), cell)
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


def fixed_batches(pool: dict[str, list[Sample]], count: int = 8) -> dict[str, Batch]:
    """The same few crops of every set at each evaluation (seeds of their own)."""
    result = {}
    for number, key in enumerate(sorted(pool)):
        rngs = [np.random.default_rng((987654, number, i)) for i in range(count)]
        result[key] = make_batch([draw_crop(rng, {key: pool[key]}, 160, 0.0) for rng in rngs])
    drawn = [draw_crop(np.random.default_rng((987654, 99, i)), {}, 160, 1.0) for i in range(count)]
    return {**result, "synthetic": make_batch(drawn)}


def evaluate_batches(model: TinyModel, fixed: dict[str, Batch], device: torch.device) -> dict[str, float]:
    """Mean IoU of single-point prompts by set, on crops the training may have seen in other guises."""
    with torch.no_grad():
        return {key: batch_loss(model, batch, device)[1].get("point", math.nan) for key, batch in fixed.items()}
