"""Numbers of things, in the singular where it is one."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

_translate = QCoreApplication.translate


def _counted(text: str, n: int) -> str:
    return text.format(n=f"{n:,}")


def cells(n: int) -> str:
    """Return ``1 cell`` or ``27 cells``."""
    return _counted(_translate("Words", "{n} cell") if n == 1 else _translate("Words", "{n} cells"), n)


def images(n: int) -> str:
    """Return ``1 image`` or ``12 images``."""
    return _counted(_translate("Words", "{n} image") if n == 1 else _translate("Words", "{n} images"), n)


def proposals(n: int) -> str:
    """Return ``1 proposal`` or ``41 proposals``."""
    return _counted(_translate("Words", "{n} proposal") if n == 1 else _translate("Words", "{n} proposals"), n)


def masks(n: int) -> str:
    """Return ``1 mask`` or ``12 masks``."""
    return _counted(_translate("Words", "{n} mask") if n == 1 else _translate("Words", "{n} masks"), n)


def errors(n: int) -> str:
    """Return ``1 error`` or ``12 errors``."""
    return _counted(_translate("Words", "{n} error") if n == 1 else _translate("Words", "{n} errors"), n)
