"""Leaving the open project, or the program: what becomes of running jobs and of edits that are not saved."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from PySide6.QtCore import QEventLoop, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QApplication, QMessageBox, QProgressDialog, QSystemTrayIcon

from ..widgets.plain import MessageBox
from ..widgets.showing import ask
from .closing_dialog import CloseChoice, CloseDuringJobDialog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..session.jobs import Job
    from .background import Background
    from .host import Host
    from .storage import Storage

#: How long a stopped training may take to write its model and checkpoint before the window goes anyway.
_STOP_SECONDS = 15.0
#: Between two looks whether a dialog was closed.
_FREE_MS = 200


class Closing(QObject):
    """Decides whether project or window may be left, and has things wait until nothing stands in their way.

    Attributes
    ----------
    stop_jobs
        Close without asking: jobs are stopped and kept.
    """

    #: The project shall be saved somewhere else, now.
    save_elsewhere_wanted = Signal()

    def __init__(self, host: Host, background: Background, storage: Storage) -> None:
        super().__init__(host.frame)
        self._host = host
        self._session = host.session
        self._background = background
        self._storage = storage
        self.stop_jobs = False
        self._leaving = False
        #: What is to be done when no dialog is open any more.
        self._later: list[Callable[[], object]] = []
        self._try_later = QTimer(self, interval=_FREE_MS)
        self._try_later.timeout.connect(self._do_later)

    # ---- waiting

    @property
    def under_way(self) -> bool:
        """Whether images come in or edits are being worked out, which would be lost; or leaving is decided already."""
        return self._leaving or self._session.adding or bool(self._session.waiting)

    def busy(self) -> bool:
        """Whether something goes on under which the project must not change."""
        return self.under_way or QApplication.activeModalWidget() is not None

    def when_free(self, call: Callable[[], object]) -> None:
        """Call now, or when no dialog is open and nothing is being added any more."""
        if not self._later and not self.busy():
            call()
            return
        self._later.append(call)
        self._try_later.start()

    def _do_later(self) -> None:
        if not self.busy() and self._later:
            self._later.pop(0)()
        if not self._later:
            self._try_later.stop()

    # ---- deciding

    def may_leave(self) -> bool:
        """Whether the open project may be left: nothing is under way in it, or the user has decided about it."""
        if self.under_way:
            self._host.say(
                self._session.waiting or self.tr("The images are still being added; wait for the end of that.")
            )
            return False
        with self._once():
            jobs = self._session.jobs.of(self._session.project)
            return self._decide(jobs, leaving=True) is not CloseChoice.CANCEL and not self._stays_for_edits()

    def may_close(self) -> bool:
        """Ask what becomes of running jobs and of edits; False when the window must stay (perhaps hidden)."""
        with self._once():
            return self._ends_jobs() and not self._stays_for_edits()

    @contextlib.contextmanager
    def _once(self) -> Iterator[None]:
        """While it is being decided, nobody else decides."""
        self._leaving = True
        try:
            self._host.canvas.settle()
            yield
        finally:
            self._leaving = False

    def _ends_jobs(self) -> bool:
        choice = self._decide(self._session.jobs.running, leaving=False)
        if choice is CloseChoice.BACKGROUND:
            # What the disk refuses now is tried again, and asked about before the end.
            self._storage.save_quietly()
            self._background.hide_window()
        return choice is CloseChoice.STOP

    def _stays_for_edits(self) -> bool:
        """Ask before leaving while edits are only in memory; True when the user wants to stay."""
        project = self._session.project
        if project is None or not project.drawings.unsaved:
            return False
        if self._background.hidden:
            self._background.show_window()
        answer = MessageBox.ask(
            self._host.frame,
            self.tr("Not everything is saved"),
            self.tr("The project cannot be written, and closing now loses the last edits. Save it elsewhere first?"),
            QMessageBox.StandardButton.Save | QMessageBox.StandardButton.Discard | QMessageBox.StandardButton.Cancel,
            QMessageBox.Icon.Warning,
        )
        if answer == QMessageBox.StandardButton.Save:
            self.save_elsewhere_wanted.emit()
            return bool(project.drawings.unsaved)
        return answer != QMessageBox.StandardButton.Discard

    # ---- jobs

    def _decide(self, jobs: list[Job], *, leaving: bool) -> CloseChoice:
        """Return what becomes of jobs, and stop them if that is it."""
        if not jobs:
            return CloseChoice.STOP
        choice = CloseChoice.STOP if self.stop_jobs else self._choice(jobs, leaving=leaving)
        if choice is CloseChoice.STOP:
            self._stop(jobs)
        return choice

    def _choice(self, jobs: list[Job], *, leaving: bool) -> CloseChoice:
        """What the preferences say, or else the user."""
        preferred = self._host.preferences.values.closing_during_job
        if preferred != "ask":
            return CloseChoice(preferred)
        project = self._session.project
        dialog = CloseDuringJobDialog(
            [job.handle.title for job in jobs],
            self._host.frame,
            tray=QSystemTrayIcon.isSystemTrayAvailable(),
            leaving=leaving,
            saved=project is None or not project.drawings.unsaved,
        )
        ask(dialog)
        return dialog.choice

    def _stop(self, jobs: list[Job]) -> None:
        """Stop jobs and wait until what they learned is on disk, with the event loop alive."""
        loop = QEventLoop()
        limit = QTimer(singleShot=True)
        limit.timeout.connect(loop.quit)
        # Nothing else is begun in the window meanwhile.
        waiting = QProgressDialog(self.tr("Stopping; what was learned is kept..."), "", 0, 0, self._host.frame)
        waiting.setWindowTitle(self.tr("A job is running"))
        waiting.setWindowModality(Qt.WindowModality.WindowModal)
        waiting.setCancelButton(None)

        def look() -> None:
            if not any(job in self._session.jobs.running for job in jobs):
                loop.quit()

        self._session.jobs.ended.connect(look)
        for job in list(jobs):
            if job.kind == "train":
                job.project.runs.update(job.handle.run_id, resume_later=True)
            job.handle.stop(_STOP_SECONDS)
        if any(job in self._session.jobs.running for job in jobs):
            limit.start(int(_STOP_SECONDS * 1000) + 1000)
            waiting.show()
            loop.exec()
        self._session.jobs.ended.disconnect(look)
        waiting.reset()
        waiting.deleteLater()
