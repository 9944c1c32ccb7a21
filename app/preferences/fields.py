"""The table of preferences: default, valid values and texts of each in one row.

The file, the checks and the dialog are made from it; a row without a group is stored but not in the dialog.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

ThemeName = Literal["system", "light", "dark"]
OverlayMode = Literal["fill", "outline", "none"]
ClosingChoice = Literal["ask", "background", "stop"]
Kind = Literal["choice", "device", "flag", "number", "folder", "layouts"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The description of a preference beside its default.

    Attributes
    ----------
    group, label, help
        English texts of the dialog (see `translated`); a row without a group is not in it.
    unit
        Shown behind a number.
    options
        The values to choose from, with their labels.
    low, high, step, factor
        The range of a number, the step of its field, and the factor from value to display.
    """

    kind: Kind
    group: object = ""
    label: object = ""
    help: object = ""
    unit: str = ""
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)
    low: float = 0.0
    high: float = 0.0
    step: float = 1.0
    factor: float = 1.0

    def good(self, value: object) -> bool:
        """Tell whether a value is valid."""
        match self.kind:
            case "choice":
                return value in tuple(self.options)
            case "device":
                return isinstance(value, str) and re.fullmatch(r"auto|cpu|cuda:\d{1,2}", value) is not None
            case "flag":
                return isinstance(value, bool)
            case "number":
                # A huge whole number cannot become a float, but can be compared.
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    return False
                return self.low <= value <= self.high
            case "folder":
                return isinstance(value, str) and "\0" not in value
        return isinstance(value, Mapping) and all(isinstance(one, str) for item in value.items() for one in item)

    @property
    def wanted(self) -> str:
        """The valid values, for the error message."""
        return {
            "choice": "one of " + ", ".join(self.options),
            "device": "auto, cpu, or cuda: and the number of the GPU",
            "flag": "true or false",
            "number": f"between {self.low:g} and {self.high:g}",
            "folder": "a text",
            "layouts": "a table of texts",
        }[self.kind]


def translated(words: object) -> str:
    """Return a text of the table in the user's language."""
    return QCoreApplication.translate("Preferences", str(words)) if words else ""


def _row(default: T, kind: Kind, group: object = "", label: object = "", about: object = "", **more: Any) -> T:
    row = Row(kind=kind, group=group, label=label, help=about, **more)
    return dataclasses.field(default=default, metadata={"row": row})


_LOOK: Final = QT_TRANSLATE_NOOP("Preferences", "Look")
_DRAWING: Final = QT_TRANSLATE_NOOP("Preferences", "Drawing")
_FOLDERS: Final = QT_TRANSLATE_NOOP("Preferences", "Folders")
_COMPUTING: Final = QT_TRANSLATE_NOOP("Preferences", "Computing")
_THEMES = {
    "system": QT_TRANSLATE_NOOP("Preferences", "Like the system"),
    "light": QT_TRANSLATE_NOOP("Preferences", "Light"),
    "dark": QT_TRANSLATE_NOOP("Preferences", "Dark"),
}
_MODES = {
    "fill": QT_TRANSLATE_NOOP("Preferences", "Filled"),
    "outline": QT_TRANSLATE_NOOP("Preferences", "Outlines"),
    "none": QT_TRANSLATE_NOOP("Preferences", "Not at all"),
}
_CLOSING = {
    "ask": QT_TRANSLATE_NOOP("Preferences", "Ask each time"),
    "background": QT_TRANSLATE_NOOP("Preferences", "Keep running in the background"),
    "stop": QT_TRANSLATE_NOOP("Preferences", "Stop and resume later"),
}
_PROTECT = QT_TRANSLATE_NOOP("Preferences", "Brush and lasso never paint over a cell that is already there.")
_DEVICE = QT_TRANSLATE_NOOP("Preferences", "The computer check says what there is, and why something cannot be used.")


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """All preferences, in the order of the dialog; an empty folder means the default.

    `layouts` holds window geometry and splitter positions by name, as base64 text.
    """

    theme: ThemeName = _row("system", "choice", _LOOK, QT_TRANSLATE_NOOP("Preferences", "Theme"), options=_THEMES)
    brush_size: float = _row(
        16.0, "number", _DRAWING, QT_TRANSLATE_NOOP("Preferences", "Brush size"), unit="px", low=1, high=1000
    )
    overlay_mode: OverlayMode = _row(
        "fill", "choice", _DRAWING, QT_TRANSLATE_NOOP("Preferences", "Show masks as"), options=_MODES
    )
    overlay_opacity: float = _row(
        0.35,
        "number",
        _DRAWING,
        QT_TRANSLATE_NOOP("Preferences", "Opacity of the masks"),
        unit="%",
        low=0,
        high=1,
        step=5,
        factor=100,
    )
    outline_width: float = _row(
        1.0, "number", _DRAWING, QT_TRANSLATE_NOOP("Preferences", "Width of outlines"), unit="px", low=0.5, high=16
    )
    protect_cells: bool = _row(
        True, "flag", _DRAWING, QT_TRANSLATE_NOOP("Preferences", "Protect other cells"), _PROTECT
    )
    project_folder: str = _row(
        "",
        "folder",
        _FOLDERS,
        QT_TRANSLATE_NOOP("Preferences", "New projects"),
        QT_TRANSLATE_NOOP("Preferences", "Where new projects are made."),
    )
    library_folder: str = _row(
        "",
        "folder",
        _FOLDERS,
        QT_TRANSLATE_NOOP("Preferences", "Model library"),
        QT_TRANSLATE_NOOP("Preferences", "Models that all projects can use."),
    )
    device: str = _row("auto", "device", _COMPUTING, QT_TRANSLATE_NOOP("Preferences", "Compute on"), _DEVICE)
    closing_during_job: ClosingChoice = _row(
        "ask", "choice", _COMPUTING, QT_TRANSLATE_NOOP("Preferences", "Leaving while a job runs"), options=_CLOSING
    )
    last_folder: str = _row("", "folder")
    layouts: Mapping[str, str] = dataclasses.field(default_factory=dict, metadata={"row": Row(kind="layouts")})


#: The row of every preference, by name.
TABLE: Final[dict[str, Row]] = {item.name: item.metadata["row"] for item in dataclasses.fields(Preferences)}
