"""Errors inside an engine: a sentence for the user, and details for a report."""

from __future__ import annotations

import contextlib
import platform
import sys
import traceback
from typing import TYPE_CHECKING

from cellseg1.errors import CellSeg1Error

from ..messages import CRASH, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def explain(error: BaseException, doing: str = "") -> Failed:
    """Turn any error into a sentence for the user, with the traceback as details."""
    details = f"Python {platform.python_version()}, torch {_torch_version()}, {platform.platform()}\n" + "".join(
        traceback.format_exception(error)
    )
    what = f" while {doing}" if doing else ""
    if isinstance(error, CellSeg1Error):
        sentence = str(error)
    elif is_memory_error(error):
        sentence = (
            f"The memory of this computer or its GPU was not enough{what}. Nothing you drew was lost; close other "
            "programs, or use smaller images or a smaller backbone."
        )
    elif isinstance(error, OSError):
        where = "" if error.filename is None else f" {error.filename}"
        why = error.strerror or str(error)
        sentence = f"The file{where} cannot be used{what}: {why}. Nothing you drew was lost; check the file, try again."
    else:
        sentence = (
            f"Something went wrong inside the program{what}. Nothing you drew was lost; try again, and if it "
            "comes back, send us the details."
        )
    return Failed(sentence, details)


def is_memory_error(error: BaseException) -> bool:
    """Tell whether an error means full memory."""
    from cellseg1.memory import is_out_of_memory

    return is_out_of_memory(error)


def _torch_version() -> str:
    return str(getattr(sys.modules.get("torch"), "__version__", "not loaded"))


@contextlib.contextmanager
def crash_report(folder: Path | None) -> Iterator[None]:
    """Write the traceback of a crash inside a compiled library into the run's folder; without a crash no file stays."""
    import faulthandler

    path = None if folder is None else folder / CRASH
    try:
        if folder is not None:
            folder.mkdir(exist_ok=True)
        stream = None if path is None else path.open("w", encoding="utf-8")
    except OSError:
        stream = None
    if stream is None or path is None:
        yield
        return
    with stream:
        faulthandler.enable(stream)
        try:
            yield
        finally:
            faulthandler.disable()
    with contextlib.suppress(OSError):
        path.unlink()
