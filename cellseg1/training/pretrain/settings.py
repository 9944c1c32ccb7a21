"""The settings of the pre-training."""

from __future__ import annotations

from dataclasses import dataclass


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
