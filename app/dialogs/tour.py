"""A tour of five steps that points at the parts of the window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ..theme import GAP, MARGIN, RADIUS, colours
from ..widgets.plain import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

_EDGE = 6
_AWAY = 12


@dataclass(frozen=True, slots=True)
class TourStep:
    """One step.

    Attributes
    ----------
    target
        The widget it points at; None (or a hidden one) for the whole window.
    text
        The text of the step.
    """

    target: QWidget | None
    text: str


class TourOverlay(QWidget):
    """An overlay that darkens a window except for one part and shows one text at a time.

    Return or Right goes on, Left goes back, Esc ends.
    """

    def __init__(self, window: QWidget, steps: Sequence[TourStep]) -> None:
        super().__init__(window)
        self.steps = list(steps)
        self._window = window
        self.number = 0
        self._before = window.focusWidget()
        self._ended = False
        self.setAccessibleName(self.tr("Tour"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._bubble = QFrame(self)
        self._bubble.setProperty("card", True)
        self._text = Label()
        self._text.setWordWrap(True)
        self._place = Label()
        self._place.setProperty("secondary", True)
        self.skip_button = QPushButton(self.tr("Skip"))
        self.skip_button.setProperty("quiet", True)
        self.skip_button.setToolTip(self.tr("End the tour (Esc)"))
        self.back_button = QPushButton(self.tr("Back"))
        self.back_button.setToolTip(self.tr("Step before (Left)"))
        self.next_button = QPushButton(self.tr("Next"))
        self.next_button.setToolTip(self.tr("Next step (Right or Return)"))
        self.next_button.setProperty("primary", True)
        for button in (self.skip_button, self.back_button, self.next_button):
            button.setAutoDefault(False)
            button.setAccessibleName(button.text())
        self.skip_button.clicked.connect(self._end)
        self.back_button.clicked.connect(self.back)
        self.next_button.clicked.connect(self.go_on)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self._place)
        row.addStretch(1)
        row.addWidget(self.skip_button)
        row.addWidget(self.back_button)
        row.addWidget(self.next_button)
        column = QVBoxLayout(self._bubble)
        column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        column.setSpacing(GAP)
        column.addWidget(self._text)
        column.addSpacing(GAP)
        column.addLayout(row)
        window.installEventFilter(self)
        self.hide()

    # ---- going

    def start(self) -> None:
        """Show the first step."""
        self.setGeometry(self._window.rect())
        self.show()
        self.raise_()
        self._enter(0)

    def go_on(self) -> None:
        """Go to the next step, or end after the last."""
        if self.number + 1 >= len(self.steps):
            self._end()
        else:
            self._enter(self.number + 1)

    def back(self) -> None:
        """Go to the step before."""
        if self.number:
            self._enter(self.number - 1)

    def _enter(self, number: int) -> None:
        self.number = number
        step = self.steps[number]
        last = number + 1 == len(self.steps)
        self._text.setText(step.text)
        self._place.setText(self.tr("{n} of {all}").format(n=number + 1, all=len(self.steps)))
        self.back_button.setEnabled(number > 0)
        self.skip_button.setVisible(not last)
        self.next_button.setText(self.tr("Done") if last else self.tr("Next"))
        self.next_button.setAccessibleName(self.next_button.text())
        self.setAccessibleDescription(step.text)
        self._arrange()
        self.raise_()
        self.next_button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._window.removeEventFilter(self)
        # The focus leaves first: a widget that is hidden while it has the focus looks for the next one in itself.
        before = self._before
        (before if before is not None and shiboken6.isValid(before) else self._window).setFocus()
        self.hide()
        self.deleteLater()

    # ---- where things are

    def hole(self) -> QRect:
        """Return the part that stays bright, in the overlay's coordinates; empty for none."""
        target = self.steps[self.number].target
        if target is None or not target.isVisible():
            return QRect()
        corner = self.mapFromGlobal(target.mapToGlobal(QPoint(0, 0)))
        return QRect(corner, target.size()).adjusted(-_EDGE, -_EDGE, _EDGE, _EDGE).intersected(self.rect())

    def bubble(self) -> QRect:
        """Return where the words are."""
        return self._bubble.geometry()

    def _arrange(self) -> None:
        width = min(self.fontMetrics().averageCharWidth() * 56, self.width() - 2 * MARGIN)
        layout = self._bubble.layout()
        assert layout is not None
        layout.activate()
        width = max(width, layout.minimumSize().width())
        height = max(layout.totalHeightForWidth(width), layout.minimumSize().height())
        self._bubble.setGeometry(self._beside(self.hole(), width, height))
        self._bubble.raise_()
        self.update()

    def _beside(self, hole: QRect, width: int, height: int) -> QRect:
        """Place the bubble beside the hole where there is room, else in the middle."""
        room = self.rect().adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        middle = QRect(0, 0, width, height)
        middle.moveCenter(room.center())
        if hole.isEmpty():
            return middle
        x = min(max(hole.center().x() - width // 2, room.left()), room.right() - width)
        y = min(max(hole.top(), room.top()), room.bottom() - height)
        for corner in (
            QPoint(x, hole.bottom() + _AWAY),
            QPoint(hole.right() + _AWAY, y),
            QPoint(hole.left() - _AWAY - width, y),
            QPoint(x, hole.top() - _AWAY - height),
        ):
            place = QRect(corner, middle.size())
            if room.contains(place):
                return place
        return middle

    # ---- events

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Stay as large as the window."""
        if watched is self._window and event.type() == QEvent.Type.Resize:
            self.setGeometry(self._window.rect())
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Follow the window."""
        super().resizeEvent(event)
        if self.isVisible():
            # The parts of the window get their places after this event.
            QTimer.singleShot(0, self, self._arrange)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Keep clicks from what lies below."""
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Right and Return go on, Left goes back, Esc ends; nothing reaches the window."""
        match event.key():
            case Qt.Key.Key_Escape:
                self._end()
            case Qt.Key.Key_Right | Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self.go_on()
            case Qt.Key.Key_Left:
                self.back()
        event.accept()

    def focusNextPrevChild(self, forward: bool) -> bool:  # noqa: N802 - Qt's name
        """Keep Tab among the three buttons."""
        order = [
            button
            for button in (self.skip_button, self.back_button, self.next_button)
            if button.isVisible() and button.isEnabled()
        ]
        if self._ended or not order:
            return super().focusNextPrevChild(forward)
        current = self.focusWidget()
        place = order.index(current) if current in order else 0
        order[(place + (1 if forward else -1)) % len(order)].setFocus(Qt.FocusReason.TabFocusReason)
        return True

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Darken all but the part that is spoken of."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shade = QPainterPath()
        shade.addRect(QRectF(self.rect()))
        hole = self.hole()
        if not hole.isEmpty():
            bright = QPainterPath()
            bright.addRoundedRect(QRectF(hole), RADIUS, RADIUS)
            shade = shade.subtracted(bright)
        painter.fillPath(shade, QColor(0, 0, 0, 140 if colours().dark else 110))
        if not hole.isEmpty():
            painter.setPen(QPen(colours().qcolor("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(hole).adjusted(1, 1, -1, -1), RADIUS, RADIUS)
