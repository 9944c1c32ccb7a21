"""Sliders that choose cells from the proposals of the shown plane, at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ...session.planes import predictions, run_title
from ...theme import GAP, TIGHT, tabular
from ...translation import counted
from ...widgets.plain import Label, plain_tip
from ...widgets.slider_field import SliderField

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellseg1.prediction.select import SelectSettings

    from ...project.project import RunInfo
    from ...session.session import Session

#: Proposals of a lower score are not kept with a prediction, so lower values would do nothing.
_LOWEST = 0.3
_SMALLEST_MAX = 20_000.0


class Thresholds(QWidget):
    """The prediction that is shown, how many cells it gives, and the sliders."""

    #: The user wants the cells of the prediction in files.
    save_wanted = Signal()
    #: Another prediction of this image was chosen.
    run_chosen = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._first: SelectSettings | None = None
        self._writable = False

        self.runs = QComboBox()
        self.runs.setAccessibleName(self.tr("Prediction"))
        self.runs.setToolTip(self.tr("Earlier predictions stay; choose which one is shown"))
        self.runs.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.runs.setMinimumContentsLength(16)
        self.runs.activated.connect(self._choose_run)
        self.count = Label()
        self.count.setFont(tabular(self.count.font()))
        self.count.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self.runs)
        layout.addWidget(self.count)
        self._build_sliders(layout)
        self._build_buttons(layout)

        proposals = session.proposals
        proposals.changed.connect(self._show_count)
        proposals.run_changed.connect(self._loaded)
        self._loaded()

    def _build_sliders(self, layout: QVBoxLayout) -> None:
        self.score = SliderField(
            self.tr("Score"),
            _LOWEST,
            1.0,
            0.01,
            2,
            tip=self.tr("Only cells of which the network is at least this sure. Higher: fewer cells."),
        )
        self.stability = SliderField(
            self.tr("Stability"),
            _LOWEST,
            1.0,
            0.01,
            2,
            tip=self.tr("Only cells whose edge is at least this clear. Higher: fewer cells."),
        )
        self.overlap = SliderField(
            self.tr("Overlap"),
            0.0,
            1.0,
            0.01,
            2,
            tip=self.tr("Two outlines that overlap more than this share are one cell. Higher: more cells."),
        )
        self.smallest = SliderField(
            self.tr("Smallest cell"),
            1,
            _SMALLEST_MAX,
            1,
            0,
            self.tr("px²"),
            logarithmic=True,
            tip=self.tr("Leave out cells of a smaller area"),
        )
        self.largest = SliderField(
            self.tr("Largest cell"),
            1,
            1e6,
            1,
            0,
            self.tr("px²"),
            logarithmic=True,
            tip=self.tr("Leave out cells of a larger area; at the right end there is no limit"),
        )
        # The least area leaves out nothing.
        self.smallest.spin.setSpecialValueText(self.tr("any size"))
        self._follow(self.score, lambda now, value: replace(now, pred_iou_thresh=value))
        self.stability.value_changed.connect(
            lambda value: self._set(replace(self._settings, stability_score_thresh=value))
        )
        self._follow(self.overlap, lambda now, value: replace(now, crop_nms_thresh=value))
        self.smallest.value_changed.connect(
            lambda value: self._set(replace(self._settings, min_cell_area=0 if value <= 1 else int(value)))
        )
        self.largest.value_changed.connect(self._set_largest)
        for field in (self.score, self.stability, self.overlap, self.smallest, self.largest):
            layout.addWidget(field)

    def _build_buttons(self, layout: QVBoxLayout) -> None:
        self.reset = QPushButton(self.tr("Reset"))
        self.reset.setProperty("quiet", True)
        self.reset.setToolTip(self.tr("Back to the thresholds of this prediction"))
        self.reset.setAccessibleName(self.tr("Reset the thresholds"))
        self.reset.clicked.connect(self._reset)
        self.for_all = QPushButton(self.tr("Use for all images"))
        self.for_all.setToolTip(self.tr("Use these thresholds for all images of this prediction"))
        self.for_all.setAccessibleName(self.tr("Use for all images of this prediction"))
        self.for_all.clicked.connect(self._use_for_all)
        self.save = QPushButton(self.tr("Save all masks..."))
        self.save.setToolTip(self.tr("Save the cells of all images as files (Ctrl+E)"))
        self.save.setAccessibleName(self.tr("Save all masks"))
        self.save.clicked.connect(self.save_wanted)
        buttons = QHBoxLayout()
        buttons.setSpacing(TIGHT)
        buttons.addWidget(self.for_all, 1)
        buttons.addWidget(self.reset)
        layout.addLayout(buttons)
        layout.addWidget(self.save)

    # ---- which prediction

    def fill_runs(self) -> list[RunInfo]:
        """List the predictions that have proposals for the shown plane; returns them, the newest first."""
        session = self._session
        project = session.project
        found = []
        if project is not None and session.image_id is not None:
            plane = (session.image_id, session.z, session.t)
            found = [run for run in predictions(project) if project.runs.proposals_path(run.id, *plane).exists()]
        self.runs.blockSignals(True)
        self.runs.clear()
        for run in found:
            self.runs.addItem(run_title(run), run.id)
            tip = plain_tip(run_title(run, longest=200))
            self.runs.setItemData(self.runs.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        shown = self.runs.findData(session.proposals.run_id)
        if shown >= 0:
            self.runs.setCurrentIndex(shown)
        self.runs.blockSignals(False)
        self.runs.setEnabled(len(found) > 1)
        return found

    def _choose_run(self, index: int) -> None:
        run_id = self.runs.itemData(index)
        if run_id is not None and run_id != self._session.proposals.run_id:
            self.run_chosen.emit(run_id)

    # ---- sliders

    @property
    def _settings(self) -> SelectSettings:
        return self._session.proposals.settings

    def _follow(self, field: SliderField, changed: Callable[[SelectSettings, float], SelectSettings]) -> None:
        field.value_changed.connect(lambda value: self._set(changed(self._settings, value)))

    def _set(self, settings: SelectSettings) -> None:
        self._session.proposals.set_thresholds(settings)
        self._show_state()

    def _set_largest(self, value: float) -> None:
        limit = None if value >= self.largest.maximum else int(value)
        self._set(replace(self._settings, max_cell_area=limit))
        self._name_largest()

    def _name_largest(self) -> None:
        no_limit = self.largest.value >= self.largest.maximum
        self.largest.label.setText(self.tr("Largest cell (no limit)") if no_limit else self.tr("Largest cell"))

    def _loaded(self) -> None:
        """Show the thresholds of another prediction."""
        project = self._session.project
        self._writable = project is not None and not project.read_only
        self._first = self._settings
        self._show_values(self._first)
        self._show_count()

    def _show_values(self, settings: SelectSettings) -> None:
        plane = self._session.plane
        most = float(plane.shape[0] * plane.shape[1]) if plane is not None else 1e6
        for field, value in ((self.score, settings.pred_iou_thresh), (self.stability, settings.stability_score_thresh)):
            field.set_range(min(_LOWEST, value), 1.0)
            field.set_value(value)
        self.overlap.set_value(settings.crop_nms_thresh)
        self.smallest.set_range(1, max(min(_SMALLEST_MAX, most), 2.0))
        self.smallest.set_value(max(1, settings.min_cell_area))
        self.largest.set_range(1, max(most, 2.0))
        self.largest.set_value(most if settings.max_cell_area is None else settings.max_cell_area)
        self._name_largest()
        self._show_state()

    def _show_state(self) -> None:
        changed = self._first is not None and self._settings != self._first
        self.reset.setEnabled(changed)
        self.for_all.setEnabled(changed and self._writable)

    def _reset(self) -> None:
        if self._first is not None:
            self._session.proposals.set_thresholds(self._first)
            self._show_values(self._first)

    def _use_for_all(self) -> None:
        self._session.proposals.apply_to_run()
        self._first = self._settings
        self._show_state()

    def _show_count(self) -> None:
        proposals = self._session.proposals
        if proposals.selection is None:
            self.count.setText(self.tr("Loading...") if proposals.run_id is not None else "")
            return
        cells, left = len(proposals.selection.cells), len(proposals.offered)
        text = self.tr("{cells} in this image").format(cells=counted.cells(cells))
        if cells and not left:
            text = self.tr("{cells}, all drawn or rejected already").format(cells=text)
        elif left < cells:
            text = self.tr("{cells}, {n} of them drawn or rejected already").format(cells=text, n=cells - left)
        self.count.setText(text)
