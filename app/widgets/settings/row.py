"""One setting: its name, a field, its unit, a way back to the default, and a sentence of help."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, Union

from PySide6.QtCore import QLocale, QSize, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QHBoxLayout, QLineEdit, QToolButton, QWidget

from cellseg1.numbers import NumberError, read_number, read_numbers
from cellseg1.settings import TABLE

from ...theme import GAP, TIGHT, icon, tabular
from ...translation.library_words import setting_help
from ..number_field import number_problem
from ..plain import Label, plain_tip
from ..slider_field import WheelGuard
from .names import choice_title, setting_title


def plain_type(name: str) -> tuple[Any, bool]:
    """Return the type of a setting without None, and whether None is allowed."""
    wanted = TABLE[name].type
    if typing.get_origin(wanted) in (Union, types.UnionType):
        options = [option for option in typing.get_args(wanted) if option is not type(None)]
        return options[0], type(None) in typing.get_args(wanted)
    return wanted, False


def decimal_mark() -> str:
    """Return the decimal mark of the user's language."""
    return QLocale().decimalPoint()


def shown(value: Any) -> str:
    """Return a value as it is written in a field, in the notation of the user's language."""
    if value is None:
        return ""
    mark = decimal_mark()
    if isinstance(value, (tuple, list)):
        return (", " if mark == "." else "; ").join(shown(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}".replace(".", mark) if isinstance(value, float) else str(value)


def parsed(name: str, text: str) -> Any:
    """Return what a text in the field of a setting means; what is no number stays text, to be refused as such.

    Raises
    ------
    NumberError
        When it can mean two numbers.
    """
    wanted, optional = plain_type(name)
    text = text.strip()
    if optional and text.lower() in {"", "none"}:
        return None
    try:
        if typing.get_origin(wanted) is tuple:
            return [_whole(number) for number in read_numbers(text, decimal_mark())] or text
        return text if wanted is str else _whole(read_number(text, decimal_mark(), whole=wanted is int))
    except NumberError as error:
        if error.readings:
            raise
        return text


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number


class SettingRow(QWidget):
    """The field of one setting; it holds no value of its own, the form does.

    Parameters
    ----------
    name
        The setting.
    guard
        Keeps the wheel away from fields without focus.
    """

    #: The user entered this; not checked yet.
    entered = Signal(str, object)
    #: The user entered what cannot be used, and why.
    refused = Signal(str, str)
    reset_wanted = Signal(str)

    def __init__(self, name: str, guard: WheelGuard, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        row = TABLE[name]
        title = setting_title(name)
        wanted, optional = plain_type(name)
        self._kind = "flag" if wanted is bool else "choice" if typing.get_origin(wanted) is Literal else "text"
        self.label = Label(f"{title} ({row.unit})" if row.unit else title)
        self.label.setWordWrap(True)
        self.field = self._make_field(wanted, optional)
        self.field.setAccessibleName(title)
        self.field.setAccessibleDescription(setting_help(row.help))
        self.setToolTip(plain_tip(f"{setting_help(row.help)}\n{name}"))
        self.label.setBuddy(self.field)
        if self._kind == "choice":
            guard.guard(self.field)

        self.reset_button = QToolButton()
        self.reset_button.setIcon(icon("reset", "secondary"))
        self.reset_button.setIconSize(QSize(14, 14))
        self.reset_button.setProperty("small", True)
        self.reset_button.setAccessibleName(self.tr("Reset {0}").format(title))
        self.reset_button.clicked.connect(lambda: self.reset_wanted.emit(name))

        self.help = Label()
        self.help.setWordWrap(True)
        self.help.setProperty("secondary", True)
        self.problem = Label()
        self.problem.setWordWrap(True)
        self.problem.setProperty("wrong", True)
        self.problem.hide()

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GAP)
        grid.setVerticalSpacing(TIGHT)
        grid.addWidget(self.label, 0, 0)
        grid.addWidget(self.field, 0, 1, Qt.AlignmentFlag.AlignRight)
        below = QHBoxLayout()
        below.setSpacing(TIGHT)
        below.addWidget(self.help, 1)
        below.addWidget(self.reset_button, 0, Qt.AlignmentFlag.AlignTop)
        grid.addLayout(below, 1, 0, 1, 2)
        grid.addWidget(self.problem, 2, 0, 1, 2)
        grid.setColumnStretch(0, 1)

    def _make_field(self, wanted: Any, optional: bool) -> QWidget:
        if self._kind == "flag":
            box = QCheckBox()
            box.setProperty("bare", True)
            box.toggled.connect(lambda on: self.entered.emit(self.name, on))
            return box
        if self._kind == "choice":
            combo = QComboBox()
            for value in typing.get_args(wanted):
                combo.addItem(choice_title(value), value)
            combo.activated.connect(lambda _index: self.entered.emit(self.name, combo.currentData()))
            return combo
        line = QLineEdit()
        line.setFont(tabular(self.font()))
        line.setAlignment(Qt.AlignmentFlag.AlignRight)
        if optional:
            line.setPlaceholderText(self.tr("none"))
        digits = 11 if typing.get_origin(wanted) is tuple or wanted is str else 7
        line.setFixedWidth(line.fontMetrics().horizontalAdvance("0" * digits) + 20)
        line.textEdited.connect(self._edited)
        return line

    def _edited(self, text: str) -> None:
        try:
            value = parsed(self.name, text)
        except NumberError as error:
            self.refused.emit(self.name, number_problem(error, text))
        else:
            self.entered.emit(self.name, value)

    def show_value(self, value: Any, default: Any, *, rewrite: bool = True) -> None:
        """Show a good value beside its default; `rewrite` is false while the user is typing it."""
        if rewrite:
            self.field.blockSignals(True)
            if isinstance(self.field, QCheckBox):
                self.field.setChecked(bool(value))
            elif isinstance(self.field, QComboBox):
                self.field.setCurrentIndex(self.field.findData(value))
            elif isinstance(self.field, QLineEdit):
                self.field.setText(shown(value))
            self.field.blockSignals(False)
        plain = self._words(default)
        self.help.setText(
            self.tr("{help} Default: {value}.").format(help=setting_help(TABLE[self.name].help), value=plain)
        )
        self.reset_button.setToolTip(plain_tip(self.tr("Back to {0}").format(plain)))
        self.reset_button.setVisible(value != default)
        self.show_problem("")

    def show_problem(self, sentence: str) -> None:
        """Say what is wrong with what was entered; an empty sentence says that nothing is."""
        if sentence:
            self.reset_button.show()
        if self.problem.text() == sentence:
            return
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))
        self.field.setProperty("wrong", bool(sentence))
        self.field.style().unpolish(self.field)
        self.field.style().polish(self.field)
        self.field.setAccessibleDescription(sentence or setting_help(TABLE[self.name].help))

    def _words(self, value: Any) -> str:
        if self._kind == "flag":
            return self.tr("on") if value else self.tr("off")
        if self._kind == "choice":
            return choice_title(value)
        unit = TABLE[self.name].unit
        return f"{shown(value)}{' ' if unit else ''}{unit}" if value is not None else self.tr("none")
