"""The errors of a comparison as a list, and in the image: marks, and the outlines of the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from cellseg1.errors import CellSeg1Error

from ...canvas.layers.decor import MARK_COLOURS, Mark
from ...session.lanes import Newest
from ...theme import GAP, heading
from ...translation import counted
from ...widgets.errors import show_error
from ...widgets.number_table import NumberTable, fit_height
from ...widgets.plain import Label
from .scores import PlaneScore, read_prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PySide6.QtGui import QHideEvent, QShowEvent

    from ...canvas import Canvas
    from ...session.planes import Plane
    from ...session.session import Session

#: The prediction's outlines over the drawn cells.
_OUTLINE = (240, 160, 32)
_MOST_ROWS = 8


class ErrorList(QWidget):
    """Lists errors; a row leads to its place, in whatever image it is.

    `image_wanted` asks to list the errors of one result (its place), because one of them was clicked in the image.
    """

    image_wanted = Signal(int)

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._canvas = canvas
        self._results: Sequence[PlaneScore] = ()
        #: (result, number of the error in it) of each row.
        self.entries: list[tuple[int, int]] = []
        self._go_to: tuple[Plane, int] | None = None
        self._shown_for: Plane | None = None
        self._quiet = False
        #: Outlines that are not wanted any more when they are read are for nobody.
        self._outlined = Newest()
        self._soon = QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self.show_marks)

        self.title = Label()
        self.title.setFont(heading(self.font(), 0))
        self.title.setWordWrap(True)
        self.table = NumberTable()
        self.table.setAccessibleName(self.tr("Errors"))
        self.table.setToolTip(self.tr("A row shows its place in the image; the arrow keys go through them"))
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._row_chosen())
        self.outlines = QCheckBox(self.tr("Outline the prediction"))
        self.outlines.setToolTip(self.tr("Draw the predicted cells over the image, orange"))
        self.outlines.setAccessibleName(self.tr("Outline the prediction in the image"))
        self.outlines.setChecked(True)
        self.outlines.toggled.connect(lambda _on: self._show_outlines())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, GAP, 0, 0)
        layout.setSpacing(GAP)
        for widget in (self.title, self.table, self.outlines):
            layout.addWidget(widget)

        # The window gives the canvas its image after this; marks set before would be lost.
        session.image_changed.connect(self._soon.start)
        canvas.mark_clicked.connect(self._mark_clicked)

    # ---- the list

    def set_results(self, results: Sequence[PlaneScore]) -> None:
        """List the errors of these results, and mark those of the shown image."""
        self._results = results
        self._go_to = None
        self._shown_for = None
        self.list_errors(None)
        self.show_marks()

    def list_errors(self, row: int | None) -> None:
        """List the errors of one result, or of all (None)."""
        chosen = range(len(self._results)) if row is None else [row]
        self.entries = [
            (index, number) for index in chosen for number in range(len(self._results[index].score.mistakes))
        ]
        name = self.tr("all images") if row is None else self._results[row].pair.name
        count = len(self.entries)
        text = self.tr("{errors} in {name}") if count else self.tr("No errors in {name}")
        self.title.setText(text.format(errors=counted.errors(count), name=name))
        kinds = self._kinds()
        rows = []
        dots = []
        for index, number in self.entries:
            mistake = self._results[index].score.mistakes[number]
            rows.append((kinds[mistake.kind], self._results[index].pair.name, float(mistake.iou)))
            dots.append(QColor(MARK_COLOURS[mistake.kind]))
        self.table.source.dots = dots
        self._quiet = True
        titles = (self.tr("Error"), self.tr("Image"), self.tr("IoU"))
        tips = ("", "", self.tr("Largest overlap with a cell of the other side, 0 to 1"))
        self.table.set_table(titles, rows, (0, 0, 2), tips)
        self.table.setColumnHidden(1, row is not None)
        self._quiet = False
        self.table.setVisible(count > 0)
        fit_height(self.table, count, _MOST_ROWS)

    def _kinds(self) -> dict[str, str]:
        return {
            "missed": self.tr("missed"),
            "invented": self.tr("invented"),
            "split": self.tr("split"),
            "merged": self.tr("merged"),
        }

    def _row_chosen(self) -> None:
        chosen = self.table.chosen()
        if not self._quiet and chosen:
            self.jump(*self.entries[chosen[0]])

    def jump(self, index: int, number: int) -> None:
        """Show error `number` of result `index`, opening its image where it must."""
        plane = self._results[index].pair.plane
        if plane is None:
            name = self._results[index].pair.name
            self._session.note.emit(
                self.tr("{name} is not in this project, so it cannot be shown; Compare... shows it.").format(name=name)
            )
            return
        self._go_to = (plane, number)
        if plane == self._here() and self._session.plane is not None:
            self.show_marks()
        else:
            self.open_image(plane)

    def open_image(self, plane: Plane) -> None:
        """Show the image of a result."""
        try:
            self._session.show_image(*plane)
        except CellSeg1Error as error:
            show_error(self, str(error))

    # ---- in the image

    def _here(self) -> Plane | None:
        session = self._session
        return None if session.image_id is None else (session.image_id, session.z, session.t)

    def result_here(self) -> int | None:
        """Return which result belongs to the shown plane."""
        here = self._here()
        if here is None:
            return None
        return next((index for index, one in enumerate(self._results) if one.pair.plane == here), None)

    def show_marks(self) -> None:
        """Mark the errors of the shown plane, and go to the one that was asked for."""
        if not self.isVisible():
            return
        index = self.result_here()
        if index is None or self._session.plane is None:
            self.clear_canvas()
            return
        canvas, here = self._canvas, self._here()
        mistakes = self._results[index].score.mistakes
        if self._shown_for != here or len(canvas.scene.marks) != len(mistakes):
            kinds = self._kinds()
            canvas.set_marks([Mark(one.kind, one.box, kinds[one.kind]) for one in mistakes])
            self._shown_for = here
            self._show_outlines()
        if self._go_to is not None and self._go_to[0] == here:
            canvas.show_mark(self._go_to[1])
            self._go_to = None

    def _show_outlines(self) -> None:
        index = self.result_here()
        if index is None or not self.outlines.isChecked() or not self.isVisible():
            self._outlined.drop()
            self._canvas.set_reference(None)
            return
        pair, here, session = self._results[index].pair, self._here(), self._session
        shape = session.plane.shape[:2] if session.plane is not None else None

        def load() -> NDArray[np.int32] | None:
            try:
                return read_prediction(pair, shape)[0]
            except (CellSeg1Error, OSError, ValueError):
                # The file is gone meanwhile; the marks are shown without the outlines.
                return None

        def loaded(labels: NDArray[np.int32] | None) -> None:
            # The marks of the plane that is shown now may be still to come.
            if self._here() == here and labels is not None and labels.shape == self._canvas.shape:
                self._canvas.set_reference(labels, _OUTLINE, 2)

        session.run(load, loaded, self.tr("Loading the prediction"), newest=self._outlined)

    def _mark_clicked(self, number: int) -> None:
        """Select the row of an error that was clicked in the image."""
        index = self.result_here()
        if not self.isVisible() or index is None:
            return
        self._canvas.show_mark(number)
        if (index, number) not in self.entries:
            self.image_wanted.emit(index)
        if (index, number) in self.entries:
            self._quiet = True
            self.table.choose(self.entries.index((index, number)))
            self._quiet = False

    def clear_canvas(self) -> None:
        """Take marks and outlines off the image, if there are any."""
        self._outlined.drop()
        if self._shown_for is not None:
            self._shown_for = None
            self._canvas.set_marks([])
            self._canvas.set_reference(None)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Mark the errors again; the window takes all marks off when the step changes."""
        super().showEvent(event)
        self._shown_for = None
        self._soon.start()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Leave nothing over the image."""
        self.clear_canvas()
        super().hideEvent(event)
