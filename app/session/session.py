"""The session connects project, shown image, document and engines; pages and canvas talk only to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

from cellseg1.errors import CellSeg1Error
from cellseg1.settings import DEFAULT_BACKBONE

from ..engine.jobs import Engines
from ..project.project import RemovedImage
from . import flags
from .edits_aside import EditsAside
from .jobs import Jobs
from .lanes import Lane, Newest
from .looking import look_at_images
from .model_choice import ModelChoice
from .open_project import OpenProject
from .proposals import Proposals
from .shown_image import ShownImage
from .shown_jobs import ShownJobs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cellseg1.images import Image

    from ..annotation import Change, Document
    from ..engine.jobs import JobHandle
    from ..preferences.store import PreferencesStore
    from ..project.display import Display
    from ..project.project import ImportReport, Project
    from .run_requests import PredictionWish, TrainingWish

T = TypeVar("T")

#: Longest wait for running reads at the end, in seconds.
_LAST_READ_SECONDS = 1.0


class Session(QObject):
    """The open project and the shown image.

    Signals carry no state: receivers ask the session.  Long work runs in `background` or in an engine; late answers are
    dropped.
    """

    project_changed = Signal()
    images_changed = Signal()
    image_state_changed = Signal(str)
    image_loading = Signal(str)
    image_changed = Signal()
    #: The file of an image cannot be read.
    unreadable = Signal(str)
    #: An edit of the shown document is finished, undone or redone.  To draw an edit in progress, subscribe to the
    #: document.
    document_edited = Signal()
    display_changed = Signal()
    model_changed = Signal()
    models_changed = Signal()
    #: A job (`JobHandle`) of the shown project; `jobs` tells of those of all projects.
    job_started = Signal(object)
    job_ended = Signal(object)
    #: Trainings of the project that is opened ended with the program and can go on.
    interrupted_found = Signal(list)
    problem = Signal(str, str)
    note = Signal(str)
    storage_problem = Signal(str)
    #: Description of a long operation on the drawing; empty when it is done.
    waiting_changed = Signal(str)

    def __init__(self, preferences: PreferencesStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.preferences = preferences
        self.background = Lane(2, "session", self)
        #: Reads for display only: they may be dropped at the end, and their files may be on an unreachable server.
        self.reading = Lane(2, "reading", self, seconds=_LAST_READ_SECONDS)
        self.looking = Lane(1, "looking", self, seconds=_LAST_READ_SECONDS)
        self.engines = Engines(self)
        #: Whether images are being added; the project stays open until the end.
        self.adding = False
        #: Whether the project's list lacks changes of the shown document.
        self._unsettled = False
        self._remember = QTimer(self, interval=400, singleShot=True)
        self._remember.timeout.connect(self.settle)
        self.edits = EditsAside(self.background, self)
        self.shown = ShownImage(self.reading, self)
        self.models = ModelChoice(self)
        self.proposals = Proposals(self.background, self.edits, self)
        self.jobs = Jobs(self.engines, self.background, self)
        self.projects = OpenProject(self.jobs, self)
        self.shown_jobs = ShownJobs(self.jobs, self.projects, self.shown, self.proposals, self.models)
        self._connect()

    def _connect(self) -> None:
        self.edits.waiting_changed.connect(self.waiting_changed)
        shown, proposals, projects, jobs = self.shown, self.proposals, self.projects, self.shown_jobs
        shown.loading.connect(self.image_loading)
        shown.changed.connect(self._image_changed)
        shown.unreadable.connect(self.unreadable)
        shown.edited.connect(self._edited)
        projects.closing.connect(self._closing)
        projects.closed.connect(self._project_replaced)
        projects.moved.connect(self._project_replaced)
        projects.opened.connect(self._project_opened)
        projects.storage_problem.connect(self.storage_problem)
        for part in (shown, proposals, projects):
            part.note.connect(self.note)
        for one in (shown, proposals, projects, jobs, self.edits, self.background, self.reading, self.looking):
            one.problem.connect(self.problem)
        self.models.changed.connect(self.model_changed)
        jobs.started.connect(self.job_started)
        jobs.ended.connect(self.job_ended)
        jobs.predicted.connect(self.image_state_changed)
        jobs.model_made.connect(self.models_changed)

    def run(
        self, work: Callable[[], T], done: Callable[[T], object], name: str = "", *, newest: Newest | None = None
    ) -> None:
        """Run `work` in a thread, then `done(result)` in the window's thread (see `Lane.run`)."""
        self.background.run(work, done, name, newest=newest)

    # ---- shown image

    @property
    def image_id(self) -> str | None:
        """The chosen image, also an unreadable one."""
        return self.shown.image_id

    @property
    def image_problem(self) -> str:
        """Why the chosen image cannot be shown; empty when it can."""
        return self.shown.why_not

    @property
    def z(self) -> int:
        """Position of the shown plane in its stack."""
        return self.shown.z

    @property
    def t(self) -> int:
        """Time point of the shown plane."""
        return self.shown.t

    @property
    def image(self) -> Image | None:
        """The shown image as it was read."""
        return None if self.shown.plane is None else self.shown.plane.image

    @property
    def plane(self) -> NDArray[Any] | None:
        """The pixels of the shown plane: (H, W) or (H, W, C)."""
        return None if self.shown.plane is None else self.shown.plane.pixels

    @property
    def document(self) -> Document | None:
        """The drawing of the shown plane."""
        return None if self.shown.plane is None else self.shown.plane.document

    @property
    def display(self) -> Display | None:
        """Contrast and colours of the shown image."""
        return self.shown.display

    @property
    def waiting(self) -> str:
        """Description of a long edit, during which no other is possible; empty without one."""
        return self.edits.waiting

    # ---- project

    @property
    def project(self) -> Project | None:
        """The open project."""
        return self.projects.project

    def may_leave(self) -> bool:
        """Whether the open project may be left (see `OpenProject.may_leave`)."""
        return self.projects.may_leave()

    def create_project(self, parent: Path, name: str) -> bool:
        """Make a project folder and open it; False when the user wants to stay.  Raises CellSeg1Error."""
        return self.projects.create(parent, name)

    def open_project(self, path: Path) -> bool:
        """Open a project; False when the user wants to stay in the present one.  Raises CellSeg1Error."""
        return self.projects.open(path)

    def close_project(self) -> None:
        """Write everything and let go of the project (see `OpenProject.close`)."""
        self.projects.close()

    def require_project(self) -> Project:
        """Return the open project; raises CellSeg1Error when none is open."""
        return self.projects.require()

    def _closing(self) -> None:
        self.settle()
        self.edits.drop()
        self.shown.clear()
        self._image_dropped()

    def _project_replaced(self) -> None:
        """Emit signals after the project was closed or found at another place."""
        self.project_changed.emit()
        self.images_changed.emit()

    def _project_opened(self, project: Project) -> None:
        self.models.load(project)
        self.project_changed.emit()
        self.models_changed.emit()
        self.model_changed.emit()
        self.images_changed.emit()
        self.projects.tell_damage()
        found = self.jobs.interrupted(project)
        if found:
            self.interrupted_found.emit(found)
        shown = project.settings.get("shown", {})
        ids = [image.id for image in project.images]
        wanted = shown.get("image")
        if wanted in ids:
            self.show_image(wanted, int(shown.get("z", 0)), int(shown.get("t", 0)))
        elif ids:
            self.shown.show_any(project, ids[0])

    def close(self) -> None:
        """End everything; the session cannot be used afterwards."""
        self.projects.close()
        self.engines.close()
        self.projects.close_left()
        for lane in (self.looking, self.reading, self.background):
            lane.close()

    def add_images(
        self,
        paths: Sequence[Path],
        *,
        copy: bool,
        masks: Sequence[Path] = (),
        progress: Callable[[int, int, str], None] | None = None,
    ) -> ImportReport:
        """Add image files and folders (with masks) to the project and show the first new one.

        `progress` gets the numbers of finished and of all files, and the name of the next.
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
        if new and self.shown.nothing:
            self.shown.show_any(project, new[0])
        return report

    def look_at_images(
        self, image_ids: Sequence[str], done: Callable[[], None], progress: Callable[[int], None] = lambda _seen: None
    ) -> None:
        """Read images that were never opened, one after the other in the background, to know their planes."""
        look_at_images(self.reading, self.projects, image_ids, done, progress, self.tr("Looking at the images"))

    def remove_image(self, image_id: str) -> RemovedImage:
        """Move an image with its cells to the project's trash, from which `restore` brings it back."""
        project = self.require_project()
        self.shown.forget(image_id)
        self._image_dropped()
        removed = project.trash.remove(image_id)
        self.images_changed.emit()
        if self.shown.nothing:
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
            if self.shown.nothing:
                self.show_image(image_id)
            return image_id
        path = project.models.restore(removed)
        self.models_changed.emit()
        return path

    # ---- image

    def show_image(self, image_id: str, z: int = 0, t: int = 0) -> None:
        """Load a plane in the background and show it; `image_changed` follows."""
        project = self.require_project()
        self.settle()
        self.shown.show(project, image_id, z, t)

    def _image_changed(self) -> None:
        plane = self.shown.plane
        self._unsettled = plane is not None
        self.edits.shown = self.document
        self.proposals.show(plane)
        self.image_changed.emit()
        if plane is not None:
            self.projects.tell_damage()
            plane.project.set_setting("shown", {"image": plane.image_id, "z": plane.z, "t": plane.t})

    def _image_dropped(self) -> None:
        """Announce that the plane is no longer shown; the next one, or none, is announced later."""
        if self.shown.plane is None:
            self.edits.shown = None
            self.proposals.show(None)

    def set_plane(self, z: int | None = None, t: int | None = None) -> None:
        """Show another plane of the same image."""
        if self.image_id is not None:
            self.show_image(self.image_id, self.z if z is None else z, self.t if t is None else t)

    def set_axes(self, image_id: str, axes: str | None) -> None:
        """Set the image's axes (None: from the file, or guessed)."""
        self.require_project().images.set(image_id, axes=axes or "", axes_by_hand=axes is not None)
        self.shown.read_anew(image_id)
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
        self.shown.display = display
        self.display_changed.emit()
        self._settle_soon()

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
            self._settle_soon()

    def _settle_soon(self) -> None:
        self._unsettled = True
        self._remember.start()

    def settle(self) -> None:
        """Update the project's list with the shown document (cells, flags) and the display.

        This happens automatically some time after an edit; call it before reading the list for a job.
        """
        self._remember.stop()
        self.projects.tell_damage()
        unsettled, self._unsettled = self._unsettled, False
        if not unsettled or self.project is None or self.image_id is None or self.project.read_only:
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
        operation: Callable[[Document], T],
        done: Callable[[T], object],
    ) -> None:
        """Run a long operation as one edit (see `EditsAside.run`)."""
        self.edits.run(document, what, operation, done)

    def save_now(self) -> None:
        """Write everything to disk now (it is also written continuously)."""
        if self.project is not None:
            self.settle()
            self.project.flush()
            self.note.emit(self.tr("Everything is saved."))

    def set_flag(self, image_id: str, flag: str, value: bool) -> int:
        """Use an image for training or mark it as checked, or not; returns on how many planes.

        Raises
        ------
        CellSeg1Error
            When nothing may be changed, or the image or a drawing cannot be read.
        """
        project = self.require_project()
        self.settle()
        shown = (self.z, self.t) if image_id == self.image_id else (0, 0)
        count = flags.set_flag_of_image(project, image_id, flag, value, shown=shown)
        self.image_state_changed.emit(image_id)
        return count

    def set_training(self, use: bool) -> None:
        """Use the shown plane for training, or not; an edit that can be undone."""
        if self.document is not None:
            flags.set_flag(self.document, "training", use)

    def set_checked(self, checked: bool) -> None:
        """Mark the shown plane as checked; an edit that can be undone."""
        if self.document is not None:
            flags.set_flag(self.document, "checked", checked)

    # ---- jobs

    @property
    def training(self) -> JobHandle | None:
        """The training in progress in the shown project."""
        return self.shown_jobs.find("train")

    @property
    def prediction(self) -> JobHandle | None:
        """The prediction in progress in the shown project."""
        return self.shown_jobs.find("predict")

    def start_training(self, wish: TrainingWish) -> JobHandle:
        """Train on the planes marked for training (or the shown one when none is).

        Raises
        ------
        CellSeg1Error
            When a training runs already, nothing is annotated, or the project cannot be written.
        """
        project = self.require_project()
        if not project.images.training() and self.document is not None and len(self.document.cells):
            self.jobs.require_free("train", project)
            project.require_writable()
            self.set_training(True)
        self.settle()
        return self.jobs.start_training(project, wish, self.preferences.values.device)

    def resume_training(self, run_id: str) -> JobHandle:
        """Continue an interrupted or stopped training; raises CellSeg1Error."""
        return self.jobs.resume_training(self.require_project(), run_id, self.preferences.values.device)

    def start_prediction(self, wish: PredictionWish) -> JobHandle:
        """Predict planes with a model; raises CellSeg1Error when it cannot start."""
        project = self.require_project()
        self.settle()
        return self.jobs.start_prediction(project, wish, self.preferences.values.device)

    # ---- model

    @property
    def model(self) -> Path | None:
        """The model for predictions and clicks; None: `backbone` alone."""
        return self.models.path

    @property
    def backbone(self) -> str:
        """The backbone to use without a model."""
        return self.models.backbone

    def set_model(self, path: Path | None, backbone: str = DEFAULT_BACKBONE) -> None:
        """Choose the model for predictions and clicks, or a backbone alone."""
        self.models.choose(self.project, path, backbone)
