"""What others hand to the canvas to be drawn over the image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ProposalLayer:
    """What is proposed for a plane.

    A layer with the same label image (the same array, not changed) as the one that is shown takes its place quickly:
    only proposals that were decided in between are drawn anew.

    Attributes
    ----------
    labels
        (H, W) int32; 0 is nothing.
    score, stability
        By id (entry 0 is unused), 0..1.
    accepted, rejected
        Ids: accepted ones are cells now (or not offered for another reason) and not drawn, rejected ones are drawn
        grey.
    boxes
        By id: top, left, bottom, right in pixels, zeros for an id that is not in `labels`.  None: they are looked up.
    """

    labels: NDArray[np.int32]
    score: NDArray[Any]
    stability: NDArray[Any] | None = None
    accepted: frozenset[int] = field(default_factory=frozenset)
    rejected: frozenset[int] = field(default_factory=frozenset)
    boxes: NDArray[Any] | None = None
