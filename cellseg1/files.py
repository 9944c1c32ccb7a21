"""Writing files so that a crash, a full disk or a second program never leaves half a file."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from cellseg1.errors import OutputError


def describe_os_error(error: OSError) -> str:
    """Return the cause of a failed write in plain words."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "the folder is read-only or you have no permission to write there"
        case errno.ENOTDIR | errno.EEXIST:
            return "a file of that name is in the way"
        case _:
            return error.strerror or str(error)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; on success flush it to disk and move it into place.

    Parameters
    ----------
    path
        The final name.  Its folder is made when missing.  An existing file is replaced in one step.

    Raises
    ------
    OutputError
        When the folder or the file cannot be written; `path` is then as it was before.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_part_prefix(path), suffix=".part", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes private files; results are ordinary files that follow the umask.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"Cannot write {path}: {describe_os_error(error)}. Choose another folder or free some space."
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def remove_unfinished(path: Path) -> None:
    """Remove what killed writers of `path` left beside it; nobody else may be writing it."""
    for part in path.parent.glob(f"{_glob_text(_part_prefix(path))}*.part"):
        with contextlib.suppress(OSError):
            part.unlink()


def _part_prefix(path: Path) -> str:
    return f".{path.name[:40]}."


def _glob_text(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically (see `atomic_write`)."""
    with atomic_write(path) as stream:
        stream.write(data)


def write_with(path: Path, writer: Callable[[IO[bytes]], None]) -> None:
    """Let `writer` fill an open binary file that then replaces `path` atomically."""
    with atomic_write(path) as stream:
        writer(stream)


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
        raise OutputError(
            f"Cannot write in the folder {folder}: {describe_os_error(error)}. Choose another output folder."
        ) from error
    finally:
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()


def free_folder(wanted: Path) -> Path:
    """Return `wanted`, or with ``_2``, ``_3`` ... appended: the first that does not exist yet or is empty.

    Raises
    ------
    OutputError
        When a file is in the way, or the place cannot be looked at.
    """
    wanted = Path(os.path.abspath(wanted))  # noqa: PTH100 - "." has no name; a link keeps its own
    number, folder = 1, wanted
    try:
        in_the_way = folder.exists() and not folder.is_dir()
        while folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            number += 1
            folder = wanted.with_name(f"{wanted.name}_{number}")
    except OSError as error:
        raise OutputError(
            f"Cannot use the folder {folder}: {describe_os_error(error)}. Choose another output folder."
        ) from error
    if in_the_way:
        raise OutputError(f"{wanted} is a file; give a folder for the results.")
    return folder


def free_file(wanted: Path) -> Path:
    """Return `wanted`, or with ``_2``, ``_3`` ... before its suffix: the first that does not exist yet."""
    number, path = 1, wanted
    while path.exists():
        number += 1
        path = numbered(wanted, number)
    return path


def numbered(path: Path, number: int) -> Path:
    """Return the `number`-th name of a file: ``a.cs1``, ``a_2.cs1``, ``a_3.cs1`` ..."""
    return path if number == 1 else path.with_name(f"{path.stem}_{number}{path.suffix}")
