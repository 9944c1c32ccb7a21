"""Backbone files on this computer: finding, verifying and importing them.  Imports no torch.

How a damaged file is noticed: a file below 50 MB is hashed at every load.  A larger one is hashed when it is
imported or downloaded, when its size or modification time differs from what was remembered then, and once a
month; between these its size and time must match.  (PyTorch does not check the checksums inside its files.)
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellseg1.errors import BackboneError, OutputError
from cellseg1.files import atomic_write, write_bytes
from cellseg1.regular import open_regular
from cellseg1.sam import packs, registry
from cellseg1.sam.kind import BackboneSpec
from cellseg1.sam.registry import backbone_names, get_kind, get_spec, models_dir

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import IO

ALWAYS_HASHED_BELOW = 50_000_000
_TRUST_SECONDS = 30 * 24 * 3600
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class BackboneStatus:
    """What is known about one backbone on this computer.

    Attributes
    ----------
    path
        Where its file is, None when it is not installed.
    usable
        Whether the file has the right size and, when it has been hashed, the right hash.
    problem
        One sentence saying what is wrong or what to do; empty when usable.
    """

    spec: BackboneSpec | None
    name: str
    path: Path | None
    size_bytes: int
    usable: bool
    problem: str = ""

    @property
    def installed(self) -> bool:
        """Whether a file of that backbone was found."""
        return self.path is not None


def search_folders() -> list[Path]:
    """Return where backbone files are looked for: the data folder, then beside the program, then its installer."""
    folders = [models_dir()]
    for beside in [*packs.program_folders(), *packs.installer_folders()]:
        folders += [beside, beside / "backbones"]
    return folders


def locate(name: str) -> Path | None:
    """Return the file of backbone `name` (found by its file name, not verified), or None."""
    kind = get_kind(name)
    if kind.bundled:
        return kind.shipped_file()
    spec = kind.spec()
    return next((path for folder in search_folders() if (path := folder / spec.filename).is_file()), None)


def find_backbone(name: str, path: Path | None = None, *, verify: bool = True) -> Path:
    """Return the file of backbone `name`, verified.

    Parameters
    ----------
    name
        vit_b, vit_l, vit_h, tiny or default.
    path
        A file to use in place of the installed one.
    verify
        False skips size and hash, for weights that are not the official ones.

    Raises
    ------
    BackboneError
        When it is not installed, damaged, or another file.
    """
    found = path or locate(name) or _from_pack(name)
    if found is None:
        raise BackboneError(_not_here(get_spec(name)))
    if not found.is_file():
        raise BackboneError(f"There is no backbone file {found}; check its name.")
    if verify:
        if path is None and not get_spec(name).bundled:
            found = _kept(found, name)
        verify_file(found, get_spec(name))
    return found


def _not_here(spec: BackboneSpec) -> str:
    if spec.bundled:
        return f"The bundled backbone {spec.name} is missing; install CellSeg1 Studio again."
    return (
        f"The backbone {spec.name} is not on this computer; download it ({spec.size_bytes / 1e9:.1f} GB), "
        f"or import the file {spec.filename} if you have it."
    )


def _from_pack(name: str) -> Path | None:
    """Import a pack of the backbone that lies where files are looked for; None when there is none."""
    pack = packs.find_pack(get_spec(name).name, search_folders())
    if pack is None:
        return None
    import_file(pack.path, pack.spec.name)
    return locate(name)


def _kept(found: Path, name: str) -> Path:
    """Copy a file that lies beside the installer into the data folder: that may be a stick, which will be taken out."""
    places = {place for folder in packs.installer_folders() for place in (folder, folder / "backbones")}
    if found.parent == models_dir() or found.parent not in places:
        return found
    try:
        import_file(found, name)
    except OutputError:
        return found  # no room: it is used where it is
    return locate(name) or found


def hash_file(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    try:
        with open_regular(path) as stream:
            return _digest(stream, path.stat().st_size, progress, None)
    except OSError as error:
        raise BackboneError(f"Cannot read {path}: {error.strerror or error}.") from error


def _digest(
    source: IO[bytes], size: int, progress: Callable[[int, int], None] | None, copy_to: IO[bytes] | None
) -> str:
    digest, done = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        if copy_to is not None:
            copy_to.write(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, size)
    return digest.hexdigest()


def verify_file(path: Path, spec: BackboneSpec, *, again: bool = False) -> None:
    """Make sure that `path` is the undamaged file of `spec`; see the module for when it is hashed.

    Parameters
    ----------
    again
        Hash it even when an earlier verification is remembered.

    Raises
    ------
    BackboneError
        When it is not.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise BackboneError(f"Cannot read {path}: {error.strerror or error}.") from error
    if stat.st_size != spec.size_bytes:
        raise BackboneError(_describe_wrong(path, stat.st_size, spec.name))
    if not again and stat.st_size >= ALWAYS_HASHED_BELOW and _remembered(path, stat) == spec.sha256:
        return
    if hash_file(path) != spec.sha256:
        cure = "install CellSeg1 Studio again" if spec.bundled else "delete it and download or import it again"
        raise BackboneError(
            f"The backbone file {path} is damaged: its size is right for {spec.name} but its content is not; {cure}."
        )
    if stat.st_size >= ALWAYS_HASHED_BELOW:
        remember(path, spec.sha256)


def _memory_file() -> Path:
    return models_dir() / "verified.json"


def _read_memory() -> dict[str, Any]:
    try:
        content = json.loads(_memory_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    files = content.get("files") if isinstance(content, dict) else None
    return files if isinstance(files, dict) else {}


def _remembered(path: Path, stat: os.stat_result) -> str | None:
    """Return the hash that `path` had when it was last verified, if nothing suggests that it changed since."""
    entry = _read_memory().get(str(path.resolve()))
    if not isinstance(entry, dict) or entry.get("size") != stat.st_size or entry.get("mtime_ns") != stat.st_mtime_ns:
        return None
    checked = entry.get("checked")
    if not isinstance(checked, int | float) or not 0 <= time.time() - checked < _TRUST_SECONDS:
        return None
    return str(entry.get("sha256"))


def remember(path: Path, sha256: str) -> None:
    """Note that `path` has just been found to have this hash; a note that cannot be written is not an error."""
    stat = path.stat()
    files = _read_memory()
    files[str(path.resolve())] = {
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "sha256": sha256,
        "checked": int(time.time()),
    }
    text = json.dumps({"schema": 1, "files": files}, indent=1)
    try:
        write_bytes(_memory_file(), text.encode())
    except OutputError:
        return


def import_file(path: Path, name: str | None = None, progress: Callable[[int, int], None] | None = None) -> str:
    """Copy a backbone file that the user has into the data folder.

    Parameters
    ----------
    path
        The file; its name does not matter, it is recognised by size and hash.  Or a pack (``.cs1pack``) with its
        parts beside it.
    name
        The backbone it is expected to be; None accepts any.
    progress
        Called with bytes done and bytes in all; an exception from it stops the import and leaves nothing behind.

    Returns
    -------
    str
        The name of the backbone.

    Raises
    ------
    BackboneError
        When it is not a known backbone, or not the expected one; the sentence says what it looks like.
    OutputError
        When it cannot be written.
    """
    wanted = None if name is None else get_spec(name)
    if path.suffix.lower() == packs.SUFFIX:
        return _import_pack(packs.read_pack(path), wanted, progress)
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise BackboneError(f"Cannot read {path}: {error.strerror or error}.") from error
    if size is None:
        raise BackboneError(f"There is no file {path}.")
    spec = next((spec for spec in registry.fetched_specs() if spec.size_bytes == size), None)
    if spec is None:
        raise BackboneError(_describe_wrong(path, size, wanted.name if wanted else None))
    if wanted is not None and spec.name != wanted.name:
        raise BackboneError(f"{path} looks like the backbone {spec.name}, not {wanted.name}.")
    target = models_dir() / spec.filename
    if target.is_file() and target.samefile(path):
        verify_file(target, spec, again=True)
        return spec.name
    check_space(size)
    with open_regular(path) as source, atomic_write(target) as copy:
        if _digest(source, size, progress, copy) != spec.sha256:
            raise BackboneError(
                f"{path} has the size of the backbone {spec.name} but not its content: it is damaged. "
                "Copy or download it again."
            )
    remember(target, spec.sha256)
    return spec.name


def _import_pack(pack: packs.Pack, wanted: BackboneSpec | None, progress: Callable[[int, int], None] | None) -> str:
    """Join the parts of a pack into a file of the data folder; parameters and errors as in `import_file`."""
    spec = pack.spec
    if wanted is not None and spec.name != wanted.name:
        raise BackboneError(f"{pack.path} holds the backbone {spec.name}, not {wanted.name}.")
    if problem := pack.problem():
        raise BackboneError(problem)
    target = models_dir() / spec.filename
    if target.is_file() and target.samefile(pack.path.with_name(pack.parts[0].name)):
        verify_file(target, spec, again=True)
        return spec.name
    check_space(spec.size_bytes)
    with atomic_write(target) as copy:
        digest, done = hashlib.sha256(), 0
        for chunk in pack.chunks():
            digest.update(chunk)
            copy.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, spec.size_bytes)
        if digest.hexdigest() != spec.sha256:
            raise BackboneError(f"The files of {pack.path} do not make {spec.filename}. Copy or download them again.")
    remember(target, spec.sha256)
    return spec.name


def check_space(size: int) -> None:
    """Raise `OutputError` when the data folder's disk has no room for `size` more bytes."""
    folder = next(folder for folder in (models_dir(), *models_dir().parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OutputError(
            f"The disk of {models_dir()} has {free / 1e9:.1f} GB free and {size / 1e9:.1f} GB are needed; "
            "free some space."
        )


def _describe_wrong(path: Path, size: int, wanted: str | None) -> str:
    """Return a sentence saying what a file that is no (or another) backbone looks like."""
    asked = f"the backbone {wanted}" if wanted else "a SAM backbone"
    start = f"{path} is not {asked}"
    for known in registry.fetched_specs():
        if known.size_bytes == size:
            return f"{start}: by its size it is {known.name}."
    try:
        with open_regular(path) as stream:
            head = stream.read(512)
    except OSError as error:
        return f"Cannot read {path}: {error.strerror or error}."
    is_zip, is_safetensors = head.startswith(b"PK\x03\x04"), head[8:9] == b"{"
    if not head:
        return f"{start}: it is empty."
    if head.lstrip()[:1] == b"<":
        return f"{start}: it is a web page, perhaps saved in place of the download."
    if is_safetensors:
        return f"{start}: it is a safetensors file, such as a trained CellSeg1 model."
    if not is_zip:
        return f"{start}: it is not a PyTorch file, or it is damaged."
    spec = get_spec(wanted) if wanted else None
    stem = path.name.casefold()
    spec = spec or next((spec for spec in registry.fetched_specs() if spec.name in stem), None)
    if spec is not None and not spec.bundled and size < spec.size_bytes and (size > spec.size_bytes // 20):
        return f"{start}: it has {size:,} of {spec.size_bytes:,} bytes, so the copy or download was cut short."
    if size < ALWAYS_HASHED_BELOW:
        return f"{start}: it is a small PyTorch file ({size:,} bytes), such as a LoRA file."
    return f"{start}: it is a PyTorch file of {size:,} bytes, which no official SAM file has."


def list_backbones(*, verify: bool = False) -> list[BackboneStatus]:
    """Return the state of every backbone, in the order of `backbone_names`.

    Parameters
    ----------
    verify
        Also hash large files without a stored verification (seconds per GB).
    """
    return [_status(name, verify=verify) for name in backbone_names()]


def _status(name: str, *, verify: bool) -> BackboneStatus:
    try:
        spec = get_spec(name)
    except BackboneError as error:
        return BackboneStatus(None, name, None, 0, usable=False, problem=str(error))
    path = locate(name)
    if path is None:
        pack = packs.find_pack(spec.name, search_folders())
        if pack is not None:
            # It is joined when it is used, or imported: that takes seconds to minutes.
            problem = pack.problem()
            return BackboneStatus(spec, name, pack.path, spec.size_bytes, usable=not problem, problem=problem)
        return BackboneStatus(spec, name, None, spec.size_bytes, usable=False, problem=_not_here(spec))
    size = path.stat().st_size
    try:
        if verify or size < ALWAYS_HASHED_BELOW or size != spec.size_bytes:
            verify_file(path, spec)
    except BackboneError as error:
        return BackboneStatus(spec, name, path, size, usable=False, problem=str(error))
    return BackboneStatus(spec, name, path, size, usable=True)
