"""Doing what may fail for reasons that the user can do something about."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QCoreApplication

from cellseg1.errors import CellSeg1Error

from ..widgets.errors import show_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QWidget

_T = TypeVar("_T")


def guard(over: QWidget, call: Callable[[], _T]) -> _T | None:
    """Call and return what comes of it; an expected error is shown in a dialog over a window, and gives None."""
    try:
        return call()
    except CellSeg1Error as error:
        show_error(over, str(error), "")
    return None


def attempt(over: QWidget, call: Callable[[], _T]) -> _T | None:
    """Do the same with files: that the disk refuses is expected, too."""
    try:
        return guard(over, call)
    except OSError as error:
        show_error(over, QCoreApplication.translate("Errors", "{why}. Nothing was lost.").format(why=error), "")
    return None


def succeeds(over: QWidget, call: Callable[[], object]) -> bool:
    """Do something with files; whether it went well."""
    return attempt(over, lambda: (call(),)) is not None
