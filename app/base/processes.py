"""Identifying a process beyond its number, which systems reuse.  Imports neither Qt nor torch."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil

#: Tolerance in seconds of a start time, where nothing better was stored.
_TOLERANCE = 1.0


def started(pid: int) -> str:
    """Return an identifier of a running process that differs from later ones of its number; empty when it is gone."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        if platform.system() == "Linux":
            # psutil's start time changes when the clock is set; these two numbers do not.
            ticks = (
                Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()[19]
            )
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            return f"{boot}/{ticks}"
        return str(round(process.create_time()))
    except (psutil.Error, OSError, ValueError, IndexError):
        return ""


def lives(pid: object, started_as: object = "", created: object = None) -> bool:
    """Tell whether a recorded process still runs; never raises, whatever the record holds.

    Parameters
    ----------
    started_as
        The result of `started` for it.
    created
        Its start time (seconds since the epoch), in records of older versions without `started_as`; None for any.
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
