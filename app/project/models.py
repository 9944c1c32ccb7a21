"""Model files in a folder: the project's, and those of the library that all projects share."""

from __future__ import annotations

import contextlib
import logging
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellseg1.errors import ModelFileError, OutputError
from cellseg1.files import free_file
from cellseg1.lora.header import load_card
from cellseg1.masks import natural_key

from ..base.errors import ProjectError
from ..base.names import check_name, within
from ..base.places import library_folder
from .files.fingerprint import copy_file
from .trash import move_to_trash

if TYPE_CHECKING:
    from pathlib import Path

    from cellseg1.lora.card import Card

    from .store import ProjectStore

SUFFIX = ".cs1"
_log = logging.getLogger(__name__)
_cache: dict[Path, tuple[tuple[int, int], ModelInfo]] = {}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model file.

    Attributes
    ----------
    name
        File name without suffix.
    card
        What it says about itself; None when it cannot be used.
    problem
        Why not, in a sentence; empty when it can.
    """

    path: Path
    name: str
    card: Card | None
    problem: str = ""


def models_in(folder: Path) -> list[ModelInfo]:
    """Return the models of a folder in natural order; only their first kilobytes are read, and only once."""
    try:
        paths = [path for path in folder.iterdir() if path.suffix == SUFFIX and not path.name.startswith(".")]
    except OSError:
        return []
    found = []
    for path in sorted(paths, key=natural_key):
        with contextlib.suppress(OSError):
            state = path.stat()
            key = state.st_size, state.st_mtime_ns
            if path not in _cache or _cache[path][0] != key:
                _cache[path] = key, _look_at(path)
            found.append(_cache[path][1])
    return found


def _look_at(path: Path) -> ModelInfo:
    try:
        return ModelInfo(path, path.stem, load_card(path))
    except ModelFileError as error:
        return ModelInfo(path, path.stem, None, str(error))
    except Exception:  # noqa: BLE001 - logged
        # One bad file must not hide the others.
        _log.exception("%s not understood", path)
        return ModelInfo(path, path.stem, None, f"{path.name} is damaged or no model, so it cannot be used.")


def library_models() -> list[ModelInfo]:
    """Return the models of the library."""
    return models_in(library_folder())


def add_model(path: Path, folder: Path) -> Path:
    """Copy a ``.cs1`` file into a folder of models under a free name; returns the copy.

    Raises
    ------
    CellSeg1Error
        When it is no such model, or cannot be copied.
    """
    load_card(path)
    target = free_file(folder / f"{path.stem}{SUFFIX}")
    try:
        copy_file(path, target)
    except OSError as error:
        raise ProjectError(f"The model {path.name} could not be copied: {error.strerror or error}") from error
    return target


def folder_for_import(project: ProjectStore | None) -> Path:
    """Return the folder of imported models: of the open project, or the library."""
    if project is not None and not project.read_only:
        return project.models_folder
    return library_folder()


def import_cs1(path: Path, project: ProjectStore | None) -> Path:
    """Copy a ``.cs1`` file into the project or the library; raises CellSeg1Error."""
    return add_to(path, folder_for_import(project))


def add_to(path: Path, folder: Path) -> Path:
    """Copy a model into a folder, which is made when missing; raises CellSeg1Error."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror or error}.") from error
    return add_model(path, folder)


def rename_file(path: Path, name: str) -> Path:
    """Give a model another name in its folder; returns its new path.

    Raises
    ------
    ProjectError
        When the name is taken or cannot be used.
    """
    target = path.with_name(f"{check_name(name)}{SUFFIX}")
    if target == path:
        return path
    if target.exists() and not (target.name.lower() == path.name.lower() and target.samefile(path)):
        raise ProjectError(f"There is a model called {name} already. Choose another name.")
    try:
        path.rename(target)
    except OSError as error:
        raise ProjectError(f"The model could not be renamed: {error.strerror or error}.") from error
    return target


class ProjectModels:
    """The models of a project."""

    def __init__(self, store: ProjectStore) -> None:
        self._store = store

    def all(self) -> list[ModelInfo]:
        """Return the models in the project's folder."""
        return models_in(self._store.models_folder)

    def add(self, path: Path) -> Path:
        """Copy a ``.cs1`` file into the project (a ``.pth`` is converted by an engine first); returns the copy."""
        self._store.require_writable()
        return add_model(path, self._store.models_folder)

    def rename(self, path: Path, name: str) -> Path:
        """Give a model of the project or the library another name; returns its new path."""
        if path.parent == self._store.models_folder:
            self._store.require_writable()
        renamed = rename_file(path, name)
        if path.parent == self._store.models_folder and self._store.settings.get("model") == path.name:
            self._store.set_setting("model", renamed.name)
        return renamed

    def remove(self, path: Path) -> Path | None:
        """Move a model of the project to the project's trash, one of the library to the computer's trash.

        Returns
        -------
        Path | None
            Its path in the project's trash (see `restore`).
        """
        if path.parent != self._store.models_folder:
            move_to_trash(path)
            return None
        self._store.require_writable()
        target = free_file(within(self._store.folder, "trash", path.name))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
        except OSError as error:
            raise ProjectError(f"The model could not be removed: {error.strerror or error}.") from error
        return target

    def removed(self) -> list[Path]:
        """Return the models in the project's trash."""
        return sorted((self._store.folder / "trash").glob(f"*{SUFFIX}"))

    def restore(self, path: Path) -> Path:
        """Bring a model back from the project's trash, under a free name; returns where it is.

        Raises
        ------
        ProjectError
            When it is not there any more, or cannot be moved.
        """
        self._store.require_writable()
        path = within(self._store.folder, "trash", path.name)
        target = free_file(within(self._store.folder, "models", path.name))
        try:
            shutil.move(path, target)
        except OSError as error:
            raise ProjectError(f"The model could not be brought back: {error.strerror or error}.") from error
        return target
