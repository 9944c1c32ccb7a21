"""All jobs with curve, log and stop, below the job bar."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeyEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ...theme import GAP, MARGIN, heading, icon, tabular
from ...widgets.plain import Label
from ...widgets.plots.loss_curve import LossCurve
from ...widgets.showing import screen_room
from .entry import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .entry import JobEntry

    Stop = Callable[[JobEntry], None]

#: Lines of a log that are shown; all of them are in the run's folder.
_LOG_LINES = 2000


class _JobCard(QFrame):
    """One job in the popup."""

    def __init__(self, entry: JobEntry, stop: Stop) -> None:
        super().__init__()
        self.entry, self._stop = entry, stop
        self._drawn = 0
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        title = Label(entry.job.title)
        title.setFont(heading(title.font(), 0))
        title.setWordWrap(True)
        layout.addWidget(title)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setRange(0, 1000)
        self.progress.setAccessibleName(self.tr("Progress of {title}").format(title=entry.job.title))
        layout.addWidget(self.progress)
        self.share = Label()
        self.share.setFont(tabular(self.share.font()))
        self.left = Label()
        self.left.setWordWrap(True)
        self.left.setFont(tabular(self.left.font()))
        self.left.setProperty("secondary", True)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.share, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.left, 1, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(row)
        self.text = Label()
        self.text.setWordWrap(True)
        self.text.setFont(tabular(self.text.font()))
        self.text.setProperty("secondary", True)
        layout.addWidget(self.text)
        self.curve = LossCurve()
        self.curve.setMinimumHeight(120)
        self.curve.hide()
        layout.addWidget(self.curve)
        layout.addLayout(self._buttons())
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(_LOG_LINES)
        self.log.setPlainText("\n".join(entry.job.log[-_LOG_LINES:]))
        self.log.setAccessibleName(self.tr("Log of {title}").format(title=entry.job.title))
        self.log.setMinimumHeight(140)
        self.log.hide()
        layout.addWidget(self.log)
        entry.job.said.connect(self.log.appendPlainText)
        self.refresh()

    def disconnect_job(self) -> None:
        """Stop listening; the popup goes while the job lives on."""
        with contextlib.suppress(RuntimeError, TypeError):
            self.entry.job.said.disconnect(self.log.appendPlainText)

    def _buttons(self) -> QHBoxLayout:
        self.show_log = QToolButton()
        self.show_log.setText(self.tr("Log"))
        self.show_log.setIcon(icon("log"))
        self.show_log.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.show_log.setCheckable(True)
        self.show_log.setToolTip(self.tr("Show what the job has written"))
        self.show_log.toggled.connect(self._toggle_log)
        training = self.entry.job.kind == "train"
        self.stop = QPushButton(self.tr("Stop and keep"))
        self.stop.setIcon(icon("stop"))
        self.stop.setToolTip(
            self.tr("Ends the training now and keeps the model as it is")
            if training
            else self.tr("Ends now and keeps the images that are done")
        )
        self.stop.clicked.connect(lambda: self._stop(self.entry))
        row = QHBoxLayout()
        row.addWidget(self.show_log)
        row.addStretch(1)
        row.addWidget(self.stop)
        return row

    def _toggle_log(self, shown: bool) -> None:
        self.log.setVisible(shown)
        bar = self.log.verticalScrollBar()
        bar.setValue(bar.maximum())
        window = self.window()
        if isinstance(window, JobPopup):
            window.fit()

    def refresh(self) -> None:
        """Show the job's present state."""
        entry, progress = self.entry, self.entry.job.last_progress
        share = 0.0 if progress is None else float(progress.share or 0.0)
        self.progress.setValue(1000 if entry.state == "finished" else round(1000 * share))
        self.progress.setVisible(entry.running)
        self.share.setText(f"{percent(progress)} %")
        self.share.setVisible(entry.running)
        self.left.setText(entry.line())
        text = "" if progress is None else progress.text
        self.text.setText(text)
        self.text.setVisible(entry.running and bool(text) and text != entry.line())
        self.stop.setVisible(entry.running)
        self.stop.setEnabled(entry.state == "running")
        curve = entry.job.curve
        if len(curve) != self._drawn:
            self._drawn = len(curve)
            self.curve.set_points([(step, loss) for step, loss, _rate in curve])
            # As in the panel: how far it is, not only how it went.
            self.curve.set_total(0.0 if progress is None else float(progress.detail.get("steps", 0)))
        self.curve.setVisible(len(curve) > 1)


class JobPopup(QFrame):
    """All jobs, below the bar; closes with Esc or a click elsewhere.

    Parameters
    ----------
    bar
        What it belongs to.
    stop
        Asks a job to stop and keep what it has.
    """

    closed = Signal()

    def __init__(self, bar: QWidget, stop: Stop) -> None:
        super().__init__(bar, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAccessibleName(self.tr("Jobs"))
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._stop = stop
        self.cards: list[_JobCard] = []
        self._body = QWidget()
        self._column = QVBoxLayout(self._body)
        self._column.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        self._column.setSpacing(MARGIN)
        self._scroll = QScrollArea()
        self._scroll.setWidget(self._body)
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(1, 1, 1, 1)
        layout.addWidget(self._scroll)

    def refresh(self, entries: Sequence[JobEntry]) -> None:
        """Show these jobs; the card of one that is not among them any more stays."""
        known = {id(card.entry) for card in self.cards}
        for entry in entries:
            if id(entry) not in known:
                if self.cards:
                    line = QFrame()
                    line.setProperty("line", True)
                    line.setFixedHeight(1)
                    self._column.addWidget(line)
                card = _JobCard(entry, self._stop)
                self.cards.append(card)
                self._column.addWidget(card)
        for card in self.cards:
            card.refresh()

    def fit(self) -> None:
        """Take the height the cards need, within the screen."""
        self._column.activate()
        self.resize(self.sizeHint())

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a width for a readable log line and the height of the cards, at most three quarters of the screen."""
        width = max(360, self.fontMetrics().averageCharWidth() * 56)
        height = max(self._column.heightForWidth(width), self._column.sizeHint().height()) + 4
        return QSize(width, min(height, screen_room(self).height() * 3 // 4))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Esc closes."""
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Let go of the jobs."""
        for card in self.cards:
            card.disconnect_job()
        self.closed.emit()
        super().closeEvent(event)
