"""Memory: recognising errors of full memory, and the memory left for this process.  Imports no torch."""

from __future__ import annotations

import contextlib
import errno
import sys
from pathlib import Path

from cellseg1.errors import ResourceExhaustedError

#: Messages of the allocators of torch, CUDA, cuDNN, cuBLAS, MPS, OpenCV and C++.
_WORDS = (
    "out of memory",
    "not enough memory",
    "insufficient memory",
    "outofmemoryerror",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to allocate",
    "bad_alloc",
    "bad allocation",
    "status_alloc_failed",
)
#: Libraries whose errors do not derive from RuntimeError.
_OF_LIBRARIES = ("error", "DelayedImportError", "ImcdError")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of Python, numpy, OpenCV, the CPU allocator or a GPU means that memory is full."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, ImportError):
        # A library that cannot be loaded within the memory limit of the process.
        return any(
            words in str(error) for words in ("failed to map segment", "annot allocate memory", "allocate memory in")
        )
    text = str(error).lower()
    of_library = isinstance(error, RuntimeError) or type(error).__name__ in _OF_LIBRARIES
    return of_library and any(words in text for words in _WORDS)


def available_bytes() -> int:
    """Return the memory (bytes) left for this process: the least of free memory and its limits.

    Limits are those of the container (control group) and of the process (``ulimit -v``, ``ulimit -d``).
    """
    import psutil

    found = [int(psutil.virtual_memory().available)]
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        found.extend(_of_process())
    with contextlib.suppress(OSError, ValueError):
        found.extend(_of_group())
    return max(0, min(found))


def _of_process() -> list[int]:
    """Return the memory that the limits of the process leave; empty without limits."""
    if sys.platform == "win32":
        return []
    import resource

    import psutil

    used = psutil.Process().memory_info()
    left = []
    for limit, taken in ((resource.RLIMIT_AS, used.vms), (resource.RLIMIT_DATA, getattr(used, "data", used.rss))):
        soft = resource.getrlimit(limit)[0]
        if soft != resource.RLIM_INFINITY:
            left.append(soft - taken)
    return left


def _of_group() -> list[int]:
    """Return the memory that the control groups of this process leave, up to the topmost one (Linux)."""
    listing = Path("/proc/self/cgroup")
    if not listing.exists():
        return []
    left = []
    for line in listing.read_text(encoding="ascii", errors="replace").splitlines():
        _number, kinds, place = line.split(":", 2)
        if kinds not in {"", "memory"} and "memory" not in kinds.split(","):
            continue
        root, names = (
            (Path("/sys/fs/cgroup"), ("memory.max", "memory.current", "inactive_file"))
            if not kinds
            else (
                Path("/sys/fs/cgroup/memory"),
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            )
        )
        here = root / place.lstrip("/")
        for folder in (here, *here.parents):
            if folder == root.parent:
                break
            left.extend(_left_in(folder, *names))
    return left


def _left_in(folder: Path, limit: str, usage: str, cache: str) -> list[int]:
    try:
        most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
        counted = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such group here, or "max"
        return []
    # Cached files count as used but are freed on demand.
    return [most - used + int(counted.get(cache, 0))]


def check_memory(needed: int, what: str) -> None:
    """Refuse work that needs more memory than is free; the system would end the program without a message.

    Parameters
    ----------
    needed
        Bytes, on top of what is in use.
    what
        What needs them; the beginning of the error message.

    Raises
    ------
    ResourceExhaustedError
        With how much is needed and how much is free.
    """
    free = available_bytes()
    if needed > free:
        raise ResourceExhaustedError(
            f"{what} needs {needed / 2**30:.1f} GB of memory and only {free / 2**30:.1f} GB are free; close other "
            "programs, or cut it into smaller images."
        )
