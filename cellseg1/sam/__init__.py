"""Backbones: which there are, where their files come from, and the models built from them.

`registry` and `store` import no torch; the rest does, and is only loaded when a name of it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cellseg1.sam.kind import BackboneKind, BackboneSpec
from cellseg1.sam.registry import BACKBONES, backbone_names, get_spec, models_dir

if TYPE_CHECKING:
    from cellseg1.sam.build import build_backbone
    from cellseg1.sam.device import DeviceInfo, choose_device, device_report
    from cellseg1.sam.fetch import download
    from cellseg1.sam.interface import Backbone, Decoded, Embedding
    from cellseg1.sam.store import BackboneStatus, find_backbone, import_file, list_backbones

__all__ = [
    "BACKBONES",
    "Backbone",
    "BackboneKind",
    "BackboneSpec",
    "BackboneStatus",
    "Decoded",
    "DeviceInfo",
    "Embedding",
    "backbone_names",
    "build_backbone",
    "choose_device",
    "device_report",
    "download",
    "find_backbone",
    "get_spec",
    "import_file",
    "list_backbones",
    "models_dir",
]

_LAZY = {
    "build_backbone": "build",
    "DeviceInfo": "device",
    "choose_device": "device",
    "device_report": "device",
    "Backbone": "interface",
    "Decoded": "interface",
    "Embedding": "interface",
    "BackboneStatus": "store",
    "download": "fetch",
    "find_backbone": "store",
    "import_file": "store",
    "list_backbones": "store",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
