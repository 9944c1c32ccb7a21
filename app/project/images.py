"""The images of a project: their entries, and finding moved files."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cellseg1.files import is_file
from cellseg1.images import read_image
from cellseg1.images.axes import order_axes

from ..annotation.steps import plain
from ..base.errors import ProjectError
from ..base.names import within
from .content import IMAGES
from .files.fingerprint import fingerprint, same_content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellseg1.images import Image

    from .content import ProjectImage
    from .store import ProjectStore


class ProjectImages:
    """The images of a project, in the order in which they were added."""

    def __init__(self, store: ProjectStore) -> None:
        self._store = store

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._store.content.images)

    def __iter__(self) -> Iterator[ProjectImage]:
        """Iterate over a snapshot of all entries; change them with `set` only."""
        return iter(list(self._store.content.images.values()))

    def __getitem__(self, place: int) -> ProjectImage:
        """Return an entry by position."""
        return list(self._store.content.images.values())[place]

    def get(self, image_id: str) -> ProjectImage:
        """Return an image's entry.

        Raises
        ------
        ProjectError
            When there is none of that id.
        """
        try:
            return self._store.content.images[image_id]
        except KeyError:
            raise ProjectError("This image is not in the project any more.") from None

    def path(self, image_id: str) -> Path:
        """Return where an image's file is, or should be.

        Raises
        ------
        ProjectError
            When its entry points out of the project, which no project written by this program does.
        """
        return self.path_of(self.get(image_id))

    def path_of(self, entry: ProjectImage) -> Path:
        """Return the path of an entry's file, present or not; the entry need not be in the list."""
        if not entry.linked:
            return within(self._store.folder, IMAGES, entry.stored_name)
        path, *beside = self.places_of(entry)
        if beside and not is_file(path) and same_content(beside[0], entry.fingerprint):
            return beside[0]
        return path

    def places_of(self, entry: ProjectImage) -> list[Path]:
        """Return where the file of an entry may be, the likeliest place first; without a look at the disk."""
        if not entry.linked:
            return [self._store.folder / IMAGES / entry.stored_name]
        beside = [Path(os.path.normpath(self._store.folder / entry.nearby))] if entry.nearby else []
        return [Path(entry.file), *beside]

    # ---- facts about images

    def read(self, image_id: str) -> Image:
        """Read an image's file with its current axes; raises ImageError."""
        entry = self.get(image_id)
        image = read_image(self.path(image_id))
        if not entry.axes_by_hand or entry.axes in ("", image.info.axes):
            return image
        array, axes = order_axes(image.array, entry.axes)
        return type(image)(array, dataclasses.replace(image.info, axes=axes, shape=array.shape, guessed=False))

    def describe(self, image_id: str, image: Image) -> None:
        """Store the metadata of an image's file; values set by hand stay."""
        entry, info = self.get(image_id), image.info
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
            # Axes set by hand are in the order of the file; those of a read image are in canonical order.
            values["axes"] = info.axes
        if not entry.pixel_size_by_hand and info.pixel_size_um is not None:
            values["pixel_size_um"] = tuple(float(side) for side in info.pixel_size_um)
        self.set(image_id, **values)

    def set(self, image_id: str, **fields: Any) -> None:
        """Change fields of an image's entry (see `ProjectImage`)."""
        entry = self.get(image_id)
        if not fields.keys() <= _SETTABLE:
            raise TypeError(f"not fields of an image: {sorted(fields.keys() - _SETTABLE)}")
        if fields.get("axes", entry.axes) != entry.axes and "shape" not in fields:
            # With other axes the file has another shape, which is stored when it is read again.
            fields = {**fields, "shape": (), "n_z": 0, "n_t": 0, "n_channels": 0}
        if "display" in fields:
            fields["display"] = plain(fields["display"])
        with self._store.content.lock:
            changed = {key: value for key, value in fields.items() if getattr(entry, key) != value}
            for key, value in changed.items():
                setattr(entry, key, value)
            self._store.content.touch(image_id)
        if changed:
            self._store.changed()

    def note_plane(self, image_id: str, z: int, t: int, values: dict[str, Any], *, write: bool = True) -> None:
        """Store facts about a plane; with `write` soon in ``project.json``, otherwise with its next change."""
        entry = self._store.content.images.get(image_id)
        if entry is None:
            return
        with self._store.content.lock:
            known = entry.planes.setdefault(f"{z},{t}", {})
            if all(known.get(key) == value for key, value in values.items()):
                return
            known.update(values)
            self._store.content.touch(image_id)
        if write:
            self._store.changed()

    # ---- files that were moved or changed

    def check(self, image_id: str) -> Literal["ok", "missing", "changed"]:
        """Tell whether an image's file is still there and still the same; quick as long as its time is."""
        entry = self.get(image_id)
        try:
            path = self.path_of(entry)
            state = path.stat()
        except (OSError, ProjectError):
            return "missing"
        if state.st_size == entry.fingerprint.get("size") and state.st_mtime_ns == entry.fingerprint.get("mtime_ns"):
            return "ok"
        if not same_content(path, entry.fingerprint):
            return "changed"
        self._set_fingerprint(entry, {**entry.fingerprint, "mtime_ns": state.st_mtime_ns})
        return "ok"

    def relink(self, image_id: str, path: Path) -> None:
        """Use another file for an image, chosen by the user.

        Raises
        ------
        CellSeg1Error
            When it is no image, or has another size and cells are drawn already.
        """
        self._store.require_writable()
        entry = self.get(image_id)
        path = Path(os.path.abspath(path))  # noqa: PTH100 - links keep their own name
        if not same_content(path, entry.fingerprint):
            image = read_image(path)
            sides = dict(zip(image.info.axes, image.info.shape, strict=True))
            if entry.plane_shape is not None and entry.cells and entry.plane_shape != (sides["Y"], sides["X"]):
                raise ProjectError(
                    f"{path.name} has {sides['X']} x {sides['Y']} pixels, but the cells of {entry.name} were drawn on "
                    f"{entry.plane_shape[1]} x {entry.plane_shape[0]}. Choose the file they were drawn on."
                )
            self._link(entry, path)
            self.set(image_id, axes_by_hand=False)
            self.describe(image_id, image)
        else:
            self._link(entry, path)
        self._store.changed(now=True)

    def relink_folder(self, folder: Path) -> int:
        """Find missing images in a folder and below it, by content; returns how many were found."""
        self._store.require_writable()
        missing = [entry for entry in self if self.check(entry.id) != "ok"]
        if not missing:
            return 0
        by_size: dict[int, list[Path]] = {}
        sizes = {entry.fingerprint.get("size") for entry in missing}
        for place, _folders, names in os.walk(folder):
            for name in names:
                path = Path(place, name)
                with contextlib.suppress(OSError):
                    size = path.stat().st_size
                    if size in sizes:
                        by_size.setdefault(size, []).append(path)
        found = 0
        for entry in missing:
            candidates = by_size.get(entry.fingerprint.get("size", -1), [])
            candidates = sorted(candidates, key=lambda path, name=entry.name: path.name != name)  # type: ignore[misc]
            for path in candidates:
                known = {key: value for key, value in entry.fingerprint.items() if key != "mtime_ns"}
                if same_content(path, known):
                    self._link(entry, Path(os.path.abspath(path)))  # noqa: PTH100 - links keep their own name
                    found += 1
                    break
        if found:
            self._store.changed(now=True)
        return found

    def _link(self, entry: ProjectImage, path: Path) -> None:
        try:
            stored = fingerprint(path)
        except OSError as error:
            raise ProjectError(cannot_be_read(path, error)) from error
        if stored["ends"] == entry.fingerprint.get("ends") and entry.fingerprint.get("sha256"):
            stored["sha256"] = entry.fingerprint["sha256"]
        with self._store.content.lock:
            entry.file, entry.linked, entry.nearby = str(path), True, ""
            with contextlib.suppress(ValueError):
                entry.nearby = Path(os.path.relpath(path, self._store.folder)).as_posix()
            entry.fingerprint = stored
            self._store.content.touch(entry.id)

    def _set_fingerprint(self, entry: ProjectImage, values: dict[str, object]) -> None:
        with self._store.content.lock:
            entry.fingerprint = values
            self._store.content.touch(entry.id)
        self._store.changed()

    # ---- what the pages ask

    def next_unchecked(self, after: str | None = None) -> str | None:
        """Return the next image that is not checked, beginning again at the first; None when no other is left."""
        ids = list(self._store.content.images)
        start = ids.index(after) + 1 if after in self._store.content.images else 0
        for image_id in ids[start:] + ids[:start]:
            if image_id != after and self._store.content.images[image_id].state != "checked":
                return image_id
        return None

    def training(self) -> list[tuple[str, int, int]]:
        """Return the planes that are used for training: image id, z, t."""
        found = []
        for entry in self:
            for name, plane in entry.planes.items():
                if plane.get("training"):
                    z, t = (int(number) for number in name.split(","))
                    found.append((entry.id, z, t))
        return found


_SETTABLE = frozenset(
    (
        *("name", "shape", "axes", "dtype", "n_z", "n_t", "n_channels", "channel_names", "axes_guessed"),
        *("axes_by_hand", "notes", "pixel_size_um", "pixel_size_by_hand", "display"),
    )
)


def cannot_be_read(path: Path, error: OSError) -> str:
    """Return the sentence about a file that cannot be read."""
    return f"{path.name} cannot be read: {error.strerror or error}."
