"""Reading the journal and the snapshot of a plane, whatever has happened to them."""

from __future__ import annotations

import contextlib
import mmap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cellseg1.regular import open_regular

from ...base.errors import ProjectError
from ...base.foreign import boundary, parse_json
from ..files.sealed import DamagedError, set_aside
from .records import (
    HEAD,
    OLD,
    OPERATIONS,
    STATE,
    STEP,
    OtherSizeError,
    Record,
    State,
    is_torn,
    record_at,
    scan,
    usable_shape,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = 1
_LONGEST_HEAD = 1 << 16


@dataclass(slots=True)
class Recovered:
    """The stored state of a plane.

    Attributes
    ----------
    shape
        Height and width; None when nothing is stored.
    start
        The newest complete state; None: an empty drawing before the first operation.
    operations
        The operations after `start`, without gaps.
    steps
        Position of the payload of every readable step, by its number.
    last
        The highest number ever assigned, also to a lost operation.
    end
        Where the journal's next record goes.
    snapshot
        Number of the snapshot's state, None without a complete one.
    damaged
        Damaged files.
    torn
        Whether there are data behind the journal's last complete record.
    lost
        Whether operations are, or may be, missing at the end.
    cut_short
        Whether the journal ends with an interrupted write, which is no damage.
    other_size
        Whether the stored drawing has another size than requested.
    """

    shape: tuple[int, int] | None = None
    start: State | None = None
    operations: list[Record] = field(default_factory=list)
    steps: dict[int, Record] = field(default_factory=dict)
    last: int = 0
    end: int = 0
    snapshot: int | None = None
    damaged: list[Path] = field(default_factory=list)
    torn: bool = False
    lost: bool = False
    other_size: bool = False
    cut_short: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is drawn and nothing was ever."""
        return self.start is None and not self.operations and not self.other_size


def snapshot_of(journal: Path) -> Path:
    """Return where the snapshot that belongs to a journal is."""
    return journal.with_suffix(".snapshot")


def recover(journal: Path, shape: tuple[int, int] | None = None) -> Recovered:
    """Read journal and snapshot without changing them.

    Parameters
    ----------
    shape
        Height and width of the image's plane, if known; a drawing of another size is not unpacked.

    Raises
    ------
    ProjectError
        When they were written by a newer program, or cannot be read at all.
    """
    found = Recovered()
    states: list[State] = []
    snapshot = snapshot_of(journal)
    with _mapped(snapshot) as data:
        if data is not None:
            record = record_at(data, 0)
            if record is not None and record.kind == STATE and record.end == len(data):
                _take_state(record, data, states, found, snapshot, shape)
                found.snapshot = record.number
            else:
                found.damaged.append(snapshot)
    with _mapped(journal) as data:
        if data is not None:
            _read_journal(journal, data, states, found, shape)
    if states:
        found.start = max(states, key=lambda state: state.number)
        found.shape = found.start.labels.shape[0], found.start.labels.shape[1]
        found.last = max(found.last, found.start.number)
    _cut_at_gap(found)
    _drop_unreadable(found)
    return found


def _read_journal(
    path: Path, data: mmap.mmap | bytes, states: list[State], found: Recovered, shape: tuple[int, int] | None
) -> None:
    records, whole = scan(data)
    heads = [record for record in records if record.kind == HEAD]
    for record in heads:
        try:
            with boundary(DamagedError, path):
                head = parse_json(record.payload(data), _LONGEST_HEAD)
                schema = int(head["schema"])
                stored = usable_shape(head["shape"], shape)
        except DamagedError:
            whole = False
            continue
        if schema > SCHEMA:
            raise ProjectError(
                f"{path.name} was written by a newer version of this program (format {schema}; this one knows "
                f"{SCHEMA}). Nothing was changed; install the newer version to open it."
            )
        found.shape = stored
    # Only the newest complete one is used; each can be as large as the image.
    for record in sorted((one for one in records if one.kind == STATE), key=lambda one: one.number, reverse=True):
        if _take_state(record, data, states, found, path, shape):
            break
    for record in records:
        if record.kind in OPERATIONS:
            found.operations.append(record)
        if record.kind in (STEP, OLD):
            found.steps[record.number] = record
        found.last = max(found.last, record.number)
    found.end = records[-1].end if records else 0
    found.torn = len(data) > found.end
    if found.torn and len(heads) > 1 and is_torn(data, found.end) and _is_one_piece(records):
        # The last edit was incomplete when the process ended, and was never confirmed.
        found.cut_short = True
    elif (not whole or not heads) and len(data):
        found.damaged.append(path)


def _is_one_piece(records: list[Record]) -> bool:
    ends = [0, *(record.end for record in records)]
    return all(record.start == end for record, end in zip(records, ends, strict=False))


def _take_state(
    record: Record,
    data: mmap.mmap | bytes,
    states: list[State],
    found: Recovered,
    path: Path,
    shape: tuple[int, int] | None,
) -> bool:
    try:
        states.append(State.unpack(record.number, record.payload(data), shape))
    except OtherSizeError as error:
        found.shape, found.other_size = error.shape, True
    except DamagedError:
        found.damaged.append(path)
        return False
    return True


def _cut_at_gap(found: Recovered) -> None:
    """Keep the operations that follow the start one after the other."""
    number = found.start.number if found.start is not None else 0
    # What stood at the torn end is in a snapshot that is newer than everything before the end.
    covered = number > max((record.number for record in found.operations), default=0)
    kept: list[Record] = []
    for record in sorted(found.operations, key=lambda record: record.number):
        if record.number <= number:
            continue
        if record.number != number + 1:
            break
        kept.append(record)
        number += 1
    found.lost = number < found.last or (found.torn and not found.cut_short and not covered)
    found.operations = kept


def _drop_unreadable(found: Recovered) -> None:
    """Forget the history beyond a step that is not stored any more."""
    if found.start is None:
        return
    readable = [ref.token in found.steps for ref in found.start.done]
    if not all(readable):
        found.start.done = found.start.done[len(readable) - readable[::-1].index(False) :]
    readable = [ref.token in found.steps for ref in found.start.undone]
    if not all(readable):
        found.start.undone = found.start.undone[: readable.index(False)]


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap | bytes | None]:
    """Give a file's bytes without reading them all; None when there is no such file."""
    with contextlib.ExitStack() as stack:
        data: mmap.mmap | bytes | None = None
        try:
            stream = stack.enter_context(open_regular(path))
            data = b""
            if stream.seek(0, 2):
                data = stack.enter_context(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ProjectError(f"{path} cannot be read: {error.strerror or error}. Nothing was changed.") from error
        yield data


def keep_damaged(found: Recovered, what: str) -> list[str]:
    """Copy the damaged files aside and return a sentence about each.

    Raises
    ------
    OSError
        When one cannot be copied.
    """
    sentences = []
    for path in dict.fromkeys(found.damaged):
        kept = set_aside(path)
        sentences.append(damage_sentence(found, path, what, f"The damaged file is kept as {kept.name}."))
    return sentences


def damage_sentence(found: Recovered, path: Path, what: str, more: str = "") -> str:
    """Say what a damaged file means for the drawing."""
    lost = "every edit before the damage is there, later ones may be missing"
    effect = lost if found.lost else "no cell was lost"
    return f"{path.name} of {what} was damaged: {effect}. {more}".strip()
