"""Where removed things go: the computer's own trash for whole projects, the project's for what is in it."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from app.project.content import ProjectImage
from app.project.images import ProjectImages
from app.project.sealed import ProjectError, dump, read_sealed, seal, write_sealed
from cellseg1.files import free_file, free_folder

if TYPE_CHECKING:
    from pathlib import Path

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


class ProjectTrash(ProjectImages):
    """Removing images so that they can be brought back."""

    def remove_image(self, image_id: str) -> RemovedImage:
        """Move an image's entry, its drawings and, if it is a copy, its file to the project's trash."""
        self.require_writable()
        entry = self.image(image_id)
        self._close_documents(image_id)
        stamp = datetime.now().astimezone()
        folder = free_folder(self.folder / "trash" / f"{stamp:%Y%m%d-%H%M%S}-{entry.id}")
        body = dump({"image": entry.to_dict(), "removed": stamp.isoformat(timespec="seconds")})[1:]
        # Nothing moves before the project is written without it; what has not moved then is found all the same.
        write_sealed(folder / _FILE, seal(_KIND, _SCHEMA, body))
        with self.content.lock:
            del self.content.images[image_id]
            self.content.touch(image_id)
        self._changed(now=True)
        if self.storage_problem is None:
            for here, there in self._places_of(entry, folder):
                _move(here, there)
        return RemovedImage(folder, entry.name, entry.cells, stamp.isoformat(timespec="seconds"))

    def removed_images(self) -> list[RemovedImage]:
        """Return what is in the project's trash, the newest first."""
        found = []
        for file in (self.folder / "trash").glob(f"*/{_FILE}"):
            with contextlib.suppress(ProjectError, OSError, KeyError, TypeError):
                values = self._read_removed(file.parent)
                entry = ProjectImage.from_dict(values["image"])
                found.append(RemovedImage(file.parent, entry.name, entry.cells, str(values["removed"])))
        return sorted(found, key=lambda one: one.removed, reverse=True)

    def restore_image(self, removed: RemovedImage) -> str:
        """Bring an image back from the project's trash; returns its id.

        Raises
        ------
        ProjectError
            When it is not there any more.
        """
        self.require_writable()
        entry = ProjectImage.from_dict(self._read_removed(removed.folder)["image"])
        if entry.id in self.content.images:
            raise ProjectError(f"{entry.name} is in the project already.")
        if not entry.linked:
            wanted = self.folder / entry.file
            stored = removed.folder / wanted.name
            if stored.exists() and wanted.exists():
                wanted = free_file(wanted)
                _move(stored, wanted)
                entry.file = f"images/{wanted.name}"
        for here, there in self._places_of(entry, removed.folder):
            _move(there, here)
        with self.content.lock:
            self.content.images[entry.id] = entry
            self.content.touch(entry.id)
        self._changed(now=True)
        if self.storage_problem is None:
            shutil.rmtree(removed.folder, ignore_errors=True)
        return entry.id

    def empty_trash(self) -> None:
        """Move what is in the project's trash to the computer's trash."""
        self.require_writable()
        for path in (self.folder / "trash").iterdir():
            move_to_trash(path)

    def _read_removed(self, folder: Path) -> dict[str, Any]:
        return read_sealed(folder / _FILE, _KIND, _SCHEMA, {}, self.damage, repair=not self.read_only)

    def _places_of(self, entry: ProjectImage, folder: Path) -> list[tuple[Path, Path]]:
        """Return where its things are in the project, and where in the trash."""
        places = [(self.folder / "annotations" / entry.id, folder / "annotations")]
        if not entry.linked:
            path = self._path_of(entry)
            places.append((path, folder / path.name))
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
