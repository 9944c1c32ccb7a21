"""The error for projects, with one sentence for the user."""

from __future__ import annotations

from cellseg1.errors import CellSeg1Error


class ProjectError(CellSeg1Error, OSError):
    """A project cannot be opened, changed or copied."""
