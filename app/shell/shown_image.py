"""The canvas shows what the session has open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject

from ..canvas.layers.cell_colours import pairs_near

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellseg1.masks import Box

    from ..canvas import Canvas
    from ..session.session import Session
    from .layout import WorkArea


class ShownImage(QObject):
    """Brings image, drawing and proposals of the session to the canvas, and what belongs to them around it."""

    def __init__(self, session: Session, canvas: Canvas, area: WorkArea) -> None:
        super().__init__(area)
        self._session = session
        self._canvas = canvas
        self._area = area
        canvas.edit_aside = session.edit_aside
        canvas.in_background = session.run
        session.edits.foresee = self._foresee

    def show_plane(self) -> None:
        """Show the plane and the drawing on it."""
        session, canvas, area = self._session, self._canvas, self._area
        canvas.set_document(None)
        canvas.set_image(session.plane, session.display)
        canvas.set_document(session.document)
        size = session.pixel_size()
        canvas.set_pixel_size(size)
        area.status.set_pixel_size(size)
        area.images.set_current(session.image_id)
        self.show_place()
        if self._area.window().focusWidget() in (None, area.step_bar.project_button):
            # Nobody chose the project menu: a fresh window puts the focus on its first button.
            canvas.setFocus()

    def show_place(self) -> None:
        """Show the canvas where there are images, and its tools where there is something to draw on."""
        project = self._session.project
        empty = project is not None and not project.images
        self._area.show_canvas(without_images=empty, drawable=self._session.document is not None)

    def show_display(self) -> None:
        """Show the image with the channels and contrast of the session."""
        if self._session.display is not None:
            self._canvas.set_display(self._session.display)

    def _foresee(self, labels: NDArray[np.int32], box: Box) -> Callable[[], None]:
        """Find out in a thread which cells will touch, and return what tells the canvas."""
        pairs = pairs_near(labels, box)
        return lambda: self._canvas.scene.colours.foresee(box, pairs)
