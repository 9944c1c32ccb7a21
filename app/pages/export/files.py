"""Writing many label images: into a folder or a ZIP file, under names that never collide.  Knows nothing of Qt."""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cellseg1.errors import MaskError, OutputError
from cellseg1.files import atomic_write, describe_os_error
from cellseg1.masks import LabelWriter, write_label_image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _file_name(name: str, kind: LabelWriter, taken: set[str], labels: NDArray[Any]) -> str:
    """Return a name that is not taken, or say why there can be no such file."""
    highest = int(labels.max(initial=0))
    if kind.most_id is not None and highest > kind.most_id:
        raise MaskError(
            f"{name}: {kind.title} holds cell numbers up to {kind.most_id:,} and these go to {highest:,}; "
            "save it as TIFF instead."
        )
    file, number = f"{name}{kind.suffixes[0]}", 1
    while file.casefold() in taken:
        number += 1
        file = f"{name}_{number}{kind.suffixes[0]}"
    return file


class MaskWriter(Protocol):
    """Where label images go, one after the other."""

    def add(self, name: str, labels: NDArray[Any], pixel_size_um: tuple[float, float] | None = None) -> str:
        """Write one label image and return its file name; a TIFF stores the pixel size."""

    def finish(self) -> Path:
        """Everything is written; returns where it is."""

    def abandon(self) -> None:
        """Leave nothing half done."""


class FolderWriter:
    """Writes each label image as a file of its own; each appears whole or not at all, and none replaces another."""

    def __init__(self, folder: Path, kind: LabelWriter) -> None:
        self.folder = folder
        self.kind = kind
        self._taken: set[str] | None = None

    def add(self, name: str, labels: NDArray[Any], pixel_size_um: tuple[float, float] | None = None) -> str:
        """Write ``NAME.tif`` (or another suffix), numbered when there is such a file already.

        Raises
        ------
        MaskError
            When the labels do not fit into the format.
        OutputError
            When it cannot be written.
        """
        if self._taken is None:
            self._taken = self._there()
        file = _file_name(name, self.kind, self._taken, labels)
        write_label_image(self.folder / file, labels, pixel_size_um=pixel_size_um)
        self._taken.add(file.casefold())
        return file

    def _there(self) -> set[str]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return {entry.name.casefold() for entry in self.folder.iterdir()}
        except OSError as error:
            raise OutputError(
                f"Cannot write in the folder {self.folder}: {describe_os_error(error)}. Choose another folder."
            ) from error

    def finish(self) -> Path:
        """Return the folder."""
        return self.folder

    def abandon(self) -> None:
        """Keep what is written: every file is whole."""


class ZipWriter:
    """Writes label images into one ZIP file, which appears when all are in it."""

    def __init__(self, path: Path, kind: LabelWriter) -> None:
        self.path = path
        self.kind = kind
        self._stack: contextlib.ExitStack | None = None
        self._zip: zipfile.ZipFile | None = None
        self._names: set[str] = set()

    def add(self, name: str, labels: NDArray[Any], pixel_size_um: tuple[float, float] | None = None) -> str:
        """Put ``NAME.tif`` (or another suffix) into the file; errors as `FolderWriter.add`."""
        file = _file_name(name, self.kind, self._names, labels)
        with tempfile.TemporaryDirectory(prefix="masks.") as place:
            small = Path(place) / f"mask{self.kind.suffixes[0]}"
            write_label_image(small, labels, pixel_size_um=pixel_size_um)
            try:
                # Label images are compressed already.
                self._open().write(small, file, zipfile.ZIP_STORED)
            except OSError as error:
                raise self._refused(error) from error
        self._names.add(file.casefold())
        return file

    def _open(self) -> zipfile.ZipFile:
        if self._zip is None:
            self._stack = contextlib.ExitStack()
            stream = self._stack.enter_context(atomic_write(self.path))
            self._zip = zipfile.ZipFile(stream, "w", allowZip64=True)
        return self._zip

    def finish(self) -> Path:
        """Close the file and move it into place."""
        archive = self._open()
        stack = self._stack
        assert stack is not None
        try:
            archive.close()
        except OSError as error:
            self.abandon()
            raise self._refused(error) from error
        self._zip = self._stack = None
        stack.close()
        return self.path

    def abandon(self) -> None:
        """Leave no file."""
        archive, stack = self._zip, self._stack
        self._zip = self._stack = None
        if archive is not None:
            # What it still wants to write is thrown away with the file.
            with contextlib.suppress(OSError, ValueError):
                archive.close()
        if stack is not None:
            with contextlib.suppress(_AbandonedError, OutputError):
                stack.__exit__(_AbandonedError, _AbandonedError(), None)

    def _refused(self, error: OSError) -> OutputError:
        if isinstance(error, OutputError):
            return error
        return OutputError(
            f"Cannot write {self.path}: {describe_os_error(error)}. Choose another folder or free some space."
        )


class _AbandonedError(Exception):
    """Makes `atomic_write` throw its temporary file away."""
