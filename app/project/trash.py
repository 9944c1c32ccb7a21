"""Where removed things go: the computer's own trash for whole projects, the project's for what is in it."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cellseg1.files import describe_os_error, free_file, free_folder

from ..base.errors import ProjectError
from ..base.foreign import boundary
from ..base.names import within
from .content import IMAGES, ProjectImage, usable_time
from .files.sealed import backup_of, dump, read_sealed, seal, write_sealed

if TYPE_CHECKING:
    from pathlib import Path

    from .drawings import ProjectDrawings
    from .images import ProjectImages
    from .store import ProjectStore

_FILE = "removed.json"
_KIND = "cellseg1 studio removed image"
_SCHEMA = 1


def move_to_trash(path: Path) -> None:
    """Move a file or folder to the computer's trash.

    Raises
    ------
    ProjectError
        When that is not possible there; it then stays where it is.
    """
    from send2trash import send2trash

    try:
        send2trash(str(path))
    except Exception as error:
        why = str(error).strip() or type(error).__name__
        raise ProjectError(
            f"{path.name} could not be moved to the trash ({why}). It is unchanged; delete it in the file manager."
        ) from error


@dataclass(frozen=True, slots=True)
class RemovedImage:
    """An image in the project's trash."""

    folder: Path
    name: str
    cells: int
    removed: str


class ProjectTrash:
    """Removing images so that they can be brought back."""

    def __init__(self, store: ProjectStore, images: ProjectImages, drawings: ProjectDrawings) -> None:
        self._store = store
        self._images = images
        self._drawings = drawings

    def remove(self, image_id: str) -> RemovedImage:
        """Move an image's entry, its drawings and, if it is a copy, its file to the project's trash."""
        self._store.require_writable()
        entry = self._images.get(image_id)
        self._require_written(entry)
        stamp = datetime.now().astimezone()
        folder = free_folder(self._store.folder / "trash" / f"{stamp:%Y%m%d-%H%M%S}-{entry.id}")
        body = dump({"image": entry.to_dict(), "removed": stamp.isoformat(timespec="seconds")})[1:]
        places = self._places_of(entry, folder)
        # Nothing is closed or moved before the project is written without it; what has not moved then is found all
        # the same.
        try:
            write_sealed(folder / _FILE, seal(_KIND, _SCHEMA, body))
            self._write_without(image_id)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise ProjectError(
                f"{entry.name} was not removed: {describe_os_error(cause)}. Free some space, or save the project "
                "elsewhere."
            ) from error
        self._drawings.close(image_id)
        for here, there in places:
            _move(here, there)
        return RemovedImage(folder, entry.name, entry.cells, stamp.isoformat(timespec="seconds"))

    def _require_written(self, entry: ProjectImage) -> None:
        """Refuse to close drawings with edits that are only in memory."""
        if not self._drawings.written(entry.id):
            raise ProjectError(
                f"{entry.name} cannot be removed now, because its last edits could not be written yet. They are "
                f"kept in memory. {self._store.storage_problem or ''}".strip()
            )

    def _write_without(self, image_id: str) -> None:
        """Write the project without an image; when that fails, nothing changes."""
        with self._store.content.lock:
            before = dict(self._store.content.images)
            del self._store.content.images[image_id]
            self._store.content.touch(image_id)
        if self._store.save():
            return
        problem = self._store.storage_problem or "The project could not be written."
        with self._store.content.lock:
            self._store.content.images.clear()
            self._store.content.images.update(before)
        self._store.writer.wake()
        raise ProjectError(f"{before[image_id].name} was not removed: {problem[0].lower()}{problem[1:]}")

    def removed(self) -> list[RemovedImage]:
        """Return what is in the project's trash, the newest first."""
        found = []
        for file in (self._store.folder / "trash").glob(f"*/{_FILE}"):
            with contextlib.suppress(ProjectError, OSError):
                entry, removed = self._read_removed(file.parent)
                if entry.id not in self._store.content.images:
                    found.append(RemovedImage(file.parent, entry.name, entry.cells, removed))
        return sorted(found, key=lambda one: one.removed, reverse=True)

    def sweep(self) -> None:
        """Complete interrupted removals: an image is in the project or in its trash, never in both."""
        for folder in (
            sorted((self._store.folder / "trash").iterdir()) if (self._store.folder / "trash").is_dir() else ()
        ):
            if folder.is_symlink() or not folder.is_dir():
                continue
            with contextlib.suppress(ProjectError, OSError):
                if (folder / _FILE).exists() or backup_of(folder / _FILE).exists():
                    entry, _ = self._read_removed(folder)
                    if entry.id in self._store.content.images:
                        # Not removed yet, or restored already: nothing else of it is here.
                        (folder / _FILE).unlink(missing_ok=True)
                        backup_of(folder / _FILE).unlink(missing_ok=True)
                    else:
                        self._finish_removal(entry, folder)
            with contextlib.suppress(OSError):
                folder.rmdir()  # an empty one

    def _finish_removal(self, entry: ProjectImage, folder: Path) -> None:
        used = {image.file for image in self._images if not image.linked}
        for here, there in self._places_of(entry, folder):
            if here.parent.name != IMAGES or entry.file not in used:
                _move(here, there)

    def restore(self, removed: RemovedImage) -> str:
        """Bring an image back from the project's trash; returns its id.

        Raises
        ------
        ProjectError
            When it is not there any more.
        """
        self._store.require_writable()
        entry, _ = self._read_removed(removed.folder)
        if entry.id in self._store.content.images:
            raise ProjectError(f"{entry.name} is in the project already.")
        if not entry.linked:
            wanted = self._images.path_of(entry)
            stored = within(self._store.folder, "trash", removed.folder.name, wanted.name)
            if stored.exists() and wanted.exists():
                wanted = free_file(wanted)
                _move(stored, wanted)
                entry.file = f"images/{wanted.name}"
        for here, there in self._places_of(entry, removed.folder):
            _move(there, here)
        with self._store.content.lock:
            self._store.content.images[entry.id] = entry
            self._store.content.touch(entry.id)
        self._store.changed(now=True)
        if self._store.storage_problem is None:
            shutil.rmtree(within(self._store.folder, "trash", removed.folder.name), ignore_errors=True)
        return entry.id

    def empty(self) -> None:
        """Move what is in the project's trash to the computer's trash."""
        self._store.require_writable()
        trash = self._store.folder / "trash"
        # Programs that pack or synchronise folders skip empty ones.
        for path in sorted(trash.iterdir()) if trash.is_dir() else ():
            move_to_trash(path)

    def _read_removed(self, folder: Path) -> tuple[ProjectImage, str]:
        """Return a removed image's entry, and the time of removal."""
        folder = within(self._store.folder, "trash", folder.name)
        values = read_sealed(folder / _FILE, _KIND, _SCHEMA, {}, self._store.damage, repair=not self._store.read_only)
        with boundary(lambda why: ProjectError(f"What is stored of a removed image cannot be used ({why})."), folder):
            return ProjectImage.from_dict(values["image"]), usable_time(values["removed"])

    def _places_of(self, entry: ProjectImage, folder: Path) -> list[tuple[Path, Path]]:
        """Return where its things are in the project, and where in the trash."""
        kept = within(self._store.folder, "trash", folder.name)
        places = [(within(self._store.folder, "annotations", entry.id), within(kept, "annotations"))]
        if not entry.linked:
            path = self._images.path_of(entry)
            places.append((path, within(kept, path.name)))
        return places


def _move(source: Path, target: Path) -> None:
    """Move what is there; what is not (any more) was moved before."""
    if source.exists() and not target.exists():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
        except OSError as error:
            raise ProjectError(
                f"{source.name} could not be moved within the project: {error.strerror or error}. It is unchanged."
            ) from error
