"""A part of a panel that can be folded away."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from ..theme import GAP, RADIUS, TIGHT, colours, pixmap
from .plain import Label

_SIGN = 16


class _Heading(QAbstractButton):
    """A chevron and a title over the whole width.

    A tool button would begin some pixels in from the left, and the title would not stand above its content.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self._open = False
        font = QFont(self.font())
        font.setWeight(QFont.Weight.DemiBold if level == 0 else QFont.Weight.Normal)
        self.setFont(font)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_open(self, opened: bool) -> None:
        """Turn the chevron."""
        self._open = opened
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size of chevron and title."""
        metrics = self.fontMetrics()
        width = _SIGN + GAP + metrics.horizontalAdvance(self.text()) + GAP
        return QSize(width, max(_SIGN, metrics.height()) + 2 * TIGHT)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a width at which the title is elided."""
        return QSize(_SIGN + 5 * GAP, self.sizeHint().height())

    def event(self, event: QEvent) -> bool:
        """Ask for a new layout when the title changes its size."""
        if event.type() == QEvent.Type.FontChange:
            self.updateGeometry()
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Take Enter like the space bar, and the arrow keys as in a tree."""
        key = event.key()
        if (
            (key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers())
            or (key == Qt.Key.Key_Right and not self._open)
            or (key == Qt.Key.Key_Left and self._open)
        ):
            self.click()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Paint chevron and title; a ground while the pointer is over them, a ring while they have the focus."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shades = colours()
        frame = QRectF(self.rect())
        if self.isEnabled() and (self.isDown() or self.underMouse()):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(shades.qcolor("pressed" if self.isDown() else "hover"))
            painter.drawRoundedRect(frame, RADIUS, RADIUS)
        if self.hasFocus():
            painter.setPen(QPen(shades.qcolor("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(frame.adjusted(1, 1, -1, -1), RADIUS, RADIUS)
        mirrored = self.isRightToLeft()
        name = "chevron-down" if self._open else "chevron-left" if mirrored else "chevron-right"
        x = self.width() - _SIGN if mirrored else 0
        painter.drawPixmap(x, (self.height() - _SIGN) // 2, pixmap(name, _SIGN, self.devicePixelRatioF(), "secondary"))
        painter.setPen(shades.qcolor("text" if self.isEnabled() else "disabled"))
        room = self.rect().adjusted(_SIGN + TIGHT + 2, 0, -TIGHT, 0)
        if mirrored:
            room = QRect(TIGHT, 0, room.width(), self.height())
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeading, text)


class FoldSection(QWidget):
    """A heading that shows and hides what is under it.

    Parameters
    ----------
    title
        The heading.
    opened
        Whether the content is shown at first.
    level
        0 for a section of a panel, 1 for a section within one.
    """

    toggled = Signal(bool)

    def __init__(self, title: str, parent: QWidget | None = None, *, opened: bool = False, level: int = 0) -> None:
        super().__init__(parent)
        self.button = _Heading(level)
        self.button.clicked.connect(lambda: self.set_open(not self.is_open))
        self._summary = Label()
        self._summary.setProperty("secondary", True)
        self._summary.hide()

        head = QHBoxLayout()
        head.setSpacing(GAP)
        head.addWidget(self.button, 1)
        head.addWidget(self._summary)

        self.content = QWidget()
        self.body = QVBoxLayout(self.content)
        self.body.setContentsMargins(0, TIGHT, 0, GAP)
        self.body.setSpacing(GAP)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(head)
        outer.addWidget(self.content)
        self._open = not opened
        self.set_title(title)
        self.set_open(opened)

    @property
    def is_open(self) -> bool:
        """Whether the content is shown."""
        return self._open

    def set_open(self, opened: bool) -> None:
        """Show or hide the content."""
        if opened == self._open:
            return
        self._open = opened
        self.button.set_open(opened)
        self.button.setAccessibleDescription(self.tr("shown") if opened else self.tr("hidden"))
        self.button.setToolTip(self.tr("Hide (Space)") if opened else self.tr("Show (Space)"))
        self.content.setVisible(opened)
        self.toggled.emit(opened)

    def set_title(self, title: str) -> None:
        """Show another heading."""
        self.button.setText(title)
        self.button.setAccessibleName(title)
        self.button.updateGeometry()

    def set_summary(self, text: str) -> None:
        """Say at the right of the heading what is inside, such as "2 changed"; an empty text says nothing."""
        self._summary.setText(text)
        self._summary.setVisible(bool(text))

    def add(self, widget: QWidget) -> QWidget:
        """Add a widget to the content and return it."""
        self.body.addWidget(widget)
        return widget
