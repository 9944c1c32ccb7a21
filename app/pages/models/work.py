"""What can be done with model files, whether or not a project is open; and what their cards say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, QObject, Signal

from app.base.places import library_folder
from app.engine.messages import ImportModelRequest
from app.pages.train.backbones import backbone_title
from app.project.models import ModelInfo, add_to, folder_for_import, library_models, rename_file
from app.project.trash import move_to_trash
from app.translation.library_words import shown
from cellseg1.errors import CellSeg1Error, OutputError
from cellseg1.files import free_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.project.project import Project
    from app.session.session import Session

_translate = QCoreApplication.translate

_NAMED_IMAGES = 3


@dataclass(frozen=True, slots=True)
class Shelf:
    """A place of models with its title for people."""

    key: str
    title: str
    models: tuple[ModelInfo, ...]


def shelves(project: Project | None) -> list[Shelf]:
    """Return the models of the project, if one is open, and of the library."""
    found = []
    if project is not None:
        found.append(Shelf("project", _translate("Models", "This project"), tuple(project.models.all())))
    found.append(Shelf("library", _translate("Models", "Library (all projects)"), tuple(library_models())))
    return found


def copy_to_library(path: Path) -> Path:
    """Copy a model into the library; raises CellSeg1Error."""
    return add_to(path, library_folder())


def copy_to_project(path: Path, project: Project) -> Path:
    """Copy a model into the project; raises CellSeg1Error."""
    return project.models.add(path)


def export_copy(path: Path, target: Path) -> Path:
    """Copy a model to a file that the user named, which is replaced; raises CellSeg1Error."""
    from cellseg1.files import write_bytes

    if target.suffix.lower() != ".cs1":
        target = target.with_name(target.name + ".cs1")
    if target.exists() and target.samefile(path):
        return target
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OutputError(f"The model {path.name} cannot be read: {error.strerror or error}.") from error
    write_bytes(target, data)
    return target


def rename(path: Path, name: str, project: Project | None) -> Path:
    """Give a model another name; raises CellSeg1Error."""
    if project is not None:
        return project.models.rename(path, name)
    return rename_file(path, name)


def remove(path: Path, project: Project | None) -> Path | None:
    """Move a model to the trash: the project's for its own, the computer's for those of the library.

    Returns where it is in the project's trash.
    """
    if project is not None:
        return project.models.remove(path)
    move_to_trash(path)
    return None


# ---- what a card says


def card_rows(model: ModelInfo) -> list[tuple[str, str]]:
    """Return (name, value) of all that is worth reading on a card."""
    card = model.card
    rows: list[tuple[str, str]] = []
    if card is not None:
        rows += [
            (_translate("Models", "Trained"), created_text(card.created)),
            (_translate("Models", "Training images"), _images([one.name for one in card.training_images])),
            (_translate("Models", "AP on them"), "" if card.ap_training is None else f"{card.ap_training:.2f}"),
            (_translate("Models", "Cell diameter"), _diameter(card.median_cell_diameter_px, card.pixel_size_um)),
            (_translate("Models", "Pixel size"), "" if card.pixel_size_um is None else f"{card.pixel_size_um:.4g} µm"),
            (_translate("Models", "Network"), backbone_title(card.backbone)),
            (_translate("Models", "Recipe"), card.recipe),
            (_translate("Models", "Network input"), f"{card.image_size} px"),
            (_translate("Models", "Notes"), shown(card.notes)),
            (_translate("Models", "Made with"), f"CellSeg1 {card.program_version}" if card.program_version else ""),
        ]
    rows.append((_translate("Models", "Size"), size_text(model.path)))
    rows.append((_translate("Models", "File"), str(model.path)))
    return [(name, value) for name, value in rows if value]


def _images(names: list[str]) -> str:
    if len(names) <= _NAMED_IMAGES:
        return ", ".join(names)
    return _translate("Models", "{names} and {n} more").format(
        names=", ".join(names[:_NAMED_IMAGES]), n=len(names) - _NAMED_IMAGES
    )


def _diameter(pixels: float | None, pixel_size: float | None) -> str:
    if pixels is None:
        return ""
    text = f"{pixels:.0f} px"
    return text if pixel_size is None else f"{text} ({pixels * pixel_size:.3g} µm)"


def created_text(created: str) -> str:
    """Write the time at which a model was made, in the time of this computer."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return (moment.astimezone() if moment.tzinfo is not None else moment).strftime("%Y-%m-%d %H:%M")


def size_text(path: Path) -> str:
    """Return the size of a file for people; empty when it is gone."""
    try:
        size = path.stat().st_size
    except OSError:
        return ""
    if size < 1_000_000:
        return f"{max(1, round(size / 1000)):,} kB"
    return f"{size / 1e6:,.1f} MB"


# ---- what an engine has to do


class Conversion(QObject):
    """Brings a model from one format to the other in an engine; lives as long as that takes, also without a panel."""

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
