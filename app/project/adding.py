"""Adding images to a project, with the masks that belong to them."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellseg1.errors import CellSeg1Error, ImageError, MaskError
from cellseg1.files import free_file
from cellseg1.images import recognise
from cellseg1.masks import open_mask, pair_by_name, read_mask
from cellseg1.regular import read_regular

from ..annotation.operations import import_labels
from ..base.errors import ProjectError
from ..base.names import safe_name, within
from .content import ADDING, IMAGES, ProjectImage
from .files.fingerprint import copy_file, fingerprint, full_hash
from .images import cannot_be_read
from .mask_names import PlaneMask, counted_from, expand, masks_of_planes, split_masks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cellseg1.images import Image

    from .drawings import ProjectDrawings
    from .images import ProjectImages
    from .store import ProjectStore


class _PresentError(ProjectError):
    """A file is an image of the project already."""

    def __init__(self, image_id: str) -> None:
        super().__init__("It is in the project already.")
        self.image_id = image_id


def _told_by(name: str, known: dict[str, Any]) -> tuple[object, ...]:
    """Name, size and first and last bytes: enough to identify a copied image without reading the whole file."""
    return name, known.get("size"), known.get("ends")


@dataclass(slots=True)
class ImportReport:
    """The result of adding files.

    Attributes
    ----------
    added
        Ids of the new images.
    skipped
        Files that were not added, each with the reason.
    present
        The skipped files that are in the project already, each with the id of its image.
    cells
        By image id: number of cells in its mask.
    masks
        Number of masks that were read.
    sentences
        Sentences for the user: masks without a match or of another size, and assumptions.
    """

    added: list[str] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    present: dict[Path, str] = field(default_factory=dict)
    cells: dict[str, int] = field(default_factory=dict)
    masks: int = 0
    sentences: list[str] = field(default_factory=list)

    @property
    def needs_attention(self) -> bool:
        """Whether anything needs a dialog."""
        return bool(self.skipped or self.sentences)


class ImageAdding:
    """Makes entries from files, and cells from masks."""

    def __init__(self, store: ProjectStore, images: ProjectImages, drawings: ProjectDrawings) -> None:
        self._store = store
        self._images = images
        self._drawings = drawings

    def add(
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
            Files and folders.  Without `masks`, files named as masks (``a_mask.png`` beside ``a.png``, or a folder
            ``masks`` beside ``images``) become the masks of the others.
        copy
            Copy the files into the project; otherwise they are linked without being decoded.
        masks
            Mask files and folders; they are matched by name and become cells.
        progress
            Called with the numbers of finished and of all files, and a name.

        Raises
        ------
        ProjectError
            When the project is read-only.
        """
        self._store.require_writable()
        report = ImportReport()
        files = expand(paths, report.skipped)
        mask_files = expand(masks, report.skipped)
        if not masks:
            files, mask_files = split_masks(files)
        total = len(files) + len(mask_files)
        ids = self._add_files(files, report, lambda done, name: progress and progress(done, total, name), copy=copy)
        self._store.changed(now=True)
        if self._store.written:
            with contextlib.suppress(OSError):
                (self._store.folder / ADDING).unlink(missing_ok=True)
        if mask_files:
            self._add_masks(ids, mask_files, report, lambda done, name: progress and progress(done, total, name))
        return report

    def _add_files(
        self, files: Sequence[Path], report: ImportReport, progress: Callable[[int, str], object], *, copy: bool
    ) -> dict[Path, str]:
        """Make entries from files; return the ids of the new ones."""
        known = self._known()
        ids: dict[Path, str] = {}
        for number, path in enumerate(files):
            progress(number, path.name)
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
                report.skipped.append(
                    (path, str(error) if isinstance(error, CellSeg1Error) else cannot_be_read(path, error))
                )
                continue
            with self._store.content.lock:
                self._store.content.images[entry.id] = entry
            ids[path] = entry.id
            report.added.append(entry.id)
            if copy:
                self._store.changed()
        return ids

    def _known(self) -> dict[tuple[object, ...], str]:
        """Return the keys of files that are in the project already, with their images.

        A linked image is identified by its path; a copied one by its name with the hash of the file, or with size and
        ends, so that linking thousands of files does not read them.
        """
        known: dict[tuple[object, ...], str] = {}
        for entry in self._store.content.images.values():
            if entry.linked:
                known[(entry.file,)] = entry.id
            else:
                known[(entry.name, entry.fingerprint.get("sha256"))] = entry.id
                known[_told_by(entry.name, entry.fingerprint)] = entry.id
        return known

    def _new_entry(self, path: Path, known: dict[tuple[object, ...], str], *, copy: bool) -> ProjectImage:
        image_id = secrets.token_hex(4)
        while image_id in self._store.content.images or (self._store.folder / "annotations" / image_id).exists():
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
                entry.nearby = Path(os.path.relpath(path, self._store.folder)).as_posix()
            return entry
        known[same] = image_id
        # The displayed name may be invalid on another system.
        target = free_file(within(self._store.folder, IMAGES, safe_name(path.name)))
        # Recorded first: a copy without an entry would stay for ever, and be made again the next time.
        with (self._store.folder / ADDING).open("a", encoding="utf-8") as stream:
            stream.write(f"{target.name}\n")
        stored = copy_file(path, target)
        return ProjectImage(image_id, path.name, f"{IMAGES}/{target.name}", linked=False, fingerprint=stored)

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
                image = self._images.read(image_id)
                self._images.describe(image_id, image)
                report.cells[image_id] = self._import_mask(image_id, image, mask, report)
            except CellSeg1Error as error:
                report.sentences.append(f"{error} The image {path.name} was added without it.")

    def _import_mask(self, image_id: str, image: Image, path: Path, report: ImportReport) -> int:
        """Import the cells of a mask file into an image; return their number."""
        total = 0
        masks = open_mask(path, image=image)
        planes = [(z, t) for t in range(image.n_t) for z in range(image.n_z)]
        here = [(z, t) for z, t in planes if masks.n_planes == 1 or (z < masks.n_z and t < masks.n_t)]
        # A mask for the first plane of a stack is better than none.
        here = here[:1] if masks.n_planes == 1 else here
        for z, t in here:
            mask = masks.plane(z, t)
            _require_shape(mask.labels.shape, image, z, t, path)
            if (z, t) == (0, 0):
                report.sentences += [f"{path.name}: {note}" for note in mask.notes]
            if mask.n_cells:
                document = self._drawings.document(image_id, z, t)
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
        """Import cells from mask files of single planes."""
        image = self._images.read(image_id)
        self._images.describe(image_id, image)
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
                _require_shape(mask.labels.shape, image, z, t, one.path)
            except MaskError as error:
                report.sentences.append(f"{error} This plane was left without cells.")
                continue
            report.sentences += [f"{one.path.name}: {note}" for note in mask.notes]
            if mask.n_cells:
                document = self._drawings.document(image_id, z, t)
                import_labels(document, mask.labels)
                total += len(document.cells)
        report.cells[image_id] = total


def _require_shape(found: tuple[int, ...], image: Image, z: int, t: int, path: Path) -> None:
    shape = image.plane(z, t).shape[:2]
    if found != shape:
        raise MaskError(
            f"The mask {path.name} has {found[1]} x {found[0]} pixels, but its image has {shape[1]} x {shape[0]}."
        )


def sweep_copies(store: ProjectStore) -> None:
    """Remove copies whose entries were never written."""
    record = store.folder / ADDING
    with contextlib.suppress(OSError, ValueError):
        names = read_regular(record).decode("utf-8").splitlines()
        known = {entry.stored_name for entry in store.content.images.values() if not entry.linked}
        for name in names:
            with contextlib.suppress(ProjectError, OSError):
                if name not in known:
                    within(store.folder, IMAGES, name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        record.unlink(missing_ok=True)
