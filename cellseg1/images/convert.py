"""From one plane of any type to the 8-bit RGB picture that the network sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellseg1.errors import ImageError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MAX_CHANNELS = 32
"""A plane with more values per pixel is more likely a stack whose axes are in the wrong order."""


@dataclass(frozen=True, slots=True)
class InputRule:
    """How intensities become 0..255; stored in every model file, because a model only fits inputs made alike.

    Attributes
    ----------
    kind
        ``minmax`` as the research code did it, or ``percentile``, which a few hot pixels cannot spoil.
    low, high
        Percentiles that become 0 and 255 (``percentile`` only).
    """

    kind: Literal["minmax", "percentile"] = "percentile"
    low: float = 0.1
    high: float = 99.9

    def __post_init__(self) -> None:
        if self.kind not in ("minmax", "percentile"):
            raise SettingsError(f"Unknown input rule {self.kind!r}: choose minmax or percentile.")
        if not 0 <= self.low < self.high <= 100:
            raise SettingsError(f"The percentiles {self.low} and {self.high} must satisfy 0 <= low < high <= 100.")

    def to_dict(self) -> dict[str, str | float]:
        """Return plain values for JSON."""
        return {"kind": self.kind, "low": self.low, "high": self.high}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputRule:
        """Make the rule that `to_dict` described.

        Raises
        ------
        SettingsError
            On unknown keys and impossible values.
        """
        unknown = set(values) - {"kind", "low", "high"}
        if unknown or "kind" not in values:
            raise SettingsError(f"An input rule has the keys kind, low and high, not {sorted(values)}.")
        try:
            return cls(values["kind"], float(values.get("low", 0.1)), float(values.get("high", 99.9)))
        except (TypeError, ValueError) as error:
            raise SettingsError(f"The input rule {dict(values)} is not valid: {error}") from error


def pick_channels(
    plane: NDArray[Any], channels: Sequence[int] | None = None, names: Sequence[str] = ()
) -> tuple[tuple[int, ...], str]:
    """Choose at most three channels of a plane.

    Parameters
    ----------
    plane
        (H, W) or (H, W, C).
    channels
        1 to 3 channel numbers (from 0), which then become red, green, blue (one: grey).  None: all if there are at
        most three, else the first three that are not empty.
    names
        Channel names for the note.

    Returns
    -------
    tuple[tuple[int, ...], str]
        The channel numbers, and a sentence for the user when some were left out ("" otherwise).

    Raises
    ------
    ImageError
        When a channel does not exist or more than three are asked for.
    """
    count = 1 if plane.ndim == 2 else plane.shape[2]
    if channels is not None:
        chosen = tuple(int(c) for c in channels)
        if not 1 <= len(chosen) <= 3 or any(not 0 <= c < count for c in chosen):
            raise ImageError(f"Channels {list(chosen)} cannot be used: give 1 to 3 numbers from 0 to {count - 1}.")
        return chosen, ""
    if count <= 3:
        return tuple(range(count)), ""
    filled = [c for c in range(count) if _has_signal(plane[..., c])]
    chosen = tuple(filled[:3]) or (0,)
    labels = [names[c] if c < len(names) and names[c] else str(c) for c in chosen]
    return chosen, (
        f"The image has {count} channels; {', '.join(labels)} are used as red, green and blue. "
        "Choose others if the cells are not in them."
    )


def to_model_input(
    plane: NDArray[Any], rule: InputRule, channels: Sequence[int] | None = None, *, colour: bool | None = None
) -> NDArray[np.uint8]:
    """Convert one plane to the 8-bit RGB picture that the network sees.  The input is never changed.

    ``minmax`` equals the research code wherever that returned 8-bit values: the minimum and the maximum of the whole
    plane become 0 and 255 (truncated, not rounded).  If exactly one of three channels holds anything, it is shown
    grey; if exactly two do, they are shown grey when equal and otherwise each is scaled by itself.  A constant plane
    keeps its value, clipped to 0..255.  Where the research code failed, or returned another type, or changed its
    input, this function follows the same rules: two-channel images of any type give 8 bits, an all-black colour
    image gives zeros, NaN and -inf count as the smallest and +inf as the largest finite value.

    ``percentile`` maps the percentiles `low` and `high` of the finite values to 0 and 255, rounded.  Colour pictures
    are scaled by one pair of percentiles over all three samples, which keeps their hue; channels of a fluorescence
    image are scaled each by itself, since their intensities have nothing to do with each other.  Where both
    percentiles are equal (a few bright spots on black), minimum and maximum are used.  A constant channel gives zeros.

    In both, two channels become red and green; one channel becomes grey.

    Parameters
    ----------
    plane
        (H, W) or (H, W, C), bool, integer or float; also (1, H, W).
    rule
        How to scale.
    channels
        See `pick_channels`.
    colour
        Whether three channels are one colour picture; None: yes when they are 8-bit and none is empty.
        Only for ``percentile``.

    Returns
    -------
    ndarray
        (H, W, 3) uint8.

    Raises
    ------
    ImageError
        When `plane` is not a plane, or a channel does not exist.
    """
    planar = _as_channels(plane)
    chosen, _ = pick_channels(planar, channels)
    values = planar[..., list(chosen)] if len(chosen) < planar.shape[2] or channels is not None else planar
    filled = [c for c in range(values.shape[2]) if _has_signal(values[..., c])]
    out = np.zeros((*values.shape[:2], 3), np.uint8)
    if not filled:
        return out
    scale = _minmax if rule.kind == "minmax" else _percentile
    first = values[..., filled[0]]
    if len(filled) == 1 or (len(filled) == 2 and np.array_equal(first, values[..., filled[1]])):
        out[...] = scale(first, rule)[..., np.newaxis]
    elif len(filled) == 3 and _scaled_together(values, rule, colour=colour if channels is None else False):
        out[...] = scale(values, rule)
    else:
        for c in filled:
            out[..., c] = scale(values[..., c], rule)
    return out


def _scaled_together(values: NDArray[Any], rule: InputRule, *, colour: bool | None) -> bool:
    return rule.kind == "minmax" or (values.dtype == np.uint8 if colour is None else colour)


def _as_channels(plane: NDArray[Any]) -> NDArray[Any]:
    """Bring a plane to (H, W, C)."""
    if plane.ndim == 3 and plane.shape[0] == 1 and plane.shape[2] > MAX_CHANNELS:
        plane = plane[0]
    if plane.ndim == 2:
        plane = plane[..., np.newaxis]
    if plane.ndim != 3 or plane.dtype.kind not in "buif" or plane.shape[2] > MAX_CHANNELS or 0 in plane.shape:
        raise ImageError(
            f"An array of shape {plane.shape} and type {plane.dtype} is not one plane of an image. "
            "Give rows x columns, or rows x columns x channels."
        )
    return plane


def _has_signal(channel: NDArray[Any]) -> bool:
    """Whether a channel holds anything but zeros and NaN."""
    if channel.dtype.kind == "f":
        return bool(np.any((channel != 0) & ~np.isnan(channel)))
    return bool(channel.any())


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    """Replace NaN and -inf by the smallest and +inf by the largest finite value."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind != "f":
        return values
    good = np.isfinite(values)
    if good.all():
        return values.astype(np.float64)
    if not good.any():
        return np.zeros(values.shape)
    low, high = float(values[good].min()), float(values[good].max())
    return np.nan_to_num(values.astype(np.float64), nan=low, neginf=low, posinf=high)


def _through_table(values: NDArray[Any], low: float, high: float, *, rounded: bool) -> NDArray[np.uint8]:
    """Map `low`..`high` to 0..255; small integer types through a table of all their values."""

    def scale(v: NDArray[Any]) -> NDArray[np.uint8]:
        # Divide first, then multiply: the same order as the research code, for the same last bit.
        unit = (np.clip(v.astype(np.float64), low, high) - low) / (high - low) * 255
        return (np.rint(unit) if rounded else unit).astype(np.uint8)

    if values.dtype.kind in "ui" and values.dtype.itemsize <= 2 and values.size > 2**16:
        span = np.iinfo(values.dtype)
        table = scale(np.arange(span.min, span.max + 1))
        return table[values.astype(np.int32) - span.min]
    return scale(values)


def _minmax(values: NDArray[Any], _rule: InputRule) -> NDArray[np.uint8]:
    values = _finite(values)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.full(values.shape, int(min(max(low, 0.0), 255.0)), np.uint8)
    return _through_table(values, low, high, rounded=False)


def _percentile(values: NDArray[Any], rule: InputRule) -> NDArray[np.uint8]:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if finite.size == 0:
        return np.zeros(values.shape, np.uint8)
    low, high = _percentiles(finite, rule.low, rule.high)
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    if low == high:
        return np.zeros(values.shape, np.uint8)
    return _through_table(_finite(values), low, high, rounded=True)


def _percentiles(values: NDArray[Any], low: float, high: float) -> tuple[float, float]:
    """Equal to np.percentile, by counting where the type allows: sorting a large slide takes seconds."""
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    if not (values.dtype.kind in "ui" and values.dtype.itemsize <= 2):
        below, above = np.percentile(values.astype(np.float64), [low, high])
        return float(below), float(above)
    least = int(values.min())
    cumulated = np.cumsum(np.bincount((values.astype(np.int32) - least).ravel()))
    found: list[float] = []
    for percent in (low, high):
        position = (values.size - 1) * percent / 100
        before = int(position)
        first, second = np.searchsorted(cumulated, [before, min(before + 1, values.size - 1)], side="right")
        found.append(least + float(first) + (position - before) * float(second - first))
    return found[0], found[1]
