"""What one step of the history is: the pixels and attributes it changed, and how that becomes bytes."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from cellseg1.errors import CellSeg1Error

from .pixel_runs import PixelRuns

if TYPE_CHECKING:
    from cellseg1.masks import Box

VERSION = 1
"""First byte of every payload."""

_LENGTH = struct.Struct("<I")
LONGEST_TEXT = 32 << 20
"""Bytes of names and attributes of a step or a stored drawing."""
_PER_PIXEL = 32
"""Bytes of runs for every pixel of the plane, at most."""


class HistoryError(CellSeg1Error, ValueError):
    """A stored step is damaged or belongs to another drawing."""


@dataclass(frozen=True, slots=True)
class Change:
    """What listeners of a document hear.

    Attributes
    ----------
    kind
        ``edit`` a finished edit, ``undo``, ``redo``, ``live`` an unfinished edit changed pixels, ``cancel`` an
        unfinished edit was taken back (or ended where it began).
    name
        The step's name for people.
    box
        Where pixels may differ from what was seen before; None: only attributes changed.
    attributes
        The keys of the attributes that changed.
    """

    kind: Literal["edit", "undo", "redo", "live", "cancel"]
    name: str
    box: Box | None
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepRef:
    """A step of the history that can be read back from the log.

    Attributes
    ----------
    name
        For people.
    token
        What the log gave for it; None: the step is only in memory.
    size
        Bytes of its payload.
    """

    name: str
    token: int | None
    size: int


class StepLog(Protocol):
    """Where a document writes its history as it happens.

    `append` is called once for every finished edit (``step`` with its payload), undo and redo (empty payloads), in
    order; a ``step`` after undos makes what was undone unreachable.  It should not fail: a log that cannot write keeps
    the payloads itself and tries again.  If it raises all the same, the document keeps the step in memory, tells its
    listeners, and then lets the error pass.
    """

    def append(self, kind: Literal["step", "undo", "redo"], payload: bytes) -> int:
        """Take down what happened; return a token for `read`."""

    def read(self, token: int) -> bytes:
        """Return the payload of a step; HistoryError when what is stored is damaged for good."""


@dataclass(frozen=True, slots=True)
class Step:
    """One finished edit, as it is stored.

    Attributes
    ----------
    name
        For people.
    box
        Around the changed pixels; None when only attributes changed.
    attributes
        The keys of the changed attributes.
    payload
        All that is needed to undo and redo it, compressed.
    """

    name: str
    box: Box | None
    attributes: tuple[str, ...]
    payload: bytes = field(repr=False)

    @classmethod
    def from_payload(cls, payload: bytes, shape: tuple[int, int]) -> Step:
        """Read name, box and attributes from stored bytes (see `Content.unpack`)."""
        content = Content.unpack(payload, shape)
        return cls(content.name, content.runs.box(), tuple(content.attributes), payload)


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """What a payload holds: name, changed pixels, and (before, after) of changed attributes (None: absent)."""

    name: str
    runs: PixelRuns
    attributes: dict[str, tuple[Any, Any]]

    def pack(self, shape: tuple[int, int]) -> bytes:
        """Return the payload: a version byte, then zlib of (length, JSON, runs)."""
        head = {"name": self.name, "shape": list(shape), "attributes": self.attributes}
        text = json.dumps(head, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        body = self.runs.pack() if len(self.runs) else b""
        return bytes([VERSION]) + zlib.compress(_LENGTH.pack(len(text)) + text + body, 1)

    @classmethod
    def unpack(cls, payload: bytes, shape: tuple[int, int]) -> Content:
        """Reverse `pack`.

        Raises
        ------
        HistoryError
            When the payload is damaged, from a newer program, or of an image of another size.
        """
        if payload[:1] != bytes([VERSION]):
            raise HistoryError(
                "A step of the history was written by a newer version of this program or is damaged. "
                "The drawing itself is unchanged."
            )
        try:
            data = inflate(payload[1:], LONGEST_TEXT + _PER_PIXEL * shape[0] * shape[1])
            (length,) = _LENGTH.unpack_from(data)
            head = read_text(data[_LENGTH.size : _LENGTH.size + length], length)
            if tuple(head["shape"]) != tuple(shape):
                raise ValueError("another size")  # noqa: TRY301 - one place says it in words
            body = data[_LENGTH.size + length :]
            runs = PixelRuns.unpack(body, shape) if body else PixelRuns.gather([])
            attributes = {
                str(key): (usable_attribute(key, before), usable_attribute(key, after))
                for key, (before, after) in head["attributes"].items()
            }
            return cls(str(head["name"]), runs, attributes)
        except Exception as error:  # every error here means damage
            raise HistoryError(
                "A step of the history is damaged or belongs to another image. The drawing itself is unchanged."
            ) from error


def inflate(data: bytes, most: int) -> bytes:
    """Decompress; ValueError when the result exceeds `most` bytes or the input is truncated."""
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(data, most + 1)
    if len(found) > most:
        raise ValueError("it is larger than the drawing can be")
    if not unpacking.eof:
        raise ValueError("it is cut short")
    return found


def read_text(text: bytes, length: int) -> dict[str, Any]:
    """Return the JSON object before the runs; ValueError without one."""
    if length != len(text) or length > LONGEST_TEXT:
        raise ValueError("its text is cut short or too long")
    head = json.loads(text)
    if not isinstance(head, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - a value of a file, not an argument
    return head


def usable_attribute(key: str, value: Any) -> Any:
    """Return a stored attribute; None when it is a known attribute with an invalid value."""
    if key in ("checked", "training"):
        return value if isinstance(value, bool) else None
    if key == "region":
        good = isinstance(value, list) and len(value) == 4
        good = good and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
        return value if good and all(abs(one) < 1 << 31 for one in value) else None
    return value


def plain(value: Any) -> Any:
    """Return a JSON value as it would come back from a file: own copy, tuples as lists, numpy numbers as numbers."""
    return json.loads(json.dumps(value, allow_nan=False, default=_plain_numpy))


def _plain_numpy(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be stored with a drawing.")
