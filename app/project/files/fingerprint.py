"""Telling whether a file is still the one that was added, without reading all of it."""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING, Any

from cellseg1.errors import OutputError
from cellseg1.files import atomic_write
from cellseg1.regular import open_regular

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_END = 64 << 10
_CHUNK = 1 << 20


def fingerprint(path: Path) -> dict[str, Any]:
    """Return size, time, and the hash of both ends of a file.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    with open_regular(path) as stream:
        size = stream.seek(0, 2)
        ends = _ends(stream, size)
    return {"size": size, "mtime_ns": path.stat().st_mtime_ns, "ends": ends}


def _ends(stream: BinaryIO, size: int) -> str:
    stream.seek(0)
    seen = hashlib.sha256(stream.read(_END))
    if size > _END:
        stream.seek(max(_END, size - _END))
        seen.update(stream.read(_END))
    return seen.hexdigest()


def full_hash(path: Path) -> str:
    """Return the SHA-256 of a whole file; OSError when it cannot be read."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def same_content(path: Path, known: dict[str, Any]) -> bool:
    """Whether a file still holds what its fingerprint was made of; False when it cannot be read."""
    try:
        state = path.stat()
        if state.st_size != known.get("size") or not stat.S_ISREG(state.st_mode):
            return False
        if state.st_mtime_ns == known.get("mtime_ns"):
            return True
        if known.get("sha256"):
            return bool(full_hash(path) == known["sha256"])
        return bool(fingerprint(path)["ends"] == known.get("ends"))
    except OSError:
        return False


def copy_file(source: Path, target: Path) -> dict[str, Any]:
    """Copy a file atomically; returns the copy's fingerprint, whole hash included.

    Raises
    ------
    OutputError
        When the copy cannot be written.
    OSError
        When the source cannot be read.
    """
    whole = hashlib.sha256()
    with open_regular(source) as stream, atomic_write(target) as out:
        while True:
            try:
                data = stream.read(_CHUNK)
            except OSError as error:
                raise UnreadableError(f"{source.name} cannot be read: {error.strerror or error}.") from error
            if not data:
                break
            whole.update(data)
            out.write(data)
    return {**fingerprint(target), "sha256": whole.hexdigest()}


class UnreadableError(OutputError):
    """A file cannot be read to its end while it is copied."""
