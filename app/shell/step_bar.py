"""The five steps of the work, and the project's name with its menu, at the top of the window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QHBoxLayout, QSizePolicy, QToolButton, QWidget

from ..theme import RADIUS, colours, icon
from ..widgets.plain import plain_action, plain_tip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PySide6.QtWidgets import QMenu

#: The steps in their order.
STEPS = ("annotate", "train", "predict", "review", "measure")

_PAD = 12
_GAP = 8
#: Frame, padding and arrow of the project's button.
_MENU = 44
#: Side of the arrow behind the project's name.
_ARROW = 14


@dataclass(frozen=True, slots=True)
class _Words:
    name: str
    text: str
    help: str


def _words() -> tuple[_Words, ...]:
    translate = QCoreApplication.translate
    return (
        _Words("annotate", translate("StepBar", "Annotate"), translate("StepBar", "Draw cells on an image")),
        _Words("train", translate("StepBar", "Train"), translate("StepBar", "Train a model on the drawn cells")),
        _Words("predict", translate("StepBar", "Predict"), translate("StepBar", "Find the cells on the other images")),
        _Words("review", translate("StepBar", "Review"), translate("StepBar", "Accept, reject and correct")),
        _Words("measure", translate("StepBar", "Measure"), translate("StepBar", "Check against a truth; measure")),
    )


class StepButton(QAbstractButton):
    """One step: its number in a ring, its name, and a line under the step one is in.

    A step that lacks something is drawn quietly with a dashed ring, but can be chosen: its page says what is missing.
    """

    def __init__(self, number: int, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.number = number
        self.possible = True
        self._compact = False
        self.setText(text)
        self.setCheckable(True)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def _ring(self) -> int:
        return self.fontMetrics().height() + 4

    def width_for(self, *, compact: bool) -> int:
        """Return the width with or without the name (measured bold, so that nothing moves when it is chosen)."""
        width = 2 * _PAD + self._ring()
        if not compact or self.isChecked():
            font = QFont(self.font())
            font.setWeight(QFont.Weight.DemiBold)
            width += _GAP + QFontMetrics(font).horizontalAdvance(self.text())
        return width

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the room for ring and name."""
        return QSize(self.width_for(compact=self._compact), max(40, self._ring() + 2 * _GAP))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the same: a step's name is whole or not there."""
        return self.sizeHint()

    def set_compact(self, compact: bool) -> None:
        """Show the number alone, unless one is in this step."""
        if compact != self._compact:
            self._compact = compact
            self.updateGeometry()
            self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw ring, name and line."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look = colours()
        text, quiet, accent = look.qcolor("text"), look.qcolor("secondary"), look.qcolor("accent")
        area = QRectF(self.rect()).adjusted(2, 4, -2, -4)
        if self.isDown() or self.underMouse():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(look.qcolor("pressed" if self.isDown() else "hover"))
            painter.drawRoundedRect(area, RADIUS, RADIUS)
        if self.hasFocus():
            painter.setPen(QPen(accent, 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(area, RADIUS, RADIUS)

        side = self._ring()
        ring = QRectF(_PAD, (self.height() - side) / 2, side, side).adjusted(1, 1, -1, -1)
        font = QFont(self.font())
        if self.isChecked():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(accent)
            painter.drawEllipse(ring)
            painter.setPen(look.qcolor("on_accent"))
        else:
            line = Qt.PenStyle.SolidLine if self.possible else Qt.PenStyle.DashLine
            painter.setPen(QPen(quiet, 1, line))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(ring)
            painter.setPen(text if self.possible else quiet)
        painter.setFont(font)
        painter.drawText(ring, Qt.AlignmentFlag.AlignCenter, str(self.number))

        if self.isChecked():
            font.setWeight(QFont.Weight.DemiBold)
            painter.setFont(font)
            painter.fillRect(QRectF(_PAD, self.height() - 3, self.width() - 2 * _PAD, 3), accent)
        elif self._compact:
            return
        painter.setPen(text if self.possible or self.isChecked() else quiet)
        left = _PAD + side + _GAP
        words = QRectF(left, 0, self.width() - left, self.height())
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.text())


class StepBar(QWidget):
    """Project menu and steps; the window's actions answer Ctrl+1..5."""

    step_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Steps"))
        self.project_button = QToolButton()
        self.project_button.setAutoRaise(True)
        self.project_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.project_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.project_button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.project_button.setMinimumHeight(32)
        # The arrow stands after the name and says that there is a menu.
        self.project_button.setIcon(icon("chevron-down"))
        self.project_button.setIconSize(QSize(_ARROW, _ARROW))
        self.project_button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        font = self.project_button.font()
        font.setWeight(QFont.Weight.DemiBold)
        self.project_button.setFont(font)

        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 0)
        layout.setSpacing(0)
        layout.addWidget(self.project_button)
        layout.addSpacing(16)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, StepButton] = {}
        self._help: dict[str, str] = {}
        for number, words in enumerate(_words(), 1):
            button = StepButton(number, words.text)
            self._help[words.name] = f"{words.help} (Ctrl+{number})"
            button.clicked.connect(lambda _on, name=words.name: self.step_chosen.emit(name))
            self._group.addButton(button)
            self.buttons[words.name] = button
            layout.addWidget(button)
        layout.addStretch(1)
        self._group.buttonToggled.connect(self._fit)
        self._project = ""
        self.set_possible({})
        self.set_project("")
        self.set_step(STEPS[0])

    def set_menu(self, menu: QMenu) -> None:
        """Give the project's name its menu."""
        # A menu takes the direction of the button that opens it, and this one is mirrored for the sake of its arrow.
        menu.setLayoutDirection(self.layoutDirection())
        self.project_button.setMenu(menu)

    def set_project(self, name: str, *, read_only: bool = False) -> None:
        """Show the project's name; a long one is shortened in the middle, its tooltip has all of it."""
        text = name or self.tr("No project")
        if read_only:
            text = self.tr("{name} (read-only)").format(name=text)
        self._project = text
        self.project_button.setToolTip(plain_tip(self.tr("{name}: project menu").format(name=text)))
        self.project_button.setAccessibleName(self.tr("Project {name}: menu").format(name=text))
        self._fit()

    def step(self) -> str:
        """Return the name of the step one is in."""
        return next(name for name, button in self.buttons.items() if button.isChecked())

    def set_step(self, name: str) -> None:
        """Show that one is in the step `name`; sends no signal."""
        self.buttons[name].setChecked(True)

    def set_possible(self, missing: Mapping[str, str]) -> None:
        """Mark the steps that lack something.

        Parameters
        ----------
        missing
            By step, one sentence that says what is missing ("No model yet."); a step that is not named is possible.
        """
        for name, button in self.buttons.items():
            lacks = missing.get(name, "")
            button.possible = not lacks
            text = f"{self._help[name]}\n{lacks}" if lacks else self._help[name]
            button.setToolTip(plain_tip(text))
            button.setAccessibleName(f"{button.number} {button.text()}")
            button.setAccessibleDescription(text)
            button.update()

    # ---- room

    def _name_room(self, *, narrow: bool) -> int:
        return self.fontMetrics().averageCharWidth() * (15 if narrow else 28)

    def _width(self, *, compact: bool, narrow: bool) -> int:
        """Return the width with long or short steps and a long or short project name."""
        name = min(self.project_button.fontMetrics().horizontalAdvance(self._project), self._name_room(narrow=narrow))
        steps = sum(button.width_for(compact=compact) for button in self.buttons.values())
        return 2 * _GAP + name + _MENU + 2 * _GAP + steps

    def _fit(self) -> None:
        """In a narrow window the project's name gives way first, then the names of the steps one is not in."""
        compact = narrow = False
        if self._width(compact=False, narrow=False) > self.width():
            narrow = True
            compact = self._width(compact=False, narrow=True) > self.width()
        for button in self.buttons.values():
            button.set_compact(compact)
        metrics = self.project_button.fontMetrics()
        room = self._name_room(narrow=narrow)
        self.project_button.setText(plain_action(metrics.elidedText(self._project, Qt.TextElideMode.ElideMiddle, room)))

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the room for all names."""
        return QSize(self._width(compact=False, narrow=False), super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the room for a short project name and the numbers of the steps."""
        return QSize(self._width(compact=True, narrow=True), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Take the names that fit."""
        super().resizeEvent(event)
        self._fit()
