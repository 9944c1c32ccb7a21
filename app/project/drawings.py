"""The part of a project that knows its drawings: opening, keeping and describing the documents of planes."""

from __future__ import annotations

import contextlib
import re
import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cellseg1.errors import CellSeg1Error
from cellseg1.files import describe_os_error

from ..base.errors import ProjectError
from ..base.names import within
from .files.folders import entries
from .journal.journal import copy_plain
from .journal.open_plane import OpenPlane, counted, description, missing_sentence, read_drawing
from .journal.recovery import snapshot_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from ..annotation.document import Document
    from ..annotation.steps import Change
    from .content import ProjectImage
    from .images import ProjectImages
    from .store import ProjectStore

#: Documents that stay open although nobody uses them at the moment.
KEPT_DOCUMENTS = 8


class ProjectDrawings:
    """Documents of planes.  All methods except `labels_of`, `stored_drawing` and `copy` are for one thread."""

    def __init__(self, store: ProjectStore, images: ProjectImages) -> None:
        self._store = store
        self._images = images
        self._planes: dict[tuple[str, int, int], OpenPlane] = {}
        self._planes_lock = threading.RLock()
        store.writes(self.sync)
        self._recent: OrderedDict[tuple[str, int, int], OpenPlane] = OrderedDict()

    def journal_path(self, image_id: str, z: int = 0, t: int = 0) -> Path:
        """Return where the journal of a plane is."""
        return within(self._store.folder, "annotations", image_id, f"z{z:03d}_t{t:03d}.journal")

    # ---- opening

    def document(self, image_id: str, z: int = 0, t: int = 0) -> Document:
        """Return the document of a plane, always the same while somebody has it.

        Raises
        ------
        CellSeg1Error
            When there is no such plane, the image cannot be read (only needed the first time), or its drawing was
            made on an image of another size.
        """
        entry = self._images.get(image_id)
        if min(z, t) < 0 or (entry.n_z and z >= entry.n_z) or (entry.n_t and t >= entry.n_t):
            raise ProjectError(f"{entry.name} has no plane z = {z}, t = {t}.")
        key = image_id, z, t
        plane = self._planes.get(key)
        document = None if plane is None else plane.document()
        if plane is None or document is None:
            self._forget(key)
            plane, document = self._open(entry, z, t)
        self._keep(key, plane, document)
        return document

    def _open(self, entry: ProjectImage, z: int, t: int) -> tuple[OpenPlane, Document]:
        path = self.journal_path(entry.id, z, t)
        if entry.plane_shape is None:
            try:
                self._images.describe(entry.id, self._images.read(entry.id))
            except CellSeg1Error:
                # The drawing stores its own size.
                if not path.exists() and not snapshot_of(path).exists():
                    raise
        key = entry.id, z, t
        plane = OpenPlane(
            path,
            entry.plane_shape,
            entry.name,
            read_only=self._store.read_only,
            on_problem=lambda error: self._store.report(_problem_key(key), error),
            wake=self._store.writer.wake,
            in_background=self._store.writer.add,
            damage=self._store.damage,
            there=self._store.is_there,
        )
        document = plane.kept
        assert document is not None
        if plane.journal.last < entry.planes.get(f"{z},{t}", {}).get("revision", 0) and not plane.damaged:
            self._store.damage.append(missing_sentence(entry.name))
        with self._planes_lock:
            self._planes[key] = plane

        def heard(change: Change) -> None:
            if change.kind in ("edit", "undo", "redo"):
                self._describe(plane, *key)
                plane.changed()

        document.subscribe(heard, live=False)
        weakref.finalize(document, plane.journal.close).atexit = False
        self._describe(plane, *key)
        return plane, document

    def _keep(self, key: tuple[str, int, int], plane: OpenPlane, document: Document) -> None:
        plane.kept = document
        self._recent[key] = plane
        self._recent.move_to_end(key)
        for old in list(self._recent)[:-KEPT_DOCUMENTS]:
            oldest = self._recent[old]
            oldest.save()
            # What is only in memory must stay there.
            if not oldest.journal.unsaved:
                # Whoever still has it goes on with it; when nobody has, its journal is closed.
                oldest.kept = None
                del self._recent[old]
        for gone in [key for key, plane in self._planes.items() if plane.document() is None]:
            self._forget(gone)

    @property
    def unsaved(self) -> bool:
        """Whether edits are only in memory, because they could not be written: closing would lose them."""
        return any(plane.journal.unsaved for plane in self._planes.values())

    def _forget(self, key: tuple[str, int, int]) -> None:
        self._recent.pop(key, None)
        with self._planes_lock:
            plane = self._planes.pop(key, None)
        if plane is not None:
            plane.journal.close()
            self._store.report(_problem_key(key), None)

    def close(self, image_id: str | None = None) -> None:
        """Store and close the drawings of one image, or all."""
        self._store.writer.wait_idle()
        for key in [key for key in self._planes if image_id is None or key[0] == image_id]:
            self._planes[key].save()
            self._forget(key)

    @contextlib.contextmanager
    def files_closed(self) -> Iterator[None]:
        """Close all files of drawings while the folder is renamed; the documents stay as they are."""
        self._store.writer.wait_idle()
        for plane in self._planes.values():
            plane.journal.sync()
            plane.journal.release()
        yield
        for key, plane in self._planes.items():
            plane.journal.moved(self.journal_path(*key))

    # ---- reading

    def labels_of(self, image_id: str, z: int = 0, t: int = 0) -> NDArray[np.int32] | None:
        """Return a copy of a plane's label image without opening it; None when nothing is drawn.  For any thread."""
        found = self.drawing_of(image_id, z, t) or self.stored_drawing(image_id, z, t)
        return None if found is None else found[0]

    def drawing_of(self, image_id: str, z: int = 0, t: int = 0) -> tuple[NDArray[np.int32], dict[str, Any]] | None:
        """Return copies of label image and attributes of a plane that is open; None when it is not."""
        plane = self._planes.get((image_id, z, t))
        document = None if plane is None else plane.document()
        return None if document is None else (document.labels.copy(), dict(document.attributes))

    def stored_drawing(self, image_id: str, z: int = 0, t: int = 0) -> tuple[NDArray[np.int32], dict[str, Any]] | None:
        """Return what is stored of a plane, None when nothing is.  For any thread."""
        document = read_drawing(self.journal_path(image_id, z, t), self._images.get(image_id).plane_shape)
        return None if document is None else (document.labels.copy(), dict(document.attributes))

    # ---- what the list shows

    def update_plane(self, image_id: str, z: int, t: int, document: Document) -> None:
        """Bring the list of images up to date with a document; it follows open ones by itself."""
        plane = self._planes.get((image_id, z, t))
        if plane is not None and plane.document() is document:
            self._describe(plane, image_id, z, t)
        else:
            self._images.note_plane(image_id, z, t, description(document, document.revision, 0))

    def _describe(self, plane: OpenPlane, image_id: str, z: int, t: int) -> None:
        values = plane.describe()
        entry = self._store.content.images.get(image_id)
        if values is not None and entry is not None and (plane.journal.last or f"{z},{t}" in entry.planes):
            # The journal has it, so the list of thousands of images is not written for every stroke.
            self._images.note_plane(image_id, z, t, values, write=False)

    # ---- writing to disk

    def sync(self) -> bool:
        """Write the journals to disk; False when one could not be written.  For any thread."""
        with self._planes_lock:
            planes = list(self._planes.values())
        # All are tried, even when one fails.
        synced = [plane.journal.sync() for plane in planes]
        return all(synced)

    def written(self, image_id: str) -> bool:
        """Write the open drawings of an image to disk; return whether all edits are on disk."""
        planes = [plane for key, plane in list(self._planes.items()) if key[0] == image_id]
        return all(plane.journal.sync() and not plane.journal.unsaved for plane in planes)

    def unwritten(self) -> list[tuple[str, Path]]:
        """Return the journals that could not be written yet and have no file: path in the project, path."""
        with self._planes_lock:
            journals = [plane.journal for plane in self._planes.values()]
        return [
            (journal.path.relative_to(self._store.folder).as_posix(), journal.path)
            for journal in journals
            if journal.unsaved and not journal.path.exists()
        ]

    def copy(self, path: Path, target: BinaryIO) -> None:
        """Copy a file of the project; an open journal is copied with all its edits.

        Raises
        ------
        OSError
            When it cannot be read.
        """
        with self._planes_lock:
            journal = next((plane.journal for plane in self._planes.values() if plane.journal.path == path), None)
        if journal is not None:
            journal.copy_to(target)
        else:
            copy_plain(path, target)

    def go_on_in(self, folder: Path) -> None:
        """Continue in the journals of a copy of the project.

        Raises
        ------
        ProjectError
            When one of them cannot be written.
        """
        for key, plane in self._planes.items():
            path = folder / self.journal_path(*key).relative_to(self._store.folder)
            try:
                plane.move_to(path)
            except OSError as error:
                raise ProjectError(f"{path} cannot be written: {describe_os_error(error)}.") from error

    # ---- edits made after the list was written

    def recount(self, *, crashed: bool) -> None:
        """Update the list with drawings that were edited after it was written.

        Sizes of journals show which, not times, since a clock may be set back.
        """
        for image_id, z, t, path, size in self._journals():
            entry = self._store.content.images[image_id]
            known = entry.planes.get(f"{z},{t}", {})
            if known.get("bytes") == size:
                continue
            if not crashed and "bytes" not in known and "revision" in known:
                # Written by a version that did not store it, and closed properly.
                self._images.note_plane(image_id, z, t, {"bytes": size}, write=False)
                continue
            with contextlib.suppress(CellSeg1Error, OSError, ValueError, MemoryError):
                found = counted(path, entry.plane_shape, size)
                if found is not None:
                    if found["revision"] < known.get("revision", 0):
                        self._store.damage.append(missing_sentence(entry.name))
                    self._images.note_plane(image_id, z, t, found, write=False)

    def _journals(self) -> Iterator[tuple[str, int, int, Path, int]]:
        """Yield image, z, t, path and size of all journals of the project's images."""
        for folder in entries(self._store.folder / "annotations"):
            if folder.name not in self._store.content.images or not folder.is_dir(follow_symlinks=False):
                continue
            for file in entries(Path(folder.path)):
                match = _JOURNAL.fullmatch(file.name)
                if match is not None and file.is_file(follow_symlinks=False):
                    yield folder.name, int(match[1]), int(match[2]), Path(file.path), file.stat().st_size


_JOURNAL = re.compile(r"z([0-9]{3,6})_t([0-9]{3,6})\.journal")


def _problem_key(key: tuple[str, int, int]) -> str:
    return " ".join(str(part) for part in key)
