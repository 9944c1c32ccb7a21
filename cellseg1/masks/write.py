"""Writing label images that other programs read back without losing an id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import MaskError
from cellseg1.masks.writers import WRITERS, writer_of
from cellseg1.plugins import listed

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray


def write_label_image(
    path: str | os.PathLike[str], labels: NDArray[Any], *, pixel_size_um: tuple[float, float] | None = None
) -> None:
    """Write labels in the smallest unsigned type that holds the ids.

    Parameters
    ----------
    path
        The suffix chooses the format: ``.png``, ``.tif``, ``.tiff``, or one that another package writes
        (`cellseg1.masks.writers`).  An existing file is replaced in one step; its folder is made when missing.
    labels
        (H, W), or for TIFF (Z, H, W), integer, no negative value.
    pixel_size_um
        Height and width (y, x) of a pixel of the labels in micrometres; a TIFF keeps it, where ImageJ and this
        program find it.

    Raises
    ------
    MaskError
        On negative or fractional ids, another suffix, or an id that the format cannot hold (PNG: above 65,535).
    OutputError
        When the file cannot be written.
    """
    path = Path(path)
    writer = writer_of(path.suffix.lower())
    if writer is None:
        names = listed(one.suffixes[0] for one in WRITERS.all())
        raise MaskError(f"Cannot write the label image {path}: choose a name that ends in {names}.")
    dimensions = (2, 3) if writer.stacks else (2,)
    if labels.dtype.kind not in "bui" or labels.ndim not in dimensions or not labels.size:
        raise MaskError(
            f"Cannot write {path}: labels of type {labels.dtype} and shape {labels.shape} are no label image."
        )
    highest = int(labels.max(initial=0))
    if labels.dtype.kind == "i" and int(labels.min(initial=0)) < 0:
        raise MaskError(f"Cannot write {path}: the labels hold negative ids.")
    if writer.most_id is not None and highest > writer.most_id:
        raise MaskError(
            f"Cannot write {path}: {writer.title} holds ids up to {writer.most_id:,} and these go to {highest:,}. "
            "Choose .tif instead."
        )
    if highest > np.iinfo(np.uint32).max:
        raise MaskError(f"Cannot write {path}: the id {highest:,} is too large. Number the cells 1, 2, 3 ... first.")
    writer.write(path, labels.astype(np.min_scalar_type(highest)), pixel_size_um)
