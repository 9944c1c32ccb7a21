"""Runtime hook: torchvision without its compiled part.

Bundled only where the compiled part of torchvision cannot be loaded, which `build.py` tries: a CPU build of torch
with a torchvision that was compiled against a CUDA build.  torchvision then refuses to be imported, because it
describes operators that nobody has defined.  Of those the program needs one, non-maximum suppression; it is defined
here on the CPU, with the order and the ties of the original, and torchvision is told that it is there.

Nothing is imported before torchvision itself is: the window must not load torch.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

_MODULE = "torchvision.extension"
_kept: list[Any] = []


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Return the indices of the boxes that stay, best first.

    Parameters
    ----------
    boxes
        Tensor (N, 4) with x0, y0, x1, y1.
    scores
        Tensor (N,).
    iou_threshold
        A box goes when its intersection over union with a better one is larger.

    Returns
    -------
    Tensor (M,), int64.
    """
    import numpy as np
    import torch

    order = torch.sort(scores, stable=True, descending=True)[1].numpy()
    # As the original does it: no wider type than that of the boxes, so that ties fall the same way.
    x0, y0, x1, y1 = (one.numpy() for one in boxes.detach().unbind(1))
    area = (x1 - x0) * (y1 - y0)
    kept = []
    with np.errstate(divide="ignore", invalid="ignore"):
        while len(order):
            best, order = order[0], order[1:]
            kept.append(int(best))
            width = np.maximum(np.minimum(x1[best], x1[order]) - np.maximum(x0[best], x0[order]), 0)
            height = np.maximum(np.minimum(y1[best], y1[order]) - np.maximum(y0[best], y0[order]), 0)
            both = width * height
            # "Not larger" instead of "smaller or equal": boxes without an area give no number and stay.
            order = order[~(both / (area[best] + area[order] - both) > iou_threshold)]
    return torch.tensor(kept, dtype=torch.int64)


def define_operators() -> None:
    """Define the operators for which torchvision's Python part looks."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.impl(name, nms, "CPU")
    # The definitions live as long as this object.
    _kept.append(library)


class _Loader(importlib.abc.Loader):
    """Runs another loader and looks afterwards whether the compiled part could be loaded."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the other loader does."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """As the other loader does; then the operators, where there are none."""
        # Whoever asks the loader later, for sources for example, means the other one.
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        if not module._has_ops():
            define_operators()
            module._assert_has_ops = lambda: None


class _Finder(importlib.abc.MetaPathFinder):
    """Waits for the part of torchvision that loads the compiled part; the others are imported after it."""

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Return the module's own specification with our loader around its own."""
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


def install() -> None:
    """Wait for torchvision; when it is there already it is too late, and nothing happens."""
    if _MODULE not in sys.modules and not any(isinstance(one, _Finder) for one in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


if __name__ == "__main__" and getattr(sys, "frozen", False):
    install()
