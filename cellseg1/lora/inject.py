"""Putting a LoRA adapter into a backbone, switching it off, and taking it out again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cellseg1.errors import BackboneError, SettingsError
from cellseg1.lora.layer import LoraLinear

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellseg1.lora.config import LoraConfig

_STATE = "_lora_state"
_ATTENTIONS = {
    "sa": "self_attn",
    "cti": "cross_attn_token_to_image",
    "cit": "cross_attn_image_to_token",
}


@dataclass
class LoraState:
    """What was done to a backbone.

    Attributes
    ----------
    originals
        The backbone's own values, on the CPU, of the base tensors that are trained or were loaded from a model file.
    trained
        Their other values, kept while the adapter is switched off.
    previous_grad
        Which parameters required a gradient before.
    """

    config: LoraConfig
    originals: dict[str, Tensor] = field(default_factory=dict)
    trained: dict[str, Tensor] = field(default_factory=dict)
    enabled: bool = True
    previous_grad: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoraMatrix:
    """One A or B matrix and the name it has in model files."""

    name: str
    parameter: nn.Parameter


def lora_state(model: nn.Module) -> LoraState | None:
    """Return what was injected into `model`, or None."""
    state = model.__dict__.get(_STATE)
    return state if isinstance(state, LoraState) else None


def inject_lora(model: nn.Module, config: LoraConfig) -> nn.Module:
    """Add LoRA to q and v of every encoder block and of every decoder attention; freeze everything else.

    Parameters
    ----------
    model
        A backbone (`SamModel`, `TinyModel`), changed in place.

    Returns
    -------
    nn.Module
        The same model.

    Raises
    ------
    BackboneError
        When the model already has an adapter, or lacks a layer that should get one.
    SettingsError
        When a part that should be trained does not exist in this backbone.
    """
    if lora_state(model) is not None:
        raise BackboneError("This backbone already carries an adapter; remove it first.")
    targets = [
        (rank, target)
        for rank, found in (
            (config.image_encoder_rank, _encoder_targets),
            (config.mask_decoder_rank, _decoder_targets),
        )
        if rank
        for target in found(model)
    ]
    prefixes = config.trained_prefixes()
    parameters = dict(model.named_parameters())
    for prefix in prefixes:
        if not any(key.startswith(prefix) for key in parameters):
            raise SettingsError(f"This backbone has no part {prefix.rstrip('.')}; it cannot be trained.")
    state = LoraState(config, previous_grad={key: value.requires_grad for key, value in parameters.items()})
    for key, parameter in parameters.items():
        train = bool(prefixes) and key.startswith(prefixes)
        # A vector is a bias or belongs to a normalisation; the embeddings of SAM are matrices of one row.
        train = train or (not config.freeze_norms_and_biases and parameter.dim() == 1)
        parameter.requires_grad_(train)
        if train:
            state.originals[key] = parameter.detach().to("cpu", copy=True)
    for rank, (parent, name, parts) in targets:
        setattr(parent, name, LoraLinear(getattr(parent, name), rank, parts, config.dropout, config.dropout_place))
    model.__dict__[_STATE] = state
    return model


_Target = tuple[nn.Module, str, dict[str, slice]]


def _linear(parent: Any, name: str, where: str) -> nn.Module:
    if not isinstance(parent, nn.Module) or not isinstance(getattr(parent, name, None), nn.Linear):
        raise BackboneError(f"LoRA cannot be added to this backbone: it has no linear layer {where}.{name}.")
    return parent


def _blocks(model: Any) -> list[Any]:
    return list(getattr(model.image_encoder, "blocks", ()))


def _encoder_targets(model: Any) -> list[_Target]:
    targets: list[_Target] = []
    for index, block in enumerate(_blocks(model)):
        attn = _linear(getattr(block, "attn", None), "qkv", f"image_encoder.blocks.{index}.attn")
        width = getattr(attn, "qkv").out_features // 3  # noqa: B009 - nn.Module types attributes as Tensor | Module
        targets.append((attn, "qkv", {"q": slice(0, width), "v": slice(2 * width, 3 * width)}))
    if not targets:
        raise BackboneError("LoRA cannot be added to this backbone: its image encoder has no blocks.")
    return targets


def _decoder_attentions(model: Any) -> Iterator[tuple[str, int, Any, str]]:
    """Yield kind, layer, attention and where it is, in the order of upstream's files."""
    transformer = model.mask_decoder.transformer
    for kind, name in _ATTENTIONS.items():
        for index, layer in enumerate(transformer.layers):
            yield kind, index, getattr(layer, name, None), f"mask_decoder.transformer.layers.{index}.{name}"
    final = "final_attn_token_to_image"
    yield "fati", 0, getattr(transformer, final, None), f"mask_decoder.transformer.{final}"


def _decoder_targets(model: Any) -> list[_Target]:
    targets: list[_Target] = []
    for _kind, _index, attn, where in _decoder_attentions(model):
        for part in ("q", "v"):
            _linear(attn, f"{part}_proj", where)
            targets.append((attn, f"{part}_proj", {part: slice(None)}))
    if len(targets) <= 2:  # the final attention alone
        raise BackboneError("LoRA cannot be added to this backbone: its mask decoder has no layers.")
    return targets


def lora_matrices(model: Any) -> list[LoraMatrix]:
    """Return the adapter's matrices under upstream's names, in the order of upstream's files.

    ``w_a_NNN`` and ``w_b_NNN``: image encoder, index 2 x block + (0 for q, 1 for v); ``sa_*``, ``cti_*``, ``cit_*``:
    decoder self-attention, token to image, image to token, index 2 x layer + (0 or 1); ``fati_qa`` ... the last one.
    """
    matrices = []
    for matrix in ("a", "b"):
        for block, qkv in enumerate(layer for layer in (part.attn.qkv for part in _blocks(model))):
            if isinstance(qkv, LoraLinear):
                found = getattr(qkv, matrix)
                matrices += [LoraMatrix(f"w_{matrix}_{2 * block + i:03d}", found[p]) for i, p in enumerate(("q", "v"))]
    decoder: dict[str, LoraMatrix] = {}
    for kind, layer, attn, _where in _decoder_attentions(model):
        for offset, part in enumerate(("q", "v")):
            linear = getattr(attn, f"{part}_proj", None)
            if not isinstance(linear, LoraLinear):
                continue
            for matrix in ("a", "b"):
                name = f"fati_{part}{matrix}" if kind == "fati" else f"{kind}_{matrix}_{2 * layer + offset:03d}"
                decoder[name] = LoraMatrix(name, getattr(linear, matrix)[part])
    # All A of a kind come before all B of it; the final attention has its own order.
    order = [f"{kind}_{matrix}_" for kind in _ATTENTIONS for matrix in ("a", "b")]
    for start in order:
        matrices += [found for name, found in sorted(decoder.items()) if name.startswith(start)]
    matrices += [decoder[name] for name in ("fati_qa", "fati_qb", "fati_va", "fati_vb") if name in decoder]
    return matrices


def trainable_parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return what the optimiser trains: the LoRA matrices, then base weights that are not frozen."""
    lora = [(matrix.name, matrix.parameter) for matrix in lora_matrices(model)]
    ours = {id(parameter) for _name, parameter in lora}
    base = [(key, value) for key, value in model.named_parameters() if value.requires_grad and id(value) not in ours]
    return lora + base


def trainable_summary(model: nn.Module) -> str:
    """Return one line saying how much of the model is trained."""
    trained = sum(parameter.numel() for _name, parameter in trainable_parameters(model))
    total = sum(parameter.numel() for parameter in model.parameters())
    return f"Trainable: {trained / 1e6:.2f} M of {total / 1e6:.1f} M parameters ({100 * trained / total:.2f} %)."


def lora_layers(model: nn.Module) -> list[LoraLinear]:
    """Return the layers that carry LoRA."""
    return [module for module in model.modules() if isinstance(module, LoraLinear)]


def base_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the backbone's parameters and stored buffers, without the LoRA matrices, by state-dict name."""
    ours = {id(matrix.parameter) for matrix in lora_matrices(model)}
    stored = model.state_dict(keep_vars=True)
    return {key: value for key, value in stored.items() if id(value) not in ours}


@torch.no_grad()
def set_base_tensors(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Overwrite base tensors, remembering the backbone's own values so that `remove_lora` brings them back."""
    state = lora_state(model)
    tensors = base_tensors(model)
    for key, value in values.items():
        if state is not None:
            state.originals.setdefault(key, tensors[key].detach().to("cpu", copy=True))
        tensors[key].copy_(value)


def is_adapter_enabled(model: nn.Module) -> bool:
    """Tell whether the model has an enabled adapter."""
    state = lora_state(model)
    return state is not None and state.enabled


@torch.no_grad()
def set_adapter_enabled(model: nn.Module, enabled: bool) -> None:
    """Switch the adapter on or off; off, the model is the plain backbone, also where base weights were trained."""
    state = lora_state(model)
    if state is None:
        raise BackboneError("This backbone carries no adapter.")
    for layer in lora_layers(model):
        layer.enabled = enabled
    if enabled == state.enabled:
        return
    tensors = base_tensors(model)
    if enabled:
        for key, value in state.trained.items():
            tensors[key].copy_(value)
        state.trained.clear()
    else:
        for key, value in state.originals.items():
            state.trained[key] = tensors[key].detach().to("cpu", copy=True)
            tensors[key].copy_(value)
    state.enabled = enabled


@torch.no_grad()
def remove_lora(model: nn.Module) -> nn.Module:
    """Take the adapter out and give the backbone its own weights back; does nothing when there is none."""
    state = lora_state(model)
    if state is None:
        return model
    tensors = base_tensors(model)
    for key, value in state.originals.items():
        tensors[key].copy_(value)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLinear):
                setattr(parent, name, child.plain())
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(state.previous_grad.get(key, True))
    del model.__dict__[_STATE]
    return model
