"""Writing label images that other programs read back without losing an id."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from cellseg1.errors import MaskError
from cellseg1.files import write_bytes, write_with

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_MAX_16_BIT = 65535  # what PNG can hold


def write_label_image(
    path: str | os.PathLike[str], labels: NDArray[Any], *, pixel_size_um: tuple[float, float] | None = None
) -> None:
    """Write labels as ``.png`` or zlib-compressed ``.tif``/``.tiff``, in the smallest unsigned type that holds the ids.

    Parameters
    ----------
    path
        The suffix chooses the format.  An existing file is replaced in one step; its folder is made when missing.
    labels
        (H, W), or for TIFF (Z, H, W), integer, no negative value.
    pixel_size_um
        Height and width (y, x) of a pixel of the labels in micrometres; a TIFF keeps it, where ImageJ and this
        program find it.

    Raises
    ------
    MaskError
        On negative or fractional ids, another suffix, or a PNG with an id above 65,535.
    OutputError
        When the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".png", ".tif", ".tiff"):
        raise MaskError(f"Cannot write the label image {path}: choose a name that ends in .png or .tif.")
    if labels.dtype.kind not in "bui" or labels.ndim not in (2, 3) or (labels.ndim == 3 and suffix == ".png"):
        raise MaskError(
            f"Cannot write {path}: labels of type {labels.dtype} and shape {labels.shape} are no label image."
        )
    highest = int(labels.max(initial=0))
    if labels.dtype.kind == "i" and int(labels.min(initial=0)) < 0:
        raise MaskError(f"Cannot write {path}: the labels hold negative ids.")
    if highest > _MAX_16_BIT and suffix == ".png":
        raise MaskError(
            f"Cannot write {path}: PNG holds ids up to 65,535 and these go to {highest:,}. Choose .tif instead."
        )
    if highest > np.iinfo(np.uint32).max:
        raise MaskError(f"Cannot write {path}: the id {highest:,} is too large. Number the cells 1, 2, 3 ... first.")
    small = labels.astype(np.min_scalar_type(highest))
    if suffix == ".png":
        from PIL import Image

        with Image.fromarray(small) as picture:
            write_with(path, lambda stream: picture.save(stream, format="PNG"))
    else:
        import tifffile

        options: dict[str, Any] = {"photometric": "minisblack", "compression": "zlib"}
        if _is_size(pixel_size_um):
            options |= _calibration(pixel_size_um, small.shape[:-2])
        elif small.ndim == 3:
            options["metadata"] = {"axes": "ZYX"}
        # Through memory (compressed, so it is small): tifffile wants the name of a file, and a temporary one has none.
        packed = io.BytesIO()
        tifffile.imwrite(packed, small, **options)
        write_bytes(path, packed.getvalue())


def _is_size(size: tuple[float, float] | None) -> TypeGuard[tuple[float, float]]:
    # A TIFF holds pixels per unit as a fraction of two 32-bit numbers.
    return size is not None and all(1e-6 < side < 1e6 for side in size)


def _calibration(size: tuple[float, float], stack: tuple[int, ...]) -> dict[str, Any]:
    """Return what tifffile needs to store a pixel size (y, x) in micrometres the way ImageJ does."""
    lines = ["ImageJ=1.53t", "unit=um"]
    if stack:
        # ImageJ's own words for a stack; without them the pages would have no names.
        lines[1:1] = [f"images={stack[0]}", f"slices={stack[0]}"]
    description = "\n".join([*lines, "loop=false", ""])
    y, x = size
    return {"resolution": (1 / x, 1 / y), "resolutionunit": 1, "description": description, "metadata": None}
