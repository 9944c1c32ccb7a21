"""Reading untrusted data: limits before parsing, and one kind of error.

Damaged and malicious bytes make parsers raise far more than ``ValueError`` (RecursionError for deep nesting,
OverflowError for ``1e400``, MemoryError for a huge count ...).  `boundary` turns all of them into the caller's
sentence.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from cellseg1.errors import CellSeg1Error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Most bytes of JSON: about 250,000 images of a project.
LARGEST_JSON = 128 << 20
#: Most lists and objects in it; they take much more memory than their two characters.
_MOST_CONTAINERS = 2_000_000

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def boundary(told: Callable[[str], Exception], what: object = "") -> Iterator[None]:
    """Turn every exception of a parser into the one that `told` makes from its cause; own errors pass unchanged."""
    try:
        yield
    except CellSeg1Error:
        raise
    except Exception as error:
        _log.info("%s not understood", what or "stored bytes", exc_info=True)
        raise told(cause_of(error)) from error


def cause_of(error: Exception) -> str:
    """Return the cause of a parser's error in a few words."""
    match error:
        case RecursionError():
            return "it is nested too deeply"
        case MemoryError():
            return "it would not fit into memory"
        case KeyError():
            return f"it lacks {str(error)[:100]}"
        case _:
            return str(error)[:200] or type(error).__name__


def parse_json(data: bytes | str, most: int = LARGEST_JSON) -> dict[str, Any]:
    """Return a JSON object; ValueError for anything else, also for numbers that are not finite.

    Parameters
    ----------
    most
        Most bytes to parse.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    if raw.count(b"{") + raw.count(b"[") > _MOST_CONTAINERS:
        raise ValueError("it holds too many parts")
    try:
        value = json.loads(raw, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - a value of a file, not an argument
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:30]} is too large")
    return value


def is_file(path: Path) -> bool:
    """Tell whether a stored path is a regular file; False also for invalid paths."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def open_regular(path: Path, mode: str = "rb", *, buffering: int = -1) -> BinaryIO:
    """Open an existing regular file; OSError for pipes, devices and folders, which could block for ever.

    Parameters
    ----------
    mode
        ``rb`` or ``r+b``.
    """
    flags = (os.O_RDONLY if mode == "rb" else os.O_RDWR) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    # Without this flag, opening a pipe waits for its other end.
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return cast("BinaryIO", os.fdopen(handle, mode, buffering=buffering))
    os.close(handle)
    raise OSError(22, "it is no ordinary file", str(path))


def read_regular(path: Path, most: int = LARGEST_JSON) -> bytes:
    """Return the bytes of a regular file that is not larger than `most`.

    Raises
    ------
    OSError
        When it cannot be read, is no regular file, or is larger.
    """
    with open_regular(path) as stream:
        data = read_most(stream, most)
    if data is None:
        raise OSError(27, f"it is larger than {most:,} bytes", str(path))
    return data


def read_most(stream: IO[bytes], most: int) -> bytes | None:
    """Return the content of a stream; None when it exceeds `most` bytes."""
    data = stream.read(most + 1)
    return None if len(data) > most else data
