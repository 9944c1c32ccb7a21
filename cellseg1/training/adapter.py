"""The adapter for training: its configuration, and the adapter of a start model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from cellseg1.errors import ModelFileError, SettingsError
from cellseg1.images import InputSpecification
from cellseg1.lora import (
    LoraConfig,
    apply_model,
    apply_pth,
    inject_lora,
    load_card,
    read_pth,
    trainable_parameters,
)
from cellseg1.model import prepare_backbone
from cellseg1.settings import Settings

if TYPE_CHECKING:
    from cellseg1.sam.interface import Backbone


def lora_config(settings: Settings) -> LoraConfig:
    """Translate settings into the adapter's configuration."""
    return LoraConfig(
        image_encoder_rank=settings.network.image_encoder_lora_rank,
        mask_decoder_rank=settings.network.mask_decoder_lora_rank,
        dropout=settings.network.lora_dropout,
        dropout_place="output" if settings.switches.lora_dropout_place == "upstream" else "branch",
        freeze_image_encoder=settings.network.freeze_image_encoder,
        freeze_prompt_encoder=settings.network.freeze_prompt_encoder,
        freeze_mask_decoder_transformer=settings.network.freeze_mask_decoder_transformer,
        freeze_upscaling_cnn=settings.network.freeze_upscaling_cnn,
        freeze_output_hypernetworks_mlps=settings.network.freeze_output_hypernetworks_mlps,
        freeze_mask_decoder_mask_tokens=settings.network.freeze_mask_decoder_mask_tokens,
        freeze_mask_decoder_iou=settings.network.freeze_mask_decoder_iou,
        freeze_norms_and_biases=settings.network.freeze_norms_and_biases,
    )


def adapted_backbone(
    name: str, settings: Settings, device: torch.device, start_model: Path | None
) -> tuple[Backbone, str]:
    """Build the backbone with a new adapter or that of a model; return it with the hash of its weights."""
    model, sha256 = prepare_backbone(name, settings, device)
    module = model
    assert isinstance(module, nn.Module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.environment.seed)
        if start_model is None:
            inject_lora(module, lora_config(settings))
        else:
            _take_adapter(start_model, module, lora_config(settings), sha256)
        module.to(device)
    model.checkpoint_encoder = settings.training.gradient_checkpointing
    return model, sha256


def _take_adapter(path: Path, module: nn.Module, config: LoraConfig, sha256: str) -> None:
    """Load the adapter of a model file into a plain backbone, for further training."""
    if path.suffix.lower() in {".pth", ".pt"}:
        apply_pth(path, module, config=config)
    else:
        apply_model(path, module, backbone_sha256=sha256 or None, config=config)


def ranks_of(path: Path) -> dict[str, int]:
    """Return the settings with the LoRA ranks of a model file."""
    if not path.exists():
        raise ModelFileError(f"There is no model file {path} to train on from; choose another, or start anew.")
    if path.suffix.lower() in {".pth", ".pt"}:
        file = read_pth(path)
        ranks = file.image_encoder_rank, file.mask_decoder_rank
    else:
        lora = load_card(path).lora
        ranks = lora.image_encoder_rank, lora.mask_decoder_rank
    return {"image_encoder_lora_rank": ranks[0], "mask_decoder_lora_rank": ranks[1]}


def channels_of(path: Path, specification: InputSpecification) -> InputSpecification:
    """Return the specification with the channels of a start model."""
    if path.suffix.lower() in {".pth", ".pt"} or not (stored := load_card(path).input):
        return specification
    try:
        before = InputSpecification.from_dict(stored)
    except SettingsError as error:
        raise ModelFileError(f"The card of the model {path} cannot be used: {error}") from error
    return dataclasses.replace(specification, channels=before.channels, by_hand=before.by_hand)


def room_needed(module: nn.Module) -> int:
    """Return the bytes of the model and two checkpoints (a new one is completed before the old one is removed)."""
    trained = sum(parameter.numel() for _, parameter in trainable_parameters(module))
    # Weights, gradients and two averages of them, in single precision.
    return 4 * trained + 2 * 4 * 4 * trained
