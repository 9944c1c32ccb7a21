"""Numbers of things, in the singular where it is one."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication


def _tr(text: str, n: int) -> str:
    return QCoreApplication.translate("Words", text).format(n=f"{n:,}")


def cells(n: int) -> str:
    """Return ``1 cell`` or ``27 cells``."""
    return _tr("{n} cell", n) if n == 1 else _tr("{n} cells", n)


def images(n: int) -> str:
    """Return ``1 image`` or ``12 images``."""
    return _tr("{n} image", n) if n == 1 else _tr("{n} images", n)


def proposals(n: int) -> str:
    """Return ``1 proposal`` or ``41 proposals``."""
    return _tr("{n} proposal", n) if n == 1 else _tr("{n} proposals", n)


def masks(n: int) -> str:
    """Return ``1 mask`` or ``12 masks``."""
    return _tr("{n} mask", n) if n == 1 else _tr("{n} masks", n)


def errors(n: int) -> str:
    """Return ``1 error`` or ``12 errors``."""
    return _tr("{n} error", n) if n == 1 else _tr("{n} errors", n)
