"""From one plane of any type to the 8-bit RGB picture that the network sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellseg1.errors import ImageError, SettingsError
from cellseg1.images.outliers import filled, find_outliers, quantiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MAX_CHANNELS = 32
"""A plane with more values per pixel is more likely a stack whose axes are in the wrong order."""

#: Outliers are kept when the image still has more than this share of the range of grey values.
_HARMLESS = 0.92
#: Larger values count as infinite: programs write them for missing values, and their sums overflow.
_LARGEST = 1e300


@dataclass(frozen=True, slots=True)
class InputRule:
    """How intensities become 0..255; stored in every model file, because a model only fits inputs of the same rule.

    Attributes
    ----------
    kind
        ``minmax``, as in the research code, or ``percentile``.
    low, high
        Percentiles that become 0 and 255 (``percentile`` only).
    outliers
        ``leave_out``: hot and dead pixels, burnt-in bars, black borders and debris do not count for the percentiles
        (see `cellseg1.images.outliers`); ``keep``: every pixel counts.  ``percentile`` only.
    ranges
        Grey values that become 0 and 255, set by hand: one pair for all channels, or one per channel of the network's
        input; empty: measured.
    """

    kind: Literal["minmax", "percentile"] = "percentile"
    low: float = 0.1
    high: float = 99.9
    outliers: Literal["leave_out", "keep"] = "keep"
    ranges: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("minmax", "percentile"):
            raise SettingsError(f"Unknown input rule {self.kind!r}: choose minmax or percentile.")
        if not 0 <= self.low < self.high <= 100:
            raise SettingsError(f"The percentiles {self.low} and {self.high} must satisfy 0 <= low < high <= 100.")
        if self.outliers not in ("leave_out", "keep"):
            raise SettingsError(f"Outliers cannot be treated by {self.outliers!r}: choose leave_out or keep.")
        for low, high in self.ranges:
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise SettingsError(f"The input range {low:g} to {high:g} is empty: the first value must be the lower.")

    def range_of(self, channel: int) -> tuple[float, float] | None:
        """Return the range set by hand for an input channel (0, 1, 2); None when it is measured."""
        return self.ranges[channel if len(self.ranges) > 1 else 0] if self.ranges else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values: dict[str, Any] = {"kind": self.kind, "low": self.low, "high": self.high, "outliers": self.outliers}
        return {**values, "ranges": [list(pair) for pair in self.ranges]} if self.ranges else values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputRule:
        """Make the rule that `to_dict` described; rules of older versions keep their meaning.

        Raises
        ------
        SettingsError
            On unknown keys and impossible values.
        """
        unknown = set(values) - {"kind", "low", "high", "outliers", "ranges"}
        if unknown or "kind" not in values:
            raise SettingsError(
                f"An input rule has the keys kind, low, high, outliers and ranges, not {sorted(values)}."
            )
        try:
            ranges = tuple((float(low), float(high)) for low, high in values.get("ranges", ()))
            low, high = float(values.get("low", 0.1)), float(values.get("high", 99.9))
            return cls(values["kind"], low, high, values.get("outliers", "keep"), ranges)
        except (TypeError, ValueError, OverflowError) as error:
            raise SettingsError(f"The input rule {dict(values)} is not valid: {error}") from error


def pick_channels(plane: NDArray[Any], channels: Sequence[int] | None = None) -> tuple[int, ...]:
    """Choose at most three channels of a plane.

    Parameters
    ----------
    plane
        (H, W) or (H, W, C).
    channels
        1 to 3 channel numbers (from 0), which then become red, green, blue (one: grey).  None: all if there are at
        most three, else the first three that are not empty.

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
        return chosen
    if count <= 3:
        return tuple(range(count))
    shown = [c for c in range(count) if has_signal(plane[..., c])]
    return tuple(shown[:3]) or (0,)


def to_model_input(
    plane: NDArray[Any], rule: InputRule, channels: Sequence[int] | None = None, *, colour: bool | None = None
) -> NDArray[np.uint8]:
    """Convert one plane to the 8-bit RGB picture that the network sees.  The input is never changed.

    ``minmax`` equals the research code wherever that returned 8-bit values: the minimum and the maximum of the whole
    plane become 0 and 255 (truncated, not rounded).  If exactly one of three channels holds anything, it is shown
    grey; if exactly two do, they are shown grey when equal and otherwise each is scaled by itself.  A constant plane
    keeps its value, clipped to 0..255.  Where the research code failed, or returned another type, or changed its
    input, this function follows the same rules: two-channel images of any type give 8 bits, an all-black colour
    image gives zeros, NaN and -inf count as the smallest and +inf as the largest finite value.  In both rules values
    beyond 1e300 count as infinite.

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
    return scaled_input(plane, rule, channels, colour=colour)[0]


def scaled_input(
    plane: NDArray[Any], rule: InputRule, channels: Sequence[int] | None = None, *, colour: bool | None = None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Do the work of `to_model_input`; also returns sentences about the pixels left out of the scaling."""
    planar = _as_channels(plane, limited=channels is None)
    chosen = pick_channels(planar, channels)
    values = planar[..., list(chosen)] if len(chosen) < planar.shape[2] or channels is not None else planar
    values = _without_huge(values)
    shown = [c for c in range(values.shape[2]) if has_signal(values[..., c])]
    out = np.zeros((*values.shape[:2], 3), np.uint8)
    if not shown:
        return out, ()
    if len(rule.ranges) > 1 and len(rule.ranges) != values.shape[2]:
        raise SettingsError(
            f"Input ranges are set for {len(rule.ranges)} channels, but the network sees {values.shape[2]} of this "
            "image; set one range for all, or one for each."
        )
    notes: list[str] = []
    first = values[..., shown[0]]
    if len(shown) == 1 or (len(shown) == 2 and np.array_equal(first, values[..., shown[1]])):
        out[...] = _scaled(first, rule, shown[0], notes)[..., np.newaxis]
    elif len(shown) == 3 and _scaled_together(values, rule, colour=colour if channels is None else False):
        out[...] = _scaled(values, rule, 0, notes)
    else:
        for c in shown:
            out[..., c] = _scaled(values[..., c], rule, c, notes)
    return out, tuple(notes)


def _scaled_together(values: NDArray[Any], rule: InputRule, *, colour: bool | None) -> bool:
    if len(rule.ranges) > 1:
        return False
    return rule.kind == "minmax" or (values.dtype == np.uint8 if colour is None else colour)


def _scaled(values: NDArray[Any], rule: InputRule, channel: int, notes: list[str]) -> NDArray[np.uint8]:
    by_hand = rule.range_of(channel)
    if by_hand is not None:
        return _through_table(_finite(values), *by_hand, rounded=True)
    return _minmax(values) if rule.kind == "minmax" else _percentile(values, rule, notes)


def _as_channels(plane: NDArray[Any], *, limited: bool = True) -> NDArray[Any]:
    """Bring a plane to (H, W, C)."""
    if plane.ndim == 3 and plane.shape[0] == 1 and plane.shape[2] > MAX_CHANNELS:
        plane = plane[0]
    if plane.ndim == 2:
        plane = plane[..., np.newaxis]
    too_many = limited and plane.ndim == 3 and plane.shape[2] > MAX_CHANNELS
    if plane.ndim != 3 or plane.dtype.kind not in "buif" or too_many or 0 in plane.shape:
        raise ImageError(
            f"An array of shape {plane.shape} and type {plane.dtype} is not one plane of an image. "
            "Give rows x columns, or rows x columns x channels."
        )
    return plane


def _without_huge(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind != "f" or values.dtype.itemsize < 8:
        return values
    huge = np.abs(values) > _LARGEST
    return np.where(huge, np.copysign(np.inf, values), values) if huge.any() else values


def has_signal(channel: NDArray[Any]) -> bool:
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


def _minmax(values: NDArray[Any]) -> NDArray[np.uint8]:
    values = _finite(values)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.full(values.shape, int(min(max(low, 0.0), 255.0)), np.uint8)
    return _through_table(values, low, high, rounded=False)


def _percentile(values: NDArray[Any], rule: InputRule, notes: list[str]) -> NDArray[np.uint8]:
    valid = np.isfinite(values) if values.dtype.kind == "f" else None
    finite = values if valid is None or valid.all() else values[valid]
    if finite.size == 0:
        return np.zeros(values.shape, np.uint8)
    low, high = quantiles(finite, (rule.low, rule.high))
    if rule.outliers == "leave_out":
        whole = None if valid is None else valid if values.ndim == 2 else valid.all(axis=2)
        found = find_outliers(values, whole)
        if found is not None:
            kept = ~found.mask if whole is None else whole & ~found.mask
            without = quantiles(values[kept], (rule.low, rule.high))
            # Small changes of the contrast are dropped, so that good images stay the same to the bit.
            if without[0] < without[1] and without[1] - without[0] < _HARMLESS * (high - low):
                notes.extend(found.notes)
                return filled(_through_table(_finite(values), *without, rounded=True), found)
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    if low == high:
        return np.zeros(values.shape, np.uint8)
    return _through_table(_finite(values), low, high, rounded=True)
