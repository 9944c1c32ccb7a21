"""Checks of the arguments of public functions."""

from __future__ import annotations

from pathlib import Path

from cellseg1.files import PathLike
from cellseg1.images.memory import is_path


def as_path(value: PathLike, what: str) -> Path:
    """Return a path.

    Raises
    ------
    TypeError
        When the value is no path.
    ValueError
        When the name is empty, which `Path` takes for the current folder, or holds a NUL character.
    """
    if not is_path(value):
        raise TypeError(f"{what} is named by a path (str or os.PathLike), not by {type(value).__name__}.")
    if not str(value).strip():
        raise ValueError(f"{what} has an empty name; give a path.")
    if "\0" in str(value):
        raise ValueError(f"{what} has a NUL character in its name, which no file can have: {str(value)!r}.")
    return Path(value)
