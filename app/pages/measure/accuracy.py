"""Accuracy: predictions against the truth, with the list of errors that leads to each."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from cellseg1._version import __version__
from cellseg1.errors import CellSeg1Error
from cellseg1.evaluation import Report

from ...session.batch import Batch
from ...theme import GAP, TIGHT, heading, icon, tabular
from ...translation import counted
from ...widgets.banner import Banner
from ...widgets.errors import show_error
from ...widgets.number_table import NumberTable, fit_height
from ...widgets.panel import Panel
from ...widgets.plain import Label, plain_tip
from ...widgets.plots.ap_curve import ApCurve
from .compare import CompareView
from .errors import ErrorList
from .report import ReportText, at_level, columns, mean_row, row_of, write_csv, write_pdf, write_png
from .scores import PlaneScore, find_pairs, score_pair, take_drawn
from .sources import PredictionBox, TruthBox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtGui import QShowEvent

    from ...canvas import Canvas
    from ...session.batch import Outcome
    from ...session.session import Session
    from ...widgets.banner import Kind
    from .scores import Drawn, Pair


class AccuracyTab(Panel):
    """What is compared, the scores, and the errors."""

    step_wanted = Signal(str)

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__("", parent=parent)
        self.title.hide()
        self.setAccessibleName(self.tr("Accuracy"))
        self._session = session
        self._canvas = canvas
        self.report: Report | None = None
        self.results: list[PlaneScore] = []
        self._about: tuple[str, ...] = ()
        self._batch: Batch[Pair, Drawn, PlaneScore, None] | None = None
        self._quiet = False
        self._compare: CompareView | None = None
        self._where_to = ""
        self._soon = QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self._refresh_if_seen)

        self._build_input()
        self._build_result()
        self.mistakes = ErrorList(session, canvas)
        self.mistakes.image_wanted.connect(self.table.choose)
        self.add(self.mistakes)
        self.set_primary(self.tr("Compare with the truth"), "measure")
        self.primary_clicked.connect(self.press)

        session.project_changed.connect(self._project_changed)
        session.images_changed.connect(self._soon.start)
        session.image_state_changed.connect(lambda _id: self._soon.start())
        session.job_ended.connect(lambda _job: self._soon.start())
        session.document_edited.connect(self._edited)
        self.refresh()

    # ---- building

    def _build_input(self) -> None:
        self.truth = TruthBox(self._session, self.tr("Truth"), self.tr("What is right"))
        self.prediction = PredictionBox(self._session, self.tr("Prediction"), self.tr("What is judged"))
        for title, box in ((self.tr("Truth"), self.truth), (self.tr("Prediction"), self.prediction)):
            self.add_heading(title).setBuddy(box)
            self.add(box)
            box.changed.connect(self._input_changed)
        self.hint = self.add_text("")
        self.go_button = QPushButton()
        self.go_button.setProperty("quiet", True)
        self.go_button.clicked.connect(lambda: self.step_wanted.emit(self._where_to))
        self.body.addWidget(self.go_button, 0, Qt.AlignmentFlag.AlignLeft)
        self.remarks = Banner()
        self.add(self.remarks)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(self.tr("Progress of the comparison"))
        self.progress_line = Label()
        self.progress_line.setProperty("secondary", True)
        self.progress_line.setWordWrap(True)
        self.progress_area = QWidget()
        layout = QVBoxLayout(self.progress_area)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(TIGHT)
        layout.addWidget(self.progress)
        layout.addWidget(self.progress_line)
        self.progress_area.hide()
        self.add_foot(self.progress_area)

    def _build_result(self) -> None:
        self.result = QWidget()
        layout = QVBoxLayout(self.result)
        layout.setContentsMargins(0, GAP, 0, 0)
        layout.setSpacing(GAP)
        self.headline = Label()
        self.headline.setFont(tabular(heading(self.font(), 2)))
        self.headline.setToolTip(self.tr("Share of cells found right: found / (found + missed + invented)"))
        self.subline = Label()
        self.subline.setProperty("secondary", True)
        self.subline.setWordWrap(True)
        self.curve = ApCurve()
        self.table = NumberTable()
        self.table.setAccessibleName(self.tr("Scores of each image"))
        self.table.setToolTip(self.tr("A row lists the errors of its image; Ctrl+C copies"))
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._image_row_chosen())
        self.table.doubleClicked.connect(lambda _index: self._show_row_image())
        self.compare_button = QPushButton(icon("columns"), self.tr("Compare..."))
        self.compare_button.setToolTip(self.tr("See truth, prediction and errors side by side"))
        self.compare_button.setAccessibleName(self.tr("Compare side by side"))
        self.compare_button.clicked.connect(self.open_compare)
        self.save_button = QPushButton(icon("export"), self.tr("Save..."))
        self.save_button.setToolTip(self.tr("Save the report as CSV, PNG or PDF"))
        self.save_button.setAccessibleName(self.tr("Save the report"))
        menu = QMenu(self.save_button)
        for text, suffix in (
            (self.tr("Table (CSV)..."), "csv"),
            (self.tr("Page as picture (PNG)..."), "png"),
            (self.tr("Page (PDF)..."), "pdf"),
        ):
            action = QAction(text, menu)
            action.triggered.connect(lambda _on=False, suffix=suffix: self._save(suffix))
            menu.addAction(action)
        self.save_button.setMenu(menu)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.compare_button, 1)
        row.addWidget(self.save_button, 1)
        for widget in (self.headline, self.subline, self.curve, self.table):
            layout.addWidget(widget)
        layout.addLayout(row)
        self.add(self.result)

    # ---- what can be done now

    def shown(self) -> None:
        """Bring everything up to date; called when one comes to this step."""
        self.refresh()
        self.mistakes.show_marks()

    def _refresh_if_seen(self) -> None:
        if self.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Show what there is to compare, and the result."""
        self.truth.fill()
        self.prediction.fill()
        self._show_state()

    def _input_changed(self) -> None:
        self._show_state()

    def _lacking(self) -> tuple[str, str]:
        """Return what is missing and the step that makes it; empty when nothing is."""
        if self._session.project is None:
            return self.tr("Open a project first."), ""
        if self.prediction.side() is None:
            return self.tr("Nothing is predicted yet. Predict some images, or choose a folder of masks."), "predict"
        truth = self.truth.side()
        if truth is not None and truth.folder is None:
            if truth.checked_only and not self.truth.any_checked:
                return self.tr("No image is checked yet. Correct one and mark it as checked in step 4."), "review"
            if not truth.checked_only and not self.truth.any_drawn:
                return self.tr(
                    "No cells are drawn yet. Draw the right cells of an image that is predicted."
                ), "annotate"
        return "", ""

    def _show_state(self) -> None:
        lacking, step = self._lacking()
        self._where_to = step
        names = {
            "predict": self.tr("Go to Predict"),
            "review": self.tr("Go to Review"),
            "annotate": self.tr("Go to Annotate"),
        }
        self.go_button.setVisible(bool(lacking and step))
        self.go_button.setText(names.get(step, ""))
        self.go_button.setAccessibleName(names.get(step, ""))
        self.go_button.setToolTip(plain_tip(names.get(step, "")))
        there = self.report is not None
        self.result.setVisible(there)
        self.mistakes.setVisible(there)
        running = self._batch is not None
        if lacking:
            self.hint.setText(lacking)
        elif not there and not running:
            self.hint.setText(self.tr("Compare to see how many cells are found right, and where the errors are."))
        self.hint.setVisible(bool(lacking) or (not there and not running))
        self.progress_area.setVisible(running)
        if self.primary is not None:
            if running:
                self.set_primary(self.tr("Cancel"), "stop")
            else:
                text = self.tr("Compare again") if there else self.tr("Compare with the truth")
                self.set_primary(text, "measure", lacking)
            self.primary.setEnabled(running or not lacking)

    # ---- computing

    def press(self) -> None:
        """Compare, or cancel the comparison."""
        if self._batch is not None:
            self._batch.cancel()
            return
        session = self._session
        truth, prediction = self.truth.side(), self.prediction.side()
        if truth is None or prediction is None:
            return
        try:
            found = find_pairs(session.project, truth, prediction)
        except CellSeg1Error as error:
            self.remarks.show_message(str(error), "warning")
            return
        self._remark(found.remarks)
        self._about = (
            self.tr("Truth: {what}").format(what=self.truth.words()),
            *(self.tr("Prediction: {what}").format(what=line) for line in self.prediction.words()[:1]),
            *self.prediction.words()[1:],
        )
        project = session.project
        batch: Batch[Pair, Drawn, PlaneScore, None] = Batch(
            session,
            found.pairs,
            score_pair,
            prepare=lambda pair: take_drawn(project, pair),
            name=lambda pair: pair.name,
            parent=self,
        )
        batch.progressed.connect(self._progressed)
        batch.finished.connect(self._finished)
        batch.cancelled.connect(self._cancelled)
        batch.failed.connect(self._failed)
        self._batch = batch
        self.progress.setRange(0, len(found.pairs))
        self.progress.setValue(0)
        self._show_state()
        batch.start()

    def _remark(self, lines: Sequence[str], kind: Kind = "info") -> None:
        if lines:
            self.remarks.show_message("\n".join(lines), kind)
        else:
            self.remarks.clear()

    def _progressed(self, done: int, total: int, name: str) -> None:
        self.progress.setValue(done)
        self.progress_line.setText(f"{name} ({min(done + 1, total)} / {total})" if name else "")

    def _end(self) -> None:
        if self._batch is not None:
            self._batch.deleteLater()
        self._batch = None

    def _finished(self, outcomes: list[Outcome[Pair, PlaneScore]]) -> None:
        self._end()
        good = [one.value for one in outcomes if one.value is not None]
        bad = [f"{one.item.name}: {one.error}" for one in outcomes if one.error]
        if bad:
            left = [self.tr("... and {n} more").format(n=len(bad) - 4)] if len(bad) > 4 else []
            self._remark(
                [self.tr("Left out: {images}").format(images=counted.images(len(bad))), *bad[:4], *left], "warning"
            )
        if good:
            self.set_results(good)
        else:
            self._show_state()

    def _cancelled(self, _outcomes: list[Outcome[Pair, PlaneScore]]) -> None:
        self._end()
        self._remark([self.tr("Cancelled; the result before is kept.")] if self.report else [self.tr("Cancelled.")])
        self._show_state()

    def _failed(self, sentence: str, details: str) -> None:
        self._end()
        self._show_state()
        show_error(self, sentence, details)

    def set_results(self, results: list[PlaneScore]) -> None:
        """Show these scores."""
        self.results = results
        self.report = Report(tuple(one.score for one in results))
        report = self.report
        ap = at_level(report.ap, 0.5)
        self.headline.setText(f"AP {ap:.3f}")
        parts = [
            self.tr("mean of {images} at an overlap of 0.5").format(images=counted.images(len(results))),
            f"F1 {report.f1:.3f}, PQ {report.pq:.3f}, SEG {report.seg:.3f}",
        ]
        cut = sum(1 for one in results if one.region is not None)
        if cut:
            parts.append(self.tr("{images} compared within the annotated region").format(images=counted.images(cut)))
        self.subline.setText("\n".join(parts))
        self.curve.set_report(report)
        rows = [row_of(one.score) for one in results]
        rows.append(mean_row(report))
        tips = (
            self.tr("Image; the last row is the mean, and the sum of the errors"),
            self.tr("Share of cells found right at an overlap of at least one half"),
            self.tr("The same at an overlap of at least three quarters"),
            self.tr("Mean of precision and recall at an overlap of one half"),
            self.tr("Panoptic quality: how many cells are found times how well they fit"),
            self.tr("Mean overlap of the true cells, 0 where one is not found"),
            self.tr("True cells that were not found"),
            self.tr("Predicted cells where there is none"),
            self.tr("True cells that were cut into several"),
            self.tr("Predicted cells that cover several true ones"),
        )
        self._quiet = True
        self.table.set_table(columns(), rows, (0, 3, 3, 3, 3, 3, 0, 0, 0, 0), tips, summary=True)
        self._quiet = False
        fit_height(self.table, len(rows), 8)
        self._show_state()
        self.mistakes.set_results(results)

    def _project_changed(self) -> None:
        self.results, self.report = [], None
        self.mistakes.set_results([])
        self.curve.set_report(None)
        self.remarks.clear()
        if self._compare is not None:
            self._compare.close()
        self._soon.start()

    def _edited(self) -> None:
        if self.report is None or not self.isVisible():
            return
        plane = (self._session.image_id, self._session.z, self._session.t)
        if any(one.pair.plane == plane and one.pair.truth is None for one in self.results):
            self.remarks.show_message(self.tr("Cells of this image changed since; compare again."), "info")

    # ---- images

    def _chosen_row(self) -> int | None:
        rows = [row for row in self.table.chosen() if row < len(self.results)]
        return rows[0] if rows else None

    def _image_row_chosen(self) -> None:
        if self._quiet:
            return
        row = self._chosen_row()
        self.curve.set_chosen(None if row is None else self.results[row].score.name)
        self.mistakes.list_errors(row)

    def _show_row_image(self) -> None:
        row = self._chosen_row()
        plane = self.results[row].pair.plane if row is not None else None
        if plane is not None:
            self.mistakes.open_image(plane)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Show what changed meanwhile."""
        super().showEvent(event)
        self.refresh()

    # ---- compare and save

    def open_compare(self) -> None:
        """Open the side-by-side view at the chosen image, or at the shown one, or at the first."""
        if not self.results:
            return
        index = self._chosen_row()
        if index is None:
            index = self.mistakes.result_here() or 0
        if self._compare is None:
            self._compare = CompareView(self._session, self.window())
            self._compare.finished.connect(self._compare_closed)
        self._compare.set_results(self.results, index)
        self._compare.show()
        self._compare.raise_()

    def _compare_closed(self, _code: int = 0) -> None:
        if self._compare is not None:
            self._compare.deleteLater()
        self._compare = None

    def _save(self, suffix: str) -> None:
        start = self._session.preferences.values.last_folder or str(Path.home())
        kinds = {"csv": self.tr("CSV (*.csv)"), "png": self.tr("PNG (*.png)"), "pdf": self.tr("PDF (*.pdf)")}
        name, _filter = QFileDialog.getSaveFileName(
            self, self.tr("Save the report"), str(Path(start) / f"accuracy.{suffix}"), kinds[suffix]
        )
        if name:
            path = Path(name)
            self.save_to(path if path.suffix.lower() == f".{suffix}" else path.with_name(f"{path.name}.{suffix}"))

    def save_to(self, path: Path) -> None:
        """Save the report; the suffix tells how."""
        if self.report is None:
            return
        try:
            if path.suffix.lower() == ".csv":
                write_csv(path, self.report)
            elif path.suffix.lower() == ".pdf":
                write_pdf(path, self.report, self.report_text())
            else:
                write_png(path, self.report, self.report_text())
        except CellSeg1Error as error:
            show_error(self, str(error))
            return
        self._session.preferences.set("last_folder", str(path.parent))
        self._session.note.emit(self.tr("The report is saved in {path}.").format(path=path))

    def report_text(self) -> ReportText:
        """Return what is written over the table of the report."""
        project = self._session.project
        name = project.name if project is not None else ""
        today = dt.datetime.now().astimezone().strftime("%Y-%m-%d")
        made = self.tr("{n}, {date}, CellSeg1 Studio {version}").format(
            n=counted.images(len(self.results)), date=today, version=__version__
        )
        return ReportText(self.tr("Accuracy: {name}").format(name=name), (*self._about, made))
