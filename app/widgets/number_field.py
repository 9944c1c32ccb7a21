"""A field for a number, typed as people write it; what is unclear is refused beside the field, never changed."""

from __future__ import annotations

import math
from typing import Final

from PySide6.QtCore import QCoreApplication, QLocale, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QValidator
from PySide6.QtWidgets import QDoubleSpinBox, QWidget

from cellseg1.numbers import NumberError, is_begun, read_number

from .plain import Label

_translate = QCoreApplication.translate

#: The micro sign and the Greek letter look alike, and half of the keyboards have neither.
_LETTERS: Final = str.maketrans({"\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u"})


def number_problem(error: NumberError, text: str) -> str:
    """Say in the window's language why a text is not taken as a number."""
    if error.readings:
        return _translate("Numbers", "“{text}” can mean {one} or {other}. Write one of these.").format(
            text=text.strip(), one=error.readings[0], other=error.readings[1]
        )
    return _translate("Numbers", "“{text}” is not a number.").format(text=text.strip())


class NumberField(QDoubleSpinBox):
    """A spin box that reads 0.65 and 0,65 in every language, and never another number than the one that was meant.

    Qt's own box reads "0.65" as 65 where numbers are written with a comma, and swallows keys that lead out of the
    range.  Here everything can be typed; what cannot be used stays in the field, `value` keeps the number from
    before, and `hint` says why.

    Parameters
    ----------
    trim
        Show no zeros at the end, so that many decimals can be allowed.

    Attributes
    ----------
    hint
        The sentence about what is wrong; whoever makes the field places it.
    """

    #: Whether the text can be used has changed.
    readable_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None, *, trim: bool = False) -> None:
        self._trim = trim
        self._readable = True
        super().__init__(parent)
        self.hint = Label()
        self.hint.setWordWrap(True)
        self.hint.setProperty("wrong", True)
        self.hint.hide()
        self._description: str | None = None
        self.lineEdit().textChanged.connect(self._look)

    @property
    def readable(self) -> bool:
        """Whether the text can be used; if not, `value` is the number from before."""
        return self._readable

    # ---- what Qt asks

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Let everything be typed; what cannot be used is not finished."""
        problem, begun = self._fault(text)
        good = not problem and not begun
        return QValidator.State.Acceptable if good else QValidator.State.Intermediate, text, position

    def valueFromText(self, text: str) -> float:  # noqa: N802 - Qt's name
        """Return the number that a text means; of an unusable one the number from before."""
        try:
            return round(self._read(text), self.decimals())
        except NumberError:
            return self.value()

    def textFromValue(self, value: float) -> str:  # noqa: N802 - Qt's name
        """Write a number in the notation of the user's language, without marks between groups of digits."""
        locale = QLocale(self.locale())
        locale.setNumberOptions(QLocale.NumberOption.OmitGroupSeparator)
        text = locale.toString(float(value), "f", self.decimals())
        if self._trim and self.decimals():
            text = text.rstrip(locale.zeroDigit()).removesuffix(locale.decimalPoint())
        return text

    def setValue(self, value: float) -> None:  # noqa: N802 - Qt's name
        """Show a number, whatever was typed before."""
        super().setValue(value)
        self._look()

    def setRange(self, minimum: float, maximum: float) -> None:  # noqa: N802 - Qt's name
        """Allow other numbers."""
        super().setRange(minimum, maximum)
        self._look()

    def setSpecialValueText(self, text: str) -> None:  # noqa: N802 - Qt's name
        """Show a word in place of the smallest number."""
        super().setSpecialValueText(text)
        self._look()

    def stepBy(self, steps: int) -> None:  # noqa: N802 - Qt's name
        """Step from the number that is used, whatever was typed since."""
        super().stepBy(steps)
        self._look()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Keep Return from accepting a dialog with another number than the one in sight."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and (problem := self._unusable()):
            self._tell(problem)
            return
        super().keyPressEvent(event)
        self._look()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Leave what cannot be used where it is, with the reason beside it."""
        problem, text = self._unusable(), self.lineEdit().text()
        super().focusOutEvent(event)
        if problem:
            self.lineEdit().setText(text)
            self._tell(problem)
        else:
            self._look()

    # ---- judging

    def _bare(self, text: str) -> str:
        """Return a text without the unit, also where that was typed by hand; a word for the least as its number."""
        text = text.removeprefix(self.prefix())
        unit = self.suffix().strip()
        while unit and text.rstrip().translate(_LETTERS).endswith(unit.translate(_LETTERS)):
            text = text.rstrip()[: -len(unit)]
        word = self.specialValueText()
        return self.textFromValue(self.minimum()) if word and text.strip() == word else text

    def _read(self, text: str) -> float:
        return read_number(self._bare(text), self.locale().decimalPoint(), whole=not self.decimals())

    def _fault(self, text: str) -> tuple[str, bool]:
        """Return why a text cannot be used, and whether typing on can mend it."""
        bare = self._bare(text)
        if is_begun(bare):
            return "", True
        try:
            value = self._read(text)
        except NumberError as error:
            return number_problem(error, bare), False
        if not math.isfinite(value) or value > self.maximum():
            return _translate("Numbers", "At most {number}.").format(number=self.textFromValue(self.maximum())), False
        rounded = round(value, self.decimals())
        if value and (not rounded or (not self.decimals() and rounded != value)):
            if not self.decimals():
                return _translate("Numbers", "A whole number, please."), True
            return _translate("Numbers", "That is less than this field can hold."), True
        if value < self.minimum():
            return _translate("Numbers", "At least {number}.").format(number=self.textFromValue(self.minimum())), True
        return "", False

    def _unusable(self) -> str:
        """Return why what was typed cannot be used now; an empty field simply gets its number back."""
        return self._fault(self.lineEdit().text())[0]

    def _look(self) -> None:
        problem, begun = self._fault(self.lineEdit().text())
        # What typing on can mend is told when the typing has ended.
        self._tell("" if begun else problem, readable=not problem and not begun)

    def _tell(self, problem: str, *, readable: bool = False) -> None:
        if problem != self.hint.text():
            self.hint.setText(problem)
            if self.hint.parentWidget() is not None:
                self.hint.setVisible(bool(problem))
            if self._description is None:
                self._description = self.accessibleDescription()
            self.setAccessibleDescription(problem or self._description)
            if not problem:
                self._description = None
            self.setProperty("wrong", bool(problem))
            self.style().unpolish(self)
            self.style().polish(self)
        if readable != self._readable:
            self._readable = readable
            self.readable_changed.emit(readable)
