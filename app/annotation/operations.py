"""What the tools do to a document.  Every function is one step of its history, or none when nothing changes.

Ids that no cell has are ignored.  No function looks at more of the image than it needs, except where it says so.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cellseg1 import masks

from .cells import CellTable
from .document import as_labels
from .pixel_runs import PixelRuns, segments
from .selectors import disc_selector, polygon_selector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cellseg1.masks import Box, Selector

    from .document import Document
    from .edit import Edit
    from .pixel_runs import Segments
    from .steps import Step

__all__ = [
    "accept_proposals",
    "add_to_cell",
    "cells_in_lasso",
    "clean_up",
    "delete_cells",
    "disc_selector",
    "erase",
    "fill_holes",
    "import_labels",
    "merge_cells",
    "new_cell",
    "polygon_selector",
    "replace_all",
    "split_cell",
]

_ROWS = 256
"""Rows that are looked at together when a whole image has to be."""
_SIDE = 512
"""Side of the squares in which a large box is searched."""


# ---- one area


def new_cell(doc: Document, selector: Selector, *, protect: bool = True) -> tuple[Step | None, int]:
    """Make the selected pixels a new cell; returns its id, 0 when nothing could be painted."""
    cell = doc.cells.next_id()
    step = doc.apply("New cell", lambda edit: edit.paint(selector, cell, protect))
    return step, cell if step is not None else 0


def add_to_cell(doc: Document, selector: Selector, cell: int, *, protect: bool = True) -> Step | None:
    """Add the selected pixels to a cell."""
    if cell not in doc.cells:
        return None
    return doc.apply("Add to cell", lambda edit: edit.paint(selector, cell, protect))


def erase(doc: Document, selector: Selector, cell: int | None = None) -> Step | None:
    """Make the selected pixels background; with `cell` only those of that cell."""
    return doc.apply("Erase", lambda edit: edit.erase(selector, cell))


# ---- whole cells


def delete_cells(doc: Document, ids: Iterable[int]) -> Step | None:
    """Remove whole cells."""
    known = _known(doc, ids)
    return doc.apply(_counted("Delete", known), lambda edit: _recolour(doc, edit, known, 0)) if known else None


def merge_cells(doc: Document, ids: Iterable[int]) -> Step | None:
    """Make several cells one, which need not touch; it keeps the id that comes first (in a set: the smallest)."""
    known = _known(doc, sorted(ids) if isinstance(ids, (set, frozenset)) else ids)
    if len(known) < 2:
        return None
    return doc.apply(_counted("Merge", known), lambda edit: _recolour(doc, edit, known[1:], known[0]))


def split_cell(doc: Document, cell: int, line: Sequence[tuple[float, float]]) -> Step | None:
    """Cut a cell along a drawn line: the largest part keeps the id, the others become new cells."""
    box = doc.cells.box(cell)
    if box is None or len(line) < 2:
        return None
    top, left = box[:2]
    part = (doc.read(box) == cell).astype(np.int32)
    # Here pixel centres are at whole numbers.
    _, new = masks.split(part, 1, [(x - 0.5 - left, y - 0.5 - top) for x, y in line])
    if not new:
        return None

    def change(edit: Edit) -> None:
        for number in new:
            edit.paint((box, part == number), edit.next_id(), protect=False)

    return doc.apply("Split cell", change)


def fill_holes(doc: Document, cell: int | None = None) -> Step | None:
    """Fill the background that a cell encloses; cells inside stay.  None: every cell."""

    def fill(part: NDArray[np.int32], number: int) -> Box | None:
        # Finding out that there is no hole is ten times quicker than filling, and most cells have none.
        around = np.pad(part != number, 1, constant_values=True).view(np.uint8)
        pieces, _ = cv2.connectedComponents(around, connectivity=4)
        return masks.fill_holes(part, number) if pieces > 2 else None

    return doc.apply("Fill holes", lambda edit: _each(doc, edit, cell, 0, fill))


def clean_up(
    doc: Document, cell: int | None = None, smooth: int = 2, min_island: int = 20, *, keep_largest: bool = False
) -> Step | None:
    """Tidy one cell, or every cell; a cell only grows into background.

    Parameters
    ----------
    doc
        The document.
    cell
        None: every cell.
    smooth
        Radius in pixels of the bumps and notches to remove; 0: none.
    min_island
        4-connected pieces of fewer pixels are removed, also a cell that has no larger one.
    keep_largest
        Remove all pieces of a cell but the largest.
    """

    def tidy(part: NDArray[np.int32], number: int) -> Box | None:
        return masks.clean(part, number, smooth=smooth, min_island=min_island, keep_largest=keep_largest)

    return doc.apply("Clean up", lambda edit: _each(doc, edit, cell, smooth, tidy))


def cells_in_lasso(doc: Document, polygon: Sequence[tuple[float, float]]) -> list[int]:
    """Return the ids of the cells of which more than half lies inside an outline, ascending."""
    box, selected = polygon_selector(polygon, doc.shape)
    if not selected.any():
        return []
    table = doc.cells
    ids, inside = _counts(np.where(selected, doc.read(box), 0))
    return [cell for cell, pixels in zip(ids.tolist(), inside.tolist(), strict=True) if 2 * pixels > table.area(cell)]


# ---- many cells from elsewhere


def accept_proposals(
    doc: Document,
    labels: NDArray[Any],
    ids: Iterable[int] | None = None,
    *,
    min_new_share: float = 0.5,
    cells: CellTable | None = None,
) -> tuple[Step | None, list[int]]:
    """Make proposals new cells; what is drawn already never changes.

    Parameters
    ----------
    doc
        The document.
    labels
        (H, W) label image of proposals.
    ids
        Those to accept; None: all.
    min_new_share
        A proposal of which a smaller share is background is left out; of the others only the background is painted.
    cells
        The table of `labels`, if it is at hand: a few proposals are then accepted without looking at the whole image.

    Returns
    -------
    tuple[Step | None, list[int]]
        The step, and the ids of the new cells in the order of the proposals' ids.
    """
    wanted = None if ids is None else np.unique(np.fromiter(ids, np.int64))
    runs, new = _into_background(doc, labels, wanted, min_new_share, cells, keep_ids=False)
    if not new:
        return None, []
    return doc.apply(_counted("Accept", new), lambda edit: edit.put(runs)), new


def import_labels(doc: Document, labels: NDArray[Any]) -> Step | None:
    """Add the cells of a label image where there is background; nothing that is there is replaced.

    Into an empty document they keep their ids.
    """
    runs, new = _into_background(doc, labels, None, 0.0, None, keep_ids=not len(doc.cells))
    return doc.apply(_counted("Import", new), lambda edit: edit.put(runs)) if new else None


def replace_all(doc: Document, labels: NDArray[Any], name: str) -> Step | None:
    """Put another label image in the place of the whole drawing, as a step of that name."""
    labels = as_labels(labels, doc.shape)

    def change(edit: Edit) -> None:
        for top in range(0, doc.shape[0], _ROWS):
            band = labels[top : top + _ROWS]
            differs = masks.box_of(band != doc.labels[top : top + _ROWS])
            if differs is not None:
                y0, x0, y1, x1 = differs
                edit.area((top + y0, x0, top + y1, x1))[...] = band[y0:y1, x0:x1]

    return doc.apply(name, change)


def _into_background(
    doc: Document,
    labels: NDArray[Any],
    wanted: NDArray[np.int64] | None,
    min_new_share: float,
    cells: CellTable | None,
    *,
    keep_ids: bool,
) -> tuple[PixelRuns, list[int]]:
    """Find where proposals become cells: runs to put, and the new ids."""
    if labels.shape != doc.shape or labels.dtype != np.int32:
        labels = as_labels(labels, doc.shape)
    parts = [] if wanted is not None and not wanted.size else list(_overlaps(doc, labels, wanted, cells))
    if not parts:
        return PixelRuns.gather([]), []
    y, x, length, drawn, proposal = (np.concatenate(column) for column in zip(*parts, strict=True))
    found, place = np.unique(proposal, return_inverse=True)
    free = drawn == 0
    total = np.zeros(len(found), np.int64)
    np.add.at(total, place, length)
    fresh = np.zeros(len(found), np.int64)
    np.add.at(fresh, place[free], length[free])
    taken = (fresh > 0) & (fresh >= min_new_share * total)
    new = found[taken].tolist() if keep_ids else doc.cells.next_ids(int(taken.sum()))
    number = np.zeros(len(found), np.int32)
    number[taken] = new
    put = free & taken[place]
    return PixelRuns.gather([(y[put], x[put], length[put], drawn[put], number[place[put]])]), new


def _overlaps(
    doc: Document, labels: NDArray[np.int32], wanted: NDArray[np.int64] | None, cells: CellTable | None
) -> Iterator[Segments]:
    """Yield pieces of rows of the wanted proposals, with what is drawn there."""
    box: Box | None = (0, 0, *doc.shape)
    if wanted is not None and cells is not None:
        box = masks.union(cells.box(int(one)) for one in wanted)
    if box is None:
        return
    top, left, bottom, right = box
    for y0 in range(top, bottom, _ROWS):
        y1 = min(bottom, y0 + _ROWS)
        part = segments(doc.labels[y0:y1, left:right], labels[y0:y1, left:right], y0, left)
        kept = part[4] > 0 if wanted is None else (part[4] > 0) & np.isin(part[4], wanted)
        if kept.any():
            yield part[0][kept], part[1][kept], part[2][kept], part[3][kept], part[4][kept]


# ---- shared


def _known(doc: Document, ids: Iterable[int]) -> list[int]:
    """Ids that cells have, each once, in the order given."""
    return [cell for cell in dict.fromkeys(int(one) for one in ids) if cell in doc.cells]


def _counted(verb: str, cells: Sequence[int]) -> str:
    return f"{verb} {len(cells)} {'cell' if len(cells) == 1 else 'cells'}"


def _recolour(doc: Document, edit: Edit, ids: Sequence[int], new: int) -> None:
    """Give whole cells another id, or remove them."""
    boxes = [(cell, box) for cell in ids if (box := doc.cells.box(cell)) is not None]
    around = masks.union(box for _, box in boxes)
    if around is None:
        return
    if sum(_area(box) for _, box in boxes) < 2 * _area(around):
        for cell, box in boxes:
            _replace(edit, box, partial(np.equal, np.int32(cell)), new)
    else:
        # Scattered cells, whose boxes lie over one another, are found in one pass.
        _replace(edit, around, lambda part: np.isin(part, ids), new)


def _replace(edit: Edit, box: Box, chosen: Callable[[NDArray[np.int32]], NDArray[np.bool_]], new: int) -> None:
    """Give the chosen pixels of a box an id; what lies between the pieces of a scattered cell is left alone."""
    top, left, bottom, right = box
    for y0 in range(top, bottom, _SIDE):
        for x0 in range(left, right, _SIDE):
            part = y0, x0, min(bottom, y0 + _SIDE), min(right, x0 + _SIDE)
            where = chosen(edit.labels[y0 : part[2], x0 : part[3]])
            if where.any():
                edit.area(part)[where] = new


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _each(
    doc: Document, edit: Edit, cell: int | None, margin: int, change: Callable[[NDArray[np.int32], int], Box | None]
) -> None:
    """Change copies of the surroundings of one or every cell, and put back what became different."""
    cells = doc.cells.ids().tolist() if cell is None else _known(doc, [cell])
    for number in cells:
        box = doc.cells.box(number)
        if box is None:
            continue
        top, left, bottom, right = doc.clip((box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin))
        part = doc.read((top, left, bottom, right))
        changed = change(part, number)
        if changed is not None:
            y0, x0, y1, x1 = changed
            edit.area((top + y0, left + x0, top + y1, left + x1))[...] = part[y0:y1, x0:x1]


def _counts(labels: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids in a part of a label image, and how many pixels each has there."""
    table = CellTable.of(labels)
    return table.ids(), table.areas()
