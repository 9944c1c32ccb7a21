"""The description of one setting, and the validation of its values.

msgspec validates values against the type and range in the setting's row.  This module first converts other notations
(``3e-3`` as text in published files, 30.0 for 30) and makes one sentence of an error.
"""

from __future__ import annotations

import difflib
import math
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

import msgspec

from cellseg1.errors import SettingsError
from cellseg1.numbers import NumberError, read_number

#: Use of a setting; ``nothing`` for settings that are only read for compatibility.
Use = Literal["train", "predict", "both", "nothing"]
#: Upper limit of settings without their own; no pixel, count or grey value is larger.
_HIGHEST, _HIGHEST_FLOAT = 2**31 - 1, 1e38
#: Most characters of a wrong value in a message.
_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The content of a row beside name, type and default."""

    help: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    multiple_of: int | None = None
    unit: str = ""
    advanced: bool = True
    #: None: that of its group.
    use: Use | None = None
    #: Whether zero and less mean "none", as in the research code.
    zero_is_none: bool = False
    #: The allowed texts, where they are only known at run time.
    choices: Callable[[], tuple[str, ...]] | None = None
    #: Returns the error in a value of the right type and range; empty when there is none.
    check: Callable[[Any], str] | None = None


def row(text: str, **more: Any) -> Told:
    """Describe a setting: help, and the fields of `Told` that differ from their defaults."""
    return Told(help=text, **more)


@dataclass(frozen=True, slots=True)
class Row:
    """One setting.

    Attributes
    ----------
    name, group
        Its name, and its group in `Settings`.
    default
        Value of the published method.
    type
        Its type, without range.
    bounded
        Type with range, for msgspec.
    told
        Help, range and unit.
    use
        ``train``, ``predict``, ``both`` or ``nothing``.
    """

    name: str
    group: str
    default: Any
    type: Any
    bounded: Any
    told: Told
    use: Use

    @property
    def help(self) -> str:
        """One sentence about it."""
        return self.told.help

    @property
    def unit(self) -> str:
        """Unit of its value; may be empty."""
        return self.told.unit

    @property
    def advanced(self) -> bool:
        """Whether it is hidden among advanced settings."""
        return self.told.advanced

    @property
    def allowed(self) -> str:
        """Describe the allowed values in words."""
        if self.told.choices is not None:
            return "one of " + ", ".join(self.told.choices())
        return describe_type(self.type)

    def checked(self, value: Any) -> Any:
        """Return `value` in the type of the setting.

        Raises
        ------
        SettingsError
            One sentence: the setting, the value, and what is allowed.
        """
        if self.told.zero_is_none and _is_zero_or_less(value):
            return None
        try:
            plain = _plain_values(self, value)
            result = msgspec.convert(plain, self.bounded)
        except NumberError:
            raise
        except (msgspec.ValidationError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise SettingsError(_refusal(self, value)) from error
        if self.told.choices is not None and result not in self.told.choices():
            raise SettingsError(_wrong_type(self, value))
        problem = self.told.check(result) if self.told.check is not None else ""
        if problem:
            shown = list(result) if isinstance(result, tuple) else result
            raise SettingsError(f"The setting {self.name} cannot be {shown}: {problem}")
        return result


#: Every setting by name, in the order of the table.
TABLE: dict[str, Row] = {}


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; immutable, checked on construction (`SettingsError`)."""

    def __post_init__(self) -> None:
        """Convert every value to its type and refuse invalid ones."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            checked = TABLE[name].checked(value)
            if checked is not value:
                msgspec.structs.force_setattr(self, name, checked)
        self.check()

    def check(self) -> None:
        """Refuse inconsistent values (`SettingsError`)."""


_G = TypeVar("_G", bound=Group)


def group(name: str, *, use: Use) -> Callable[[type[_G]], type[_G]]:
    """Add the settings of a class to the table as the group `name`, with their `use`."""

    def add(cls: type[_G]) -> type[_G]:
        for item in msgspec.structs.fields(cls):
            plain, told = typing.get_args(item.type)
            assert isinstance(told, Told), item.name
            assert item.name not in TABLE, item.name
            TABLE[item.name] = Row(item.name, name, item.default, plain, _bounded(plain, told), told, told.use or use)
        return cls

    return add


def find_row(name: str) -> Row:
    """Return the row of the setting `name`, which may be written as ``group.name``.

    Raises
    ------
    SettingsError
        When there is no such setting; the sentence names a similar one.
    """
    found = TABLE.get(name)
    if found is not None:
        return found
    before, point, rest = name.partition(".")
    found = TABLE.get(rest) if point else None
    if found is not None and found.group == before:
        return found
    if found is not None:
        raise SettingsError(f"There is no setting {clipped(name)}; {rest} belongs to the group {found.group}.")
    near = difflib.get_close_matches(name[:_SHOWN], TABLE, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; 'cellseg1 train --help' lists them."
    raise SettingsError(f"There is no setting {clipped(name)}{hint}")


def check_value(name: str, value: Any) -> Any:
    """Return `value` in the type of the setting `name`, checked against its range.

    Raises
    ------
    SettingsError
        One sentence: the setting, the value, and what is allowed.
    """
    return find_row(name).checked(value)


def acts_in(name: str, use: Use) -> bool:
    """Tell whether a training or a prediction uses the setting `name`.

    A training also uses settings of the prediction, because it evaluates its model on the training image.
    """
    used = find_row(name).use
    return used in {use, "both"} or (use == "train" and used == "predict")


def describe_type(wanted: Any) -> str:
    """Describe in words the values that the type of a setting allows."""
    origin = typing.get_origin(wanted)
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(option) for option in typing.get_args(wanted))
    if origin is Literal:
        return "one of " + ", ".join(str(option) for option in typing.get_args(wanted))
    if origin is tuple:
        inner = typing.get_args(wanted)
        kind = "whole numbers" if inner[0] is int else "numbers"
        return f"a list of {kind}" if inner[-1] is Ellipsis else f"a list of {len(inner)} {kind}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "none"}[wanted]


def describe_range(told: Told) -> str:
    """Describe the range of a setting: ``, >= 1 and <= 256``; empty without limits."""
    bounds = ((">=", told.ge), (">", told.gt), ("<=", told.le))
    shown = [f"{sign} {_number(bound)}" for sign, bound in bounds if bound is not None]
    return f", {' and '.join(shown)}" if shown else ""


# ---- types with their ranges


def _bounded(wanted: Any, told: Told) -> Any:
    """Return the type with the range of the row on its numbers, also inside lists and unions."""
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (Union, types.UnionType):
        return Union[tuple(_bounded(option, told) for option in inner)]  # noqa: UP007 - made at run time
    if origin is tuple:
        return tuple[tuple(one if one is Ellipsis else _bounded(one, told) for one in inner)]  # type: ignore[misc] # made at run time
    if wanted not in (int, float):
        return wanted
    highest = _HIGHEST if wanted is int else _HIGHEST_FLOAT
    limits: dict[str, float] = {"le": highest if told.le is None else told.le}
    if told.gt == 0 and wanted is float:
        # msgspec keeps "above 0" as the smallest number above it, which is 0 where denormal numbers are flushed.
        limits["ge"] = sys.float_info.min
    elif told.gt is not None:
        limits["gt"] = told.gt
    elif told.ge is not None:
        limits["ge"] = told.ge
    elif wanted is float:
        limits["ge"] = -_HIGHEST_FLOAT
    if told.multiple_of is not None:
        limits["multiple_of"] = told.multiple_of
    return Annotated[wanted, msgspec.Meta(**limits)]  # type: ignore[call-overload] # one of ge and gt, never both


# ---- values as users and published files write them


def _plain_values(row: Row, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain_values(row, item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    kinds = _kinds(row.type)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (int, float)) and float in kinds:
        return float(value)
    if isinstance(value, float) and int in kinds and value.is_integer():
        return int(value)
    if isinstance(value, str) and float in kinds:
        # YAML reads 3e-3 as text; the published files write numbers that way.
        return _number_in(row.name, value)
    return value


def _kinds(wanted: Any) -> set[Any]:
    """Return the plain types that occur in the type of a setting."""
    inner = typing.get_args(wanted)
    if not inner or typing.get_origin(wanted) is Literal:
        return {wanted}
    return {kind for one in inner if one is not Ellipsis for kind in _kinds(one)}


def _number_in(name: str, text: str) -> float | str:
    try:
        return read_number(text)
    except NumberError as error:
        if not error.readings:
            return text
        one, other = error.readings
        raise NumberError(
            f"The setting {name} cannot be {text!r}: it can mean {one} or {other}; write one of these.", error.readings
        ) from error


def _is_zero_or_less(value: Any) -> bool:
    """Tell whether a size is zero or less, which the research code reads as "none"."""
    values = value if isinstance(value, (list, tuple)) and value else (value,)
    numbers = [item for item in values if isinstance(item, (int, float)) and not isinstance(item, bool)]
    return len(numbers) == len(values) and min(numbers) <= 0


# ---- sentences


def _refusal(row: Row, value: Any) -> str:
    """Describe the error in a value: its type, else the first number out of range."""
    try:
        plain = _plain_values(row, value)
        msgspec.convert(plain, row.type)
    except OverflowError:
        return f"The setting {row.name} cannot be {clipped(value)}: it must be a finite number."
    except (msgspec.ValidationError, TypeError, ValueError, RecursionError):
        return _wrong_type(row, value)
    for number in plain if isinstance(plain, list) else [plain]:
        if isinstance(number, (int, float)) and not isinstance(number, bool) and _is_outside(number, row.told):
            return f"The setting {row.name} cannot be {_number(number)}: it must be {_range(number, row.told)}."
    return f"The setting {row.name} cannot be {clipped(value)}: it must be a multiple of {row.told.multiple_of}."


def _wrong_type(row: Row, value: Any) -> str:
    return f"The setting {row.name} cannot be {clipped(value)}: it must be {row.allowed}."


def _is_outside(number: float, told: Told) -> bool:
    le = _most(number, told)
    return not (
        number <= le
        and number >= -_HIGHEST_FLOAT
        and (told.ge is None or number >= told.ge)
        and (told.gt is None or number > told.gt)
    )


def _most(number: float, told: Told) -> float:
    return told.le if told.le is not None else _HIGHEST if isinstance(number, int) else _HIGHEST_FLOAT


def _range(number: float, told: Told) -> str:
    if isinstance(number, float) and not math.isfinite(number):
        return "a finite number"
    low = f"at least {_number(told.ge)}" if told.ge is not None else ""
    low = f"above {_number(told.gt)}" if told.gt is not None else low
    le = _most(number, told)
    high = f"at most {_number(le)}" if number > le or told.le is not None else ""
    return " and ".join(part for part in (low, high) if part) or "a number"


def _number(number: float) -> str:
    """Format a number: whole ones with all digits up to a limit."""
    if not isinstance(number, int):
        return f"{number:g}"
    if abs(number) < 10**20:
        return str(number)
    # Python refuses to format numbers of thousands of digits.
    return f"a number of more than {int((abs(number).bit_length() - 1) * math.log10(2))} digits"


def clipped(value: Any) -> str:
    """Format a wrong value, shortened to fit into a sentence."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return _number(value)
    if isinstance(value, str):
        return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a list with such a number, or too deeply nested
        return f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
