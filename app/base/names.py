"""Names of projects and files that work on every system, and paths that stay inside a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import ProjectError

SUFFIX = ".cs1project"
#: A file in every project folder for opening it by double click; file managers connect no folders with programs.
OPENER = f"open{SUFFIX}"
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
#: The id of an image, made by `secrets.token_hex(4)`, which is also the name of the folder of its drawings.
_IMAGE_ID = re.compile(r"[0-9a-f]{8}")
_RUN_ID = re.compile(r"[0-9]{4,9}-(?:train|predict)")
_LONGEST = 100
#: Most bytes of a file name on common systems.
_LONGEST_NAME = 255
#: Most bytes of a file name, with room for a prefix and a suffix.
_LONGEST_FILE = 180


def fault_in(name: str) -> str:
    """Return the reason why a file name is invalid on some system; empty when it is valid."""
    if not name or name in (".", ".."):
        return "it is empty"
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        return "it is no readable text"
    if _FORBIDDEN.search(name):
        return 'it holds one of the characters < > : " / \\ | ? *'
    if name[-1] in ". " or name[0] == " ":
        return "it begins or ends with a space or ends with a dot"
    if _RESERVED.fullmatch(name):
        return "Windows keeps this name for itself"
    return "it is too long" if len(name.encode("utf-8", "replace")) > _LONGEST_NAME else ""


def check_name(name: str) -> str:
    """Return the trimmed name of a project or model; ProjectError when it is no valid file name on every system."""
    name = name.strip()
    fault = fault_in(name) or ("it begins with a dot" if name.startswith(".") else "")
    if fault or len(name) > _LONGEST:
        raise ProjectError(f"The name {name!r} cannot be used: {fault or 'it is too long'}. Choose another name.")
    return name


def is_image_id(value: object) -> bool:
    """Tell whether a value can be the id of an image."""
    return isinstance(value, str) and _IMAGE_ID.fullmatch(value) is not None


def is_run_id(value: object) -> bool:
    """Tell whether a value can be the id of a run, such as ``0007-train``."""
    return isinstance(value, str) and _RUN_ID.fullmatch(value) is not None


def safe_name(name: str) -> str:
    """Return a file name close to `name` that is valid on every system, with the same suffix."""
    name = _FORBIDDEN.sub("_", name.encode("utf-8", "replace").decode("utf-8", "replace"))
    name = name.strip().rstrip(". ") or "image"
    suffix = Path(name).suffix
    suffix = suffix if len(suffix.encode()) <= _LONGEST_FILE // 4 else ""
    stem = name.removesuffix(suffix)
    room = _LONGEST_FILE - len(suffix.encode())
    while len(stem.encode()) > room:
        stem = stem[:-1]
    stem = stem.rstrip(". ") or "image"
    return f"_{stem}{suffix}" if _RESERVED.fullmatch(f"{stem}{suffix}") else f"{stem}{suffix}"


def inside(relative: str) -> bool:
    """Tell whether a stored path (with ``/``) stays inside its folder on every system."""
    return bool(relative) and not any(fault_in(part) for part in relative.split("/"))


def within(root: Path, *parts: str) -> Path:
    """Return a path inside a project; every path made of stored values comes from this function.

    Parameters
    ----------
    root
        The project's folder, or one in it.
    parts
        Plain names: no separators, no drives, no ``..``.

    Raises
    ------
    ProjectError
        When a part is no plain name, or a link on the way leads out of the folder.
    """
    path, linked = root, False
    for part in parts:
        bad = not part or part in (".", "..") or "/" in part or "\0" in part
        if bad or (os.name == "nt" and fault_in(part)):
            raise ProjectError(f"{part!r} is no name of a file in {root.name}: it points out of the project.")
        path = path / part
        linked = linked or path.is_symlink()
    if linked:
        real, ground = os.path.realpath(path), os.path.realpath(root)
        if not real.startswith(ground.rstrip(os.sep) + os.sep):
            raise ProjectError(f"{path} is a link that points out of the project, so it is not used.")
    return path


def make_folder(root: Path, *parts: str) -> Path:
    """Make a folder in an existing project folder; a renamed or deleted project folder is never made again.

    Raises
    ------
    OSError
        When the project's folder is gone, or the folder cannot be made.
    """
    path = within(root, *parts)
    for folder in (*[one for one in reversed(path.parents) if root in one.parents], path):
        folder.mkdir(exist_ok=True)
    return path


def project_folder_of(path: Path) -> Path:
    """Return the project folder of a path: itself, or the folder of its ``project.json`` or opener."""
    inside = path.name.startswith("project.json") and not path.is_dir()
    return path.parent if inside or (path.suffix.lower() == SUFFIX and path.is_file()) else path


def name_of(folder: Path) -> str:
    """Return the name of a project folder."""
    return folder.name.removesuffix(SUFFIX)


def free_project_folder(parent: Path, name: str) -> Path:
    """Return the first free project folder of ``NAME``, ``NAME 2``, ``NAME 3`` ...."""
    number, folder = 1, parent / f"{name}{SUFFIX}"
    while folder.exists():
        number += 1
        folder = parent / f"{name} {number}{SUFFIX}"
    return folder
