"""All files of an open project as they belong together at this moment, to be copied somewhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from cellseg1.errors import OutputError
from cellseg1.files import describe_os_error, flush_folder

from ..base.errors import ProjectError
from .content import ADDING, FILE
from .files.leftovers import noted, part_of
from .files.lock import NAME as LOCK
from .files.sealed import BACKUP, write_sealed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .content import Content
    from .drawings import ProjectDrawings
    from .store import ProjectStore

_LEFT_OUT = frozenset((FILE, FILE + BACKUP, LOCK, ADDING))


def files_of(root: Path, *, without: frozenset[str] = frozenset()) -> Iterator[tuple[str, Path]]:
    """Yield (path with ``/``, path) of the files of a project's folder.

    Left out are ``project.json``, locks, incomplete or reproducible files, and the folders in `without`.
    """
    for place, folders, names in os.walk(root):
        here = Path(place)
        if here == root:
            folders[:] = [name for name in folders if name != "thumbnails" and name not in without]
        folders.sort()
        for name in sorted(names):
            path = here / name
            if path.is_symlink() or name.endswith(".part") or (here == root and name in _LEFT_OUT):
                continue
            yield path.relative_to(root).as_posix(), path


def copy_project(
    project: ProjectStore, drawings: ProjectDrawings, target: Path, content: Content, problems: list[str] | None
) -> None:
    """Copy a project into a new folder, which is there only when it is complete.

    Parameters
    ----------
    problems
        Gets a sentence about every file that cannot be read; None: the first is an error.

    Raises
    ------
    ProjectError
        When the target exists or cannot be written, or a file cannot be read.
    """
    if target.exists():
        raise ProjectError(f"There is a file or folder {target} already. Choose another name or place.")
    if project.folder in (target, *target.parents):
        raise ProjectError("A project cannot be copied into itself. Choose another place.")
    part = part_of(target)
    try:
        with noted(part):
            part.mkdir(parents=True)
            for relative, path in [*files_of(project.folder), *drawings.unwritten()]:
                _copy(drawings, path, part / relative, problems)
            write_sealed(part / FILE, content.sealed())
            part.rename(target)
            flush_folder(target.parent)
    except OSError as error:
        if isinstance(error, ProjectError):
            raise
        cause = error.__cause__ if isinstance(error, OutputError) and isinstance(error.__cause__, OSError) else error
        raise ProjectError(f"{target} cannot be written: {describe_os_error(cause)}. Nothing was changed.") from error


def _copy(drawings: ProjectDrawings, path: Path, target: Path, problems: list[str] | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    torn = False
    with target.open("wb") as stream:
        guard = _Guard(stream)
        try:
            drawings.copy(path, guard)  # type: ignore[arg-type]
        except OSError as error:
            if guard.failed or isinstance(error, ProjectError):
                raise
            sentence = f"{path.name} could not be copied: {describe_os_error(error)}."
            if problems is None:
                raise ProjectError(sentence) from error
            problems.append(sentence)
            torn = True
        # Errors here also come from the target.
        stream.flush()
        os.fsync(stream.fileno())
    if torn:
        target.unlink()


class _Guard:
    """Knows whether it was the writing that failed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.failed = False

    def write(self, data: bytes) -> int:
        try:
            return self._stream.write(data)
        except OSError:
            self.failed = True
            raise
