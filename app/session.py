"""The one place where project, shown image, document and engines meet; pages and canvas talk only to it."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.canvas.display import Display, auto_display
from app.engine.client import Engines
from app.engine.planes import with_axes
from app.jobs import Jobs
from app.project.project import Project, RemovedImage
from app.proposals import Proposals
from cellseg1.errors import CellSeg1Error
from cellseg1.images import Image, read_image
from cellseg1.sam.registry import SAM_SPECS
from cellseg1.sam.store import locate
from cellseg1.settings import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from app.annotation import Aside, Change, Document
    from app.preferences import PreferencesStore
    from app.project.project import ImportReport, ProjectImage
    from cellseg1.masks import Box

#: Decoded images kept, so that going back and forth between neighbours is immediate.
_KEPT_IMAGES = 3
_KEPT_BYTES = 1 << 30
#: Operations on all cells of larger drawings are worked out in a thread.
_QUICK_PIXELS, _QUICK_CELLS = 2_000_000, 250


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
    document_changed = Signal(object)
    display_changed = Signal()
    model_changed = Signal()
    models_changed = Signal()
    problem = Signal(str, str)
    note = Signal(str)
    storage_problem = Signal(str)
    #: What is going on with the drawing that takes a while; empty when it is done.
    waiting_changed = Signal(str)
    _from_thread = Signal(object)

    def __init__(self, preferences: PreferencesStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.preferences = preferences
        self.background = ThreadPoolExecutor(max_workers=2, thread_name_prefix="session")
        self._from_thread.connect(self._call)
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
    ) -> None:
        """Run `work` in a thread, then `done(result)` in the window's thread; an error becomes `problem`."""
        future = self.background.submit(work)

        def deliver(finished: Any) -> None:
            if not finished.cancelled():
                self._from_thread.emit((finished, done, name, failed))

        future.add_done_callback(deliver)

    def _call(self, answer: tuple[Any, Callable[[Any], None], str, Callable[[], None] | None]) -> None:
        future, done, name, failed = answer
        error = future.exception()
        if error is None:
            done(future.result())
            return
        if failed is not None:
            failed()
        import traceback

        details = "".join(traceback.format_exception(error))
        sentence = (
            str(error)
            if isinstance(error, CellSeg1Error)
            else self.tr("{what} failed: {why}").format(what=name or self.tr("The work in the background"), why=error)
        )
        self.problem.emit(sentence, details)

    # ---- project

    def create_project(self, parent: Path, name: str) -> None:
        """Make a project folder and open it; raises CellSeg1Error."""
        project = Project.create(parent, name)
        self._use(project)

    def open_project(self, path: Path) -> None:
        """Open a project folder or its JSON file; raises CellSeg1Error and then leaves the open project as it is."""
        if self.project is not None and self.project.folder == (path if path.is_dir() else path.parent):
            return
        self._use(Project.open(path))

    def _use(self, project: Project) -> None:
        self.close_project()
        self.project = project
        project.on_storage_problem(self.storage_problem.emit)
        model = project.settings.get("model")
        known = [*project.models, *project.library_models()]
        self._model = next((one.path for one in known if model in (one.path.name, str(one.path))), None)
        plain = project.settings.get("plain_backbone")
        self._backbone = plain if plain in (DEFAULT_BACKBONE, *SAM_SPECS) else DEFAULT_BACKBONE
        self.project_changed.emit()
        self.models_changed.emit()
        self.model_changed.emit()
        self.images_changed.emit()
        for sentence in project.damage:
            self.note.emit(sentence)
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
        """Write everything and let go of the project; nothing happens when none is open."""
        self._remember_plane()
        self._drop_image()
        project, self.project = self.project, None
        self._images.clear()
        if project is not None:
            project.close()
            self.project_changed.emit()
            self.images_changed.emit()

    def close(self) -> None:
        """End everything; the session cannot be used afterwards."""
        self.close_project()
        self.engines.close()
        self.background.shutdown(wait=True, cancel_futures=True)

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
        report = project.add_images(paths, copy=copy, masks=masks, progress=progress)
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
                    return project.read_image(image_id)
                except CellSeg1Error:
                    return None

            def looked(image: Image | None) -> None:
                known = any(one.id == image_id for one in project.images)
                if self.project is project and image is not None and known and not project.read_only:
                    project.describe_image(image_id, image)
                next_one()

            self.run(read, looked, self.tr("Looking at the images"))

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
        removed = project.remove_image(image_id)
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
        if isinstance(removed, RemovedImage):
            image_id = project.restore_image(removed)
            self.images_changed.emit()
            if self.image_id is None and self._loading is None:
                self.show_image(image_id)
            return image_id
        path = project.restore_model(removed)
        self.models_changed.emit()
        return path

    # ---- image

    def show_image(self, image_id: str, z: int = 0, t: int = 0) -> None:
        """Load a plane in the background and show it; `image_changed` follows."""
        project = self.require_project()
        self._remember_plane()
        entry = project.image(image_id)
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
                return with_axes(read_image(project.image_path(image_id)), entry.axes if entry.axes_by_hand else None)
            except CellSeg1Error as error:
                return error

        self.run(load, lambda image: self._show(generation, entry, image, z, t), self.tr("Opening the image"))

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
            self.project.describe_image(entry.id, image)
        try:
            self.document = self.project.document(entry.id, self.z, self.t)
        except CellSeg1Error as error:
            self.document = None
            self.problem.emit(str(error), "")
        if self.document is not None:
            self._unsubscribe = self.document.subscribe(self._edited)
        self.display = Display.from_dict(entry.display) if entry.display else auto_display(self.plane, image.is_colour)
        self.image_changed.emit()
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
        self.require_project().set_image(image_id, axes=axes or "", axes_by_hand=axes is not None)
        self._images.pop(image_id, None)
        if image_id == self.image_id:
            self.show_image(image_id)

    def set_pixel_size(self, size: tuple[float, float] | None, image_ids: Sequence[str]) -> None:
        """Set the pixel size (y, x) in micrometres of images by hand."""
        project = self.require_project()
        for image_id in image_ids:
            project.set_image(image_id, pixel_size_um=size, pixel_size_by_hand=True)
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
        return self.project.image(self.image_id).pixel_size_um

    def next_unchecked(self) -> bool:
        """Show the next image that is not checked; False when there is none."""
        if self.project is None:
            return False
        found = self.project.next_unchecked(self.image_id)
        if found is not None:
            self.show_image(found)
        return found is not None

    def channel_values(self, x: int, y: int) -> tuple[float, ...]:
        """Return the pixel's values, one per channel."""
        if self.plane is None or not (0 <= y < self.plane.shape[0] and 0 <= x < self.plane.shape[1]):
            return ()
        return tuple(float(value) for value in np.atleast_1d(self.plane[y, x]))

    # ---- document

    def _edited(self, change: Change) -> None:
        self.document_changed.emit(change)
        if change.kind not in ("live", "cancel"):
            self._remember.start()

    def _remember_plane(self) -> None:
        """Bring the project's list up to date with the shown document (cells, flags) and the display."""
        self._remember.stop()
        if self.project is None or self.image_id is None or self.project.read_only:
            return
        if self.display is not None:
            self.project.set_image(self.image_id, display=self.display.to_dict())
        if self.document is not None:
            self.project.update_plane(self.image_id, self.z, self.t, self.document)
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

    def set_training(self, use: bool) -> None:
        """Use the shown plane for training, or not; an edit that can be undone."""
        if self.document is not None:
            self.document.set_attribute("Use for training" if use else "Do not use for training", "training", use)

    def set_checked(self, checked: bool) -> None:
        """Mark the shown plane as checked; an edit that can be undone."""
        if self.document is not None:
            self.document.set_attribute("Mark as checked" if checked else "Mark as not checked", "checked", checked)

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
