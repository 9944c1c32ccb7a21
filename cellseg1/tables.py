"""Tables as CSV files for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from cellseg1.text import safe_text

#: A spreadsheet runs a cell that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def safe_cell(value: Any) -> Any:
    """Return a value that is safe in a CSV file: a text that would run as a formula gets a leading apostrophe.

    Numbers, also negative ones, stay unchanged.
    """
    if not isinstance(value, str):
        return value
    text = safe_text(value).replace("\0", "")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def joined_by_tabs(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as tab-separated text for the clipboard; line breaks and tabs in cells are quoted.

    Texts are not changed, because they may be formatted numbers: pass untrusted texts through `safe_cell` first.
    """
    text = io.StringIO(newline="")
    # The CSV writer quotes only its own line terminator.
    plain = ([one.replace("\r", "\n") if isinstance(one, str) else one for one in row] for row in rows)
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(plain)
    return text.getvalue()


def csv_bytes(rows: Iterable[Sequence[Any]], *, delimiter: str = ",") -> bytes:
    """Return rows as CSV in UTF-8 with a byte order mark, which Excel needs for non-ASCII names."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")
