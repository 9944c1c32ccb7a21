"""The choices of the model and of the images of a prediction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from cellseg1.errors import CellSeg1Error
from cellseg1.sam.registry import backbone_names
from cellseg1.sam.store import locate
from cellseg1.settings import DEFAULT_BACKBONE

from ...project.models import library_models
from ...session.planes import Plane, flags, planes_of
from ...theme import GAP, TIGHT, heading
from ...translation import counted
from ...widgets.errors import show_error
from ...widgets.plain import Label, plain_tip
from ...widgets.showing import ask
from ...widgets.slider_field import WheelGuard
from .choose_images import ChooseImagesDialog
from .scale import ModelFacts, facts_of

if TYPE_CHECKING:
    from ...project.content import ProjectImage
    from ...session.session import Session

#: Prefix of the name of a backbone without an adapter.
_PLAIN = "plain:"


class _Choice(QWidget):
    """A titled combo box; related widgets are added below."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._guard = WheelGuard(self)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(GAP)

    def _add_box(self, title: str, tip: str) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(title)
        box.setToolTip(plain_tip(tip))
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(16)
        self._guard.guard(box)
        label = Label(title)
        label.setFont(heading(self.font(), 0))
        label.setWordWrap(True)
        label.setContentsMargins(0, GAP, 0, 0)
        label.setBuddy(box)
        self._layout.addWidget(label)
        self._layout.addWidget(box)
        return box


class ModelChoice(_Choice):
    """The models of the project and the library, and the backbones as they come; the choice is the session's.

    Signals
    -------
    train_wanted, models_wanted
        The user wants to train a model; or to see the list of models.
    facts_changed
        `facts` belong to another model, or to another file of the same name.
    """

    train_wanted = Signal()
    models_wanted = Signal()
    facts_changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self.facts = ModelFacts("")
        self.box = self._add_box(self.tr("Model"), self.tr("What finds the cells"))
        self.box.activated.connect(self._choose)
        self.line = Label()
        self.line.setWordWrap(True)
        self.line.setProperty("secondary", True)
        self._layout.addWidget(self.line)
        self.train_button = _quiet(self.tr("Train a model"), self.tr("Go to step 2 (Ctrl+2)"))
        self.train_button.clicked.connect(self.train_wanted)
        self.models_button = _quiet(self.tr("All models..."), self.tr("Import, export and rename models (Ctrl+M)"))
        self.models_button.clicked.connect(self.models_wanted)
        row = QHBoxLayout()
        row.setSpacing(TIGHT)
        row.addWidget(self.train_button)
        row.addWidget(self.models_button)
        row.addStretch(1)
        self._layout.addLayout(row)

    def refresh(self) -> None:
        """List the models again and describe the chosen one."""
        session, project = self._session, self._session.project
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItem(self.tr("tiny, not trained"), None)
        for name in backbone_names():
            if name != DEFAULT_BACKBONE and locate(name) is not None:
                self.box.addItem(self.tr("{name}, not trained").format(name=name), f"{_PLAIN}{name}")
        own = list(project.models.all()) if project is not None else []
        library = [one for one in library_models() if not one.problem] if project is not None else []
        for model in own:
            if not model.problem:
                self.box.addItem(model.name, str(model.path))
        if library:
            self.box.insertSeparator(self.box.count())
            for model in library:
                self.box.addItem(self.tr("{name} (library)").format(name=model.name), str(model.path))
        current, backbone = session.model, session.backbone
        plain = None if backbone == DEFAULT_BACKBONE else f"{_PLAIN}{backbone}"
        index = max(0, self.box.findData(plain)) if current is None else self.box.findData(str(current))
        if index < 0 and current is not None:
            self.box.addItem(current.stem, str(current))
            index = self.box.count() - 1
        self.box.setCurrentIndex(index)
        self.box.blockSignals(False)
        self.train_button.setVisible(not own and not library)
        self._show_model(current)

    def _show_model(self, path: Path | None) -> None:
        facts = facts_of(path, self._session.backbone)
        changed = facts != self.facts
        self.facts = facts
        if changed:
            self.facts_changed.emit()
        self.line.setText(self._about(facts, trained=path is not None))

    def _about(self, facts: ModelFacts, *, trained: bool) -> str:
        if facts.problem:
            return facts.problem
        if not trained:
            return self.tr("The network as it comes. Trained on a few dozen of your cells it finds far more of them.")
        parts = []
        if facts.images:
            parts.append(self.tr("trained on {images}").format(images=counted.images(facts.images)))
        if facts.diameter:
            parts.append(self.tr("cells of {n} px").format(n=round(facts.diameter)))
        if facts.ap_training is not None:
            parts.append(self.tr("AP {ap} there").format(ap=f"{facts.ap_training:.2f}"))
        if facts.channels:
            shown = (self.tr("channel {n}").format(n=int(one) + 1) if one.isdigit() else one for one in facts.channels)
            parts.append(self.tr("sees {channels}").format(channels=", ".join(shown)))
        return ", ".join(parts)[:1].upper() + ", ".join(parts)[1:] if parts else ""

    def _choose(self, index: int) -> None:
        data = self.box.itemData(index)
        if isinstance(data, str) and data.startswith(_PLAIN):
            self._session.set_model(None, data.removeprefix(_PLAIN))
        else:
            self._session.set_model(None if data is None else Path(data))


class ImageChoice(_Choice):
    """Which images are predicted: the shown one, all of a kind, chosen ones, or those of a folder."""

    #: The chosen images changed.
    changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self._chosen: list[str] = []
        self.box = self._add_box(self.tr("Images"), self.tr("Which images to predict"))
        self.box.activated.connect(self._choose)

    def forget(self) -> None:
        """Forget the images that were chosen one by one."""
        self._chosen = []

    def refresh(self) -> None:
        """Count the images of each kind again; the choice stays."""
        project = self._session.project
        kept = self.box.currentData()
        entries = list(project.images) if project is not None else []
        numbers = {
            "empty": sum(1 for one in entries if not _all(one, "cells")),
            "unchecked": sum(1 for one in entries if not _all(one, "checked")),
        }
        known = {one.id for one in entries}
        self._chosen = [one for one in self._chosen if one in known]
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItem(self.tr("This image"), "this")
        self.box.addItem(self.tr("Without cells: {n}").format(n=numbers["empty"]), "empty")
        self.box.addItem(self.tr("Not checked: {n}").format(n=numbers["unchecked"]), "unchecked")
        self.box.addItem(self.tr("All: {n}").format(n=len(entries)), "all")
        if self._chosen:
            self.box.addItem(self.tr("Chosen: {n}").format(n=len(self._chosen)), "chosen")
        self.box.addItem(self.tr("Choose in a list..."), "choose")
        if project is not None and not project.read_only:
            self.box.addItem(self.tr("All of a folder..."), "folder")
        self.box.setCurrentIndex(max(0, self.box.findData(kept)))
        self.box.blockSignals(False)

    @property
    def is_shown_one(self) -> bool:
        """Whether it is only the shown plane, not whole images."""
        return self.box.currentData() in (None, "this")

    def entries(self) -> list[ProjectImage]:
        """Return the images of the project that are to be predicted."""
        session, project = self._session, self._session.project
        if project is None:
            return []
        match self.box.currentData():
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
        if self.is_shown_one:
            return [(session.image_id, session.z, session.t)] if session.image_id is not None else []
        found = []
        for entry in self.entries():
            for plane in planes_of(entry):
                note = flags(entry, plane)
                skip = {"empty": note.get("cells"), "unchecked": note.get("checked")}.get(self.box.currentData())
                if not skip:
                    found.append(plane)
        return found

    def _choose(self, index: int) -> None:
        project = self._session.project
        if self.box.itemData(index) == "folder":
            self._take_folder()
            return
        if self.box.itemData(index) == "choose":
            if project is not None:
                dialog = ChooseImagesDialog(project, self._chosen, self.window())
                if ask(dialog):
                    self._chosen = dialog.chosen()
            self._show_chosen()
        self.changed.emit()

    def _show_chosen(self) -> None:
        """Take the chosen images, or the shown one when there are none."""
        self.refresh()
        self.box.setCurrentIndex(max(0, self.box.findData("chosen" if self._chosen else "this")))

    def _take_folder(self) -> None:
        """Ask for a folder and choose its images; those not in the project yet are linked."""
        preferences = self._session.preferences
        name = QFileDialog.getExistingDirectory(
            self.window(), self.tr("Predict all images of a folder"), preferences.values.last_folder
        )
        if name:
            preferences.set("last_folder", name)
            self.choose_folder(Path(name))
            return
        self._show_chosen()
        self.changed.emit()

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
        present = set(report.present.values())
        self._chosen = [
            one.id
            for one in project.images
            if one.id in present or any(folder in place.parents for place in project.images.places_of(one))
        ]
        self._show_chosen()
        self.changed.emit()
        left_out = [path.name for path, _ in report.skipped if not path.is_dir() and path not in report.present]
        if left_out:
            session.note.emit(
                self.tr("Left out, because they are no images: {names}").format(names=", ".join(left_out))
            )
        if not self._chosen:
            session.note.emit(self.tr("There are no images in {folder}.").format(folder=folder.name))


def _quiet(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setProperty("quiet", True)
    button.setToolTip(plain_tip(tip))
    button.setAccessibleName(text)
    return button


def _all(entry: ProjectImage, key: str) -> bool:
    """Whether all planes of an image have cells, or are checked."""
    return all(flags(entry, plane).get(key) for plane in planes_of(entry))
