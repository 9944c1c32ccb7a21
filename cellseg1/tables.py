"""Tables as CSV files that a spreadsheet opens as they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from cellseg1.text import safe_text

#: A spreadsheet takes a cell that begins so for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def safe_cell(value: Any) -> Any:
    """Return a value as it may stand in a CSV file: a text that would run as a formula gets a leading apostrophe.

    Numbers stay numbers, also negative ones.
    """
    if not isinstance(value, str):
        return value
    text = safe_text(value).replace("\0", "")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def joined_by_tabs(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as a spreadsheet takes them from the clipboard; no cell breaks its row, whatever it holds.

    Numbers that are already written as texts stay as they are: texts of others must have gone through `safe_cell`.
    """
    text = io.StringIO(newline="")
    # Of the characters that end a line the writer quotes only its own.
    plain = ([one.replace("\r", "\n") if isinstance(one, str) else one for one in row] for row in rows)
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(plain)
    return text.getvalue()


def csv_bytes(rows: Iterable[Sequence[Any]], *, delimiter: str = ",") -> bytes:
    """Return rows as CSV in UTF-8, with the mark by which Excel reads names with umlauts correctly."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")
