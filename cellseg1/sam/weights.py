"""Building a SAM of any shape from its weights file, at any image size."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from cellseg1.errors import BackboneError
from cellseg1.sam.model import PATCH, SamModel
from cellseg1.sam.shapes import VIT_SHAPES, VitShape

if TYPE_CHECKING:
    from collections.abc import Mapping

_POSITION = "image_encoder.pos_embed"
_NAMED = 3


def build_named(name: str, weights: Path, image_size: int) -> SamModel:
    """Build one of the published SAMs; see `cellseg1.sam.kind.BackboneKind.build`."""
    return build_from_shape(VIT_SHAPES[name], image_size, weights, name=name)


def build_from_shape(
    shape: VitShape, image_size: int, weights: Path | Mapping[str, Tensor] | None = None, name: str = "custom"
) -> SamModel:
    """Build a SAM of any shape, on the CPU, in evaluation mode.

    No random weights are made first: the modules are laid out without memory and take over the loaded tensors.

    Parameters
    ----------
    weights
        A file, or a state dict with SAM's names; None gives the package's own random start.

    Raises
    ------
    BackboneError
        When tensors are missing, renamed, left over, or of another shape.
    """
    if weights is None:
        return SamModel(shape, image_size, name).eval()
    with torch.device("meta"):
        model = SamModel(shape, image_size, name)
    state = read_weights(weights) if isinstance(weights, Path) else dict(weights)
    source = str(weights) if isinstance(weights, Path) else "the weights"
    wanted = model.state_dict()
    _check_names(state, wanted, source)
    state = adapt_weights(state, shape, image_size)
    _check_shapes(state, wanted, source, name)
    model.load_state_dict({key: value.to(torch.float32) for key, value in state.items()}, strict=True, assign=True)
    for parameter in model.parameters():
        parameter.requires_grad_()
    return model.eval()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict without running any code from the file.

    Large files are mapped, so that only what is used is read.

    Raises
    ------
    BackboneError
        When the file is not a PyTorch file of plain tensors.
    """
    try:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:
            # Files in the format before PyTorch 1.6 cannot be mapped.
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise BackboneError(f"The backbone file {path} cannot be read: it is damaged or not a SAM file.") from error
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise BackboneError(f"The file {path} does not hold the weights of a SAM backbone.")
    return content


def adapt_weights(state: Mapping[str, Tensor], shape: VitShape, image_size: int) -> dict[str, Tensor]:
    """Fit weights made for one image size (SAM's files: 1024) to another.

    The absolute positions, and the relative positions of the global blocks, are interpolated bilinearly with
    aligned corners, as the research code does; everything else, and weights of the same size, stay untouched.
    """
    adapted = dict(state)
    grid = image_size // PATCH
    position = state.get(_POSITION)
    if position is None or position.ndim != 4 or tuple(position.shape[1:3]) == (grid, grid):
        return adapted
    adapted[_POSITION] = (
        F.interpolate(position.float().permute(0, 3, 1, 2), size=(grid, grid), mode="bilinear", align_corners=True)
        .permute(0, 2, 3, 1)
        .contiguous()
    )
    for block in shape.global_blocks:
        for axis in ("h", "w"):
            key = f"image_encoder.blocks.{block}.attn.rel_pos_{axis}"
            table = state.get(key)
            if table is not None and table.ndim == 2:
                size = (2 * grid - 1, table.shape[1])
                adapted[key] = F.interpolate(table.float()[None, None], size=size, mode="bilinear", align_corners=True)[
                    0, 0
                ]
    return adapted


def _check_names(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> None:
    missing, extra = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if not missing and not extra:
        return
    found = []
    if missing:
        found.append(f"{len(missing)} tensors are missing ({_some(missing)})")
    if extra:
        found.append(f"{len(extra)} are unknown ({_some(extra)})")
    raise BackboneError(f"{source} does not hold this backbone: {' and '.join(found)}. {_guess(state)}")


def _check_shapes(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str, name: str) -> None:
    wrong = [key for key in wanted if state[key].shape != wanted[key].shape]
    if not wrong:
        return
    told = "; ".join(f"{key} is {tuple(state[key].shape)}, not {tuple(wanted[key].shape)}" for key in wrong[:_NAMED])
    raise BackboneError(
        f"{source} does not fit the backbone {name}: {len(wrong)} tensors have another shape ({told}). {_guess(state)}"
    )


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:_NAMED]) + (", ..." if len(keys) > _NAMED else "")


def _guess(state: Mapping[str, Tensor]) -> str:
    """Return what the weights look like, by the width of the encoder."""
    position = state.get(_POSITION)
    if position is not None and position.ndim == 4:
        for name, shape in VIT_SHAPES.items():
            if shape.embed_dim == position.shape[3]:
                return f"It looks like {name}."
    return "Import the official SAM file."
