"""Names of projects and files that work on every system, and paths that stay inside a folder."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from app.project.sealed import ProjectError

SUFFIX = ".cs1project"
#: A file in every project folder that a file manager can open; no system connects folders with programs.
OPENER = f"open{SUFFIX}"
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_LONGEST = 100


def fault_in(name: str) -> str:
    """Return what is wrong with a file name on some system; empty when nothing is."""
    if not name or name in (".", ".."):
        return "it is empty"
    if _FORBIDDEN.search(name):
        return 'it holds one of the characters < > : " / \\ | ? *'
    if name[-1] in ". " or name[0] == " ":
        return "it begins or ends with a space or ends with a dot"
    if _RESERVED.fullmatch(name):
        return "Windows keeps this name for itself"
    return "it is too long" if len(name.encode("utf-8", "replace")) > _LONGEST * 2 else ""


def check_name(name: str) -> str:
    """Return the name of a project or model, trimmed; ProjectError when it cannot be the name of a file everywhere."""
    name = name.strip()
    fault = fault_in(name) or ("it begins with a dot" if name.startswith(".") else "")
    if fault or len(name) > _LONGEST:
        raise ProjectError(f"The name {name!r} cannot be used: {fault or 'it is too long'}. Choose another name.")
    return name


def inside(relative: str) -> bool:
    """Whether a stored path (with ``/``) is one of a file inside the folder that holds it, on every system."""
    parts = relative.split("/")
    return PurePosixPath(relative).parts == tuple(parts) and not any(
        _FORBIDDEN.search(part) or part in (".", "..") or not part for part in parts
    )


def project_folder_of(path: Path) -> Path:
    """Return the project folder that a path means: itself, or the folder of its ``project.json`` or opener."""
    inside = path.name.startswith("project.json") and not path.is_dir()
    return path.parent if inside or (path.suffix.lower() == SUFFIX and path.is_file()) else path


def name_of(folder: Path) -> str:
    """Return the name of a project folder."""
    return folder.name.removesuffix(SUFFIX)


def free_project_folder(parent: Path, name: str) -> Path:
    """Return the folder of a project of that name, or of ``NAME 2``, ``NAME 3`` ...: the first that is not there."""
    number, folder = 1, parent / f"{name}{SUFFIX}"
    while folder.exists():
        number += 1
        folder = parent / f"{name} {number}{SUFFIX}"
    return folder
