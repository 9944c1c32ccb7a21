"""The slim column of drawing tools at the left edge of the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QEnterEvent, QFont, QIcon, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QFrame, QSizePolicy, QVBoxLayout, QWidget

from ..theme import RADIUS, colours, icon
from ..widgets.plain import plain_tip
from .actions import TOOLS, ToolSpec, translated

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_SIDE = 36
_ICON = 20


class ToolButton(QAbstractButton):
    """An icon; the tool in hand has an accented ground; keys appear while the pointer is over the column."""

    def __init__(self, tool: ToolSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tool = tool
        text = translated(tool.text)
        self.tip = f"{text} ({tool.key})" if tool.key else text
        self.show_key = False
        self.setIcon(icon(tool.icon))
        self.setText(text)
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setToolTip(plain_tip(self.tip))
        self.setAccessibleName(text)
        self.setAccessibleDescription(self.tip)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a square that a finger or a shaking hand still hits."""
        return QSize(_SIDE, _SIDE)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw ground, icon and key."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look = colours()
        area = QRectF(self.rect()).adjusted(2, 2, -2, -2)
        fill = ""
        if self.isChecked() and self.isEnabled():
            fill = "selected"
        elif self.isEnabled() and (self.isDown() or self.underMouse()):
            fill = "pressed" if self.isDown() else "hover"
        painter.setPen(Qt.PenStyle.NoPen)
        if fill:
            painter.setBrush(look.qcolor(fill))
            painter.drawRoundedRect(area, RADIUS, RADIUS)
        if self.isChecked() and self.isEnabled():
            painter.setBrush(look.qcolor("accent"))
            painter.drawRoundedRect(QRectF(0, 8, 3, self.height() - 16), 1.5, 1.5)
        if self.hasFocus():
            painter.setPen(QPen(look.qcolor("accent"), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(area, RADIUS, RADIUS)
        offset = (_SIDE - _ICON) // 2
        mode = QIcon.Mode.Normal if self.isEnabled() else QIcon.Mode.Disabled
        shift = 3 if self.show_key and self.tool.key else 0
        icon(self.tool.icon).paint(painter, offset - shift, offset - shift, _ICON, _ICON, mode=mode)
        if shift and self.isEnabled():
            font = QFont(self.font())
            if font.pixelSize() > 0:
                font.setPixelSize(round(font.pixelSize() * 0.75))
            else:
                font.setPointSizeF(font.pointSizeF() * 0.75)
            painter.setFont(font)
            painter.setPen(look.qcolor("secondary"))
            corner = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom
            painter.drawText(area.adjusted(0, 0, -3, -1), corner, self.tool.key)


class ToolColumn(QWidget):
    """The tools; exactly one is in hand.

    ``tool_chosen(name)`` is sent when the user takes another tool, not when the program does (`set_tool`).
    """

    tool_chosen = Signal(str)

    def __init__(self, tools: Sequence[ToolSpec] = TOOLS, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Tools"))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 8, 4, 8)
        layout.setSpacing(0)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, ToolButton] = {}
        self._gaps: dict[str, QFrame] = {}
        for tool in tools:
            if tool.gap and self.buttons:
                self._gaps[tool.name] = self._gap()
                layout.addWidget(self._gaps[tool.name])
            button = ToolButton(tool)
            button.clicked.connect(lambda _on, name=tool.name: self.tool_chosen.emit(name))
            self._group.addButton(button)
            self.buttons[tool.name] = button
            layout.addWidget(button)
        layout.addStretch(1)
        next(iter(self.buttons.values())).setChecked(True)

    def _gap(self) -> QFrame:
        gap = QFrame()
        gap.setFixedHeight(8)
        return gap

    def tool(self) -> str:
        """Return the name of the tool in hand."""
        return next((name for name, button in self.buttons.items() if button.isChecked()), "")

    def set_tool(self, name: str) -> None:
        """Show the tool in hand; a name that has no button (a hidden tool) leaves all unmarked.  Sends no signal."""
        if name in self.buttons:
            self.buttons[name].setChecked(True)
            return
        self._group.setExclusive(False)
        for button in self.buttons.values():
            button.setChecked(False)
        self._group.setExclusive(True)

    def set_offered(self, names: Collection[str] | None) -> None:
        """Show only these tools (None: all), as the step of the work needs them."""
        for name, button in self.buttons.items():
            offered = names is None or name in names
            button.setVisible(offered)
            if name in self._gaps:
                self._gaps[name].setVisible(offered)

    def set_usable(self, usable: bool, why: str = "") -> None:
        """Switch all tools off while there is nothing to draw on; `why` is then said in the tooltips."""
        for button in self.buttons.values():
            button.setEnabled(usable)
            button.setToolTip(plain_tip(f"{button.tip}\n{why}" if why and not usable else button.tip))

    def enterEvent(self, event: QEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Show the keys."""
        self._show_keys(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Hide the keys."""
        self._show_keys(False)
        super().leaveEvent(event)

    def _show_keys(self, shown: bool) -> None:
        for button in self.buttons.values():
            button.show_key = shown
            button.update()
