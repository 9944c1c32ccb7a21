"""Running segment-anything's prompt encoder and mask decoder with the work that prompts share done once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellseg1.sam.attention import attend
from cellseg1.sam.two_way import among_tokens, split_heads

#: Labels of `Backbone.decode`: padding, background, foreground, first and second box corner.
LABELS = (-1, 0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class SharedImage:
    """What all prompts of one image have in common.

    Attributes
    ----------
    keys, position
        (1, H*W, C) image tokens with the no-mask vector added, and their positional encoding.
    first
        Projections of `keys` in the first layer: key and value for the tokens, query for the image, each
        (1, H*W, C/2); None when they must differ between prompts (dropout).
    grid
        (H, W)
    """

    keys: Tensor
    position: Tensor
    first: tuple[Tensor, Tensor, Tensor] | None
    grid: tuple[int, int]


def embed_prompts(prompt_encoder: Any, points: Tensor, labels: Tensor) -> Tensor:
    """Return (N, T, C) tokens of N prompts of P points; T is P with a box and P + 1 without one, as in SAM.

    Parameters
    ----------
    points
        (N, P, 2) float32 (x, y) in pixels of the model input.
    labels
        (N, P) int64, see `Backbone.decode`.
    """
    has_box = (labels >= 2).any(dim=1)
    boxes = int(has_box.sum())
    if boxes not in (0, len(labels)):
        message = "prompts with a box and prompts without one must be decoded in separate calls"
        raise ValueError(message)
    if not boxes:
        points = F.pad(points, (0, 0, 0, 1))
        labels = F.pad(labels, (0, 1), value=-1)
    # Half-precision products would shift points by pixels.
    with torch.autocast(points.device.type, enabled=False):
        position = prompt_encoder.pe_layer.forward_with_coords(points + 0.5, prompt_encoder.input_image_size)
    table = torch.cat(
        [prompt_encoder.not_a_point_embed.weight, *(embedding.weight for embedding in prompt_encoder.point_embeddings)]
    )
    tokens: Tensor = position * (labels != -1).unsqueeze(-1) + table[labels + 1]
    return tokens


def share_image(decoder: Any, features: Tensor, no_mask: Tensor, dense_position: Tensor) -> SharedImage:
    """Prepare one image, (1, C, H, W) `features`, for any number of `run_transformer` calls."""
    keys = features.flatten(2).permute(0, 2, 1) + no_mask
    position = dense_position.flatten(2).permute(0, 2, 1)
    first = None
    if not _has_dropout(decoder.transformer):
        layer = decoder.transformer.layers[0]
        keyed = keys + position
        first = (
            layer.cross_attn_token_to_image.k_proj(keyed),
            layer.cross_attn_token_to_image.v_proj(keys),
            layer.cross_attn_image_to_token.q_proj(keyed),
        )
    return SharedImage(keys, position, first, (features.shape[2], features.shape[3]))


def _has_dropout(module: nn.Module) -> bool:
    return any(isinstance(part, nn.Dropout) and part.training and part.p > 0 for part in module.modules())


def run_transformer(decoder: Any, image: SharedImage, prompts: Tensor) -> tuple[Tensor, Tensor]:
    """Let N prompts and the image attend to each other (Kirillov et al. 2023, arXiv 2304.02643, appendix A).

    Parameters
    ----------
    prompts
        (N, T, C) from `embed_prompts`.

    Returns
    -------
    Tensor
        (N, 1 + 4 + T, C): score token, mask tokens, prompt tokens.
    Tensor
        (N, H*W, C): image tokens.
    """
    count = prompts.shape[0]
    outputs = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([outputs.expand(count, -1, -1), prompts], dim=1)
    transformer = decoder.transformer
    queries, keys = tokens, image.keys.expand(count, -1, -1)
    for index, layer in enumerate(transformer.layers):
        queries, keys = _run_layer(layer, queries, keys, tokens, image.position, image.first if index == 0 else None)
    final = transformer.final_attn_token_to_image
    attended = _attend(final, final.q_proj(queries + tokens), final.k_proj(keys + image.position), final.v_proj(keys))
    return transformer.norm_final_attn(queries + attended), keys


def _run_layer(
    layer: Any,
    queries: Tensor,
    keys: Tensor,
    query_position: Tensor,
    key_position: Tensor,
    shared: tuple[Tensor, Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor]:
    queries = among_tokens(layer, queries, query_position)
    to_image, to_token = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
    if shared is None:
        # The keys do not change between the two cross attentions, so their position is added once.
        keyed = keys + key_position
        key, value = to_image.k_proj(keyed), to_image.v_proj(keys)
        image_query = to_token.q_proj(keyed)
    else:
        key, value, image_query = shared
    queries = layer.norm2(queries + _attend(to_image, to_image.q_proj(queries + query_position), key, value))
    queries = layer.norm3(queries + layer.mlp(queries))
    placed = queries + query_position
    keys = layer.norm4(keys + _attend(to_token, image_query, to_token.k_proj(placed), to_token.v_proj(queries)))
    return queries, keys


def _attend(attn: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with projected (b, n, C) tensors, whose batch may be 1 where all prompts share one image."""
    batch, count = q.shape[0], q.shape[1]
    if k.shape[0] == 1 and batch > 1:
        # One image: the tokens of all prompts are queries of one product, so that nothing is copied per prompt.
        q = q.reshape(1, batch * count, -1)
    q, k, v = (split_heads(part, attn.num_heads) for part in (q, k, v))
    if torch.is_grad_enabled():
        # Training keeps upstream's arithmetic, also in the backward pass.
        weights = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), dim=-1)
        mixed = weights @ v
    else:
        # A third less time on a CPU, equal up to rounding.
        mixed = attend(q.expand(k.shape[0], -1, -1, -1) if len(q) < len(k) else q, k, v)
    mixed = mixed.transpose(1, 2).flatten(2)
    if mixed.shape[0] == 1 and batch > 1:
        mixed = mixed.reshape(batch, count, -1)
    out: Tensor = attn.out_proj(mixed)
    return out


def predict_scores(decoder: Any, tokens: Tensor) -> Tensor:
    """Return (N,) scores of the single-mask output, float32, no sigmoid."""
    scores: Tensor = decoder.iou_prediction_head(tokens[:, 0])[:, 0]
    return scores.float()


def predict_masks(decoder: Any, tokens: Tensor, keys: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return (N, 4H, 4W) float32 logits of the single-mask output; the three other mask heads are not run."""
    upscaled: Tensor = decoder.output_upscaling(keys.transpose(1, 2).reshape(len(keys), -1, *grid))
    weights: Tensor = decoder.output_hypernetworks_mlps[0](tokens[:, 1])
    logits = weights.unsqueeze(1) @ upscaled.flatten(2)
    return logits.reshape(-1, upscaled.shape[2], upscaled.shape[3]).float()
