"""A lock file for one writer at a time, across processes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from cellseg1.errors import OutputError
from cellseg1.files import describe_os_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, timeout: float = 60) -> Iterator[None]:
    """Hold a lock file; the operating system releases it when the process ends, even in a crash.

    Parameters
    ----------
    path
        The lock file; it stays, because removing it would let two writers in.
    timeout
        How long to wait for another writer, in seconds.

    Raises
    ------
    OutputError
        When another writer holds it for longer, or the file system does not support locks.
    """
    import filelock

    lock = filelock.FileLock(path, timeout=timeout)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout as error:
        raise OutputError(f"Another program is writing in {path.parent}; wait for it, or stop it.") from error
    except (OSError, NotImplementedError) as error:
        why = describe_os_error(error) if isinstance(error, OSError) else "its disk knows no locks"
        raise OutputError(f"Cannot write in {path.parent}: {why}. Choose another folder.") from error
    try:
        yield
    finally:
        lock.release()
