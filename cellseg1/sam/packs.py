"""Packs of backbone weights that are installed without a network, and where the program was installed from.

A pack is a small text, ``NAME.cs1pack`` (JSON), beside the official file or its numbered parts::

    {"schema": 1, "backbone": "vit_h", "filename": "sam_vit_h_4b8939.pth", "size_bytes": ..., "sha256": "...",
     "parts": [{"name": "sam_vit_h_4b8939.pth.part01", "size_bytes": ..., "sha256": "..."}, ...]}

The parts in their order make the file; one part of the file's own name is the whole file.  Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.errors import BackboneError
from cellseg1.regular import open_regular
from cellseg1.sam import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellseg1.sam.kind import BackboneSpec

SUFFIX = ".cs1pack"
#: Written by the installers into the program's folder: one line, the folder that the installer was started from.
ORIGIN = "installed_from.txt"
_SCHEMA = 1
_CHUNK = 1 << 20
_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a pack."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack and the backbone that it holds.

    Attributes
    ----------
    path
        The ``.cs1pack`` file; the parts lie beside it.
    """

    path: Path
    spec: BackboneSpec
    parts: tuple[Part, ...]

    def problem(self) -> str:
        """Return a sentence about the first part that is missing or cut short; empty when sizes are right."""
        for part in self.parts:
            file = self.path.with_name(part.name)
            try:
                size = file.stat().st_size if file.is_file() else None
            except OSError as error:
                return f"Cannot read {file}: {error.strerror or error}."
            if size is None:
                return (
                    f"The pack of {self.spec.name} is not complete: {part.name} is missing in {self.path.parent}. "
                    "Put all its files into one folder."
                )
            if size != part.size_bytes:
                return (
                    f"The pack of {self.spec.name} is not complete: {part.name} has {size:,} of {part.size_bytes:,} "
                    "bytes. Copy or download it again."
                )
        return ""

    def chunks(self) -> Iterator[bytes]:
        """Yield the backbone file's content.

        Raises
        ------
        BackboneError
            At the end of a part that is damaged.
        """
        for part in self.parts:
            digest, file = hashlib.sha256(), self.path.with_name(part.name)
            try:
                with open_regular(file) as stream:
                    while chunk := stream.read(_CHUNK):
                        digest.update(chunk)
                        yield chunk
            except OSError as error:
                raise BackboneError(f"Cannot read {file}: {error.strerror or error}.") from error
            if digest.hexdigest() != part.sha256:
                raise BackboneError(f"{file} is damaged. Copy or download this file of the pack again.")


def read_pack(path: Path) -> Pack:
    """Read a ``.cs1pack`` file; its parts are not looked at.

    Raises
    ------
    BackboneError
        When it cannot be read, is damaged, or holds a backbone that this version does not know.
    """
    try:
        with open_regular(path) as stream:
            content = json.loads(stream.read(_LONGEST))
        schema, name, sha256 = int(content["schema"]), str(content["backbone"]), str(content["sha256"])
        size = int(content["size_bytes"])
        parts = tuple(Part(str(one["name"]), int(one["size_bytes"]), str(one["sha256"])) for one in content["parts"])
    except OSError as error:
        raise BackboneError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackboneError(f"{path} is damaged or no pack of weights. Copy or download it again.") from error
    if schema > _SCHEMA:
        raise BackboneError(f"{path} is a pack for a newer version of CellSeg1. Install that first.")
    spec = next((one for one in registry.fetched_specs() if one.name == name), None)
    if spec is None or (spec.size_bytes, spec.sha256) != (size, sha256):
        raise BackboneError(f"{path} holds weights {name!r} that this version of CellSeg1 does not know.")
    if not parts or sum(part.size_bytes for part in parts) != size or any(_leads_away(part.name) for part in parts):
        raise BackboneError(f"{path} is damaged or no pack of weights. Copy or download it again.")
    return Pack(path, spec, parts)


def _leads_away(name: str) -> bool:
    return not name or name in (".", "..") or any(char in name for char in "/\\:")


def find_pack(name: str, folders: list[Path]) -> Pack | None:
    """Return the first readable pack of backbone `name` in these folders, complete or not."""
    for folder in folders:
        try:
            paths = sorted(folder.glob(f"*{SUFFIX}"))
        except OSError:
            continue
        for path in paths:
            try:
                pack = read_pack(path)
            except BackboneError:
                continue
            if pack.spec.name == name:
                return pack
    return None


def program_folders() -> list[Path]:
    """Return the folders in which the installed program's own files lie; empty in a checkout or an environment."""
    folders = []
    programs = [os.environ.get("APPIMAGE"), sys.executable if getattr(sys, "frozen", False) else None]
    folders += [Path(program).resolve().parent for program in programs if program]
    # The Windows setup that carries embeddable Python: FOLDER/python/python.exe.
    above = Path(sys.prefix).parent
    if not folders and (above / ORIGIN).is_file():
        folders.append(above)
    return folders


def installer_folders() -> list[Path]:
    """Return the folder that the installer was started from, when it was recorded and is (still) there."""
    found: list[Path] = []
    for folder in program_folders():
        for place in (folder, *list(folder.parents)[:2]):
            try:
                data = (place / ORIGIN).read_bytes()[:_LONGEST]
            except OSError:
                continue
            utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
            text = data.decode("utf-16" if utf16 else "utf-8-sig", errors="replace").strip()
            line = text.splitlines()[0].strip() if text else ""
            path = Path(line)
            try:
                if line and "\0" not in line and path.is_absolute() and path.is_dir() and path not in found:
                    found.append(path)
            except OSError:
                continue  # a drive that is gone
            break
    return found
