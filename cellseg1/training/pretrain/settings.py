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


@dataclass(frozen=True, slots=True)
class EndlessSettings:
    """The settings of the second architecture, which is trained without a fixed end.

    Attributes
    ----------
    sides
        Side and number of the crops of a batch, in a cycle over the steps.
    times
        Factor on the number of crops, for a GPU.
    ragged
        Share of the steps with crops whose sides are not multiples of 16.
    """

    seed: int = 0
    sides: tuple[tuple[int, int], ...] = ((128, 12), (128, 12), (128, 12), (256, 3))
    times: int = 1
    ragged: float = 0.5
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: int = 300
    ema: float = 0.999
    drawn_share: float = 0.35
    clip: float = 1.0
