"""The error that says in one sentence why a project cannot be opened, changed or copied."""

from __future__ import annotations

from cellseg1.errors import CellSeg1Error


class ProjectError(CellSeg1Error, OSError):
    """A project cannot be opened, changed or copied."""
