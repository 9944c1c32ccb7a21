"""Commands about the images of a project: add, remove, find again, show, and save what is drawn on them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QMessageBox, QProgressDialog

from ..canvas.picture import save_picture
from ..pages.project.import_report import ImportReportDialog
from ..translation import counted
from ..widgets.plain import Label, MessageBox
from ..widgets.showing import ask, leave_open
from .attempt import attempt, succeeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host

#: Copying that takes longer than this shows how far it is.
_SLOW_MS = 500


class ImageCommands(QObject):
    """Does what the project menu and the image list ask for."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.frame)
        self._host = host
        self._session = host.session

    # ---- adding

    def add(self, paths: Sequence[Path], *, copy: bool | None, masks: Sequence[Path] = ()) -> None:
        """Add files and folders of images, and masks that belong to them.

        Parameters
        ----------
        copy
            Whether they are copied into the project; None asks.
        """
        if copy is None:
            copy = self._ask_copy()
            if copy is None:
                return
        progress = QProgressDialog(self.tr("Adding images..."), "", 0, 1, self._host.frame)
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

        report = attempt(self._host.frame, lambda: self._session.add_images(paths, copy=copy, masks=masks, progress=at))
        progress.reset()
        progress.deleteLater()
        if report is not None and report.needs_attention:
            names = {image.id: image.name for image in self._session.require_project().images}
            leave_open(ImportReportDialog(report, self._host.frame, names=names))

    def _ask_copy(self) -> bool | None:
        box = MessageBox(
            self._host.frame,
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
        files, _ = QFileDialog.getOpenFileNames(self._host.frame, self.tr("Add images"), "")
        if files:
            self.add([Path(name) for name in files], copy=None)

    def do_add_folder(self) -> None:
        """Ask for a folder of images and, if wanted, one of masks."""
        folder = QFileDialog.getExistingDirectory(self._host.frame, self.tr("Add all images of a folder"))
        if not folder:
            return
        masks = []
        beside = [Path(folder).parent / name for name in ("masks", "labels", "mask", "label")]
        found = next((one for one in beside if one.is_dir() and one != Path(folder)), None)
        if found is not None:
            answer = MessageBox.ask(
                self._host.frame,
                self.tr("Add images"),
                self.tr("Beside the folder is one called {name}. Add the masks in it too?").format(name=found.name),
            )
            masks = [found] if answer == QMessageBox.StandardButton.Yes else []
        self.add([Path(folder)], copy=None, masks=masks)

    # ---- removing and finding again

    def remove_images(self, ids: Sequence[str]) -> None:
        """Move images to the project's trash (they can be brought back from there)."""
        tried = [attempt(self._host.frame, partial(self._session.remove_image, image_id)) for image_id in ids]
        removed = [one for one in tried if one is not None]
        if not removed:
            return

        project = self._session.project

        def bring_back() -> None:
            if self._session.project is not project:
                return
            for one in reversed(removed):
                succeeds(self._host.frame, partial(self._session.restore, one))

        self._host.say(
            self.tr("{images} moved to the project's trash.").format(images=counted.images(len(removed))),
            self.tr("Undo"),
            bring_back,
        )

    def do_removed(self) -> None:
        """Show what was removed from the project, to bring it back."""
        from ..pages.project.removed import RemovedDialog

        ask(RemovedDialog(self._session, self._host.frame))

    def relink_images(self, ids: Sequence[str]) -> None:
        """Ask where missing images are now."""
        project = self._session.project
        if project is None:
            return
        if len(ids) == 1:
            file, _ = QFileDialog.getOpenFileName(
                self._host.frame, self.tr("Where is {name} now?").format(name=project.images.get(ids[0]).name)
            )
            if file:
                attempt(self._host.frame, lambda: project.images.relink(ids[0], Path(file)))
                self._session.images_changed.emit()
        else:
            self.do_relink()

    def do_relink(self) -> None:
        """Ask for a folder and find missing images in it."""
        project = self._session.require_project()
        folder = QFileDialog.getExistingDirectory(self._host.frame, self.tr("Find missing images in this folder"))
        if folder:
            found = attempt(self._host.frame, lambda: project.images.relink_folder(Path(folder)))
            if found is not None:
                self._host.say(self.tr("{n} images were found again.").format(n=found))
                self._session.images_changed.emit()

    def reveal_image(self, image_id: str) -> None:
        """Show the folder of an image in the file manager."""
        project = self._session.require_project()
        self._session.run(
            lambda: project.images.path(image_id),
            lambda path: QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent))),
            self.tr("Looking for the image"),
        )

    # ---- saving

    def do_export_masks(self) -> None:
        """Save label images of all planes."""
        self.export_masks(None)

    def export_masks(self, run_id: str | None) -> None:
        """Save label images of all planes; of a run, its masks are offered first."""
        from ..pages.export.dialog import ExportMasksDialog

        ask(ExportMasksDialog(self._session, self._host.frame, run_id=run_id))

    def do_export_picture(self) -> None:
        """Save what is shown, with its scale bar."""
        name, _ = QFileDialog.getSaveFileName(
            self._host.frame, self.tr("Save picture"), "picture.png", self.tr("Pictures (*.png)")
        )
        if name:
            path = Path(name) if Path(name).suffix else Path(name).with_suffix(".png")
            attempt(self._host.frame, lambda: save_picture(self._host.canvas, path, 2.0))
