"""Where things are in the checkout, and what version it has."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def version() -> str:
    """Return the program's version."""
    return str(runpy.run_path(str(ROOT / "cellseg1/_version.py"))["__version__"])
