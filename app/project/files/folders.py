"""Listing folders that may be missing or unreadable."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder; empty when it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda one: one.name)
    except OSError:
        return []
