"""A whole project as one ``.cs1zip`` file, and back.

The file holds the project's folder and a list of its files with their sizes and hashes.  Nothing in it tells where
on the sender's computer anything was, and nothing in it can be unpacked outside the new project's folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO

from cellseg1.errors import CellSeg1Error
from cellseg1.files import atomic_write, describe_os_error, flush_folder, is_file
from cellseg1.images import recognise
from cellseg1.regular import open_regular, read_most, read_regular
from cellseg1.text import composed

from ..base.errors import ProjectError
from ..base.foreign import boundary, parse_json
from ..base.names import check_name, free_project_folder, inside, safe_name, within
from .content import FILE, IMAGES, Content, ProjectImage
from .copying import files_of
from .files.fingerprint import fingerprint
from .files.leftovers import noted, part_of
from .files.sealed import BACKUP, dump, seal, unseal, write_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .project import Project

SUFFIX = ".cs1zip"
_LIST = "cs1zip.json"
_SCHEMA = 1
_CHUNK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: Most bytes of the archive's list per file.
_PER_FILE = 1200
#: Bytes that may always be unpacked, and the largest ratio to the size of the archive beyond that.
_ALWAYS_FINE, _HIGHEST_RATIO = 256 << 20, 200
#: Files that file managers act on automatically; like hidden ones they are neither packed nor unpacked.
_OF_SYSTEMS = frozenset(("desktop.ini", "autorun.inf"))
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
    names = _Names()
    content, linked, moved = _portable(project, names, problems, pack_linked=pack_linked)
    try:
        with noted(path), atomic_write(path) as stream, zipfile.ZipFile(stream, "w", allowZip64=True) as archive:
            _fill(project, archive, content, linked, moved, names)
    except OSError as error:
        if isinstance(error, CellSeg1Error):
            raise
        raise ProjectError(f"A file of the project cannot be read: {describe_os_error(error)}.") from error
    return problems


_DATE = (2020, 1, 1, 0, 0, 0)


def _fill(
    project: Project,
    archive: zipfile.ZipFile,
    content: Content,
    linked: list[tuple[str, Path]],
    moved: dict[str, str],
    names: _Names,
) -> None:
    files: dict[str, dict[str, Any]] = {}
    for data, name in ((content.sealed(), FILE), (content.sealed(), FILE + BACKUP)):
        _add_bytes(archive, name, data, files)
    for relative, source in [*files_of(project.folder, without=frozenset(("trash",))), *project.drawings.unwritten()]:
        if _of_a_system(relative):
            continue
        name = names.of(relative)
        try:
            if relative.startswith("runs/") and source.name.removesuffix(BACKUP).endswith(".json"):
                _add_bytes(archive, name, _without_places(source, project.folder, moved), files)
            else:
                _add(archive, name, files, lambda out, source=source: project.drawings.copy(source, out))  # type: ignore[misc]
        except FileNotFoundError:
            continue  # a run in progress replaces its files
    for relative, source in linked:
        _add(archive, relative, files, lambda out, source=source: _copy(source, out))  # type: ignore[misc]
    listing = dump({"schema": _SCHEMA, "name": project.name, "files": files})
    archive.writestr(zipfile.ZipInfo(_LIST, _DATE), listing, zipfile.ZIP_DEFLATED)


def _portable(
    project: Project, names: _Names, problems: list[str], *, pack_linked: bool
) -> tuple[Content, list[tuple[str, Path]], dict[str, str]]:
    """Return the content as it goes into the file, the linked images to pack, and what becomes of their paths."""
    images: dict[str, ProjectImage] = {}
    linked: list[tuple[str, Path]] = []
    moved: dict[str, str] = {}
    for entry in project.images:
        image = ProjectImage.from_dict(entry.to_dict())
        images[image.id] = image
        if not entry.linked:
            image.file = names.of(entry.file)
            continue
        source = project.images.path(entry.id)
        image.nearby, image.file = "", PureWindowsPath(Path(entry.file).name).name or "image"
        fault = _fault_in_image(source) if pack_linked else ""
        if pack_linked and not fault:
            image.file, image.linked = names.new(f"{IMAGES}/{source.name}"), False
            if project.images.check(entry.id) == "changed":
                image.fingerprint = fingerprint(source)
            linked.append((image.file, source))
        elif pack_linked:
            problems.append(f"The linked image {entry.name} {fault}, so only its name was packed.")
        moved[entry.file] = moved[str(source)] = image.file
    settings = dict(project.settings)
    if (
        isinstance(model := settings.get("model"), str)
        and (project.models_folder / model).parent == project.models_folder
    ):
        settings["model"] = names.of(f"models/{model}").removeprefix("models/")
    return Content(project.content.uid, project.content.created, settings, images), linked, moved


def _fault_in_image(path: Path) -> str:
    """Return why a linked file is not packed: it could be any file of this computer, and only images are packed."""
    if not is_file(path):
        return "is missing"
    try:
        recognise(path)
    except (CellSeg1Error, OSError):
        return "is no image that can be read"
    return ""


class _Names:
    """Gives the files of a project unique names that are valid on every system."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, relative: str) -> str:
        """Return the name of a file of the project, always the same."""
        if relative not in self._given:
            self._given[relative] = self.new(relative)
        return self._given[relative]

    def new(self, relative: str) -> str:
        """Return an unused name."""
        safe = relative if inside(relative) else "/".join(safe_name(part) for part in relative.split("/"))
        number, name = 1, safe
        while _same(name) in self._taken:
            number += 1
            place = PurePosixPath(safe)
            name = place.with_name(f"{place.stem}_{number}{place.suffix}").as_posix()
        self._taken.add(_same(name))
        return name


def _same(name: str) -> str:
    """Return the key that two names share when some system treats them as the same file."""
    return composed(composed(name).casefold())


def _without_places(path: Path, folder: Path, moved: dict[str, str]) -> bytes:
    """Return a run's JSON file without any absolute path."""
    data = read_regular(path)

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
            kind = parse_json(first.rstrip(b",") + b"}")["format"]
            schema, content = unseal(data, kind)
            return seal(kind, schema, dump(plain(content))[1:])
        return dump(plain(parse_json(data))).encode("utf-8", "surrogatepass")
    except Exception:  # noqa: BLE001 - an image that cannot be read is not packed
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
        try:
            write(hashing)  # type: ignore[arg-type]
        finally:
            # A file that disappeared just now has an entry too.
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
    with open_regular(source) as stream:
        shutil.copyfileobj(stream, out, _CHUNK)


# ---- back


def import_file(path: Path, parent: Path, name: str | None = None) -> Path:
    """Unpack a project into a new folder; returns the folder, which is there only when all of it is whole.

    Raises
    ------
    ProjectError
        When the file is damaged, is no project, or holds anything that would go elsewhere.
    """
    part = part_of(parent / "import")
    damaged = f"{path.name} is damaged or no project file. Copy it again."
    with noted(part), boundary(lambda _why: ProjectError(damaged), path), _opened(path) as archive:
        listing = _listing(path, archive)
        wanted = check_name(name or listing["name"])
        _check_room(path, parent, listing["files"])
        part.mkdir(parents=True)
        _unpack(path, archive, listing["files"], part)
        _without_links(part)
        target = free_project_folder(parent, wanted)
        part.rename(target)
        flush_folder(parent)
    return target


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP file, and distinguish an error of the disk from one of the file."""
    try:
        with open_regular(path) as stream, zipfile.ZipFile(stream) as archive:
            yield archive
    except OSError as error:
        # Raised by the zip module for positions outside the file.
        if isinstance(error, CellSeg1Error) or error.errno in (None, errno.EINVAL, errno.EOVERFLOW):
            raise
        raise ProjectError(f"{path.name} cannot be unpacked: {describe_os_error(error)}.") from error


def _without_links(folder: Path) -> None:
    """Remove the paths of linked images: only the user may choose the files of this computer that belong to them."""
    content = Content.read(folder, [], repair=False)
    linked = [image for image in content.images.values() if image.linked]
    for image in linked:
        image.file, image.nearby = PureWindowsPath(Path(image.file).name).name or "image", ""
    if linked:
        write_sealed(folder / FILE, content.sealed())


def _listing(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """Read and check the list of files before anything is written."""
    entries = archive.infolist()
    try:
        info = archive.getinfo(_LIST)
        # A list of this size needs at least this many files.
        values = parse_json(_read_entry(archive, info, _PER_FILE * (len(entries) + 10)))
        schema, files = int(values["schema"]), dict(values["files"])
        for entry in files.values():
            if not (isinstance(entry["size"], int) and entry["size"] >= 0 and isinstance(entry["sha256"], str)):
                raise ValueError("sizes and hashes")  # noqa: TRY301 - one place makes the message
        name = str(values["name"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ProjectError(f"{path.name} is not a project file of CellSeg1 Studio.") from error
    if schema > _SCHEMA:
        raise ProjectError(f"{path.name} was written by a newer version of this program. Install that to open it.")
    names = [info.filename for info in entries if info.filename != _LIST]
    bad = [one for one in names if not _belongs(one) or one not in files] + [
        info.filename
        for info in entries
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG) or info.compress_type not in _METHODS
    ]
    if bad:
        raise ProjectError(
            f"{path.name} is refused: it holds {bad[0][:200]!r}, which does not belong into a project. Nothing was "
            "unpacked."
        )
    if len({_same(one) for one in names}) != len(names) or set(names) != set(files):
        raise ProjectError(f"{path.name} is damaged: its list of files does not fit. Copy it again.")
    return {"name": name, "files": files}


def _belongs(name: str) -> bool:
    """Tell whether a file belongs in a one-file project; removed images and models do not."""
    return inside(name) and name.casefold().split("/")[0] != "trash"


def _of_a_system(name: str) -> bool:
    return any(part.startswith(".") or part.casefold() in _OF_SYSTEMS for part in name.split("/"))


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    with archive.open(info) as source:
        data = read_most(source, most)
    if data is None:
        raise ValueError("it is too large")
    return data


def _check_room(path: Path, parent: Path, files: dict[str, dict[str, Any]]) -> None:
    parent.mkdir(parents=True, exist_ok=True)
    need, packed = sum(int(entry["size"]) for entry in files.values()), path.stat().st_size
    if need > shutil.disk_usage(parent).free:
        raise ProjectError(
            f"{path.name} needs {need / 1e6:,.0f} MB, more than is free in {parent}. "
            "Free some space or choose another disk."
        )
    if need > _ALWAYS_FINE + _HIGHEST_RATIO * packed:
        raise ProjectError(
            f"{path.name} is refused: {packed / 1e6:,.1f} MB would become {need / 1e6:,.0f} MB, which no project does. "
            "Nothing was unpacked."
        )


def _unpack(path: Path, archive: zipfile.ZipFile, files: dict[str, dict[str, Any]], part: Path) -> None:
    for name, entry in files.items():
        if _of_a_system(name):
            continue
        target = within(part, *name.split("/"))
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
