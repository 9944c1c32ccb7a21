"""Model files: locations, copying, renaming and removing, with or without an open project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication

from cellseg1.errors import OutputError
from cellseg1.regular import open_regular

from ...base.places import library_folder
from ...project.models import ModelInfo, add_to, library_models, rename_file
from ...project.trash import move_to_trash

if TYPE_CHECKING:
    from ...project.project import Project

_translate = QCoreApplication.translate


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of models with its displayed title."""

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
        with open_regular(path) as stream:
            data = stream.read()
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
