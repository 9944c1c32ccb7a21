"""Parsing of numbers in both decimal notations (0.65 and 0,65); ambiguous texts are refused."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from cellseg1.errors import SettingsError

#: Equivalent marks, after full-width and narrow forms have been replaced by plain ones.
_SAME: Final = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u066b": ".", "\u066c": ",", "\u2019": "'", "\u2018": "'", "\u02bc": "'"}
)
_NUMBER: Final = re.compile(r"([+-]?)(\d[\d.,' ]*|[.,]\d+)(?:[eE]([+-]?\d{1,6}))?")
#: The incomplete beginning of a number.
_BEGUN: Final = re.compile(r"[+-]?(?:[.,]?|[\d.,' ]+[eE][+-]?)")
_NO_NUMBERS: Final = {"nan", "inf", "+inf", "-inf", "infinity"}
#: Digits between two group marks.
_GROUP: Final = 3


class NumberError(SettingsError):
    """A text that is no number, or is ambiguous.

    Attributes
    ----------
    readings
        The two unambiguous texts of an ambiguous number; empty when the text is no number.
    """

    def __init__(self, sentence: str, readings: tuple[str, str] | tuple[()] = ()) -> None:
        super().__init__(sentence)
        self.readings = readings


def read_number(text: str, decimal: str = ".", *, whole: bool = False) -> float:
    """Return the number of a text, with point or comma as decimal mark.

    Parameters
    ----------
    text
        As typed or pasted.  Spaces, apostrophes, points or commas between groups of three digits are understood.
    decimal
        The decimal mark of the user's locale; it decides texts such as 1,234.
    whole
        Whether a whole number is expected; 1,234 and 1.234 are then ambiguous in every notation.

    Raises
    ------
    NumberError
        When the text is no number, or is ambiguous, such as 1,234 where the decimal mark is a point.
    """
    plain = _plain(text)
    if plain.lower() in _NO_NUMBERS:
        return float(plain)
    match = _NUMBER.fullmatch(plain)
    if match is None:
        raise _no_number(text)
    sign, digits, exponent = match.groups()
    value = f"{sign}{_unified(digits, _plain(decimal), text, whole=whole)}"
    return float(f"{value}e{exponent}" if exponent else value)


def read_numbers(text: str, decimal: str = ".") -> list[float]:
    """Return the numbers of a list: ``0.3, 1``, ``0,3; 1,5``, ``[512, 512]``, ``512 x 512``.

    Raises
    ------
    NumberError
        When a part is no number, or a comma may be a decimal mark or a separator: 0,3.
    """
    plain = _plain(text).strip("[](){} ")
    if ";" in plain:
        words = plain.split(";")
    else:
        words = [word.strip(",") for word in re.split(r"[\sx\N{MULTIPLICATION SIGN}]+", plain)]
    words = [word for word in (word.strip() for word in words) if word]
    if len(words) == 1 and "," in words[0]:
        parts = words[0].split(",")
        if "." not in words[0] and len(parts) == 2 and text.strip()[:1] not in "[({":
            raise NumberError(
                f"{text.strip()!r} can mean one number or two; separate numbers by spaces.",
                (f"{parts[0]}{decimal}{parts[1]}", f"{parts[0]} {parts[1]}"),
            )
        words = parts
    return [read_number(word, decimal) for word in words]


def is_begun(text: str) -> bool:
    """Tell whether a text is an incomplete number: nothing, a sign, a mark, an exponent without digits."""
    return _BEGUN.fullmatch(_plain(text)) is not None


def _plain(text: str) -> str:
    """Return a text with European digits and plain signs; narrow spaces become spaces."""
    normal = unicodedata.normalize("NFKC", text).translate(_SAME).strip()
    # Arabic and Hebrew locales put an invisible mark of the writing direction before a sign.
    seen = (one for one in normal if unicodedata.category(one) != "Cf")
    return "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in seen).strip()


def _unified(digits: str, decimal: str, text: str, *, whole: bool) -> str:
    """Return digits with a point as decimal mark and without groups."""
    marks = [one for one in digits if not one.isdecimal()]
    if not marks:
        return digits
    last = marks[-1]
    if last in ".," and marks.count(last) == 1:
        before, _, after = digits.rpartition(last)
        if len(marks) == 1:
            grouped = len(after) == _GROUP and re.fullmatch(r"[1-9]\d{0,2}", before)
            if grouped and (whole or last != decimal):
                clear = (f"{before}{decimal}{after}", f"{before}{after}")
                raise NumberError(f"{text.strip()!r} can mean {clear[0]} or {clear[1]}; write one of these.", clear)
            return f"{before or '0'}.{after or '0'}"
        return f"{_without_groups(before, text)}.{after or '0'}"
    return _without_groups(digits, text)


def _without_groups(digits: str, text: str) -> str:
    mark = next(one for one in digits if not one.isdecimal())
    if not re.fullmatch(rf"[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+", digits):
        raise _no_number(text)
    return digits.replace(mark, "")


def _no_number(text: str) -> NumberError:
    return NumberError(f"{text.strip()!r} is not a number.")
