"""Models in the published format: read and written by an engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, QObject, Signal

from cellseg1.errors import CellSeg1Error, OutputError
from cellseg1.files import free_file

from ...engine.messages import ImportModelRequest
from ...project.models import folder_for_import

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...session.session import Session

_translate = QCoreApplication.translate


class Conversion(QObject):
    """Converts a model to another format in an engine; lives until the end of the conversion, also without a panel."""

    #: The new file, or None.
    ended = Signal(object)

    def __init__(
        self, session: Session, path: Path, out: Path, title: str, overrides: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(session)
        self._session = session
        self.out = out
        self.job = session.engines.start(ImportModelRequest(path, out, dict(overrides or {})), title)
        self.job.finished.connect(self._finished)
        self.job.failed.connect(self._failed)
        self.job.stopped.connect(self._stopped)

    def cancel(self) -> None:
        """End it; nothing is written."""
        self.job.kill()

    def _finished(self, result: Mapping[str, Any] | None) -> None:
        self._session.models_changed.emit()
        self._session.note.emit(_translate("Models", "{file} is there.").format(file=self.out.name))
        self.ended.emit(Path((result or {}).get("model") or self.out))
        self.deleteLater()

    def _failed(self, sentence: str, details: str) -> None:
        self._session.problem.emit(sentence, details)
        self.ended.emit(None)
        self.deleteLater()

    def _stopped(self) -> None:
        self.ended.emit(None)
        self.deleteLater()


def start_pth_import(session: Session, path: Path, overrides: Mapping[str, Any]) -> Conversion:
    """Import a published adapter into the project or the library; raises CellSeg1Error."""
    folder = folder_for_import(session.project)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror or error}.") from error
    out = free_file(folder / f"{path.stem}.cs1")
    return Conversion(session, path, out, _translate("Models", "Importing {name}").format(name=path.name), overrides)


def start_pth_export(session: Session, path: Path, target: Path) -> Conversion:
    """Write a model in the published format; raises CellSeg1Error when the file exists."""
    if target.exists():
        raise CellSeg1Error(
            _translate("Models", "{file} exists already and is not replaced; give another name.").format(file=target)
        )
    return Conversion(session, path, target, _translate("Models", "Exporting {name}").format(name=target.name))
