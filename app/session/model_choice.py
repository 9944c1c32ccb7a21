"""The model that predictions and clicks use; remembered with the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from cellseg1.sam.registry import backbone_names
from cellseg1.sam.store import locate
from cellseg1.settings import DEFAULT_BACKBONE

from ..project.models import library_models

if TYPE_CHECKING:
    from pathlib import Path

    from ..project.project import Project


class ModelChoice(QObject):
    """A model, or a backbone without an adapter."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path: Path | None = None
        self._backbone = DEFAULT_BACKBONE

    @property
    def path(self) -> Path | None:
        """The model; None: `backbone` alone."""
        return self._path if self._path is not None and self._path.exists() else None

    @property
    def backbone(self) -> str:
        """The backbone to use without a model."""
        return self._backbone if locate(self._backbone) is not None else DEFAULT_BACKBONE

    def load(self, project: Project) -> None:
        """Load the choice of an opened project, without a signal."""
        name = project.settings.get("model")
        known = [*project.models.all(), *library_models()]
        self._path = next((one.path for one in known if name in (one.path.name, str(one.path))), None)
        plain = project.settings.get("plain_backbone")
        self._backbone = plain if plain in backbone_names() else DEFAULT_BACKBONE

    def choose(self, project: Project | None, path: Path | None, backbone: str = DEFAULT_BACKBONE) -> None:
        """Choose, and store the choice in the project."""
        self._path, self._backbone = path, backbone
        if project is not None and not project.read_only:
            # A project may be moved, so its own models are stored by name, those of the library by path.
            own = path is not None and path.parent == project.models_folder
            project.set_setting("model", None if path is None else path.name if own else str(path))
            project.set_setting("plain_backbone", backbone)
        self.changed.emit()
