"""Commands about what is shown: undo, zoom, the next image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from .attempt import guard

if TYPE_CHECKING:
    from .host import Host


class ViewCommands(QObject):
    """Does what concerns the shown image and its neighbours."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.frame)
        self._host = host

    def do_undo(self) -> None:
        """Undo."""
        self._host.canvas.undo()

    def do_redo(self) -> None:
        """Redo."""
        self._host.canvas.redo()

    def do_fit(self) -> None:
        """Fit the image."""
        self._host.canvas.fit()

    def do_actual_size(self) -> None:
        """Show one image pixel as one screen pixel."""
        self._host.canvas.zoom_to(1.0)

    def do_overlay(self) -> None:
        """Change between fill, outline and nothing."""
        self._host.canvas.cycle_overlay()

    def choose_tool(self, name: str) -> None:
        """Take a tool in hand."""
        self._host.canvas.set_tool(name)
        self._host.canvas.setFocus()

    def show_image(self, image_id: str) -> None:
        """Show an image of the project."""
        guard(self._host.frame, lambda: self._host.session.show_image(image_id))

    def do_next_unchecked(self) -> None:
        """Go to the next image that is not checked."""
        if not self._host.session.next_unchecked():
            self._host.say(self.tr("All images are checked."))

    def do_next_image(self) -> None:
        """Go to the next image."""
        self._go(1)

    def do_previous_image(self) -> None:
        """Go to the previous image."""
        self._go(-1)

    def _go(self, step: int) -> None:
        session = self._host.session
        if session.project is None or session.image_id is None:
            return
        ids = [image.id for image in session.project.images]
        place = ids.index(session.image_id) + step
        if 0 <= place < len(ids):
            self.show_image(ids[place])

    def step_plane(self, step: int) -> None:
        """Go to a neighbouring plane of a stack, or point in time."""
        session = self._host.session
        if session.image is None:
            return
        if session.image.n_z > 1:
            session.set_plane(z=session.z + step)
        elif session.image.n_t > 1:
            session.set_plane(t=session.t + step)

    def do_quit(self) -> None:
        """Close the window."""
        self._host.frame.close()
