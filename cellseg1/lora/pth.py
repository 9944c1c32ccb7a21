"""LoRA files of the research code (``.pth``): one dict of tensors, read without running any code from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cellseg1.errors import ModelFileError, SettingsError
from cellseg1.files import write_with
from cellseg1.lora.config import LoraConfig
from cellseg1.lora.fit import check_ranks, check_tensors, put_adapter
from cellseg1.lora.inject import base_tensors, lora_matrices, lora_state, remove_lora, set_base_tensors
from cellseg1.sam.registry import BACKBONES, is_published
from cellseg1.sam.shapes import VIT_SHAPES
from cellseg1.torch_file import read_torch_file
from cellseg1.trouble import reading

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LORA_NAME = re.compile(r"(w|sa|cti|cit)_([ab])_(\d{3})|fati_([qv])([ab])")
_FILE_NAME = re.compile(r"lora_(vit_[bhl])_\d+_(\d+)_", re.IGNORECASE)
_DEFAULT_SIZE = 512
_NAMED = 3
#: Upstream stores prompt encoder and mask decoder whole, except the decoder's transformer.
_STORED, _NOT_STORED = ("prompt_encoder.", "mask_decoder."), "mask_decoder.transformer."


@dataclass(frozen=True, slots=True)
class PthFile:
    """What an upstream LoRA file holds.

    Attributes
    ----------
    lora
        LoRA matrices under upstream's names.
    base
        Copies of prompt encoder and mask decoder, by state-dict name.
    backbone
        vit_b, vit_l or vit_h by the width of the encoder; None when none of them fits.
    image_size
        Side of the model input in pixels, from the file's name, else 512.
    image_size_known
        Whether the name told it.
    """

    lora: dict[str, Tensor]
    base: dict[str, Tensor]
    image_encoder_rank: int
    mask_decoder_rank: int
    backbone: str | None
    image_size: int
    image_size_known: bool


def read_pth(path: Path) -> PthFile:
    """Read an upstream LoRA file onto the CPU.

    Raises
    ------
    ModelFileError
        When it is damaged, holds anything but tensors (nothing of it is then run), or is not a LoRA file.
    """
    content = read_torch_file(path, "a LoRA file")
    with reading(ModelFileError, f"{path} cannot be read as a LoRA file: it is damaged."):
        lora, base = _sorted_out(path, content)
        ranks = _rank(path, lora, encoder=True), _rank(path, lora, encoder=False)
        backbone = _guess_backbone(lora)
    size = _FILE_NAME.search(path.name)
    return PthFile(
        lora,
        base,
        *ranks,
        backbone,
        int(size.group(2)) if size else _DEFAULT_SIZE,
        size is not None,
    )


def _sorted_out(path: Path, content: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the LoRA matrices and the copied weights of a file; refuse any other content."""
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise ModelFileError(f"{path} is a PyTorch file but not a LoRA file of CellSeg1.")
    tensors = {key: value.detach() for key, value in content.items()}
    lora = {key: value for key, value in tensors.items() if _LORA_NAME.fullmatch(key)}
    base = {key: value for key, value in tensors.items() if key.startswith(_STORED)}
    unknown = [key for key in tensors if key not in lora and (key not in base or key.startswith(_NOT_STORED))]
    if not lora or unknown:
        hint = " It looks like a whole SAM backbone." if "image_encoder.pos_embed" in tensors else ""
        told = f" (unknown: {', '.join(unknown[:_NAMED])})" if unknown else ""
        raise ModelFileError(f"{path} is not a LoRA file of CellSeg1{told}.{hint}")
    for key, value in tensors.items():
        if not value.is_floating_point() or not bool(torch.isfinite(value).all()):
            raise ModelFileError(f"{path} cannot be used: {key} holds values that are not numbers.")
    return lora, base


def _rank(path: Path, lora: Mapping[str, Tensor], *, encoder: bool) -> int:
    """Return the one rank that all matrices of a part share; 0 when it has none."""
    ranks = set()
    for key, value in lora.items():
        match = _LORA_NAME.fullmatch(key)
        if match is None or (match.group(1) == "w") != encoder:
            continue
        if value.ndim != 2:
            raise ModelFileError(f"{path} is damaged: {key} is not a matrix.")
        ranks.add(value.shape[0] if "a" in (match.group(2), match.group(5)) else value.shape[1])
    if len(ranks) > 1:
        raise ModelFileError(f"{path} is damaged: its matrices have different ranks ({sorted(ranks)}).")
    return int(ranks.pop()) if ranks else 0


def _guess_backbone(lora: Mapping[str, Tensor]) -> str | None:
    first = lora.get("w_a_000")
    count = sum(key.startswith("w_a_") for key in lora)
    for name, shape in VIT_SHAPES.items():
        if first is not None and first.shape[1] == shape.embed_dim and count == 2 * shape.depth:
            return name
    return None


def apply_pth(path: Path, model: nn.Module, *, config: LoraConfig | None = None) -> PthFile:
    """Put an upstream LoRA file into a backbone, as upstream does: LoRA, prompt encoder, most of the mask decoder.

    Parameters
    ----------
    model
        The backbone; an adapter that was there is taken out first.  `remove_lora` undoes everything.
    config
        Required ranks, with the dropout to train on with; None takes the file's ranks.

    Raises
    ------
    ModelFileError
        When the file cannot be read, has other ranks, or belongs to another backbone.
    """
    found = read_pth(path)
    try:
        of_file = LoraConfig(found.image_encoder_rank, found.mask_decoder_rank)
    except SettingsError as error:
        raise ModelFileError(f"{path} cannot be used: {error}") from error
    if config is not None:
        check_ranks(path, of_file, config)
    name = str(getattr(model, "name", ""))
    if found.backbone is not None and name in VIT_SHAPES and found.backbone != name:
        raise ModelFileError(f"The model {path} was trained on the backbone {found.backbone}, not on {name}.")
    remove_lora(model)
    wanted = _stored_base(model)
    check_tensors(path, found.base, wanted)
    put_adapter(path, model, config or of_file, found.lora)
    # Only what differs counts as changed, so that a file trained on this very backbone stays a pure adapter.
    changed = {key: value for key, value in found.base.items() if not torch.equal(value.float(), wanted[key].cpu())}
    set_base_tensors(model, changed)
    return found


def _stored_base(model: nn.Module) -> dict[str, Tensor]:
    return {
        key: value.detach()
        for key, value in base_tensors(model).items()
        if key.startswith(_STORED) and not key.startswith(_NOT_STORED)
    }


def check_pth(backbone: str, config: LoraConfig) -> None:
    """Refuse, before a training, adapters that `write_pth` cannot store (`ModelFileError`)."""
    _check_name(backbone)
    lost = [key for key in config.trained_prefixes() if not key.startswith(_STORED) or key.startswith(_NOT_STORED)]
    if lost or not config.freeze_norms_and_biases:
        what = lost[0].rstrip(".") if lost else "all normalisations"
        raise ModelFileError(f"A .pth file cannot hold the trained weights of {what}; save this model as .cs1.")


def _check_name(backbone: str) -> None:
    if backbone in BACKBONES.names() and not is_published(backbone):
        raise ModelFileError(f"The research code has no backbone {backbone}; save this model as .cs1.")


def write_pth(path: Path, model: nn.Module, *, new: bool = False) -> None:
    """Write the adapter of `model` as a file that the research code loads: its keys, in its order, on the CPU.

    Raises
    ------
    ModelFileError
        When there is no adapter, or it has weights that the format cannot hold (encoder or transformer).
    OutputError
        When the file cannot be written; with `new`, `FileExistsError` where there is one already.
    """
    state = lora_state(model)
    if state is None:
        raise ModelFileError("There is nothing to save: the backbone carries no adapter.")
    _check_name(str(getattr(model, "name", "")))
    current = base_tensors(model)
    for key, original in state.originals.items():
        stored = key.startswith(_STORED) and not key.startswith(_NOT_STORED)
        if not stored and not torch.equal(state.trained.get(key, current[key]).cpu(), original):
            raise ModelFileError(f"A .pth file cannot hold the trained weights of {key}; save this model as .cs1.")
    matrices = [(one.name, nn.Parameter(one.parameter.detach().cpu().clone())) for one in lora_matrices(model)]
    base = [(key, state.trained.get(key, value).cpu().clone()) for key, value in _stored_base(model).items()]
    ordered: list[tuple[str, Tensor]] = [item for item in matrices if not item[0].startswith("fati_")]
    ordered += base
    ordered += [item for item in matrices if item[0].startswith("fati_")]
    write_with(path, lambda stream: torch.save(dict(ordered), stream), new=new)
