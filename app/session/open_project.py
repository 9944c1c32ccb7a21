"""The open project: creating, opening and leaving it, and hidden projects that stay open while their jobs run."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from cellseg1.errors import CellSeg1Error

from ..base.names import project_folder_of
from ..project.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable

    from .jobs import Job, Jobs


class OpenProject(QObject):
    """The shown project, or none.

    Attributes
    ----------
    project
        It.
    ask_to_leave
        Asks whether the project may be left; set by the window.

    Signals
    -------
    closing(), closed()
        Before the project is released, and after.
    opened(Project), moved()
        Another project is open; the project was found at another place.
    storage_problem(str)
        The project cannot be written, or can be again (empty); from any thread.
    """

    closing = Signal()
    closed = Signal()
    opened = Signal(object)
    moved = Signal()
    storage_problem = Signal(str)
    problem = Signal(str, str)
    note = Signal(str)

    def __init__(self, jobs: Jobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs = jobs
        self.project: Project | None = None
        self.ask_to_leave: Callable[[], bool] = lambda: True
        #: Projects left while their jobs run; they stay open (and locked) until the jobs have ended.
        self._left: list[Project] = []
        #: Number of reported sentences about the project's files.
        self._told = 0

    def may_leave(self) -> bool:
        """Tell whether the open project may be left; asks about its jobs and unsaved edits.

        Every change to another project, to none, and the end of the program call this first.
        """
        return self.project is None or self.ask_to_leave()

    def create(self, parent: Path, name: str) -> bool:
        """Make a project folder and open it; False when the user wants to stay.  Raises CellSeg1Error."""
        if not self.may_leave():
            return False
        self._use(Project.create(parent, name))
        return True

    def open(self, path: Path) -> bool:
        """Open a project folder or its JSON file; False when the user wants to stay in the current one.

        Raises
        ------
        CellSeg1Error
            When it cannot be opened; the open project then stays open.
        """
        if self.project is not None and (is_project_at(self.project, path) or self._follow(self.project, path)):
            return True
        left = self._left_at(path)
        project = left or Project.open(path)
        if not self.may_leave():
            if left is None:
                project.close()
            return False
        if left is not None and left not in self._left:
            # Its last job ended while the dialog was open.
            project = Project.open(path)
        self._use(project)
        return True

    def _follow(self, project: Project, path: Path) -> bool:
        """Follow the open project to a path if another program has moved it there."""
        if project.is_there():
            return False
        try:
            project.moved_to(project_folder_of(path))
        except CellSeg1Error:
            return False
        self.moved.emit()
        return True

    def _left_at(self, path: Path) -> Project | None:
        """Return the project at a path if it was left with running jobs."""
        return next((project for project in self._left if is_project_at(project, path)), None)

    def _use(self, project: Project) -> None:
        self.close()
        if project in self._left:
            self._left.remove(project)
        else:
            project.on_storage_problem(lambda sentence: self._storage_problem_of(project, sentence))
        self.project = project
        self._told = 0
        self._jobs.name_for(project)
        self.opened.emit(project)

    def close(self) -> None:
        """Write everything and release the project; it stays open, hidden, until its jobs have ended.

        It does not ask (see `may_leave`).  Nothing happens without an open project.
        """
        if self.project is None:
            return
        self.closing.emit()
        project, self.project = self.project, None
        self._jobs.name_for(None)
        if self._jobs.of(project):
            self._left.append(project)
        else:
            project.close()
        self.closed.emit()

    def job_over(self, job: Job) -> None:
        """Close a left project whose last job has ended."""
        if job.project in self._left and not self._jobs.of(job.project):
            self._left.remove(job.project)
            job.project.close()

    def close_left(self) -> None:
        """Close all left projects after the end of their jobs."""
        for project in self._left:
            project.close()
        self._left.clear()

    def require(self) -> Project:
        """Return the open project; raises CellSeg1Error when none is open."""
        if self.project is None:
            raise CellSeg1Error(self.tr("No project is open; open or make one first."))
        return self.project

    def tell_damage(self) -> None:
        """Report new damage of the project's files."""
        if self.project is not None:
            new = self.project.damage[self._told :]
            self._told += len(new)
            for sentence in new:
                self.note.emit(sentence)

    def _storage_problem_of(self, project: Project, sentence: str) -> None:
        """Forward that a project cannot be written, or can be again; from any thread."""
        if project is self.project:
            self.storage_problem.emit(sentence)
        elif sentence and project in self._left:
            self.problem.emit(sentence, "")


def is_project_at(project: Project, path: Path) -> bool:
    """Tell whether a path, in any spelling and through any links, is this open project."""
    meant = project_folder_of(path)
    if Path(os.path.abspath(meant)) == project.folder:  # noqa: PTH100 - links keep their own name
        return True
    with contextlib.suppress(OSError):
        return meant.samefile(project.folder)
    return False
