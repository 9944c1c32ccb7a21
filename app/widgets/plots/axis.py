"""Round numbers for axes, and how they are written."""

from __future__ import annotations

import math


def round_step(span: float, wanted: int) -> float:
    """Return the distance of marks, 1, 2 or 5 times a power of ten, so that at most about `wanted` fit in `span`."""
    if not span > 0 or not math.isfinite(span):
        return 1.0
    exact = span / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(exact))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= exact * (1 - 1e-9))


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Return round numbers from `low` to `high`, ends included where they are round."""
    step = round_step(high - low, wanted)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def number(value: float, step: float = 0.0) -> str:
    """Return a number with the decimals that its marks need, and with k and M for thousands and millions."""
    if step >= 1 and abs(value) >= 10_000:
        for factor, letter in ((1e6, "M"), (1e3, "k")):
            if step >= factor / 10 and abs(value) >= factor:
                return f"{value / factor:.3g}{letter}"
    if step > 0:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return f"{value:.{decimals}f}"
    return f"{value:.3g}"
