"""What journals and snapshots consist of: records that know whether they are whole, and are found again after damage.

A record is ``magic, kind, number, length, payload, CRC-32``.  Kinds:

``H`` the head (JSON), twice at the beginning of a journal, so that one flipped bit does not hide whose it is;
``B`` a state: labels, attributes and history at a number;
``h`` an old step, kept so that it can be undone, whose effect is in the state already;
``s`` a step, ``u`` an undo, ``r`` a redo, in the order in which they happened, numbered without gaps.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...annotation.steps import LONGEST_TEXT, StepRef, read_text, usable_attribute
from ...base.foreign import boundary
from ..files.sealed import DamagedError, dump

if TYPE_CHECKING:
    import mmap

    from numpy.typing import NDArray

MAGIC = b"\x93CS1"
_START = struct.Struct("<4sBQI")
_CRC = struct.Struct("<I")
_LENGTH = struct.Struct("<I")
OVERHEAD = _START.size + _CRC.size
HEAD, STATE, OLD, STEP, UNDO, REDO = b"HBhsur"
_KINDS = frozenset(b"HBhsur")
OPERATIONS = {STEP: "step", UNDO: "undo", REDO: "redo"}
#: Most pixels of a drawing opened without its image.
MOST_PIXELS = 1 << 27
_WASTED, _WASTED_ALWAYS = 16, 64 << 20
KINDS = {name: kind for kind, name in OPERATIONS.items()}


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record in a file.

    Attributes
    ----------
    kind, number
        What it is, and which.
    start
        Where the record begins.
    size
        Bytes of its payload.
    """

    kind: int
    number: int
    start: int
    size: int

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.start + OVERHEAD + self.size

    def payload(self, data: mmap.mmap | bytes) -> bytes:
        """Return the payload."""
        return data[self.start + _START.size : self.end - _CRC.size]


class OtherSizeError(DamagedError):
    """A stored drawing has another size."""

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__("it is a drawing of another size")
        self.shape = shape


def usable_shape(values: Any, expected: tuple[int, int] | None) -> tuple[int, int]:
    """Return height and width of a stored drawing.

    Raises
    ------
    ValueError
        When they are invalid, or too large without an image to confirm them.
    """
    height, width = values
    if not (type(height) is type(width) is int and min(height, width) > 0 and max(height, width) < 1 << 31):
        raise ValueError("it has no size")
    if expected is None and height * width > MOST_PIXELS:
        raise ValueError("it is too large to be opened without its image")
    return height, width


def pack(kind: int, number: int, payload: bytes) -> bytes:
    """Return a record's bytes."""
    start = _START.pack(MAGIC, kind, number, len(payload))
    return start + payload + _CRC.pack(zlib.crc32(payload, zlib.crc32(start[len(MAGIC) :])))


def record_at(data: mmap.mmap | bytes, start: int) -> Record | None:
    """Return the record that begins at a place, None when there is no whole one."""
    if start + OVERHEAD > len(data):
        return None
    magic, kind, number, size = _START.unpack_from(data, start)
    record = Record(kind, number, start, size)
    if magic != MAGIC or kind not in _KINDS or record.end > len(data):
        return None
    (crc,) = _CRC.unpack_from(data, record.end - _CRC.size)
    return record if zlib.crc32(data[start + len(MAGIC) : record.end - _CRC.size]) == crc else None


def scan(data: mmap.mmap | bytes) -> tuple[list[Record], bool]:
    """Find all whole records; the second value tells whether there is anything else between or behind them."""
    records: list[Record] = []
    at, whole = 0, True
    # Every false start of a record costs a checksum over its declared length; a malicious file could take hours.
    left = _WASTED * len(data) + _WASTED_ALWAYS
    while at < len(data):
        record = record_at(data, at)
        if record is not None:
            records.append(record)
            at = record.end
            continue
        whole = False
        left -= claimed(data, at)
        at = data.find(MAGIC, at + 1) if left > 0 else -1
        if at < 0:
            break
    return records, whole


def claimed(data: mmap.mmap | bytes, start: int) -> int:
    """Return the declared length in bytes of a record at a position, 0 when the file is shorter."""
    if start + OVERHEAD > len(data):
        return 0
    magic, kind, _number, size = _START.unpack_from(data, start)
    return size if magic == MAGIC and kind in _KINDS and start + OVERHEAD + size <= len(data) else 0


def is_torn(data: mmap.mmap | bytes, end: int) -> bool:
    """Tell whether the data behind the last complete record are an interrupted write."""
    rest = data[end : end + _START.size]
    if len(rest) < _START.size:
        return MAGIC.startswith(rest[: len(MAGIC)]) and bool(rest)
    magic, kind, _number, size = _START.unpack(rest)
    return magic == MAGIC and kind in _KINDS and end + OVERHEAD + size > len(data)


@dataclass(slots=True, eq=False)
class State:
    """A drawing at a moment.

    Attributes
    ----------
    number
        Of the last operation whose effect is in it.
    labels
        (H, W) int32; not changed by anybody.
    attributes
        Of the document.
    done, undone
        Its history, as `app.annotation.Document.history` gives it.
    """

    number: int
    labels: NDArray[np.int32]
    attributes: dict[str, Any] = field(default_factory=dict)
    done: list[StepRef] = field(default_factory=list)
    undone: list[StepRef] = field(default_factory=list)

    def pack(self) -> bytes:
        """Return the payload of a record: JSON, then the label image as compressed runs."""
        flat = self.labels.reshape(-1)
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1]) if flat.size else np.zeros(0, int)
        runs = np.diff(starts, append=flat.size).astype("<u4").tobytes() + flat[starts].astype("<i4").tobytes()
        head = {
            "shape": list(self.labels.shape),
            "runs": len(starts),
            "attributes": self.attributes,
            "done": _plain(self.done),
            "undone": _plain(self.undone),
        }
        text = dump(head).encode("utf-8", "surrogatepass")
        return zlib.compress(_LENGTH.pack(len(text)) + text + runs, 1)

    @classmethod
    def unpack(cls, number: int, payload: bytes, shape: tuple[int, int] | None = None) -> State:
        """Reverse `pack`.

        Raises
        ------
        OtherSizeError
            When the drawing has another size than `shape`.
        DamagedError
            When it is no drawing.
        """
        with boundary(lambda _why: DamagedError("the drawing stored in it cannot be read")):
            unpacking = zlib.decompressobj()
            data = unpacking.decompress(payload, _LENGTH.size)
            (length,) = _LENGTH.unpack_from(data)
            text = unpacking.decompress(unpacking.unconsumed_tail, min(length, LONGEST_TEXT)) if length else b""
            head = read_text(text, length)
            found = usable_shape(head["shape"], shape)
            if shape is not None and found != shape:
                raise OtherSizeError(found)
            runs = int(head["runs"])
            if not 0 <= runs <= found[0] * found[1]:
                raise ValueError("more runs than there are pixels")
            data = unpacking.decompress(unpacking.unconsumed_tail, 8 * runs) if runs else b""
            lengths = np.frombuffer(data, "<u4", runs).astype(np.int64)
            values = np.frombuffer(data, "<i4", runs, 4 * runs).astype(np.int32)
            # Checked before the pixels are allocated.
            if int(lengths.sum()) != found[0] * found[1] or (runs and int(values.min()) < 0):
                raise ValueError("its runs do not fill the drawing")
            attributes = {str(key): usable_attribute(key, value) for key, value in head["attributes"].items()}
            labels = np.repeat(values, lengths).reshape(found)
            return cls(number, labels, attributes, _refs(head["done"]), _refs(head["undone"]))


def _plain(refs: list[StepRef]) -> list[list[Any]]:
    return [[ref.name, ref.token, ref.size] for ref in refs if ref.token is not None]


def _refs(values: list[list[Any]]) -> list[StepRef]:
    return [StepRef(str(name), int(token), int(size)) for name, token, size in values]
