"""How the program ended last time (docs/decisions/0025-garbage-and-crashes.md).

A running window has a mark in the log folder, ``running-PID.json``, and beside it ``crash-PID.txt``, into which Python
writes where it was when the system ends it (faulthandler).  Both go when the window ends as asked.  A mark whose
process is gone says that it did not.  Engines have none: they are no windows.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from cellseg1.errors import CellSeg1Error
from cellseg1.files import write_bytes

log = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Clocks are set now and then: two starts of the computer are further apart.
_SAME_BOOT_SECONDS = 120.0
_SAME_PROCESS_SECONDS = 2.0
_MOST_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class UnexpectedEnd:
    """An earlier window that did not end as asked.

    Attributes
    ----------
    restarted
        Whether the computer was switched off or restarted since it began.
    project
        The project that was open, None when there was none.
    report
        What is known, for the log.
    """

    restarted: bool
    project: Path | None
    report: str


class RunningMark:
    """The mark of this process: says to later starts that a window runs, and which project is open in it.

    A folder that cannot be written leaves the program without a mark; it works all the same.
    """

    def __init__(self, folder: Path) -> None:
        self._mark = folder / f"running-{os.getpid()}.json"
        self._crash = folder / f"crash-{os.getpid()}.txt"
        self._facts: dict[str, Any] = {
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "computer": platform.node(),
            "boot": _boot(),
            "project": None,
        }
        self._was_enabled = faulthandler.is_enabled()
        self._file: IO[bytes] | None = None
        self._write()
        with contextlib.suppress(OSError):
            self._file = self._crash.open("wb")
            faulthandler.enable(self._file)

    def set_project(self, folder: Path | None) -> None:
        """Note which project is open."""
        value = None if folder is None else str(folder)
        if value != self._facts["project"]:
            self._facts["project"] = value
            self._write()

    def _write(self) -> None:
        try:
            write_bytes(self._mark, json.dumps(self._facts).encode())
        except (CellSeg1Error, OSError) as error:
            log.warning("no mark that the program runs: %s", error)

    def end(self) -> None:
        """Take the mark away: the window ends as asked."""
        if self._file is not None:
            faulthandler.disable()
            self._file.close()
            self._file = None
            if self._was_enabled:
                with contextlib.suppress(ValueError, OSError, RuntimeError):  # a window has no place for errors
                    faulthandler.enable()
        for path in (self._mark, self._crash):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def look_back(folder: Path) -> UnexpectedEnd | None:
    """Return how the last window ended, None when it was as asked; what it left is written to the log and removed."""
    found: list[tuple[float, UnexpectedEnd]] = []
    for mark in folder.glob("running-*.json"):
        facts = _read(mark)
        if facts is not None and not _is_over(facts):
            continue
        crash = mark.with_name(mark.name.replace("running-", "crash-")).with_suffix(".txt")
        if facts is not None:
            found.append((facts["started"], _end(facts, crash)))
        for path in (mark, crash):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    if not found:
        return None
    for _started, end in sorted(found, key=lambda one: one[0]):
        log.error("%s", end.report)
    return max(found, key=lambda one: one[0])[1]


def _end(facts: dict[str, Any], crash: Path) -> UnexpectedEnd:
    restarted = not _same_boot(facts["boot"], _boot())
    try:
        with crash.open("rb") as file:
            where = file.read(_MOST_BYTES).decode(errors="replace").strip()
    except OSError:
        where = ""
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts["started"]))
    what = "The computer was switched off or restarted" if restarted else "The program ended unexpectedly"
    nothing = "Nothing was written at its end: it was ended from outside, or the memory was full."
    report = f"{what} (process {facts['pid']}, begun {started}, project {facts['project'] or 'none'}).\n"
    return UnexpectedEnd(
        restarted=restarted,
        project=Path(facts["project"]) if facts["project"] else None,
        report=report + (where or ("" if restarted else nothing)),
    )


def _read(mark: Path) -> dict[str, Any] | None:
    """Return what a mark says, None when it is damaged."""
    try:
        facts = json.loads(mark.read_bytes()[:_MOST_BYTES])
        return {
            "pid": int(facts["pid"]),
            "started": float(facts["started"]),
            "computer": str(facts["computer"]),
            "boot": str(facts["boot"]),
            "project": facts["project"] if isinstance(facts["project"], str) else None,
        }
    except (OSError, ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None


def _is_over(facts: dict[str, Any]) -> bool:
    """Whether the window of a mark is gone; what runs on another computer with the same folder, nobody knows here."""
    if facts["computer"] != platform.node():
        return False
    if not _same_boot(facts["boot"], _boot()):
        return True
    try:
        process = psutil.Process(facts["pid"])
        return bool(
            process.status() == psutil.STATUS_ZOMBIE
            or abs(process.create_time() - facts["started"]) > _SAME_PROCESS_SECONDS
        )
    except psutil.AccessDenied:
        return False
    except (psutil.Error, ValueError, OverflowError):
        return True


def _boot() -> str:
    """Return what tells one start of the computer from another."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return str(psutil.boot_time())


def _same_boot(one: str, other: str) -> bool:
    try:
        return abs(float(one) - float(other)) < _SAME_BOOT_SECONDS
    except ValueError:
        return one == other
