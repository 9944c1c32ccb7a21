"""The training loop: updates, accumulation, checkpoints, stop-and-keep, resume.

A training is a list of batches that is known beforehand (`SampleSource`).  The state between two batches is the
trained weights, their accumulated gradients, the optimiser and the schedule; dropout is seeded for each batch.  So
a run that is resumed from any checkpoint ends with the very weights of an undisturbed one (bit-equal on the CPU at
the same number of threads).
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cellseg1.errors import ModelFileError, OutputError, SettingsError
from cellseg1.lora.inject import trainable_parameters
from cellseg1.sam.device import flushed_denormals
from cellseg1.sam.interface import Backbone
from cellseg1.sam.memory import exhausted, is_out_of_memory
from cellseg1.sam.precision import autocast_dtype
from cellseg1.settings import Settings
from cellseg1.training.checkpoint import read_checkpoint, write_checkpoint
from cellseg1.training.loss import BatchCounts, Targets, count_batch, forward_loss
from cellseg1.training.memory import GpuMemoryLog
from cellseg1.training.samples import Sample, SampleSource
from cellseg1.training.schedule import group_bounds, is_group_end, planned_updates
from cellseg1.trouble import reading

log = logging.getLogger(__name__)

#: So many updates in a row that are not numbers are no accident.
_MOST_LOST = 10


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Where a training is.

    Attributes
    ----------
    step, steps
        Batches done, and in all.
    loss
        Mean loss of the last batches.
    seconds, seconds_left
        Active time so far, and an estimate of what is left.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    learning_rate: float
    seconds: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """How a training ended: whether to its planned end, after how many batches, with which losses (one per epoch)."""

    finished: bool
    steps: int
    epochs: float
    losses: tuple[float, ...]
    seconds: float
    resumed_from: int
    memory: dict[str, dict[str, float]]


class Trainer:
    """Trains the adapter (and whatever base weights are not frozen) of a backbone."""

    def __init__(
        self,
        model: Backbone,
        source: SampleSource,
        settings: Settings,
        *,
        checkpoint: Path | None = None,
        fingerprint: str = "",
        progress: Callable[[TrainProgress], None] | None = None,
        stop: Callable[[], bool] | None = None,
        trained_share: float | None = None,
        noted: dict[str, Any] | None = None,
    ) -> None:
        """Prepare.

        Parameters
        ----------
        model
            With its adapter injected.
        checkpoint
            Where checkpoints go, at least every `settings.checkpoint_seconds`; None writes none.
        fingerprint
            Hash of everything that decides the result; a checkpoint with another one is refused.
        progress
            Called after every batch.
        stop
            Called after every batch; True ends the training and keeps what was learned.
        trained_share
            Share of the change that `average` keeps (weight interpolation); None: from the settings (none keeps all).
        noted
            Plain values stored in every checkpoint.
        """
        self.model = model
        self.source = source
        self.settings = settings
        self.checkpoint = checkpoint
        self.fingerprint = fingerprint
        self._progress = progress
        self._stop = stop
        self._parameters = trainable_parameters(_module(model))
        # Taken before a checkpoint is read, so a resumed training goes back towards the same beginning.
        self._share = trained_share or settings.training.trained_share or 1.0
        self._beginning = [p.detach().clone() for _, p in self._parameters] if self._share < 1 else []
        self._optimizer = _make_optimizer(self._parameters, settings)
        self._batches = source.batches()
        updates = planned_updates(self._batches, settings)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            max_lr=[group["lr"] for group in self._optimizer.param_groups],
            total_steps=max(2, updates),
            pct_start=settings.training.onecycle_lr_pct_start,
        )
        self._noted = noted or {}
        # Whether an existing checkpoint of that name belongs to another training.
        self._first_checkpoint = True
        self._step = 0
        self._pending = 0
        self._lost = 0
        self._seconds = 0.0
        self._losses: list[float] = []
        self._epoch_sum = 0.0
        self._epoch_count = 0
        self._resumed_from = 0
        self._chunk = settings.training.batch_size
        self._autocast = autocast_dtype(model.device_of()) if settings.environment.precision == "auto" else None

    @property
    def steps(self) -> int:
        """Batches in the whole training."""
        return self._batches * self.settings.training.epoch_max

    def run(self) -> TrainOutcome:
        """Train from the current state to the end, or until asked to stop.

        Raises
        ------
        ResourceExhaustedError
            When not even one tile at a time fits into memory; the last checkpoint stays.
        SettingsError
            When the training diverged.
        """
        module = _module(self.model)
        memory = GpuMemoryLog(self.model.device_of())
        was_training = module.training
        module.train()
        saved = time.monotonic()
        stopped = False
        with _quiet_environment(self.settings, self.model.device_of()):
            while self._step < self.steps and not stopped:
                started = time.monotonic()
                loss = self._one_batch()
                self._seconds += time.monotonic() - started
                self._report(loss)
                if self._step % self._batches == 0:
                    memory.end_epoch(self._step // self._batches - 1)
                stopped = self._stop is not None and self._step < self.steps and self._stop()
                if self.checkpoint and (
                    stopped or time.monotonic() - saved >= self.settings.training.checkpoint_seconds
                ):
                    self._save_if_possible()
                    saved = time.monotonic()
        module.train(was_training)
        return TrainOutcome(
            finished=self._step >= self.steps,
            steps=self._step,
            epochs=self._step / self._batches,
            losses=tuple(self._losses),
            seconds=self._seconds,
            resumed_from=self._resumed_from,
            memory=memory.epochs,
        )

    @torch.no_grad()
    def average(self) -> None:
        """Bring the weights back towards those of the beginning (`trained_share`); called once, at the end.

        The average of a network before and after fine-tuning is often better on the new images than the latter and
        nearly as good as the former on others (Wortsman et al. 2022, arXiv 2109.01903).
        """
        for (_, parameter), first in zip(self._parameters, self._beginning, strict=False):
            parameter.lerp_(first, 1 - self._share)
        self._beginning = []

    def _report(self, loss: float) -> None:
        self._step += 1
        if not np.isnan(loss):
            self._epoch_sum += loss
            self._epoch_count += 1
        if self._progress:
            left = self._seconds / self._step * (self.steps - self._step)
            mean = self._epoch_sum / max(1, self._epoch_count)
            epoch = min(self.settings.training.epoch_max, (self._step - 1) // self._batches + 1)
            rate = float(self._optimizer.param_groups[0]["lr"])
            self._progress(
                TrainProgress(
                    epoch, self.settings.training.epoch_max, self._step, self.steps, mean, rate, self._seconds, left
                )
            )
        if self._step % self._batches == 0:
            self._losses.append(self._epoch_sum / max(1, self._epoch_count))
            self._epoch_sum, self._epoch_count = 0.0, 0

    def _one_batch(self) -> float:
        """Compute one batch and, at the end of its group, update the weights; returns its loss (nan if skipped)."""
        epoch, batch = divmod(self._step, self._batches)
        samples = self._samples(epoch, batch)
        loss = float("nan")
        repaired = self.settings.switches.skipped_batch == "repaired"
        if samples:
            loss = self._accumulate(samples, self._weight(batch, len(samples)), (epoch, batch))
            self._pending += 1
        elif not repaired:
            # The research code leaves the loop body here: an update that was due is lost (T3).
            return loss
        if is_group_end(batch, self._batches, self.settings.training.gradient_accumulation_step) and (
            self._pending or not repaired
        ):
            self._update()
            self._optimizer.zero_grad(set_to_none=True)
            self._pending = 0
            # The published schedule can be shorter than the training by rounding; its last rate then stays.
            if self._schedule.last_epoch + 1 < self._schedule.total_steps:
                self._schedule.step()
        return loss

    def _update(self) -> None:
        """Change the weights, unless a gradient is not a number: one such update would spoil all of them."""
        gradients = [parameter.grad for _, parameter in self._parameters if parameter.grad is not None]
        if not gradients or bool(torch.isfinite(torch.nn.utils.get_total_norm(gradients))):
            self._optimizer.step()
            self._lost = 0
            return
        self._lost += 1
        log.warning("The update of batch %d is left out: its gradients are not numbers.", self._step)
        if self._lost >= _MOST_LOST:
            raise SettingsError(
                f"The training went wrong: {self._lost} updates in a row were not numbers. Train with lower learning "
                "rates (base_lr, backbone_lr) or with precision=float32."
            )

    def _samples(self, epoch: int, batch: int) -> list[Sample]:
        """Samples of one batch; empty when the batch cannot be used (T4)."""
        size = self.settings.training.batch_size
        indices = self.source.order(epoch)[batch * size : (batch + 1) * size]
        made = [self.source.get(epoch, int(index)) for index in indices]
        samples = [sample for sample in made if sample is not None]
        empty = [len(sample.xy) == 0 for sample in samples]
        if any(empty) and self.settings.switches.empty_tile == "upstream":
            return []
        return [sample for sample, nothing in zip(samples, empty, strict=True) if not nothing]

    def _weight(self, batch: int, count: int) -> float:
        """Weight of a batch in its update."""
        accumulate = self.settings.training.gradient_accumulation_step
        if self.settings.switches.accumulation == "upstream":
            # All but the last batch of an epoch are divided by the nominal group size, the last by the real one (T2).
            return 1.0 / (self._pending + 1 if batch + 1 == self._batches else accumulate)
        first, end = group_bounds(batch, self._batches, accumulate)
        size, total = self.settings.training.batch_size, len(self.source)
        tiles = min(end * size, total) - first * size
        return count / tiles

    def _accumulate(self, samples: list[Sample], weight: float, place: tuple[int, int]) -> float:
        """Add the gradient of one batch; halves the part computed at once while memory is short."""
        device = self.model.device_of()
        counts, targets = count_batch(self.model, samples)
        before = [None if p.grad is None else p.grad.detach().clone() for _, p in self._parameters]
        while True:
            try:
                return self._in_parts(samples, targets, counts, weight, place)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self._chunk == 1 and _checkpointing(self.model):
                    raise exhausted(device, "this training") from error
            for (_, parameter), gradient in zip(self._parameters, before, strict=True):
                parameter.grad = None if gradient is None else gradient.clone()
            if device.type == "cuda":
                torch.cuda.empty_cache()
            if self._chunk > 1:
                self._chunk = max(1, min(self._chunk, len(samples)) // 2)
                log.warning("Memory is short: %d tile(s) at a time from now on; only the dropout differs.", self._chunk)
            else:
                self.model.checkpoint_encoder = True
                log.warning("Memory is short: the encoder is recomputed from now on, which is slower.")

    def _in_parts(
        self, samples: list[Sample], targets: list[Targets], counts: BatchCounts, weight: float, place: tuple[int, int]
    ) -> float:
        total = 0.0
        epoch, batch = place
        for start in range(0, len(samples), self._chunk):
            part = slice(start, start + self._chunk)
            # Dropout must not depend on what was computed before an interruption.
            torch.manual_seed(_mix(self.settings.environment.seed, epoch, batch, start))
            loss = forward_loss(
                self.model, samples[part], targets[part], counts, self.settings.loss.ce_loss_weight, self._autocast
            )
            (loss * weight).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    # ---- checkpoints

    def _save_if_possible(self) -> None:
        try:
            self.save()
        except OutputError as error:
            # A failed checkpoint must not end the training.
            log.warning("%s The training goes on without a checkpoint.", error)

    def save(self) -> None:
        """Write a checkpoint; when another training has one of that name, under the next free name."""
        if self.checkpoint is None:
            return
        self.checkpoint = write_checkpoint(
            self.checkpoint,
            {
                **self._noted,
                "fingerprint": self.fingerprint,
                "weights": {name: p.detach().cpu() for name, p in self._parameters},
                "gradients": {name: p.grad.detach().cpu() for name, p in self._parameters if p.grad is not None},
                "optimizer": self._optimizer.state_dict(),
                "schedule": _plain_state(self._schedule.state_dict()),
                "step": self._step,
                "pending": self._pending,
                "seconds": self._seconds,
                "losses": list(self._losses),
                "epoch_sum": self._epoch_sum,
                "epoch_count": self._epoch_count,
            },
            new=self._first_checkpoint,
        )
        self._first_checkpoint = False

    def resume(self) -> int:
        """Take up the training of the checkpoint; returns the number of batches that were done.

        Raises
        ------
        ModelFileError
            When the checkpoint is damaged, or of other images or settings.
        """
        if self.checkpoint is None:
            raise ModelFileError("There is no checkpoint to resume from.")
        state = read_checkpoint(self.checkpoint)
        if state.get("fingerprint") != self.fingerprint:
            raise ModelFileError(
                f"The interrupted training {self.checkpoint} used other images, masks or settings; "
                "give the same ones to resume it, or another --out to train anew."
            )
        with reading(ModelFileError, f"The checkpoint {self.checkpoint} does not fit; move it away and train again."):
            self._take(state)
        self._first_checkpoint = False
        self._resumed_from = self._step
        return self._step

    def _take(self, state: dict[str, Any]) -> None:
        device = self.model.device_of()
        with torch.no_grad():
            for name, parameter in self._parameters:
                parameter.copy_(state["weights"][name])
                gradient = state["gradients"].get(name)
                parameter.grad = None if gradient is None else gradient.to(device)
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._step, self._pending, self._seconds = state["step"], state["pending"], state["seconds"]
        self._losses = list(state["losses"])
        self._epoch_sum, self._epoch_count = state["epoch_sum"], state["epoch_count"]


def _make_optimizer(parameters: list[tuple[str, nn.Parameter]], settings: Settings) -> torch.optim.AdamW:
    """AdamW with torch's defaults, as published; base weights that are not frozen have a rate of their own."""
    adapter = [parameter for name, parameter in parameters if "." not in name]
    base = [parameter for name, parameter in parameters if "." in name]
    groups: list[dict[str, Any]] = [{"params": adapter, "lr": settings.training.base_lr}] if adapter else []
    if base:
        groups.append({"params": base, "lr": settings.training.backbone_lr})
    return torch.optim.AdamW(groups, lr=settings.training.base_lr)


def _module(model: Backbone) -> nn.Module:
    assert isinstance(model, nn.Module)
    return model


def _checkpointing(model: Backbone) -> bool:
    return model.checkpoint_encoder


def _plain_state(state: dict[str, Any]) -> dict[str, Any]:
    """Keep of a scheduler's state what `torch.load(weights_only=True)` reads back."""
    plain = (int, float, str, bool, list, type(None))
    return {key: value for key, value in state.items() if isinstance(value, plain)}


def _mix(*numbers: int) -> int:
    """One 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextlib.contextmanager
def _quiet_environment(settings: Settings, device: torch.device) -> Iterator[None]:
    """Set determinism and TF32 as asked, and put everything back afterwards (the research code does not, T18)."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    deterministic, benchmark = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cuda.matmul.allow_tf32 = settings.environment.allow_tf32_on_matmul
    torch.backends.cudnn.allow_tf32 = settings.environment.allow_tf32_on_cudnn
    torch.backends.cudnn.deterministic = settings.environment.deterministic
    torch.backends.cudnn.benchmark = not settings.environment.deterministic
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), flushed_denormals():
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic, benchmark
