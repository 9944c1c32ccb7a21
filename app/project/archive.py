"""A whole project as one ``.cs1zip`` file, and back.

The file holds the project's folder and a list of its files with their sizes and hashes.  Nothing in it tells where
on the sender's computer anything was, and nothing in it can be unpacked outside the new project's folder.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import stat
import struct
import uuid
import zipfile
import zlib
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO

from app.project.content import FILE, Content, ProjectImage
from app.project.copying import files_of, unwritten, write_file
from app.project.fingerprint import fingerprint
from app.project.names import check_name, free_project_folder, inside
from app.project.sealed import BACKUP, ProjectError, dump, seal, unseal
from cellseg1.errors import OutputError
from cellseg1.files import atomic_write, describe_os_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.project.project import Project

SUFFIX = ".cs1zip"
_LIST = "cs1zip.json"
_SCHEMA = 1
_CHUNK = 1 << 20
_BROKEN = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error)
_LONGEST_LIST = 200 << 20
_PACKED = frozenset((".json", ".bak", ".jsonl", ".txt", ".bmp", ".npy", ".nii", ".tif", ".tiff", ".journal"))


def export_file(project: Project, path: Path, *, pack_linked: bool = True) -> list[str]:
    """Write a project to one file; what is in the project's trash stays behind.

    Parameters
    ----------
    pack_linked
        Put linked images into the file, as copies.  Else only their names go with it.

    Returns
    -------
    list
        Sentences about what could not be packed.

    Raises
    ------
    CellSeg1Error
        When the file cannot be written.
    """
    path = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
    problems: list[str] = []
    content, linked, moved = _portable(project, problems, pack_linked=pack_linked)
    files: dict[str, dict[str, Any]] = {}
    with atomic_write(path) as stream, zipfile.ZipFile(stream, "w", allowZip64=True) as archive:
        for data, name in ((content.sealed(), FILE), (content.sealed(), FILE + BACKUP)):
            _add_bytes(archive, name, data, files)
        for relative, source in [*files_of(project, without=frozenset(("trash",))), *unwritten(project)]:
            try:
                if relative.startswith("runs/") and source.name.removesuffix(BACKUP).endswith(".json"):
                    _add_bytes(archive, relative, _without_places(source, project.folder, moved), files)
                else:
                    _add(archive, relative, files, lambda out, source=source: write_file(project, source, out))  # type: ignore[misc]
            except FileNotFoundError:
                continue  # a run in progress replaces its files
        for relative, source in linked:
            _add(archive, relative, files, lambda out, source=source: _copy(source, out))  # type: ignore[misc]
        listing = dump({"schema": _SCHEMA, "name": project.name, "files": files})
        archive.writestr(zipfile.ZipInfo(_LIST, _DATE), listing, zipfile.ZIP_DEFLATED)
    return problems


_DATE = (2020, 1, 1, 0, 0, 0)


def _portable(
    project: Project, problems: list[str], *, pack_linked: bool
) -> tuple[Content, list[tuple[str, Path]], dict[str, str]]:
    """Return the content as it goes into the file, the linked images to pack, and what becomes of their paths."""
    images: dict[str, ProjectImage] = {}
    linked: list[tuple[str, Path]] = []
    moved: dict[str, str] = {}
    taken = {entry.file.casefold() for entry in project.images if not entry.linked}
    for entry in project.images:
        image = ProjectImage.from_dict(entry.to_dict())
        images[image.id] = image
        if not entry.linked:
            continue
        source = project.image_path(entry.id)
        image.nearby, image.file = "", Path(entry.file).name
        if pack_linked and source.is_file():
            number, name = 1, f"images/{source.name}"
            while name.casefold() in taken:
                number += 1
                name = f"images/{source.stem}_{number}{source.suffix}"
            taken.add(name.casefold())
            image.file, image.linked = name, False
            if project.check_image(entry.id) == "changed":
                image.fingerprint = fingerprint(source)
            linked.append((name, source))
        elif pack_linked:
            problems.append(f"The linked image {entry.name} is missing, so only its name was packed.")
        moved[entry.file] = moved[str(source)] = image.file
    settings = dict(project.settings)
    return Content(project.content.uid, project.content.created, settings, images), linked, moved


def _without_places(path: Path, folder: Path, moved: dict[str, str]) -> bytes:
    """Return a run's JSON file without any absolute path."""
    data = path.read_bytes()

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        if isinstance(value, str) and (value in moved or _absolute(value)):
            if value in moved:
                return moved[value]
            place = Path(value)
            return place.relative_to(folder).as_posix() if place.is_relative_to(folder) else PureWindowsPath(value).name
        return value

    try:
        first = data.split(b"\n", 1)[0]
        if b'"sha256"' in first:
            kind = json.loads(first.rstrip(b",") + b"}")["format"]
            schema, content = unseal(data, kind)
            return seal(kind, schema, dump(plain(content))[1:])
        return dump(plain(json.loads(data))).encode()
    except (ValueError, KeyError, TypeError, ProjectError):
        return b""


def _absolute(value: str) -> bool:
    return len(value) < 5000 and "\n" not in value and (value.startswith("/") or PureWindowsPath(value).is_absolute())


def _add_bytes(archive: zipfile.ZipFile, name: str, data: bytes, files: dict[str, dict[str, Any]]) -> None:
    _add(archive, name, files, lambda out: out.write(data))


def _add(
    archive: zipfile.ZipFile, name: str, files: dict[str, dict[str, Any]], write: Callable[[BinaryIO], object]
) -> None:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED if Path(name).suffix.lower() in _PACKED else zipfile.ZIP_STORED
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    with archive.open(info, "w", force_zip64=True) as out:
        hashing = _Hashing(out)
        write(hashing)  # type: ignore[arg-type]
    files[name] = {"size": hashing.size, "sha256": hashing.hash.hexdigest()}


class _Hashing:
    """Passes on what is written and remembers its size and hash."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        self.size += len(data)
        self._stream.write(data)
        return len(data)


def _copy(source: Path, out: BinaryIO) -> None:
    with source.open("rb") as stream:
        shutil.copyfileobj(stream, out, _CHUNK)


# ---- back


def import_file(path: Path, parent: Path, name: str | None = None) -> Path:
    """Unpack a project into a new folder; returns the folder, which is there only when all of it is whole.

    Raises
    ------
    ProjectError
        When the file is damaged, is no project, or holds anything that would go elsewhere.
    """
    part = parent / f".import-{uuid.uuid4().hex[:8]}.part"
    try:
        with zipfile.ZipFile(path) as archive:
            listing = _listing(path, archive)
            wanted = check_name(name or str(listing["name"]))
            _check_room(path, parent, listing["files"])
            part.mkdir(parents=True)
            _unpack(path, archive, listing["files"], part)
        Content.read(part, [], repair=False)
        target = free_project_folder(parent, wanted)
        os.replace(part, target)
    except (*_BROKEN, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ProjectError(f"{path.name} is damaged or no project file. Copy it again.") from error
    except OSError as error:
        if isinstance(error, (ProjectError, OutputError)):
            raise
        raise ProjectError(f"{path.name} cannot be unpacked: {describe_os_error(error)}.") from error
    finally:
        if part.exists():
            shutil.rmtree(part, ignore_errors=True)
    return target


def _listing(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """Read and check the list of files before anything is written."""
    try:
        info = archive.getinfo(_LIST)
        values: dict[str, Any] = json.loads(archive.read(info)) if info.file_size < _LONGEST_LIST else {}
        schema, files = int(values["schema"]), dict(values["files"])
        for entry in files.values():
            int(entry["size"]), str(entry["sha256"])
        name = str(values["name"])
    except (KeyError, ValueError, TypeError) as error:
        raise ProjectError(f"{path.name} is not a project file of CellSeg1 Studio.") from error
    if schema > _SCHEMA:
        raise ProjectError(f"{path.name} was written by a newer version of this program. Install that to open it.")
    names = [info.filename for info in archive.infolist() if info.filename != _LIST]
    bad = [one for one in names if not inside(one) or one not in files] + [
        info.filename for info in archive.infolist() if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG)
    ]
    if bad:
        raise ProjectError(
            f"{path.name} is refused: it holds {bad[0]!r}, which does not belong into a project. Nothing was unpacked."
        )
    if len({one.casefold() for one in names}) != len(names) or set(names) != set(files):
        raise ProjectError(f"{path.name} is damaged: its list of files does not fit. Copy it again.")
    return {"name": name, "files": files}


def _check_room(path: Path, parent: Path, files: dict[str, dict[str, Any]]) -> None:
    parent.mkdir(parents=True, exist_ok=True)
    need = sum(int(entry["size"]) for entry in files.values())
    if need > shutil.disk_usage(parent).free:
        raise ProjectError(
            f"{path.name} needs {need / 1e6:,.0f} MB, more than is free in {parent}. "
            "Free some space or choose another disk."
        )


def _unpack(path: Path, archive: zipfile.ZipFile, files: dict[str, dict[str, Any]], part: Path) -> None:
    for name, entry in files.items():
        target = part.joinpath(*name.split("/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        seen = hashlib.sha256()
        left = int(entry["size"])
        with archive.open(name) as source, target.open("xb") as out:
            for data in _chunks(source):
                left -= len(data)
                if left < 0:
                    break
                seen.update(data)
                out.write(data)
        if left or seen.hexdigest() != entry["sha256"]:
            raise ProjectError(f"{path.name} is damaged: {name} is not what was packed. Copy it again.")


def _chunks(source: Any) -> Iterator[bytes]:
    while data := source.read(_CHUNK):
        yield data
