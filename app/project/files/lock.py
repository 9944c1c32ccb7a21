"""The lock file in a project folder, which names its holder."""

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

from cellseg1.regular import read_regular

from ...base.foreign import parse_json
from ...base.processes import started

NAME = ".lock"
#: An empty lock file is respected this long, in seconds.
_YOUNG_SECONDS = 1.0
#: Number of attempts, and the longest time in seconds until a holder has written its content.
_ATTEMPTS, _WORD_SECONDS = 20, 0.05
#: Without locks of the system: time in seconds until a replaced file is visible.
_SETTLE_SECONDS = 0.1
#: Most bytes of a lock file, and an offset behind all of them.
_LONGEST, _FAR = 1 << 16, 1 << 30
#: Flags: follow no link, do not block on a pipe, do not let child processes inherit the lock.
_FLAGS = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", getattr(os, "O_NOINHERIT", 0))
    | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a project's lock.

    Attributes
    ----------
    host, user
        Computer and person.
    pid, started
        The process, and an identifier that later processes of its number do not have.
    space
        The namespace of its process number (containers have their own).
    since
        When, for people.
    token
        Unique to this lock.
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
        """Describe an unknown holder."""
        now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
        return cls(socket.gethostname(), "", 0, "", "", now, "")

    def alive(self) -> bool:
        """Whether that process still runs; True where this cannot be known."""
        if self.host != socket.gethostname() or self.space != _space():
            return True
        return started(self.pid) == self.started != ""

    def sentence(self) -> str:
        """The sentence for the user about the holder."""
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

    It has two parts: the operating system's lock on the open file, which always ends with the process, and the file's
    content, which names the holder, also where the system has no such locks.
    """

    def __init__(self, path: Path, holder: Holder, handle: int | None) -> None:
        self.path = path
        self.holder = holder
        self._handle = handle

    def release(self) -> None:
        """Release the lock; a lock file of another holder is left alone."""
        ours = _is_at(self._handle, self.path) if self._handle is not None else True
        if os.name == "nt":
            self.pause()  # an open file cannot be removed there
        if ours and _holder(_bytes(self.path)) == self.holder:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.pause()

    def pause(self) -> None:
        """Give up the system's lock, so that the folder can be renamed on every system; the content still names us."""
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
        The lock, or its holder; and whether a lock of a dead process was found.

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
            # Its holder removed it between our opening and locking.
            os.close(handle)
            continue
        # Read once, so that the decision is about the content that is replaced.
        data = _content(handle)
        if got is not False and not new:
            while not data and _young(path):
                time.sleep(_WORD_SECONDS)  # another program without system locks is writing it
                data = _content(handle)
        found = _holder(data)
        alive = found is not None and found.alive()
        if got is False or alive:
            os.close(handle)
            if alive:
                return None, found, stale
            time.sleep(_WORD_SECONDS)  # its holder is writing the content
            continue
        stale = stale or not new
        held = _take(path, handle, data, locked=bool(got))
        if held is not None:
            return held, None, stale
    return None, _holder(_bytes(path)) or Holder.somebody(), stale


def _opened(path: Path) -> tuple[int | None, bool]:
    """Open or make the file; None when it appeared or vanished at this moment.  Also return whether it is new."""
    with contextlib.suppress(FileExistsError):
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | _FLAGS, 0o666), True
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            path.unlink()  # a link or a pipe is no lock file
            return None, False
        return os.open(path, os.O_RDWR | _FLAGS), False
    except FileNotFoundError:
        return None, False
    except PermissionError:
        # A file of another user: it can be read, and replaced in a shared folder.
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, os.O_RDONLY | _FLAGS), False
        return None, False


def _take(path: Path, handle: int, data: bytes, *, locked: bool) -> Lock | None:
    """Take a lock that nobody holds; None when another process was faster."""
    me = Holder.me()
    if locked:
        try:
            os.ftruncate(handle, 0)
            _write(handle, me)
        except OSError as error:
            # Opened for reading only (another user's): a new file replaces it.
            try:
                if error.errno not in (errno.EBADF, errno.EINVAL, errno.EACCES, errno.EPERM):
                    raise
                path.unlink(missing_ok=True)
            finally:
                os.close(handle)
            return None
        return Lock(path, me, handle)
    # Without locks of the system: a new file, which only one process can make, and a check that it stayed.
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
    """Take the system's lock of an open file; False: another process has it; None: not supported here."""
    try:
        if os.name == "nt":
            import msvcrt

            # Far behind the content, which must stay readable for others.
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
    """Tell whether an open file is still the one at a path."""
    try:
        return handle is not None and os.path.samestat(os.fstat(handle), path.lstat())
    except OSError:
        return False


def holder_of(folder: Path) -> Holder | None:
    """Return the current holder of a project, None without one."""
    found = _holder(_bytes(folder / NAME))
    return found if found is not None and found.alive() else None


def _young(path: Path) -> bool:
    """Tell whether an empty lock file may still be in writing."""
    try:
        state = path.stat()
    except OSError:
        return False
    return state.st_size == 0 and abs(time.time() - state.st_mtime) < _YOUNG_SECONDS


def _take_away(path: Path, expected: bytes) -> None:
    """Remove a stale lock file, but not a newer one of another process."""
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
    """Return the holder named by a lock's content; None for damaged content."""
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
