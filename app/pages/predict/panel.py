"""Step 3: let a model find the cells in other images, and choose how sure it has to be."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.pages.predict.choose_images import ChooseImagesDialog
from app.pages.predict.scale import ModelFacts, enough_cells, facts_of, misfits, rescaling
from app.pages.predict.thresholds import Thresholds
from app.pages.shared.page import Page
from app.session.planes import Plane, flags, may_be_stack, plane_title, planes_of
from app.theme import TIGHT
from app.translation import counted as words
from app.translation.library_words import shown
from app.translation.time_left import time_left
from app.widgets.banner import Banner
from app.widgets.errors import show_error
from app.widgets.plain import Label, plain_tip
from app.widgets.settings.form import SettingsForm
from app.widgets.showing import ask
from app.widgets.slider_field import WheelGuard
from cellseg1.errors import CellSeg1Error, SettingsError
from cellseg1.sam.registry import backbone_names
from cellseg1.sam.store import locate
from cellseg1.settings import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PySide6.QtCore import QMetaObject
    from PySide6.QtGui import QShowEvent

    from app.canvas import Canvas
    from app.engine.jobs import JobHandle
    from app.engine.messages import ItemDone, Progress
    from app.project.project import ProjectImage
    from app.session.session import Session

#: What the sliders below the result change is not asked for before the prediction.
_SLIDERS = (
    "pred_iou_thresh",
    "stability_score_thresh",
    "crop_nms_thresh",
    "min_area",
    "max_area",
)
_PLANE = Qt.ItemDataRole.UserRole
#: Before the name of a backbone that is used as it is.
_PLAIN = "plain:"
#: Failures that are seen without scrolling.
_MOST_FAILURES = 4


class PredictPanel(Page):
    """Model, images, progress, and the result with its sliders."""

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(session, canvas, parent)
        self.set_title(self.tr("Predict"))
        self._chosen: list[str] = []
        self._facts = ModelFacts("")
        self._rescale: dict[str, float] = {}
        self._wanted_run: str | None = None
        self._job: JobHandle | None = None
        self._heard: list[QMetaObject.Connection] = []
        self._looking = False
        self._guard = WheelGuard(self)
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
        session.proposals.changed.connect(self._show_result)
        session.jobs.started.connect(self._job_started)
        session.jobs.ended.connect(self._job_ended)
        self._take_job()
        self.refresh()

    # ---- building

    def _build_input(self) -> None:
        self.models = self._combo(self.tr("Model"), self.tr("What finds the cells"))
        self.models.activated.connect(self._choose_model)
        self.model_line = self.add_text("")
        self.train_button = self._quiet(self.tr("Train a model"), self.tr("Go to step 2 (Ctrl+2)"))
        self.train_button.clicked.connect(lambda: self.step_wanted.emit("train"))
        self.models_button = self._quiet(self.tr("All models..."), self.tr("Import, export and rename models (Ctrl+M)"))
        self.models_button.clicked.connect(self.models_wanted)
        row = QHBoxLayout()
        row.setSpacing(TIGHT)
        row.addWidget(self.train_button)
        row.addWidget(self.models_button)
        row.addStretch(1)
        self.body.addLayout(row)
        self.scope = self._combo(self.tr("Images"), self.tr("Which images to predict"))
        self.scope.activated.connect(self._choose_scope)
        self.misfit = Banner()
        self.add(self.misfit)
        self.rescale_box = QCheckBox(self.tr("Rescale for the model"))
        self.rescale_box.setToolTip(
            self.tr("The model sees these images enlarged or reduced; the result has their original size")
        )
        self.rescale_box.setAccessibleName(self.tr("Rescale these images for the model"))
        self.add(self.rescale_box)
        self.form = SettingsForm(("predict", "input", "environment"), hidden=(*_SLIDERS, "seed"))
        self.form.changed.connect(self._show_misfits)
        self.add(self.form)

    def _build_progress(self) -> None:
        self.progress_area = QWidget()
        layout = QVBoxLayout(self.progress_area)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(TIGHT)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(self.tr("Progress of the prediction"))
        self.progress_line = Label()
        self.progress_line.setWordWrap(True)
        self.progress_line.setProperty("secondary", True)
        layout.addWidget(self.progress)
        layout.addWidget(self.progress_line)
        self.add_foot(self.progress_area)
        self.progress_area.hide()

        self.failures_title = self.add_heading(self.tr("Not predicted"))
        self.failures = QListWidget()
        self.failures.setWordWrap(True)
        self.failures.setAccessibleName(self.tr("Images that could not be predicted, with reasons"))
        self.failures.setToolTip(self.tr("Return or a double click shows the image"))
        self.failures.itemActivated.connect(self._show_failed)
        self.add(self.failures)
        self.failures_title.hide()
        self.failures.hide()

    def _build_result(self) -> None:
        self.result_title = self.add_heading(self.tr("Result"))
        self.result_hint = self.add_text("")
        self.thresholds = Thresholds(self._session)
        self.thresholds.save_wanted.connect(self._save)
        self.thresholds.run_chosen.connect(self._choose_run)
        self.add(self.thresholds)

    def _combo(self, title: str, tip: str) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(title)
        box.setToolTip(plain_tip(tip))
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(16)
        self._guard.guard(box)
        label = self.add_heading(title)
        label.setBuddy(box)
        self.add(box)
        return box

    def _quiet(self, text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setProperty("quiet", True)
        button.setToolTip(plain_tip(tip))
        button.setAccessibleName(text)
        return button

    # ---- showing

    def shown(self) -> None:
        """Bring everything up to date; called when one comes to this step."""
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Show what changed meanwhile."""
        super().showEvent(event)
        self.refresh()

    def _refresh_if_seen(self) -> None:
        if self.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Show models, images and result anew."""
        self._fill_models()
        self._fill_scope()
        self._show_misfits()
        self._show_result()
        self._show_primary()

    def _project_changed(self) -> None:
        self._chosen = []
        self._wanted_run = None
        self._stop_looking()
        self.failures.clear()
        self._show_failures()
        self._take_job()
        self._soon.start()

    def _fill_models(self) -> None:
        session, project = self._session, self._session.project
        self.models.blockSignals(True)
        self.models.clear()
        self.models.addItem(self.tr("tiny, not trained"), None)
        for name in backbone_names():
            if name != DEFAULT_BACKBONE and locate(name) is not None:
                self.models.addItem(self.tr("{name}, not trained").format(name=name), f"{_PLAIN}{name}")
        own = list(project.models) if project is not None else []
        library = [one for one in project.library_models() if not one.problem] if project is not None else []
        for model in own:
            if not model.problem:
                self.models.addItem(model.name, str(model.path))
        if library:
            self.models.insertSeparator(self.models.count())
            for model in library:
                self.models.addItem(self.tr("{name} (library)").format(name=model.name), str(model.path))
        current = session.model
        backbone = session.backbone
        plain = None if backbone == DEFAULT_BACKBONE else f"{_PLAIN}{backbone}"
        index = max(0, self.models.findData(plain)) if current is None else self.models.findData(str(current))
        if index < 0 and current is not None:
            self.models.addItem(current.stem, str(current))
            index = self.models.count() - 1
        self.models.setCurrentIndex(index)
        self.models.blockSignals(False)
        self.train_button.setVisible(not own and not library)
        self._show_model(current)

    def _show_model(self, path: Path | None) -> None:
        facts = facts_of(path, self._session.backbone)
        changed = facts != self._facts
        self._facts = facts
        if changed and not facts.problem:
            with contextlib.suppress(SettingsError):
                self.form.set_base(facts.recipe, facts.backbone, preset=_without_backbone(facts.settings))
        self.model_line.setText(self._about(facts, trained=path is not None))

    def _about(self, facts: ModelFacts, *, trained: bool) -> str:
        if facts.problem:
            return facts.problem
        if not trained:
            return self.tr("The network as it comes. Trained on a few dozen of your cells it finds far more of them.")
        parts = []
        if facts.images:
            parts.append(self.tr("trained on {images}").format(images=words.images(facts.images)))
        if facts.diameter:
            parts.append(self.tr("cells of {n} px").format(n=round(facts.diameter)))
        if facts.ap_training is not None:
            parts.append(self.tr("AP {ap} there").format(ap=f"{facts.ap_training:.2f}"))
        if facts.channels:
            shown = (self.tr("channel {n}").format(n=int(one) + 1) if one.isdigit() else one for one in facts.channels)
            parts.append(self.tr("sees {channels}").format(channels=", ".join(shown)))
        return ", ".join(parts)[:1].upper() + ", ".join(parts)[1:] if parts else ""

    def _choose_model(self, index: int) -> None:
        data = self.models.itemData(index)
        if isinstance(data, str) and data.startswith(_PLAIN):
            self._session.set_model(None, data.removeprefix(_PLAIN))
        else:
            self._session.set_model(None if data is None else Path(data))

    def _fill_scope(self) -> None:
        project = self._session.project
        kept = self.scope.currentData()
        entries = list(project.images) if project is not None else []
        numbers = {
            "empty": sum(1 for one in entries if not _all(one, "cells")),
            "unchecked": sum(1 for one in entries if not _all(one, "checked")),
        }
        known = {one.id for one in entries}
        self._chosen = [one for one in self._chosen if one in known]
        self.scope.blockSignals(True)
        self.scope.clear()
        self.scope.addItem(self.tr("This image"), "this")
        self.scope.addItem(self.tr("Without cells: {n}").format(n=numbers["empty"]), "empty")
        self.scope.addItem(self.tr("Not checked: {n}").format(n=numbers["unchecked"]), "unchecked")
        self.scope.addItem(self.tr("All: {n}").format(n=len(entries)), "all")
        if self._chosen:
            self.scope.addItem(self.tr("Chosen: {n}").format(n=len(self._chosen)), "chosen")
        self.scope.addItem(self.tr("Choose in a list..."), "choose")
        if project is not None and not project.read_only:
            self.scope.addItem(self.tr("All of a folder..."), "folder")
        self.scope.setCurrentIndex(max(0, self.scope.findData(kept)))
        self.scope.blockSignals(False)

    def _choose_scope(self, index: int) -> None:
        project = self._session.project
        if self.scope.itemData(index) == "folder":
            self._take_folder()
            return
        if self.scope.itemData(index) == "choose":
            if project is not None:
                dialog = ChooseImagesDialog(project, self._chosen, self.window())
                if ask(dialog):
                    self._chosen = dialog.chosen()
            self._fill_scope()
            self.scope.setCurrentIndex(max(0, self.scope.findData("chosen" if self._chosen else "this")))
        self._show_misfits()
        self._show_primary()

    def _take_folder(self) -> None:
        """Ask for a folder, and choose its images; those that are not in the project yet are linked to it."""
        preferences = self._session.preferences
        name = QFileDialog.getExistingDirectory(
            self.window(), self.tr("Predict all images of a folder"), preferences.values.last_folder
        )
        if name:
            preferences.set("last_folder", name)
            self.choose_folder(Path(name))
            return
        self.scope.setCurrentIndex(max(0, self.scope.findData("chosen" if self._chosen else "this")))
        self._fill_scope()
        self._show_misfits()
        self._show_primary()

    def choose_folder(self, folder: Path) -> None:
        """Choose the images of a folder."""
        session = self._session
        project = session.project
        if project is None:
            return
        try:
            report = session.add_images([folder], copy=False)
        except CellSeg1Error as error:
            show_error(self, str(error))
            return
        places = {one.id: project.image_path(one.id) for one in project.images}
        present = set(report.present.values())
        self._chosen = [one for one, path in places.items() if folder in path.parents or one in present]
        self._fill_scope()
        self.scope.setCurrentIndex(max(0, self.scope.findData("chosen" if self._chosen else "this")))
        self._show_misfits()
        self._show_primary()
        left_out = [path.name for path, _ in report.skipped if not path.is_dir() and path not in report.present]
        if left_out:
            session.note.emit(
                self.tr("Left out, because they are no images: {names}").format(names=", ".join(left_out))
            )
        if not self._chosen:
            session.note.emit(self.tr("There are no images in {folder}.").format(folder=folder.name))

    def image_entries(self) -> list[ProjectImage]:
        """Return the images of the project that are to be predicted."""
        session, project = self._session, self._session.project
        if project is None:
            return []
        match self.scope.currentData():
            case "empty":
                return [one for one in project.images if not _all(one, "cells")]
            case "unchecked":
                return [one for one in project.images if not _all(one, "checked")]
            case "all":
                return list(project.images)
            case "chosen":
                wanted = set(self._chosen)
                return [one for one in project.images if one.id in wanted]
        return [one for one in project.images if one.id == session.image_id]

    def planes(self) -> list[Plane]:
        """Return the planes to be predicted: the shown one, or all planes of the images."""
        session = self._session
        if self.scope.currentData() in (None, "this"):
            return [(session.image_id, session.z, session.t)] if session.image_id is not None else []
        found = []
        for entry in self.image_entries():
            for plane in planes_of(entry):
                note = flags(entry, plane)
                skip = {"empty": note.get("cells"), "unchecked": note.get("checked")}.get(self.scope.currentData())
                if not skip:
                    found.append(plane)
        return found

    # ---- scale

    def _diameters(self) -> dict[str, float]:
        """Return the median diameter of the cells of the shown image; others would have to be opened first."""
        session = self._session
        document = session.document
        if document is None or session.image_id is None or not enough_cells(len(document.cells)):
            return {}
        return {session.image_id: document.cells.median_diameter()}

    def _show_misfits(self) -> None:
        found = misfits(self._facts, self.image_entries(), self._diameters())
        self._rescale = rescaling(self._facts, found)
        self.rescale_box.setVisible(bool(found))
        if not found:
            self.misfit.clear()
            return
        least, most = min(one.ratio for one in found), max(one.ratio for one in found)
        factor = f"{least:.1f}" if f"{least:.1f}" == f"{most:.1f}" else f"{least:.1f} to {most:.1f}"
        if len(found) == 1:
            name = self._session.require_project().image(found[0].image_id).name
            text = self.tr("In {name} cells are {factor} times as large as those the model was made for.")
            text = text.format(name=name, factor=factor)
        else:
            text = self.tr("In {images} cells are {factor} times as large as those the model was made for.")
            text = text.format(images=words.images(len(found)), factor=factor)
        if self._finds_scale():
            text += " " + self.tr("It looks for their size by itself. Rescaling sets exactly this size instead.")
            self.misfit.show_message(text, "info", dismissable=False)
            return
        text += " " + self.tr("It may miss cells; rescaling helps, and the result keeps the original size.")
        self.misfit.show_message(text, "warning", dismissable=False)

    def _finds_scale(self) -> bool:
        """Whether the model looks at each image at the scale of its own cells (setting `image_scale`)."""
        return self.form.value("image_scale") == "own" and self.form.value("target_diameter") is not None

    # ---- running

    def _show_primary(self) -> None:
        button = self.primary
        if button is None:
            return
        project = self._session.project
        if self._job is not None:
            stopping = self._job.state == "stopping"
            text = self.tr("Stopping...") if stopping else self.tr("Cancel (keep what is done)")
            self.set_primary(text, "stop", self.tr("Images that are done stay predicted"))
            button.setEnabled(not stopping)
            return
        if self._looking:
            self.set_primary(self.tr("Looking at the images..."), "predict", self.tr("How many planes have they?"))
            button.setEnabled(False)
            return
        planes = self.planes()
        count = len({plane[0] for plane in planes})
        text = self.tr("Predict") if count < 2 else self.tr("Predict {images}").format(images=words.images(count))
        tip = ""
        if project is None or not project.images:
            tip = self.tr("Add images first")
        elif project.read_only:
            tip = project.why_read_only
        elif not planes:
            tip = self.tr("There is no such image; choose others")
        elif self._facts.problem:
            tip = self._facts.problem
        self.set_primary(text, "predict", tip or self.tr("Find the cells in these images"))
        button.setEnabled(not tip)

    def press(self) -> None:
        """Start, or cancel what is running."""
        if self._job is not None:
            self._job.stop()
            self._show_primary()
            return
        if self._looking:
            return
        problems = self.form.problems()
        if problems:
            show_error(self, next(iter(problems.values())))
            return
        unknown = [one.id for one in self.image_entries() if may_be_stack(one)]
        if unknown and self.scope.currentData() not in (None, "this"):
            self._look_at(unknown)
            return
        self.start()

    def _look_at(self, image_ids: list[str]) -> None:
        """Find out first how many planes images have that were never opened; all of them are predicted."""
        self._looking = True
        self.progress.setValue(0)
        self.progress_area.show()

        def at(number: int) -> None:
            self.progress.setValue(round(1000 * number / len(image_ids)))
            text = self.tr("Looking at image {n} of {all}")
            self.progress_line.setText(text.format(n=min(number + 1, len(image_ids)), all=len(image_ids)))

        def looked() -> None:
            self._stop_looking()
            self.start()

        self._show_primary()
        self._session.look_at_images(image_ids, looked, at)

    def _stop_looking(self) -> None:
        if self._looking:
            self._looking = False
            self.progress_area.setVisible(self._job is not None)
            self._show_primary()

    def start(self) -> None:
        """Start the prediction."""
        self.failures.clear()
        self._show_failures()
        self._wanted_run = None
        rescale = self._rescale if self.rescale_box.isChecked() and self._rescale else None
        try:
            more = {} if self._facts.backbone == DEFAULT_BACKBONE else {"backbone": self._facts.backbone}
            self._session.jobs.start_prediction(
                self.planes(), model=self._session.model, overrides=self.form.overrides(), rescale=rescale, **more
            )
        except CellSeg1Error as error:
            show_error(self, str(error))

    def _job_started(self, job: JobHandle) -> None:
        if job.kind != "predict" or job is self._job:
            return
        self._job = job
        self.progress.setValue(0)
        self.progress_line.setText(self.tr("Starting..."))
        self.progress_area.show()
        self._heard = [
            job.progress.connect(self._progressed),
            job.item_done.connect(self._item_done),
            job.state_changed.connect(lambda _state: self._show_primary()),
        ]
        self._show_primary()

    def _take_job(self) -> None:
        """Show the prediction of the project that is shown now, if one runs there, and no other."""
        job = self._session.jobs.prediction
        if job is self._job:
            return
        self._let_go()
        if job is not None:
            self._job_started(job)
            if job.last_progress is not None:
                self._progressed(job.last_progress)

    def _let_go(self) -> None:
        for connection in self._heard:
            QObject.disconnect(connection)
        self._heard, self._job = [], None
        self.progress_area.hide()

    def _progressed(self, progress: Progress) -> None:
        self.progress.setValue(round(1000 * float(progress.share or 0)))
        parts = [shown(progress.text), time_left(progress.seconds_left)]
        self.progress_line.setText("\n".join(part for part in parts if part))

    def _item_done(self, item: ItemDone) -> None:
        project = self._session.project
        if not item.error or project is None or all(one.id != item.image_id for one in project.images):
            # Of an image that was removed meanwhile nobody wants to know.
            return
        plane = (item.image_id, item.z, item.t)
        row = QListWidgetItem(self._failure(plane, item.error))
        row.setData(_PLANE, plane)
        row.setToolTip(plain_tip(row.text()))
        self.failures.addItem(row)
        self._show_failures()

    def _failure(self, plane: Plane, error: str) -> str:
        """Say which image failed and why; where its file lies is not of interest here."""
        project = self._session.require_project()
        name = plane_title(project, plane)
        told = shown(error).replace(str(project.image_path(plane[0])), name)
        return told if told.startswith(name) else f"{name}: {told}"

    def _show_failures(self) -> None:
        number = self.failures.count()
        self.failures_title.setVisible(number > 0)
        self.failures.setVisible(number > 0)
        if number:
            self.failures_title.setText(self.tr("Not predicted: {images}").format(images=words.images(number)))
            self.failures.doItemsLayout()
            last = self.failures.item(min(number, _MOST_FAILURES) - 1)
            # Where the rows lie, not what they ask for: a theme puts something around them.
            top = self.failures.visualItemRect(self.failures.item(0)).top()
            rows = self.failures.visualItemRect(last).bottom() + 1 - top
            around = self.failures.height() - self.failures.viewport().height()
            self.failures.setFixedHeight(rows + max(around, 2 * self.failures.frameWidth()) + 2 * TIGHT)

    def _show_failed(self, row: QListWidgetItem) -> None:
        try:
            self._session.show_image(*row.data(_PLANE))
        except CellSeg1Error as error:
            show_error(self, str(error))

    def _job_ended(self, job: JobHandle) -> None:
        if job is not self._job:
            return
        self._let_go()
        self.refresh()

    # ---- result

    def _choose_run(self, run_id: str) -> None:
        self._wanted_run = run_id
        self._session.proposals.reload(run_id)

    def _keep_run(self) -> None:
        """Go on showing the prediction that was chosen, on images that have it."""
        session, wanted = self._session, self._wanted_run
        project = session.project
        if wanted is None or project is None or session.image_id is None or session.proposals.run_id == wanted:
            return
        if project.proposals_path(wanted, session.image_id, session.z, session.t).exists():
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
        elif self._job is not None:
            text = self.tr("The cells of this image appear when it is done.")
        else:
            text = self.tr("This image is not predicted yet. Press Predict; the cells found then appear over it.")
        self.result_hint.setText(text)

    def _save(self) -> None:
        from app.pages.export.dialog import ExportMasksDialog

        ask(ExportMasksDialog(self._session, self.window(), run_id=self._session.proposals.run_id))


def _without_backbone(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (settings or {}).items() if key != "vit_name"}


def _all(entry: ProjectImage, key: str) -> bool:
    """Whether all planes of an image have cells, or are checked."""
    return all(flags(entry, plane).get(key) for plane in planes_of(entry))
