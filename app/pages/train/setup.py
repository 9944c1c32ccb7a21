"""What a training will be: name, network, what it starts from, time, settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QComboBox, QLineEdit, QPushButton, QVBoxLayout, QWidget

from cellseg1.errors import SettingsError
from cellseg1.settings import DEFAULT_BACKBONE, DEFAULT_RECIPE, RECIPES, memory_preset

from ...project.models import library_models
from ...session.run_requests import TrainingWish
from ...theme import GAP, TIGHT, heading
from ...widgets.fold import FoldSection
from ...widgets.plain import Label, plain_tip
from ...widgets.settings.form import TRAIN_GROUPS, SettingsForm
from ...widgets.slider_field import WheelGuard
from .backbones import Backbones
from .channels import ChannelChoice
from .images import TrainingImages
from .plan import (
    Device,
    device_of,
    fault_in_name,
    free_name,
    may_have_gpu,
    plan_details,
    plan_text,
    training_plan,
)

if TYPE_CHECKING:
    from cellseg1.lora.card import Card

    from ...project.project import ModelInfo
    from ...session.session import Session

_SAVE_MS = 500


class TrainingSetup(QWidget):
    """Everything that is asked before a training; the choices are kept with the project."""

    #: Something that decides whether a training can start is another one.
    changed = Signal()

    def __init__(self, session: Session, images: TrainingImages, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._images = images
        self._guard = WheelGuard(self)
        self._report: dict[str, Any] | None = None
        self._asked = False
        self._filling = False
        self._own_name = False
        #: Cached models of the project and of the library.
        self._own: list[ModelInfo] = []
        self._library: list[ModelInfo] = []
        self.fault = ""
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(GAP)
        self._build_name()
        self.channels = ChannelChoice(session)
        self._layout.addWidget(self.channels)
        self._build_start()
        self.plan_line = Label()
        self.plan_line.setWordWrap(True)
        self._layout.addWidget(self.plan_line)
        self._build_advanced()

        self._replan = QTimer(self, interval=0, singleShot=True)
        self._replan.timeout.connect(self._show_plan)
        self._save = QTimer(self, interval=_SAVE_MS, singleShot=True)
        self._save.timeout.connect(self._store)
        images.changed.connect(self._replan.start)
        images.changed.connect(self._show_channels)
        session.image_changed.connect(self._show_channels)
        self.channels.changed.connect(self._chosen)
        self.backbones.changed.connect(self._basis_changed)
        self.form.changed.connect(self._chosen)
        session.project_changed.connect(self._load)
        session.models_changed.connect(self.refresh)
        session.preferences.changed.connect(self._preference_changed)
        self._load()

    # ---- building

    def _title(self, text: str, buddy: QWidget) -> None:
        label = Label(text)
        label.setFont(heading(self.font(), 0))
        label.setContentsMargins(0, GAP, 0, 0)
        label.setBuddy(buddy)
        self._layout.addWidget(label)
        self._layout.addWidget(buddy)

    def _combo(self, name: str, tip: str) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(name)
        box.setToolTip(plain_tip(tip))
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(16)
        self._guard.guard(box)
        return box

    def _build_name(self) -> None:
        self.name = QLineEdit()
        self.name.setAccessibleName(self.tr("Name of the new model"))
        self.name.setToolTip(self.tr("Name of the new model"))
        self.name.textEdited.connect(self._name_edited)
        self._title(self.tr("New model"), self.name)
        self.name_fault = Label()
        self.name_fault.setWordWrap(True)
        self.name_fault.setProperty("wrong", True)
        self.name_fault.hide()
        self._layout.addWidget(self.name_fault)

    def _build_start(self) -> None:
        self.start = self._combo(
            self.tr("What the training starts from"),
            self.tr("A model that you have learns on; the network as it comes starts afresh"),
        )
        self.start.activated.connect(lambda _index: self._start_chosen())
        self._title(self.tr("Start from"), self.start)
        self.backbones = Backbones(self._session)
        self._title(self.tr("Network"), self.backbones)

    def _build_advanced(self) -> None:
        self.advanced = FoldSection(self.tr("Advanced"))
        self.details = Label()
        self.details.setWordWrap(True)
        self.details.setProperty("secondary", True)
        self.advanced.add(self.details)
        label = Label(self.tr("Recipe"))
        self.recipe = self._combo(
            self.tr("Recipe"), self.tr("studio: faster, with repairs; paper: as published, for comparisons")
        )
        titles = {"studio": self.tr("studio (recommended)"), "paper": self.tr("paper (as published)")}
        for name in sorted(RECIPES, key=lambda one: one != DEFAULT_RECIPE):
            self.recipe.addItem(titles.get(name, name), name)
        self.recipe.activated.connect(lambda _index: self._basis_changed())
        label.setBuddy(self.recipe)
        self.advanced.add(label)
        self.advanced.add(self.recipe)
        self.form = SettingsForm(TRAIN_GROUPS)
        self.form.advanced.set_title(self.tr("All settings"))
        self.advanced.add(self.form)
        self.reset = QPushButton(self.tr("Reset all settings"))
        self.reset.setProperty("quiet", True)
        self.reset.setAccessibleName(self.tr("Reset all settings"))
        self.reset.setToolTip(self.tr("Give every setting its default value"))
        self.reset.clicked.connect(self.form.reset_all)
        holder = QVBoxLayout()
        holder.setContentsMargins(0, TIGHT, 0, 0)
        holder.addWidget(self.reset)
        self.advanced.body.addLayout(holder)
        self._layout.addWidget(self.advanced)

    # ---- what is chosen

    @property
    def model_name(self) -> str:
        """The name of the new model."""
        return self.name.text().strip()

    @property
    def start_model(self) -> Path | None:
        """The model that the training goes on from, None for a fresh one."""
        data = self.start.currentData()
        return None if data is None else Path(data)

    def start_from(self, path: Path | None) -> None:
        """Choose what the training starts from; a model that is not known stays without effect."""
        index = 0 if path is None else self.start.findData(str(path))
        if index >= 0:
            self.start.setCurrentIndex(index)
            self._start_chosen()

    def wish(self) -> TrainingWish:
        """Return the requested training."""
        return TrainingWish(
            name=self.model_name,
            backbone=self.backbones.chosen,
            recipe=str(self.recipe.currentData()),
            overrides=self.form.overrides(),
            start_model=self.start_model,
            channels=self.channels.wish,
        )

    @property
    def device(self) -> Device:
        """Where the training will run."""
        return device_of(self._session.preferences.values.device, self._report)

    # ---- showing

    def refresh(self) -> None:
        """Bring names and models up to date."""
        project = self._session.project
        self._own = [] if project is None else project.models.all()
        self._library = [] if project is None else library_models()
        self._fill_start()
        self._offer_name()

    def _offer_name(self) -> None:
        project = self._session.project
        if project is not None and not self._own_name:
            self.name.setText(free_name(project.name, self._names()))
        self._check_name()
        self._replan.start()

    def look(self) -> None:
        """Look what is installed and what this computer can do; called when the panel is shown."""
        self.backbones.refresh()
        wanted = self._session.preferences.values.device
        if self._asked or self._report is not None or wanted == "cpu" or not may_have_gpu():
            return
        self._asked = True
        self._session.engines.interactive.examine(self._examined, lambda _sentence, _details: None)

    def _examined(self, report: dict[str, Any]) -> None:
        self._report = report
        self._basis_changed()

    def _names(self) -> list[str]:
        return [model.name for model in self._own]

    def _fill_start(self) -> None:
        kept = self.start.currentData()
        self.start.clear()
        self.start.addItem(self.tr("The network as it comes"), None)
        for model in self._own:
            if model.card is not None:
                self.start.addItem(model.name, str(model.path))
        for model in (one for one in self._library if one.card is not None):
            self.start.addItem(self.tr("{name} (library)").format(name=model.name), str(model.path))
        self.start.setCurrentIndex(max(0, self.start.findData(kept) if kept is not None else 0))
        if kept is not None and self.start.currentData() is None:
            self._start_chosen()

    def _card(self) -> Card | None:
        path = self.start_model
        return next((one.card for one in (*self._own, *self._library) if one.path == path), None)

    def _start_chosen(self) -> None:
        card = self._card()
        self.recipe.setEnabled(card is None)
        if card is not None and self.recipe.findData(card.recipe) >= 0:
            self.recipe.setCurrentIndex(self.recipe.findData(card.recipe))
        self.backbones.fix("" if card is None else str(card.backbone))
        self._basis_changed()

    def _show_channels(self) -> None:
        # Without a training image, the shown one is used.
        shown = [] if self._session.image_id is None else [self._session.image_id]
        self.channels.refresh([one.plane[0] for one in self._images.facts] or shown)

    def _preference_changed(self, name: str) -> None:
        if name == "device":
            self._basis_changed()

    def _basis_changed(self) -> None:
        """Take the default values of another recipe, backbone or device."""
        backbone = self.backbones.chosen
        _name, preset = memory_preset(self.device.free_gib, backbone)
        self.form.set_base(str(self.recipe.currentData()), backbone, preset)
        self._chosen()

    def _chosen(self) -> None:
        own = len(self.form.overrides())
        self.advanced.set_summary(self.tr("%n changed", "", own) if own else "")
        self.reset.setVisible(own > 0 or bool(self.form.problems()))
        if not self._filling:
            self._save.start()
        self._replan.start()

    def _name_edited(self, text: str) -> None:
        # An emptied field gets the usual name again the next time.
        self._own_name = bool(text.strip())
        self._check_name()
        self._replan.start()

    def _check_name(self) -> None:
        wrong = fault_in_name(self.model_name, self._names()) if self._session.project is not None else ""
        self.name_fault.setText(wrong)
        self.name_fault.setVisible(bool(wrong))

    def forget_name(self) -> None:
        """Offer the next free name again; the present one is used up."""
        self._own_name = False
        self._offer_name()

    def _show_plan(self) -> None:
        problems = self.form.problems()
        self.fault = ""
        if problems:
            self.fault = self.tr("Correct the marked setting under Advanced first.")
        elif self.name_fault.text():
            self.fault = self.name_fault.text()
        elif not self.backbones.ready:
            self.fault = self.tr("This network is not on this computer; get it, or choose another.")
        wish = self.wish()
        try:
            plan = training_plan(
                self._images.sizes(),
                backbone=wish.backbone,
                recipe=wish.recipe,
                overrides=wish.overrides,
                device=self.device,
            )
        except SettingsError as error:
            self.fault = str(error)
            plan = None
        self.plan_line.setText(plan_text(plan, self.device) if plan is not None else self.fault)
        self.plan_line.setVisible(bool(self.plan_line.text()))
        self.details.setText(plan_details(plan) if plan is not None else "")
        self.details.setVisible(plan is not None)
        self.changed.emit()

    # ---- kept with the project

    def _load(self) -> None:
        project = self._session.project
        values = {} if project is None else dict(project.settings.get("train") or {})
        self._save.stop()
        self._filling = True
        self._own_name = False
        recipe = self.recipe.findData(values.get("recipe", DEFAULT_RECIPE))
        self.recipe.setCurrentIndex(max(0, recipe))
        self.start.setCurrentIndex(0 if self.start.count() else -1)
        self.backbones.fix("")
        self.backbones.choose(str(values.get("backbone", DEFAULT_BACKBONE)))
        self.form.set_overrides(values.get("overrides") or {})
        self.channels.set_wish(values.get("channels"))
        self._show_channels()
        self._filling = False
        self._save.stop()
        self.refresh()

    def _store(self) -> None:
        project = self._session.project
        if project is None or project.read_only:
            return
        values = {
            "backbone": self.backbones.chosen,
            "recipe": str(self.recipe.currentData()),
            "overrides": self.form.overrides(),
            "channels": list(self.channels.kept),
        }
        if values != project.settings.get("train"):
            project.set_setting("train", values)
