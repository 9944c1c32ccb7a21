"""Leftovers of a killed program outside its projects: incomplete exports, copies and imports.

A small record is written before such work starts and removed at its end.  The next opening of a project removes what
the records of dead processes name, and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.files import remove_unfinished
from cellseg1.regular import read_regular

from ...base.errors import ProjectError
from ...base.foreign import boundary, parse_json
from ...base.places import config_folder
from .lock import Holder

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 1 << 16
#: Age in seconds at which an incomplete file of the program is abandoned.
_OLD = 3600.0


def part_of(target: Path) -> Path:
    """Return a temporary name beside `target` for incomplete data."""
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:6]}.part")


@contextlib.contextmanager
def noted(path: Path) -> Iterator[None]:
    """Record a file or folder in progress, under a name from `part_of` or made by `atomic_write`.

    What remains under a name from `part_of` at the end is removed.
    """
    record = _folder() / f"{uuid.uuid4().hex}.json"
    # The work does not depend on the record.
    with contextlib.suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        values = {"holder": asdict(Holder.me()), "path": os.fsencode(path.absolute()).hex()}
        with record.open("x", encoding="utf-8") as stream:
            stream.write(json.dumps(values))
            stream.flush()
            os.fsync(stream.fileno())
    try:
        yield
    finally:
        if _is_part(path):
            remove(path)
        _forget(record, path)


def _is_part(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix == ".part"


def _forget(record: Path, path: Path | None) -> None:
    """Remove a record, unless what it names could not be removed."""
    with contextlib.suppress(OSError):
        if path is None or not _is_part(path) or not os.path.lexists(path):
            record.unlink(missing_ok=True)


def sweep() -> None:
    """Remove unfinished files of dead processes."""
    with contextlib.suppress(OSError):
        for record in sorted(_folder().glob("*.json")):
            with contextlib.suppress(OSError, ProjectError):
                _settle(record)
    with contextlib.suppress(OSError):
        for path in config_folder().glob(".*.part"):
            if time.time() - path.stat().st_mtime > _OLD:
                path.unlink()


def _settle(record: Path) -> None:
    path = None
    # An incomplete record was written before its work started.
    with contextlib.suppress(ProjectError), boundary(ProjectError, record):
        values = parse_json(read_regular(record, _LONGEST), _LONGEST)
        if Holder(**values["holder"]).alive():
            return
        path = Path(os.fsdecode(bytes.fromhex(values["path"])))
    if path is not None and path.is_absolute() and "\0" not in str(path):
        if _is_part(path):
            remove(path)
        else:
            remove_unfinished(path)
    _forget(record, path)


def remove(path: Path) -> None:
    """Remove a file or folder as far as possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _folder() -> Path:
    return config_folder() / "unfinished"
