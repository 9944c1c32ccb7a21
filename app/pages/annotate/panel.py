"""Step 1: draw cells, with the options of the tool in hand and what there is to say about the drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QTimer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from cellseg1.errors import CellSeg1Error
from cellseg1.remarks import Remark

from ...theme import GAP, TIGHT, heading
from ...widgets.banner import Banner
from ...widgets.plain import Label, plain_tip
from ...widgets.showing import ask
from ..shared.page import Page
from ..shared.view_options import ViewOptions
from .cells import CellsPart
from .image_dialogs import AxesDialog, PixelSizeDialog, describe_axes, raw_axes
from .plane_sliders import PlaneSliders
from .tool_options import ToolOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellseg1.images import Image

    from ...canvas import Canvas
    from ...project.project import ProjectImage
    from ...session.session import Session


class AnnotatePanel(Page):
    """Tool options, the cells of the plane, planes and pixel size, and how everything is shown."""

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(session, canvas, parent)
        self.set_title(self.tr("Annotate"))
        #: Images whose guessed axes the user has accepted by dismissing the note.
        self._accepted: set[str] = set()
        self.guessed = Banner()
        self.guessed.acted.connect(self.change_axes)
        self.guessed.dismissed.connect(self._accept_axes)
        self.add(self.guessed)
        self.planes = PlaneSliders(session)
        self.add(self.planes)
        self.tools = ToolOptions(session, canvas)
        self.tools.models_wanted.connect(self.models_wanted)
        self.add(self.tools)
        self.body.addSpacing(GAP)
        self.cells = CellsPart(session, canvas)
        self.add(self.cells)
        self.body.addSpacing(GAP)
        self._build_image()
        self.view = ViewOptions(session, canvas)
        self.add(self.view)
        self.set_primary(
            self.tr("Train on this image"), "train", self.tr("Use these cells for training and go to step 2")
        )
        self.primary_clicked.connect(self._train)

        self._soon = QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self.refresh)
        session.image_changed.connect(self._soon.start)
        session.project_changed.connect(self._soon.start)
        session.document_edited.connect(self._soon.start)
        self.refresh()

    def _build_image(self) -> None:
        self.image_part = QWidget()
        layout = QVBoxLayout(self.image_part)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(TIGHT)
        title = Label(self.tr("Image"))
        title.setFont(heading(self.font(), 0))
        layout.addWidget(title)
        self.axes_line, self.axes_button = self._line(layout, self.tr("Change the axes"))
        self.axes_button.clicked.connect(self.change_axes)
        self.size_line, self.size_button = self._line(layout, self.tr("Change the pixel size"))
        self.size_button.clicked.connect(self.change_pixel_size)
        self.notes = Label()
        self.notes.setWordWrap(True)
        self.notes.setProperty("secondary", True)
        layout.addWidget(self.notes)
        self.add(self.image_part)

    def _line(self, layout: QVBoxLayout, tip: str) -> tuple[QLabel, QPushButton]:
        label = Label()
        label.setWordWrap(True)
        button = QPushButton(self.tr("Change..."))
        button.setProperty("quiet", True)
        button.setAccessibleName(tip)
        button.setToolTip(plain_tip(tip))
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(label, 1)
        row.addWidget(button)
        layout.addLayout(row)
        return label, button

    # ---- showing

    def shown(self) -> None:
        """Bring everything up to date; called when one comes to this step."""
        self.refresh()
        self.tools.refresh()

    @property
    def _entry(self) -> ProjectImage | None:
        """The shown image as the project knows it, None when there is none."""
        session = self._session
        return (
            None
            if session.project is None or session.image_id is None
            else session.project.images.get(session.image_id)
        )

    def refresh(self) -> None:
        """Show the present state."""
        session, entry = self._session, self._entry
        image = session.image
        usable = session.project is not None and not session.project.read_only
        self.tools.setVisible(session.document is not None)
        self.image_part.setVisible(image is not None and entry is not None)
        if image is not None and entry is not None:
            axes = describe_axes(image.info.axes, image.array.shape)
            by_hand = " " + self.tr("(as you said)") if entry.axes_by_hand else ""
            self.axes_line.setText(axes[:1].upper() + axes[1:] + by_hand)
            self.size_line.setText(pixel_size_text(session.pixel_size(), by_hand=bool(entry.pixel_size_by_hand)))
            # The note about guessed axes is in the banner.
            told = [note for note in image.info.notes if not (isinstance(note, Remark) and note.code == "guessed_axes")]
            self.notes.setText("\n".join(told))
            self.notes.setVisible(bool(self.notes.text()))
        self.axes_button.setEnabled(usable)
        self.size_button.setEnabled(usable)
        self._show_guess(image, entry)
        self._show_primary(usable=usable)

    def _show_guess(self, image: Image | None, entry: ProjectImage | None) -> None:
        if image is None or entry is None or not self._doubtful(image, entry):
            self.guessed.clear()
            return
        axes = describe_axes(image.info.axes, image.array.shape)
        self.guessed.show_message(
            self.tr("The file does not name its axes. They are taken for {axes}.").format(axes=axes),
            "info",
            self.tr("Change..."),
        )

    def _doubtful(self, image: Image, entry: ProjectImage) -> bool:
        """Tell whether the axes are guessed and not confirmed."""
        guessed = image.info.guessed and not entry.axes_by_hand and entry.id not in self._accepted
        # The guess is reliable for a grey or colour picture of one plane.
        return guessed and len(image.info.axes.replace("S", "")) > 2

    def _show_primary(self, *, usable: bool) -> None:
        if self.primary is None:
            return
        document = self._session.document
        cells = 0 if document is None else len(document.cells)
        self.primary.setEnabled(usable and cells > 0)
        tip = self.tr("Use these cells for training and go to step 2")
        if document is None or not cells:
            tip = self.tr("Draw some cells first")
        self.primary.setToolTip(plain_tip(f"{tip} (Ctrl+Return)"))

    # ---- changing

    def _train(self) -> None:
        document = self._session.document
        if document is None:
            return
        try:
            self._canvas.settle()
            if not document.attributes.get("training"):
                self._session.set_training(True)
        except CellSeg1Error as error:
            self._session.problem.emit(str(error), "")
            return
        self.step_wanted.emit("train")

    def _accept_axes(self) -> None:
        if self._session.image_id is not None:
            self._accepted.add(self._session.image_id)

    def change_axes(self) -> None:
        """Ask what the axes of the shown image are."""
        session, project, entry = self._session, self._session.project, self._entry
        if session.image is None or entry is None or project is None or project.read_only:
            return
        axes, shape = raw_axes(entry, session.image)
        cells = any(plane.get("cells") for plane in (entry.planes or {}).values())
        dialog = AxesDialog(self.window(), axes, shape, by_hand=bool(entry.axes_by_hand), cells=cells)
        if ask(dialog):
            self._try(lambda: session.set_axes(entry.id, dialog.axes()))

    def change_pixel_size(self) -> None:
        """Ask for the pixel size of the shown image, or of all."""
        session, project, entry = self._session, self._session.project, self._entry
        if entry is None or project is None or project.read_only:
            return
        every = [image.id for image in project.images]
        dialog = PixelSizeDialog(self.window(), session.pixel_size(), len(every))
        if ask(dialog):
            ids = every if dialog.for_all() else [entry.id]
            self._try(lambda: session.set_pixel_size(dialog.pixel_size(), ids))

    def _try(self, call: Callable[[], object]) -> None:
        try:
            call()
        except CellSeg1Error as error:
            self._session.problem.emit(str(error), "")
        self.refresh()


def pixel_size_text(size: tuple[float, float] | None, *, by_hand: bool = False) -> str:
    """Say how large a pixel is."""
    translate = QCoreApplication.translate
    if size is None:
        return translate("PixelSize", "Pixel size unknown")
    y, x = size
    text = f"{x:.4g} µm" if abs(x - y) <= 1e-6 * x else f"{x:.4g} x {y:.4g} µm"
    line = translate("PixelSize", "Pixel size {size}").format(size=text)
    return f"{line} " + translate("PixelSize", "(as you said)") if by_hand else line
