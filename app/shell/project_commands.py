"""Commands about projects: make, open, sample, export, move, trash."""

from __future__ import annotations

import filecmp
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QInputDialog, QMessageBox

from cellseg1.bundled import resource_path

from ..base.names import free_project_folder
from ..base.places import default_project_folder
from ..pages.project.new_project import NewProjectDialog
from ..project import recent
from ..project.archive import export_file, import_file
from ..project.models import import_cs1, library_models
from ..project.project import Project, trash_project
from ..widgets.plain import MessageBox
from ..widgets.showing import ask, leave_open
from .attempt import attempt, succeeds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .host import Host
    from .image_commands import ImageCommands

_ARCHIVE = ".cs1zip"
_FOLDER = ".cs1project"
_MODEL = ".cs1"


class ProjectCommands(QObject):
    """Does what the project menu and the start page ask for."""

    #: The list of projects one worked on lately is another.
    recent_changed = Signal()

    def __init__(self, host: Host, images: ImageCommands) -> None:
        super().__init__(host.frame)
        self._host = host
        self._session = host.session
        self._images = images

    def _parent(self) -> Path:
        chosen = self._host.preferences.values.project_folder
        return Path(chosen) if chosen else default_project_folder()

    def _opened(self) -> None:
        project = self._session.project
        if project is not None:
            recent.add(project.folder, project.name)
            self.recent_changed.emit()

    def forget(self, folder: Path) -> None:
        """Take a project off the list of recent ones; its folder stays."""
        recent.remove(folder)
        self.recent_changed.emit()

    # ---- opening

    def open_path(self, path: Path | None) -> None:
        """Open a project folder, a file in it, a one-file project or a model; None asks for a project."""
        if path is None:
            self.do_open_project()
            return
        path = Path(path)
        kind = path.suffix.lower() if path.is_file() else ""
        if kind == _ARCHIVE:
            self._import(path)
            return
        if kind == _MODEL:
            attempt(self._host.frame, lambda: self._take_model(path))
            return
        project = self._session.project
        before = None if project is None else project.folder
        attempt(self._host.frame, lambda: self._session.open_project(path))
        if before is not None and project is self._session.project and project is not None and project.folder != before:
            # Something else has moved it.
            self.forget(before)
        self._opened()

    def _take_model(self, path: Path) -> None:
        """Put a model on the shelf of the open project, or of the library, unless it is there; and choose it."""
        session = self._session
        project = None if session.project is None or session.project.read_only else session.project
        known = [*(project.models.all() if project is not None else []), *library_models()]
        there = next((one.path for one in known if filecmp.cmp(one.path, path, shallow=False)), None)
        model = there or import_cs1(path, project)
        session.models_changed.emit()
        if session.project is not None:
            session.set_model(model)
            self._host.say(self.tr("The model {name} is chosen; step 3 predicts with it.").format(name=model.stem))
            return
        box = MessageBox(
            self._host.frame,
            self.tr("Model"),
            self.tr("The model {name} is in the library.").format(name=model.stem),
            self.tr("Open a project to use it: it is offered in the steps Train and Predict."),
        )
        leave_open(box)

    def do_open_project(self) -> None:
        """Ask for a project folder and open it."""
        folder = QFileDialog.getExistingDirectory(
            self._host.frame, self.tr("Open a project: choose its folder (NAME.cs1project)"), str(self._parent())
        )
        if folder:
            self.open_path(Path(folder))

    def do_new_project(self) -> None:
        """Ask for name, place and images, and make a project."""
        self.new_from([])

    def new_from(self, paths: Sequence[Path]) -> None:
        """Make a project with these images already chosen."""
        projects = [path for path in paths if path.suffix in (_FOLDER, _ARCHIVE, _MODEL)]
        if projects:
            self.open_path(projects[0])
            return
        dialog = NewProjectDialog(self._parent(), list(paths), self._host.frame)
        if not ask(dialog):
            return
        wish = dialog.result_values()
        if not attempt(self._host.frame, lambda: self._session.create_project(wish.parent, wish.name)):
            return
        self._opened()
        if wish.images:
            self._images.add(wish.images, copy=wish.copy, masks=[wish.masks] if wish.masks else [])

    def do_try_sample(self) -> None:
        """Open the sample project; the first time a copy is made, because it may be painted on."""
        place = self._parent() / f"Sample{_FOLDER}"
        if (place / "project.json").exists():
            self.open_path(place)
            return
        if attempt(self._host.frame, lambda: self._make_sample(place)):
            self._opened()

    def _make_sample(self, place: Path) -> bool:
        if not self._session.create_project(place.parent, "Sample"):
            return False
        source = resource_path("sample_project")
        train, test = source / "train", source / "test"
        # The first image comes with its cells, so that every step can be tried at once.
        self._session.add_images(sorted((train / "images").iterdir()), copy=True, masks=[train / "masks"])
        project = self._session.require_project()
        for image in project.images:
            document = project.drawings.document(image.id)
            if len(document.cells):
                document.set_attribute("Use for training", "training", True)
                project.drawings.update_plane(image.id, 0, 0, document)
        self._session.add_images(sorted((test / "images").iterdir()), copy=True)
        # The truth of the others lies beside them, for the step Measure; it must not be in the way while painting.
        shutil.copytree(test / "masks", place / "truth")
        return True

    def add_paths(self, paths: Sequence[Path]) -> None:
        """Add dropped files and folders; a dropped project or model is opened instead."""
        paths = [Path(path) for path in paths]
        projects = [path for path in paths if path.suffix in (_FOLDER, _ARCHIVE, _MODEL)]
        if projects:
            self.open_path(projects[0])
        elif self._session.project is None:
            self.new_from(paths)
        else:
            self._images.add(paths, copy=None)

    # ---- saving

    def do_save_now(self) -> None:
        """Bring everything to disk at once."""
        attempt(self._host.frame, self._session.save_now)

    def do_save_elsewhere(self) -> None:
        """Go on in another folder, when the present one cannot be written."""
        project = self._project_without_jobs()
        parent = QFileDialog.getExistingDirectory(self._host.frame, self.tr("Save the project in another folder"))
        if parent:
            target = free_project_folder(Path(parent), project.name)
            if succeeds(self._host.frame, partial(project.save_elsewhere, target)):
                self._opened()
                self._session.project_changed.emit()
                self._host.say(self.tr("Everything is saved in {folder}.").format(folder=project.folder))

    # ---- the project as a whole

    def do_rename_project(self) -> None:
        """Ask for another name."""
        project = self._project_without_jobs()
        name, ok = QInputDialog.getText(
            self._host.frame, self.tr("Rename project"), self.tr("New name:"), text=project.name
        )
        if ok and name.strip():
            self._away(lambda: project.rename(name.strip()))

    def _project_without_jobs(self) -> Project:
        """Return the open project, whose folder is to change; raises CellSeg1Error while a job runs in it."""
        project = self._session.require_project()
        self._session.jobs.require_none(project)
        return project

    def _away(self, call: Callable[[], object]) -> None:
        """Do something that changes the project's folder, then show the project from its new place."""
        session = self._session
        project = session.require_project()
        old = project.folder
        if not succeeds(self._host.frame, call):
            return
        if project.folder != old:
            self.forget(old)
        self._opened()
        session.project_changed.emit()
        session.projects.tell_damage()

    def do_duplicate_project(self) -> None:
        """Make a copy beside the project and open it."""
        project = self._session.require_project()
        name, ok = QInputDialog.getText(
            self._host.frame,
            self.tr("Duplicate project"),
            self.tr("Name of the copy:"),
            text=self.tr("{name} copy").format(name=project.name),
        )
        if ok and name.strip():
            folder = attempt(self._host.frame, lambda: project.duplicate(project.folder.parent, name.strip()))
            if folder is not None:
                self.open_path(folder)

    def do_move_project(self) -> None:
        """Ask for another folder and move the project there."""
        project = self._project_without_jobs()
        parent = QFileDialog.getExistingDirectory(self._host.frame, self.tr("Move the project into this folder"))
        if parent:
            self._away(lambda: project.move(Path(parent)))

    def do_export_project(self) -> None:
        """Write the project as one file."""
        project = self._session.require_project()
        name, _ = QFileDialog.getSaveFileName(
            self._host.frame,
            self.tr("Export the project as one file"),
            str(project.folder.parent / f"{project.name}{_ARCHIVE}"),
            self.tr("Project files (*{suffix})").format(suffix=_ARCHIVE),
        )
        if not name:
            return
        path = Path(name) if Path(name).suffix else Path(name).with_suffix(_ARCHIVE)
        if not succeeds(self._host.frame, self._session.save_now):
            return
        self._session.run(
            lambda: export_file(project, path, pack_linked=True),
            lambda done: self._host.say(" ".join([self.tr("The project is in {file}.").format(file=path), *done])),
            self.tr("Exporting the project"),
        )

    def do_import_project(self) -> None:
        """Ask for a one-file project and unpack it."""
        name, _ = QFileDialog.getOpenFileName(
            self._host.frame,
            self.tr("Import a project file"),
            "",
            self.tr("Project files (*{suffix})").format(suffix=_ARCHIVE),
        )
        if name:
            self._import(Path(name))

    def _import(self, path: Path) -> None:
        parent = self._parent()
        self._session.run(lambda: import_file(path, parent), self._imported, self.tr("Importing the project"))

    def _imported(self, folder: Path) -> None:
        """Open what was imported, but not under a dialog that belongs to another project."""
        self._host.when_free(lambda: self.open_path(folder))

    def do_trash_project(self) -> None:
        """Move the project to the computer's trash, after a question: this one the window cannot undo."""
        project = self._project_without_jobs()
        answer = MessageBox.ask(
            self._host.frame,
            self.tr("Move project to trash"),
            self.tr(
                "Move the project {name} with all its masks and models to the computer's trash? It can be brought back "
                "from there with the file manager."
            ).format(name=project.name),
        )
        if answer != QMessageBox.StandardButton.Yes or not self._session.may_leave():
            return
        folder = project.folder
        self._session.close_project()
        if succeeds(self._host.frame, partial(trash_project, folder)):
            self.forget(folder)

    def do_close_project(self) -> None:
        """Close the project and show the start page."""
        if self._session.may_leave():
            self._session.close_project()
