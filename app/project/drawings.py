"""The part of a project that knows its drawings: opening, keeping and describing the documents of planes."""

from __future__ import annotations

import contextlib
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from app.annotation.steps import plain
from app.base.errors import ProjectError
from app.base.names import within
from app.project.journal.open_plane import OpenPlane, description, missing_sentence, read_drawing
from app.project.journal.recovery import snapshot_of
from app.project.store import ProjectStore
from cellseg1.errors import CellSeg1Error
from cellseg1.images import read_image
from cellseg1.images.axes import order_axes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from app.annotation.document import Document
    from app.annotation.steps import Change
    from app.project.content import ProjectImage
    from cellseg1.images import Image

#: Documents that stay open although nobody uses them at the moment.
KEPT_DOCUMENTS = 8


class ProjectDrawings(ProjectStore):
    """Documents of planes.  All but `labels_of` is for one thread."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._recent: OrderedDict[tuple[str, int, int], OpenPlane] = OrderedDict()

    def image(self, image_id: str) -> ProjectImage:
        """Return an image's entry.

        Raises
        ------
        ProjectError
            When there is none of that id.
        """
        try:
            return self.content.images[image_id]
        except KeyError:
            raise ProjectError("This image is not in the project any more.") from None

    def image_path(self, image_id: str) -> Path:
        """Return where an image's file is, or should be."""
        raise NotImplementedError

    def journal_path(self, image_id: str, z: int = 0, t: int = 0) -> Path:
        """Return where the journal of a plane is."""
        return within(self.folder, "annotations", image_id, f"z{z:03d}_t{t:03d}.journal")

    # ---- opening

    def document(self, image_id: str, z: int = 0, t: int = 0) -> Document:
        """Return the document of a plane, always the same while somebody has it.

        Raises
        ------
        CellSeg1Error
            When there is no such plane, the image cannot be read (only needed the first time), or its drawing was
            made on an image of another size.
        """
        entry = self.image(image_id)
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
                self.describe_image(entry.id, self.read_image(entry.id))
            except CellSeg1Error:
                # The drawing says how large it is.
                if not path.exists() and not snapshot_of(path).exists():
                    raise
        key = entry.id, z, t
        plane = OpenPlane(
            path,
            entry.plane_shape,
            entry.name,
            read_only=self.read_only,
            on_problem=lambda error: self._report(_problem_key(key), error),
            wake=self._writer.wake,
            in_background=self._writer.add,
            damage=self.damage,
            there=self.is_there,
        )
        document = plane.kept
        assert document is not None
        if plane.journal.last < entry.planes.get(f"{z},{t}", {}).get("revision", 0) and not plane.damaged:
            self.damage.append(missing_sentence(entry.name))
        with self._planes_lock:
            self._planes[key] = plane

        def heard(change: Change) -> None:
            if change.kind in ("edit", "undo", "redo"):
                self._describe(plane, *key)
                plane.changed()

        document.subscribe(heard)
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
            self._report(_problem_key(key), None)

    def _close_documents(self, image_id: str | None = None) -> None:
        """Store and close the drawings of one image, or all."""
        self._writer.wait_idle()
        for key in [key for key in self._planes if image_id is None or key[0] == image_id]:
            self._planes[key].save()
            self._forget(key)

    @contextlib.contextmanager
    def _files_closed(self) -> Iterator[None]:
        """Close all files of drawings while the folder is renamed; the documents stay as they are."""
        self._writer.wait_idle()
        for plane in self._planes.values():
            plane.journal.sync()
            plane.journal.release()
        yield
        for key, plane in self._planes.items():
            plane.journal.moved(self.journal_path(*key))

    # ---- reading

    def read_image(self, image_id: str) -> Image:
        """Read an image's file with the axes that hold for it; raises ImageError."""
        import dataclasses

        entry = self.image(image_id)
        image = read_image(self.image_path(image_id))
        if not entry.axes_by_hand or entry.axes in ("", image.info.axes):
            return image
        array, axes = order_axes(image.array, entry.axes)
        return type(image)(array, dataclasses.replace(image.info, axes=axes, shape=array.shape, guessed=False))

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
        document = read_drawing(self.journal_path(image_id, z, t), self.image(image_id).plane_shape)
        return None if document is None else (document.labels.copy(), dict(document.attributes))

    # ---- what the list shows

    def update_plane(self, image_id: str, z: int, t: int, document: Document) -> None:
        """Bring the list of images up to date with a document; it follows open ones by itself."""
        plane = self._planes.get((image_id, z, t))
        if plane is not None and plane.document() is document:
            self._describe(plane, image_id, z, t)
        else:
            self._note_plane(image_id, z, t, description(document, document.revision, 0))

    def _describe(self, plane: OpenPlane, image_id: str, z: int, t: int) -> None:
        values = plane.describe()
        entry = self.content.images.get(image_id)
        if values is not None and entry is not None and (plane.journal.last or f"{z},{t}" in entry.planes):
            # The journal has it: of thousands of images not one line is written for a stroke.
            self._note_plane(image_id, z, t, values, write=False)

    def _note_plane(self, image_id: str, z: int, t: int, values: dict[str, Any], *, write: bool = True) -> None:
        """Note what is known of a plane; with `write` soon in ``project.json``, else with its next change."""
        entry = self.content.images.get(image_id)
        if entry is None:
            return
        with self.content.lock:
            known = entry.planes.setdefault(f"{z},{t}", {})
            if all(known.get(key) == value for key, value in values.items()):
                return
            known.update(values)
            self.content.touch(image_id)
        if write:
            self._changed()

    def describe_image(self, image_id: str, image: Image) -> None:
        """Note what an image's file says; what was set by hand stays."""
        entry, info = self.image(image_id), image.info
        values: dict[str, Any] = {
            "shape": tuple(int(side) for side in info.shape),
            "dtype": info.dtype,
            "n_z": image.n_z,
            "n_t": image.n_t,
            "n_channels": image.n_channels,
            "channel_names": tuple(info.channel_names),
            "axes_guessed": info.guessed and not entry.axes_by_hand,
            "notes": tuple(info.notes),
        }
        if not entry.axes_by_hand:
            # Letters set by hand name the axes as the file has them; those of a read image are in our own order.
            values["axes"] = info.axes
        if not entry.pixel_size_by_hand and info.pixel_size_um is not None:
            values["pixel_size_um"] = tuple(float(side) for side in info.pixel_size_um)
        self.set_image(image_id, **values)

    def set_image(self, image_id: str, **fields: Any) -> None:
        """Change fields of an image's entry (see `ProjectImage`)."""
        entry = self.image(image_id)
        if not fields.keys() <= _SETTABLE:
            raise TypeError(f"not fields of an image: {sorted(fields.keys() - _SETTABLE)}")
        if fields.get("axes", entry.axes) != entry.axes and "shape" not in fields:
            # By other axes the same file has another shape; it is noted when it is read again.
            fields = {**fields, "shape": (), "n_z": 0, "n_t": 0, "n_channels": 0}
        if "display" in fields:
            fields["display"] = plain(fields["display"])
        with self.content.lock:
            changed = {key: value for key, value in fields.items() if getattr(entry, key) != value}
            for key, value in changed.items():
                setattr(entry, key, value)
            self.content.touch(image_id)
        if changed:
            self._changed()


def _problem_key(key: tuple[str, int, int]) -> str:
    return " ".join(str(part) for part in key)


_SETTABLE = frozenset(
    (
        *("name", "shape", "axes", "dtype", "n_z", "n_t", "n_channels", "channel_names", "axes_guessed"),
        *("axes_by_hand", "notes", "pixel_size_um", "pixel_size_by_hand", "display"),
    )
)
