"""The preferences, made from the fields of `app.preferences.store.Preferences`; every change holds at once."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QVBoxLayout,
    QWidget,
)

from app.preferences.store import Preferences
from app.preferences.words import Words, options, words
from app.theme import GAP, MARGIN, WIDE, tabular
from app.widgets.dialog import Dialog, Role, scrolling, sentence, title_label
from app.widgets.number_field import NumberField
from app.widgets.path_field import FolderField
from app.widgets.plain import Label, plain_tip
from cellseg1.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.preferences.store import PreferencesStore

#: Kept in the same file, but not for this dialog.
_HIDDEN = {"layouts", "last_folder", "tour_done"}

#: Lowest and highest value, step, decimals, and the factor between the stored and the shown value.
_NUMBERS: dict[str, tuple[float, float, float, int, float]] = {
    "brush_size": (1, 1000, 1, 0, 1),
    "overlay_opacity": (0, 100, 5, 0, 100),
    "outline_width": (1, 16, 1, 0, 1),
}


class PreferencesDialog(Dialog):
    """Theme, drawing, folders, device, questions.

    Parameters
    ----------
    store
        Whose values are shown and changed; a change from elsewhere (the theme menu, the brush) is followed.
    devices
        The names the device can have, with the words for them; "auto" and "cpu" when not given.
    folders
        The usual place of each folder preference that is empty, shown faintly in its field.
    """

    def __init__(
        self,
        store: PreferencesStore,
        parent: QWidget | None = None,
        *,
        devices: Mapping[str, str] | None = None,
        folders: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(parent, self.tr("Preferences"), columns=76, rows=44)
        self._store = store
        self._devices = dict(devices or {"auto": self.tr("Automatic"), "cpu": self.tr("Processor (CPU)")})
        self._folders = dict(folders or {})
        self._known, self._options = words(), options()
        self._show: dict[str, Callable[[Any], None]] = {}
        self.fields: dict[str, QWidget] = {}

        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, GAP, 0)
        column.setSpacing(WIDE)
        hints = get_type_hints(Preferences)
        groups: dict[str, list[str]] = {}
        names = [field.name for field in fields(Preferences) if field.name not in _HIDDEN]
        for name in sorted(names, key=lambda one: list(self._known).index(one) if one in self._known else len(hints)):
            groups.setdefault(self._words(name).group, []).append(name)
        for group, members in groups.items():
            column.addWidget(self._group(group, {name: hints[name] for name in members}))
        column.addStretch(1)
        self.body.addWidget(scrolling(inside, self.tr("Preferences")), 1)
        self._problem = sentence()
        self._problem.setProperty("wrong", True)
        self._problem.hide()
        self.body.addWidget(self._problem)
        self.reset_button = self.add_button(self.tr("Reset all"), Role.ResetRole, self.reset)
        self.reset_button.setToolTip(self.tr("Give every preference its usual value"))
        self.add_close_button()
        store.changed.connect(self._follow)

    def reset(self) -> None:
        """Give every preference of this dialog its usual value."""
        self._store.reset(*self.fields)

    # ---- building

    def _words(self, name: str) -> Words:
        # A new field appears under its own name rather than being forgotten.
        return self._known.get(name) or Words(self.tr("Other"), name.replace("_", " ").capitalize())

    def _group(self, title: str, hints: Mapping[str, Any]) -> QWidget:
        box = QWidget()
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(MARGIN)
        grid.setVerticalSpacing(GAP)
        # One width for the names of all groups, so that the fields stand below each other.
        grid.setColumnMinimumWidth(0, self.fontMetrics().averageCharWidth() * 24)
        grid.setColumnStretch(1, 1)
        grid.addWidget(title_label(title), 0, 0, 1, 2)
        row = 1
        for name, hint in hints.items():
            known = self._words(name)
            label, widget = known.label, self._field(name, hint)
            widget.setAccessibleName(label)
            widget.setToolTip(plain_tip(known.help or label))
            self.fields[name] = widget
            if isinstance(widget, QCheckBox):
                widget.setText(label)
                grid.addWidget(widget, row, 0, 1, 2, Qt.AlignmentFlag.AlignLeft)
            else:
                title_of = Label(label)
                title_of.setWordWrap(True)
                title_of.setBuddy(widget)
                grid.addWidget(title_of, row, 0)
                wide = isinstance(widget, FolderField)
                grid.addWidget(widget, row, 1, Qt.AlignmentFlag(0) if wide else Qt.AlignmentFlag.AlignLeft)
            row += 1
            if isinstance(widget, NumberField):
                grid.addWidget(widget.hint, row, 1)
                row += 1
            if known.help:
                grid.addWidget(sentence(known.help, quiet=True), row, 0 if isinstance(widget, QCheckBox) else 1, 1, 2)
                row += 1
            self._show[name](getattr(self._store.values, name))
        return box

    def _field(self, name: str, hint: Any) -> QWidget:
        if name == "device":
            return self._choice(name, self._devices)
        if get_origin(hint) is Literal:
            return self._choice(name, {one: self._options.get((name, one), str(one)) for one in get_args(hint)})
        if hint is bool:
            return self._flag(name)
        if hint in (int, float):
            return self._number(name)
        return self._folder(name)

    def _choice(self, name: str, options: Mapping[str, str]) -> QComboBox:
        combo = QComboBox()
        for value, text in options.items():
            combo.addItem(text, value)

        def show(value: Any) -> None:
            if combo.findData(value) < 0:
                combo.addItem(self.tr("{name} (not in this computer)").format(name=value), value)
            combo.setCurrentIndex(combo.findData(value))

        self._show[name] = show
        combo.activated.connect(lambda place: self._set(name, combo.itemData(place)))
        return combo

    def _flag(self, name: str) -> QCheckBox:
        box = QCheckBox()
        self._show[name] = box.setChecked
        box.clicked.connect(lambda on: self._set(name, on))
        return box

    def _number(self, name: str) -> NumberField:
        low, high, step, decimals, factor = _NUMBERS.get(name, (0, 1e6, 1, 2, 1))
        spin = NumberField()
        spin.setFont(tabular(spin.font()))
        spin.setRange(low, high)
        spin.setSingleStep(step)
        spin.setDecimals(decimals)
        spin.setKeyboardTracking(False)
        if unit := self._words(name).unit:
            spin.setSuffix(f" {unit}")

        def show(value: Any) -> None:
            blocked = spin.blockSignals(True)
            spin.setValue(value * factor)
            spin.blockSignals(blocked)

        self._show[name] = show
        spin.valueChanged.connect(lambda value: self._set(name, value / factor))
        return spin

    def _folder(self, name: str) -> FolderField:
        field = FolderField(
            self._words(name).label, placeholder=self._folders.get(name, "") or self.tr("The usual place")
        )
        self._show[name] = lambda value: field.set_path(value or None)
        field.settled.connect(lambda text: self._set(name, text))
        return field

    # ---- changing

    def _set(self, name: str, value: Any) -> None:
        try:
            self._store.set(name, value)
        except SettingsError as error:
            self._problem.setText(str(error))
            self._problem.show()
            self._show[name](getattr(self._store.values, name))
            return
        self._problem.hide()

    def _follow(self, name: str) -> None:
        if name in self._show:
            self._show[name](getattr(self._store.values, name))
