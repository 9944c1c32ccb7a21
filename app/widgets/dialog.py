"""What the dialogs have in common: margins, one primary button, Ctrl+Return, a size from the font."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFrame, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from ..theme import GAP, MARGIN, heading
from .plain import Label, plain_title
from .showing import screen_room

if TYPE_CHECKING:
    from collections.abc import Callable

Role = QDialogButtonBox.ButtonRole


class Dialog(QDialog):
    """A dialog with a body and a row of buttons.

    Parameters
    ----------
    title
        Title of the window.
    columns, rows
        The size it opens with, in average characters and lines; never larger than the screen.
    scroll
        Whether the body scrolls when the screen is too low for it.  Not for bodies with a list that gives way.
    """

    def __init__(
        self, parent: QWidget | None, title: str, columns: int = 64, rows: int = 0, *, scroll: bool = False
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(plain_title(title))
        self.setAccessibleName(title)
        self._wish = (columns, rows)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        outer.setSpacing(MARGIN)
        self._scroll: _Area | None = None
        if scroll:
            inside = QWidget()
            self.body = QVBoxLayout(inside)
            self.body.setContentsMargins(0, 0, 0, 0)
            self._scroll = _Area(inside)
            self._scroll.verticalScrollBar().rangeChanged.connect(self._keep_off_bar)
            outer.addWidget(self._scroll, 1)
        else:
            self.body = QVBoxLayout()
            outer.addLayout(self.body, 1)
        self.body.setSpacing(GAP)
        #: What must stay in sight, such as why something cannot be done yet.
        self.foot = QVBoxLayout()
        outer.addLayout(self.foot)
        self.buttons = QDialogButtonBox()
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        outer.addWidget(self.buttons)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the wished size, at least what the contents need."""
        least = super().sizeHint()
        metrics = self.fontMetrics()
        columns, rows = self._wish
        room = screen_room(self).size() * 0.92
        width = max(least.width(), metrics.averageCharWidth() * columns)
        width = min(width, room.width())
        layout = self.layout()
        if self._scroll is not None:
            foot = self.foot.sizeHint().height()
            around = self.buttons.sizeHint().height() + foot + (4 if foot else 3) * MARGIN
            least.setHeight(self._scroll.height_for(width - 2 * MARGIN - GAP) + around)
        elif layout is not None and layout.hasHeightForWidth():
            least.setHeight(layout.totalHeightForWidth(width))
        height = max(least.height(), metrics.lineSpacing() * rows)
        return QSize(width, height).boundedTo(room)

    def setVisible(self, visible: bool) -> None:  # noqa: N802 - Qt's name
        """Open in the wished size; by itself Qt would take at most two thirds of the screen."""
        if visible and not self.testAttribute(Qt.WidgetAttribute.WA_Resized):
            self.resize(self.sizeHint())
        super().setVisible(visible)

    def _keep_off_bar(self, _least: int, most: int) -> None:
        # Without a bar the body ends where the buttons end.
        self.body.setContentsMargins(0, 0, GAP if most > 0 else 0, 0)

    def add_button(
        self, text: str, role: Role, action: Callable[[], object] | None = None, *, primary: bool = False
    ) -> QPushButton:
        """Add a button; the primary one answers Return and Ctrl+Return."""
        button = QPushButton(text)
        # Before it goes into the box, which polishes it.
        button.setProperty("primary", primary)
        self.buttons.addButton(button, role)
        button.setAutoDefault(False)
        if action is not None:
            button.clicked.connect(lambda _on=False: action())
        if primary:
            button.setDefault(True)
            button.setAutoDefault(True)
            for key in ("Ctrl+Return", "Ctrl+Enter"):
                QShortcut(QKeySequence(key), self).activated.connect(button.click)
        return button

    def add_close_button(self) -> QPushButton:
        """Add "Close" to a dialog that just shows something; Return closes it too."""
        button = self.add_button(self.tr("Close"), Role.RejectRole)
        button.setToolTip(self.tr("Close (Esc)"))
        button.setDefault(True)
        return button

    def add_copy_button(self, text: Callable[[], str], label: str = "") -> QPushButton:
        """Add a button that puts `text()` on the clipboard and says that it did."""
        label = label or self.tr("Copy")
        button = self.add_button(label, Role.ActionRole)

        def copy() -> None:
            QGuiApplication.clipboard().setText(text())
            button.setText(self.tr("Copied"))

        button.clicked.connect(lambda _on=False: copy())
        return button


def title_label(text: str, steps: int = 0) -> QLabel:
    """Return a label for a heading."""
    label = Label(text)
    label.setFont(heading(label.font(), steps))
    label.setWordWrap(True)
    return label


def sentence(text: str = "", *, quiet: bool = False, selectable: bool = False) -> QLabel:
    """Return a label for a sentence, which wraps."""
    label = Label(text)
    label.setWordWrap(True)
    if quiet:
        label.setProperty("secondary", True)
    if selectable:
        label.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
    return label


def scrolling(inside: QWidget, name: str) -> QScrollArea:
    """Return an area that scrolls `inside` up and down, and is wide enough that nothing is cut at the side."""
    area = _Area(inside)
    area.setAccessibleName(name)
    return area


class _Area(QScrollArea):
    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def height_for(self, width: int) -> int:
        """Return the height at which nothing scrolls."""
        inside = self.widget()
        layout = None if inside is None else inside.layout()
        if inside is None or layout is None:
            return self.sizeHint().height()
        height = inside.sizeHint().height()
        return layout.totalHeightForWidth(width) if layout.hasHeightForWidth() else height

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        inside = self.widget()
        least = 0 if inside is None else inside.minimumSizeHint().width()
        return QSize(least + self.verticalScrollBar().sizeHint().width(), super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        return super().sizeHint().expandedTo(self.minimumSizeHint())


def line() -> QFrame:
    """Return a thin line between groups."""
    frame = QFrame()
    frame.setProperty("line", True)
    frame.setFixedHeight(1)
    return frame
