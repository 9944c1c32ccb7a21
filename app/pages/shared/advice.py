"""What to say about the cells that are drawn: enough, dense enough, of varied size.  Knows nothing of Qt widgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QCoreApplication

from cellseg1.masks.check import FEW_CELLS, look_at_masks

from ...translation.library_words import all_shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...annotation import Document

_translate = QCoreApplication.translate

#: From here on more cells of the same image add little (the paper trained on a few dozen).
ENOUGH_CELLS = 24
#: Cells that cover less of the annotated part lie far apart.
SPARSE_SHARE = 0.08
#: Areas that differ by less than this (standard deviation / mean) are all alike.
ALIKE = 0.12


@dataclass(frozen=True, slots=True)
class CellFacts:
    """What the advice needs: number of cells, the share of the annotated part they cover, how much areas differ."""

    count: int
    share: float = 0.0
    variation: float = 0.0


def cell_facts(document: Document) -> CellFacts:
    """Read the facts from the table of cells; never looks at pixels."""
    cells = document.cells
    areas = np.asarray(cells.areas(), np.float64)
    if not areas.size:
        return CellFacts(0)
    region = region_of(document)
    height, width = document.shape
    whole = region[2] * region[3] if region is not None else height * width
    return CellFacts(int(areas.size), float(areas.sum() / max(1, whole)), float(areas.std() / areas.mean()))


def region_of(document: Document) -> tuple[int, int, int, int] | None:
    """Return the region (x, y, width, height) of a document, None for the whole image."""
    values = document.attributes.get("region") if document is not None else None
    if not values:
        return None
    x, y, width, height = (int(value) for value in values)
    return x, y, width, height


def advice(facts: CellFacts) -> str:
    """Return what to say about the cells drawn so far."""
    if facts.count == 0:
        return _translate(
            "Advice",
            "Outline a few dozen cells that lie close together and differ in size: paint them (B), or click them (C).",
        )
    if facts.count < FEW_CELLS:
        return _translate("Advice", "A start. A few dozen, densely packed and of varied size, make a good model.")
    if facts.count < ENOUGH_CELLS:
        return _translate("Advice", "Enough to try. A few dozen, densely packed and of varied size, are better.")
    if facts.share < SPARSE_SHARE:
        return _translate(
            "Advice", "A few dozen: good. These lie far apart; a densely packed part of the image teaches more."
        )
    if facts.variation < ALIKE:
        return _translate(
            "Advice", "A few dozen, densely packed: good. All have about the same size; add small and large ones."
        )
    return _translate("Advice", "A few dozen, densely packed, of varied size: good.")


def mask_warnings(labels: NDArray[np.int32], region: Sequence[int] | None) -> tuple[str, ...]:
    """Return what in a drawing is probably a mistake; takes a while on large images."""
    inside = None
    if region is not None:
        x, y, width, height = region
        inside = np.zeros(labels.shape, bool)
        inside[y : y + height, x : x + width] = True
    found = look_at_masks(labels.shape, labels, inside)
    # How many cells are missing the advice says already.
    return all_shown(one for one in found if one.code not in ("few_cells", "no_cells"))
