"""Reading untrusted data: limits before parsing, and one kind of error.

Damaged and malicious bytes make parsers raise far more than ``ValueError`` (RecursionError for deep nesting,
OverflowError for ``1e400``, MemoryError for a huge count ...).  `boundary` turns all of them into the caller's
sentence.
"""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from cellseg1.errors import CellSeg1Error
from cellseg1.regular import MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def parse_json(data: bytes | str, most: int = MOST_BYTES) -> dict[str, Any]:
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
