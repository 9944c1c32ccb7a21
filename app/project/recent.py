"""The projects that were opened lately, for the start page."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellseg1.errors import OutputError
from cellseg1.files import is_file

from ..base.errors import ProjectError
from ..base.foreign import boundary
from ..base.places import config_folder
from .content import now, usable_time
from .files.sealed import dump, read_sealed, seal, write_sealed

_KIND = "cellseg1 studio recent projects"
_SCHEMA = 1
_MOST = 20


@dataclass(frozen=True, slots=True)
class RecentProject:
    """A project that was opened.

    Attributes
    ----------
    opened
        When last, ISO 8601 in UTC.
    thumbnail
        A picture of one of its images with its cells, None when there is none (any more).
    """

    path: Path
    name: str
    opened: str
    thumbnail: Path | None = None


def _file() -> Path:
    return config_folder() / "recent.json"


def _read() -> list[dict[str, Any]]:
    try:
        with boundary(ProjectError, _file()):
            entries = list(read_sealed(_file(), _KIND, _SCHEMA, {}, [], repair=True)["projects"])
            return [one for one in entries[: 10 * _MOST] if _usable(one)]
    except (ProjectError, OSError):
        return []


def _usable(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    texts = [entry.get(key) for key in ("path", "name", "opened")]
    if entry.get("thumbnail") is not None:
        texts.append(entry["thumbnail"])
    return all(isinstance(one, str) and one and "\0" not in one for one in texts) and bool(usable_time(entry["opened"]))


def _write(entries: list[dict[str, Any]]) -> None:
    # A list that cannot be written is no reason to disturb anybody.
    with contextlib.suppress(OutputError):
        write_sealed(_file(), seal(_KIND, _SCHEMA, dump({"projects": entries[:_MOST]})[1:]))


def recent() -> list[RecentProject]:
    """Return the projects that were opened lately, the newest first, also those that are not there now."""
    found = []
    for one in _read():
        thumbnail = Path(one["thumbnail"]) if one.get("thumbnail") else None
        if thumbnail is None or not is_file(thumbnail):
            thumbnail = _newest_thumbnail(Path(one["path"]))
        found.append(RecentProject(Path(one["path"]), str(one["name"]), str(one["opened"]), thumbnail))
    return found


def add(path: Path, name: str, thumbnail: Path | None = None) -> None:
    """Put a project at the top of the list."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - links keep their own name
    entry = {"path": str(path), "name": name, "opened": now(), "thumbnail": str(thumbnail) if thumbnail else None}
    _write([entry, *(one for one in _read() if one["path"] != str(path))])


def remove(path: Path) -> None:
    """Take a project off the list."""
    _write([one for one in _read() if one["path"] != os.path.abspath(path)])  # noqa: PTH100


def _newest_thumbnail(folder: Path) -> Path | None:
    with contextlib.suppress(OSError, ValueError):
        return max((folder / "thumbnails").glob("*.png"), key=lambda path: path.stat().st_mtime)
    return None
