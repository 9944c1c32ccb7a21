"""The cells of the shown image as a table, and as a CSV file."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from cellseg1.measurement import CellTable, measure_cells, write_csv

from ...session.planes import is_stack
from ...theme import GAP, icon, tabular
from ...translation import counted
from ...widgets.empty_state import EmptyState
from ...widgets.errors import show_error
from ...widgets.number_table import NumberTable
from ...widgets.plain import Label
from ..shared.file_stem import file_stem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...annotation import Document
    from ...canvas import Canvas
    from ...session.session import Session

    #: The measured state of a document: itself, its revision, its pixel size.
    Seen = tuple[weakref.ref[Document], int, tuple[float, float] | None]

#: Cells are measured this long after the last edit, not after each.
_REST_MS = 300


class CellsTab(QWidget):
    """Table of the shown plane's cells; a row shows its cell in the image, and the other way round."""

    step_wanted = Signal(str)

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._canvas = canvas
        self.rows: CellTable | None = None
        self._key: Seen | None = None
        self._measuring = False
        self._quiet = False
        self._soon = QTimer(self, interval=_REST_MS, singleShot=True)
        self._soon.timeout.connect(self.refresh)

        self.summary = Label()
        self.summary.setWordWrap(True)
        self.summary.setFont(tabular(self.summary.font()))
        self.table = NumberTable()
        self.table.setAccessibleName(self.tr("Cells of this image"))
        self.table.setToolTip(self.tr("A row shows its cell in the image; Ctrl+C copies"))
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._row_chosen())
        self.empty = EmptyState("cells", "", self.tr("Draw cells"))
        self.empty.clicked.connect(lambda: self.step_wanted.emit("annotate"))
        self.save = QPushButton(icon("export"), self.tr("Save as CSV..."))
        self.save.setToolTip(self.tr("Save this table with its units and the pixel size"))
        self.save.setAccessibleName(self.tr("Save the table of cells as CSV"))
        self.save.clicked.connect(self._save)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, GAP, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self.summary)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.empty, 1)
        layout.addWidget(self.save)

        session.image_changed.connect(self._image_changed)
        session.document_edited.connect(self._edited)
        canvas.selection_changed.connect(self._cell_chosen)
        self.refresh()

    # ---- when to measure

    def shown(self) -> None:
        """Measure what changed since."""
        self.refresh()

    def _image_changed(self) -> None:
        self.rows = None
        self._key = None
        if self.isVisible():
            self._soon.start(0)

    def _edited(self) -> None:
        if self.isVisible():
            self._soon.start(_REST_MS)

    def refresh(self) -> None:
        """Measure the shown plane in the background, unless its table is there already."""
        session = self._session
        document = session.document
        if document is None or not len(document.cells):
            self.rows = None
            self._key = None
            self._show()
            return
        size = session.pixel_size()
        key = (weakref.ref(document), document.revision, size)
        if key == self._key or self._measuring:
            self._show()
            return
        labels = np.array(document.labels)
        self._measuring = True
        self._show()
        session.run(
            lambda: measure_cells(labels, size), lambda rows: self._measured(key, rows), self.tr("Measuring the cells")
        )

    def _measured(self, key: Seen, rows: CellTable) -> None:
        import shiboken6

        if not shiboken6.isValid(self):
            return
        self._measuring = False
        document = self._session.document
        if document is None or key[0]() is not document:
            # Another image is shown meanwhile.
            self._soon.start(0)
            return
        self.rows, self._key = rows, key
        if document.revision != key[1] or self._session.pixel_size() != key[2]:
            self._soon.start(_REST_MS)
        self._fill()
        self._show()

    # ---- showing

    def _fill(self) -> None:
        rows = self.rows
        if rows is None:
            return
        titles = [self.tr("Cell"), self.tr("Area px"), self.tr("x"), self.tr("y"), self.tr("Diameter px")]
        tips = [
            self.tr("Number of the cell"),
            self.tr("Area in pixels"),
            self.tr("Centre, in pixels from the left"),
            self.tr("Centre, in pixels from the top"),
            self.tr("Diameter of a circle of the same area, in pixels"),
        ]
        columns: list[Sequence[int | float]] = [
            rows.ids.tolist(),
            rows["area_px"].tolist(),
            rows["centre_x_px"].tolist(),
            rows["centre_y_px"].tolist(),
            rows["equivalent_diameter_px"].tolist(),
        ]
        decimals = [0, 0, 1, 1, 1]
        if rows.pixel_size_um is not None:
            titles += [self.tr("Area µm²"), self.tr("Diameter µm")]
            tips += [
                self.tr("Area in square micrometres"),
                self.tr("Diameter of a circle of the same area, in micrometres"),
            ]
            columns += [rows["area_um2"].tolist(), rows["equivalent_diameter_um"].tolist()]
            decimals += [2, 2]
        titles += [self.tr("Left"), self.tr("Top"), self.tr("Width"), self.tr("Height")]
        tips += [
            self.tr("Left edge of the box around the cell, in pixels"),
            self.tr("Top edge of the box around the cell, in pixels"),
            self.tr("Width of the box, in pixels"),
            self.tr("Height of the box, in pixels"),
        ]
        left, top, right, bottom = (rows[f"box_{side}_px"] for side in ("left", "top", "right", "bottom"))
        columns += [left.tolist(), top.tolist(), (right - left).tolist(), (bottom - top).tolist()]
        decimals += [0, 0, 0, 0]
        for column in rows.columns:
            if column.name in rows.added:
                titles.append(column.title or column.name)
                tips.append(column.about or column.name)
                columns.append(column.values.tolist())
                decimals.append(column.decimals)
        self._quiet = True
        self.table.set_table(titles, list(zip(*columns, strict=True)), decimals, tips)
        self._quiet = False
        self._cell_chosen(self._canvas.selection)

    def _show(self) -> None:
        session, rows = self._session, self.rows
        document = session.document
        any_cells = document is not None and len(document.cells) > 0
        self.table.setVisible(any_cells)
        self.save.setVisible(any_cells)
        self.save.setEnabled(rows is not None)
        self.summary.setVisible(any_cells)
        self.empty.setVisible(not any_cells)
        if not any_cells:
            if document is None:
                self.empty.set_sentence(self.tr("Choose an image in the list at the left to measure its cells."))
                self.empty.set_button("")
            else:
                self.empty.set_sentence(
                    self.tr("No cells are drawn on this image yet. Draw some, or accept proposals in step 4.")
                )
                self.empty.set_button(self.tr("Draw cells"))
            return
        if rows is None:
            self.summary.setText(self.tr("Measuring..."))
            return
        median = float(np.median(rows["equivalent_diameter_px"])) if len(rows) else 0.0
        text = self.tr("{cells}\nMedian diameter {n} px").format(cells=counted.cells(len(rows)), n=f"{median:.1f}")
        if rows.pixel_size_um is not None and len(rows):
            median = float(np.median(rows["equivalent_diameter_um"]))
            text += self.tr(", {n} µm").format(n=f"{median:.1f}")
        else:
            text += "\n" + self.tr("The pixel size is not known, so there are no micrometres; set it in step 1.")
        self.summary.setText(text)

    # ---- table and image

    def _row_chosen(self) -> None:
        if self._quiet or self.rows is None:
            return
        chosen = [int(self.rows.ids[row]) for row in self.table.chosen()]
        self._quiet = True
        self._canvas.select(chosen)
        self._quiet = False
        if len(chosen) == 1:
            document = self._session.document
            box = document.cells.box(chosen[0]) if document is not None else None
            if box is not None:
                self._canvas.reveal(box)

    def _cell_chosen(self, cells: frozenset[int]) -> None:
        if self._quiet or self.rows is None or not self.isVisible():
            return
        self._quiet = True
        chosen = sorted(cells)
        if len(chosen) == 1:
            place = int(np.searchsorted(self.rows.ids, chosen[0]))
            found = place < len(self.rows) and int(self.rows.ids[place]) == chosen[0]
            self.table.choose(place if found else -1)
        elif not chosen:
            self.table.choose(-1)
        self._quiet = False

    # ---- saving

    def _save(self) -> None:
        project, session = self._session.project, self._session
        if project is None or session.image_id is None or self.rows is None:
            return
        entry = project.images.get(session.image_id)
        stem = file_stem(entry.name, session.z, session.t, several=is_stack(entry))
        start = session.preferences.values.last_folder or str(Path.home())
        name, _filter = QFileDialog.getSaveFileName(
            self, self.tr("Save the table of cells"), str(Path(start) / f"{stem}_cells.csv"), self.tr("CSV (*.csv)")
        )
        if name:
            self.save_to(Path(name if name.lower().endswith(".csv") else f"{name}.csv"))

    def save_to(self, path: Path) -> None:
        """Write the table to this file, in the background."""
        session, rows = self._session, self.rows
        if rows is None or session.project is None or session.image_id is None:
            return
        image, z, t = session.project.images.get(session.image_id).name, session.z, session.t
        session.preferences.set("last_folder", str(path.parent))

        def write() -> str:
            from cellseg1.errors import CellSeg1Error

            try:
                write_csv(path, rows, image, z, t)
            except CellSeg1Error as error:
                return str(error)
            return ""

        def written(problem: str) -> None:
            if problem:
                show_error(self.window(), problem)
            else:
                session.note.emit(self.tr("{cells} saved in {path}.").format(cells=counted.cells(len(rows)), path=path))

        session.run(write, written, self.tr("Saving the table"))
