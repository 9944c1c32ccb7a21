"""A number with a slider: it tells every value while it moves, and once when it comes to rest."""

from __future__ import annotations

import math
from typing import Final

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtWidgets import QGridLayout, QSlider, QWidget

from ..theme import GAP, tabular
from .number_field import NumberField
from .plain import Label, plain_tip

#: A value typed or turned step by step has settled when nothing happened for this long.
_REST_MS: Final = 300
#: Positions of a slider whose steps are not equal.
_LOG_POSITIONS: Final = 400
_MOST_POSITIONS: Final = 10_000


class WheelGuard(QObject):
    """Lets the wheel scroll the panel instead of changing a field over which the pointer happens to be."""

    def guard(self, widget: QWidget) -> None:
        """Take the wheel from this widget as long as it has not the keyboard focus."""
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Hand wheel events of unfocused widgets to their parent."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


class SliderField(QWidget):
    """A label, a number with its unit, and a slider below both.

    Parameters
    ----------
    label
        What the number is; also its accessible name.
    minimum, maximum, step, decimals, unit
        The range, the step of slider and arrow keys, the decimals shown, and the unit behind them.
    value
        The value at first; `minimum` when not given.
    logarithmic
        Equal ways of the slider are equal factors; for ranges from small to very large.
    tip
        Help, shown over the field.
    """

    #: Every value while the user changes it.
    value_changed = Signal(float)
    #: The value after the slider was let go, or the number stayed for a moment.
    value_settled = Signal(float)

    def __init__(
        self,
        label: str,
        minimum: float,
        maximum: float,
        step: float = 1.0,
        decimals: int = 0,
        unit: str = "",
        parent: QWidget | None = None,
        *,
        value: float | None = None,
        logarithmic: bool = False,
        tip: str = "",
    ) -> None:
        super().__init__(parent)
        self._step = step
        self._logarithmic = logarithmic and minimum > 0
        self._value = self._settled = minimum
        self._guard = WheelGuard(self)
        self._build(label, step, decimals, unit)
        if tip:
            self.setToolTip(plain_tip(tip))
            self.slider.setAccessibleDescription(tip)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._settle)
        self.slider.valueChanged.connect(self._moved)
        self.slider.sliderReleased.connect(self._settle)
        self.spin.valueChanged.connect(self._typed)
        self.spin.editingFinished.connect(self._settle)
        self.set_range(minimum, maximum)
        self.set_value(minimum if value is None else value)

    def _build(self, label: str, step: float, decimals: int, unit: str) -> None:
        self.label = Label(label)
        self.label.setWordWrap(True)
        self.spin = NumberField()
        self.spin.setDecimals(decimals)
        self.spin.setSingleStep(step)
        self.spin.setKeyboardTracking(False)
        self.spin.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.spin.setFont(tabular(self.font()))
        self.spin.setAccessibleName(label)
        # So that the fields of a panel look alike.
        self.spin.setMinimumWidth(self.spin.fontMetrics().horizontalAdvance("0000000") + 20)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(label)
        self.label.setBuddy(self.spin)
        self._guard.guard(self.spin)
        self._guard.guard(self.slider)
        if unit:
            # A narrow space: "40 %", "16 px".
            self.spin.setSuffix(f"\N{NARROW NO-BREAK SPACE}{unit}")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GAP)
        grid.setVerticalSpacing(0)
        grid.addWidget(self.label, 0, 0)
        grid.addWidget(self.spin, 0, 1)
        grid.addWidget(self.slider, 1, 0, 1, 2)
        grid.addWidget(self.spin.hint, 2, 0, 1, 2)
        grid.setColumnStretch(0, 1)

    @property
    def value(self) -> float:
        """The value that is shown."""
        return self._value

    @property
    def minimum(self) -> float:
        """The smallest value."""
        return self.spin.minimum()

    @property
    def maximum(self) -> float:
        """The largest value."""
        return self.spin.maximum()

    def set_value(self, value: float) -> None:
        """Show a value, kept within the range; tells nobody."""
        self._value = self._settled = min(max(value, self.minimum), self.maximum)
        self._rest.stop()
        self._show()

    def set_range(self, minimum: float, maximum: float) -> None:
        """Allow the values from `minimum` to `maximum`; the value is kept within, and nobody told."""
        with QSignalBlocker(self.spin), QSignalBlocker(self.slider):
            self.spin.setRange(minimum, maximum)
            self.slider.setRange(0, self._positions())
            self.slider.setPageStep(max(1, self._positions() // 10))
        self.set_value(self._value)

    def _positions(self) -> int:
        if self._logarithmic:
            return _LOG_POSITIONS
        return min(_MOST_POSITIONS, max(1, round((self.maximum - self.minimum) / self._step)))

    def _position_of(self, value: float) -> int:
        width = self.maximum - self.minimum
        if width <= 0:
            return 0
        if self._logarithmic:
            share = math.log(value / self.minimum) / math.log(self.maximum / self.minimum)
        else:
            share = (value - self.minimum) / width
        return round(share * self._positions())

    def _value_at(self, position: int) -> float:
        share = position / self._positions()
        if self._logarithmic:
            exact = self.minimum * math.exp(share * math.log(self.maximum / self.minimum))
        else:
            exact = self.minimum + share * (self.maximum - self.minimum)
        stepped = self.minimum + round((exact - self.minimum) / self._step) * self._step
        return round(min(max(stepped, self.minimum), self.maximum), self.spin.decimals())

    def _show(self) -> None:
        with QSignalBlocker(self.spin), QSignalBlocker(self.slider):
            self.spin.setValue(self._value)
            self.slider.setValue(self._position_of(self._value))

    def _moved(self, position: int) -> None:
        value = self._value_at(position)
        previous = self._position_of(self._value)
        if value == self._value and position != previous:
            # On the flat part of a logarithmic slider a key press must not be without effect.
            value = round(self._value + math.copysign(self._step, position - previous), self.spin.decimals())
            value = min(max(value, self.minimum), self.maximum)
        self._change(value, keep_slider=self.slider.isSliderDown())
        if not self.slider.isSliderDown():
            self._rest.start()

    def _typed(self, value: float) -> None:
        self._change(value)
        self._rest.start()

    def _change(self, value: float, *, keep_slider: bool = False) -> None:
        if value == self._value:
            return
        self._value = value
        with QSignalBlocker(self.spin), QSignalBlocker(self.slider):
            self.spin.setValue(value)
            if not keep_slider:
                self.slider.setValue(self._position_of(value))
        self.value_changed.emit(value)

    def _settle(self) -> None:
        self._rest.stop()
        if self._value != self._settled:
            self._settled = self._value
            self.value_settled.emit(self._value)
