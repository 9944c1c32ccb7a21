"""The line at the bottom of the window: what is under the pointer, the zoom, the device, a hint for the tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QSize, Qt, Signal, SignalInstance
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QWidget

from ..theme import tabular
from ..widgets.plain import Label, plain_action, plain_tip

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pointed(Protocol):
    """What the status bar needs to know of the pixel under the pointer."""

    x: int
    y: int
    value: float | Sequence[float] | None
    cell: int
    area: int


class _Field(Label):
    """A quiet name and a number in a room that only grows: what stands right of it does not jump."""

    def __init__(self, name: str, widest: str, spoken: str) -> None:
        super().__init__()
        self._name = name
        self._value = ""
        self._room = 0
        self.setAccessibleName(spoken)
        self.setToolTip(plain_tip(spoken))
        self.setFont(tabular(self.font()))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self._make_room(widest)

    def _make_room(self, text: str) -> None:
        metrics = QFontMetrics(self.font())
        name = metrics.horizontalAdvance(self._name) + 6 if self._name else 0
        width = name + metrics.horizontalAdvance(text) + 2
        if width > self._room:
            self._room = width
            self.updateGeometry()

    def set_value(self, value: str) -> None:
        if value != self._value:
            self._value = value
            self._make_room(value)
            self.setAccessibleDescription(value)
            self.update()

    def value(self) -> str:
        return self._value

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return QSize(self._room, QFontMetrics(self.font()).height() + 8)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        if not self._value:
            return
        painter = QPainter(self)
        area = self.rect()
        line = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        if self._name:
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            painter.drawText(area, line, self._name)
            area.setLeft(self.fontMetrics().horizontalAdvance(self._name) + 6)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        painter.drawText(area, line, self._value)


class _Hint(Label):
    """A sentence that gives way: it is shortened, and all of it is in its tooltip."""

    def __init__(self) -> None:
        super().__init__()
        self._full = ""
        self.setProperty("secondary", True)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def set_full(self, text: str) -> None:
        self._full = text
        self.setToolTip(plain_tip(text))
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setText(self.fontMetrics().elidedText(self._full, Qt.TextElideMode.ElideRight, max(0, self.width() - 2)))


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"


class StatusBar(QWidget):
    """One line of facts."""

    fit_wanted = Signal()
    actual_size_wanted = Signal()
    device_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Status"))
        self._pixel: tuple[float, float] | None = None
        self._last: Pointed | None = None
        self._x = _Field("x", "00000", self.tr("Column under the pointer"))
        self._y = _Field("y", "00000", self.tr("Row under the pointer"))
        self._value = _Field(self.tr("value"), "00000", self.tr("Value of the pixel under the pointer"))
        self._cell = _Field(self.tr("cell"), "00000", self.tr("Cell under the pointer"))
        self._area = _Field("", "000000 px", self.tr("Area of the cell under the pointer"))
        self._size = _Field("", "", self.tr("Area of the cell in micrometres"))
        self._zoom = self._button(self.tr("Zoom; click for 100 % (1)"), self.actual_size_wanted)
        self._zoom.setFont(tabular(self._zoom.font()))
        self._fit = self._button(self.tr("Fit the image into the window (0)"), self.fit_wanted)
        self._fit.setText(self.tr("fit"))
        self._device = self._button(self.tr("What computes, and the model in use"), self.device_clicked)
        self._hint = _Hint()

        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 2, 12, 2)
        layout.setSpacing(12)
        for widget in (self._x, self._y, self._value, self._cell, self._area, self._size):
            layout.addWidget(widget)
        layout.addSpacing(8)
        layout.addWidget(self._zoom)
        layout.addWidget(self._fit)
        layout.addSpacing(8)
        layout.addWidget(self._device)
        layout.addWidget(self._hint, 1)
        self.set_zoom(1.0)
        self.set_device("")

    def _button(self, tip: str, signal: SignalInstance) -> QToolButton:
        button = QToolButton()
        button.setAutoRaise(True)
        button.setToolTip(plain_tip(tip))
        button.setAccessibleName(tip)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(signal)
        return button

    def set_pointed(self, pointed: Pointed | None) -> None:
        """Show what is under the pointer; None when it has left the image."""
        self._last = pointed
        if pointed is None:
            for field in (self._x, self._y, self._value, self._cell, self._area, self._size):
                field.set_value("")
            return
        self._x.set_value(str(int(pointed.x)))
        self._y.set_value(str(int(pointed.y)))
        value = pointed.value
        if value is None:
            self._value.set_value("")
        elif isinstance(value, (int, float)):
            self._value.set_value(_number(value))
        else:
            self._value.set_value("  ".join(_number(float(one)) for one in value))
        self._cell.set_value(str(pointed.cell) if pointed.cell else "–")
        self._area.set_value(f"{pointed.area} px" if pointed.cell and pointed.area else "")
        if pointed.cell and pointed.area and self._pixel is not None:
            self._size.set_value(f"{pointed.area * self._pixel[0] * self._pixel[1]:.1f} µm²")
        else:
            self._size.set_value("")

    def set_pixel_size(self, size: tuple[float, float] | None) -> None:
        """Set micrometres per pixel (y, x); areas are then shown in µm² as well."""
        self._pixel = size
        self._size.setVisible(size is not None)
        if size is not None:
            self._size._make_room("00000.0 µm²")
        self.set_pointed(self._last)

    def set_zoom(self, zoom: float) -> None:
        """Show the zoom, 1.0 being one image pixel per pixel of the screen."""
        percent = zoom * 100
        text = f"{percent:.0f} %" if percent >= 10 else f"{percent:.1f} %"
        # As wide as the widest zoom, so that nothing moves while the wheel turns.
        metrics = QFontMetrics(self._zoom.font())
        self._zoom.ensurePolished()
        # The widest text with whatever the theme puts around it; guessed, the bar moved when the zoom grew.
        shown = self._zoom.text()
        self._zoom.setText("0000 %")
        self._zoom.setMinimumWidth(max(self._zoom.sizeHint().width(), metrics.horizontalAdvance("0000 %") + 16))
        self._zoom.setText(shown)
        self._zoom.setText(text)
        self._zoom.setAccessibleDescription(text)

    def set_device(self, text: str) -> None:
        """Show what computes and the model in use, such as "cpu: tiny"; empty hides it."""
        self._device.setText(plain_action(text))
        self._device.setVisible(bool(text))
        self._device.setAccessibleDescription(text)

    def set_hint(self, text: str) -> None:
        """Show how to use the tool in hand."""
        self._hint.set_full(text)
