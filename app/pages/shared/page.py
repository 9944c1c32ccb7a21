"""What every step's page has in common."""

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

    A page hears of what is open from the session and shows things over the image through the canvas.  It knows no
    other page and nothing of the window: where the user wants to go, it says by signals.

    Signals
    -------
    step_wanted
        The step to go to: annotate, train, predict, review or measure.
    models_wanted
        The list of models is asked for.
    """

    step_wanted = Signal(str)
    models_wanted = Signal()

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__("", parent=parent)
        self._session = session
        self._canvas = canvas

    def shown(self) -> None:
        """Bring everything up to date; called when one comes to this step."""
