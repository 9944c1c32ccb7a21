"""The grey values of a channel, with handles for black, white and gamma."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QGridLayout, QPushButton, QSizePolicy, QWidget

from ...theme import GAP, TIGHT, tabular
from ..number_field import NumberField
from ..plain import Label, plain_tip
from ..slider_field import WheelGuard
from .levels import GAMMA_RANGE, Handle, LevelsPlot


class Histogram(QWidget):
    """Grey values as bars (logarithmic), and what is shown as black, middle grey and white.

    Each of the three can be dragged, moved by keys or typed.  `gamma` is that of the display: a share ``u`` between
    black and white is shown at ``u ** gamma``.
    """

    #: black, white, gamma; while they change.
    levels_changed = Signal(float, float, float)
    #: The button for automatic levels was clicked.
    auto_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = LevelsPlot()
        self.plot.setAccessibleName(self.tr("Histogram"))
        self.plot.setToolTip(
            self.tr("Drag black, middle or white. Keys: Up and Down choose one, Left and Right move it, Shift faster")
        )
        self._guard = WheelGuard(self)
        self.low_field = self._field(self.tr("Black"))
        self.gamma_field = self._field(self.tr("Gamma"))
        self.high_field = self._field(self.tr("White"))
        self.gamma_field.setRange(*GAMMA_RANGE)
        self.gamma_field.setDecimals(2)
        self.gamma_field.setSingleStep(0.05)
        self.auto_button = QPushButton(self.tr("Auto"))
        self.auto_button.setProperty("quiet", True)
        self.auto_button.setToolTip(self.tr("Choose black and white from the values of this image"))
        self.auto_button.setAccessibleName(self.tr("Automatic contrast"))
        self.auto_button.clicked.connect(self.auto_wanted)

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GAP)
        grid.setVerticalSpacing(TIGHT)
        grid.addWidget(self.plot, 0, 0, 1, 3)
        sides = (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignRight)
        for column, (field, side) in enumerate(zip(self._fields(), sides, strict=True)):
            field.setAlignment(side)
            label = Label(field.accessibleName())
            label.setProperty("secondary", True)
            label.setAlignment(side)
            label.setBuddy(field)
            grid.addWidget(label, 1, column)
            grid.addWidget(field, 2, column)
            grid.addWidget(field.hint, 3 + column, 0, 1, 3)
            grid.setColumnStretch(column, 1)
        grid.addWidget(self.auto_button, 6, 0, 1, 3, Qt.AlignmentFlag.AlignRight)
        grid.setRowStretch(0, 1)

        self.plot.moved.connect(self._plot_moved)
        self.low_field.valueChanged.connect(lambda value: self._typed("low", value))
        self.high_field.valueChanged.connect(lambda value: self._typed("high", value))
        self.gamma_field.valueChanged.connect(lambda value: self._typed("gamma", value))
        self.set_histogram(np.zeros(0), (0.0, 1.0))

    def set_histogram(self, counts: ArrayLike, edges: ArrayLike, *, whole: bool | None = None) -> None:
        """Show these counts; the levels stay.

        Parameters
        ----------
        counts
            Number of pixels per bin; empty for no image.
        edges
            Edges of the bins; only the first and the last are used.
        whole
            Whether values are whole numbers; guessed from the range when not given.
        """
        ends = np.asarray(edges, dtype=np.float64)
        start, end = float(ends[0]), float(ends[-1])
        plot = self.plot
        plot.counts = np.asarray(counts, dtype=np.float64)
        plot.start, plot.end = start, end if end > start else start + 1
        plot.whole = (plot.end - plot.start) > 32 if whole is None else whole
        decimals = 0 if plot.whole else max(0, min(6, 3 - math.floor(math.log10(plot.end - plot.start))))
        for field in (self.low_field, self.high_field):
            with QSignalBlocker(field):
                field.setDecimals(decimals)
                field.setRange(-1e9, 1e9)
                field.setSingleStep(max(plot.smallest_gap(), (plot.end - plot.start) / 200))
        self.setEnabled(plot.counts.size > 0)
        self._show()

    def set_levels(self, low: float, high: float, gamma: float = 1.0) -> None:
        """Show these levels; tells nobody."""
        self.plot.low, self.plot.high, self.plot.gamma = low, high, gamma
        self._show()

    @property
    def levels(self) -> tuple[float, float, float]:
        """Black, white and gamma."""
        return self.plot.low, self.plot.high, self.plot.gamma

    def _fields(self) -> tuple[NumberField, NumberField, NumberField]:
        return self.low_field, self.gamma_field, self.high_field

    def _field(self, name: str) -> NumberField:
        field = NumberField()
        field.setKeyboardTracking(False)
        field.setFont(tabular(self.font()))
        field.setAccessibleName(name)
        field.setToolTip(plain_tip(name))
        # Its own hint would make room for the largest value that may be typed.
        field.setMinimumWidth(field.fontMetrics().horizontalAdvance("65535.0") + 20)
        field.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._guard.guard(field)
        return field

    def _show(self) -> None:
        for field, value in zip(self._fields(), (self.plot.low, self.plot.gamma, self.plot.high), strict=True):
            with QSignalBlocker(field):
                field.setValue(value)
        self.plot.setAccessibleDescription(
            self.tr("Black {0}, white {1}, gamma {2}").format(
                self.low_field.text(), self.high_field.text(), self.gamma_field.text()
            )
        )
        self.plot.update()

    def _plot_moved(self) -> None:
        self._show()
        self.levels_changed.emit(*self.levels)

    def _typed(self, handle: Handle, value: float) -> None:
        if handle == "gamma":
            changed = self.plot.gamma != value
            self.plot.gamma = value
            if changed:
                self._plot_moved()
        else:
            self.plot.move_to(handle, value)
            self._show()
