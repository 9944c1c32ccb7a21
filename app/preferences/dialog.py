"""The dialog of preferences, built from their table (`app.preferences.fields`); changes apply immediately."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QVBoxLayout,
    QWidget,
)

from cellseg1.errors import SettingsError

from ..theme import GAP, MARGIN, WIDE, tabular
from ..widgets.dialog import Dialog, Role, scrolling, sentence, title_label
from ..widgets.number_field import NumberField
from ..widgets.path_field import FolderField
from ..widgets.plain import Label, plain_tip
from .fields import TABLE, Row, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .store import PreferencesStore


class PreferencesDialog(Dialog):
    """Theme, drawing, folders, device, questions.

    Parameters
    ----------
    store
        The store to show and change; the dialog follows changes made elsewhere (the theme menu, the brush).
    devices
        The device names with their labels; "auto" and "cpu" when not given.
    folders
        The default of each empty folder preference, shown as placeholder.
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
        self._show: dict[str, Callable[[Any], None]] = {}
        self.fields: dict[str, QWidget] = {}

        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, GAP, 0)
        column.setSpacing(WIDE)
        groups: dict[str, dict[str, Row]] = {}
        for name, row in TABLE.items():
            if row.group:
                groups.setdefault(translated(row.group), {})[name] = row
        for group, rows in groups.items():
            column.addWidget(self._group(group, rows))
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

    def _group(self, title: str, rows: Mapping[str, Row]) -> QWidget:
        box = QWidget()
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(MARGIN)
        grid.setVerticalSpacing(GAP)
        # One width for the names of all groups, so that the fields stand below each other.
        grid.setColumnMinimumWidth(0, self.fontMetrics().averageCharWidth() * 24)
        grid.setColumnStretch(1, 1)
        grid.addWidget(title_label(title), 0, 0, 1, 2)
        at = 1
        for name, row in rows.items():
            label, about = translated(row.label), translated(row.help)
            widget = self._field(name, row)
            widget.setAccessibleName(label)
            widget.setToolTip(plain_tip(about or label))
            self.fields[name] = widget
            if isinstance(widget, QCheckBox):
                widget.setText(label)
                grid.addWidget(widget, at, 0, 1, 2, Qt.AlignmentFlag.AlignLeft)
            else:
                title_of = Label(label)
                title_of.setWordWrap(True)
                title_of.setBuddy(widget)
                grid.addWidget(title_of, at, 0)
                wide = isinstance(widget, FolderField)
                grid.addWidget(widget, at, 1, Qt.AlignmentFlag(0) if wide else Qt.AlignmentFlag.AlignLeft)
            at += 1
            if isinstance(widget, NumberField):
                grid.addWidget(widget.hint, at, 1)
                at += 1
            if about:
                grid.addWidget(sentence(about, quiet=True), at, 0 if isinstance(widget, QCheckBox) else 1, 1, 2)
                at += 1
            self._show[name](getattr(self._store.values, name))
        return box

    def _field(self, name: str, row: Row) -> QWidget:
        match row.kind:
            case "device":
                return self._choice(name, self._devices)
            case "choice":
                return self._choice(name, {value: translated(text) for value, text in row.options.items()})
            case "flag":
                return self._flag(name)
            case "number":
                return self._number(name, row)
        return self._folder(name, row)

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

    def _number(self, name: str, row: Row) -> NumberField:
        spin = NumberField()
        spin.setFont(tabular(spin.font()))
        # Whole numbers are precise enough for all of them.
        spin.setRange(math.ceil(row.low * row.factor), row.high * row.factor)
        spin.setSingleStep(row.step)
        spin.setDecimals(0)
        spin.setKeyboardTracking(False)
        spin.setSuffix(f" {row.unit}")

        def show(value: Any) -> None:
            blocked = spin.blockSignals(True)
            spin.setValue(value * row.factor)
            spin.blockSignals(blocked)

        self._show[name] = show
        spin.valueChanged.connect(lambda value: self._set(name, value / row.factor))
        return spin

    def _folder(self, name: str, row: Row) -> FolderField:
        field = FolderField(
            translated(row.label), placeholder=self._folders.get(name, "") or self.tr("The usual place")
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
