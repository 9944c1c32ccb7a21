"""The table of the preferences: each with its default, what it must be, and its words, in one row.

The file, the checks and the dialog are made from it; a row without a group is kept in the file but not in the dialog.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from PySide6.QtCore import QT_TRANSLATE_NOOP

ThemeName = Literal["system", "light", "dark"]
OverlayMode = Literal["fill", "outline", "none"]
ClosingChoice = Literal["ask", "background", "stop"]
Kind = Literal["choice", "device", "flag", "number", "folder", "layouts"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of a preference beside its default.

    Attributes
    ----------
    good, wanted
        Whether a value fits, and what it must be otherwise, for the sentence that refuses it.
    group, label, help, unit
        English words of the dialog, in the context ``PreferencesDialog``; a row without a group is not in it.
    options
        The values to choose from, with their words.
    low, high, step, factor
        The range of a number, the step of its field, and what its value is multiplied by to be shown.
    """

    kind: Kind
    good: Callable[[object], bool]
    wanted: str
    group: str = ""
    label: str = ""
    help: str = ""
    unit: str = ""
    options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    low: float = 0.0
    high: float = 0.0
    step: float = 1.0
    factor: float = 1.0


def _field(default: T, row: Row) -> T:
    return dataclasses.field(default=default, metadata={"row": row})


# QT_TRANSLATE_NOOP marks words for the translators and is typed as giving any object.


def _choice(default: T, group: object, label: object, options: Mapping[str, object]) -> T:
    wanted = "one of " + ", ".join(options)
    known = {value: str(text) for value, text in options.items()}
    return _field(
        default, Row("choice", lambda value: value in tuple(known), wanted, str(group), str(label), options=known)
    )


def _flag(default: bool, group: object, label: object, about: object) -> bool:
    return _field(
        default, Row("flag", lambda value: isinstance(value, bool), "true or false", str(group), str(label), str(about))
    )


def _number(
    default: float,
    group: object,
    label: object,
    unit: str,
    low: float,
    high: float,
    *,
    step: float = 1.0,
    factor: float = 1.0,
) -> float:
    def good(value: object) -> bool:
        # A whole number of hundreds of digits is no float; comparing it is possible all the same.
        return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high

    wanted = f"between {low:g} and {high:g}"
    return _field(default, Row("number", good, wanted, str(group), str(label), "", unit, {}, low, high, step, factor))


def _folder(group: object = "", label: object = "", about: object = "") -> str:
    def good(value: object) -> bool:
        return isinstance(value, str) and "\0" not in value

    return _field("", Row("folder", good, "a text", str(group), str(label), str(about)))


def _device(default: str, group: object, label: object, about: object) -> str:
    def good(value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(r"auto|cpu|cuda:\d{1,2}", value) is not None

    return _field(
        default,
        Row("device", good, "auto, cpu, or cuda: and the number of the GPU", str(group), str(label), str(about)),
    )


def _layouts() -> Mapping[str, str]:
    def good(value: object) -> bool:
        return isinstance(value, Mapping) and all(isinstance(a, str) and isinstance(b, str) for a, b in value.items())

    return dataclasses.field(default_factory=dict, metadata={"row": Row("layouts", good, "a table of texts")})


_LOOK: Final = QT_TRANSLATE_NOOP("PreferencesDialog", "Look")
_DRAWING: Final = QT_TRANSLATE_NOOP("PreferencesDialog", "Drawing")
_FOLDERS: Final = QT_TRANSLATE_NOOP("PreferencesDialog", "Folders")
_COMPUTING: Final = QT_TRANSLATE_NOOP("PreferencesDialog", "Computing")


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """All preferences, in the order of the dialog; an empty folder means the usual place.

    `layouts` holds window geometry and splitter positions by name, as base64 text.
    """

    theme: ThemeName = _choice(
        "system",
        _LOOK,
        QT_TRANSLATE_NOOP("PreferencesDialog", "Theme"),
        {
            "system": QT_TRANSLATE_NOOP("PreferencesDialog", "Like the system"),
            "light": QT_TRANSLATE_NOOP("PreferencesDialog", "Light"),
            "dark": QT_TRANSLATE_NOOP("PreferencesDialog", "Dark"),
        },
    )
    brush_size: float = _number(16.0, _DRAWING, QT_TRANSLATE_NOOP("PreferencesDialog", "Brush size"), "px", 1, 1000)
    overlay_mode: OverlayMode = _choice(
        "fill",
        _DRAWING,
        QT_TRANSLATE_NOOP("PreferencesDialog", "Show masks as"),
        {
            "fill": QT_TRANSLATE_NOOP("PreferencesDialog", "Filled"),
            "outline": QT_TRANSLATE_NOOP("PreferencesDialog", "Outlines"),
            "none": QT_TRANSLATE_NOOP("PreferencesDialog", "Not at all"),
        },
    )
    overlay_opacity: float = _number(
        0.35,
        _DRAWING,
        QT_TRANSLATE_NOOP("PreferencesDialog", "Opacity of the masks"),
        "%",
        0,
        1,
        step=5,
        factor=100,
    )
    outline_width: float = _number(
        1.0, _DRAWING, QT_TRANSLATE_NOOP("PreferencesDialog", "Width of outlines"), "px", 0.5, 16
    )
    protect_cells: bool = _flag(
        True,
        _DRAWING,
        QT_TRANSLATE_NOOP("PreferencesDialog", "Protect other cells"),
        QT_TRANSLATE_NOOP("PreferencesDialog", "Brush and lasso never paint over a cell that is already there."),
    )
    project_folder: str = _folder(
        _FOLDERS,
        QT_TRANSLATE_NOOP("PreferencesDialog", "New projects"),
        QT_TRANSLATE_NOOP("PreferencesDialog", "Where new projects are made."),
    )
    library_folder: str = _folder(
        _FOLDERS,
        QT_TRANSLATE_NOOP("PreferencesDialog", "Model library"),
        QT_TRANSLATE_NOOP("PreferencesDialog", "Models that all projects can use."),
    )
    device: str = _device(
        "auto",
        _COMPUTING,
        QT_TRANSLATE_NOOP("PreferencesDialog", "Compute on"),
        QT_TRANSLATE_NOOP(
            "PreferencesDialog", "The computer check says what there is, and why something cannot be used."
        ),
    )
    closing_during_job: ClosingChoice = _choice(
        "ask",
        _COMPUTING,
        QT_TRANSLATE_NOOP("PreferencesDialog", "Leaving while a job runs"),
        {
            "ask": QT_TRANSLATE_NOOP("PreferencesDialog", "Ask each time"),
            "background": QT_TRANSLATE_NOOP("PreferencesDialog", "Keep running in the background"),
            "stop": QT_TRANSLATE_NOOP("PreferencesDialog", "Stop and resume later"),
        },
    )
    last_folder: str = _folder()
    layouts: Mapping[str, str] = _layouts()


#: The row of every preference, by name.
TABLE: Final[dict[str, Row]] = {item.name: item.metadata["row"] for item in dataclasses.fields(Preferences)}
