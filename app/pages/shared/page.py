"""The base class of the pages of all steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal

from ...widgets.panel import Panel

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from ...canvas import Canvas
    from ...session.session import Session


class Page(Panel):
    """The panel of a step.

    A page gets the open project and image from the session and draws over the image with the canvas.  It knows neither
    other pages nor the window: signals ask for another step.

    Signals
    -------
    step_wanted
        The step to go to: annotate, train, predict, review or measure.
    models_wanted
        The user wants to see the list of models.
    """

    step_wanted = Signal(str)
    models_wanted = Signal()

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__("", parent=parent)
        self._session = session
        self._canvas = canvas

    def shown(self) -> None:
        """Update everything; called when the step is shown."""
