"""Commands about projects and their images: make, open, sample, add, export, move, trash."""

from __future__ import annotations

import filecmp
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QProgressDialog

from app.base.names import free_project_folder
from app.base.places import default_project_folder
from app.pages.models.work import import_cs1
from app.pages.project.import_report import ImportReportDialog
from app.pages.project.new_project import NewProjectDialog
from app.project import recent
from app.project.archive import export_file, import_file
from app.project.models import library_models
from app.project.project import Project
from app.translation import counted as words
from app.widgets.errors import show_error
from app.widgets.plain import Label, MessageBox, plain_action, plain_tip
from app.widgets.showing import ask, leave_open
from cellseg1.bundled import resource_path
from cellseg1.errors import CellSeg1Error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.shell.main_window import MainWindow

_ARCHIVE = ".cs1zip"
_FOLDER = ".cs1project"
#: Copying that takes longer than this shows how far it is.
_SLOW_MS = 500
_MODEL = ".cs1"


class ProjectCommands(QObject):
    """Does what the project menu, the start page and the image list ask for."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._session = window.session

    # ---- helpers

    def _parent(self) -> Path:
        chosen = self._window.preferences.values.project_folder
        return Path(chosen) if chosen else default_project_folder()

    def _try(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (CellSeg1Error, OSError) as error:
            sentence = (
                str(error)
                if isinstance(error, CellSeg1Error)
                else self.tr("{why}. Nothing was lost.").format(why=error)
            )
            show_error(self._window, sentence, "")
            return None

    def _done(self, call: Callable[..., Any], *arguments: Any) -> bool:
        """Call; show an expected error and return False."""
        return self._try(lambda: (call(*arguments),)) is not None

    def fill_start_page(self) -> None:
        """Show the recent projects."""
        self._window.start_page.set_recent(recent.recent())

    def fill_recent_menu(self) -> None:
        """List the recent projects in the menu."""
        menu = self._window.recent_menu
        menu.clear()
        for entry in recent.recent():
            action = menu.addAction(plain_action(entry.name))
            action.setToolTip(plain_tip(str(entry.path)))
            action.setEnabled(entry.path.exists())
            action.triggered.connect(lambda _on=False, path=entry.path: self.open_path(path))
        if not menu.actions():
            menu.addAction(self.tr("No projects yet")).setEnabled(False)

    def _opened(self) -> None:
        project = self._session.project
        if project is not None:
            recent.add(project.folder, project.name)

    def forget(self, path: Path) -> None:
        """Take a project off the list of recent ones; its folder stays."""
        recent.remove(path)
        self.fill_start_page()

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
            self._try(lambda: self._take_model(path))
            return
        project = self._session.project
        before = None if project is None else project.folder
        self._try(lambda: self._session.open_project(path))
        if before is not None and project is self._session.project and project is not None and project.folder != before:
            # Something else has moved it.
            recent.remove(before)
        self._opened()

    def _take_model(self, path: Path) -> None:
        """Put a model on the shelf of the open project, or of the library, unless it is there; and choose it."""
        session = self._session
        project = None if session.project is None or session.project.read_only else session.project
        known = [*(project.models if project is not None else []), *library_models()]
        there = next((one.path for one in known if filecmp.cmp(one.path, path, shallow=False)), None)
        model = there or import_cs1(path, project)
        session.models_changed.emit()
        if session.project is not None:
            session.set_model(model)
            self._window.say(self.tr("The model {name} is chosen; step 3 predicts with it.").format(name=model.stem))
            return
        box = MessageBox(
            self._window,
            self.tr("Model"),
            self.tr("The model {name} is in the library.").format(name=model.stem),
            self.tr("Open a project to use it: it is offered in the steps Train and Predict."),
        )
        leave_open(box)

    def do_open_project(self) -> None:
        """Ask for a project folder and open it."""
        folder = QFileDialog.getExistingDirectory(
            self._window, self.tr("Open a project: choose its folder (NAME.cs1project)"), str(self._parent())
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
        dialog = NewProjectDialog(self._parent(), list(paths), self._window)
        if not ask(dialog):
            return
        wish = dialog.result_values()
        if not self._try(lambda: self._session.create_project(wish.parent, wish.name)):
            return
        self._opened()
        if wish.images:
            self._add(wish.images, copy=wish.copy, masks=[wish.masks] if wish.masks else [])

    def do_try_sample(self) -> None:
        """Open the sample project; the first time a copy is made, because it may be painted on."""
        place = self._parent() / f"Sample{_FOLDER}"
        if (place / "project.json").exists():
            self.open_path(place)
            return
        if self._try(lambda: self._make_sample(place)):
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
            document = project.document(image.id)
            if len(document.cells):
                document.set_attribute("Use for training", "training", True)
                project.update_plane(image.id, 0, 0, document)
        self._session.add_images(sorted((test / "images").iterdir()), copy=True)
        # The truth of the others lies beside them, for the step Measure; it must not be in the way while painting.
        shutil.copytree(test / "masks", place / "truth")
        return True

    # ---- images

    def add_paths(self, paths: Sequence[Path]) -> None:
        """Add dropped files and folders; a dropped project or model is opened instead."""
        paths = [Path(path) for path in paths]
        projects = [path for path in paths if path.suffix in (_FOLDER, _ARCHIVE, _MODEL)]
        if projects:
            self.open_path(projects[0])
        elif self._session.project is None:
            self.new_from(paths)
        else:
            self._add(paths, copy=None)

    def _add(self, paths: Sequence[Path], *, copy: bool | None, masks: Sequence[Path] = ()) -> None:
        if copy is None:
            copy = self._ask_copy()
            if copy is None:
                return
        progress = QProgressDialog(self.tr("Adding images..."), "", 0, 1, self._window)
        progress.setLabel(Label(progress.labelText()))
        progress.setWindowTitle(self.tr("Add images"))
        progress.setWindowModality(Qt.WindowModality.WindowModal)
        progress.setCancelButton(None)
        progress.setMinimumDuration(_SLOW_MS)

        def at(done: int, total: int, name: str) -> None:
            # It lets the window be drawn, and nothing else happen, between two files.
            progress.setMaximum(total)
            progress.setLabelText(self.tr("{name} ({n} of {all})").format(name=name, n=done + 1, all=total))
            progress.setValue(done)

        report = self._try(lambda: self._session.add_images(paths, copy=copy, masks=masks, progress=at))
        progress.reset()
        progress.deleteLater()
        if report is not None and report.needs_attention:
            names = {image.id: image.name for image in self._session.require_project().images}
            leave_open(ImportReportDialog(report, self._window, names=names))

    def _ask_copy(self) -> bool | None:
        box = MessageBox(
            self._window,
            self.tr("Add images"),
            self.tr("Copy the images into the project, or use them where they are?"),
            self.tr("Copies keep the project complete when it is moved. Links need no room on the disk."),
        )
        copy = box.addButton(self.tr("Copy"), QMessageBox.ButtonRole.AcceptRole)
        link = box.addButton(self.tr("Use where they are"), QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(copy)
        ask(box)
        return True if box.clickedButton() is copy else False if box.clickedButton() is link else None

    def do_add_images(self) -> None:
        """Ask for image files and add them."""
        files, _ = QFileDialog.getOpenFileNames(self._window, self.tr("Add images"), "")
        if files:
            self._add([Path(name) for name in files], copy=None)

    def do_add_folder(self) -> None:
        """Ask for a folder of images and, if wanted, one of masks."""
        folder = QFileDialog.getExistingDirectory(self._window, self.tr("Add all images of a folder"))
        if not folder:
            return
        masks = []
        beside = [Path(folder).parent / name for name in ("masks", "labels", "mask", "label")]
        found = next((one for one in beside if one.is_dir() and one != Path(folder)), None)
        if found is not None:
            answer = MessageBox.ask(
                self._window,
                self.tr("Add images"),
                self.tr("Beside the folder is one called {name}. Add the masks in it too?").format(name=found.name),
            )
            masks = [found] if answer == QMessageBox.StandardButton.Yes else []
        self._add([Path(folder)], copy=None, masks=masks)

    def remove_images(self, ids: Sequence[str]) -> None:
        """Move images to the project's trash (they can be brought back from there)."""
        tried = [self._try(partial(self._session.remove_image, image_id)) for image_id in ids]
        removed = [one for one in tried if one is not None]
        if not removed:
            return

        project = self._session.project

        def bring_back() -> None:
            if self._session.project is not project:
                return
            for one in reversed(removed):
                self._done(self._session.restore, one)

        self._window.say(
            self.tr("{images} moved to the project's trash.").format(images=words.images(len(removed))),
            self.tr("Undo"),
            bring_back,
        )

    def do_removed(self) -> None:
        """Show what was removed from the project, to bring it back."""
        from app.pages.project.removed import RemovedDialog

        ask(RemovedDialog(self._session, self._window))

    def relink_images(self, ids: Sequence[str]) -> None:
        """Ask where missing images are now."""
        project = self._session.project
        if project is None:
            return
        if len(ids) == 1:
            file, _ = QFileDialog.getOpenFileName(
                self._window, self.tr("Where is {name} now?").format(name=project.image(ids[0]).name)
            )
            if file:
                self._try(lambda: project.relink(ids[0], Path(file)))
                self._session.images_changed.emit()
        else:
            self.do_relink()

    def do_relink(self) -> None:
        """Ask for a folder and find missing images in it."""
        project = self._session.require_project()
        folder = QFileDialog.getExistingDirectory(self._window, self.tr("Find missing images in this folder"))
        if folder:
            found = self._try(lambda: project.relink_folder(Path(folder)))
            if found is not None:
                self._window.say(self.tr("{n} images were found again.").format(n=found))
                self._session.images_changed.emit()

    def reveal_image(self, image_id: str) -> None:
        """Show the folder of an image in the file manager."""
        path = self._session.require_project().image_path(image_id)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent)))

    # ---- saving

    def do_save_now(self) -> None:
        """Bring everything to disk at once."""
        self._try(self._session.save_now)

    def do_save_elsewhere(self) -> None:
        """Go on in another folder, when the present one cannot be written."""
        project = self._project_without_jobs()
        parent = QFileDialog.getExistingDirectory(self._window, self.tr("Save the project in another folder"))
        if parent:
            target = free_project_folder(Path(parent), project.name)
            if self._done(project.save_elsewhere, target):
                self._opened()
                self._session.project_changed.emit()
                self._window.say(self.tr("Everything is saved in {folder}.").format(folder=project.folder))

    def do_export_masks(self) -> None:
        """Save label images of all planes."""
        self.export_masks(None)

    def export_masks(self, run_id: str | None) -> None:
        """Save label images of all planes; of a run, its masks are offered first."""
        from app.pages.export.dialog import ExportMasksDialog

        ask(ExportMasksDialog(self._session, self._window, run_id=run_id))

    def do_export_picture(self) -> None:
        """Save what is shown, with its scale bar."""
        name, _ = QFileDialog.getSaveFileName(
            self._window, self.tr("Save picture"), "picture.png", self.tr("Pictures (*.png)")
        )
        if name:
            path = Path(name) if Path(name).suffix else Path(name).with_suffix(".png")
            self._try(lambda: self._window.canvas.export_picture(path, 2.0))

    # ---- the project as a whole

    def do_rename_project(self) -> None:
        """Ask for another name."""
        project = self._project_without_jobs()
        name, ok = QInputDialog.getText(
            self._window, self.tr("Rename project"), self.tr("New name:"), text=project.name
        )
        if ok and name.strip():
            self._away(lambda: project.rename(name.strip()))

    def _project_without_jobs(self) -> Project:
        """Return the open project, whose folder is to change; raises CellSeg1Error while a job runs in it."""
        project = self._session.require_project()
        self._session.jobs.require_none(project)
        return project

    def _away(self, call: Callable[[], Any]) -> None:
        """Do something that changes the project's folder, then show the project from its new place."""
        session = self._session
        project = session.require_project()
        old = project.folder
        if self._try(lambda: (call(), True)[1]) is None:
            return
        if project.folder != old:
            recent.remove(old)
        self._opened()
        session.project_changed.emit()
        session.tell_damage()

    def do_duplicate_project(self) -> None:
        """Make a copy beside the project and open it."""
        project = self._session.require_project()
        name, ok = QInputDialog.getText(
            self._window,
            self.tr("Duplicate project"),
            self.tr("Name of the copy:"),
            text=self.tr("{name} copy").format(name=project.name),
        )
        if ok and name.strip():
            folder = self._try(lambda: project.duplicate(project.folder.parent, name.strip()))
            if folder is not None:
                self.open_path(folder)

    def do_move_project(self) -> None:
        """Ask for another folder and move the project there."""
        project = self._project_without_jobs()
        parent = QFileDialog.getExistingDirectory(self._window, self.tr("Move the project into this folder"))
        if parent:
            self._away(lambda: project.move(Path(parent)))

    def do_export_project(self) -> None:
        """Write the project as one file."""
        project = self._session.require_project()
        name, _ = QFileDialog.getSaveFileName(
            self._window,
            self.tr("Export the project as one file"),
            str(project.folder.parent / f"{project.name}{_ARCHIVE}"),
            self.tr("Project files (*{suffix})").format(suffix=_ARCHIVE),
        )
        if not name:
            return
        path = Path(name) if Path(name).suffix else Path(name).with_suffix(_ARCHIVE)
        if not self._done(self._session.save_now):
            return
        self._session.run(
            lambda: export_file(project, path, pack_linked=True),
            lambda done: self._window.say(" ".join([self.tr("The project is in {file}.").format(file=path), *done])),
            self.tr("Exporting the project"),
        )

    def do_import_project(self) -> None:
        """Ask for a one-file project and unpack it."""
        name, _ = QFileDialog.getOpenFileName(
            self._window,
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
        self._window.when_free(lambda: self.open_path(folder))

    def do_trash_project(self) -> None:
        """Move the project to the computer's trash, after a question: this one the window cannot undo."""
        project = self._project_without_jobs()
        answer = MessageBox.ask(
            self._window,
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
        if self._done(Project.trash, folder):
            recent.remove(folder)
        self.fill_start_page()

    def do_close_project(self) -> None:
        """Close the project and show the start page."""
        if self._session.may_leave():
            self._session.close_project()
