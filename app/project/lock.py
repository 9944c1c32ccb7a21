"""The mark in a project folder that says who has it open."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import platform
import socket
import time
import uuid
import zlib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

NAME = ".lock"
#: A lock whose writer was interrupted before it wrote a word is respected this long.
_YOUNG_SECONDS = 1.0


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


def started(pid: int) -> str:
    """Return what is the same as long as a process lives and of no other of that number; empty when it is not there."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        if platform.system() == "Linux":
            # psutil's time of start moves when the clock is set; these two numbers do not.
            ticks = (
                Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()[19]
            )
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            return f"{boot}/{ticks}"
        return str(round(process.create_time()))
    except (psutil.Error, OSError, ValueError, IndexError):
        return ""


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except (OSError, ValueError):
        return ""


class Lock:
    """A lock that is held until `release`."""

    def __init__(self, path: Path, holder: Holder) -> None:
        self.path = path
        self.holder = holder

    def release(self) -> None:
        """Let go; the lock of somebody else who took the place is left alone."""
        if _read(self.path) == self.holder:
            with contextlib.suppress(OSError):
                self.path.unlink()

    def moved(self, folder: Path) -> None:
        """Follow a folder that was renamed."""
        self.path = folder / NAME


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
    for _ in range(10):
        me = Holder.me()
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            found, data = _read(path), _bytes(path)
            if found is not None and found.alive():
                return None, found, stale
            if found is None and _young(path):
                time.sleep(0.2)
                continue
            stale = True
            _take_away(path, data)
            continue
        with os.fdopen(handle, "wb") as stream:
            stream.write(_packed(me))
        return Lock(path, me), None, stale
    found = _read(path)
    return None, found or Holder.me(), stale


def holder_of(folder: Path) -> Holder | None:
    """Return who has a project open now, None when nobody has."""
    found = _read(folder / NAME)
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


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _read(path: Path) -> Holder | None:
    try:
        data = _bytes(path)
        values: dict[str, Any] = json.loads(data)
        values.pop("crc32", None)
        holder = Holder(**values)
    except (ValueError, TypeError, AttributeError):
        return None
    # A damaged lock could name anybody.
    return holder if _packed(holder) == data else None


def _packed(holder: Holder) -> bytes:
    values = asdict(holder)
    values["crc32"] = zlib.crc32(json.dumps(values).encode())
    return json.dumps(values).encode()
