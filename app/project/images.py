"""The part of a project that knows its images: adding, removing, and finding those that were moved."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.annotation.operations import import_labels
from app.base.errors import ProjectError
from app.base.foreign import is_file, read_regular
from app.base.names import safe_name, within
from app.project.content import ADDING, IMAGES, ProjectImage
from app.project.drawings import ProjectDrawings
from app.project.files.fingerprint import copy_file, fingerprint, full_hash, same_content
from app.project.journal.open_plane import counted, missing_sentence
from app.project.mask_names import PlaneMask, counted_from, expand, masks_of_planes, split_masks
from cellseg1.errors import CellSeg1Error, ImageError, MaskError
from cellseg1.files import free_file
from cellseg1.images import read_image, recognise
from cellseg1.masks import open_mask, pair_by_name, read_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cellseg1.images import Image


class _PresentError(ProjectError):
    """A file is an image of the project already."""

    def __init__(self, image_id: str) -> None:
        super().__init__("It is in the project already.")
        self.image_id = image_id


def _told_by(name: str, known: dict[str, Any]) -> tuple[object, ...]:
    """Name, size and ends: enough to take a file for a copied image without reading all of it."""
    return name, known.get("size"), known.get("ends")


@dataclass(slots=True)
class ImportReport:
    """What happened to files that were to be added.

    Attributes
    ----------
    added
        Ids of the new images.
    skipped
        Files that were not added, each with the reason.
    present
        Of the skipped files those that are in the project already, each with the id of its image.
    cells
        By image id: how many cells came with its mask.
    masks
        How many masks were looked at.
    sentences
        What the user should know: masks that were not matched or do not fit, what was taken how.
    """

    added: list[str] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    present: dict[Path, str] = field(default_factory=dict)
    cells: dict[str, int] = field(default_factory=dict)
    masks: int = 0
    sentences: list[str] = field(default_factory=list)

    @property
    def needs_attention(self) -> bool:
        """Whether anything is worth a dialog."""
        return bool(self.skipped or self.sentences)


class ProjectImages(ProjectDrawings):
    """The images of a project, in the order in which they were added."""

    @property
    def images(self) -> list[ProjectImage]:
        """Return the entries; to be changed by `set_image` only."""
        return list(self.content.images.values())

    def image_path(self, image_id: str) -> Path:
        """Return where an image's file is, or should be.

        Raises
        ------
        ProjectError
            When its entry points out of the project, which no project written by this program does.
        """
        return self._path_of(self.image(image_id))

    def _path_of(self, entry: ProjectImage) -> Path:
        if not entry.linked:
            return within(self.folder, IMAGES, entry.stored_name)
        path = Path(entry.file)
        if entry.nearby and not is_file(path):
            beside = Path(os.path.normpath(self.folder / entry.nearby))
            if same_content(beside, entry.fingerprint):
                return beside
        return path

    # ---- adding

    def add_images(
        self,
        paths: Sequence[Path],
        *,
        copy: bool,
        masks: Sequence[Path] = (),
        progress: Callable[[int, int, str], None] | None = None,
    ) -> ImportReport:
        """Add image files and folders of them, with their masks.

        Parameters
        ----------
        paths
            Files and folders.  When no masks are given, files that are called so (``a_mask.png`` beside ``a.png``, or
            a folder ``masks`` beside ``images``) are taken as the masks of the others.
        copy
            Copy the files into the project; else they are used where they are, and none is decoded.
        masks
            Mask files and folders; they are matched by name and become cells.
        progress
            Called with how many of how many are done, and a name.

        Raises
        ------
        ProjectError
            When the project is read-only.
        """
        self.require_writable()
        report = ImportReport()
        files = expand(paths, report.skipped)
        mask_files = expand(masks, report.skipped)
        if not masks:
            files, mask_files = split_masks(files)
        total = len(files) + len(mask_files)
        known = self._known()
        ids: dict[Path, str] = {}
        for number, path in enumerate(files):
            if progress is not None:
                progress(number, total, path.name)
            try:
                recognise(path)
                entry = self._new_entry(path, known, copy=copy)
            except _PresentError as error:
                report.present[path] = error.image_id
                report.skipped.append((path, str(error)))
                continue
            except (ProjectError, ImageError) as error:
                report.skipped.append((path, str(error)))
                continue
            except OSError as error:
                report.skipped.append((path, str(error) if isinstance(error, CellSeg1Error) else _cannot(path, error)))
                continue
            with self.content.lock:
                self.content.images[entry.id] = entry
            ids[path] = entry.id
            report.added.append(entry.id)
            if copy:
                self._changed()
        self._changed(now=True)
        if not self._save_wanted:
            with contextlib.suppress(OSError):
                (self.folder / ADDING).unlink(missing_ok=True)
        if mask_files:
            self._add_masks(ids, mask_files, report, lambda done, name: progress and progress(done, total, name))
        return report

    def _known(self) -> dict[tuple[object, ...], str]:
        """Return what tells that a file is in the project already, with the image it is.

        A linked image is known by its place; a copied one by its name with the hash of all of it, or with what a link
        is told by, so that linking thousands of files does not read them.
        """
        known: dict[tuple[object, ...], str] = {}
        for entry in self.content.images.values():
            if entry.linked:
                known[(entry.file,)] = entry.id
            else:
                known[(entry.name, entry.fingerprint.get("sha256"))] = entry.id
                known[_told_by(entry.name, entry.fingerprint)] = entry.id
        return known

    def _new_entry(self, path: Path, known: dict[tuple[object, ...], str], *, copy: bool) -> ProjectImage:
        image_id = secrets.token_hex(4)
        while image_id in self.content.images or (self.folder / "annotations" / image_id).exists():
            image_id = secrets.token_hex(4)
        place = (str(path),)
        told = fingerprint(path)
        same = (path.name, full_hash(path)) if copy else _told_by(path.name, told)
        for one in (place, same):
            if one in known:
                raise _PresentError(known[one])
        if not copy:
            known[place] = image_id
            entry = ProjectImage(image_id, path.name, str(path), linked=True, fingerprint=told)
            with contextlib.suppress(ValueError):
                entry.nearby = Path(os.path.relpath(path, self.folder)).as_posix()
            return entry
        known[same] = image_id
        # The name that is shown may be one that another system cannot hold.
        target = free_file(within(self.folder, IMAGES, safe_name(path.name)))
        # Written before: a copy that no entry knows would be there for ever, and be made again the next time.
        with (self.folder / ADDING).open("a", encoding="utf-8") as stream:
            stream.write(f"{target.name}\n")
        stored = copy_file(path, target)
        return ProjectImage(image_id, path.name, f"{IMAGES}/{target.name}", linked=False, fingerprint=stored)

    # ---- masks

    def _add_masks(
        self,
        ids: dict[Path, str],
        masks: Sequence[Path],
        report: ImportReport,
        progress: Callable[[int, str], object],
    ) -> None:
        of_planes = masks_of_planes(ids, masks)
        single = {one.path for group in of_planes.values() for one in group}
        pairing = pair_by_name(
            [path for path in ids if path not in of_planes], [one for one in masks if one not in single]
        )
        report.sentences += pairing.report()
        report.masks = len(masks)
        done = len(ids)
        for path, group in of_planes.items():
            try:
                self._import_plane_masks(ids[path], group, report, functools.partial(progress, done))
            except CellSeg1Error as error:
                report.sentences.append(f"{error} The image {path.name} was added without its masks.")
            done += len(group)
        for number, (path, mask) in enumerate(pairing.pairs, len(single)):
            progress(len(ids) + number, mask.name)
            image_id = ids[path]
            try:
                image = self.read_image(image_id)
                self.describe_image(image_id, image)
                report.cells[image_id] = self._import_mask(image_id, image, mask, report)
            except CellSeg1Error as error:
                report.sentences.append(f"{error} The image {path.name} was added without it.")

    def _import_mask(self, image_id: str, image: Image, path: Path, report: ImportReport) -> int:
        """Make the cells of a mask file those of an image; returns how many."""
        total = 0
        masks = open_mask(path, image=image)
        planes = [(z, t) for t in range(image.n_t) for z in range(image.n_z)]
        here = [(z, t) for z, t in planes if masks.n_planes == 1 or (z < masks.n_z and t < masks.n_t)]
        # One mask for the first plane of a stack is better than none.
        here = here[:1] if masks.n_planes == 1 else here
        for z, t in here:
            mask = masks.plane(z, t)
            self._require_shape(mask.labels.shape, image, z, t, path)
            if (z, t) == (0, 0):
                report.sentences += [f"{path.name}: {note}" for note in mask.notes]
            if mask.n_cells:
                document = self.document(image_id, z, t)
                import_labels(document, mask.labels)
                total += len(document.cells)
        if len(here) < len(planes):
            report.sentences.append(f"{path.name} has fewer planes than its image; the others are without cells.")
        if not total:
            report.sentences.append(f"The mask {path.name} holds no cells.")
        return total

    def _import_plane_masks(
        self, image_id: str, masks: Sequence[PlaneMask], report: ImportReport, progress: Callable[[str], object]
    ) -> None:
        """Make cells of mask files that belong to one plane each."""
        image = self.read_image(image_id)
        self.describe_image(image_id, image)
        first = {
            "z": counted_from((one.z for one in masks), image.n_z),
            "t": counted_from((one.t for one in masks), image.n_t),
        }
        total = 0
        for one in masks:
            progress(one.path.name)
            z, t = (one.z or first["z"]) - first["z"], (one.t or first["t"]) - first["t"]
            if not (0 <= z < image.n_z and 0 <= t < image.n_t):
                report.sentences.append(f"The mask {one.path.name} names a plane that its image does not have.")
                continue
            try:
                mask = read_mask(one.path)
                self._require_shape(mask.labels.shape, image, z, t, one.path)
            except MaskError as error:
                report.sentences.append(f"{error} This plane was left without cells.")
                continue
            report.sentences += [f"{one.path.name}: {note}" for note in mask.notes]
            if mask.n_cells:
                document = self.document(image_id, z, t)
                import_labels(document, mask.labels)
                total += len(document.cells)
        report.cells[image_id] = total

    def _require_shape(self, found: tuple[int, ...], image: Image, z: int, t: int, path: Path) -> None:
        shape = image.plane(z, t).shape[:2]
        if found != shape:
            raise MaskError(
                f"The mask {path.name} has {found[1]} x {found[0]} pixels, but its image has {shape[1]} x {shape[0]}."
            )

    def import_masks(self, masks: Sequence[Path]) -> ImportReport:
        """Add mask files and folders to images that are in the project already; only background is painted."""
        self.require_writable()
        report = ImportReport()
        files = expand(masks, report.skipped)
        ids = {Path(entry.name): entry.id for entry in reversed(self.images)}
        self._add_masks(ids, files, report, lambda _done, _name: None)
        return report

    # ---- files that were moved or changed

    def check_image(self, image_id: str) -> Literal["ok", "missing", "changed"]:
        """Tell whether an image's file is still there and still the same; quick as long as its time is."""
        entry = self.image(image_id)
        try:
            path = self._path_of(entry)
            state = path.stat()
        except (OSError, ProjectError):
            return "missing"
        if state.st_size == entry.fingerprint.get("size") and state.st_mtime_ns == entry.fingerprint.get("mtime_ns"):
            return "ok"
        if not same_content(path, entry.fingerprint):
            return "changed"
        self._set_fingerprint(entry, {**entry.fingerprint, "mtime_ns": state.st_mtime_ns})
        return "ok"

    def hash_image(self, image_id: str) -> str:
        """Return the SHA-256 of an image's whole file, made when it is asked for first; OSError when unreadable."""
        entry = self.image(image_id)
        path = self._path_of(entry)
        known = entry.fingerprint
        if known.get("sha256") and path.stat().st_mtime_ns == known.get("mtime_ns"):
            return str(known["sha256"])
        found = full_hash(path)
        if self.check_image(image_id) == "ok":
            self._set_fingerprint(entry, {**entry.fingerprint, "sha256": found})
        return found

    def relink(self, image_id: str, path: Path) -> None:
        """Use another file for an image, chosen by the user.

        Raises
        ------
        CellSeg1Error
            When it is no image, or has another size and cells are drawn already.
        """
        self.require_writable()
        entry = self.image(image_id)
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
            self.set_image(image_id, axes_by_hand=False)
            self.describe_image(image_id, image)
        else:
            self._link(entry, path)
        self._changed(now=True)

    def relink_folder(self, folder: Path) -> int:
        """Find missing images in a folder and below it, by content; returns how many were found."""
        self.require_writable()
        missing = [entry for entry in self.images if self.check_image(entry.id) != "ok"]
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
            self._changed(now=True)
        return found

    def _link(self, entry: ProjectImage, path: Path) -> None:
        try:
            stored = fingerprint(path)
        except OSError as error:
            raise ProjectError(_cannot(path, error)) from error
        if stored["ends"] == entry.fingerprint.get("ends") and entry.fingerprint.get("sha256"):
            stored["sha256"] = entry.fingerprint["sha256"]
        with self.content.lock:
            entry.file, entry.linked, entry.nearby = str(path), True, ""
            with contextlib.suppress(ValueError):
                entry.nearby = Path(os.path.relpath(path, self.folder)).as_posix()
            entry.fingerprint = stored
            self.content.touch(entry.id)

    def _set_fingerprint(self, entry: ProjectImage, values: dict[str, object]) -> None:
        with self.content.lock:
            entry.fingerprint = values
            self.content.touch(entry.id)
        self._changed()

    # ---- what the pages ask

    def image_state(self, image_id: str) -> str:
        """Return ``new``, ``annotated``, ``training``, ``predicted`` or ``checked``."""
        return self.image(image_id).state

    def cell_count(self, image_id: str) -> int:
        """Return how many cells are drawn on all planes of an image."""
        return self.image(image_id).cells

    def next_unchecked(self, after: str | None = None) -> str | None:
        """Return the next image that is not checked, beginning again at the first; None when no other is left."""
        ids = list(self.content.images)
        start = ids.index(after) + 1 if after in self.content.images else 0
        for image_id in ids[start:] + ids[:start]:
            if image_id != after and self.content.images[image_id].state != "checked":
                return image_id
        return None

    def training_images(self) -> list[tuple[str, int, int]]:
        """Return the planes that are used for training: image id, z, t."""
        found = []
        for entry in self.images:
            for name, plane in entry.planes.items():
                if plane.get("training"):
                    z, t = (int(number) for number in name.split(","))
                    found.append((entry.id, z, t))
        return found

    def _recount(self, *, crashed: bool) -> None:
        """Bring the list up to date with drawings that were edited after it was written.

        Sizes of journals tell which, not times: a clock may be set back.
        """
        for image_id, z, t, path, size in self._journals():
            entry = self.content.images[image_id]
            known = entry.planes.get(f"{z},{t}", {})
            if known.get("bytes") == size:
                continue
            if not crashed and "bytes" not in known and "revision" in known:
                # Written by a version that did not note it, and closed properly.
                self._note_plane(image_id, z, t, {"bytes": size}, write=False)
                continue
            with contextlib.suppress(CellSeg1Error, OSError, ValueError, MemoryError):
                found = counted(path, entry.plane_shape, size)
                if found is not None:
                    if found["revision"] < known.get("revision", 0):
                        self.damage.append(missing_sentence(entry.name))
                    self._note_plane(image_id, z, t, found, write=False)

    def _journals(self) -> Iterator[tuple[str, int, int, Path, int]]:
        """Yield image, z, t, path and size of all journals of the project's images."""
        for folder in _entries(self.folder / "annotations"):
            if folder.name not in self.content.images or not folder.is_dir(follow_symlinks=False):
                continue
            for file in _entries(Path(folder.path)):
                match = _JOURNAL.fullmatch(file.name)
                if match is not None and file.is_file(follow_symlinks=False):
                    yield folder.name, int(match[1]), int(match[2]), Path(file.path), file.stat().st_size

    def _sweep_copies(self) -> None:
        """Remove copies that were made for entries which were never written."""
        record = self.folder / ADDING
        with contextlib.suppress(OSError, ValueError):
            names = read_regular(record).decode("utf-8").splitlines()
            known = {entry.stored_name for entry in self.images if not entry.linked}
            for name in names:
                with contextlib.suppress(ProjectError, OSError):
                    if name not in known:
                        within(self.folder, IMAGES, name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            record.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what a crash left half-written; runs are left to the engine that may still compute them."""
        for pattern in _PARTS:
            for path in self.folder.glob(pattern):
                with contextlib.suppress(OSError):
                    path.unlink()


#: What is written under another name first, and what a lock was renamed to.
_PARTS = (
    *(".*.part", "annotations/*/.*.part", "images/.*.part", "thumbnails/.*.part", "trash/*/.*.part", ".lock-*"),
    "runs/*/.run.json*.part",
)
_JOURNAL = re.compile(r"z([0-9]{3,6})_t([0-9]{3,6})\.journal")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, nothing when it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda one: one.name)
    except OSError:
        return []


def _cannot(path: Path, error: OSError) -> str:
    return f"{path.name} cannot be read: {error.strerror or error}."
