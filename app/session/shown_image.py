"""The shown image: read in the background, cached, with its document and display."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from cellseg1.errors import CellSeg1Error
from cellseg1.images import Image, read_image
from cellseg1.images.axes import with_axes

from ..project.display import Display, auto_display
from .lanes import Lane, Newest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..annotation import Change, Document
    from ..project.project import Project, ProjectImage

#: Decoded images kept, so that going back and forth between neighbours is immediate.
_KEPT_IMAGES = 3
_KEPT_BYTES = 1 << 30
#: Seconds until reading an image is reported as late.
_READ_MS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class ShownPlane:
    """A shown plane.

    Attributes
    ----------
    project, image_id, z, t
        The image and the position of the plane.
    image
        The image as it was read.
    pixels
        The plane itself: (H, W) or (H, W, C).
    document
        Its drawing; None when it cannot be read.
    """

    project: Project
    image_id: str
    z: int
    t: int
    image: Image
    pixels: NDArray[Any]
    document: Document | None


class ShownImage(QObject):
    """Reads and shows one plane at a time; of several requests only the last is shown.

    Attributes
    ----------
    plane
        The shown plane; None without one or when it cannot be read.
    image_id, why_not
        The chosen image, also an unreadable one, and the reason; empty when it can be shown.
    z, t
        The last plane that was shown.
    display
        Contrast and colours of the shown image.

    Signals
    -------
    loading(str), changed()
        Reading an image starts; it is shown, or the reason why not.
    edited(Change)
        An edit of the shown document is finished, undone, redone or cancelled.
    """

    loading = Signal(str)
    changed = Signal()
    #: The file of an image cannot be read.
    unreadable = Signal(str)
    edited = Signal(object)
    problem = Signal(str, str)
    note = Signal(str)

    def __init__(self, lane: Lane, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lane = lane
        self.plane: ShownPlane | None = None
        self.image_id: str | None = None
        self.why_not = ""
        self.z = self.t = 0
        self.display: Display | None = None
        self._wish = Newest()
        self._loading: str | None = None
        self._kept: OrderedDict[str, Image] = OrderedDict()
        #: Images shown automatically; an unreadable one is replaced by the next.
        self._not_asked_for: set[str] = set()
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def nothing(self) -> bool:
        """Whether no image is shown, and none is being read."""
        return self.image_id is None and self._loading is None

    def show_any(self, project: Project, image_id: str) -> None:
        """Show an image automatically; when it cannot be read, the next one."""
        self._not_asked_for = {image_id}
        self.show(project, image_id)

    def show(self, project: Project, image_id: str, z: int = 0, t: int = 0) -> None:
        """Load a plane in the background and show it; `changed` follows."""
        entry = project.images.get(image_id)
        self._loading = image_id
        self.loading.emit(image_id)
        kept = self._kept.get(image_id)
        if kept is not None:
            self._wish.drop()
            self._kept.move_to_end(image_id)
            self._show(project, entry, kept, z, t)
            return

        def load() -> Image | CellSeg1Error:
            try:
                return with_axes(read_image(project.images.path(image_id)), entry.axes if entry.axes_by_hand else None)
            except CellSeg1Error as error:
                return error

        self._lane.run(
            load,
            lambda image: self._show(project, entry, image, z, t),
            self.tr("Opening the image"),
            newest=self._wish,
        )
        late = self._wish.current()
        QTimer.singleShot(_READ_MS, self, lambda: self._no_answer(entry) if late() else None)

    def _no_answer(self, entry: ProjectImage) -> None:
        """Report that a file is slow; it is still shown later unless another image was chosen."""
        if self._loading != entry.id:
            return
        self.drop()
        self.image_id = entry.id
        self.why_not = self.tr(
            "{name} has not been read for {n} seconds: its disk or file server may be away. It is shown as soon as it "
            "answers; other images can be opened meanwhile."
        ).format(name=entry.name, n=_READ_MS // 1000)
        self.changed.emit()
        self.note.emit(self.why_not)

    def _show(self, project: Project, entry: ProjectImage, image: Image | CellSeg1Error, z: int, t: int) -> None:
        self._loading = None
        if isinstance(image, CellSeg1Error):
            self._show_why_not(project, entry, image)
            return
        self._keep(entry.id, image)
        self.drop()
        self.image_id = entry.id
        self.z, self.t = min(max(z, 0), image.n_z - 1), min(max(t, 0), image.n_t - 1)
        pixels = image.plane(self.z, self.t)
        if not project.read_only:
            project.images.describe(entry.id, image)
        document, why_not = None, ""
        try:
            document = project.drawings.document(entry.id, self.z, self.t)
            self._unsubscribe = document.subscribe(self._edited, live=False)
        except CellSeg1Error as error:
            why_not = str(error)
        self.plane = ShownPlane(project, entry.id, self.z, self.t, image, pixels, document)
        if why_not:
            self.problem.emit(why_not, "")
        self.display = Display.from_dict(entry.display) if entry.display else auto_display(pixels, image.is_colour)
        self.changed.emit()

    def _show_why_not(self, project: Project, entry: ProjectImage, error: CellSeg1Error) -> None:
        self.drop()
        self.image_id, self.why_not = entry.id, str(error)
        self.changed.emit()
        self.unreadable.emit(entry.id)
        other = _after(project, entry.id) if entry.id in self._not_asked_for else None
        # Reported again when the user returns to it.
        self._not_asked_for.discard(entry.id)
        if other is not None:
            self._not_asked_for.add(other)
            self.show(project, other)
            return
        self.problem.emit(str(error), "")

    def _edited(self, change: Change) -> None:
        self.edited.emit(change)

    def _keep(self, image_id: str, image: Image) -> None:
        self._kept[image_id] = image
        self._kept.move_to_end(image_id)
        while len(self._kept) > _KEPT_IMAGES or (
            len(self._kept) > 1 and sum(one.array.nbytes for one in self._kept.values()) > _KEPT_BYTES
        ):
            self._kept.popitem(last=False)

    def drop(self) -> None:
        """Show nothing."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self.plane = self.image_id = self.display = None
        self.why_not = ""

    def forget(self, image_id: str) -> None:
        """Forget a removed image, whether shown, being read or cached."""
        if image_id == self._loading:
            # Drop a read in progress.
            self._wish.drop()
            self._loading = None
        if image_id == self.image_id:
            self.drop()
        self._kept.pop(image_id, None)

    def read_anew(self, image_id: str) -> None:
        """Read an image again the next time it is shown."""
        self._kept.pop(image_id, None)

    def clear(self) -> None:
        """Forget everything, because the project is closed."""
        self._wish.drop()
        self._loading = None
        self.drop()
        self._kept.clear()


def _after(project: Project, image_id: str) -> str | None:
    """Return the image after an unreadable automatic one; None at the end."""
    ids = [image.id for image in project.images]
    later = ids[ids.index(image_id) + 1 :] if image_id in ids else []
    return next(iter(later), None)
