"""Building a backbone by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellseg1.sam import store
from cellseg1.sam.registry import get_kind

if TYPE_CHECKING:
    from pathlib import Path

    from cellseg1.sam.interface import Backbone


def build_backbone(name: str, image_size: int = 512, weights: Path | None = None, *, verify: bool = True) -> Backbone:
    """Build a backbone with its weights, on the CPU, in evaluation mode.

    Parameters
    ----------
    name
        One of `cellseg1.sam.registry.backbone_names`, or default (= vit_h).
    image_size
        Side of the square model input, a multiple of 16; ignored by a backbone such as tiny, which takes
        any size per call.
    weights
        The weights file; None uses the installed one.
    verify
        Require the official file (size and SHA-256); False accepts any file with the right tensors.

    Raises
    ------
    BackboneError
        When the file is missing, damaged, or does not hold exactly this backbone.
    """
    kind = get_kind(name)
    return kind.build(store.find_backbone(kind.name, weights, verify=verify), image_size)
