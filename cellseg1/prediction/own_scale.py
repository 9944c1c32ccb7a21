"""The scale of an image found from its own cells.

A small network knows cells of one size.  A model is used at the scale at which its training cells had that size; an
image of another magnification, or with smaller cells, then shows it cells that it cannot resolve or cannot oversee.
So an image is looked at once at the model's scale; when the cells found there have another size than the network
wants, it is looked at again at the scale that gives them that size, as the size model of Cellpose does in other ways
(Stringer et al. 2021, doi 10.1038/s41592-020-01018-x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellseg1.prediction.candidates import Candidates
    from cellseg1.prediction.select import Selection

#: Sizes that differ by no more than this factor are left alone: the network was trained on a range of sizes.
TOLERANCE = 1.25
#: The scale is never changed by more than this factor.
LIMIT = 4.0
#: Fewer cells say nothing about their usual size.
_FEWEST = 5
#: A look at a new scale must explain at least this share of what the one before explained.
_SUPPORT = 0.8
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an image: at which scale, what was proposed, how large the chosen cells are, how sure it is.

    Attributes
    ----------
    diameter
        Median diameter of the chosen cells in image pixels (of discs of equal area); None with too few cells.
    support
        Sum over the chosen cells of score x area, in image pixels.
    """

    scale: float
    candidates: Candidates
    diameter: float | None
    support: float


def look(scale: float, candidates: Candidates, selection: Selection) -> Look:
    """Describe what was found at one scale."""
    area = selection.area
    diameter = None
    if len(area) >= _FEWEST:
        diameter = float(2 * np.sqrt(np.median(area) / np.pi))
    return Look(scale, candidates, diameter, float((selection.score * area).sum()))


def at_own_scale(
    find: Callable[[float, int], Candidates | None],
    choose: Callable[[Candidates], Selection],
    scale: float,
    target_diameter: float,
) -> Candidates | None:
    """Find proposals at the scale that fits the image's own cells.

    Parameters
    ----------
    find
        ``find(scale, number)`` asks the network everywhere at a scale (model-input pixels per image pixel); `number`
        counts the looks from 0.  None means that it was stopped.
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
    best: Look | None = None
    wanted = scale
    for number in range(_LOOKS):
        candidates = find(wanted, number)
        if candidates is None:
            return None
        now = look(wanted, candidates, choose(candidates))
        if best is not None and now.support < _SUPPORT * best.support:
            break
        best = now
        if now.diameter is None:
            break
        wanted = min(max(target_diameter / now.diameter, scale / LIMIT), scale * LIMIT)
        if max(wanted / now.scale, now.scale / wanted) <= TOLERANCE:
            break
    assert best is not None
    return best.candidates
