"""A form made from the table of settings: nothing about a setting is said twice in the program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from cellseg1.errors import SettingsError
from cellseg1.settings import DEFAULT_BACKBONE, DEFAULT_RECIPE, TABLE, check_value, make_settings

from ...theme import GAP, MARGIN
from ..fold import FoldSection
from ..slider_field import WheelGuard
from .names import group_title
from .row import SettingRow

#: The groups that a training and a prediction use.
TRAIN_GROUPS: Final = (
    "training",
    "data",
    "input",
    "network",
    "points",
    "augmentation",
    "loss",
    "environment",
    "switches",
)
_COMPATIBLE: Final = "Read for compatibility"


class SettingsForm(QWidget):
    """Settings of some groups: the common ones in sight, the others folded by group under "Advanced".

    Only what differs from the recipe's value is kept, so that a better default of a later version arrives.

    Parameters
    ----------
    groups
        Groups of `cellseg1.settings`, in the order shown.
    recipe, backbone, preset
        What gives the default values (see `set_base`).
    overrides
        The user's own values at first.
    hidden
        Settings that are shown elsewhere.
    """

    #: The overrides, or what is wrong with them, are other ones now.
    changed = Signal()

    def __init__(
        self,
        groups: Iterable[str],
        recipe: str = DEFAULT_RECIPE,
        backbone: str = DEFAULT_BACKBONE,
        preset: Mapping[str, Any] | None = None,
        overrides: Mapping[str, Any] | None = None,
        hidden: Iterable[str] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._guard = WheelGuard(self)
        self._rows: dict[str, SettingRow] = {}
        self._own: dict[str, Any] = {}
        self._problems: dict[str, str] = {}
        self._base = make_settings(recipe, backbone, preset=preset)
        self._groups = {group: names for group in groups if (names := _names(group, set(hidden)))}

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(MARGIN)
        for name in self._all_names():
            if not TABLE[name].advanced:
                layout.addWidget(self._row(name))
        self.advanced = FoldSection(self.tr("Advanced"))
        self.advanced.body.setSpacing(0)
        self.folds: dict[str, FoldSection] = {}
        for group, names in self._groups.items():
            inside = [name for name in names if TABLE[name].advanced]
            if inside:
                self.folds[group] = self._fold(group, inside)
                self.advanced.add(self.folds[group])
        layout.addWidget(self.advanced)
        self.advanced.setVisible(bool(self.folds))
        self.set_overrides(overrides or {})

    def overrides(self) -> dict[str, Any]:
        """Return the values that differ from the defaults; of a wrong entry the last good value."""
        return dict(self._own)

    def problems(self) -> dict[str, str]:
        """Return what is wrong with entries, by setting; a job should not start while there is any."""
        return dict(self._problems)

    def value(self, name: str) -> Any:
        """Return the value that a setting has now."""
        return self._own.get(name, self._base[name])

    def set_base(
        self, recipe: str = DEFAULT_RECIPE, backbone: str = DEFAULT_BACKBONE, preset: Mapping[str, Any] | None = None
    ) -> None:
        """Take the defaults from another recipe, backbone or preset; the user's own values stay."""
        base = make_settings(recipe, backbone, preset=preset)
        if base == self._base:
            return
        self._base = base
        self.set_overrides(self._own)

    def set_overrides(self, overrides: Mapping[str, Any]) -> None:
        """Show these values instead of the user's own; unknown and impossible ones are left out."""
        known = set(self._all_names())
        self._own = {}
        for name, value in overrides.items():
            try:
                good = check_value(name, value)
            except SettingsError:
                continue
            if name in known and good != self._base[name]:
                self._own[name] = good
        self._problems.clear()
        for name in self._rows:
            self._show(name)
        self._tell()

    def reset(self, name: str) -> None:
        """Give a setting its default value."""
        self._own.pop(name, None)
        self._problems.pop(name, None)
        self._show(name)
        self._tell()

    def reset_all(self) -> None:
        """Give all settings their default values."""
        self.set_overrides({})

    def row(self, name: str) -> SettingRow:
        """Return the row of a setting, unfolding what hides it; KeyError when the form has not got it."""
        if name not in self._all_names():
            raise KeyError(name)
        if name not in self._rows:
            self.advanced.set_open(True)
            self.folds[TABLE[name].group].set_open(True)
        return self._rows[name]

    def _all_names(self) -> list[str]:
        return [name for names in self._groups.values() for name in names]

    def _fold(self, group: str, names: list[str]) -> FoldSection:
        fold = FoldSection(group_title(group), level=1)
        fold.content.setContentsMargins(GAP, 0, 0, GAP)
        fold.body.setSpacing(MARGIN)

        def build(opened: bool) -> None:
            # Eighty rows at once would be felt when the page opens; most folds are never opened.
            if opened and not fold.body.count():
                for name in names:
                    fold.add(self._row(name)).show()

        fold.toggled.connect(build)
        return fold

    def _row(self, name: str) -> SettingRow:
        row = SettingRow(name, self._guard)
        row.entered.connect(self._enter)
        row.refused.connect(self._refuse)
        row.reset_wanted.connect(self.reset)
        self._rows[name] = row
        self._show(name)
        return row

    def _show(self, name: str, *, rewrite: bool = True) -> None:
        if name in self._rows:
            self._rows[name].show_value(self.value(name), self._base[name], rewrite=rewrite)

    def _enter(self, name: str, value: Any) -> None:
        try:
            good = check_value(name, value)
        except SettingsError as error:
            self._refuse(name, str(error))
            return
        self._problems.pop(name, None)
        if good == self._base[name]:
            self._own.pop(name, None)
        else:
            self._own[name] = good
        self._show(name, rewrite=False)
        self._tell()

    def _refuse(self, name: str, sentence: str) -> None:
        self._problems[name] = sentence
        self._rows[name].show_problem(sentence)
        self._tell()

    def _tell(self) -> None:
        for group, fold in self.folds.items():
            own = sum(
                TABLE[name].advanced and (name in self._own or name in self._problems) for name in self._groups[group]
            )
            fold.set_summary(self.tr("%n changed", "", own) if own else "")
        every = sum(TABLE[name].advanced for name in {*self._own, *self._problems})
        self.advanced.set_summary(self.tr("%n changed", "", every) if every else "")
        self.changed.emit()


def _names(group: str, hidden: set[str]) -> list[str]:
    return [
        name
        for name, row in TABLE.items()
        if row.group == group and name not in hidden and not row.help.startswith(_COMPATIBLE)
    ]
