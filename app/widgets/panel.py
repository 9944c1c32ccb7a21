"""A panel beside the canvas: a title, what belongs to it, and at most one primary button."""

from __future__ import annotations

from time import monotonic

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QMouseEvent, QShortcut
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from ..theme import GAP, ICON, MARGIN, PANEL_WIDTH, TIGHT, heading, icon
from .plain import Label, plain_tip

#: Seconds within which a key that comes again is one that is held: where the computer is busy, its repeats are told as
#: pressed anew.  The first comes after up to 0.7 s.
_HELD = 1.0
#: Keys that click a button.
_CLICKS = (Qt.Key.Key_Space, Qt.Key.Key_Select)


class _Key:
    """A key that starts something which the same key would stop."""

    def __init__(self) -> None:
        self._pressed = -_HELD

    def is_held(self) -> bool:
        """Note that it is pressed, and tell whether it is so still, not anew."""
        last, self._pressed = self._pressed, monotonic()
        return self._pressed - last < _HELD


class _OneClick(QPushButton):
    """A button for which a double click is one click: what it started would be stopped by the second."""

    def __init__(self) -> None:
        super().__init__()
        self._key = _Key()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Take the second press for nothing; it also comes when the first one brought another panel here."""
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Hear a key that is held once only."""
        if event.key() in _CLICKS and self._key.is_held():
            event.accept()
            return
        super().keyPressEvent(event)


class Panel(QWidget):
    """A title, a body that scrolls when it must, and the primary button, which stays in sight at the bottom.

    Parameters
    ----------
    title
        Shown at the top.
    primary
        Text of the primary button; empty for none (see `set_primary`).
    """

    #: The primary button was clicked, or Ctrl+Return pressed while the panel is in sight.
    primary_clicked = Signal()

    def __init__(self, title: str, primary: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._outer = outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)

        self.title = Label(title)
        self.title.setFont(heading(self.font(), 1))
        self.title.setWordWrap(True)
        self.title.setContentsMargins(MARGIN, MARGIN, MARGIN, GAP)
        outer.addWidget(self.title)

        content = QWidget()
        self.body = QVBoxLayout(content)
        self.body.setContentsMargins(MARGIN, TIGHT, MARGIN, MARGIN)
        self.body.setSpacing(GAP)
        self.scroll_area = QScrollArea()
        self.scroll_area.setWidgetResizable(True)
        self.scroll_area.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll_area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        # A stretch that stays below whatever is added to the body later.
        below = QWidget()
        stack = QVBoxLayout(below)
        stack.setContentsMargins(0, 0, 0, 0)
        stack.setSpacing(0)
        stack.addWidget(content)
        stack.addStretch(1)
        self.scroll_area.setWidget(below)
        outer.addWidget(self.scroll_area, 1)

        # The bar takes its width from the margin: nothing moves when it comes or goes.
        self.scroll_area.verticalScrollBar().rangeChanged.connect(self._make_room)

        self.primary: QPushButton | None = None
        self._key = _Key()
        self._foot = QVBoxLayout()
        self._foot.setContentsMargins(MARGIN, GAP, MARGIN, MARGIN)
        self._foot.setSpacing(GAP)
        self._foot_holder = QWidget()
        self._foot_holder.setLayout(self._foot)
        self._foot_holder.hide()
        outer.addWidget(self._foot_holder)
        if primary:
            self.set_primary(primary)
        self.setAccessibleName(title)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the usual width of a panel."""
        return QSize(PANEL_WIDTH, 560)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the least width: what the content needs, so that nothing is cut at the side."""
        if self.scroll_area.isHidden():
            return super().minimumSizeHint()
        inside = self.scroll_area.widget()
        least = inside.minimumSizeHint().width() + MARGIN if inside is not None else 0
        return QSize(max(least, 240), super().minimumSizeHint().height())

    def set_title(self, title: str) -> None:
        """Show another title."""
        self.title.setText(title)
        self.setAccessibleName(title)

    def set_primary(self, text: str, icon_name: str = "", tip: str = "") -> QPushButton:
        """Show the primary button with this text (and make it the first time)."""
        if self.primary is None:
            self.primary = _OneClick()
            self.primary.setProperty("primary", True)
            self.primary.setIconSize(QSize(ICON, ICON))
            self.primary.clicked.connect(self.primary_clicked)
            # Not the button's own shortcut: that would go whenever its text changes.  A hidden panel's is inactive.
            for keys in ("Ctrl+Return", "Ctrl+Enter"):
                QShortcut(QKeySequence(keys), self, self._press, context=Qt.ShortcutContext.WindowShortcut)
            self._foot.addWidget(self.primary)
            self._foot_holder.show()
        self.primary.setText(text)
        self.primary.setAccessibleName(text)
        if icon_name:
            self.primary.setIcon(icon(icon_name, "on_accent"))
        self.primary.setToolTip(plain_tip(f"{tip or text} (Ctrl+Return)"))
        return self.primary

    def add(self, widget: QWidget) -> QWidget:
        """Add a widget to the body and return it."""
        self.body.addWidget(widget)
        return widget

    def fill(self, widget: QWidget) -> None:
        """Show a widget that scrolls for itself instead of the body."""
        self.scroll_area.hide()
        self._outer.insertWidget(1, widget, 1)

    def add_foot(self, widget: QWidget) -> QWidget:
        """Add a widget above the primary button, where it stays in sight, and return it."""
        self._foot.insertWidget(max(0, self._foot.count() - (self.primary is not None)), widget)
        self._foot_holder.show()
        return widget

    def add_text(self, text: str, *, secondary: bool = True) -> QLabel:
        """Add a sentence to the body and return its label."""
        label = Label(text)
        label.setWordWrap(True)
        label.setProperty("secondary", secondary)
        self.body.addWidget(label)
        return label

    def add_heading(self, text: str) -> QLabel:
        """Add the title of a group to the body and return its label."""
        label = Label(text)
        label.setFont(heading(self.font(), 0))
        label.setWordWrap(True)
        label.setContentsMargins(0, GAP, 0, 0)
        self.body.addWidget(label)
        return label

    def _make_room(self, _least: int, most: int) -> None:
        bar = self.scroll_area.verticalScrollBar().sizeHint().width() if most > 0 else 0
        self.body.setContentsMargins(MARGIN, TIGHT, max(TIGHT, MARGIN - bar), MARGIN)

    def _press(self) -> None:
        if self._key.is_held():
            return
        if self.primary is not None and self.primary.isVisible() and self.primary.isEnabled():
            self.primary.animateClick()
