"""How the values of an image become colours on the screen: window level, gamma and colour of each channel.

Nothing here is seen by the network, and nothing changes the image.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Colour = tuple[int, int, int]

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
_PRIMARIES: tuple[Colour, ...] = (RED, GREEN, BLUE)
#: Green and magenta first: the pair that stays distinct with the common kinds of colour blindness.
CHANNEL_COLOURS: tuple[Colour, ...] = (
    GREEN,
    (255, 0, 255),
    (0, 190, 255),
    (255, 200, 0),
    RED,
    (120, 120, 255),
    WHITE,
)

_LOW_PERCENT, _HIGH_PERCENT = 0.1, 99.9
_SAMPLES = 1 << 20
_GAMMA_RANGE = (0.1, 10.0)


@dataclass(frozen=True, slots=True)
class ChannelView:
    """How one channel is shown.

    Attributes
    ----------
    low, high
        The values that become black and full colour.
    gamma
        1: in proportion; below 1 dark values are raised, above 1 they are lowered.
    color
        (r, g, b) of the full value.
    visible, name
        Whether it takes part, and what it is called.
    """

    low: float
    high: float
    gamma: float = 1.0
    color: Colour = WHITE
    visible: bool = True
    name: str = ""


class ChannelChanges(TypedDict, total=False):
    """Fields of a `ChannelView` that are to differ."""

    color: Colour
    low: float
    high: float
    gamma: float
    visible: bool
    name: str


@dataclass(frozen=True, slots=True)
class Display:
    """How all channels of an image are shown; channels add up."""

    channels: tuple[ChannelView, ...] = ()

    def with_channel(self, index: int, **changes: Unpack[ChannelChanges]) -> Display:
        """Return a copy in which one channel differs."""
        channels = list(self.channels)
        channels[index] = replace(channels[index], **changes)
        return Display(tuple(channels))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"channels": [{**asdict(view), "color": list(view.color)} for view in self.channels]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Display:
        """Read what `to_dict` wrote; entries that make no sense are replaced by defaults, never refused."""
        channels = []
        for entry in values.get("channels", ()):
            low, high = _number(entry.get("low"), 0.0), _number(entry.get("high"), 255.0)
            gamma = min(_GAMMA_RANGE[1], max(_GAMMA_RANGE[0], _number(entry.get("gamma"), 1.0)))
            color = entry.get("color")
            good = isinstance(color, list | tuple) and len(color) == 3 and all(isinstance(c, int) for c in color)
            shade: Colour = (color[0] & 255, color[1] & 255, color[2] & 255) if good else WHITE
            channels.append(
                ChannelView(low, high, gamma, shade, bool(entry.get("visible", True)), str(entry.get("name", "")))
            )
        return cls(tuple(channels))


def channel_count(plane: NDArray[Any]) -> int:
    """Return how many channels a plane (H, W) or (H, W, C) has."""
    return 1 if plane.ndim == 2 else plane.shape[2]


def channel_of(plane: NDArray[Any], channel: int) -> NDArray[Any]:
    """(H, W) view of one channel."""
    return plane if plane.ndim == 2 else plane[..., channel]


def auto_display(plane: NDArray[Any], colour: bool = False, names: Sequence[str] = ()) -> Display:
    """Choose window levels from the values of a plane.

    Parameters
    ----------
    plane
        (H, W) or (H, W, C) of any type.
    colour
        Whether three channels are a colour picture; an 8-bit one is then shown as it is.
    names
        Of the channels.

    Returns
    -------
    Display
        With as many channels as the plane has.
    """
    count = channel_count(plane)
    name = [names[c] if c < len(names) else "" for c in range(count)]
    if colour and count >= 3:
        if plane.dtype == np.uint8:
            low, high = 0.0, 255.0
        else:
            ends = [_window(channel_of(plane, c)) for c in range(3)]
            # One window for all three keeps the hue.
            low, high = min(end[0] for end in ends), max(end[1] for end in ends)
        views = [ChannelView(low, high, 1.0, _PRIMARIES[c], visible=True, name=name[c]) for c in range(3)]
        # A fourth one is opacity; it is not light.
        views += [ChannelView(0.0, 255.0, 1.0, WHITE, visible=False, name=name[c]) for c in range(3, count)]
        return Display(tuple(views))
    views = []
    for c in range(count):
        low, high = _window(channel_of(plane, c))
        shade = WHITE if count == 1 else CHANNEL_COLOURS[c % len(CHANNEL_COLOURS)]
        views.append(ChannelView(low, high, 1.0, shade, visible=c < len(CHANNEL_COLOURS), name=name[c]))
    return Display(tuple(views))


def auto_channel(plane: NDArray[Any], channel: int, view: ChannelView) -> ChannelView:
    """Return the view with window levels from the values of the channel; colour and name stay."""
    low, high = _window(channel_of(plane, channel))
    return replace(view, low=low, high=high, gamma=1.0)


def histogram(plane: NDArray[Any], channel: int = 0, bins: int = 256) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Count the values of a channel; of large planes a regular sample.

    Returns
    -------
    tuple[ndarray, ndarray]
        `bins` counts and the ``bins + 1`` edges, from the smallest to the largest finite value.
    """
    values = _sample(channel_of(plane, channel))
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if low == high:
        high = low + 1.0
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    return counts.astype(np.int64), edges.astype(np.float64)


def render(plane: NDArray[Any], display: Display) -> NDArray[np.uint8]:
    """Return what a plane, or a part of one, looks like: (H, W, 3) uint8 RGB."""
    height, width = plane.shape[:2]
    shown = [
        (view, _scaled(channel_of(plane, c), view))
        for c, view in enumerate(display.channels[: channel_count(plane)])
        if view.visible and any(view.color)
    ]
    if not shown:
        return np.zeros((height, width, 3), np.uint8)
    if len(shown) == 1 and shown[0][0].color == WHITE:
        return np.asarray(cv2.cvtColor(shown[0][1], cv2.COLOR_GRAY2RGB), np.uint8)
    if len({view.color for view, _ in shown}) == len(shown) and all(view.color in _PRIMARIES for view, _ in shown):
        picture = np.zeros((height, width, 3), np.uint8)
        for view, values in shown:
            picture[..., _PRIMARIES.index(view.color)] = values
        return picture
    light = np.zeros((height, width, 3), np.uint16)
    for view, values in shown:
        for part, strength in enumerate(view.color):
            if strength:
                light[..., part] += (values.astype(np.uint16) * np.uint16(strength) + 127) // 255
    return np.minimum(light, 255).astype(np.uint8)


def _scaled(values: NDArray[Any], view: ChannelView) -> NDArray[np.uint8]:
    """Map low..high to 0..255."""
    if values.dtype == np.bool_:
        values = values.view(np.uint8)
    if values.dtype in (np.uint8, np.uint16):
        if values.dtype == np.uint8 and (view.low, view.high, view.gamma) == (0.0, 255.0, 1.0):
            return np.ascontiguousarray(values)
        table = _table(np.iinfo(values.dtype).max + 1, view.low, view.high, view.gamma)
        return np.take(table, values)
    unit = values.astype(np.float32)
    unit -= view.low
    unit /= _span(view.low, view.high)
    np.clip(unit, 0.0, 1.0, out=unit)
    if view.gamma != 1.0:
        np.power(unit, view.gamma, out=unit)
    unit *= 255.0
    return np.asarray(np.nan_to_num(unit, copy=False, nan=0.0) + 0.5, np.uint8)


@lru_cache(maxsize=32)
def _table(size: int, low: float, high: float, gamma: float) -> NDArray[np.uint8]:
    unit = np.clip((np.arange(size, dtype=np.float64) - low) / _span(low, high), 0.0, 1.0)
    return np.asarray(unit**gamma * 255.0 + 0.5, np.uint8)


def _span(low: float, high: float) -> float:
    return high - low if high > low else 1e-9


def _sample(values: NDArray[Any]) -> NDArray[Any]:
    """About a million finite values, evenly spread."""
    step = max(1, math.isqrt(values.size // _SAMPLES))
    some = values[::step, ::step].ravel()
    if some.dtype.kind == "f":
        some = some[np.isfinite(some)].astype(np.float64)
    elif some.dtype.kind == "b":
        some = some.view(np.uint8)
    return some


def _window(values: NDArray[Any]) -> tuple[float, float]:
    some = _sample(values)
    if some.size == 0:
        return 0.0, 1.0
    if values.dtype.kind == "b":
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(some, (_LOW_PERCENT, _HIGH_PERCENT)))
    if low >= high:
        # A few bright spots on black: the percentiles are equal, the ends are not.
        low, high = float(some.min()), float(some.max())
    return (low, high) if low < high else (low, low + 1.0)


def _number(value: Any, default: float) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else default
