"""Model files: saving an adapter with its card as ``.cs1``, and putting it back into a backbone."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from torch import Tensor, nn

from cellseg1.errors import ModelFileError
from cellseg1.files import write_bytes
from cellseg1.lora.card import SCHEMA, Card
from cellseg1.lora.fit import check_ranks, check_tensors, put_adapter
from cellseg1.lora.header import CARD_HASH_KEY, CARD_KEY, HASH_KEY, SCHEMA_KEY, card_hash, load_card, read_header
from cellseg1.lora.inject import base_tensors, lora_matrices, lora_state, remove_lora, set_base_tensors
from cellseg1.regular import open_regular
from cellseg1.text import json_text
from cellseg1.trouble import reading

if TYPE_CHECKING:
    from pathlib import Path

    from cellseg1.lora.config import LoraConfig

__all__ = ["apply_model", "load_card", "model_bytes", "save_model"]

_LORA, _DELTA = "lora.", "delta."


def save_model(path: Path, model: nn.Module, card: Card, *, exact: bool = False, new: bool = False) -> Card:
    """Write the adapter of `model` and its card, atomically.

    Trained base weights are stored as differences from the backbone, in half precision.

    Parameters
    ----------
    card
        Its LoRA configuration, and an empty backbone name, are filled in from the model.
    exact
        Store the differences in single precision.
    new
        Never replace a file (`FileExistsError`).

    Returns
    -------
    Card
        The card as written.

    Raises
    ------
    ModelFileError
        When there is no adapter, or it holds values that are not numbers.
    OutputError
        When the file cannot be written.
    """
    data, card = model_bytes(model, card, exact=exact)
    write_bytes(path, data, new=new)
    return card


def model_bytes(model: nn.Module, card: Card, *, exact: bool = False) -> tuple[bytes, Card]:
    """Return what `save_model` writes, and the completed card."""
    state = lora_state(model)
    if state is None:
        raise ModelFileError("There is nothing to save: the backbone carries no adapter.")
    tensors = {_LORA + one.name: one.parameter.detach().cpu().float().contiguous() for one in lora_matrices(model)}
    current = base_tensors(model)
    for key, original in state.originals.items():
        value = state.trained.get(key, current[key]).detach().cpu().float()
        delta = value - original.float()
        if bool(delta.any()):
            tensors[_DELTA + key] = (delta if exact else delta.half()).contiguous()
    bad = _not_finite(tensors)
    if bad:
        raise ModelFileError(f"The model is not saved: {bad} holds values that are not numbers (training diverged).")
    name = card.backbone or str(getattr(model, "name", ""))
    card = dataclasses.replace(card, lora=state.config, backbone=name)
    text = json_text(card.to_dict())
    metadata = {
        SCHEMA_KEY: str(SCHEMA),
        CARD_KEY: text,
        CARD_HASH_KEY: card_hash(text),
        HASH_KEY: _hash(tensors),
    }
    return safetensors.torch.save(tensors, metadata), card


def apply_model(
    path: Path,
    model: nn.Module,
    *,
    backbone: str | None = None,
    backbone_sha256: str | None = None,
    config: LoraConfig | None = None,
) -> Card:
    """Put the adapter of a ``.cs1`` file into a backbone; an adapter that was there is taken out first.

    Parameters
    ----------
    backbone
        Name of the backbone that `model` is; None uses ``model.name``.
    backbone_sha256
        Hash of the backbone's file; None skips that comparison.
    config
        Required ranks; its dropout and freeze flags replace the file's (to train on).  None takes the file's.

    Raises
    ------
    ModelFileError
        When the file is damaged, has another rank, or belongs to another backbone.  The model is then as it was,
        or the plain backbone when the mismatch only showed while the tensors were put in.
    """
    header = read_header(path)
    card = header.card
    _check_backbone(path, card, backbone or str(getattr(model, "name", "")), backbone_sha256)
    if config is not None:
        check_ranks(path, card.lora, config)
    with reading(ModelFileError, f"The model {path} is damaged and cannot be read."), open_regular(path) as stream:
        tensors = safetensors.torch.load(stream.read())
    if header.tensors_sha256 and _hash(tensors) != header.tensors_sha256:
        raise ModelFileError(f"The model {path} is damaged: its content does not match its checksum; copy it again.")
    bad = _not_finite(tensors)
    if bad:
        raise ModelFileError(f"The model {path} cannot be used: {bad} holds values that are not numbers.")
    lora = {key.removeprefix(_LORA): value for key, value in tensors.items() if key.startswith(_LORA)}
    deltas = {key.removeprefix(_DELTA): value for key, value in tensors.items() if key.startswith(_DELTA)}
    if len(lora) + len(deltas) != len(tensors):
        other = sorted(key for key in tensors if not key.startswith((_LORA, _DELTA)))
        raise ModelFileError(f"The model {path} holds unknown tensors ({', '.join(other[:3])}).")
    remove_lora(model)
    base = base_tensors(model)
    check_tensors(path, deltas, base, allow_missing=True)
    put_adapter(path, model, config or card.lora, lora)
    set_base_tensors(model, {key: base[key].detach().cpu().float() + value.float() for key, value in deltas.items()})
    return card


def _check_backbone(path: Path, card: Card, name: str, sha256: str | None) -> None:
    if card.backbone and name and card.backbone != name:
        raise ModelFileError(
            f"The model {path} was trained on the backbone {card.backbone}, not on {name}; use that backbone."
        )
    if card.backbone_sha256 and sha256 and card.backbone_sha256.lower() != sha256.lower():
        raise ModelFileError(
            f"The model {path} was trained on another version of the backbone {card.backbone or name} "
            f"(SHA-256 {card.backbone_sha256[:8]}..., here {sha256[:8]}...); train it again, or use "
            f"the CellSeg1 it was made with ({card.program_version})."
        )


def _not_finite(tensors: dict[str, Tensor]) -> str:
    return next((key for key, value in tensors.items() if not bool(torch.isfinite(value).all())), "")


def _hash(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key]
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
