"""Long work at the top right of the window: progress and time left; a click opens curve, log and stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from ...theme import GAP, MARGIN, RADIUS, colours, pixmap, tabular
from ...theme.icons import Tint
from ...widgets.plain import plain_tip
from ...widgets.showing import screen_room
from .entry import JobEntry, percent
from .popup import JobPopup

if TYPE_CHECKING:
    from ...engine.jobs import JobHandle

#: How long the end of a job stays readable in the bar.
_LINGER_MS = 8000
_SIGN = 20


class JobBar(QAbstractButton):
    """Nothing while there is no job; then title, ring of progress, percent and time left."""

    jobs_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.entries: list[JobEntry] = []
        self._popup: JobPopup | None = None
        self._texts = ("", "", "")
        self._linger = QTimer(self, interval=_LINGER_MS, singleShot=True)
        self._linger.timeout.connect(self._forget_ended)
        self.setFont(tabular(self.font()))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.clicked.connect(self.open_popup)
        self.hide()

    def add(self, job: JobHandle) -> None:
        """Show a job from now until some seconds after its end."""
        entry = JobEntry(job)
        self.entries.append(entry)
        job.progress.connect(lambda _progress: self._refresh())
        # Also that it has not been heard for long.
        job.said.connect(lambda _text: self._refresh())
        job.state_changed.connect(lambda _state: self._state_changed(entry))
        self._linger.stop()
        self._refresh()
        self.jobs_changed.emit()

    def running(self) -> list[JobHandle]:
        """Return the jobs that have not ended."""
        return [entry.job for entry in self.entries if entry.running]

    # ---- what happens to jobs

    def _state_changed(self, entry: JobEntry) -> None:
        if not self.running():
            self._linger.start()
        self._refresh()
        if not entry.running:
            self.jobs_changed.emit()

    def stop(self, entry: JobEntry) -> None:
        """Ask a job to stop and keep what it has."""
        if entry.state == "running":
            entry.job.stop()

    def _forget_ended(self) -> None:
        # A failure stays until it was looked at; it may have happened over night.
        popup_open = self._popup is not None and self._popup.isVisible()
        self.entries = [one for one in self.entries if one.running or one.failed or popup_open]
        self._refresh()

    def _seen(self) -> None:
        self.entries = [entry for entry in self.entries if entry.running]
        self._refresh()

    # ---- how it looks

    def _shown(self) -> JobEntry | None:
        """The job the bar speaks of: the first that runs, else the last that ended."""
        return next((entry for entry in self.entries if entry.running), self.entries[-1] if self.entries else None)

    def _say(self) -> tuple[str, str, str]:
        """Return title, share while it runs, and what else there is to say; all empty without a job."""
        running = [entry for entry in self.entries if entry.running]
        shown = running or self.entries[-1:]
        if not shown:
            return "", "", ""
        entry = shown[0]
        title = entry.job.title
        if len(running) > 1:
            title = self.tr("{title} and {n} more").format(title=title, n=len(running) - 1)
        share = f"{percent(entry.job.last_progress)} %" if running else ""
        return title, share, entry.line()

    def _refresh(self) -> None:
        # Asked for once: laying out and painting need it several times.
        title, share, line = self._texts = self._say()
        spoken = " ".join(text for text in (title, share, line) if text)
        self.setAccessibleName(self.tr("Job: {text}").format(text=spoken))
        self.setToolTip(plain_tip(self.tr("{text}\nOpens progress, log and stop").format(text=spoken)))
        self.setVisible(bool(self.entries))
        self.updateGeometry()
        self.update()
        if self._popup is not None:
            self._popup.refresh(self.entries)

    def _widths(self) -> tuple[int, int, int]:
        """The room for title, percentage and the rest, each with the gap before it."""
        metrics = QFontMetrics(self.font())
        title, share, line = self._texts
        # Widths are rounded, but a text that is wider by a fraction is already shortened.
        name = min(metrics.horizontalAdvance(title) + 1, metrics.averageCharWidth() * 26)
        if title and not share:
            # The job has ended.
            return name, 0, MARGIN + min(metrics.horizontalAdvance(line) + 1, metrics.averageCharWidth() * 40)
        # While it counts there is room for the widest it may say, so that nothing jumps.
        rest = max(metrics.horizontalAdvance("00 h 00 min left"), min(metrics.horizontalAdvance(line) + 1, name))
        return name, MARGIN + metrics.horizontalAdvance("100 %"), GAP + rest

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the room for everything it says."""
        height = max(32, QFontMetrics(self.font()).height() + 12)
        return QSize(GAP + _SIGN + GAP + sum(self._widths()) + GAP, height)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the least room: ring and percentage."""
        metrics = QFontMetrics(self.font())
        return QSize(GAP + _SIGN + GAP + metrics.horizontalAdvance("100 %") + GAP, self.sizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw ring, title, percentage and time left."""
        entry = self._shown()
        if entry is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look = colours()
        area = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        if self.isDown() or self.underMouse():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(look.qcolor("pressed" if self.isDown() else "hover"))
            painter.drawRoundedRect(area, RADIUS, RADIUS)
        if self.hasFocus():
            painter.setPen(QPen(look.qcolor("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(area, RADIUS, RADIUS)
        self._draw_sign(painter, entry)
        self._draw_words(painter, entry)

    def _draw_words(self, painter: QPainter, entry: JobEntry) -> None:
        look, metrics = colours(), QFontMetrics(self.font())
        title, share, line = self._texts
        name, number, rest = self._widths()
        left, room = GAP + _SIGN + GAP, self.width() - 3 * GAP - _SIGN
        # In a narrow window the title goes first, then the time left; the percentage stays.
        if name + number + rest > room:
            name = max(0, room - number - rest)
            if name < 6 * metrics.averageCharWidth():
                name, number = 0, max(0, number - MARGIN)
            rest = max(0, room - name - number)
        middle, right = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignRight
        painter.setPen(look.qcolor("text"))
        shown = metrics.elidedText(title, Qt.TextElideMode.ElideMiddle, name)
        painter.drawText(QRect(left, 0, name, self.height()), middle, shown)
        painter.drawText(QRect(left + name, 0, number, self.height()), middle | right, share)
        gap = GAP if number else MARGIN if name else 0
        painter.setPen(look.qcolor("error" if entry.failed else "secondary"))
        shown = metrics.elidedText(line, Qt.TextElideMode.ElideRight, rest - gap)
        painter.drawText(QRect(left + name + number + gap, 0, max(0, rest - gap), self.height()), middle, shown)

    def _draw_sign(self, painter: QPainter, entry: JobEntry) -> None:
        look = colours()
        if not entry.running:
            name = "error" if entry.failed else {"finished": "check", "stopped": "stop"}[entry.state]
            tint: Tint = "error" if entry.failed else "text"
            sign = pixmap(name, _SIGN, self.devicePixelRatioF(), tint)
            painter.drawPixmap(GAP, (self.height() - _SIGN) // 2, sign)
            return
        ring = QRectF(GAP + 2, (self.height() - 16) / 2, 16, 16)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(look.qcolor("pressed"), 3))
        painter.drawEllipse(ring)
        painter.setPen(QPen(look.qcolor("accent"), 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        span = max(2, percent(entry.job.last_progress)) * 3.6
        painter.drawArc(ring, 90 * 16, round(-span * 16))

    # ---- the popup

    def open_popup(self) -> JobPopup:
        """Show all jobs with curve, log and stop below the bar."""
        if self._popup is not None:
            self._popup.close()
        popup = JobPopup(self, self.stop)
        popup.closed.connect(self._popup_closed)
        self._popup = popup
        popup.refresh(self.entries)
        popup.adjustSize()
        corner = self.mapToGlobal(QPoint(self.width() - popup.width(), self.height() + 4))
        screen = screen_room(self)
        popup.move(max(screen.left(), min(corner.x(), screen.right() - popup.width())), corner.y())
        popup.show()
        return popup

    def _popup_closed(self) -> None:
        self._popup = None
        self._seen()
