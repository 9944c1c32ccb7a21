"""The models of the project and of the library: what they are, and what can be done with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QInputDialog,
    QPushButton,
    QScrollArea,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from cellseg1.errors import CellSeg1Error
from cellseg1.sam.registry import is_published
from cellseg1.settings import DEFAULT_BACKBONE

from ...project.models import import_cs1
from ...theme import GAP, MARGIN, TIGHT, heading, icon
from ...widgets.banner import Banner
from ...widgets.flow import FlowLayout
from ...widgets.plain import Label, plain_tip
from ...widgets.showing import ask
from . import files
from .card import card_rows
from .conversion import Conversion, start_pth_export, start_pth_import
from .published import PublishedDialog
from .working import Working

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...canvas import Canvas
    from ...project.models import ModelInfo
    from ...session.session import Session

Result = TypeVar("Result")

_PATH = Qt.ItemDataRole.UserRole
_PUBLISHED = (".pth", ".pt")


class ModelsPanel(QWidget):
    """List of models on the left, the card of the chosen one on the right, and what can be done with it below."""

    #: A model was taken for predictions and clicks.
    used = Signal()

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._canvas = canvas
        self._models: dict[str, tuple[str, ModelInfo]] = {}
        self._items: list[QTreeWidgetItem] = []
        self._cells: list[QWidget] = []
        self.setAccessibleName(self.tr("Models"))
        #: The model that was removed last, and whether it was in use.
        self._last_removed: tuple[Path, bool] | None = None
        self._removed = Banner()
        self._removed.acted.connect(self._bring_back)
        left = QVBoxLayout()
        left.setSpacing(GAP)
        left.addWidget(self._removed)
        left.addWidget(self._list(), 1)
        left.addWidget(self._import_part())
        columns = QHBoxLayout(self)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(MARGIN)
        columns.addLayout(left, 2)
        columns.addWidget(self._details(), 3)
        session.models_changed.connect(self.refresh)
        session.model_changed.connect(self.refresh)
        session.project_changed.connect(self.refresh)
        self.refresh()

    # ---- building

    def _list(self) -> QTreeWidget:
        self.list = QTreeWidget()
        self.list.setHeaderHidden(True)
        self.list.setRootIsDecorated(False)
        self.list.setIndentation(MARGIN)
        self.list.setItemsExpandable(False)
        self.list.setAccessibleName(self.tr("Models of the project and of the library"))
        self.list.setToolTip(self.tr("Return or a double click uses the model"))
        self.list.setMinimumWidth(self.fontMetrics().averageCharWidth() * 24)
        self.list.currentItemChanged.connect(lambda _now, _before: self._show_details())
        self.list.itemActivated.connect(lambda _item, _column: self.use())
        return self.list

    def _import_part(self) -> QWidget:
        holder = QWidget()
        layout = QVBoxLayout(holder)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(TIGHT)
        self.import_button = self._button(
            self.tr("Import..."), self.tr("Import a model (.cs1) or a published adapter (.pth)"), "import"
        )
        self.import_button.clicked.connect(self.ask_for_import)
        self.working = Working(self._button(self.tr("Cancel"), self.tr("Stop; nothing is written")))
        self.working.ended.connect(self._converted)
        layout.addWidget(self.import_button)
        layout.addWidget(self.working)
        return holder

    def _button(self, text: str, tip: str, sign: str = "") -> QPushButton:
        button = QPushButton(text)
        button.setAutoDefault(False)
        button.setToolTip(plain_tip(tip))
        button.setAccessibleName(text.removesuffix("..."))
        if sign:
            button.setIcon(icon(sign))
            button.setIconSize(QSize(16, 16))
        return button

    def _details(self) -> QWidget:
        inside = QWidget()
        self._body = QVBoxLayout(inside)
        self._body.setContentsMargins(0, 0, GAP, 0)
        self._body.setSpacing(GAP)
        self.title = Label()
        self.title.setFont(heading(self.font(), 1))
        self.title.setWordWrap(True)
        self.state = Label()
        self.state.setWordWrap(True)
        self.state.setProperty("secondary", True)
        self.problem = Banner()
        self._rows = QWidget()
        self._grid = QGridLayout(self._rows)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(MARGIN)
        self._grid.setVerticalSpacing(TIGHT)
        self._grid.setColumnStretch(1, 1)
        for widget in (self.title, self.state, self.problem, self._rows):
            self._body.addWidget(widget)
        self._body.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        self.use_button = self._button(self.tr("Use"), self.tr("Predict and click with this model"), "accept")
        self.use_button.clicked.connect(self.use)
        self.rename_button = self._button(self.tr("Rename..."), self.tr("Give it another name"), "rename")
        self.rename_button.clicked.connect(self.ask_for_name)
        self.export_button = self._button(
            self.tr("Export..."), self.tr("Write it to a file, also in the published format (.pth)"), "export"
        )
        self.export_button.clicked.connect(self.ask_for_export)
        self.copy_button = self._button("", "", "copy")
        self.copy_button.clicked.connect(self.copy)
        self.remove_button = self._button(self.tr("Remove"), self.tr("Move it to the trash"), "trash")
        self.remove_button.clicked.connect(self.remove)
        buttons = QWidget()
        flow = FlowLayout(buttons)
        for button in (self.use_button, self.rename_button, self.export_button, self.copy_button, self.remove_button):
            flow.addWidget(button)
        holder = QWidget()
        layout = QVBoxLayout(holder)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(scroll, 1)
        layout.addWidget(buttons)
        holder.setMinimumWidth(self.fontMetrics().averageCharWidth() * 36)
        return holder

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a size at which list and card read well."""
        unit = self.fontMetrics()
        return QSize(unit.averageCharWidth() * 96, unit.lineSpacing() * 28)

    # ---- showing

    def refresh(self) -> None:
        """Read the folders again; the chosen model stays chosen."""
        kept = self._key()
        self.list.blockSignals(True)
        self._items.clear()
        self.list.clear()
        self._models.clear()
        plain = QTreeWidgetItem([self.tr("tiny, not trained")])
        plain.setData(0, _PATH, "")
        plain.setToolTip(0, self.tr("The network as it comes with the program"))
        in_use = self._session.model is None and self._session.backbone == DEFAULT_BACKBONE
        plain.setIcon(0, icon("accept", "accent") if in_use else icon("model", "secondary"))
        self.list.addTopLevelItem(plain)
        chosen = plain
        for shelf in files.shelves(self._session.project):
            head = QTreeWidgetItem([shelf.title])
            head.setFlags(Qt.ItemFlag.ItemIsEnabled)
            head.setFont(0, heading(self.font(), 0))
            self.list.addTopLevelItem(head)
            for model in shelf.models:
                item = self._item(shelf.key, model)
                head.addChild(item)
                if kept == str(model.path) or (kept is None and model.path == self._session.model):
                    chosen = item
            if not shelf.models:
                none = QTreeWidgetItem([self.tr("none yet")])
                none.setFlags(Qt.ItemFlag.NoItemFlags)
                head.addChild(none)
            head.setExpanded(True)
        self._give_room()
        self.list.setCurrentItem(chosen)
        self.list.blockSignals(False)
        self._show_details()

    def _give_room(self) -> None:
        """Make the rows as high as those of the tables."""
        height = QSize(0, self.fontMetrics().height() + 10)
        for place in range(self.list.topLevelItemCount()):
            head = self.list.topLevelItem(place)
            if head is None:
                continue
            head.setSizeHint(0, height)
            for child in (head.child(number) for number in range(head.childCount())):
                if child is not None:
                    child.setSizeHint(0, height)

    def _item(self, shelf: str, model: ModelInfo) -> QTreeWidgetItem:
        key = str(model.path)
        self._models[key] = shelf, model
        item = QTreeWidgetItem([model.name])
        self._items.append(item)
        item.setData(0, _PATH, key)
        item.setToolTip(0, plain_tip(model.problem or model.name))
        if model.problem:
            item.setIcon(0, icon("warning", "warning"))
        elif model.path == self._session.model:
            item.setIcon(0, icon("accept", "accent"))
        else:
            item.setIcon(0, icon("model", "secondary"))
        return item

    def _key(self) -> str | None:
        item = self.list.currentItem()
        data = None if item is None else item.data(0, _PATH)
        return None if data is None else str(data)

    @property
    def current(self) -> ModelInfo | None:
        """The chosen model; None for the plain network and for headings."""
        found = self._models.get(self._key() or "")
        return None if found is None else found[1]

    def choose(self, path: Path) -> None:
        """Choose a model in the list."""
        for item in self._items:
            if item.data(0, _PATH) == str(path):
                self.list.setCurrentItem(item)

    def _show_details(self) -> None:
        key, model = self._key(), self.current
        shelf = self._models[key][0] if key in self._models else ""
        project = self._session.project
        used = self._session.model
        for cell in self._cells:
            cell.hide()
            self._grid.removeWidget(cell)
            cell.deleteLater()
        self._cells.clear()
        self.problem.clear()
        self.title.setVisible(key is not None)
        if model is None:
            self.title.setText(self.tr("tiny, not trained"))
            text = self.tr("The small network that comes with the program. Train it on a few dozen of your cells.")
            if key is None:
                text = self.tr("Choose a model in the list, or import one.")
            elif used is None:
                text = self.tr("In use.") + " " + text
            self.state.setText(text)
        else:
            self.title.setText(model.name)
            self.state.setText(self.tr("In use.") if model.path == used else "")
            if model.problem:
                self.problem.show_message(model.problem, "warning", dismissable=False)
            self._show_rows(card_rows(model))
        self.state.setVisible(bool(self.state.text()))
        own = shelf == "project"
        writable = model is not None and not (own and project is not None and project.read_only)
        sound = model is not None and not model.problem
        self.use_button.setEnabled((sound and model is not None and model.path != used) or (key == "" and bool(used)))
        self.use_button.setProperty("primary", True)
        self.rename_button.setEnabled(writable)
        self.export_button.setEnabled(sound)
        self.remove_button.setEnabled(writable)
        to_project = shelf == "library"
        text = self.tr("Copy to this project") if to_project else self.tr("Copy to the library")
        self.copy_button.setText(text)
        self.copy_button.setAccessibleName(text)
        self.copy_button.setToolTip(
            self.tr("Keep a copy with the project") if to_project else self.tr("Use it in all projects")
        )
        can_copy = sound and (not to_project or (project is not None and not project.read_only))
        self.copy_button.setEnabled(can_copy)
        self.copy_button.setVisible(not to_project or project is not None)

    def _show_rows(self, rows: list[tuple[str, str]]) -> None:
        for number, (name, value) in enumerate(rows):
            label = Label(name)
            label.setProperty("secondary", True)
            text = Label(_breakable(value))
            text.setWordWrap(True)
            text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            text.setAccessibleName(f"{name}: {value}")
            self._grid.addWidget(label, number, 0, Qt.AlignmentFlag.AlignTop)
            self._grid.addWidget(text, number, 1)
            self._cells += [label, text]

    # ---- doing

    def use(self) -> None:
        """Take the chosen model for predictions and clicks."""
        key, model = self._key(), self.current
        if key is None or (model is not None and model.problem):
            return
        self._session.set_model(None if model is None else model.path)
        self.used.emit()

    def ask_for_name(self) -> None:
        """Ask for another name of the chosen model."""
        model = self.current
        if model is None:
            return
        name, good = QInputDialog.getText(
            self.window(), self.tr("Rename model"), self.tr("New name of the model"), text=model.name
        )
        if good and name.strip() and name.strip() != model.name:
            self.rename(name.strip())

    def rename(self, name: str) -> None:
        """Give the chosen model another name."""
        model = self.current
        if model is None:
            return
        used = model.path == self._session.model
        renamed = self._try(lambda: files.rename(model.path, name, self._session.project))
        if renamed is None:
            return
        if used:
            self._session.set_model(renamed)
        self._session.models_changed.emit()
        self.choose(renamed)

    def copy(self) -> None:
        """Copy the chosen model to the library, or from there to the project."""
        model = self.current
        if model is None:
            return
        if self._models[str(model.path)][0] == "library":
            copied = self._try(lambda: files.copy_to_project(model.path, self._session.require_project()))
        else:
            copied = self._try(lambda: files.copy_to_library(model.path))
        if copied is not None:
            self._session.models_changed.emit()
            self.choose(copied)

    def remove(self) -> None:
        """Move the chosen model to the trash."""
        model, project = self.current, self._session.project
        if model is None:
            return
        used = model.path == self._session.model
        own = self._models[str(model.path)][0] == "project"
        try:
            removed = files.remove(model.path, project)
        except (CellSeg1Error, OSError) as error:
            self._session.problem.emit(str(error), "")
            return
        if used:
            self._session.set_model(None)
        self._session.models_changed.emit()
        where = self.tr("the project's trash") if own else self.tr("the computer's trash")
        note = self.tr("{name} is in {where} now.").format(name=model.name, where=where)
        if removed is None:
            self._session.note.emit(note)
            self._removed.clear()
            return
        self._removed.show_message(note, "info", self.tr("Undo"))
        self._last_removed = removed, used

    def _bring_back(self) -> None:
        """Undo the last removal."""
        self._removed.clear()
        if self._last_removed is None:
            return
        (removed, use), self._last_removed = self._last_removed, None
        path = self._try(lambda: self._session.restore(removed))
        if isinstance(path, Path):
            if use:
                self._session.set_model(path)
            self.choose(path)

    def ask_for_import(self) -> None:
        """Ask for a model file and import it."""
        found, _ = QFileDialog.getOpenFileName(
            self.window(), self.tr("Import a model"), "", self.tr("Models (*.cs1 *.pth *.pt);;All files (*)")
        )
        if found:
            self.import_file(Path(found))

    def import_file(self, path: Path) -> None:
        """Import a model; about a published adapter it is asked first what the file does not say."""
        if path.suffix.lower() in _PUBLISHED:
            dialog = PublishedDialog(path, self.window())
            if ask(dialog):
                self.import_published(path, dialog.overrides())
            return
        copied = self._try(lambda: import_cs1(path, self._session.project))
        if copied is not None:
            self._session.models_changed.emit()
            self.choose(copied)

    def import_published(self, path: Path, overrides: dict[str, Any]) -> None:
        """Let an engine try a published adapter with its network and write it as a model."""
        self._follow(self._try(lambda: start_pth_import(self._session, path, overrides)))

    def ask_for_export(self) -> None:
        """Ask for a file and write the chosen model there."""
        model = self.current
        if model is None:
            return
        kinds = [self.tr("CellSeg1 model (*.cs1)")]
        if model.card is not None and is_published(model.card.backbone):
            # The research code knows no other networks.
            kinds.append(self.tr("Published adapter (*.pth)"))
        found, _ = QFileDialog.getSaveFileName(
            self.window(), self.tr("Export the model"), f"{model.name}.cs1", ";;".join(kinds)
        )
        if found:
            self.export(Path(found))

    def export(self, target: Path) -> None:
        """Write the chosen model to a file; the suffix tells the format."""
        model = self.current
        if model is None:
            return
        if target.suffix.lower() in _PUBLISHED:
            self._follow(self._try(lambda: start_pth_export(self._session, model.path, target)))
            return
        written = self._try(lambda: files.export_copy(model.path, target))
        if written is not None:
            self._session.note.emit(self.tr("The model is in {file}.").format(file=written))

    def _follow(self, conversion: Conversion | None) -> None:
        if conversion is None:
            return
        self.working.follow(conversion)
        self.import_button.setEnabled(False)

    def _converted(self, path: Path | None) -> None:
        self.import_button.setEnabled(True)
        self.refresh()
        if path is not None:
            self.choose(path)

    def _try(self, call: Callable[[], Result]) -> Result | None:
        try:
            return call()
        except CellSeg1Error as error:
            self._session.problem.emit(str(error), "")
        except OSError as error:
            self._session.problem.emit(self.tr("It did not work: {why}.").format(why=error.strerror or error), "")
        return None


def _breakable(text: str) -> str:
    """Allow a line break after every separator of a path, which has no spaces."""
    return text.replace("/", "/\u200b").replace("\\", "\\\u200b").replace("_", "_\u200b")
