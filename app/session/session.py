"""The one place where project, shown image, document and engines meet; pages and canvas talk only to it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.base.names import project_folder_of
from app.engine.jobs import Engines
from app.project.display import Display, auto_display
from app.project.models import library_models
from app.project.project import Project, RemovedImage
from app.session.errands import Errands
from app.session.jobs import Jobs
from app.session.proposals import Proposals
from cellseg1.errors import CellSeg1Error
from cellseg1.images import Image, read_image
from cellseg1.images.axes import with_axes
from cellseg1.sam.registry import backbone_names
from cellseg1.sam.store import locate
from cellseg1.settings import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from app.annotation import Aside, Change, Document
    from app.preferences.store import PreferencesStore
    from app.project.project import ImportReport, ProjectImage
    from cellseg1.masks import Box

log = logging.getLogger(__name__)
#: Decoded images kept, so that going back and forth between neighbours is immediate.
_KEPT_IMAGES = 3
_KEPT_BYTES = 1 << 30
#: An image whose file has not been read after this time is said to be late.
_READ_MS = 20_000
#: What is being read at the end is waited for so long.
_LAST_READ_SECONDS = 1.0
#: What edits of the flags of a plane are called, on and off.
_FLAG_EDITS = {
    "training": ("Use for training", "Do not use for training"),
    "checked": ("Mark as checked", "Mark as not checked"),
}
#: Operations on all cells of larger drawings are worked out in a thread.
_QUICK_PIXELS, _QUICK_CELLS = 2_000_000, 250


def is_project_at(project: Project, path: Path) -> bool:
    """Whether a path, however it is written and through whatever links, means this open project."""
    meant = project_folder_of(path)
    if Path(os.path.abspath(meant)) == project.folder:  # noqa: PTH100 - links keep their own name
        return True
    with contextlib.suppress(OSError):
        return meant.samefile(project.folder)
    return False


class Session(QObject):
    """What is open and shown.

    Signals carry no state: who hears one asks the session.  Everything that takes longer than a frame runs in
    `background` or in an engine; late answers are dropped.
    """

    project_changed = Signal()
    images_changed = Signal()
    image_state_changed = Signal(str)
    image_loading = Signal(str)
    image_changed = Signal()
    #: An image whose file cannot be read.
    unreadable = Signal(str)
    #: An edit of the shown document is finished, undone or redone.  Who draws an edit in progress subscribes to the
    #: document.
    document_edited = Signal()
    display_changed = Signal()
    model_changed = Signal()
    models_changed = Signal()
    problem = Signal(str, str)
    note = Signal(str)
    storage_problem = Signal(str)
    #: What is going on with the drawing that takes a while; empty when it is done.
    waiting_changed = Signal(str)

    def __init__(self, preferences: PreferencesStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.preferences = preferences
        self.background = Errands(2, "session", self)
        #: What is read for the eye: it is lost at the end without harm, and its file may be on a server that is away.
        self.reading = Errands(2, "reading", self, seconds=_LAST_READ_SECONDS)
        self.looking = Errands(1, "looking", self, seconds=_LAST_READ_SECONDS)
        self.engines = Engines(self)
        self.project: Project | None = None
        self.image_id: str | None = None
        self.z = 0
        self.t = 0
        self.image: Image | None = None
        self.plane: NDArray[Any] | None = None
        self.document: Document | None = None
        self.display: Display | None = None
        #: Why the chosen image cannot be shown; empty when it can.
        self.image_problem = ""
        self._model: Path | None = None
        self._backbone = DEFAULT_BACKBONE
        self._generation = 0
        #: Images that are shown because something had to be: an unreadable one gives way to the next.
        self._not_asked_for: set[str] = set()
        self._loading: str | None = None
        self._images: OrderedDict[str, Image] = OrderedDict()
        self._unsubscribe: Callable[[], None] | None = None
        #: How many sentences about the project's files were said.
        self._told = 0
        #: Projects that were left while jobs run in them: they stay open (and locked) until these have ended.
        self._kept: list[Project] = []
        #: Asks whether the open project may be left; set by the window.
        self.ask_to_leave: Callable[[], bool] = lambda: True
        #: Whether images are being added; the project stays open meanwhile.
        self.adding = False
        #: What takes a while now, and lets no edit in between; empty: nothing.
        self.waiting = ""
        #: What is worked out in the thread of a long edit so that showing it is quick; set by who shows it.
        self.foresee: Callable[[NDArray[np.int32], Box], Callable[[], None]] | None = None
        self._remember = QTimer(self, interval=400, singleShot=True)
        self._remember.timeout.connect(self._remember_plane)
        self.proposals = Proposals(self)
        self.jobs = Jobs(self)

    # ---- background work

    def run(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        name: str = "",
        failed: Callable[[], None] | None = None,
        *,
        by: Errands | None = None,
    ) -> None:
        """Run `work` in a thread, then `done(result)` in the window's thread; an error becomes `problem`.

        Parameters
        ----------
        by
            Whose threads: `background`, `reading` (an image that somebody waits for) or `looking` (what is nice to
            know).  What hangs in one holds up nobody in another.
        """

        def tell(error: BaseException) -> None:
            if failed is not None:
                failed()
            self._tell(error, name)

        (by or self.background).run(work, done, tell)

    def _tell(self, error: BaseException, name: str) -> None:
        import traceback

        details = "".join(traceback.format_exception(error))
        if not isinstance(error, CellSeg1Error):
            log.error("%s", details)
        sentence = (
            str(error)
            if isinstance(error, CellSeg1Error)
            else self.tr("{what} failed: {why}").format(what=name or self.tr("The work in the background"), why=error)
        )
        self.problem.emit(sentence, details)

    # ---- project

    def may_leave(self) -> bool:
        """Whether the open project may be left; asks what becomes of its jobs and of edits that are not saved.

        Every way to another project, to none, and out of the program goes through here.
        """
        return self.project is None or self.ask_to_leave()

    def create_project(self, parent: Path, name: str) -> bool:
        """Make a project folder and open it; False when the user wants to stay.  Raises CellSeg1Error."""
        if not self.may_leave():
            return False
        self._use(Project.create(parent, name))
        return True

    def open_project(self, path: Path) -> bool:
        """Open a project folder or its JSON file; False when the user wants to stay in the present one.

        Raises
        ------
        CellSeg1Error
            When it cannot be opened; the open project then is left as it is.
        """
        if self.project is not None and is_project_at(self.project, path):
            return True
        if self.project is not None and self._follow(self.project, path):
            return True
        kept = self._kept_at(path)
        project = kept or Project.open(path)
        if not self.may_leave():
            if kept is None:
                project.close()
            return False
        if kept is not None and kept not in self._kept:
            # Its last job ended while the question was open.
            project = Project.open(path)
        self._use(project)
        return True

    def _follow(self, project: Project, path: Path) -> bool:
        """Go on at a path if that is where something else has moved the open project."""
        if project.is_there():
            return False
        try:
            project.moved_to(project_folder_of(path))
        except CellSeg1Error:
            return False
        self.project_changed.emit()
        self.images_changed.emit()
        return True

    def _kept_at(self, path: Path) -> Project | None:
        """Return the project at a path if it was left while its jobs go on."""
        return next((project for project in self._kept if is_project_at(project, path)), None)

    def _use(self, project: Project) -> None:
        self.close_project()
        if project in self._kept:
            self._kept.remove(project)
        else:
            project.on_storage_problem(lambda sentence: self._storage_problem_of(project, sentence))
        self.project = project
        model = project.settings.get("model")
        known = [*project.models.all(), *library_models()]
        self._model = next((one.path for one in known if model in (one.path.name, str(one.path))), None)
        plain = project.settings.get("plain_backbone")
        self._backbone = plain if plain in backbone_names() else DEFAULT_BACKBONE
        self.project_changed.emit()
        self.models_changed.emit()
        self.model_changed.emit()
        self.images_changed.emit()
        self._told = 0
        self.tell_damage()
        self.jobs.look_for_interrupted()
        shown = project.settings.get("shown", {})
        ids = [image.id for image in project.images]
        wanted = shown.get("image")
        if wanted in ids:
            self.show_image(wanted, int(shown.get("z", 0)), int(shown.get("t", 0)))
        elif ids:
            self._not_asked_for = {ids[0]}
            self.show_image(ids[0])

    def close_project(self) -> None:
        """Write everything and let go of the project; it stays open unseen until its jobs have ended.

        It asks nobody (see `may_leave`).  Nothing happens when none is open.
        """
        self._remember_plane()
        # What is still being read is for nobody.
        self._generation += 1
        self._loading = None
        self._drop_image()
        project, self.project = self.project, None
        self._images.clear()
        if project is None:
            return
        if self.jobs.of(project):
            self._kept.append(project)
        else:
            project.close()
        self.project_changed.emit()
        self.images_changed.emit()

    def tell_damage(self) -> None:
        """Say what was not whole in the project's files, or happened to them, and was not said yet."""
        if self.project is not None:
            new = self.project.damage[self._told :]
            self._told += len(new)
            for sentence in new:
                self.note.emit(sentence)

    def _storage_problem_of(self, project: Project, sentence: str) -> None:
        """Pass on that a project cannot be written, or can be again; from any thread."""
        if project is self.project:
            self.storage_problem.emit(sentence)
        elif sentence and project in self._kept:
            self.problem.emit(sentence, "")

    def job_over(self, project: Project) -> None:
        """Close a project that was left and whose last job has ended."""
        if project in self._kept and not self.jobs.of(project):
            self._kept.remove(project)
            project.close()

    def close(self) -> None:
        """End everything; the session cannot be used afterwards."""
        self.close_project()
        self.engines.close()
        for project in self._kept:
            project.close()
        self._kept.clear()
        for errands in (self.looking, self.reading, self.background):
            errands.close()

    def require_project(self) -> Project:
        """Return the open project; raises CellSeg1Error when none is open."""
        if self.project is None:
            raise CellSeg1Error(self.tr("No project is open; open or make one first."))
        return self.project

    def add_images(
        self,
        paths: Sequence[Path],
        *,
        copy: bool,
        masks: Sequence[Path] = (),
        progress: Callable[[int, int, str], None] | None = None,
    ) -> ImportReport:
        """Add image files and folders (with masks) to the project and show the first new one.

        `progress` hears how many of how many files are done, and the name of the next.
        """
        project = self.require_project()
        before = {image.id for image in project.images}
        self.adding = True
        try:
            report = project.add_images(paths, copy=copy, masks=masks, progress=progress)
        finally:
            self.adding = False
        self.images_changed.emit()
        new = [image.id for image in project.images if image.id not in before]
        if new and self.image_id is None and self._loading is None:
            self._not_asked_for = {new[0]}
            self.show_image(new[0])
        return report

    def look_at_images(
        self, image_ids: Sequence[str], done: Callable[[], None], progress: Callable[[int], None] | None = None
    ) -> None:
        """Read images that were never opened, one after the other in the background, to know their planes.

        One that cannot be read stays unknown; whoever uses it says why.
        """
        project, left = self.require_project(), list(image_ids)

        def next_one() -> None:
            if self.project is not project:
                return
            if progress is not None:
                progress(len(image_ids) - len(left))
            if not left:
                done()
                return
            image_id = left.pop(0)

            def read() -> Image | None:
                try:
                    return project.images.read(image_id)
                except CellSeg1Error:
                    return None

            def looked(image: Image | None) -> None:
                known = any(one.id == image_id for one in project.images)
                if self.project is project and image is not None and known and not project.read_only:
                    project.images.describe(image_id, image)
                next_one()

            self.run(read, looked, self.tr("Looking at the images"), by=self.reading)

        next_one()

    def remove_image(self, image_id: str) -> RemovedImage:
        """Move an image with its cells to the project's trash, from which `restore` brings it back."""
        project = self.require_project()
        if image_id == self._loading:
            # What is still being read is for nobody.
            self._generation += 1
            self._loading = None
        if image_id == self.image_id:
            self._drop_image()
        self._images.pop(image_id, None)
        removed = project.trash.remove(image_id)
        self.images_changed.emit()
        if self.image_id is None and self._loading is None:
            if project.images:
                self.show_image(project.images[0].id)
            else:
                self.image_changed.emit()
        return removed

    def restore(self, removed: RemovedImage | Path) -> Path | str:
        """Bring back an image or a model that was removed; returns its id or path; raises CellSeg1Error."""
        project = self.require_project()
        place = removed.folder if isinstance(removed, RemovedImage) else removed
        if not place.is_relative_to(project.folder):
            raise CellSeg1Error(
                self.tr("{name} belongs to another project. Open that one first.").format(
                    name=removed.name if isinstance(removed, RemovedImage) else removed.stem
                )
            )
        if isinstance(removed, RemovedImage):
            image_id = project.trash.restore(removed)
            self.images_changed.emit()
            if self.image_id is None and self._loading is None:
                self.show_image(image_id)
            return image_id
        path = project.models.restore(removed)
        self.models_changed.emit()
        return path

    # ---- image

    def show_image(self, image_id: str, z: int = 0, t: int = 0) -> None:
        """Load a plane in the background and show it; `image_changed` follows."""
        project = self.require_project()
        self._remember_plane()
        entry = project.images.get(image_id)
        self._generation += 1
        generation = self._generation
        self._loading = image_id
        self.image_loading.emit(image_id)
        kept = self._images.get(image_id)
        if kept is not None:
            self._images.move_to_end(image_id)
            self._show(generation, entry, kept, z, t)
            return

        def load() -> Image | CellSeg1Error:
            try:
                return with_axes(read_image(project.images.path(image_id)), entry.axes if entry.axes_by_hand else None)
            except CellSeg1Error as error:
                return error

        QTimer.singleShot(_READ_MS, self, lambda: self._no_answer(generation, entry))
        self.run(
            load,
            lambda image: self._show(generation, entry, image, z, t),
            self.tr("Opening the image"),
            by=self.reading,
        )

    def _no_answer(self, generation: int, entry: ProjectImage) -> None:
        """Say that a file has not been read yet; when it is, it is shown unless another image was chosen."""
        if generation != self._generation or self._loading != entry.id:
            return
        self._drop_image()
        self.image_id = entry.id
        self.image_problem = self.tr(
            "{name} has not been read for {n} seconds: its disk or file server may be away. It is shown as soon as it "
            "answers; other images can be opened meanwhile."
        ).format(name=entry.name, n=_READ_MS // 1000)
        self.image_changed.emit()
        self.note.emit(self.image_problem)

    def _show(self, generation: int, entry: ProjectImage, image: Image | CellSeg1Error, z: int, t: int) -> None:
        if generation != self._generation or self.project is None:
            return
        self._loading = None
        if isinstance(image, CellSeg1Error):
            self._drop_image()
            self.image_id, self.image_problem = entry.id, str(image)
            self.image_changed.emit()
            self.unreadable.emit(entry.id)
            other = self._readable_instead(entry.id) if entry.id in self._not_asked_for else None
            # Who comes back to it wants to know.
            self._not_asked_for.discard(entry.id)
            if other is not None:
                self._not_asked_for.add(other)
                self.show_image(other)
                return
            self.problem.emit(str(image), "")
            return
        self._keep(entry.id, image)
        self._drop_image()
        self.image_id, self.image = entry.id, image
        self.z, self.t = min(max(z, 0), image.n_z - 1), min(max(t, 0), image.n_t - 1)
        self.plane = image.plane(self.z, self.t)
        if not self.project.read_only:
            self.project.images.describe(entry.id, image)
        try:
            self.document = self.project.drawings.document(entry.id, self.z, self.t)
        except CellSeg1Error as error:
            self.document = None
            self.problem.emit(str(error), "")
        if self.document is not None:
            self._unsubscribe = self.document.subscribe(self._edited, live=False)
        self.display = Display.from_dict(entry.display) if entry.display else auto_display(self.plane, image.is_colour)
        self.image_changed.emit()
        self.tell_damage()
        self.project.set_setting("shown", {"image": entry.id, "z": self.z, "t": self.t})

    def _readable_instead(self, image_id: str) -> str | None:
        """Return the next image after one that cannot be read and that nobody asked for; None when there is none."""
        ids = [] if self.project is None else [image.id for image in self.project.images]
        later = ids[ids.index(image_id) + 1 :] if image_id in ids else []
        return next(iter(later), None)

    def _keep(self, image_id: str, image: Image) -> None:
        self._images[image_id] = image
        self._images.move_to_end(image_id)
        while len(self._images) > _KEPT_IMAGES or (
            len(self._images) > 1 and sum(one.array.nbytes for one in self._images.values()) > _KEPT_BYTES
        ):
            self._images.popitem(last=False)

    def _drop_image(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self.image_id = self.image = self.plane = self.document = self.display = None
        self.image_problem = ""

    def set_plane(self, z: int | None = None, t: int | None = None) -> None:
        """Show another plane of the same image."""
        if self.image_id is not None:
            self.show_image(self.image_id, self.z if z is None else z, self.t if t is None else t)

    def set_axes(self, image_id: str, axes: str | None) -> None:
        """Read the image's axes as `axes` (None: as the file says or as guessed) from now on."""
        self.require_project().images.set(image_id, axes=axes or "", axes_by_hand=axes is not None)
        self._images.pop(image_id, None)
        if image_id == self.image_id:
            self.show_image(image_id)

    def set_pixel_size(self, size: tuple[float, float] | None, image_ids: Sequence[str]) -> None:
        """Set the pixel size (y, x) in micrometres of images by hand."""
        project = self.require_project()
        for image_id in image_ids:
            project.images.set(image_id, pixel_size_um=size, pixel_size_by_hand=True)
        self.image_changed.emit()

    def set_display(self, display: Display) -> None:
        """Change contrast and colours of the shown image; remembered with the image."""
        self.display = display
        self.display_changed.emit()
        self._remember.start()

    def pixel_size(self) -> tuple[float, float] | None:
        """Return micrometres per pixel (y, x) of the shown image, None when unknown."""
        if self.project is None or self.image_id is None:
            return None
        return self.project.images.get(self.image_id).pixel_size_um

    def next_unchecked(self) -> bool:
        """Show the next image that is not checked; False when there is none."""
        if self.project is None:
            return False
        found = self.project.images.next_unchecked(self.image_id)
        if found is not None:
            self.show_image(found)
        return found is not None

    # ---- document

    def _edited(self, change: Change) -> None:
        self.proposals.edited(change)
        if change.kind != "cancel":
            self.document_edited.emit()
            self._remember.start()

    def _remember_plane(self) -> None:
        """Bring the project's list up to date with the shown document (cells, flags) and the display."""
        self._remember.stop()
        self.tell_damage()
        if self.project is None or self.image_id is None or self.project.read_only:
            return
        if self.display is not None:
            self.project.images.set(self.image_id, display=self.display.to_dict())
        if self.document is not None:
            self.project.drawings.update_plane(self.image_id, self.z, self.t, self.document)
            self.image_state_changed.emit(self.image_id)

    def edit_aside(
        self,
        document: Document,
        what: str,
        operation: Callable[[Document], Any],
        done: Callable[[Any], None],
    ) -> None:
        """Do an operation that makes at most one step, and then `done` with what it returned.

        In a large drawing it is worked out on a copy in a thread and then taken over at once: the window goes on, says
        `what` is going on, and lets no other edit in between.
        """
        height, width = document.shape
        if height * width <= _QUICK_PIXELS and len(document.cells) <= _QUICK_CELLS:
            done(operation(document))
            return
        if self.waiting or document.editing:
            raise CellSeg1Error(self.waiting or self.tr("Finish what you are drawing first."))
        from app.annotation import Aside

        self._wait_for(what)
        project, aside, foresee = self.project, Aside(document), self.foresee

        def work() -> Callable[[], None] | CellSeg1Error | None:
            try:
                aside.work(operation)
            except CellSeg1Error as error:
                return error
            return None if foresee is None or aside.box is None else foresee(aside.labels, aside.box)

        def worked(found: Callable[[], None] | CellSeg1Error | None) -> None:
            self._wait_for("")
            if isinstance(found, CellSeg1Error):
                self.problem.emit(str(found), "")
            elif self.project is project:
                self._take_over(aside, document, found, lambda: self.edit_aside(document, what, operation, done))
                if not self.waiting:
                    done(aside.value)

        self.run(work, worked, what, failed=lambda: self._wait_for(""))

    def _take_over(
        self, aside: Aside, document: Document, foreseen: Callable[[], None] | None, again: Callable[[], None]
    ) -> None:
        if foreseen is not None and document is self.document:
            foreseen()
        try:
            if not aside.take_over(document):
                # A flag was set meanwhile: once more, from what is there now.
                again()
        except (OSError, CellSeg1Error) as error:
            # It is done, but could not be written down; the project says so too, and tries again.
            self.problem.emit(str(error), "")

    def _wait_for(self, what: str) -> None:
        self.waiting = what
        self.waiting_changed.emit(what)

    def undo(self) -> None:
        """Take back the last edit of the shown plane."""
        if self.document is not None:
            self.document.undo()

    def redo(self) -> None:
        """Do the last undone edit again."""
        if self.document is not None:
            self.document.redo()

    def save_now(self) -> None:
        """Bring everything to disk at once (it is written continuously anyway)."""
        if self.project is not None:
            self._remember_plane()
            self.project.flush()
            self.note.emit(self.tr("Everything is saved."))

    def set_flag(self, image_id: str, flag: str, value: bool) -> int:
        """Use an image for training or mark it as checked, or not, as its list does; returns on how many planes.

        Of a stack that means the planes on which there is something: used for training are those with cells, checked
        those with cells or a prediction, and taken back it is wherever it was set.  Where there is nothing yet, it is
        the shown plane, or the first.

        Raises
        ------
        CellSeg1Error
            When the image or a drawing cannot be read.
        """
        project = self.require_project()
        project.require_writable()
        self._remember_plane()
        first = (self.z, self.t) if image_id == self.image_id else (0, 0)
        entry = project.images.get(image_id)
        if not entry.n_z:
            # Its planes are not known before it was read.
            project.drawings.document(image_id, *first)
        noted = {(int(z), int(t)): note for key, note in entry.planes.items() for z, t in [key.split(",")]}
        telling = (flag,) if not value else ("cells",) if flag == "training" else ("cells", "predicted", "checked")
        planes = sorted(place for place, note in noted.items() if any(note.get(one) for one in telling))
        if not planes and value:
            planes = [first]
        for z, t in planes:
            document = project.drawings.document(image_id, z, t)
            document.set_attribute(_FLAG_EDITS[flag][0 if value else 1], flag, value)
            project.drawings.update_plane(image_id, z, t, document)
        self.image_state_changed.emit(image_id)
        return len(planes)

    def set_training(self, use: bool) -> None:
        """Use the shown plane for training, or not; an edit that can be undone."""
        if self.document is not None:
            self.document.set_attribute(_FLAG_EDITS["training"][0 if use else 1], "training", use)

    def set_checked(self, checked: bool) -> None:
        """Mark the shown plane as checked; an edit that can be undone."""
        if self.document is not None:
            self.document.set_attribute(_FLAG_EDITS["checked"][0 if checked else 1], "checked", checked)

    # ---- model

    @property
    def model(self) -> Path | None:
        """The model that predictions and clicks use; None: `backbone` as it is."""
        return self._model if self._model is not None and self._model.exists() else None

    @property
    def backbone(self) -> str:
        """The backbone that is used as it is where there is no model."""
        return self._backbone if locate(self._backbone) is not None else DEFAULT_BACKBONE

    def set_model(self, path: Path | None, backbone: str = DEFAULT_BACKBONE) -> None:
        """Choose the model for predictions and clicks; without one the backbone that is used as it is."""
        self._model, self._backbone = path, backbone
        if self.project is not None and not self.project.read_only:
            # A project may be moved, so its own models are known by name; those of the library by their place.
            own = path is not None and path.parent == self.project.models_folder
            self.project.set_setting("model", None if path is None else path.name if own else str(path))
            self.project.set_setting("plain_backbone", backbone)
        self.model_changed.emit()
