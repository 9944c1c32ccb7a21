"""Opening files of others: regular files only, and no more bytes than the caller expects.

Opening a pipe waits for its other end, and a device may never end.  Every reader of the library and of the window opens
files here; each says in its own sentence what was wrong.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO, BinaryIO, cast

#: Most bytes of a file that is read as a whole.
MOST_BYTES = 128 << 20
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotAFileError(OSError):
    """The path is a folder, a pipe, a socket or a device.

    Attributes
    ----------
    kind
        Which one, such as "a pipe".
    """

    def __init__(self, kind: str, path: Path) -> None:
        number = errno.EISDIR if kind == "a folder" else errno.EINVAL
        super().__init__(number, f"it is {kind} and not a file", str(path))
        self.kind = kind


def open_regular(path: Path, mode: str = "rb", *, buffering: int = -1) -> BinaryIO:
    """Open an existing regular file; never block on a pipe or device.

    Parameters
    ----------
    mode
        ``rb`` or ``r+b``.

    Raises
    ------
    NotAFileError
        For anything but a regular file.
    OSError
        When the file does not exist or cannot be opened.
    """
    try:
        _require_regular(path.stat().st_mode, path)
    except ValueError as error:
        raise OSError(errno.EINVAL, "its name has a character that no file name can have", str(path)) from error
    access = os.O_RDONLY if mode == "rb" else os.O_RDWR
    # The file may have been replaced since the check; with O_NONBLOCK opening a pipe does not wait.
    flags = [getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY")]
    handle = os.open(path, access | sum(flags))
    try:
        _require_regular(os.fstat(handle).st_mode, path)
        return cast("BinaryIO", os.fdopen(handle, mode, buffering=buffering))
    except BaseException:
        os.close(handle)
        raise


def _require_regular(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        raise NotAFileError(next((name for test, name in _KINDS if test(mode)), "something else"), path)


def read_regular(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file.

    Raises
    ------
    OSError
        When it cannot be read, is no regular file, or is larger than `most` bytes.
    """
    with open_regular(path) as stream:
        data = read_most(stream, most)
    if data is None:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
    return data


def read_most(stream: IO[bytes], most: int) -> bytes | None:
    """Return the rest of a stream; None when it exceeds `most` bytes."""
    data = stream.read(most + 1)
    return None if len(data) > most else data
