"""Files that are shipped with the program, found the same way in a checkout, a wheel and a frozen bundle."""

from __future__ import annotations

import sys
from pathlib import Path


def resource_folders() -> list[Path]:
    """Return the folders in which shipped files may lie, the most specific first (they need not exist).

    A frozen bundle unpacks them beside its code, a wheel carries them as ``cellseg1/resources``, and a
    checkout has them in ``resources`` at its root.
    """
    here = Path(__file__).resolve().parent
    folders = []
    if bundle := getattr(sys, "_MEIPASS", None):
        folders.append(Path(bundle) / "resources")
    folders += [here / "resources", here.parent / "resources"]
    return folders


def resource_path(name: str) -> Path:
    """Return the path of the shipped file `name`, such as ``backbones/tiny.safetensors``.

    Raises
    ------
    FileNotFoundError
        When this installation does not carry it.
    """
    for folder in resource_folders():
        path = folder / name
        if path.exists():
            return path
    raise FileNotFoundError(f"The program's own file {name} is missing; install CellSeg1 Studio again.")
