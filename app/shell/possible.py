"""What is possible now: steps, commands, undo; and what works for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from ..translation.library_words import shown

if TYPE_CHECKING:
    from ..canvas import Canvas
    from ..project.project import Project
    from ..session.session import Session
    from .actions import Actions
    from .layout import WorkArea


class Possible(QObject):
    """Enables commands, says which steps lack something, and names what undo takes back."""

    def __init__(self, session: Session, canvas: Canvas, area: WorkArea, actions: Actions) -> None:
        super().__init__(area)
        self._session = session
        self._canvas = canvas
        self._area = area
        self._actions = actions

    def update(self) -> None:
        """Look at everything again."""
        session = self._session
        there = {
            name
            for name, thing in (("project", session.project), ("image", session.plane), ("document", session.document))
            if thing is not None
        }
        self._actions.enable(there if session.project is not None else set())
        self._area.step_bar.set_possible({} if session.project is None else self._missing(session.project))
        self.update_undo()
        self.show_device()

    def _missing(self, project: Project) -> dict[str, str]:
        """Return by step what is missing for it, as a sentence."""
        missing: dict[str, str] = {}
        cells = any(project.images.get(image.id).cells for image in project.images)
        if not cells:
            missing["train"] = self.tr("No cells are drawn yet.")
        if not project.images:
            missing["predict"] = missing["annotate"] = self.tr("There are no images yet.")
        if not any(run.kind == "predict" for run in project.runs):
            missing["review"] = self.tr("Nothing is predicted yet.")
            if not cells:
                missing["measure"] = self.tr("Nothing is drawn or predicted yet.")
        return missing

    def update_undo(self) -> None:
        """Enable undo and redo where there is something to take back, and name it."""
        document, canvas = self._session.document, self._canvas
        may = not canvas.read_only and not canvas.waiting
        undo, redo = self._actions["undo"], self._actions["redo"]
        can_undo = document is not None and document.can_undo
        can_redo = document is not None and document.can_redo
        undo.setEnabled(can_undo and may)
        redo.setEnabled(can_redo and may)
        undo.setText(
            self.tr("Undo {what}").format(what=shown(document.undo_name))
            if document is not None and can_undo
            else self.tr("Undo")
        )
        redo.setText(
            self.tr("Redo {what}").format(what=shown(document.redo_name))
            if document is not None and can_redo
            else self.tr("Redo")
        )

    def show_device(self) -> None:
        """Say below which device works, with which model."""
        session = self._session
        device = session.preferences.values.device
        name = session.backbone if session.model is None else session.model.stem
        self._area.status.set_device(f"{self.tr('auto') if device == 'auto' else device}: {name}")
