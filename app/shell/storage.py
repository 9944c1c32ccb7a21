"""Whether what is drawn can be kept on the disk."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from cellseg1.errors import CellSeg1Error

if TYPE_CHECKING:
    from ..session.session import Session
    from .notes import Notes

log = logging.getLogger(__name__)


class Storage(QObject):
    """Says for as long as it lasts that the open project cannot be written."""

    def __init__(self, session: Session, notes: Notes) -> None:
        super().__init__(notes)
        self._session = session
        self._notes = notes
        #: What is said; empty when all is well.
        self.shown = ""

    def tell(self, sentence: str) -> None:
        """Take what the project tells: it cannot be written, or (empty) can be again."""
        self.show(sentence)
        if not sentence:
            self._notes.say(self.tr("Everything is saved again."))

    def show(self, sentence: str) -> None:
        """Show a problem; an empty sentence takes it away."""
        self.shown = sentence
        self._notes.show_storage(sentence)

    def look(self) -> None:
        """Say at once when the folder of the open project is gone, before anything is drawn into nowhere."""
        project = self._session.project
        if project is None or project.read_only:
            return
        problem = project.storage_problem or ""
        try:
            project.require_writable()
        except CellSeg1Error as error:
            problem = str(error)
        if problem != self.shown:
            self.show(problem)

    def save_quietly(self) -> None:
        """Bring everything to disk if that is possible now; what is wrong with the disk is said in the window."""
        project = self._session.project
        if project is None:
            return
        try:
            project.flush()
        except (CellSeg1Error, OSError) as error:
            log.warning("not saved: %s", error)
