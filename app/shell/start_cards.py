"""Cards of the start page: the big choices and the recent projects, in columns that fit the window."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QDate, QDateTime, QEvent, QLocale, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QContextMenuEvent,
    QFontMetrics,
    QImage,
    QKeyEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QGridLayout,
    QMenu,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from ..theme import GAP, MARGIN, TIGHT, colours, heading, icon, pixmap
from ..widgets.plain import plain_tip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..project.recent import RecentProject

_ROUND = 8
_THUMB = 64


class _Card(QAbstractButton):
    """A clickable ground with rounded corners; what is on it is laid out by those who inherit."""

    def __init__(self, *, primary: bool = False) -> None:
        super().__init__()
        self._primary = primary
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def ground(self) -> str:
        """Return the name of the colour below, in the present state."""
        if self._primary:
            return "accent_pressed" if self.isDown() else "accent_hover" if self.underMouse() else "accent"
        return "pressed" if self.isDown() else "hover" if self.underMouse() else "raised"

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the ground and, with the focus, a ring."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look = colours()
        box = QRectF(self.rect()).adjusted(2, 2, -2, -2)
        painter.setBrush(look.qcolor(self.ground()))
        painter.setPen(Qt.PenStyle.NoPen if self._primary else QPen(look.qcolor("border"), 1))
        painter.drawRoundedRect(box, _ROUND, _ROUND)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(look.qcolor("text" if self._primary else "accent"), 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), _ROUND, _ROUND)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Return does what Space does; the arrows go to the next card."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        elif event.key() in (Qt.Key.Key_Right, Qt.Key.Key_Down):
            self.focusNextChild()
        elif event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Up):
            self.focusPreviousChild()
        else:
            super().keyPressEvent(event)


class ChoiceCard(_Card):
    """One of the big choices: icon, name, one sentence."""

    def __init__(self, sign: str, title: str, text: str, key: str = "", *, primary: bool = False) -> None:
        super().__init__(primary=primary)
        self._sign, self._title, self._note = sign, title, text
        self.setText(title)
        self.setAccessibleName(title)
        self.setAccessibleDescription(text)
        self.setToolTip(plain_tip(f"{title} ({key})" if key else title))
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def _note_height(self, width: int) -> int:
        box = QRect(0, 0, max(1, width - 2 * MARGIN), 10000)
        return self.fontMetrics().boundingRect(box, int(Qt.TextFlag.TextWordWrap), self._note).height()

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """Return the height at which the sentence is not cut."""
        title = QFontMetrics(heading(self.font(), 1)).height()
        return MARGIN + 32 + GAP + title + TIGHT + self._note_height(width) + MARGIN

    def hasHeightForWidth(self) -> bool:  # noqa: N802 - Qt's name
        """Return that a narrower card is higher."""
        return True

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a comfortable width with its height."""
        width = self.fontMetrics().averageCharWidth() * 36
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the width of the title."""
        title = QFontMetrics(heading(self.font(), 1)).horizontalAdvance(self._title)
        width = max(title, self.fontMetrics().averageCharWidth() * 18) + 2 * MARGIN
        return QSize(width, self.heightForWidth(width))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw icon and words on the ground."""
        super().paintEvent(event)
        painter = QPainter(self)
        look = colours()
        tint = "on_accent" if self._primary else "accent"
        painter.drawPixmap(MARGIN - 4, MARGIN, pixmap(self._sign, 32, self.devicePixelRatioF(), tint))  # type: ignore[arg-type]
        font = heading(self.font(), 1)
        height = QFontMetrics(font).height()
        top = MARGIN + 32 + GAP
        painter.setFont(font)
        painter.setPen(look.qcolor("on_accent" if self._primary else "text"))
        box = QRect(MARGIN, top, self.width() - 2 * MARGIN, height)
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self._title)
        painter.setFont(self.font())
        painter.setPen(look.qcolor("on_accent" if self._primary else "secondary"))
        box = QRect(MARGIN, top + height + TIGHT, self.width() - 2 * MARGIN, self.height())
        painter.drawText(box, int(Qt.TextFlag.TextWordWrap), self._note)


def when(opened: str) -> str:
    """Return when (ISO 8601) a project was opened in short: the time today, else the date; empty if not known."""
    try:
        moment = datetime.fromisoformat(opened)
    except ValueError:
        return ""
    local = QDateTime.fromSecsSinceEpoch(int(moment.timestamp()))
    short = QLocale.FormatType.ShortFormat
    if local.date() == QDate.currentDate():
        return QCoreApplication.translate("RecentCard", "today, {time}").format(
            time=QLocale().toString(local.time(), short)
        )
    return QLocale().toString(local.date(), short)


def _short(folder: Path) -> str:
    """Return a folder as people know it: their own one as a tilde."""
    try:
        return str("~" / folder.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(folder)


class RecentCard(_Card):
    """One project: picture, name, folder, when.  A missing one says so and can only be taken off the list."""

    forgotten = Signal()

    def __init__(self, recent: RecentProject, *, missing: bool) -> None:
        super().__init__()
        self.path, self.missing = Path(recent.path), missing
        self._picture = self._load(recent.thumbnail)
        self._name = recent.name
        self._where = _short(self.path.parent)
        self._when = self.tr("not found") if missing else when(recent.opened)
        self.setText(recent.name)
        self.setAccessibleName(f"{recent.name}, {self._when}" if self._when else recent.name)
        self.setAccessibleDescription(str(self.path))
        note = self.tr("This folder is not there (any more).") if missing else self.tr("Delete takes it off the list.")
        self.setToolTip(plain_tip(f"{self.path}\n{note}"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        if missing:
            self.setCursor(Qt.CursorShape.ArrowCursor)
        self.remove_button = QToolButton(self)
        self.remove_button.setIcon(icon("close"))
        self.remove_button.setIconSize(QSize(14, 14))
        self.remove_button.setToolTip(self.tr("Remove from the list (the project itself is not touched)"))
        self.remove_button.setAccessibleName(self.tr("Remove {name} from the list").format(name=recent.name))
        self.remove_button.setFocusPolicy(Qt.FocusPolicy.TabFocus if missing else Qt.FocusPolicy.NoFocus)
        self.remove_button.setCursor(Qt.CursorShape.ArrowCursor)
        self.remove_button.setVisible(missing)
        self.remove_button.clicked.connect(self.forgotten)

    def _load(self, path: Path | None) -> QPixmap | None:
        picture = QImage(str(path)) if path is not None else QImage()
        if picture.isNull():
            return None
        side = 2 * _THUMB
        scaled = picture.scaled(
            side, side, Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation
        )
        left, top = (scaled.width() - side) // 2, (scaled.height() - side) // 2
        return QPixmap.fromImage(scaled.copy(left, top, side, side))

    def menu(self) -> QMenu:
        """Return what can be done with the project."""
        menu = QMenu(self)
        opening = QAction(icon("open"), self.tr("Open"), menu)
        opening.setEnabled(not self.missing)
        opening.triggered.connect(self.click)
        forget = QAction(icon("close"), self.tr("Remove from the list"), menu)
        forget.triggered.connect(self.forgotten)
        menu.addActions([opening, forget])
        return menu

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802 - Qt's name
        """Open the menu."""
        menu = self.menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Delete takes it off the list."""
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.forgotten.emit()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the room for picture and three lines."""
        lines = 3 * self.fontMetrics().height() + 2 * TIGHT
        return QSize(self.fontMetrics().averageCharWidth() * 36, max(_THUMB, lines) + 2 * 12)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the least useful width."""
        return QSize(self.fontMetrics().averageCharWidth() * 24, self.sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Keep the cross in the corner."""
        super().resizeEvent(event)
        size = self.remove_button.sizeHint()
        self.remove_button.setGeometry(QRect(QPoint(self.width() - size.width() - 6, 6), size))

    def event(self, event: QEvent) -> bool:
        """Show the cross while the pointer or the focus is here."""
        if event.type() in (QEvent.Type.HoverEnter, QEvent.Type.FocusIn):
            self.remove_button.show()
        elif event.type() in (QEvent.Type.HoverLeave, QEvent.Type.FocusOut) and not self.missing:
            self.remove_button.setVisible(self.hasFocus() or self.underMouse())
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw picture and words on the ground."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        look = colours()
        box = QRect(12, (self.height() - _THUMB) // 2, _THUMB, _THUMB)
        clip = QPainterPath()
        clip.addRoundedRect(QRectF(box), 4, 4)
        if self._picture is not None and not self.missing:
            painter.save()
            painter.setClipPath(clip)
            painter.drawPixmap(box, self._picture)
            painter.restore()
        else:
            painter.fillPath(clip, look.qcolor("pressed"))
            sign = pixmap("warning" if self.missing else "image", 24, self.devicePixelRatioF(), "secondary")
            painter.drawPixmap(box.center() - QPoint(11, 11), sign)
        metrics = self.fontMetrics()
        bold = heading(self.font(), 0)
        left = box.right() + 1 + 12
        width = self.width() - left - 12
        first = width - self.remove_button.sizeHint().width()
        lines = (
            (bold, "secondary" if self.missing else "text", self._name, Qt.TextElideMode.ElideMiddle, first),
            (self.font(), "secondary", self._where, Qt.TextElideMode.ElideMiddle, width),
            (self.font(), "warning" if self.missing else "secondary", self._when, Qt.TextElideMode.ElideRight, width),
        )
        top = (self.height() - 3 * metrics.height() - 2 * TIGHT) // 2
        for font, colour, text, elide, room in lines:
            painter.setFont(font)
            painter.setPen(look.qcolor(colour))
            shown = QFontMetrics(font).elidedText(text, elide, room)
            painter.drawText(QRect(left, top, room, metrics.height()), Qt.AlignmentFlag.AlignVCenter, shown)
            top += metrics.height() + TIGHT


class Columns(QWidget):
    """Cards side by side in columns of equal width, as many as fit."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most, self._now = most, 0
        self.cards: list[QWidget] = []
        self._fillers: list[QWidget] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def set_cards(self, cards: Sequence[QWidget]) -> None:
        """Show these cards instead."""
        for card in self.cards:
            self._grid.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.cards, self._now = list(cards), 0
        self._arrange()

    def drop(self, card: QWidget) -> None:
        """Take one card out; the others close up."""
        self.cards.remove(card)
        self._grid.removeWidget(card)
        card.hide()
        card.deleteLater()
        self._now = 0
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Take more or fewer columns."""
        super().resizeEvent(event)
        self._arrange()

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the width of one column; the height follows the columns there are."""
        least = max((card.minimumSizeHint().width() for card in self.cards), default=0)
        return QSize(least, super().minimumSizeHint().height())

    def _arrange(self) -> None:
        if not self.cards:
            return
        least = max(card.minimumSizeHint().width() for card in self.cards)
        columns = max(1, min(self._most, (self.width() + GAP) // (least + GAP)))
        if columns == self._now:
            return
        self._now = columns
        for place, card in enumerate(self.cards):
            self._grid.addWidget(card, place // columns, place % columns)
        for filler in self._fillers:
            self._grid.removeWidget(filler)
            filler.deleteLater()
        # A column without a card would lose its gap too, and the others would be wider than those of the page above.
        self._fillers = [QWidget(self) for _ in range(len(self.cards), columns)]
        for place, filler in enumerate(self._fillers, len(self.cards)):
            self._grid.addWidget(filler, 0, place)
        for column in range(self._most):
            self._grid.setColumnStretch(column, 1 if column < columns else 0)
