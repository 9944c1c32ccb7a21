"""Telling a process from any other that has or had its number.  Imports neither Qt nor torch."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil

#: Seconds that a time of start may be off where nothing better was stored.
_TOLERANCE = 1.0


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


def lives(pid: object, started_as: object = "", created: object = None) -> bool:
    """Tell whether a process that was noted down still runs; whatever the note holds, nothing is raised.

    Parameters
    ----------
    started_as
        What `started` said of it.
    created
        Its time of start (seconds since the epoch), in notes of programs that did not store the other; None for any.
    """
    if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid < 1 << 31:
        return False
    now = started(pid)
    if not now:
        return False
    if isinstance(started_as, str) and started_as:
        return now == started_as
    if not isinstance(created, int | float):
        return True
    try:
        return abs(psutil.Process(pid).create_time() - created) < _TOLERANCE
    except psutil.Error:
        return False
