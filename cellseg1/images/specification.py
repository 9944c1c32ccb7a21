"""The input specification: channels, plane and grey values for the network, chosen once and stored in the model."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import ImageError, SettingsError
from cellseg1.images.convert import MAX_CHANNELS, InputRule, has_signal, scaled_input
from cellseg1.text import composed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellseg1.images.image import Image

#: Channels as callers give them: ``"DAPI,2"``, a number (from 0), or a list of names and numbers.
ChannelWish = str | int | Sequence[str | int]
#: A plane of a stack as callers give it: ``"z=3,t=0"`` or ``{"z": 3}``, numbers from 0.
PlaneWish = str | Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel, identified by its name, or by its number (from 0) in images without names.

    Attributes
    ----------
    name
        Empty when the image of the choice had no channel names.
    index
        None when only the name is known.
    """

    name: str = ""
    index: int | None = None

    def __str__(self) -> str:
        return self.name or str(self.index)


@dataclass(frozen=True, slots=True)
class InputSpecification:
    """How an image becomes the network's input: chosen at training, stored in the model, applied in prediction.

    Attributes
    ----------
    rule
        How grey values are scaled.
    channels
        One to three, used as red, green and blue (one: grey).  None: the training images are grey or colour pictures,
        or an older version made the model.
    by_hand
        Whether the user chose the channels.
    planes
        (z, t) of every training image, for the record only: a prediction segments all planes by default.
    """

    rule: InputRule = dataclasses.field(default_factory=InputRule)
    channels: tuple[Channel, ...] | None = None
    by_hand: bool = False
    planes: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.channels is not None and not 1 <= len(self.channels) <= 3:
            raise SettingsError(f"{len(self.channels)} channels cannot be used: choose one, two or three.")

    # ---- choosing

    def with_channels(self, wish: ChannelWish | None) -> InputSpecification:
        """Return the specification with channels chosen by hand; None changes nothing.

        Raises
        ------
        SettingsError
            When these are not one to three names or numbers.
        """
        if wish is None:
            return self
        return dataclasses.replace(self, channels=parse_channels(wish), by_hand=True)

    def settled(self, image: Image) -> InputSpecification:
        """Return the specification with the channels of a training image filled in, by name and number.

        Without a choice these are the first three that are not empty; a grey image or a colour picture needs no
        choice.
        """
        if self.channels is None and (image.n_channels == 1 or image.is_colour):
            return self
        indices = _first_filled(image) if self.channels is None else self.indices_in(image)[0]
        if indices is None:
            return self
        return dataclasses.replace(self, channels=tuple(Channel(_name(image, index), index) for index in indices))

    def indices_in(self, image: Image) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
        """Find the channels in an image: by name first, then by number.

        Returns
        -------
        tuple[tuple[int, ...] | None, tuple[str, ...]]
            The numbers of the channels (None: the picture unchanged), and sentences for the user.

        Raises
        ------
        ImageError
            When the image has no such channel, or names it differently.
        """
        count = image.n_channels
        plain = count == 1 or image.is_colour
        if self.channels is None:
            return (None, ()) if plain else _guessed(image)
        if plain and not self.by_hand:
            what = "one channel" if count == 1 else "the colours red, green and blue"
            if len(self.channels) == count and not image.is_colour:
                return None, ()
            return None, (f"It has {what}, not {_listed(self.channels)} as in the training; it is used as it is.",)
        if count == 1 and len(self.channels) == 1 and not _name(image, 0):
            chosen = self.channels[0]
            note = "" if chosen.index == 0 else f"It has one channel only, which is taken for {chosen}."
            return None, (note,) if note else ()
        names = [_name(image, index) for index in range(count)]
        renamed = not self.by_hand and not any(_find(one.name, names) is not None for one in self.channels)
        found, notes = [], []
        for one in self.channels:
            index, note = _place(one, names, image, renamed=renamed)
            found.append(index)
            if note:
                notes.append(note)
        if image.is_colour and found == [0, 1, 2]:
            return None, tuple(notes)
        return tuple(found), tuple(notes)

    # ---- keeping

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        channels = None if self.channels is None else [{"name": one.name, "index": one.index} for one in self.channels]
        return {
            "intensity": self.rule.to_dict(),
            "channels": channels,
            "by_hand": self.by_hand,
            "planes": [list(plane) for plane in self.planes],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputSpecification:
        """Make the specification that `to_dict` described.

        Raises
        ------
        SettingsError
            On impossible values.
        """
        try:
            stored = values.get("channels")
            channels = None if stored is None else tuple(_stored_channel(one) for one in stored)
            planes = tuple((int(z), int(t)) for z, t in values.get("planes") or ())
            rule = InputRule.from_dict(values["intensity"])
            return cls(rule, channels, bool(values.get("by_hand", False)), planes)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise SettingsError(f"What is stored about the model's input is not valid: {error}") from error


@dataclass(frozen=True, slots=True)
class PlaneChoice:
    """Which planes of a stack are used; None: all of that axis (in training: the first)."""

    z: int | None = None
    t: int | None = None

    @classmethod
    def parse(cls, wish: PlaneWish | None) -> PlaneChoice:
        """Read ``"z=3"``, ``"z=3,t=0"`` or ``{"z": 3}``; numbers from 0.

        Raises
        ------
        SettingsError
            When the value has another form.
        """
        if wish is None:
            return cls()
        hint = "write it as z=3, t=0 or z=3,t=0, numbered from 0"
        if not isinstance(wish, str | Mapping):
            raise SettingsError(f"{wish!r} is not a plane: {hint}.")
        pairs = list(wish.items()) if isinstance(wish, Mapping) else [part.partition("=")[::2] for part in _parts(wish)]
        found: dict[str, int] = {}
        for axis, text in pairs:
            name, number = str(axis).strip().lower(), str(text).strip()
            if name not in ("z", "t") or name in found or not (number.isascii() and number.isdigit()):
                raise SettingsError(f"{wish!r} is not a plane: {hint}.")
            if len(number) > 9:
                raise SettingsError(f"There is no plane {name} = {number}.")
            found[name] = int(number)
        if not found:
            raise SettingsError(f"{wish!r} is not a plane: {hint}.")
        return cls(**found)

    def of(self, image: Image) -> list[tuple[int, int]]:
        """Return the planes (z, t) of an image, time point by time point.

        Raises
        ------
        ImageError
            When the image has no such plane.
        """
        for name, index, count in (("z", self.z, image.n_z), ("t", self.t, image.n_t)):
            if index is not None and not 0 <= index < count:
                where = image.info.path or "The image"
                raise ImageError(f"{where} has no plane {name} = {index}: choose a number from 0 to {count - 1}.")
        times = range(image.n_t) if self.t is None else (self.t,)
        depths = range(image.n_z) if self.z is None else (self.z,)
        return [(z, t) for t in times for z in depths]


@dataclass(frozen=True, slots=True, eq=False)
class PlaneInput:
    """The network's input for one plane, (H, W, 3) uint8, and notes about it."""

    pixels: NDArray[np.uint8]
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the plane."""
        return self.pixels.shape[0], self.pixels.shape[1]


def plane_input(image: Image, specification: InputSpecification, *, z: int = 0, t: int = 0) -> PlaneInput:
    """Convert one plane to the network's input; every path from an image to the network uses this function.

    Raises
    ------
    ImageError
        When there is no such plane or channel.
    """
    plane = image.plane(z=z, t=t)
    if plane.dtype.kind == "f" and not np.isfinite(plane).any():
        where = image.info.path.name if image.info.path is not None else "The image"
        raise ImageError(f"{where} holds no valid number (all values are NaN or infinite); export it again.")
    channels, notes = specification.indices_in(image)
    pixels, said = scaled_input(plane, specification.rule, channels, colour=image.is_colour)
    return PlaneInput(pixels, (*notes, *said))


def parse_channels(wish: ChannelWish) -> tuple[Channel, ...]:
    """Parse channels as users write them: names or numbers (from 0), separated by commas.

    A name that holds a comma is written in double quotes: ``"DAPI, nuclei",2``.

    Raises
    ------
    SettingsError
        When there is no channel, or there are more than three.
    """
    if isinstance(wish, str):
        entries: list[str | int] = [*_parts(wish, quotes=True)]
    else:
        entries = list(wish) if isinstance(wish, Iterable) else [wish]
    channels = []
    for entry in entries:
        text = composed(str(entry)).strip()
        if isinstance(entry, bool) or not isinstance(entry, str | int) or not text or (text[0] == "-" and _whole(text)):
            raise SettingsError(f"{entry!r} is not a channel: give its name, or its number from 0.")
        # A channel may be called "2": names are looked for first.
        channels.append(Channel(text if isinstance(entry, str) else "", int(text) if _whole(text) else None))
    if not 1 <= len(channels) <= 3:
        raise SettingsError(f"{len(channels)} channels cannot be used: give one, two or three, for example DAPI,2.")
    if len(set(channels)) < len(channels):
        raise SettingsError(f"The channels {_listed(channels)} hold one twice; give each once.")
    return tuple(channels)


def _parts(text: str, *, quotes: bool = False) -> list[str]:
    if not quotes:
        return [part.strip() for part in text.split(",")]
    # A comma separates only outside quotes.
    parts = [part.strip() for part in re.split(r',(?=(?:[^"]*"[^"]*")*[^"]*$)', text)]
    return [part[1:-1].strip() if len(part) > 2 and part[0] == part[-1] == '"' else part for part in parts]


def _quoted(name: str) -> str:
    return f'"{name}"' if "," in name else name


def _whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 9


def _stored_channel(values: Mapping[str, Any]) -> Channel:
    name, index = composed(str(values.get("name", ""))), values.get("index")
    if not name and index is None:
        raise ValueError("a channel has neither name nor number")
    if index is not None and int(index) < 0:
        raise ValueError(f"there is no channel {index}")
    return Channel(name, None if index is None else int(index))


def _name(image: Image, index: int) -> str:
    names = image.info.channel_names
    return composed(names[index]).strip() if index < len(names) else ""


def _listed(channels: Sequence[Channel]) -> str:
    return ", ".join(str(one) for one in channels)


def _find(name: str, names: Sequence[str]) -> int | None:
    """Return the only channel of that name; without an exact match, case is ignored."""
    for wanted, given in ((name, list(names)), (name.casefold(), [one.casefold() for one in names])):
        if wanted and given.count(wanted) == 1:
            return given.index(wanted)
    return None


def _place(one: Channel, names: Sequence[str], image: Image, *, renamed: bool) -> tuple[int, str]:
    """Find one channel among those of an image; `renamed`: the image has other names for all of them."""
    found = _find(one.name, names)
    if found is not None:
        moved = one.index is not None and one.index != found and not _whole(one.name)
        return found, f"{one} is channel {found} here." if moved else ""
    where = image.info.path.name if image.info.path is not None else "The image"
    has = ", ".join(f"{index} ({_quoted(name)})" if name else str(index) for index, name in enumerate(names[:20]))
    has = f"its channels are {has}{', ...' if len(names) > 20 else ''}" if len(names) > 1 else "it has one channel only"
    exists = one.index is not None and 0 <= one.index < len(names)
    # A number was given, the image has no names, or it has none of the training's names.
    by_number = not one.name or _whole(one.name) or not any(names) or one.name.casefold() in _folded(names) or renamed
    if not exists or not by_number:
        raise ImageError(f"{where} has no channel {one}; {has}. Choose others (--channels).")
    assert one.index is not None
    if one.name and not _whole(one.name) and one.name.casefold() not in _folded(names):
        called = f"is called {names[one.index]}" if names[one.index] else "has no name"
        return one.index, f"Channel {one.index} {called} here; it is taken for {one.name}."
    return one.index, ""


def _folded(names: Sequence[str]) -> list[str]:
    return [name.casefold() for name in names]


def _first_filled(image: Image) -> tuple[int, ...]:
    """Choose default channels: all if there are at most three, else the first three with a signal."""
    count = image.n_channels
    if count <= 3:
        return tuple(range(count))
    if count > MAX_CHANNELS:
        where = image.info.path.name if image.info.path is not None else "The image"
        raise ImageError(
            f"{where} has {count} channels, which is more likely a stack whose axes are in the wrong order. "
            "Correct its axes, or choose up to three channels (--channels)."
        )
    filled: list[int] = []
    axes = image.info.axes
    # All planes of a stack count, so that every plane shows the same channels.
    apart = np.moveaxis(image.array, axes.index("C"), 0) if "S" not in axes else None
    for index in range(count):
        if apart is None or has_signal(apart[index]):
            filled.append(index)
        if len(filled) == 3:
            break
    return tuple(filled) or (0,)


def _guessed(image: Image) -> tuple[tuple[int, ...], tuple[str, ...]]:
    chosen = _first_filled(image)
    labels = [_name(image, index) or str(index) for index in chosen]
    colours = ("grey", "red and green", "red, green and blue")[len(chosen) - 1]
    used = f"{', '.join(labels)} {'is' if len(labels) == 1 else 'are'} used as {colours}"
    return chosen, (
        f"The image has {image.n_channels} channels; {used}. Choose others (--channels) if the cells are not in them.",
    )
