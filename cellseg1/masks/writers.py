"""File formats for label images; other packages add some through the entry-point group ``cellseg1.writers``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

from cellseg1.files import write_bytes, write_with
from cellseg1.plugins import Registry, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray


@runtime_checkable
class LabelWriter(Protocol):
    """One file format for label images.

    Attributes
    ----------
    name
        Name for the option ``--format``: ``png``.
    title
        Name in sentences: ``PNG``.
    suffixes
        In lower case with the dot; results get the first one.
    most_id
        The highest id that a file can hold; None for 32 bits.
    stacks
        Whether it can hold (Z, H, W).
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see above

    @property
    def title(self) -> str: ...  # noqa: D102 - see above

    @property
    def suffixes(self) -> tuple[str, ...]: ...  # noqa: D102 - see above

    @property
    def most_id(self) -> int | None: ...  # noqa: D102 - see above

    @property
    def stacks(self) -> bool: ...  # noqa: D102 - see above

    def write(self, path: Path, labels: NDArray[Any], pixel_size_um: tuple[float, float] | None) -> None:
        """Write a file in one step (`cellseg1.files.write_with`); an existing one is replaced.

        Parameters
        ----------
        labels
            (H, W) or (Z, H, W) of the smallest unsigned type for the ids, checked by `write_label_image`.
        pixel_size_um
            Height and width (y, x) of a pixel in micrometres; None when unknown.

        Raises
        ------
        OutputError
            When the file cannot be written.
        """
        ...


class PngWriter:
    """PNG of 8 or 16 bits."""

    name = "png"
    title = "PNG"
    suffixes = (".png",)
    most_id = 65535
    stacks = False

    def write(self, path: Path, labels: NDArray[Any], pixel_size_um: tuple[float, float] | None) -> None:  # noqa: ARG002 - it has no place for it
        """See `LabelWriter`."""
        from PIL import Image

        with Image.fromarray(labels) as picture:
            write_with(path, lambda stream: picture.save(stream, format="PNG"))


class TiffWriter:
    """TIFF, compressed by zlib; it keeps the pixel size where ImageJ and this program find it."""

    name = "tif"
    title = "TIFF"
    suffixes = (".tif", ".tiff")
    most_id = None
    stacks = True

    def write(self, path: Path, labels: NDArray[Any], pixel_size_um: tuple[float, float] | None) -> None:
        """See `LabelWriter`."""
        import tifffile

        options: dict[str, Any] = {"photometric": "minisblack", "compression": "zlib"}
        if _is_size(pixel_size_um):
            options |= _calibration(pixel_size_um, labels.shape[:-2])
        elif labels.ndim == 3:
            options["metadata"] = {"axes": "ZYX"}
        # Through memory (compressed, so it is small): tifffile needs a file name, and the temporary file has none.
        packed = io.BytesIO()
        tifffile.imwrite(packed, labels, **options)
        write_bytes(path, packed.getvalue())


def _is_size(size: tuple[float, float] | None) -> TypeGuard[tuple[float, float]]:
    # A TIFF holds pixels per unit as a fraction of two 32-bit numbers.
    return size is not None and all(1e-6 < side < 1e6 for side in size)


def _calibration(size: tuple[float, float], stack: tuple[int, ...]) -> dict[str, Any]:
    """Return what tifffile needs to store a pixel size (y, x) in micrometres the way ImageJ does."""
    lines = ["ImageJ=1.53t", "unit=um"]
    if stack:
        # ImageJ's own keys for a stack; without them the axis of the pages has no name.
        lines[1:1] = [f"images={stack[0]}", f"slices={stack[0]}"]
    description = "\n".join([*lines, "loop=false", ""])
    y, x = size
    return {"resolution": (1 / x, 1 / y), "resolutionunit": 1, "description": description, "metadata": None}


def _own() -> Iterable[LabelWriter]:
    return (PngWriter(), TiffWriter())


#: All writers by name, the program's own first.
WRITERS: Registry[LabelWriter] = Registry("cellseg1.writers", _own, name_of(LabelWriter))


def writer_of(suffix: str) -> LabelWriter | None:
    """Return the writer for a suffix (in lower case, with the dot); None when there is none."""
    return next((writer for writer in WRITERS.all() if suffix in writer.suffixes), None)


def fitting_writer(writer: LabelWriter, highest: int) -> LabelWriter:
    """Return `writer`, or the first other one when it cannot hold the id `highest`."""
    if writer.most_id is None or highest <= writer.most_id:
        return writer
    return next((one for one in WRITERS.all() if one.most_id is None), writer)
