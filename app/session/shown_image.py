"""The image that is shown: read in the background, kept for a while, with its document and its display."""

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
#: An image whose file has not been read after this time is said to be late.
_READ_MS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class ShownPlane:
    """A plane that is shown.

    Attributes
    ----------
    project, image_id, z, t
        Whose it is, and where.
    image
        The image as it was read.
    pixels
        The plane itself: (H, W) or (H, W, C).
    document
        Its drawing; None when that cannot be read.
    """

    project: Project
    image_id: str
    z: int
    t: int
    image: Image
    pixels: NDArray[Any]
    document: Document | None


class ShownImage(QObject):
    """Reads and shows one plane at a time; of several that were asked for only the last is shown.

    Attributes
    ----------
    plane
        What is shown, None when there is nothing or it cannot be read.
    image_id, why_not
        The chosen image, also one that cannot be shown, and why it cannot; empty when it can.
    z, t
        The last plane that was shown.
    display
        Contrast and colours of what is shown.

    Signals
    -------
    loading(str), changed()
        An image begins to be read; it, or why it cannot be shown, is there.
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
        #: Images that are shown because something had to be: an unreadable one gives way to the next.
        self._not_asked_for: set[str] = set()
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def nothing(self) -> bool:
        """Whether no image is shown, and none is being read."""
        return self.image_id is None and self._loading is None

    def show_any(self, project: Project, image_id: str) -> None:
        """Show an image that nobody asked for; when it cannot be read, the next one."""
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
        """Say that a file has not been read yet; when it is, it is shown unless another image was chosen."""
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
        # Who comes back to it wants to know.
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
        """Let go of an image that is not there any more, shown, being read or kept."""
        if image_id == self._loading:
            # What is still being read is for nobody.
            self._wish.drop()
            self._loading = None
        if image_id == self.image_id:
            self.drop()
        self._kept.pop(image_id, None)

    def read_anew(self, image_id: str) -> None:
        """Read an image again the next time it is shown."""
        self._kept.pop(image_id, None)

    def clear(self) -> None:
        """Let go of everything, because its project is closed."""
        self._wish.drop()
        self._loading = None
        self.drop()
        self._kept.clear()


def _after(project: Project, image_id: str) -> str | None:
    """Return the next image after one that cannot be read and that nobody asked for; None when there is none."""
    ids = [image.id for image in project.images]
    later = ids[ids.index(image_id) + 1 :] if image_id in ids else []
    return next(iter(later), None)
