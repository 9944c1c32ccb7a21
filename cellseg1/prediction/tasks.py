"""Tasks and records of the pipeline: small picklable values, so that it can run in another process."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from cellseg1.images import PlaneChoice


@dataclass(frozen=True, slots=True)
class PlaneFiles:
    """The result files of one plane; None: not written.

    Attributes
    ----------
    labels
        The label image, ``.png`` or ``.tif``.
    candidates
        The proposals, ``.npz``.
    overlay
        A picture of the cells on the image, ``.png``.
    """

    labels: Path | None = None
    candidates: Path | None = None
    overlay: Path | None = None


class Destination(Protocol):
    """Names the files of a plane once its image was read and its number of planes is known."""

    def files_of(self, path: Path, end: str) -> tuple[PlaneFiles, str]:
        """Return the files of the plane `end` (``_t000_z003``, or empty), and a note for the user (may be empty)."""
        ...


@dataclass(frozen=True, slots=True)
class FixedFiles:
    """Files named in advance, for a task of a single plane."""

    files: PlaneFiles

    def files_of(self, path: Path, end: str) -> tuple[PlaneFiles, str]:  # noqa: ARG002 - see Destination
        """Return the files."""
        return self.files, ""


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image file to segment.

    Attributes
    ----------
    path
        The file.
    destination
        Where its results go.
    planes
        Which of its planes.
    axes
        Letters for the axes of its array, overriding those of the file; None: as read.
    scale
        Factor by which the image is enlarged before the network sees it; None takes the model's.
    image_id
        The caller's identifier of the image, returned in the records.
    """

    path: Path
    destination: Destination
    planes: PlaneChoice = field(default_factory=PlaneChoice)
    axes: str | None = None
    scale: float | None = None
    image_id: str = ""


@dataclass(frozen=True, slots=True)
class PlaneRecord:
    """The outcome of one plane, or of an image that could not be used; one layout for all records of runs.

    Attributes
    ----------
    image
        Name of the image file.
    labels
        Name of the label image's file; empty when there is none.
    cells
        Number of cells.
    seconds
        Time of segmenting and writing, without reading the file.
    error
        The reason for a missing result, in one sentence; empty otherwise.
    path
        The image file.
    z, t
        The plane, from 0.
    image_id
        `ImageTask.image_id`.
    details
        The traceback of the error, for a log.
    """

    image: str
    labels: str = ""
    cells: int = 0
    seconds: float = 0.0
    error: str = ""
    path: str = ""
    z: int = 0
    t: int = 0
    image_id: str = ""
    details: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; the traceback is left out."""
        values = asdict(replace(self, details=""))
        del values["details"]
        return values
