"""The window at work while it is hidden, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from ..theme import app_icon
from ..widgets.plain import plain_notice

if TYPE_CHECKING:
    from ..session.jobs import Job
    from ..session.session import Session


class Background(QObject):
    """Keeps the window alive hidden while jobs run."""

    def __init__(self, frame: QWidget, session: Session) -> None:
        super().__init__(frame)
        self._frame = frame
        self._session = session
        self.hidden = False
        self._tray: QSystemTrayIcon | None = None

    def hide_window(self) -> None:
        """Hide the window; it comes back by its tray icon or a second start, and ends itself after the last job."""
        self.hidden = True
        self._frame.hide()
        self._session.jobs.ended.connect(self._job_ended)
        if QSystemTrayIcon.isSystemTrayAvailable():
            self._tray = QSystemTrayIcon(app_icon(), self)
            self._tray.setToolTip(self.tr("CellSeg1 Studio is working; click to show the window."))
            self._tray.activated.connect(lambda _reason: self.show_window())
            self._tray.show()

    def show_window(self) -> None:
        """Bring the window to the front."""
        if self.hidden:
            self.hidden = False
            self._session.jobs.ended.disconnect(self._job_ended)
        if self._tray is not None:
            self._tray.hide()
            self._tray.deleteLater()
            self._tray = None
        self._frame.show()
        self._frame.raise_()
        self._frame.activateWindow()

    def _job_ended(self, job: Job) -> None:
        if self._tray is not None:
            said = self.tr("{job}: done.").format(job=job.handle.title)
            self._tray.showMessage("CellSeg1 Studio", plain_notice(said))
        if not self._session.jobs.running:
            # Everything is in the project; a hidden program that does nothing would only hold the memory.
            QTimer.singleShot(0, self._frame.close)

    def leave(self) -> None:
        """End the application."""
        if self._tray is not None:
            self._tray.hide()
        app = QApplication.instance()
        if app is not None:
            QTimer.singleShot(0, app.quit)
