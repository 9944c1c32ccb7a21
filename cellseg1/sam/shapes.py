"""Shapes of SAM's image encoders.  Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VitShape:
    """What distinguishes one SAM image encoder from another.

    Attributes
    ----------
    global_blocks
        Indices of the blocks that attend to the whole image; the others attend within windows.
    window
        Side of a window in tokens of 16 x 16 pixels.
    """

    embed_dim: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    window: int = 14


#: Shapes of the published SAM encoders (Kirillov et al. 2023, arXiv 2304.02643).
VIT_SHAPES = {
    "vit_b": VitShape(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": VitShape(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": VitShape(1280, 32, 16, (7, 15, 23, 31)),
}
