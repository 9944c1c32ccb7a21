"""The scale of an image found from its own cells.

A small network knows cells of one size.  A model is used at the scale at which its training cells had that size; an
image of another magnification, or with smaller cells, then shows it cells that it cannot resolve or cannot oversee.
So an image is looked at once at the model's scale; when the cells found there have another size than the network
wants, it is looked at again at the scale that gives them that size, as the size model of Cellpose does in other ways
(Stringer et al. 2021, doi 10.1038/s41592-020-01018-x).

Cells that are much too small are taken in groups, and the groups have the very size that the network wants.  So the
place with the most proposals is also looked at twice as large: what falls into smaller cells there that explain more
of the place was no cell.

Cells that are much too large are not seen at all: a prompt is decoded in a window that they fill.  So where too few
cells are found to tell their size, or the ones found are far too large, the image is also looked at from farther away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellseg1.prediction.candidates import Candidates
    from cellseg1.prediction.select import Selection

    Find = Callable[[float, int, "Box | None"], Candidates | None]
    Choose = Callable[[Candidates], Selection]

#: Sizes that differ by no more than this factor are left alone: the network was trained on a range of sizes.
TOLERANCE = 1.25
#: The scale is never changed by more than this factor.
LIMIT = 4.0
#: Fewer cells say nothing about their usual size.
_FEWEST = 5
#: A look at a new scale must explain at least this share of what the one before explained.
_SUPPORT = 0.8
#: What the enlarged place must explain, compared with the same place before, to count as evidence for smaller cells.
_BETTER = 1.1
#: Side of the enlarged place, in target diameters at the scale of the look before.  A place of 10 takes three times as
#: long and judged no better on held-out images of three sizes of cells (decision 0014).
_PLACE = 6
_LOOKS = 3
#: The look from farther away shrinks the image by this factor, which costs a ninth of a look.
_FARTHER = 3.0
#: Cells found that are wider than this many target diameters make that look worth while.
_FAR_TOO_LARGE = 1.5
#: What that look must explain, compared with the look before: groups of cells of the right size explained at most 0.94
#: times as much as the cells did, cells that were too large for the look before at least 2.5 times (decision 0014).
_MUCH_BETTER = 1.5

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an image: at which scale, what was proposed, how large the chosen cells are, how sure it is.

    Attributes
    ----------
    diameter
        Median diameter of the chosen cells in image pixels (of discs of equal area); None with too few cells.
    support
        Sum of the cells' scores over their pixels.
    """

    scale: float
    candidates: Candidates
    selection: Selection
    diameter: float | None
    support: float


def look(scale: float, candidates: Candidates, selection: Selection) -> Look:
    """Describe what was found at one scale."""
    area = selection.area
    diameter = None
    if len(area) >= _FEWEST:
        diameter = float(2 * np.sqrt(np.median(area) / np.pi))
    return Look(scale, candidates, selection, diameter, _support(selection, selection.labels))


def _support(selection: Selection, labels: NDArray[np.int32]) -> float:
    score = np.concatenate([np.zeros(1, np.float32), selection.score])
    return float(score[labels].sum(dtype=np.float64))


def densest_place(candidates: Candidates, side: int) -> Box | None:
    """Return the square of `side` pixels (top, left, bottom, right; cut at the image) with the most prompts answered.

    None without proposals.
    """
    if not len(candidates):
        return None
    height, width = candidates.shape
    side_y, side_x = min(side, height), min(side, width)
    # Half steps: the best square is met to within a quarter of its side.
    step = max(1, side // 2)
    counts = np.zeros((-(-height // step) + 1, -(-width // step) + 1))
    cells = (candidates.point_xy // step).astype(int)
    np.add.at(counts, (cells[:, 1], cells[:, 0]), candidates.score)
    around = counts[:-1, :-1] + counts[1:, :-1] + counts[:-1, 1:] + counts[1:, 1:]
    row, column = np.unravel_index(int(around.argmax()), around.shape)
    top, left = min(int(row) * step, height - side_y), min(int(column) * step, width - side_x)
    return top, left, top + side_y, left + side_x


def at_own_scale(
    find: Find,
    choose: Choose,
    scale: float,
    target_diameter: float,
) -> Candidates | None:
    """Find proposals at the scale that fits the image's own cells.

    Parameters
    ----------
    find
        ``find(scale, number, box)`` asks the network everywhere at a scale (model-input pixels per image pixel), in
        the whole image or in a box of it; `number` counts the looks at the whole from 0, and the looks that only
        serve the first one have its number.  None: it was stopped.
    choose
        Chooses cells from proposals with the model's own thresholds, never with those of a slider, so that the
        scale does not depend on what is looked at later.
    scale
        The model's scale, looked at first.
    target_diameter
        Median diameter, in pixels of the model input, at which the network works best.

    Returns
    -------
    Candidates | None
        Those of the last look that explained the image as well as the look before; None when stopped.
    """
    first = _look_at(scale, 0, None, find, choose)
    if first is None:
        return None
    best, diameter = first, first.diameter
    farther = None
    if diameter is None or diameter * scale > _FAR_TOO_LARGE * target_diameter:
        farther = _look_at(scale / _FARTHER, 0, None, find, choose)
        if farther is None:
            return None
    if farther is not None and farther.diameter is not None and farther.support > _MUCH_BETTER * first.support:
        best, diameter = farther, farther.diameter
    else:
        place = densest_place(first.candidates, round(_PLACE * target_diameter / scale))
        if place is not None:
            closer = _look_at(2 * scale, 0, place, find, choose)
            if closer is None:
                return None
            diameter = _diameter_seen_closer(first, place, closer)
    for number in range(1, _LOOKS):
        if diameter is None:
            break
        wanted = min(max(target_diameter / diameter, scale / LIMIT), scale * LIMIT)
        if max(wanted / best.scale, best.scale / wanted) <= TOLERANCE:
            break
        now = _look_at(wanted, number, None, find, choose)
        if now is None:
            return None
        if now.support < _SUPPORT * best.support:
            break
        best, diameter = now, now.diameter
    return best.candidates


def _look_at(scale: float, number: int, box: Box | None, find: Find, choose: Choose) -> Look | None:
    candidates = find(scale, number, box)
    return None if candidates is None else look(scale, candidates, choose(candidates))


def _diameter_seen_closer(whole: Look, place: Box, closer: Look) -> float | None:
    """Return the cells' diameter as the enlarged place has it, if it shows smaller cells and explains more."""
    top, left, bottom, right = place
    before = _support(whole.selection, whole.selection.labels[top:bottom, left:right])
    if closer.diameter is None or closer.support < _BETTER * before:
        return whole.diameter
    if whole.diameter is not None and closer.diameter * TOLERANCE > whole.diameter:
        return whole.diameter
    return closer.diameter
