"""The journal of a plane: every finished edit is handed to the operating system before the next can begin.

What was written survives the end of this process at any moment; a background thread brings it to the disk itself
(`Journal.sync`), so that it soon survives a power cut as well.  When the disk refuses, edits are kept in memory and
written as soon as it takes them again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from typing import IO, TYPE_CHECKING, BinaryIO, Literal, cast

from cellseg1.files import flush_folder, write_with
from cellseg1.regular import open_regular

from ...annotation.steps import HistoryError
from ..files.sealed import dump, set_aside
from .records import HEAD, KINDS, OLD, OVERHEAD, STATE, STEP, Record, State, pack, record_at
from .recovery import SCHEMA, Recovered, recover, snapshot_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Bytes of operations after which the drawing itself is stored again, so that opening after a crash stays quick.
SNAPSHOT_BYTES = 16 << 20
#: Bytes of a journal above which old history is left out.
COMPACT_BYTES = 100 << 20
#: Steps that can be undone after that, at least.
KEPT_STEPS = 500

_CHUNK = 1 << 20


def write_all(stream: IO[bytes], data: bytes) -> None:
    """Write all of `data`; every write of a journal goes through here."""
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


class Journal:
    """The file to which an `app.annotation.Document` writes its history.

    Parameters
    ----------
    path
        The file; made with the first operation.
    shape
        Height and width of the plane.
    found
        The result of `recover` for it.
    on_problem
        Called with an error when writing fails, and with None when it works again; from any thread.
    wake
        Called when there is something to `sync`.
    read_only
        Keep everything in memory.
    there
        Tells whether the project's folder still exists; the file is not made again otherwise.
    on_replaced
        Called after another program replaced or deleted the file and it was written again, with the path and the
        location of the other file.

    Notes
    -----
    Tokens are the numbers of operations, so they stay valid when the file is rewritten or moved.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int],
        found: Recovered | None = None,
        *,
        on_problem: Callable[[OSError | None], None] | None = None,
        wake: Callable[[], None] | None = None,
        read_only: bool = False,
        there: Callable[[], bool] | None = None,
        on_replaced: Callable[[Path, Path | None], None] | None = None,
    ) -> None:
        found = found or Recovered()
        self._on_replaced = on_replaced or (lambda _path, _kept: None)
        self.path: Path = path
        self.shape = shape
        self.read_only = read_only
        self._on_problem = on_problem or (lambda _error: None)
        self._wake = wake or (lambda: None)
        self._lock = threading.RLock()
        self._sync_lock = threading.Lock()
        self._stream: BinaryIO | None = None
        self._steps = found.steps
        self._pending: dict[int, tuple[int, bytes]] = {}
        self._last = found.last
        self._end: int = found.end
        self._there = there or (lambda: not self._end or self.path.parent.is_dir())
        self._cut_short = found.cut_short
        self._mark = 0 if found.snapshot is None else found.end
        self._dirty = False
        self._problem: OSError | None = None
        self._sync_failed = False
        self._repair: Callable[[], None] | None = None
        self._closed = False
        self.snapshot_number = found.snapshot

    # ---- what a document needs

    def append(self, kind: Literal["step", "undo", "redo"], payload: bytes) -> int:
        """Take down an operation; returns its number.  Never fails: what cannot be written now is kept."""
        with self._lock:
            self._last += 1
            number = self._last
            self._pending[number] = KINDS[kind], payload
            self._dirty = True
            self._write_pending()
        if not self.read_only:
            self._wake()
        return number

    def read(self, token: int) -> bytes:
        """Return the payload of a step.

        Raises
        ------
        HistoryError
            When it is not stored any more or damaged.
        """
        with self._lock:
            if token in self._pending:
                return self._pending[token][1]
            record = self._steps.get(token)
            if record is not None:
                with contextlib.suppress(OSError):
                    data = self._read_range(record.start, record.size + OVERHEAD)
                    found = record_at(data, 0)
                    if found is not None and found.number == token:
                        return found.payload(data)
        raise HistoryError(
            "This step of the history is damaged or not stored any more. The drawing itself is unchanged."
        )

    def _read_range(self, start: int, size: int) -> bytes:
        if self._closed:
            with open_regular(self.path) as closed:
                closed.seek(start)
                return _read_exactly(closed, size)
        stream = self._open()
        stream.seek(start)
        return _read_exactly(stream, size)

    # ---- state

    @property
    def last(self) -> int:
        """Number of the newest operation."""
        return self._last

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._end

    @property
    def since_snapshot(self) -> int:
        """Bytes that would have to be replayed."""
        return max(0, self._end - self._mark)

    @property
    def unsaved(self) -> bool:
        """Whether something is only in memory."""
        return bool(self._pending) or self._repair is not None

    def mark(self) -> tuple[int, int]:
        """Return the newest number and where the next record goes: to be taken together with a state."""
        with self._lock:
            return self._last, self._end

    # ---- writing

    def sync(self) -> bool:
        """Bring everything to the disk; False when something could not be written (or the file is gone)."""
        if self.read_only:
            return True
        with self._lock:
            written = self._write_pending()
            dirty, self._dirty = self._dirty, not written
            stream = self._stream
        if not dirty or stream is None:
            return written
        try:
            with self._sync_lock:
                if not stream.closed:
                    os.fsync(stream.fileno())
                    self._check_place(stream)
        except OSError as error:
            with self._lock:
                self._dirty = self._sync_failed = True
                self._report(error)
            return False
        with self._lock:
            self._sync_failed = False
            if written:
                self._report(None)
        return written

    def _check_place(self, stream: BinaryIO) -> None:
        """Notice that the file was deleted or renamed under us: what is written to it then cannot be found again."""
        if os.name == "posix" and not os.path.samestat(os.fstat(stream.fileno()), os.stat(self.path)):  # noqa: PTH116
            raise FileNotFoundError(2, "the project's folder was moved or deleted", str(self.path))

    def _ours(self, stream: BinaryIO) -> BinaryIO:
        """Return the file to write to; another program, such as a synchronisation service, may have replaced it.

        Data written to a file without a name is lost with this process.
        """
        if os.name != "posix" or not self._end or not self._there():
            return stream
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), os.stat(self.path)):  # noqa: PTH116
                return stream
        kept = set_aside(self.path) if self.path.exists() else None
        part = self.path.with_name(f".{self.path.name}.part")
        self._make_folder()
        part.unlink(missing_ok=True)
        with part.open("xb") as copy:
            stream.seek(0)
            _copy(stream, copy, self._end)
            copy.flush()
            os.fsync(copy.fileno())
        with self._sync_lock:
            part.replace(self.path)
            stream.close()
            self._stream = None
        flush_folder(self.path.parent)
        self._on_replaced(self.path, kept)
        return self._open()

    def _make_folder(self) -> None:
        """Make the folder of the file, but never that of the project."""
        if not self._there():
            raise FileNotFoundError(errno.ENOENT, "the project's folder was moved or deleted", str(self.path))
        missing = [one for one in reversed(self.path.parents[:2]) if not one.exists()]
        for folder in missing:
            folder.mkdir(exist_ok=True)

    def _write_pending(self) -> bool:
        if self.read_only:
            return True
        try:
            if self._repair is not None:
                self._repair()
                self._repair = None
            while self._pending:
                number, (kind, payload) = next(iter(self._pending.items()))
                stream = self._ours(self._open(create=True))
                if self._cut_short:
                    # No part of an unfinished record may follow the next one.
                    stream.truncate(self._end)
                    self._cut_short = False
                data = pack(kind, number, payload)
                head = b"" if self._end else self._head()
                stream.seek(self._end)
                try:
                    write_all(stream, head + data)
                except OSError:
                    # Half a record must not stand before the next one.
                    with contextlib.suppress(OSError):
                        stream.truncate(self._end)
                    raise
                if kind == STEP:
                    self._steps[number] = Record(kind, number, self._end + len(head), len(payload))
                self._end += len(head) + len(data)
                del self._pending[number]
        except OSError as error:
            self._report(error)
            return False
        if not self._sync_failed:
            self._report(None)
        return True

    def _report(self, error: OSError | None) -> None:
        if (error is None) != (self._problem is None):
            self._problem = error
            self._on_problem(error)

    def _open(self, *, create: bool = False) -> BinaryIO:
        if self._stream is not None and not self._stream.closed:
            return self._stream
        new = create and self._end == 0 and not self.path.exists()
        if new:
            self._make_folder()
        mode = "rb" if self.read_only else "x+b" if new else "r+b"
        self._stream = cast("BinaryIO", self.path.open(mode, buffering=0))
        if new:
            flush_folder(self.path.parent)
        return self._stream

    def _head(self) -> bytes:
        return 2 * pack(HEAD, 0, dump({"schema": SCHEMA, "shape": list(self.shape)}).encode())

    # ---- states

    def write_snapshot(self, state: State, mark: int, path: Path | None = None) -> None:
        """Store a drawing beside the journal, so that nothing up to it needs to be replayed.

        Raises
        ------
        OutputError
            When it cannot be written.
        """
        data = pack(STATE, state.number, state.pack())
        self._require_folder(path or self.path)
        write_with(snapshot_of(path or self.path), lambda stream: write_all(stream, data))
        with self._lock:
            self.snapshot_number = state.number
            self._mark = min(mark, self._end)

    def _require_folder(self, path: Path) -> None:
        if path == self.path:
            self._make_folder()

    def compact(self, state: State, mark: int, path: Path | None = None) -> None:
        """Write the journal anew: the state, the history that is in it, and what happened since `mark`.

        With `path` it is written there, and the journal goes on in that file.

        Raises
        ------
        OSError
            When it cannot be written; the journal is then as it was.
        """
        path = path or self.path
        self.write_snapshot(state, mark, path)
        temporary = path.with_name(f".{path.name}.part")
        steps: dict[int, Record] = {}
        try:
            if path != self.path:
                path.parent.mkdir(parents=True, exist_ok=True)
            # Do not write to a leftover of a crash, or to a link.
            temporary.unlink(missing_ok=True)
            with temporary.open("xb") as stream:
                for data in (self._head(), pack(STATE, state.number, state.pack())):
                    write_all(stream, data)
                for ref in (*state.done, *state.undone):
                    with contextlib.suppress(HistoryError):
                        number = int(ref.token or 0)
                        payload = self.read(number)
                        steps[number] = Record(OLD, number, stream.tell(), len(payload))
                        write_all(stream, pack(OLD, number, payload))
                stream.flush()
                os.fsync(stream.fileno())
                with self._lock, self._sync_lock:
                    self._swap(stream, temporary, path, steps, state.number, mark)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _swap(
        self, stream: BinaryIO, temporary: Path, path: Path, steps: dict[int, Record], number: int, mark: int
    ) -> None:
        """Add what was written in the meantime and put the new file in the old one's place."""
        at = stream.tell()
        if self._end > mark:
            write_all(stream, self._read_range(mark, self._end - mark))
        end = stream.tell()
        stream.flush()
        os.fsync(stream.fileno())
        stream.close()
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        os.replace(temporary, path)
        flush_folder(path.parent)
        self.path = path
        for old in self._steps.values():
            if old.start >= mark:
                steps[old.number] = Record(old.kind, old.number, old.start - mark + at, old.size)
        self._steps, self._end, self._mark = steps, end, at
        self._pending = {key: value for key, value in self._pending.items() if key > number}

    def repair(self, work: Callable[[], None]) -> None:
        """Do `work` (which writes the journal anew) before anything else is written, now or when the disk allows."""
        with self._lock:
            self._repair = work
            self._write_pending()

    # ---- the file as a whole

    def copy_to(self, target: BinaryIO) -> None:
        """Write a whole journal to another file: what is in this one, and what could not be written to it.

        Raises
        ------
        OSError
            When the file cannot be read any more.
        """
        with self._lock:
            self._write_pending()
            if self._repair is not None:
                raise OSError(5, "the damaged journal could not be written anew")
            rest = b"".join(pack(kind, number, payload) for number, (kind, payload) in self._pending.items())
            if rest and not self._end:
                rest = self._head() + rest
            size = self._end
            # A handle of its own: copying takes long, and the next edit must not wait for it.
            source = open_regular(self.path) if size and self.path.exists() else None
            if size and source is None:
                own = self._open()
                own.seek(0)
                _copy(own, target, size)
        if source is not None:
            with source:
                _copy(source, target, size)
        target.write(rest)

    def release(self) -> None:
        """Close the file so that its folder can be renamed; it is opened again when it is needed."""
        with self._lock, self._sync_lock:
            if self._stream is not None:
                self._stream.close()
                self._stream = None

    def moved(self, path: Path, *, copied: bool = False) -> None:
        """Go on in a file that was renamed, or with `copied` in one made by `copy_to`."""
        with self._lock:
            self.release()
            self.path = path
            if copied:
                found = recover(path)
                self._steps, self._end = found.steps, found.end
                self.snapshot_number = found.snapshot
                self._pending.clear()
                self.writable()

    def writable(self) -> None:
        """Go on in a place that can be written, after another that could not."""
        with self._lock:
            self._repair = None
            self.read_only = self._sync_failed = False
            self._dirty = True
            self._report(None)

    def close(self) -> None:
        """Write what is left and close the file; a document that is used all the same goes on in memory."""
        self.sync()
        self.release()
        self._closed = self.read_only = True


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    parts = []
    while size:
        data = stream.read(size)
        if not data:
            raise OSError(5, "the file is shorter than it was")
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def _copy(source: IO[bytes], target: BinaryIO, size: int) -> None:
    while size:
        data = _read_exactly(source, min(size, _CHUNK))
        target.write(data)
        size -= len(data)


def copy_plain(source: Path, target: BinaryIO) -> None:
    """Copy any other file of a project."""
    with open_regular(source) as stream:
        shutil.copyfileobj(stream, target, _CHUNK)
