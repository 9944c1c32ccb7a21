"""Closing the window while a job runs: go on hidden, or stop and resume later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEventLoop, QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication, QProgressDialog, QSystemTrayIcon

from app.pages.train.resume import unfinished_training
from app.shell.closing_dialog import CloseChoice, CloseDuringJobDialog
from app.theme import app_icon
from app.widgets.plain import plain_notice
from app.widgets.showing import ask

if TYPE_CHECKING:
    from app.engine.jobs import JobHandle
    from app.project.project import RunInfo
    from app.shell.main_window import MainWindow

#: How long a stopped training may take to write its model and checkpoint before the window goes anyway.
_STOP_SECONDS = 15.0


class Background(QObject):
    """Decides whether the window may close, and keeps it alive hidden while jobs run."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.hidden = False
        #: Close without asking: jobs are stopped and kept.
        self.stop_jobs = False
        self._tray: QSystemTrayIcon | None = None

    def may_close(self) -> bool:
        """Ask what becomes of running jobs; False when the window must stay (perhaps hidden)."""
        jobs = self._window.session.jobs.running
        choice = self._decide(jobs, leaving=False)
        if choice is CloseChoice.BACKGROUND:
            self.hide_window()
        return choice is CloseChoice.STOP

    def may_leave(self) -> bool:
        """Ask what becomes of the jobs of a project that is left while the window stays; False to stay in it."""
        session = self._window.session
        return self._decide(session.jobs.of(session.project), leaving=True) is not CloseChoice.CANCEL

    def _decide(self, jobs: list[JobHandle], *, leaving: bool) -> CloseChoice:
        """Return what becomes of jobs, and stop them if that is it."""
        if not jobs:
            return CloseChoice.STOP
        choice = CloseChoice.STOP if self.stop_jobs else self._choice(jobs, leaving=leaving)
        if choice is CloseChoice.STOP:
            self._stop(jobs)
        return choice

    def _choice(self, jobs: list[JobHandle], *, leaving: bool) -> CloseChoice:
        """What the preferences say, or else the user."""
        preferred = self._window.preferences.values.closing_during_job
        if preferred != "ask":
            return CloseChoice(preferred)
        project = self._window.session.project
        dialog = CloseDuringJobDialog(
            [job.title for job in jobs],
            self._window,
            tray=QSystemTrayIcon.isSystemTrayAvailable(),
            leaving=leaving,
            saved=project is None or not project.unsaved,
        )
        ask(dialog)
        return dialog.choice

    def _stop(self, jobs: list[JobHandle]) -> None:
        """Stop jobs and wait until what they learned is on disk, with the event loop alive."""
        session = self._window.session
        loop = QEventLoop()
        limit = QTimer(singleShot=True)
        limit.timeout.connect(loop.quit)
        # Nothing else is begun in the window meanwhile.
        waiting = QProgressDialog(self.tr("Stopping; what was learned is kept..."), "", 0, 0, self._window)
        waiting.setWindowTitle(self.tr("A job is running"))
        waiting.setWindowModality(Qt.WindowModality.WindowModal)
        waiting.setCancelButton(None)

        def look() -> None:
            if not any(job in session.jobs.running for job in jobs):
                loop.quit()

        session.jobs.any_ended.connect(look)
        for job in list(jobs):
            project = session.jobs.project_of(job)
            if project is not None and job.kind == "train":
                project.update_run(job.run_id, resume_later=True)
            job.stop(_STOP_SECONDS)
        if any(job in session.jobs.running for job in jobs):
            limit.start(int(_STOP_SECONDS * 1000) + 1000)
            waiting.show()
            loop.exec()
        session.jobs.any_ended.disconnect(look)
        waiting.reset()
        waiting.deleteLater()

    def offer_to_resume(self, runs: list[RunInfo]) -> None:
        """Show in every step that a training ended with the program, if it can go on."""
        run = unfinished_training(self._window.session.project)
        known = run is not None and any(one.id == run.id for one in runs)
        self._window.resume_offer.show_run(run if known else None)

    def job_started(self, job: JobHandle) -> None:
        """Take the offer back when a training runs."""
        if job.kind == "train" and job in self._window.session.jobs.of(self._window.session.project):
            self._window.resume_offer.show_run(None)

    def resume(self, run_id: str) -> None:
        """Go on with a training, and show it."""
        self._window.show_step("train")
        self._window.train.resume(run_id)

    def hide_window(self) -> None:
        """Hide the window; it comes back by its tray icon or a second start, and ends itself after the last job."""
        self.hidden = True
        # What the disk refuses now is tried again, and asked about before the end.
        self._window.save_quietly()
        self._window.hide()
        self._window.session.jobs.any_ended.connect(self._job_ended)
        if QSystemTrayIcon.isSystemTrayAvailable():
            self._tray = QSystemTrayIcon(app_icon(), self)
            self._tray.setToolTip(self.tr("CellSeg1 Studio is working; click to show the window."))
            self._tray.activated.connect(lambda _reason: self.show_window())
            self._tray.show()

    def show_window(self) -> None:
        """Bring the window to the front."""
        if self.hidden:
            self.hidden = False
            self._window.session.jobs.any_ended.disconnect(self._job_ended)
        if self._tray is not None:
            self._tray.hide()
            self._tray.deleteLater()
            self._tray = None
        self._window.show()
        self._window.raise_()
        self._window.activateWindow()

    def _job_ended(self, job: object) -> None:
        if self._tray is not None:
            said = self.tr("{job}: done.").format(job=getattr(job, "title", ""))
            self._tray.showMessage("CellSeg1 Studio", plain_notice(said))
        if not self._window.session.jobs.running:
            # Everything is in the project; a hidden program that does nothing would only hold the memory.
            QTimer.singleShot(0, self._window.close)

    def leave(self) -> None:
        """End the application."""
        if self._tray is not None:
            self._tray.hide()
        app = QApplication.instance()
        if app is not None:
            QTimer.singleShot(0, app.quit)
