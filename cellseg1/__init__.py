"""CellSeg1: segment cells after training on one annotated image.

The whole program in four functions, the same as behind the command line and the window::

    result = cellseg1.train("cells.tif", "mask.tif", "model.cs1")
    model = cellseg1.load_model(result.path)
    run = cellseg1.predict(model, "images", "results")
    report = cellseg1.evaluate("truth", run.folder)

Importing the package is cheap: torch is loaded when one of these is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cellseg1._version import __version__

if TYPE_CHECKING:
    from cellseg1.evaluation.job import evaluate
    from cellseg1.model import load_model
    from cellseg1.prediction.job import predict
    from cellseg1.training.job import train

__all__ = ["__version__", "evaluate", "load_model", "predict", "train"]

_LAZY = {
    "evaluate": "cellseg1.evaluation.job",
    "load_model": "cellseg1.model",
    "predict": "cellseg1.prediction.job",
    "train": "cellseg1.training.job",
}


def __getattr__(name: str) -> Any:
    """Load a public function when it is first asked for."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public functions, also those that are not loaded yet."""
    return sorted({*globals(), *__all__})
