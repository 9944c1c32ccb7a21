"""Shared parts of the trainings of both architectures: model, average, optimiser, and their files."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from cellseg1.files import write_bytes
from cellseg1.sam.tiny import TinyModel
from cellseg1.training.pretrain.settings import EndlessSettings, PretrainSettings

log = logging.getLogger(__name__)

M = TypeVar("M", bound=TinyModel)
S = TypeVar("S", bound=PretrainSettings | EndlessSettings)


class Trained(Generic[M, S]):
    """Model, running average of its weights, optimiser and counters."""

    def __init__(self, model: M, settings: S, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.model = model.to(device).train()
        if device.type != "cpu":
            # A GPU is fastest with all prompts of a batch at once.
            self.model.decode_batch = 4096
        self.average = {key: value.detach().clone() for key, value in self.model.state_dict().items()}
        decay = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
        self.step = 0
        #: Seconds of active training over all sessions.
        self.seconds = 0.0

    def warm(self) -> float:
        """Share of the learning rate that the warm-up allows in the current step."""
        return min(1.0, (self.step + 1) / self.settings.warm_up)

    def update(self, loss: Tensor, rate: float) -> None:
        """Change the weights by the gradient of a loss, and their average by the weights."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        if bool(torch.isfinite(norm)):
            self.optimizer.step()
        else:
            log.warning("The update of step %d is left out: its gradients are not numbers.", self.step)
        self.step += 1
        keep = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.model.state_dict().values()), 1 - keep)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Add the time of a step to `seconds`; a process that was paused (SIGSTOP) did not work all the time."""
        started = time.monotonic()
        yield
        self.seconds += min(time.monotonic() - started, 10.0)

    def ema_model(self) -> M:
        """Return a copy of the model with the averaged weights, in evaluation mode."""
        model = type(self.model)().to(self.device)
        model.load_state_dict(self.average)
        return model.eval()

    def content(self) -> dict[str, Any]:
        """Return everything needed to go on."""
        return {
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def load(self, path: Path) -> dict[str, Any]:
        """Go on from a file that holds `content`, and return what it holds."""
        content: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(content["model"])
        self.average = content["average"]
        self.optimizer.load_state_dict(content["optimizer"])
        self.step, self.seconds = content["step"], content["seconds"]
        return content


def export(model: TinyModel, path: Path) -> None:
    """Write the weights as float16 safetensors."""
    from safetensors.torch import save

    tensors = {key: value.detach().cpu().half().contiguous() for key, value in model.state_dict().items()}
    write_bytes(path, save(tensors))


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Append a line of JSON."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")
