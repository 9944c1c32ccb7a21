"""The images a model learns from, with what there is to say about their cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QPixmap, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from cellseg1.errors import CellSeg1Error
from cellseg1.masks.check import FEW_CELLS

from ...engine.planning import ImageSize
from ...session.planes import flags, is_stack, shape_of
from ...theme import GAP, ICON, TIGHT, icon
from ...translation import counted
from ...widgets.plain import Label, one_line, plain_action, plain_tip
from ..shared.advice import CellFacts, advice, mask_warnings, region_of
from ..shared.warnings import Warnings

if TYPE_CHECKING:
    from PySide6.QtCore import SignalInstance

    from ...project.project import Project
    from ...session.session import Session

Plane = tuple[str, int, int]
_THUMB = 40
#: Rows that are shown; more would only be scrolled past.
_MOST_ROWS = 20
_REST_MS = 400
#: Of a flat button, left and right together.
_PADDING = 12
#: Warnings shown for one image.
_WARNINGS = 2


@dataclass(frozen=True, slots=True)
class PlaneFacts:
    """A plane that is used for training.

    Attributes
    ----------
    plane
        (image id, z, t).
    region
        (x, y, width, height) of the annotated part, None for the whole image.
    diameter
        Median diameter of its cells in pixels, None when unknown.
    looked
        Whether `region`, `diameter` and `warnings` are known already.
    """

    plane: Plane
    name: str
    cells: int
    shape: tuple[int, int] | None
    revision: int = 0
    region: tuple[int, int, int, int] | None = None
    diameter: float | None = None
    warnings: tuple[str, ...] = ()
    looked: bool = False


class TrainingImages(QWidget):
    """Rows of the training images; what is not known yet is found out in the background, plane by plane."""

    #: The list, or what is known of its images, is another one.
    changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.facts: list[PlaneFacts] = []
        self._rows: list[TrainingRow] = []
        self._thumbnails: dict[tuple[str, int], QPixmap | None] = {}
        self._busy: Plane | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(GAP)
        self.summary = Label()
        self.summary.setWordWrap(True)
        self.summary.setProperty("secondary", True)
        self._layout.addWidget(self.summary)
        self.more = Label()
        self.more.setProperty("secondary", True)
        self._layout.addWidget(self.more)
        self._soon = QTimer(self, interval=_REST_MS, singleShot=True)
        self._soon.timeout.connect(self.refresh)
        self._next = QTimer(self, interval=0, singleShot=True)
        self._next.timeout.connect(self._look_at_next)
        session.project_changed.connect(self._project_changed)
        session.images_changed.connect(self._soon.start)
        session.image_state_changed.connect(lambda _id: self._soon.start())
        session.document_edited.connect(self._soon.start)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Catch up with what happened while another panel was shown."""
        super().showEvent(event)
        self.refresh()

    def _project_changed(self) -> None:
        self._thumbnails.clear()
        self._busy = None
        self.refresh()

    # ---- what there is

    def refresh(self) -> None:
        """Bring the list up to date; what is known of planes that did not change stays."""
        before = {one.plane: one for one in self.facts}
        self.facts = [self._fresh(plane, before.get(plane)) for plane in training_planes(self._session.project)]
        self._show()
        self.changed.emit()
        if self.isVisible():
            self._next.start()

    def _fresh(self, plane: Plane, known: PlaneFacts | None) -> PlaneFacts:
        entry = self._session.require_project().images.get(plane[0])
        note = flags(entry, plane)
        name = entry.name
        if is_stack(entry):
            name = f"{name}, z {plane[1] + 1}" if (entry.n_z or 1) > 1 else f"{name}, t {plane[2] + 1}"
        revision = int(note.get("revision", 0))
        cells = int(note.get("cells", 0))
        # That they are few is known at once; it must not push the page down a moment later.
        thin = (advice(CellFacts(cells)),) if 0 < cells < FEW_CELLS else ()
        fresh = PlaneFacts(plane, name, cells, shape_of(entry), revision, warnings=thin)
        if known is not None and (known.revision, known.cells) == (fresh.revision, fresh.cells) and known.looked:
            return replace(known, name=name, shape=fresh.shape)
        return fresh

    def sizes(self) -> list[ImageSize]:
        """Return what an estimate of the time needs."""
        return [
            ImageSize(one.shape[0], one.shape[1], one.diameter)
            for one in self.facts
            if one.cells and one.shape is not None
        ]

    @property
    def cells(self) -> int:
        """Cells of all training images."""
        return sum(one.cells for one in self.facts)

    # ---- finding out

    def _look_at_next(self) -> None:
        project = self._session.project
        todo = next((one for one in self.facts if not one.looked and one.cells), None)
        if project is None or todo is None or self._busy is not None or not self.isVisible():
            return
        try:
            # Documents belong to this thread; a thread of its own gets a copy to look at.
            document = project.drawings.document(*todo.plane)
        except CellSeg1Error as error:
            self._know(todo, replace(todo, warnings=(str(error),), looked=True))
            return
        labels, region = document.labels.copy(), region_of(document)
        diameter = float(document.cells.median_diameter()) or None
        thin = todo.warnings
        self._busy = todo.plane

        def looked(found: tuple[str, ...]) -> None:
            self._busy = None
            if self._session.project is project:
                said = (*thin, *found)
                self._know(todo, replace(todo, region=region, diameter=diameter, warnings=said, looked=True))

        self._session.run(lambda: mask_warnings(labels, region), looked, self.tr("Looking at the cells"))

    def _know(self, old: PlaneFacts, new: PlaneFacts) -> None:
        self.facts = [new if one is old else one for one in self.facts]
        self._show()
        self.changed.emit()
        self._next.start()

    # ---- showing

    def _show(self) -> None:
        shown = self.facts[:_MOST_ROWS]
        while len(self._rows) > len(shown):
            row = self._rows.pop()
            row.hide()
            self._layout.removeWidget(row)
            row.deleteLater()
        while len(self._rows) < len(shown):
            row = TrainingRow()
            row.show_wanted.connect(self._show_image)
            row.remove_wanted.connect(self.remove)
            # Before the line about those that are not shown.
            self._layout.insertWidget(self._layout.count() - 1, row)
            self._rows.append(row)
        writable = self._session.project is not None and not self._session.project.read_only
        for row, facts in zip(self._rows, shown, strict=True):
            row.show_facts(facts, writable=writable)
            row.set_picture(self._thumbnail(facts))
        text = self.tr("{cells} in {images}").format(
            cells=counted.cells(self.cells), images=counted.images(len(self.facts))
        )
        self.summary.setText(text)
        hidden = len(self.facts) - len(shown)
        self.more.setText(self.tr("and {n} more").format(n=hidden))
        self.more.setVisible(hidden > 0)

    def _thumbnail(self, facts: PlaneFacts) -> QPixmap | None:
        key = facts.plane[0], facts.revision
        if key in self._thumbnails:
            return self._thumbnails[key]
        older = next((picture for (one, _), picture in self._thumbnails.items() if one == key[0]), None)
        if not self.isVisible():
            return older
        self._thumbnails[key] = older
        project = self._session.require_project()

        def make() -> Path | None:
            from ...project.thumbnails import thumbnail

            try:
                return thumbnail(project, key[0])
            except (CellSeg1Error, OSError):
                # The row says what is wrong with the image, if anything is.
                return None

        def made(path: Path | None) -> None:
            if path is None or self._session.project is not project:
                return
            picture = QPixmap(str(path))
            for other in [other for other in self._thumbnails if other[0] == key[0]]:
                del self._thumbnails[other]
            self._thumbnails[key] = picture
            for row in self._rows:
                if row.facts is not None and row.facts.plane[0] == key[0]:
                    row.set_picture(picture)

        self._session.run(make, made, self.tr("Making a thumbnail"))
        return older

    # ---- changing

    def _show_image(self, plane: Plane) -> None:
        try:
            self._session.show_image(*plane)
        except CellSeg1Error as error:
            self._session.problem.emit(str(error), "")

    def remove(self, plane: Plane) -> None:
        """Do not use a plane for training any more; an edit of its drawing, which can be undone there."""
        session = self._session
        try:
            if plane == (session.image_id, session.z, session.t):
                session.set_training(False)
            else:
                project = session.require_project()
                document = project.drawings.document(*plane)
                document.set_attribute("Do not use for training", "training", False)
                project.drawings.update_plane(*plane, document)
            session.image_state_changed.emit(plane[0])
        except CellSeg1Error as error:
            session.problem.emit(str(error), "")
        self.refresh()


class TrainingRow(QWidget):
    """One training image: picture, name, what is drawn, warnings, and a button to leave it out."""

    show_wanted = Signal(tuple)
    remove_wanted = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.facts: PlaneFacts | None = None
        self.picture = Label()
        self.picture.setFixedSize(QSize(_THUMB, _THUMB))
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.name = ElidedButton()
        self.name.setToolTip(self.tr("Show this image"))
        self.name.clicked.connect(lambda: self._tell(self.show_wanted))
        self.line = Label()
        self.line.setWordWrap(True)
        self.line.setProperty("secondary", True)
        # Under the text of the button, not under its edge.
        self.line.setContentsMargins(3 * TIGHT, 0, 0, 0)
        self.remove = QToolButton()
        self.remove.setIcon(icon("close", "secondary"))
        self.remove.setIconSize(QSize(ICON - 4, ICON - 4))
        self.remove.setToolTip(self.tr("Do not use this image for training"))
        self.remove.clicked.connect(lambda: self._tell(self.remove_wanted))
        self.warnings = Warnings()
        text = QVBoxLayout()
        text.setSpacing(0)
        text.addWidget(self.name, 0, Qt.AlignmentFlag.AlignLeft)
        text.addWidget(self.line)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(text, 1)
        row.addWidget(self.remove, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(TIGHT)
        layout.addLayout(row)
        layout.addWidget(self.warnings)

    def _tell(self, signal: SignalInstance) -> None:
        if self.facts is not None:
            signal.emit(self.facts.plane)

    def show_facts(self, facts: PlaneFacts, *, writable: bool) -> None:
        """Show what is known of a plane."""
        self.facts = facts
        self.name.set_full_text(facts.name)
        parts = [counted.cells(facts.cells) if facts.cells else self.tr("no cells yet")]
        if facts.region is not None:
            parts.append(self.tr("region {width} x {height} px").format(width=facts.region[2], height=facts.region[3]))
        if facts.diameter:
            parts.append(self.tr("about {n} px wide").format(n=round(facts.diameter)))
        self.line.setText(", ".join(parts))
        self.warnings.show_lines(facts.warnings[:_WARNINGS])
        self.remove.setEnabled(writable)
        self.remove.setAccessibleName(self.tr("Do not use {name} for training").format(name=facts.name))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the name."""
        super().resizeEvent(event)
        self.name.set_room(self.width() - _THUMB - self.remove.sizeHint().width() - 2 * GAP)

    def set_picture(self, picture: QPixmap | None) -> None:
        """Show the thumbnail, or a sign as long as there is none."""
        ratio = self.devicePixelRatioF()
        if picture is None or picture.isNull():
            self.picture.setPixmap(icon("image", "secondary").pixmap(QSize(ICON, ICON), ratio))
            return
        side = round(_THUMB * ratio)
        small = picture.scaled(
            side, side, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
        small.setDevicePixelRatio(ratio)
        self.picture.setPixmap(small)


class ElidedButton(QToolButton):
    """A flat button whose text is shortened where it does not fit; file names have no spaces to wrap at."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._full = ""
        self._room = 0
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setProperty("heading", True)

    def set_full_text(self, text: str) -> None:
        """Show a text, in full where there is room."""
        self._full = text
        self.setAccessibleName(text)
        self.setToolTip(plain_tip(self.tr("Show {name}").format(name=text)))
        self._elide()

    def set_room(self, room: int) -> None:
        """Say how wide the button may be."""
        self._room = room
        self._elide()

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return that it can be narrow: its text is shortened then."""
        return QSize(_THUMB, super().minimumSizeHint().height())

    def _elide(self) -> None:
        room = max(_THUMB, self._room - _PADDING)
        shown = self.fontMetrics().elidedText(one_line(self._full), Qt.TextElideMode.ElideMiddle, room)
        self.setText(plain_action(shown))


def training_planes(project: Project | None) -> list[Plane]:
    """Return the planes that are used for training."""
    return [] if project is None else [(str(one), int(z), int(t)) for one, z, t in project.images.training()]
