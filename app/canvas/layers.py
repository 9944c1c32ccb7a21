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

    Attributes
    ----------
    labels
        (H, W) int32; 0 is nothing.
    score, stability
        By id (entry 0 is unused), 0..1.
    accepted, rejected
        Ids: accepted ones are cells now and not drawn again, rejected ones are drawn grey.
    """

    labels: NDArray[np.int32]
    score: NDArray[Any]
    stability: NDArray[Any] | None = None
    accepted: frozenset[int] = field(default_factory=frozenset)
    rejected: frozenset[int] = field(default_factory=frozenset)
