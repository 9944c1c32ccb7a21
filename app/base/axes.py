"""Reading a plane with axes set by the user instead of those of the file.  Imports neither Qt nor torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellseg1.images import Image, read_image
from cellseg1.images.axes import with_axes

if TYPE_CHECKING:
    from pathlib import Path


def read_with_axes(path: Path, axes: str | None = None) -> Image:
    """Read a file; `axes` replaces the stored or guessed axes (see `with_axes`)."""
    return with_axes(read_image(path), axes)
