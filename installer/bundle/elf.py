"""What compiled files for Linux need: other libraries, and a version of the C library."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NEEDED = re.compile(r"^\s+NEEDED\s+(\S+)$", re.MULTILINE)
_SONAME = re.compile(r"^\s+SONAME\s+(\S+)$", re.MULTILINE)
_GLIBC = re.compile(r"\bGLIBC_(\d+)\.(\d+)(?:\.\d+)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Elf:
    """One compiled file.

    Attributes
    ----------
    needed
        Names of the libraries that are loaded with it.
    soname
        Its own name as a library, empty when it has none.
    glibc
        The newest version of the C library that it asks for, (0, 0) when it asks for none.
    """

    needed: tuple[str, ...]
    soname: str
    glibc: tuple[int, int]


def is_elf(path: Path) -> bool:
    """Whether a file is a compiled one for Linux."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"\x7fELF"
    except OSError:
        return False


def read(path: Path) -> Elf:
    """Read a compiled file with `objdump`, which PyInstaller needs too.

    Raises
    ------
    subprocess.CalledProcessError
        When it cannot be read.
    """
    text = subprocess.run(["objdump", "-p", str(path)], check=True, capture_output=True, text=True).stdout
    soname = _SONAME.search(text)
    versions = [(int(major), int(minor)) for major, minor in _GLIBC.findall(text)]
    return Elf(tuple(_NEEDED.findall(text)), soname[1] if soname else "", max(versions, default=(0, 0)))


def unneeded(entries: Iterable[tuple[str, str, str]], folder: str = "") -> set[str]:
    """Return the names of collected libraries in a folder of the bundle that no other collected file needs.

    `entries` are (name in the bundle, source, kind).  By default the folder is that of the programs; what lies in
    a package's folder is loaded by the package, but not what lies where its wheel keeps the libraries of others.
    """
    found = {name: read(Path(source)) for name, source, _kind in entries if is_elf(Path(source))}
    inside = {name: name.rpartition("/") for name in found}
    loose = {name for name, (where, _, plain) in inside.items() if where == folder and plain.startswith("lib")}
    loose = {name for name in loose if not name.startswith("libpython")}
    gone: set[str] = set()
    while True:
        wanted = {one for name, elf in found.items() if name not in gone for one in elf.needed}
        more = {name for name in loose - gone if inside[name][2] not in wanted}
        if not more:
            return gone
        gone |= more


def outside(folder: Path) -> tuple[dict[str, str], tuple[int, int]]:
    """Look at all compiled files below a folder.

    Returns
    -------
    The libraries that they need and that are not there, each with one file that needs it, and the newest version of
    the C library that one of them asks for.
    """
    there: set[str] = set()
    wanted: dict[str, str] = {}
    newest = (0, 0)
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or not is_elf(path):
            continue
        there.add(path.name)
        if path.is_symlink():
            continue
        elf = read(path)
        newest = max(newest, elf.glibc)
        for name in elf.needed:
            wanted.setdefault(name, path.relative_to(folder).as_posix())
    return {name: user for name, user in sorted(wanted.items()) if name not in there}, newest
