"""LoRA adapters: what they look like, putting them into a backbone, and their files.

`config`, `card` and `header` import no torch; the rest does, and is only loaded when a name of it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cellseg1.lora.card import Card, TrainingImage
from cellseg1.lora.config import LoraConfig
from cellseg1.lora.header import load_card

if TYPE_CHECKING:
    from cellseg1.lora.inject import (
        inject_lora,
        is_adapter_enabled,
        lora_matrices,
        remove_lora,
        set_adapter_enabled,
        trainable_parameters,
        trainable_summary,
    )
    from cellseg1.lora.io import apply_model, save_model
    from cellseg1.lora.pth import apply_pth, check_pth, read_pth, write_pth

__all__ = [
    "Card",
    "LoraConfig",
    "TrainingImage",
    "apply_model",
    "apply_pth",
    "check_pth",
    "inject_lora",
    "is_adapter_enabled",
    "load_card",
    "lora_matrices",
    "read_pth",
    "remove_lora",
    "save_model",
    "set_adapter_enabled",
    "trainable_parameters",
    "trainable_summary",
    "write_pth",
]

_LAZY = {
    "inject_lora": "inject",
    "lora_matrices": "inject",
    "remove_lora": "inject",
    "is_adapter_enabled": "inject",
    "set_adapter_enabled": "inject",
    "trainable_parameters": "inject",
    "trainable_summary": "inject",
    "apply_model": "io",
    "save_model": "io",
    "apply_pth": "pth",
    "check_pth": "pth",
    "read_pth": "pth",
    "write_pth": "pth",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
