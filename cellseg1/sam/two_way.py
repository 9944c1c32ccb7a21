"""SAM's two-way transformer with less than a third of its multiplications, for few tokens and many places.

The module itself, its weights and their names stay SAM's (`segment_anything.modeling.transformer`); only the order of
the products changes.  An attention between T tokens and L places of an image computes, for every place, keys, values
or queries (L x C x C / 2 products each).  Since T is about five and L is 256, it is cheaper to bring the tokens' side
through those matrices instead: with keys K = X Wk', the products Q K' are (Q Wk) X', and the sum A (X Wv') is
(A X) Wv'.  What every place shares drops out: a softmax does not see a constant added to all of a row.  The result is
the same but for rounding.

What is left is bound by memory, so with a `Scratch` the largest intermediate values share one place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from cellseg1.sam.scratch import Scratch


def applies(transformer: nn.Module) -> bool:
    """Tell whether the short way gives the same answer: not while an adapter draws its dropout per place."""
    dropouts = (getattr(layer, "dropout", None) for layer in transformer.modules() if layer.training)
    return not any(isinstance(dropout, nn.Dropout) and dropout.p > 0 for dropout in dropouts)


def two_way(
    transformer: Any, image: Tensor, position: Tensor, prompts: Tensor, scratch: Scratch | None = None
) -> tuple[Tensor, Tensor]:
    """Do what `TwoWayTransformer.forward` does.

    Parameters
    ----------
    transformer
        A `TwoWayTransformer`; its linear layers may carry adapters that offer `effective_weight`.
    image
        (N, L, C) features of the image around each prompt.
    position
        (L, C) their positional encoding, the same for every prompt.
    prompts
        (N, T, C) tokens of the prompts.
    scratch
        Given, memory is used again and **`image` is overwritten**; the answers are the same.

    Returns
    -------
    The tokens (N, T, C) and the image's features (N, L, C) afterwards.
    """
    tokens, places = prompts, image
    for layer in transformer.layers:
        tokens = among_tokens(layer, tokens, prompts)
        placed = _placed(places, position, scratch)
        tokens = layer.norm2(
            tokens + _tokens_from_image(layer.cross_attn_token_to_image, tokens + prompts, placed, places)
        )
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        places = layer.norm4(
            _image_from_tokens(
                layer.cross_attn_image_to_token, placed, tokens + prompts, tokens, places, in_place=scratch is not None
            )
        )
    final = transformer.final_attn_token_to_image
    tokens = tokens + _tokens_from_image(final, tokens + prompts, _placed(places, position, scratch), places)
    return transformer.norm_final_attn(tokens), places


def _placed(places: Tensor, position: Tensor, scratch: Scratch | None) -> Tensor:
    room = None if scratch is None else scratch.take("placed", places.shape, torch.result_type(places, position))
    return torch.add(places, position, out=room)


def weight_of(layer: nn.Linear) -> Tensor:
    """Return the matrix that a linear layer applies, an adapter's part included."""
    effective = getattr(layer, "effective_weight", None)
    weight: Tensor = layer.weight if effective is None else effective()
    return weight


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, T, D) to (N, H, T, D / H)."""
    return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def _rows_by_head(weight: Tensor, heads: int) -> Tensor:
    """(D, C) to (H, D / H, C)."""
    return weight.reshape(heads, -1, weight.shape[1])


def among_tokens(layer: Any, tokens: Tensor, prompts: Tensor) -> Tensor:
    """Let the tokens (N, T, C) attend to each other: the first step of a layer of the two-way transformer."""
    if layer.skip_first_layer_pe:
        tokens = layer.self_attn(q=tokens, k=tokens, v=tokens)
    else:
        asked = tokens + prompts
        tokens = tokens + layer.self_attn(q=asked, k=asked, v=tokens)
    result: Tensor = layer.norm1(tokens)
    return result


def _tokens_from_image(attention: Any, asked: Tensor, placed: Tensor, places: Tensor) -> Tensor:
    """Tokens attend to the image: `asked` (N, T, C), keys from `placed` and values from `places`, both (N, L, C)."""
    heads = attention.num_heads
    keys = _rows_by_head(weight_of(attention.k_proj), heads)
    values = _rows_by_head(weight_of(attention.v_proj), heads)
    queries = split_heads(attention.q_proj(asked), heads)
    scale = 1 / math.sqrt(queries.shape[-1])
    # The bias of the keys adds the same to every place of a row.
    reach = torch.einsum("nhtd,hdc->nhtc", queries * scale, keys).flatten(1, 2)
    share = (reach @ placed.transpose(1, 2)).softmax(-1)
    seen = (share @ places).reshape(len(places), heads, -1, places.shape[2])
    out = torch.einsum("nhtc,hdc->nthd", seen, values).flatten(2)
    if attention.v_proj.bias is not None:
        out = out + attention.v_proj.bias
    result: Tensor = attention.out_proj(out)
    return result


def _image_from_tokens(
    attention: Any, placed: Tensor, keyed: Tensor, valued: Tensor, places: Tensor, *, in_place: bool
) -> Tensor:
    """Add to `places` (N, L, C) what the image takes from the tokens: keys from `keyed`, values from `valued`."""
    heads = attention.num_heads
    queries = _rows_by_head(weight_of(attention.q_proj), heads)
    out = _rows_by_head(weight_of(attention.out_proj).T, heads)
    keys = split_heads(attention.k_proj(keyed), heads)
    values = split_heads(attention.v_proj(valued), heads)
    keys = keys / math.sqrt(keys.shape[-1])
    count = keys.shape[2]
    reach = torch.einsum("nhtd,hdc->nhtc", keys, queries).flatten(1, 2)
    logits = (reach @ placed.transpose(1, 2)).reshape(len(placed), heads, count, -1)
    if attention.q_proj.bias is not None:
        logits = logits + torch.einsum("nhtd,hd->nht", keys, attention.q_proj.bias.reshape(heads, -1))[..., None]
    # A softmax over a dimension that is not the last one is computed for many places at once.
    share = logits.softmax(2).flatten(1, 2).transpose(1, 2)
    given = torch.einsum("nhtd,hdc->nhtc", values, out).flatten(1, 2)
    bias: Tensor | None = attention.out_proj.bias
    if bias is not None:
        # The shares of each head add up to one, so what is added to all values, divided by the heads, arrives once.
        given = given + bias / heads
    # Autocast does not reach what is done in place, so all must have the same type already.
    if in_place and places.dtype == share.dtype == given.dtype:
        return places.baddbmm_(share, given)
    return torch.baddbmm(places, share, given)


def upscaled(layer: nn.ConvTranspose2d, windows: Tensor) -> Tensor:
    """Apply a transposed convolution of 2 x 2 with stride 2 to (N, H, W, C) as one matrix product.

    Returns
    -------
    Tensor
        (N, 2 H, 2 W, D), channels last.
    """
    count, height, width, _channels = windows.shape
    # (C, D, 2, 2) to (2 * 2 * D, C): the four corners of a place follow each other.
    matrix = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)
    fine = F.linear(windows, matrix).view(count, height, width, 2, 2, layer.out_channels)
    fine = fine.permute(0, 1, 3, 2, 4, 5).reshape(count, 2 * height, 2 * width, layer.out_channels)
    return fine if layer.bias is None else fine + layer.bias
