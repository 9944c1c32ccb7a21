"""How many updates a training takes and how its learning rate runs; no torch here.

The published schedule is one cycle (warm-up, then cosine to almost zero).
"""

from __future__ import annotations

import math

from cellseg1.settings import Settings


def planned_updates(batches: int, settings: Settings) -> int:
    """Return the length of the learning-rate schedule in updates of the weights.

    Parameters
    ----------
    batches
        Batches per epoch.

    The research code plans more updates than it takes, so its rate never reaches the end of the cycle (T1).
    """
    accumulate = settings.training.gradient_accumulation_step
    if settings.switches.schedule_length == "upstream":
        return max(1, settings.training.epoch_max * (batches + accumulate - 1) // accumulate)
    return settings.training.epoch_max * math.ceil(batches / accumulate)


def is_group_end(batch: int, batches: int, accumulate: int) -> bool:
    """Tell whether the weights are updated after batch number `batch` (from 0) of an epoch."""
    return (batch + 1) % accumulate == 0 or batch + 1 == batches


def group_bounds(batch: int, batches: int, accumulate: int) -> tuple[int, int]:
    """First batch, and one past the last, of the accumulation group that `batch` belongs to."""
    first = batch // accumulate * accumulate
    return first, min(first + accumulate, batches)
