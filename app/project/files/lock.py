"""The mark in a project folder that says who has it open."""

from __future__ import annotations

import contextlib
import errno
import getpass
import json
import os
import socket
import stat
import time
import uuid
import zlib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from ...base.foreign import parse_json, read_regular
from ...base.processes import started

NAME = ".lock"
#: A lock whose writer was interrupted before it wrote a word is respected this long.
_YOUNG_SECONDS = 1.0
#: How often it is tried to get it, and how long somebody who has it needs at most to write who he is.
_ATTEMPTS, _WORD_SECONDS = 20, 0.05
#: Without locks of the system: how long it takes until a file that was put in its place is seen.
_SETTLE_SECONDS = 0.1
#: Bytes of a lock, and a place behind all of them.
_LONGEST, _FAR = 1 << 16, 1 << 30
#: A link is not followed, a pipe not waited for, and no child process inherits the lock.
_FLAGS = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", getattr(os, "O_NOINHERIT", 0))
    | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a project open.

    Attributes
    ----------
    host, user
        Computer and person.
    pid, started
        The process, and what tells it from a later one of the same number.
    space
        The space its number is counted in (containers have their own).
    since
        When, for people.
    token
        Of this lock alone.
    """

    host: str
    user: str
    pid: int
    started: str
    space: str
    since: str
    token: str

    @classmethod
    def me(cls) -> Holder:
        """Describe this process."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError, ImportError):
            user = ""
        now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
        return cls(socket.gethostname(), user, os.getpid(), started(os.getpid()), _space(), now, uuid.uuid4().hex)

    @classmethod
    def somebody(cls) -> Holder:
        """Describe a holder of whom nothing is known but that there is one."""
        now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
        return cls(socket.gethostname(), "", 0, "", "", now, "")

    def alive(self) -> bool:
        """Whether that process still runs; True where this cannot be known."""
        if self.host != socket.gethostname() or self.space != _space():
            return True
        return started(self.pid) == self.started != ""

    def sentence(self) -> str:
        """Say who it is and what that means."""
        if self.host != socket.gethostname():
            return (
                f"The project is open on the computer {self.host} (since {self.since}), so it can only be looked at "
                f"here. Close it there; if it is not open there any more, delete the file {NAME} in its folder."
            )
        return (
            f"The project is open in another window (since {self.since}), so it can only be looked at here. "
            "Close it there first."
        )


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except (OSError, ValueError):
        return ""


class Lock:
    """A lock that is held until `release`.

    Two things say so: the operating system's own lock on the open file, which ends with the process whatever happens
    to it, and the file's content, which says who it is, also where the system has no such locks.
    """

    def __init__(self, path: Path, holder: Holder, handle: int | None) -> None:
        self.path = path
        self.holder = holder
        self._handle = handle

    def release(self) -> None:
        """Let go; the lock of somebody else who took the place is left alone."""
        ours = _is_at(self._handle, self.path) if self._handle is not None else True
        if os.name == "nt":
            self.pause()  # a file that is open cannot be removed there
        if ours and _holder(_bytes(self.path)) == self.holder:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.pause()

    def pause(self) -> None:
        """Give up the system's lock, so that the folder can be renamed everywhere; the content still speaks for us."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(OSError):
                os.close(handle)

    def moved(self, folder: Path) -> None:
        """Follow a folder that was renamed."""
        self.path = folder / NAME
        if self._handle is None:
            with contextlib.suppress(OSError):
                handle = os.open(self.path, os.O_RDWR | _FLAGS)
                self._handle = handle
                if _locked(handle) is not True:
                    self.pause()


def acquire(folder: Path) -> tuple[Lock | None, Holder | None, bool]:
    """Lock a folder.

    Returns
    -------
    tuple
        The lock, or who has it; and whether a lock of a process that is gone was found.

    Raises
    ------
    OSError
        When nothing can be written there.
    """
    path = folder / NAME
    stale = False
    for _ in range(_ATTEMPTS):
        handle, new = _opened(path)
        if handle is None:
            continue
        got = _locked(handle)
        if got and not _is_at(handle, path):
            # Its holder took it away between our opening and locking it.
            os.close(handle)
            continue
        # Read once: what is decided by is what is replaced.
        data = _content(handle)
        if got is not False and not new:
            while not data and _young(path):
                time.sleep(_WORD_SECONDS)  # a program without locks of the system is just writing it
                data = _content(handle)
        found = _holder(data)
        alive = found is not None and found.alive()
        if got is False or alive:
            os.close(handle)
            if alive:
                return None, found, stale
            time.sleep(_WORD_SECONDS)  # who has it is just writing who he is
            continue
        stale = stale or not new
        held = _take(path, handle, data, locked=bool(got))
        if held is not None:
            return held, None, stale
    return None, _holder(_bytes(path)) or Holder.somebody(), stale


def _opened(path: Path) -> tuple[int | None, bool]:
    """Open the file, or make it; None when it came or went at this moment.  Tells whether it is new."""
    with contextlib.suppress(FileExistsError):
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | _FLAGS, 0o666), True
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            path.unlink()  # a link or a pipe is no lock of ours
            return None, False
        return os.open(path, os.O_RDWR | _FLAGS), False
    except FileNotFoundError:
        return None, False
    except PermissionError:
        # That of another user: it can be looked at, and replaced in a folder that is ours too.
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, os.O_RDONLY | _FLAGS), False
        return None, False


def _take(path: Path, handle: int, data: bytes, *, locked: bool) -> Lock | None:
    """Make a lock ours that nobody holds; None when somebody else was quicker."""
    me = Holder.me()
    if locked:
        try:
            os.ftruncate(handle, 0)
            _write(handle, me)
        except OSError as error:
            # Opened for looking only (another user's): a new one takes its place.
            try:
                if error.errno not in (errno.EBADF, errno.EINVAL, errno.EACCES, errno.EPERM):
                    raise
                path.unlink(missing_ok=True)
            finally:
                os.close(handle)
            return None
        return Lock(path, me, handle)
    # Without locks of the system: a new file, which only one can make, and a look whether it stayed.
    os.close(handle)
    _take_away(path, data)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _FLAGS, 0o666)
    except FileExistsError:
        return None
    try:
        _write(handle, me)
    finally:
        os.close(handle)
    time.sleep(_SETTLE_SECONDS)
    return Lock(path, me, None) if _holder(_bytes(path)) == me else None


def _write(handle: int, holder: Holder) -> None:
    os.lseek(handle, 0, os.SEEK_SET)
    data = _packed(holder)
    while data:
        data = data[os.write(handle, data) :]


def _locked(handle: int) -> bool | None:
    """Take the system's lock of an open file; False: another process has it, None: there are none here."""
    try:
        if os.name == "nt":
            import msvcrt

            # Far behind the content, which others must be able to read.
            os.lseek(handle, _FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if isinstance(error, BlockingIOError) or (os.name == "nt" and error.errno in (errno.EACCES, errno.EDEADLK)):
            return False
        return None
    return True


def _is_at(handle: int | None, path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return handle is not None and os.path.samestat(os.fstat(handle), path.lstat())
    except OSError:
        return False


def holder_of(folder: Path) -> Holder | None:
    """Return who has a project open now, None when nobody has."""
    found = _holder(_bytes(folder / NAME))
    return found if found is not None and found.alive() else None


def _young(path: Path) -> bool:
    """Whether a lock without content may be just being written."""
    try:
        state = path.stat()
    except OSError:
        return False
    return state.st_size == 0 and abs(time.time() - state.st_mtime) < _YOUNG_SECONDS


def _take_away(path: Path, expected: bytes) -> None:
    """Remove a stale lock, but not one that another process put there in the meantime."""
    aside = path.with_name(f"{NAME}-{uuid.uuid4().hex[:8]}")
    with contextlib.suppress(OSError):
        path.rename(aside)
        if _bytes(aside) != expected:
            with contextlib.suppress(OSError):
                os.link(aside, path)
        aside.unlink()


def _content(handle: int) -> bytes:
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        return os.read(handle, _LONGEST)
    except OSError:
        return b""


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path, _LONGEST)
    except OSError:
        return b""


def _holder(data: bytes) -> Holder | None:
    """Return whom a lock's content names; a damaged one could name anybody and names nobody."""
    try:
        values = parse_json(data, _LONGEST)
        values.pop("crc32", None)
        holder = Holder(**values)
        return holder if _packed(holder) == data else None
    except (ValueError, TypeError, AttributeError):
        return None


def _packed(holder: Holder) -> bytes:
    values = asdict(holder)
    values["crc32"] = zlib.crc32(json.dumps(values).encode())
    return json.dumps(values).encode()
