"""Step 3: predict cells in other images, and choose the thresholds."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QCheckBox

from cellseg1.errors import CellSeg1Error, SettingsError

from ...session.planes import may_be_stack
from ...session.run_requests import PredictionWish
from ...translation import counted
from ...widgets.banner import Banner
from ...widgets.errors import show_error
from ...widgets.settings.form import SettingsForm
from ..shared.page import Page
from .choice import ImageChoice, ModelChoice
from .progress import Failures, PredictionProgress
from .scale import enough_cells, misfits, rescaling
from .thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PySide6.QtGui import QShowEvent
    from PySide6.QtWidgets import QWidget

    from ...canvas import Canvas
    from ...engine.jobs import JobHandle
    from ...session.session import Session

#: Settings of the sliders below the result, which the form before the prediction leaves out.
_SLIDERS = (
    "pred_iou_thresh",
    "stability_score_thresh",
    "crop_nms_thresh",
    "min_area",
    "max_area",
)


class PredictPanel(Page):
    """Model, images, progress, and the result with its sliders."""

    #: The masks of a run (its id, None for none) are to be saved.
    export_wanted = Signal(object)

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(session, canvas, parent)
        self.set_title(self.tr("Predict"))
        self._rescale: dict[str, float] = {}
        self._wanted_run: str | None = None
        self._looking = False
        self._soon = QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self._refresh_if_seen)

        self._build_input()
        self._build_progress()
        self._build_result()
        self.set_primary(self.tr("Predict"), "predict")
        self.primary_clicked.connect(self.press)

        session.project_changed.connect(self._project_changed)
        for signal in (session.images_changed, session.image_changed, session.models_changed, session.model_changed):
            signal.connect(self._soon.start)
        session.image_state_changed.connect(lambda _id: self._soon.start())
        session.image_changed.connect(lambda: QTimer.singleShot(0, self, self._keep_run))
        session.proposals.run_changed.connect(self._show_result)
        session.job_started.connect(self._job_started)
        session.job_ended.connect(self._job_ended)
        self._take_job()
        self.refresh()

    # ---- building

    def _build_input(self) -> None:
        self.model = ModelChoice(self._session)
        self.model.train_wanted.connect(lambda: self.step_wanted.emit("train"))
        self.model.models_wanted.connect(self.models_wanted)
        self.model.facts_changed.connect(self._take_facts)
        self.add(self.model)
        self.images = ImageChoice(self._session)
        self.images.changed.connect(self._show_misfits)
        self.images.changed.connect(self._show_primary)
        self.add(self.images)
        self.misfit = Banner()
        self.add(self.misfit)
        self.rescale_box = QCheckBox(self.tr("Rescale for the model"))
        self.rescale_box.setToolTip(
            self.tr("The model sees these images enlarged or reduced; the result has their original size")
        )
        self.rescale_box.setAccessibleName(self.tr("Rescale these images for the model"))
        self.add(self.rescale_box)
        self.form = SettingsForm(("prediction", "selection", "input", "environment"), hidden=(*_SLIDERS, "seed"))
        self.form.changed.connect(self._show_misfits)
        self.add(self.form)

    def _build_progress(self) -> None:
        self.progress = PredictionProgress()
        self.progress.state_changed.connect(self._show_primary)
        self.add_foot(self.progress)
        self.failures = Failures(self._session)
        self.progress.item_done.connect(self.failures.add)
        self.add(self.failures)

    def _build_result(self) -> None:
        self.result_title = self.add_heading(self.tr("Result"))
        self.result_hint = self.add_text("")
        self.thresholds = Thresholds(self._session)
        self.thresholds.save_wanted.connect(lambda: self.export_wanted.emit(self._session.proposals.run_id))
        self.thresholds.run_chosen.connect(self._choose_run)
        self.add(self.thresholds)

    # ---- showing

    def shown(self) -> None:
        """Update everything; called when the step is shown."""
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Show changes made while hidden."""
        super().showEvent(event)
        self.refresh()

    def _refresh_if_seen(self) -> None:
        if self.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Update models, images and result."""
        self.model.refresh()
        self.images.refresh()
        self._show_misfits()
        self._show_result()
        self._show_primary()

    def _project_changed(self) -> None:
        self.images.forget()
        self._wanted_run = None
        self._stop_looking()
        self.failures.clear()
        self._take_job()
        self._soon.start()

    def _take_facts(self) -> None:
        """Start from the settings of another model."""
        facts = self.model.facts
        if not facts.problem:
            with contextlib.suppress(SettingsError):
                self.form.set_base(facts.recipe, facts.backbone, preset=_without_backbone(facts.settings))

    # ---- scale

    def _diameters(self) -> dict[str, float]:
        """Return the median diameter of the cells of the shown image; other images would have to be opened first."""
        session = self._session
        document = session.document
        if document is None or session.image_id is None or not enough_cells(len(document.cells)):
            return {}
        return {session.image_id: document.cells.median_diameter()}

    def _show_misfits(self) -> None:
        found = misfits(self.model.facts, self.images.entries(), self._diameters())
        self._rescale = rescaling(self.model.facts, found)
        self.rescale_box.setVisible(bool(found))
        if not found:
            self.misfit.clear()
            return
        least, most = min(one.ratio for one in found), max(one.ratio for one in found)
        factor = f"{least:.1f}" if f"{least:.1f}" == f"{most:.1f}" else f"{least:.1f} to {most:.1f}"
        if len(found) == 1:
            name = self._session.require_project().images.get(found[0].image_id).name
            text = self.tr("In {name} cells are {factor} times as large as those the model was made for.")
            text = text.format(name=name, factor=factor)
        else:
            text = self.tr("In {images} cells are {factor} times as large as those the model was made for.")
            text = text.format(images=counted.images(len(found)), factor=factor)
        if self._finds_scale():
            text += " " + self.tr("It looks for their size by itself. Rescaling sets exactly this size instead.")
            self.misfit.show_message(text, "info", dismissable=False)
            return
        text += " " + self.tr("It may miss cells; rescaling helps, and the result keeps the original size.")
        self.misfit.show_message(text, "warning", dismissable=False)

    def _finds_scale(self) -> bool:
        """Tell whether the model fits the scale to the cells of each image (setting `image_scale`)."""
        return self.form.value("image_scale") == "own" and self.form.value("target_diameter") is not None

    # ---- running

    def _show_primary(self) -> None:
        button = self.primary
        if button is None:
            return
        project = self._session.project
        if self.progress.job is not None:
            stopping = self.progress.job.state == "stopping"
            text = self.tr("Stopping...") if stopping else self.tr("Cancel (keep what is done)")
            self.set_primary(text, "stop", self.tr("Images that are done stay predicted"))
            button.setEnabled(not stopping)
            return
        if self._looking:
            self.set_primary(self.tr("Looking at the images..."), "predict", self.tr("How many planes have they?"))
            button.setEnabled(False)
            return
        planes = self.images.planes()
        count = len({plane[0] for plane in planes})
        text = self.tr("Predict") if count < 2 else self.tr("Predict {images}").format(images=counted.images(count))
        tip = ""
        if project is None or not project.images:
            tip = self.tr("Add images first")
        elif project.read_only:
            tip = project.why_read_only
        elif not planes:
            tip = self.tr("There is no such image; choose others")
        elif self.model.facts.problem:
            tip = self.model.facts.problem
        self.set_primary(text, "predict", tip or self.tr("Find the cells in these images"))
        button.setEnabled(not tip)

    def press(self) -> None:
        """Start a prediction, or cancel the running one."""
        if self.progress.job is not None:
            self.progress.job.stop()
            self._show_primary()
            return
        if self._looking:
            return
        problems = self.form.problems()
        if problems:
            show_error(self, next(iter(problems.values())))
            return
        unknown = [one.id for one in self.images.entries() if may_be_stack(one)]
        if unknown and not self.images.is_shown_one:
            self._look_at(unknown)
            return
        self.start()

    def _look_at(self, image_ids: list[str]) -> None:
        """Find the number of planes of images that were never opened, since all planes are predicted."""
        self._looking = True
        self.progress.show_looking(0, len(image_ids))

        def looked() -> None:
            self._stop_looking()
            self.start()

        self._show_primary()
        self._session.look_at_images(
            image_ids, looked, lambda number: self.progress.show_looking(number, len(image_ids))
        )

    def _stop_looking(self) -> None:
        if self._looking:
            self._looking = False
            self.progress.setVisible(self.progress.job is not None)
            self._show_primary()

    def start(self) -> None:
        """Start the prediction."""
        self.failures.clear()
        self._wanted_run = None
        try:
            self._session.start_prediction(
                PredictionWish(
                    planes=self.images.planes(),
                    model=self._session.model,
                    backbone=self.model.facts.backbone,
                    overrides=self.form.overrides(),
                    rescale=self._rescale if self.rescale_box.isChecked() else {},
                )
            )
        except CellSeg1Error as error:
            show_error(self, str(error))

    def _job_started(self, job: JobHandle) -> None:
        if job.kind == "predict" and job is not self.progress.job:
            self.progress.follow(job)
            self._show_primary()

    def _take_job(self) -> None:
        """Show the prediction of the project that is shown now, if one runs there, and no other."""
        job = self._session.prediction
        if job is self.progress.job:
            return
        self.progress.let_go()
        if job is not None:
            self._job_started(job)

    def _job_ended(self, job: JobHandle) -> None:
        if job is self.progress.job:
            self.progress.let_go()
            self.refresh()

    # ---- result

    def _choose_run(self, run_id: str) -> None:
        self._wanted_run = run_id
        self._session.proposals.reload(run_id)

    def _keep_run(self) -> None:
        """Keep showing the chosen prediction on images that have it."""
        session, wanted = self._session, self._wanted_run
        project = session.project
        if wanted is None or project is None or session.image_id is None or session.proposals.run_id == wanted:
            return
        if project.runs.proposals_path(wanted, session.image_id, session.z, session.t).exists():
            session.proposals.reload(wanted)

    def _show_result(self) -> None:
        self.thresholds.fill_runs()
        shown = self._session.proposals.run_id
        self.thresholds.setVisible(shown is not None)
        self.result_hint.setVisible(shown is None)
        if shown is not None:
            return
        project = self._session.project
        if project is None or not project.images:
            text = self.tr("Add images to the project first.")
        elif self.progress.job is not None:
            text = self.tr("The cells of this image appear when it is done.")
        else:
            text = self.tr("This image is not predicted yet. Press Predict; the cells found then appear over it.")
        self.result_hint.setText(text)


def _without_backbone(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (settings or {}).items() if key != "vit_name"}
