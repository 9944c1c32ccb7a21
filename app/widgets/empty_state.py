"""What is shown where there is nothing yet: a sign, a sentence, and what to do about it."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ..theme import BIG_ICON, GAP, MARGIN, pixmap
from ..theme.icons import Tint
from .plain import Label


class Sign(QWidget):
    """An icon that stands alone and takes its colour from the theme each time it is painted."""

    def __init__(self, name: str, size: int, tint: Tint = "secondary", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name, self._size, self._tint = name, size, tint
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def set_sign(self, name: str, tint: Tint | None = None) -> None:
        """Show another icon."""
        self._name = name
        self._tint = tint or self._tint
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size of the icon."""
        return QSize(self._size, self._size)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Paint the icon."""
        painter = QPainter(self)
        painter.drawPixmap(0, 0, pixmap(self._name, self._size, self.devicePixelRatioF(), self._tint))


class EmptyState(QWidget):
    """A sign, a sentence and a button, in the middle of an empty place.

    Parameters
    ----------
    icon
        Name of the icon.
    sentence
        What is missing, and what it is for.
    button
        Text of the button that does something about it; empty for none.
    primary
        Whether the button is the one primary button of its surroundings.
    """

    clicked = Signal()

    def __init__(
        self,
        icon: str,
        sentence: str,
        button: str = "",
        parent: QWidget | None = None,
        *,
        primary: bool = False,
    ) -> None:
        super().__init__(parent)
        self.sign = Sign(icon, BIG_ICON)
        self.sentence = Label(sentence)
        self.sentence.setWordWrap(True)
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.sentence.setProperty("secondary", True)
        # Lines longer than this are tiring; the unit is the font's, so that larger text gets wider lines.
        self.sentence.setMaximumWidth(self.sentence.fontMetrics().averageCharWidth() * 46)
        # With a parent from the beginning: what is made visible without one is a window for a moment.
        self.button = QPushButton(button, self)
        self.button.setProperty("primary", primary)
        self.button.setAccessibleName(button)
        self.button.setVisible(bool(button))
        self.button.clicked.connect(self.clicked)

        # A row of its own: a wrapped label that is aligned in its layout asks for the height of too narrow a width.
        middle = QHBoxLayout()
        middle.addStretch(1)
        middle.addWidget(self.sentence, 1000)
        middle.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.setSpacing(GAP)
        layout.addStretch(2)
        layout.addWidget(self.sign, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addLayout(middle)
        layout.addSpacing(GAP)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)

    def set_sentence(self, sentence: str) -> None:
        """Say something else."""
        self.sentence.setText(sentence)

    def set_button(self, text: str) -> None:
        """Offer something else; an empty text hides the button."""
        self.button.setText(text)
        self.button.setAccessibleName(text)
        self.button.setVisible(bool(text))
