"""The flags of images as the list sets them: used for training, and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from cellseg1.errors import CellSeg1Error

if TYPE_CHECKING:
    from ..host import Host


class ImageFlags(QObject):
    """Sets a flag of several images, and says what that meant where they have several planes."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.frame)
        self._host = host

    def set(self, ids: list[str], flag: str, value: bool) -> None:
        """Set the flag ``training`` or ``checked`` of images."""
        session = self._host.session
        project = session.project
        if project is None or project.read_only:
            return
        self._host.canvas.settle()
        there = {image.id for image in project.images}
        ids = [one for one in ids if one in there]
        unknown = [one for one in ids if not project.images.get(one).n_z]
        self._set_now([one for one in ids if one not in unknown], flag, value)
        if unknown:
            # They are read first, which may take a while, to know their planes.
            session.look_at_images(unknown, lambda: self._set_now(unknown, flag, value))

    def _set_now(self, ids: list[str], flag: str, value: bool) -> None:
        planes = 0
        for image_id in ids:
            try:
                planes += self._host.session.set_flag(image_id, flag, value)
            except CellSeg1Error as error:
                self._host.say(str(error))
        if planes > len(ids):
            said = {
                ("training", True): self.tr("{n} planes are used for training: those with cells."),
                ("training", False): self.tr("{n} planes are not used for training any more."),
                ("checked", True): self.tr("{n} planes are checked: those with cells or a prediction."),
                ("checked", False): self.tr("{n} planes are not checked any more."),
            }[flag, value]
            self._host.say(said.format(n=planes))
