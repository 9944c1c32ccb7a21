"""Checking that a model file fits a backbone, and filling an injected adapter from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cellseg1.errors import BackboneError, ModelFileError, SettingsError
from cellseg1.lora.inject import inject_lora, lora_matrices, remove_lora

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cellseg1.lora.config import LoraConfig


def check_ranks(path: Path, found: LoraConfig, wanted: LoraConfig) -> None:
    """Raise `ModelFileError` when the ranks in a file are not those asked for."""
    for part in ("image_encoder_rank", "mask_decoder_rank"):
        has, needs = getattr(found, part), getattr(wanted, part)
        if has != needs:
            label = part.replace("_", " ")
            raise ModelFileError(
                f"The model {path} has {label} {has}, but the settings ask for {needs}; change one of them."
            )


def check_tensors(
    path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, allow_missing: bool = False
) -> None:
    """Raise `ModelFileError` when names or shapes differ, naming up to three tensors."""
    missing = [] if allow_missing else [key for key in wanted if key not in found]
    extra = [key for key in found if key not in wanted]
    wrong = [key for key in found if key in wanted and found[key].shape != wanted[key].shape]
    told = [
        f"{len(keys)} tensors {what} ({', '.join(keys[:3])})"
        for keys, what in ((missing, "are missing"), (extra, "have no place in it"), (wrong, "have another shape"))
        if keys
    ]
    if told:
        raise ModelFileError(
            f"The model {path} does not fit this backbone: {'; '.join(told)}. "
            "Copy the file again, or train the model again."
        )


@torch.no_grad()
def put_adapter(path: Path, model: nn.Module, config: LoraConfig, lora: dict[str, Tensor]) -> None:
    """Inject LoRA and fill it with `lora` (upstream's names); on a mismatch leave the plain backbone."""
    try:
        inject_lora(model, config)
    except (BackboneError, SettingsError) as error:
        raise ModelFileError(f"The model {path} does not fit this backbone: {error}") from error
    wanted = {matrix.name: matrix.parameter for matrix in lora_matrices(model)}
    try:
        check_tensors(path, lora, wanted)
    except ModelFileError:
        remove_lora(model)
        raise
    for name, parameter in wanted.items():
        parameter.copy_(lora[name])
