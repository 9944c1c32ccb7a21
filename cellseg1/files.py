"""Writing files so that a crash, a full disk or a second program never leaves half a file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from cellseg1.errors import OutputError
from cellseg1.regular import open_regular

#: Bytes left free on a disk, so that small files can still be written.
_MARGIN_BYTES = 4_000_000
#: Attempts to claim a free name; more competing writers are not plausible.
_ATTEMPTS = 1000


#: A file as callers name it.
PathLike = str | os.PathLike[str]


def as_paths(files: PathLike | Iterable[PathLike]) -> list[Path]:
    """Return a list of paths; a single path becomes a list of one."""
    return [Path(files)] if isinstance(files, (str, os.PathLike)) else [Path(file) for file in files]


# Path.is_file and its like raise where a folder may not be entered, a name is too long or a server is gone.


def is_file(path: Path) -> bool:
    """Tell whether a regular file, or a link to one, is there and can be reached; never raises."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Tell whether a folder, or a link to one, is there and can be reached; never raises."""
    return os.path.isdir(path)  # noqa: PTH112


def is_there(path: Path) -> bool:
    """Tell whether anything is there and can be reached, links followed; never raises."""
    return os.path.exists(path)  # noqa: PTH110


def describe_os_error(error: OSError) -> str:
    """Return the cause of a failed write in plain words."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "the folder is read-only or you have no permission to write there"
        case errno.ENOTDIR | errno.EEXIST:
            return "a file of that name is in the way"
        case errno.ENAMETOOLONG:
            return "the name is too long"
        case _:
            return error.strerror or str(error)


def nothing_can_be_written(error: BaseException) -> bool:
    """Tell whether later writes will fail too: the disk is full, read-only or gone."""
    cause = error.__cause__ if isinstance(error, OutputError) else None
    return isinstance(cause, OSError) and cause.errno in {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.ENODEV,
        errno.ENXIO,
        errno.ESTALE,
    }


class _Raw(io.FileIO):
    """A file that tells its own write errors from other errors that occur while it is filled."""

    def __init__(self, handle: int, path: Path) -> None:
        super().__init__(handle, "wb")
        self._path = path

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise _not_written(self._path, error) from error


class _Stream(io.BufferedWriter):
    """A stream without a file handle, which libraries would use to bypass `_Raw`."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def _not_written(path: Path, error: OSError) -> OutputError:
    return OutputError(f"Cannot write {path}: {describe_os_error(error)}. Choose another folder or free some space.")


@contextlib.contextmanager
def atomic_write(path: Path, *, new: bool = False) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; on success flush it to disk and move it into place.

    Parameters
    ----------
    path
        The final name.  Its folder is made when missing.  An existing file is replaced in one step, and its
        permissions stay; a new one has those that the system gives to new files.
    new
        Never replace: an existing file stays, and `FileExistsError` is raised.

    Raises
    ------
    OutputError
        When the folder or the file cannot be written; `path` is then unchanged.  Other errors inside the block (a
        source that cannot be read) are raised unchanged.
    """
    check_replaceable(path)
    temporary: Path | None = None
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = _open_part(path)
        except OSError as error:
            raise _not_written(path, error) from error
        raw = _Raw(handle, path)
        with _Stream(raw) as stream:
            yield cast("IO[bytes]", stream)
            try:
                stream.flush()
                os.fsync(raw.fileno())
            except OSError as error:
                raise error if isinstance(error, OutputError) else _not_written(path, error) from error
        try:
            _move(temporary, path, new=new)
        except FileExistsError:
            raise
        except OSError as error:
            raise _not_written(path, error) from error
        temporary = None
        flush_folder(path.parent)
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _open_part(path: Path) -> tuple[int, Path]:
    """Make the temporary file, with no more read permissions than the final one."""
    try:
        mode: int | None = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        mode = None
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    while True:
        part = path.with_name(f"{_part_prefix(path)}{secrets.token_hex(4)}.part")
        with contextlib.suppress(FileExistsError):
            # 0666 leaves the rest to the umask, which cannot be read without changing it for all threads.
            handle = os.open(part, flags, 0o666 if mode is None else 0o600)
            break
    if mode is not None:
        with contextlib.suppress(OSError):  # some network file systems have no permissions
            part.chmod(mode)
    return handle, part


def _move(part: Path, path: Path, *, new: bool) -> None:
    if not new:
        os.replace(part, path)
        return
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: the name is claimed first.
        path.open("xb").close()
        os.replace(part, path)
    else:
        part.unlink()


def flush_folder(folder: Path) -> None:
    """Flush a folder to the disk, so that a file moved into it survives a power failure."""
    with contextlib.suppress(OSError):  # Windows cannot open folders, and does not need this
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_unfinished(path: Path) -> None:
    """Remove what killed writers of `path` left beside it; nobody else may be writing it."""
    for part in path.parent.glob(f"{_glob_text(_part_prefix(path))}*.part"):
        with contextlib.suppress(OSError):
            part.unlink()


def _part_prefix(path: Path) -> str:
    return f".{path.name[:40]}."


def _glob_text(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


def write_bytes(path: Path, data: bytes, *, new: bool = False) -> None:
    """Write `data` to `path` atomically (see `atomic_write`)."""
    with atomic_write(path, new=new) as stream:
        stream.write(data)


def write_with(path: Path, writer: Callable[[IO[bytes]], None], *, new: bool = False) -> None:
    """Let `writer` fill an open binary file that then takes the place of `path` (see `atomic_write`)."""
    with atomic_write(path, new=new) as stream:
        writer(stream)


def check_replaceable(path: Path) -> None:
    """Refuse to replace a folder, a device or a pipe by a file.

    Raises
    ------
    OutputError
        When one of these has that name.
    """
    if is_there(path) and not is_file(path):
        what = "a folder" if is_folder(path) else "a device or a pipe"
        raise OutputError(f"Cannot write {path}: it is {what} and not a file. Give another name.")


def check_writable(folder: Path) -> None:
    """Prove that a file can be written in `folder`, before any work is spent; nothing stays of the attempt.

    Raises
    ------
    OutputError
        When it cannot.
    """
    made: list[Path] = []
    try:
        made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".write-test.", dir=folder) as stream:
            # A full disk often still lets an empty file be made.
            stream.write(b"\0" * 65536)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise _no_folder(folder, error) from error
    finally:
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()


def check_room(folder: Path, needed: int, what: str) -> None:
    """Check that the disk has room for what will be written.

    Parameters
    ----------
    folder
        Folder to write into; need not exist yet.
    needed
        Bytes.
    what
        What needs them, for the error message.

    Raises
    ------
    OutputError
        With how much is needed and how much is free.
    """
    try:
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(there).free
    except (OSError, StopIteration):
        return  # unknown free space: writing will show it
    if free < needed + _MARGIN_BYTES:
        raise OutputError(
            f"The disk of {folder} has {_megabytes(free)} free, but {what} needs "
            f"{_megabytes(needed + _MARGIN_BYTES)}; free some space or choose another folder."
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def is_taken(path: Path) -> bool:
    """Tell whether the name is taken, also by a broken link."""
    return os.path.lexists(path)


def free_folder(wanted: Path) -> Path:
    """Return the first of `wanted`, ``wanted_2``, ``wanted_3`` ... that does not exist or is empty.

    Two callers at once may get the same folder; `claim_folder` prevents that.

    Raises
    ------
    OutputError
        When a file is in the way, the place cannot be looked at, or is a whole disk.
    """
    wanted = Path(os.path.abspath(wanted))  # noqa: PTH100 - "." has no name; a link keeps its own
    if not wanted.name:
        raise OutputError(f"{wanted} is a whole disk; give a folder on it for the results.")
    number, folder = 1, wanted
    try:
        in_the_way = folder.exists() and not folder.is_dir()
        while is_taken(folder) and not (folder.is_dir() and not any(folder.iterdir())):
            number += 1
            folder = wanted.with_name(f"{wanted.name}_{number}")
    except OSError as error:
        raise OutputError(
            f"Cannot use the folder {folder}: {describe_os_error(error)}. Choose another output folder."
        ) from error
    if in_the_way:
        raise OutputError(f"{wanted} is a file; give a folder for the results.")
    return folder


def claim_folder(wanted: Path, first: str) -> Path:
    """Make and claim `free_folder` with an empty file `first` in it, so that no other caller gets it.

    Raises
    ------
    OutputError
        As `free_folder`, and when the folder cannot be made.
    """
    for _ in range(_ATTEMPTS):
        folder = free_folder(wanted)
        marker = folder / first
        try:
            folder.mkdir(parents=True, exist_ok=True)
            marker.open("xb").close()
            # Another process may have used and left it since the check.
            if [entry.name for entry in folder.iterdir()] == [first]:
                return folder
            marker.unlink()
        except (FileExistsError, FileNotFoundError) as error:
            # Another process was faster or removed the folder; or it can never exist, as behind a link to a drive
            # that is gone.
            failed = error
        except OSError as error:
            raise _no_folder(folder, error) from error
    raise _no_folder(folder, failed) from failed


def _no_folder(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"Cannot write in the folder {folder}: {describe_os_error(error)}. Choose another output folder."
    )


def free_file(wanted: Path) -> Path:
    """Return the first of `wanted` and its variants with ``_2``, ``_3`` ... before the suffix that does not exist.

    Two callers at once may get the same name; `write_free` prevents that.
    """
    number, path = 1, wanted
    while is_taken(path):
        number += 1
        path = numbered(wanted, number)
    return path


def write_free(wanted: Path, writer: Callable[[Path], None]) -> Path:
    """Write a file under the first free name (see `free_file`), safely with several callers at once.

    Parameters
    ----------
    writer
        Writes the given path with `atomic_write` and ``new=True``.

    Returns
    -------
    Path
        The path that was written.
    """
    while True:
        path = free_file(wanted)
        with contextlib.suppress(FileExistsError):
            writer(path)
            return path


def numbered(path: Path, number: int) -> Path:
    """Return the `number`-th name of a file: ``a.cs1``, ``a_2.cs1``, ``a_3.cs1`` ..."""
    return path if number == 1 else path.with_name(f"{path.stem}_{number}{path.suffix}")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with open_regular(path) as stream:
        return hashlib.file_digest(cast("io.BufferedReader", stream), "sha256").hexdigest()
