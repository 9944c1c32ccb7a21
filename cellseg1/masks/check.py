"""A look at the training masks before time is spent on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cellseg1.errors import MaskError
from cellseg1.masks.ids import equal_pieces
from cellseg1.remarks import Remark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellseg1.masks.ids import Labels

FEW_CELLS = 10
TINY_CELL_PIXELS = 20
"""Cells below this area are too small to learn from; the training skips those below 100 pixels."""
LARGE_CELL_SHARE = 0.5
EMPTY_SHARE = 0.25
"""A square without any cell that covers more of the area than this, while cells are dense elsewhere, is suspicious."""
DENSE_SHARE = 0.15


def cell_areas(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the areas in pixels of the cells that exist, in the order of their ids."""
    areas = np.bincount(labels.ravel())[1:]
    return areas[areas > 0].astype(np.int64)


def median_cell_diameter(labels: NDArray[np.int32]) -> float:
    """Return the median diameter in pixels of circles of the cells' areas; 0.0 when there is no cell."""
    areas = cell_areas(labels)
    return float(np.median(2 * np.sqrt(areas / math.pi))) if areas.size else 0.0


def look_at_labels(labels: NDArray[np.int32]) -> list[Remark]:
    """Report probable mistakes in the numbering of a label image (H, W), independent of its use.

    These are cells in several pieces, and one cell that covers more than half; empty when nothing is suspicious.
    """
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    cells = np.flatnonzero(areas)
    if cells.size == 0:
        return []
    return [*_huge(areas, cells, labels.size), *_pieces(labels, cells)]


def look_at_masks(
    image_shape: tuple[int, ...], labels: NDArray[np.int32], region: NDArray[np.bool_] | None = None
) -> list[Remark]:
    """Report probable mistakes in a training mask.

    Parameters
    ----------
    image_shape
        Height and width first.
    labels
        (H, W) int32.
    region
        (H, W), true where every cell is annotated; None: everywhere.

    Returns
    -------
    list[Remark]
        Warnings, the most serious first; empty when nothing is suspicious.  Their codes: ``no_cells``, ``few_cells``,
        ``large_cell``, ``specks``, ``same_area``, ``pieces``, ``empty_part``.

    Raises
    ------
    MaskError
        When image, labels and region differ in size.
    """
    if tuple(image_shape[:2]) != labels.shape or (region is not None and region.shape != labels.shape):
        raise MaskError(
            f"The image has {image_shape[1]} x {image_shape[0]} pixels and its mask "
            f"{labels.shape[1]} x {labels.shape[0]}. Choose the mask that belongs to the image."
        )
    seen = labels if region is None else np.where(region, labels, np.int32(0))
    area = labels.size if region is None else int(np.count_nonzero(region))
    areas = np.bincount(seen.ravel())
    areas[0] = 0
    cells = np.flatnonzero(areas)
    if cells.size == 0:
        return [Remark("no_cells", "No cell is annotated: there is nothing to learn from.")]
    return [
        *_count_and_size(areas, cells, area),
        *_pieces(seen, cells),
        *_empty_part(seen, region, areas, area),
    ]


def _count_and_size(areas: NDArray[np.int64], cells: NDArray[np.int64], area: int) -> list[Remark]:
    found: list[Remark] = []
    sizes = areas[cells]
    if cells.size < FEW_CELLS:
        what = "1 cell is" if cells.size == 1 else "{n} cells are"
        rest = " annotated; {few} or more give a much better model."
        found.append(Remark("few_cells", f"Only {what}{rest}", n=int(cells.size), few=FEW_CELLS))
    found += _huge(areas, cells, area)
    tiny = cells[sizes < TINY_CELL_PIXELS]
    if tiny.size:
        rest = "smaller than {n} pixels; such specks are often slips of the brush."
        found.append(_about_cells("specks", tiny, rest, n=TINY_CELL_PIXELS))
    if cells.size >= FEW_CELLS and np.ptp(sizes) <= 0.01 * sizes.mean():
        text = "All cells have the same area; are these stamped shapes and not outlines of cells?"
        found.append(Remark("same_area", text))
    return found


def _huge(areas: NDArray[np.int64], cells: NDArray[np.int64], area: int) -> list[Remark]:
    largest = int(cells[areas[cells].argmax()])
    share = areas[largest] / area
    if share <= LARGE_CELL_SHARE:
        return []
    text = "Cell {cell} covers {share} of the annotated area; is the background painted as a cell?"
    return [Remark("large_cell", text, cell=largest, share=f"{share:.0%}")]


def _pieces(labels: Labels, cells: NDArray[np.int64]) -> list[Remark]:
    pieces = equal_pieces(labels)
    first = np.zeros(int(pieces.max()) + 1, np.int64)
    first[pieces.ravel()] = labels.ravel()
    counts = np.bincount(first[1:], minlength=int(cells[-1]) + 1)
    several = np.flatnonzero(counts > 1)
    if several.size == 0:
        return []
    rest = "in several separate pieces; two cells may share one id, or the brush slipped."
    return [_about_cells("pieces", several, rest)]


def _empty_part(labels: Labels, region: NDArray[np.bool_] | None, areas: NDArray[np.int64], area: int) -> list[Remark]:
    """Compare the largest empty square with how dense the rest is."""
    filled = int(areas.sum())
    side = _largest_empty_square(labels, region)
    empty = side * side
    rest = area - empty
    if area == 0 or rest <= 0 or empty / area <= EMPTY_SHARE or filled / rest < DENSE_SHARE:
        return []
    text = (
        "A part of {side} x {side} pixels ({share} of the area) has no annotated cell while the rest is dense; if "
        "there are cells, annotate them or mark the region that is complete."
    )
    return [Remark("empty_part", text, side=side, share=f"{empty / area:.0%}")]


def _largest_empty_square(labels: Labels, region: NDArray[np.bool_] | None) -> int:
    """Side in pixels of the largest square of the region that holds no cell."""
    from scipy import ndimage

    free = labels == 0
    if region is not None:
        free &= region
    padded = np.pad(free, 1)
    distance = ndimage.distance_transform_cdt(padded, metric="chessboard")
    return max(0, 2 * int(distance.max()) - 1)


def _about_cells(code: str, ids: NDArray[np.int64], rest: str, **values: int) -> Remark:
    """Make a sentence that names at most five cells: "Cell 3 is ...", "Cells 1, 2 and 9 more are ..."."""
    if ids.size == 1:
        return Remark(code, f"Cell {{cell}} is {rest}", cell=int(ids[0]), **values)
    shown = ", ".join(str(number) for number in ids[:5])
    if ids.size <= 5:
        return Remark(code, f"Cells {{cells}} are {rest}", cells=shown, **values)
    return Remark(code, f"Cells {{cells}} and {{more}} more are {rest}", cells=shown, more=int(ids.size) - 5, **values)
