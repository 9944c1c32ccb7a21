"""CellSeg1: segment cells after training on one annotated image.

Images and masks are files or NumPy arrays, results are typed objects::

    model = cellseg1.train(image, mask, "nuclei.cs1")
    result = model.segment(other_image)
    result.labels                       # (H, W) int32, every cell has its own number
    result.save("cells.tif")

`load` reads a model, `segment_folder` segments many files, `evaluate` compares with the truth, `measure` returns a
table of the cells, `export` writes label images, `read_image` and `read_mask` read files.

Importing the package is cheap: torch is loaded when a function that needs it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cellseg1._version import __version__

if TYPE_CHECKING:
    from cellseg1.api.folders import evaluate, export, measure, segment_folder
    from cellseg1.api.model import Model, Segmentation, load
    from cellseg1.api.training import train
    from cellseg1.errors import CellSeg1Error
    from cellseg1.images import Image, read_image
    from cellseg1.masks import Mask, read_mask

__all__ = [
    "CellSeg1Error",
    "Image",
    "Mask",
    "Model",
    "Segmentation",
    "__version__",
    "evaluate",
    "export",
    "load",
    "measure",
    "read_image",
    "read_mask",
    "segment_folder",
    "train",
]

_LAZY = {
    "CellSeg1Error": "cellseg1.errors",
    "Image": "cellseg1.images",
    "Mask": "cellseg1.masks",
    "Model": "cellseg1.api.model",
    "Segmentation": "cellseg1.api.model",
    "evaluate": "cellseg1.api.folders",
    "export": "cellseg1.api.folders",
    "load": "cellseg1.api.model",
    "measure": "cellseg1.api.folders",
    "read_image": "cellseg1.images",
    "read_mask": "cellseg1.masks",
    "segment_folder": "cellseg1.api.folders",
    "train": "cellseg1.api.training",
}


def __getattr__(name: str) -> Any:
    """Load a public name on its first use."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    """List the public names, including those not loaded yet."""
    return sorted(__all__)
