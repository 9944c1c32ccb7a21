"""Publishers' ZIP archives, read in place: names in them never become paths, and sizes are limited."""

from __future__ import annotations

import contextlib
import posixpath
import re
import stat
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from cellseg1.errors import CellSeg1Error, OutputError
from cellseg1.files import describe_os_error
from cellseg1.paper.data_sets import is_of_a_system
from cellseg1.regular import open_regular
from cellseg1.trouble import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

#: Larger than every published image.
MOST_IMAGE_BYTES: Final = 512 * 2**20
_MOST_MEMBERS: Final = 200_000
_CHUNK: Final = 2**20
#: Names that Windows, macOS or Linux do not accept, or interpret in another way.
_UNFIT: Final = re.compile(r'[\x00-\x1f<>:"\\|?*]|[. ]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)', re.IGNORECASE)


class ArchiveError(CellSeg1Error, ValueError):
    """An archive is damaged, malicious, or not the publishers'."""


class Archive:
    """An open archive with checked names; made by `opened`.

    Attributes
    ----------
    path
        The file.
    members
        Its files by name, without files of operating systems.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        infos = archive.infolist()
        if len(infos) > _MOST_MEMBERS:
            raise ArchiveError(
                f"{path} is refused: it holds {len(infos):,} files, which no archive of these sets does."
            )
        self.members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            self._check(info)
            if not info.is_dir() and not any(is_of_a_system(part) for part in info.filename.split("/")):
                self.members[info.filename] = info

    def _check(self, info: zipfile.ZipInfo) -> None:
        name = info.filename
        parts = PurePosixPath(name).parts
        kind = stat.S_IFMT(info.external_attr >> 16)
        if name.startswith("/") or "\\" in name or ".." in parts or re.match(r"[A-Za-z]:", name):
            raise self._refused(name, "points outside the folder")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise self._refused(name, "is a link or a device")
        if name in self.members:
            raise self._refused(name, "is there twice")
        if info.flag_bits & 1:
            raise self._refused(name, "is encrypted")

    def _refused(self, name: str, why: str) -> ArchiveError:
        return ArchiveError(
            f"{self.path} is refused: {name[:200]!r} in it {why}. Nothing was unpacked; download the archive again."
        )

    def folder(self, *tail: str) -> dict[str, zipfile.ZipInfo]:
        """Return the files of the folder whose path ends with `tail`, keyed and sorted by file name.

        Archives may be wrapped in a folder of any name; of several matches the outermost counts.

        Raises
        ------
        ArchiveError
            When there is no such folder or several, or a file name that cannot be used on every system.
        """
        wanted = [part.casefold() for part in tail]
        fitting = {
            parent
            for parent in map(posixpath.dirname, self.members)
            if [part.casefold() for part in parent.split("/")][-len(wanted) :] == wanted
        }
        least = min((parent.count("/") for parent in fitting), default=0)
        outermost = [parent for parent in fitting if parent.count("/") == least]
        if len(outermost) != 1:
            many = "no folder" if not outermost else "several folders"
            raise ArchiveError(
                f"{self.path} has {many} {'/'.join(tail)}, so it is not the archive of these experiments; "
                "download it again."
            )
        found = {}
        for name, info in self.members.items():
            parent, base = posixpath.split(name)
            if parent == outermost[0]:
                if _UNFIT.search(base) or len(base.encode()) > 200:
                    raise self._refused(name, "has a name that cannot be used on every system")
                found[base] = info
        return dict(sorted(found.items()))

    @contextlib.contextmanager
    def open(self, info: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
        """Open a member and check its length and checksum (`ArchiveError`)."""
        with reading(ArchiveError, self.damaged(info.filename)), self._archive.open(info) as stream:
            yield stream

    def damaged(self, name: str) -> str:
        """Return the sentence about a member that cannot be read."""
        return f"{name} in {self.path} is damaged; download the archive again."

    def extract(self, info: zipfile.ZipInfo, target: Path, most: int | None = None) -> None:
        """Write a member to a new file `target`.

        Raises
        ------
        ArchiveError
            When it is damaged, or larger than `most` bytes (`MOST_IMAGE_BYTES` when not given).
        OutputError
            When the file cannot be written.
        """
        if info.file_size > (MOST_IMAGE_BYTES if most is None else most):
            raise self._refused(info.filename, f"has {info.file_size / 1e6:,.0f} MB, more than an image of these sets")
        with self.open(info) as source, writing(target) as out:
            while data := source.read(_CHUNK):
                try:
                    out.write(data)
                except OSError as error:
                    raise not_written(target, error) from error


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an archive and check the names in it.

    Raises
    ------
    ArchiveError
        When it is no ZIP file or truncated, or a member is a link, encrypted, duplicate, or outside the folder.
    """
    sentence = f"{path} cannot be read: it is damaged or cut short; download it again."
    try:
        with reading(ArchiveError, sentence):
            stream = open_regular(path)
    except FileNotFoundError as error:
        raise ArchiveError(f"{path} does not exist. Check the name and the folder.") from error
    with stream:
        with reading(ArchiveError, sentence):
            archive = zipfile.ZipFile(stream)
        with archive:
            yield Archive(path, archive)


@contextlib.contextmanager
def writing(target: Path) -> Iterator[IO[bytes]]:
    """Open a new file; errors when opening and closing become `OutputError`."""
    try:
        out = target.open("xb")
    except OSError as error:
        raise not_written(target, error) from error
    try:
        yield out
    finally:
        try:
            out.close()
        except OSError as error:
            raise not_written(target, error) from error


def not_written(target: Path, error: OSError) -> OutputError:
    """Return the error for a file that cannot be written."""
    return OutputError(f"Cannot write {target}: {describe_os_error(error)}. Choose another folder or free some space.")
