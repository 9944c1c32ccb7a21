"""Text that can be written to any file or terminal, with any file names in it.

File names are bytes; Python represents invalid UTF-8 as lone surrogates, which JSON in UTF-8, terminals and
safetensors headers cannot encode.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
#: Control characters except tab and line feed, and marks of the writing direction.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def composed(text: str) -> str:
    """Return the text with accents composed (NFC): one system stores "é" as two characters, another one as one."""
    return unicodedata.normalize("NFC", text)


def safe_text(text: str) -> str:
    r"""Return `text` with invalid bytes escaped: the byte E9 of a file name as ``\xe9``."""
    return _SURROGATE.sub(_written_out, text)


def terminal_text(text: str) -> str:
    r"""Return `safe_text` with control characters of terminals escaped: ``\x1b`` for an escape."""
    return _STEERING.sub(_written_out, safe_text(text))


def _written_out(found: re.Match[str]) -> str:
    number = ord(found.group())
    # Python represents the invalid byte 0xNN of a file name as U+DCNN.
    byte = number - 0xDC00 if 0xDC80 <= number <= 0xDCFF else number
    return f"\\x{byte:02x}" if byte < 0x100 else f"\\u{number:04x}"


def safe_values(values: Any) -> Any:
    """Return plain JSON values with every text made safe, including keys."""
    if isinstance(values, str):
        return safe_text(values)
    if isinstance(values, dict):
        return {safe_text(key) if isinstance(key, str) else key: safe_values(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [safe_values(value) for value in values]
    return values


def json_text(values: Any, indent: int | None = None) -> str:
    """Return plain values as JSON without lone surrogates; NaN is refused (ValueError)."""
    return json.dumps(safe_values(values), indent=indent, ensure_ascii=False, allow_nan=False)


#: Deepest nesting; the program writes less.
_DEEPEST = 64


def parse_json(data: bytes | str) -> Any:
    """Parse untrusted JSON.

    Raises
    ------
    ValueError
        When it is no JSON, nested too deeply, or has NaN or infinite numbers (NaN, Infinity, 1e400).
    """
    try:
        values = json.loads(data, parse_float=_finite, parse_constant=_finite)
        _check_depth(values)
    except RecursionError as error:
        raise ValueError("it goes too deep") from error
    return values


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is not a number")
    return number


def _check_depth(values: Any) -> None:
    level = [values]
    for _ in range(_DEEPEST):
        level = [
            item
            for one in level
            if isinstance(one, (dict, list))
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return
    raise ValueError("it goes too deep")
