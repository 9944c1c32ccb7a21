"""The rows of the image list: what is known of the images' files, and their thumbnails."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QImage

from cellseg1.errors import CellSeg1Error

from ...project.thumbnails import thumbnail
from .rows import ImageRow

if TYPE_CHECKING:
    from ...project.project import Project
    from ...session.session import Session
    from .list import ImageList


def _states_of(project: Project, image_ids: list[str]) -> dict[str, str]:
    """Look whether files are there and as they were; in a thread, where an image may be removed meanwhile."""
    states: dict[str, str] = {}
    for image_id in image_ids:
        with contextlib.suppress(CellSeg1Error):
            states[image_id] = project.images.check(image_id)
    return states


class ImageFiles(QObject):
    """Fills the list of images, and looks after their files in the background."""

    def __init__(self, session: Session, images: ImageList) -> None:
        super().__init__(images)
        self._session = session
        self._list = images
        #: Ids of images whose files could not be read.
        self._unreadable: set[str] = set()
        #: What is known of the files of images: ok, missing or changed.
        self._states: dict[str, str] = {}

    def forget(self) -> None:
        """Know nothing any more: another project is open."""
        self._unreadable.clear()
        self._states.clear()

    def is_there(self, image_id: str) -> bool:
        """Whether the open project has this image."""
        project = self._session.project
        return project is not None and any(one.id == image_id for one in project.images)

    def fill(self) -> None:
        """Show all images of the project."""
        project = self._session.project
        self._check()
        self._list.set_rows([] if project is None else [self._row(image.id) for image in project.images])
        self._list.set_current(self._session.image_id)

    def renew(self, image_id: str) -> None:
        """Show the present state of an image, with a new thumbnail."""
        if self.is_there(image_id):
            self._list.update_row(self._row(image_id))
            self._list.renew_thumbnail(image_id)

    def _row(self, image_id: str) -> ImageRow:
        project = self._session.require_project()
        entry = project.images.get(image_id)
        problem = {"missing": self.tr("missing"), "changed": self.tr("changed")}.get(self._states.get(image_id, ""), "")
        if not problem and image_id in self._unreadable:
            problem = self.tr("damaged")
        return ImageRow(
            id=image_id,
            name=entry.name,
            state=project.images.get(image_id).state,
            cells=project.images.get(image_id).cells,
            thumbnail=None,
            problem=problem,
        )

    # ---- files

    def _check(self) -> None:
        """Find out in a thread which files are missing or changed; folder by folder, as a file server may be away."""
        project = self._session.project
        if project is None:
            return
        folders: dict[str, list[str]] = {}
        for entry in project.images:
            folders.setdefault(str(Path(entry.file).parent), []).append(entry.id)
        for ids in folders.values():
            self._session.looking.run(
                partial(_states_of, project, ids),
                partial(self._checked, project),
                self.tr("Looking at the images"),
            )

    def _checked(self, project: Project, states: dict[str, str]) -> None:
        if self._session.project is not project:
            return
        changed = [one for one, state in states.items() if self._states.get(one, "ok") != state]
        self._states.update(states)
        for image_id in changed:
            # It is another file now, or there again: what could not be read may be readable.
            damaged = image_id in self._unreadable
            self._unreadable.discard(image_id)
            if self.is_there(image_id):
                self._list.update_row(self._row(image_id))
                if damaged and states[image_id] != "missing":
                    self._list.renew_thumbnail(image_id)

    def mark_unreadable(self, image_id: str) -> None:
        """Say in the list that an image cannot be read, before anybody opens it."""
        project = self._session.project
        if project is None or image_id in self._unreadable or not self.is_there(image_id):
            return
        if not project.is_there():
            return  # Its folder was moved: no image of it is damaged.
        self._unreadable.add(image_id)
        self._list.update_row(self._row(image_id))

    # ---- thumbnails

    def make_thumbnail(self, image_id: str) -> None:
        """Make the small picture of an image in a thread, and show it."""
        project = self._session.project
        if project is None:
            return

        def make() -> Path | str:
            try:
                return thumbnail(project, image_id)
            except CellSeg1Error:
                # Its file cannot be read; or the image was removed meanwhile, which is nothing to be told.
                return _states_of(project, [image_id]).get(image_id, "missing")

        self._session.looking.run(make, partial(self._made, project, image_id), self.tr("Making a thumbnail"))

    def _made(self, project: Project, image_id: str, made: Path | str) -> None:
        if self._session.project is not project or not self.is_there(image_id):
            return
        if isinstance(made, Path):
            self._unreadable.discard(image_id)
            self._list.set_thumbnail(image_id, QImage(str(made)))
        elif made != "missing":
            self.mark_unreadable(image_id)
