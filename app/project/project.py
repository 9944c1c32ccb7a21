"""A project: one experiment in one folder ``NAME.cs1project``.

It is a `ProjectStore` (folder, lock, writing) with parts on top of it; this module has the operations on the whole
project.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cellseg1.errors import OutputError
from cellseg1.files import describe_os_error, flush_folder, write_bytes
from cellseg1.regular import read_regular

from ..base.errors import ProjectError
from ..base.names import OPENER, SUFFIX, check_name, name_of, project_folder_of, within
from .adding import ImageAdding, ImportReport, sweep_copies
from .content import FILE, Content, ProjectImage, now
from .copying import copy_project
from .drawings import ProjectDrawings
from .files import lock
from .files.leftovers import noted, part_of, sweep
from .files.lock import Lock
from .files.sealed import BACKUP, write_sealed
from .images import ProjectImages
from .models import ModelInfo, ProjectModels
from .runs import ProjectRuns, RunInfo
from .store import FOLDERS, ProjectStore, identity_of
from .trash import ProjectTrash, RemovedImage, move_to_trash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

__all__ = ["ImportReport", "ModelInfo", "Project", "ProjectError", "ProjectImage", "RemovedImage", "RunInfo"]


class Project(ProjectStore):
    """An open project; to be closed.  Its methods are for one thread, unless they say otherwise.

    Attributes
    ----------
    images, drawings, trash, runs, models
        Its parts: the list of images, the documents of their planes, removed images and models, trainings and
        predictions, and model files.
    """

    def __init__(
        self, folder: Path, content: Content, lock: Lock | None, why_read_only: str, damage: list[str]
    ) -> None:
        super().__init__(folder, content, lock, why_read_only, damage)
        self.images = ProjectImages(self)
        self.drawings = ProjectDrawings(self, self.images)
        self.trash = ProjectTrash(self, self.images, self.drawings)
        self.runs = ProjectRuns(self, self.images)
        self.models = ProjectModels(self)

    # ---- opening and closing

    @classmethod
    def create(cls, parent: Path, name: str) -> Project:
        """Make the folder ``NAME.cs1project`` in `parent` and open it.

        Raises
        ------
        ProjectError
            When the name is taken or cannot be used, or nothing can be written there.
        """
        folder = Path(os.path.abspath(parent)) / f"{check_name(name)}{SUFFIX}"  # noqa: PTH100 - links keep their name
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ProjectError(f"There is a project {folder.name} in {folder.parent} already. Choose another name.")
        part = part_of(folder)
        try:
            with noted(part):
                for inner in FOLDERS:
                    (part / inner).mkdir(parents=True, exist_ok=True)
                write_sealed(part / FILE, Content().sealed())
                if folder.exists():
                    folder.rmdir()  # an empty one
                part.rename(folder)
                flush_folder(folder.parent)
        except OSError as error:
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise ProjectError(
                f"The project cannot be made in {parent}: {describe_os_error(cause)}. Choose another folder."
            ) from error
        return cls.open(folder)

    @classmethod
    def open(cls, path: Path) -> Project:
        """Open a project by its folder or its ``project.json``; read-only when somebody else has it open.

        Raises
        ------
        ProjectError
            When it is no project, both copies of its file are damaged, or it was written by a newer program.
        """
        folder = project_folder_of(Path(os.path.abspath(path)))  # noqa: PTH100 - links keep their own name
        if not (folder / FILE).exists() and not (folder / (FILE + BACKUP)).exists():
            raise ProjectError(f"{folder} is not a project: it has no {FILE}. Choose a folder that ends in {SUFFIX}.")
        for inner in FOLDERS:
            within(folder, inner)
        # Nothing is touched before it is known that this program understands it.
        damage: list[str] = []
        before = _stamp(folder)
        content = Content.read(folder, damage, repair=False)
        held, why, crashed = _lock(folder)
        project = None
        try:
            # The previous holder may have changed it; damaged files are repaired too.
            if damage or not content.as_stored or None in before or _stamp(folder) != before:
                damage.clear()
                content = Content.read(folder, damage, repair=held is not None)
            project = cls(folder, content, held, why, damage)
        finally:
            if project is None and held is not None:
                held.release()
        if content.as_stored:
            # Unchanged content is not written again.
            with contextlib.suppress(OSError):
                project._written = read_regular(folder / FILE)
        project.drawings.recount(crashed=crashed)
        project.runs.recount()
        if held is not None:
            sweep()
            sweep_copies(project)
            if crashed:
                _sweep_half_written(folder)
                project.runs.sweep()
            project.trash.sweep()
            project.changed(now=True)
            _write_opener(folder)
        return project

    def close(self) -> None:
        """Store all drawings, write everything, and let go of the folder; again: nothing happens."""
        if self._closed:
            return
        self.drawings.close()
        if not self.read_only:
            self.runs.save()
            self.save()
        self._release()

    def __enter__(self) -> Self:
        """Return the project itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @property
    def name(self) -> str:
        """The folder's name without its suffix."""
        return name_of(self.folder)

    def add_images(
        self,
        paths: Sequence[Path],
        *,
        copy: bool,
        masks: Sequence[Path] = (),
        progress: Callable[[int, int, str], None] | None = None,
    ) -> ImportReport:
        """Add image files and folders of them, with their masks (see `ImageAdding.add`)."""
        adding = ImageAdding(self, self.images, self.drawings)
        return adding.add(paths, copy=copy, masks=masks, progress=progress)

    # ---- the folder

    def rename(self, name: str) -> None:
        """Give the project another name, and so its folder.

        Raises
        ------
        ProjectError
            When the name is taken or cannot be used, or a run is in progress.
        """
        self._to(self.folder.with_name(f"{check_name(name)}{SUFFIX}"))

    def move(self, parent: Path) -> None:
        """Move the project into another folder, also on another disk.

        Raises
        ------
        ProjectError
            When there is one of that name, it cannot be written, or a run is in progress.
        """
        self._to(Path(os.path.abspath(parent)) / self.folder.name)  # noqa: PTH100 - links keep their own name

    def _to(self, target: Path) -> None:
        self.require_writable()
        if target == self.folder:
            return
        if self.folder in target.parents:
            raise ProjectError("A project cannot be moved into itself. Choose another place.")
        same_but_case = target.exists() and target.samefile(self.folder)
        if target.exists() and not same_but_case:
            raise ProjectError(f"There is a project {target.name} in {target.parent} already. Choose another name.")
        if self.runs.running():
            raise ProjectError(
                "A training or prediction is running in this project. Wait for its end, or stop it first."
            )
        self.flush()
        old = self.folder
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if old.stat().st_dev == target.parent.stat().st_dev:
                with self.drawings.files_closed():
                    if self._lock is not None and os.name == "nt":
                        self._lock.pause()  # a folder with an open file cannot be renamed there
                    try:
                        self.folder.rename(target)
                    except OSError:
                        self._at(old)
                        raise
                    self._at(target)
                    flush_folder(target.parent)
                    flush_folder(old.parent)
            else:
                self._to_another_disk(target)
        except OSError as error:
            if isinstance(error, ProjectError):
                raise
            raise ProjectError(
                f"The project could not be moved: {describe_os_error(error)}. It is unchanged."
            ) from error
        self._links_moved()

    def _to_another_disk(self, target: Path) -> None:
        """Copy the project and remove the old folder; what fails on the way leaves it whole at one place."""
        old = self.folder
        self._copy(target, None)
        try:
            self._go_on_in(target)
        except ProjectError:
            self.drawings.go_on_in(old)  # some of them may be in the copy by now
            self._discard(target)
            raise
        try:
            _take_away(old)
        except OSError as error:
            try:
                self._go_on_in(old)
            except ProjectError:
                self.damage.append(_left_over(self.folder, old, error))
                return
            self._discard(target)
            raise

    def _discard(self, copy: Path) -> None:
        """Remove a copy in which nobody works."""
        try:
            _take_away(copy)
        except OSError as error:
            self.damage.append(_left_over(self.folder, copy, error))

    def moved_to(self, folder: Path) -> None:
        """Follow the project's folder after another program renamed or moved it on its disk.

        Raises
        ------
        ProjectError
            When it is another folder.
        """
        folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links keep their own name
        if identity_of(folder) != self._root:
            raise ProjectError(f"{folder} is not the project that is open.")
        with self.drawings.files_closed():
            self._at(folder)
        with self._problem_lock:
            self._problems.clear()
        self.report(FILE, None)
        self._links_moved()

    def _at(self, folder: Path) -> None:
        self.folder = folder
        self._root = identity_of(folder)
        if self._lock is not None:
            self._lock.moved(folder)
        self.runs.moved()

    def _links_moved(self) -> None:
        """Note where linked images are as seen from the new place."""
        for entry in self.images:
            if entry.linked:
                with self.content.lock:
                    try:
                        entry.nearby = Path(os.path.relpath(entry.file, self.folder)).as_posix()
                    except ValueError:
                        entry.nearby = ""
                    self.content.touch(entry.id)
        self.changed(now=True)

    def duplicate(self, parent: Path, name: str) -> Path:
        """Copy the project with everything in it; returns the copy's folder, which is not opened.

        Raises
        ------
        ProjectError
            When the name is taken or cannot be used, or something cannot be copied.
        """
        target = Path(os.path.abspath(parent)) / f"{check_name(name)}{SUFFIX}"  # noqa: PTH100 - links keep their name
        content = Content(uuid.uuid4().hex, now(), dict(self.settings), dict(self.content.images))
        copy_project(self, self.drawings, target, content, None)
        return target

    def save_elsewhere(self, target: Path) -> list[str]:
        """Write everything, also what could not be written here, to another place and go on there.

        Parameters
        ----------
        target
            The new project folder ``NAME.cs1project``, or a folder in which it is to be.

        Returns
        -------
        list
            Sentences about files that could not be read any more.

        Raises
        ------
        ProjectError
            When it cannot be written there either; nothing is lost then.
        """
        target = Path(os.path.abspath(target))  # noqa: PTH100 - links keep their own name
        if target.suffix != SUFFIX:
            target = target / self.folder.name
        if target.exists() and not any(target.iterdir()):
            target.rmdir()
        problems: list[str] = []
        self._copy(target, problems)
        self._go_on_in(target)
        self._links_moved()
        return problems

    def _copy(self, target: Path, problems: list[str] | None) -> None:
        self.writer.wait_idle()
        copy_project(self, self.drawings, target, self.content, problems)

    def _go_on_in(self, folder: Path) -> None:
        """Work from now on in another folder that holds the whole project."""
        held, why, _ = _lock(folder)
        if held is None:
            raise ProjectError(why)
        try:
            self.drawings.go_on_in(folder)
        except ProjectError:
            held.release()
            raise
        before, self._lock = self._lock, held
        if before is not None:
            before.release()
        self._at(folder)
        self.why_read_only = ""
        self._written = b""
        with self._problem_lock:
            self._problems.clear()
        self.report(FILE, None)
        self.runs.write_all_again()
        self._write_due()


def _take_away(folder: Path) -> None:
    """Remove a project's folder, all of it or nothing: half a project is never under its name."""
    rest = part_of(folder)
    with noted(rest):
        folder.rename(rest)


def _left_over(used: Path, other: Path, error: OSError) -> str:
    return (
        f"The project is in {used.parent}, but its other copy {other} could not be removed: "
        f"{describe_os_error(error)}. Delete it in the file manager."
    )


#: What is written under another name first, and what a lock was renamed to.
_PARTS = (
    *(".*.part", "annotations/*/.*.part", "images/.*.part", "thumbnails/.*.part", "trash/*/.*.part", ".lock-*"),
    "runs/*/.run.json*.part",
)


def _sweep_half_written(folder: Path) -> None:
    """Remove incomplete files of a crash; runs are left to engines that may still work on them."""
    for pattern in _PARTS:
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                path.unlink()


def trash_project(folder: Path) -> None:
    """Move a project that is not open to the computer's trash.

    Raises
    ------
    ProjectError
        When it is open somewhere, is no project, or cannot be moved to the trash.
    """
    folder = project_folder_of(Path(folder))
    if not (folder / FILE).exists():
        raise ProjectError(f"{folder} is not a project.")
    holder = lock.holder_of(folder)
    if holder is not None:
        raise ProjectError(f"The project {name_of(folder)} is open (since {holder.since}). Close it first.")
    (folder / lock.NAME).unlink(missing_ok=True)
    move_to_trash(folder)


def _stamp(folder: Path) -> tuple[tuple[int, ...] | None, ...]:
    """Return a value that changes when a copy of the project's file is rewritten; None for a missing file."""
    found: list[tuple[int, ...] | None] = []
    for name in (FILE, FILE + BACKUP):
        try:
            state = (folder / name).stat()
            found.append((state.st_ino, state.st_size, state.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


def _write_opener(folder: Path) -> None:
    """Put the file into the project by which a file manager opens it; the project does not need it."""
    with contextlib.suppress(OSError, OutputError):
        if not (folder / OPENER).exists():
            write_bytes(folder / OPENER, b"CellSeg1 Studio opens the project in whose folder this file lies.\n")


def _lock(folder: Path) -> tuple[Lock | None, str, bool]:
    """Take the lock; or say why the project is read-only; and whether it was left behind by a crash."""
    try:
        held, holder, crashed = lock.acquire(folder)
    except OSError as error:
        cause = error.__cause__ if isinstance(error, OutputError) and isinstance(error.__cause__, OSError) else error
        return (
            None,
            (
                f"Nothing can be written in {folder}: {describe_os_error(cause)}. The project can only be looked at; "
                "save it elsewhere to go on."
            ),
            False,
        )
    return held, "" if holder is None else holder.sentence(), crashed
