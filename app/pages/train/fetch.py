"""Copying or downloading the file of a backbone."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, Signal

from cellseg1.errors import CellSeg1Error, StoppedError
from cellseg1.sam import store

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...session.session import Session


class Fetch(QObject):
    """Copies or downloads one backbone file in the background; can be cancelled, also by the end of the program."""

    progressed = Signal(float)
    #: The backbone's name, or "" with the sentence about the error (empty when cancelled).
    ended = Signal(str, str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._stop = threading.Event()
        self.running = False
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.cancel)

    def import_file(self, path: Path, name: str | None) -> None:
        """Copy a local file, recognised by size and content."""
        self._start(lambda: store.import_file(path, name, self._tell))

    def download(self, name: str) -> None:
        """Download the official file; an unfinished download is continued."""

        def work() -> str:
            from cellseg1.sam.fetch import download

            download(name, self._tell)
            return name

        self._start(work)

    def cancel(self) -> None:
        """Stop at the next chunk of the file."""
        self._stop.set()

    def _tell(self, done: int, whole: int) -> None:
        if self._stop.is_set():
            raise StoppedError("cancelled")
        self.progressed.emit(done / max(1, whole))

    def _start(self, work: Callable[[], str]) -> None:
        if self.running:
            return
        self._stop.clear()
        self.running = True

        def guarded() -> tuple[str, str]:
            try:
                return work(), ""
            except StoppedError:
                return "", ""
            except (CellSeg1Error, OSError) as error:
                return "", str(error)

        self._session.run(guarded, self._ended, self.tr("Getting the backbone"))

    def _ended(self, result: tuple[str, str]) -> None:
        self.running = False
        self.ended.emit(*result)
