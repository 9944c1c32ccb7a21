"""How many cells there are, what to say about them, and what the plane is used for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from cellseg1.errors import CellSeg1Error

from ...annotation import operations
from ...session.lanes import Newest
from ...theme import GAP, TIGHT, heading
from ...translation import counted
from ...widgets.plain import Label
from ..shared.advice import advice, cell_facts, mask_warnings, region_of
from ..shared.warnings import Warnings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...annotation import Document
    from ...canvas import Canvas
    from ...session.session import Session

#: Warnings are looked for when nothing was drawn for this long, longer for large images.
_REST_MS = 700
_REST_MS_PER_MEGAPIXEL = 60


class CellsPart(QWidget):
    """The cells of the shown plane: count, advice, warnings, flags, region."""

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._canvas = canvas
        self._rest = QTimer(self, singleShot=True)
        self._rest.timeout.connect(self._look)
        self._looking = Newest()
        self._looked: tuple[Document, int] | None = None
        self._soon = QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self.refresh)

        self.count = Label()
        self.count.setFont(heading(self.font(), 1))
        self.advice = Label()
        self.advice.setWordWrap(True)
        self.advice.setProperty("secondary", True)
        self.warnings = Warnings()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self.count)
        layout.addWidget(self.advice)
        layout.addWidget(self.warnings)
        self.uses, self.region = self._flags(), self._region()
        layout.addWidget(self.uses)
        layout.addWidget(self.region)

        session.image_changed.connect(self._image_changed)
        session.document_edited.connect(self._edited)
        self.refresh()

    def _flags(self) -> QWidget:
        holder = QWidget()
        layout = QVBoxLayout(holder)
        layout.setContentsMargins(0, TIGHT, 0, 0)
        layout.setSpacing(TIGHT)
        self.training = QCheckBox(self.tr("Use for training"))
        self.training.setAccessibleName(self.tr("Use this image for training"))
        self.training.setToolTip(self.tr("A model learns from the cells of this image (step 2, Ctrl+2)"))
        self.training.clicked.connect(lambda on: self._set(self._session.set_training, on))
        self.checked = QCheckBox(self.tr("Checked"))
        self.checked.setAccessibleName(self.tr("This image is checked"))
        self.checked.setToolTip(self.tr("All cells of this image are right; N goes on to the next unchecked image"))
        self.checked.clicked.connect(lambda on: self._set(self._session.set_checked, on))
        layout.addWidget(self.training)
        layout.addWidget(self.checked)
        return holder

    def _region(self) -> QWidget:
        holder = QWidget()
        layout = QVBoxLayout(holder)
        layout.setContentsMargins(0, GAP, 0, 0)
        layout.setSpacing(TIGHT)
        title = Label(self.tr("Region"))
        title.setFont(heading(self.font(), 0))
        self.region_line = Label()
        self.region_line.setWordWrap(True)
        self.region_line.setProperty("secondary", True)
        self.draw_region = QPushButton(self.tr("Draw"))
        self.draw_region.setAccessibleName(self.tr("Draw the region"))
        self.draw_region.setToolTip(self.tr("Drag a rectangle around the part where all cells are drawn (R)"))
        self.draw_region.clicked.connect(self._take_region_tool)
        self.clear_region = QPushButton(self.tr("Whole image"))
        self.clear_region.setAccessibleName(self.tr("Remove the region"))
        self.clear_region.setToolTip(self.tr("Remove the region: all cells of the whole image are drawn"))
        self.clear_region.clicked.connect(self._clear_region)
        self.delete_all = QPushButton(self.tr("Delete all cells"))
        self.delete_all.setProperty("quiet", True)
        self.delete_all.setAccessibleName(self.tr("Delete all cells"))
        self.delete_all.setToolTip(self.tr("Delete every cell of this image; Ctrl+Z brings them back"))
        self.delete_all.clicked.connect(self._delete_all)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.draw_region)
        row.addWidget(self.clear_region)
        row.addStretch(1)
        last = QHBoxLayout()
        last.addWidget(self.delete_all)
        last.addStretch(1)
        layout.addWidget(title)
        layout.addWidget(self.region_line)
        layout.addLayout(row)
        layout.addSpacing(GAP)
        layout.addLayout(last)
        return holder

    # ---- showing

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Catch up with what was drawn while another panel was shown."""
        super().showEvent(event)
        self.refresh()
        self._look_soon()

    def _image_changed(self) -> None:
        self._looking.drop()
        self._looked = None
        self.warnings.show_lines(())
        self._soon.start()
        self._look_soon()

    def _edited(self) -> None:
        self._soon.start()
        self._look_soon()

    @property
    def _may_edit(self) -> bool:
        project = self._session.project
        return self._session.document is not None and project is not None and not project.read_only

    def refresh(self) -> None:
        """Show the present state."""
        document = self._session.document
        for widget in (self.training, self.checked, self.draw_region, self.clear_region, self.delete_all):
            widget.setEnabled(self._may_edit)
        self.uses.setVisible(document is not None)
        self.region.setVisible(document is not None)
        if document is None:
            self._say_why_not()
            return
        facts = cell_facts(document)
        self.count.setText(counted.cells(facts.count) if facts.count else self.tr("No cells yet"))
        self.advice.setText(advice(facts))
        self.training.setChecked(bool(document.attributes.get("training")))
        self.checked.setChecked(bool(document.attributes.get("checked")))
        region = region_of(document)
        self.region_line.setText(region_sentence(region))
        self.draw_region.setText(self.tr("Draw") if region is None else self.tr("Change"))
        self.clear_region.setVisible(region is not None)
        self.delete_all.setEnabled(self._may_edit and facts.count > 0)

    def _say_why_not(self) -> None:
        """Say what is missing before cells can be drawn."""
        session = self._session
        self.count.setText(self.tr("No image"))
        if session.project is None:
            text = self.tr("Open a project, or make one.")
        elif not session.project.images:
            text = self.tr("Add images to the project first.")
        elif session.image_id is None:
            text = self.tr("Choose an image in the list on the left; its cells can be drawn then.")
        else:
            # What is wrong with the file, if anybody tried to read it.
            text = session.image_problem or self.tr(
                "This image cannot be drawn on now. Choose another one, or find its file again."
            )
        self.advice.setText(text)
        self.warnings.show_lines(())

    # ---- warnings

    def _look_soon(self) -> None:
        document = self._session.document
        if document is None or not self.isVisible():
            return
        if self._looked == (document, document.revision):
            return
        megapixels = document.shape[0] * document.shape[1] / 1e6
        self._rest.start(_REST_MS + round(_REST_MS_PER_MEGAPIXEL * megapixels))

    def _look(self) -> None:
        document = self._session.document
        if document is None or not self.isVisible():
            return
        if not len(document.cells):
            self.warnings.show_lines(())
            return
        seen = document, document.revision
        # The thread gets a copy: the drawing goes on meanwhile.
        labels, region = document.labels.copy(), region_of(document)

        def looked(found: tuple[str, ...]) -> None:
            self._looked = seen
            self.warnings.show_lines(found)

        what = self.tr("Looking at the cells")
        self._session.run(lambda: mask_warnings(labels, region), looked, what, newest=self._looking)

    # ---- changing

    def _set(self, change: Callable[[bool], None], on: bool) -> None:
        try:
            change(on)
        except CellSeg1Error as error:
            self._session.problem.emit(str(error), "")
        self.refresh()

    def _take_region_tool(self) -> None:
        self._canvas.set_tool("region")
        self._canvas.setFocus()

    def _clear_region(self) -> None:
        document = self._session.document
        if document is not None and self._may_edit:
            self._canvas.settle()
            document.set_attribute("Remove region", "region", None)

    def _delete_all(self) -> None:
        document = self._session.document
        if document is not None and self._may_edit:
            self._canvas.settle()
            every = document.cells.ids().tolist()
            self._canvas.edit_aside(
                document,
                self.tr("Deleting cells..."),
                lambda doc: operations.delete_cells(doc, every),
                lambda _step: None,
            )


def region_sentence(region: tuple[int, int, int, int] | None) -> str:
    """Say what the region means now."""
    translate = QCoreApplication.translate
    if region is None:
        return translate(
            "Region",
            "All cells of the image should be drawn. If only a part is done, draw a region around it: "
            "what is outside is not learned from.",
        )
    text = translate(
        "Region", "Only this part of {width} x {height} px counts as done; what is outside is not learned from."
    )
    return text.format(width=region[2], height=region[3])
