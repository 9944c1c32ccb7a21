"""Leaves the film codecs out of OpenCV: the program reads pictures only.

The wheels for Linux are linked with FFmpeg, which brings codecs and an OpenSSL that nobody maintains any more: without
these libraries `cv2` cannot be loaded, although nothing in them is ever called.  In their place come libraries of
a few kilobytes with the same names, whose functions do nothing and answer zero ("no such format").
"""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from installer.bundle import elf

if TYPE_CHECKING:
    from collections.abc import Iterable

    Entry = tuple[str, str, str]

#: What is replaced: FFmpeg's libraries, as the wheel calls them.
_FILMS: Final = re.compile(r"lib(avcodec|avformat|avutil|avdevice|avfilter|swscale|swresample)-[0-9a-f]{8}\.so\.")
_UNDEFINED: Final = re.compile(r"^\S+\s+.*\*UND\*\s+\S+\s+(?:\((\S+)\)|(\S+))\s+(\S+)$", re.MULTILINE)
_REFERENCES: Final = re.compile(r"required from (\S+):\n((?:\s+0x.*\n?)+)")
_ANSWERS: Final = {"x86_64": "xorl %eax, %eax\n    ret", "aarch64": "mov x0, xzr\n    ret"}


def stand_in(user: Path, soname: str, target: Path) -> None:
    """Write a library called `soname` with the functions that the compiled file `user` takes from it.

    Raises
    ------
    ValueError
        When the file asks for nothing from it, or the processor is an unknown one.
    subprocess.CalledProcessError
        When it cannot be assembled.
    """
    functions = _taken(user, soname)
    if not functions or platform.machine() not in _ANSWERS:
        raise ValueError(f"No stand-in for {soname} can be made on {platform.machine()}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = [".text"]
    for name in sorted({name for names in functions.values() for name in names}):
        lines += [f".globl {name}", f".type {name}, %function", f"{name}:", f"    {_ANSWERS[platform.machine()]}"]
    lines.append('.section .note.GNU-stack,"",%progbits')
    versions = [
        f"{version} {{ global: {'; '.join(sorted(names))}; local: *; }};" for version, names in functions.items()
    ]
    source, script, object_file = (target.with_suffix(suffix) for suffix in (".s", ".map", ".o"))
    source.write_text("\n".join(lines) + "\n", encoding="ascii")
    script.write_text("\n".join(versions) + "\n", encoding="ascii")
    subprocess.run(["as", "-o", str(object_file), str(source)], check=True)
    words = ["-shared", "-soname", soname, "--version-script", str(script), "--hash-style=both"]
    subprocess.run(["ld", *words, "-o", str(target), str(object_file)], check=True)
    for path in (source, script, object_file):
        path.unlink()


def _taken(user: Path, soname: str) -> dict[str, list[str]]:
    """Return the functions that a compiled file takes from a library, by the version it asks for."""
    head = subprocess.run(["objdump", "-p", str(user)], check=True, capture_output=True, text=True).stdout
    wanted = {
        line.split()[-1] for name, lines in _REFERENCES.findall(head) if name == soname for line in lines.splitlines()
    }
    table = subprocess.run(["objdump", "-T", str(user)], check=True, capture_output=True, text=True).stdout
    found: dict[str, list[str]] = {}
    for bracketed, bare, name in _UNDEFINED.findall(table):
        version = bracketed or bare
        if version in wanted:
            found.setdefault(version, []).append(name)
    return found


def without_films(entries: Iterable[Entry], folder: Path) -> tuple[list[Entry], dict[str, int]]:
    """Replace FFmpeg's libraries among collected entries (name in the bundle, source, kind) by stand-ins.

    Parameters
    ----------
    folder
        Where the stand-ins are written.

    Returns
    -------
    The entries, without the libraries that only FFmpeg needed, and the bytes that this saved by name.
    """
    entries = list(entries)
    users = [Path(source) for name, source, _kind in entries if re.search(r"(^|/)cv2/cv2[^/]*\.so$", name)]
    films = {Path(name).name for name, source, _kind in entries if _FILMS.match(Path(name).name) and _is_file(source)}
    if not users or not films:
        return entries, {}
    places = {Path(name).parent.as_posix() for name, source, _kind in entries if Path(name).name in films}
    places.discard(".")
    needed = set(elf.read(users[0]).needed)
    saved: dict[str, int] = {}
    kept: list[Entry] = []
    for name, source, kind in entries:
        plain = Path(name).name
        if plain not in films or not _is_file(source):
            kept.append((name, source, kind))
            continue
        saved[f"{plain} (films are not read)"] = Path(source).stat().st_size
        if plain in needed:
            target = folder / plain
            if not target.exists():
                stand_in(users[0], plain, target)
            kept.append((name, str(target), kind))
    gone = {one for place in places for one in elf.unneeded(kept, place)}
    for name, source, _kind in kept:
        if name in gone and _is_file(source):
            saved[f"{name} (only needed by what is left out)"] = Path(source).stat().st_size
    left = {Path(name).name for name, source, _kind in kept if name not in gone and _is_file(source)}
    names = films | {Path(name).name for name in gone}
    # Links whose library is gone lead nowhere.
    return [one for one in kept if one[0] not in gone and Path(one[0]).name not in names - left], saved


def _is_file(source: str) -> bool:
    return Path(source).is_file()
