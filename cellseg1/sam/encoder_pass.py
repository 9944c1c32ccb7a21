"""Running segment-anything's image encoder: checkpointed, and without stored attention matrices, when asked."""

from __future__ import annotations

from typing import Any

import torch
from segment_anything.modeling.image_encoder import get_rel_pos, window_partition, window_unpartition
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint as recompute

from cellseg1.sam.attention import attend


def run_encoder(encoder: Any, x: Tensor, *, checkpoint: bool, fast: bool) -> Tensor:
    """Return the image embedding of a normalised and padded batch.

    Parameters
    ----------
    encoder
        An `ImageEncoderViT`.
    x
        (B, 3, S, S) with S the encoder's image size.
    checkpoint
        Keep only the input of each block for the backward pass and compute the rest again: about a third more
        time, a fraction of the memory.
    fast
        Use fused attention (same result up to rounding).

    Returns
    -------
    Tensor
        (B, C, S/16, S/16)
    """
    x = encoder.patch_embed(x)
    if encoder.pos_embed is not None:
        x = x + encoder.pos_embed
    for block in encoder.blocks:
        if checkpoint and torch.is_grad_enabled():
            x = recompute(_block, block, x, fast, use_reentrant=False)
        else:
            x = _block(block, x, fast)
    neck: Tensor = encoder.neck(x.permute(0, 3, 1, 2))
    return neck


def _block(block: Any, x: Tensor, fast: bool) -> Tensor:
    if not fast:
        plain: Tensor = block(x)
        return plain
    height, width = x.shape[1], x.shape[2]
    y = block.norm1(x)
    if block.window_size > 0:
        y, padded = window_partition(y, block.window_size)
        y = window_unpartition(_fused_attention(block.attn, y), block.window_size, padded, (height, width))
    else:
        y = _fused_attention(block.attn, y)
    x = x + y
    result: Tensor = x + block.mlp(block.norm2(x))
    return result


def _fused_attention(attn: Any, x: Tensor) -> Tensor:
    """Attend with decomposed relative positions (Li et al. 2022, arXiv 2112.01526) in one fused kernel.

    The bias of query i and key j is a row term r_i[row of j] plus a column term c_i[column of j].  Appending
    r_i and c_i to the query, and to the key two one-hot vectors that pick its row and column, makes the bias
    part of the dot product: no matrix of (tokens x tokens) is ever stored, also not for the bias.
    """
    batch, height, width, _ = x.shape
    tokens, heads = height * width, attn.num_heads
    qkv = attn.qkv(x).reshape(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    dim = q.shape[-1]
    scaled = q * attn.scale
    if attn.use_rel_pos:
        grid = q.reshape(batch, heads, height, width, dim)
        rows = torch.einsum("bnhwc,hkc->bnhwk", grid, get_rel_pos(height, height, attn.rel_pos_h).to(q.dtype))
        columns = torch.einsum("bnhwc,wkc->bnhwk", grid, get_rel_pos(width, width, attn.rel_pos_w).to(q.dtype))
        # The fused GPU kernels want lengths that are multiples of 8.
        spare = -(dim + height + width) % 8
        parts = [scaled, rows.flatten(2, 3).to(q.dtype), columns.flatten(2, 3).to(q.dtype)]
        scaled = F.pad(torch.cat(parts, dim=-1), (0, spare))
        where = torch.arange(tokens, device=x.device)
        one_hot = torch.cat([F.one_hot(where // width, height), F.one_hot(where % width, width)], dim=-1)
        k = F.pad(torch.cat([k, one_hot.to(k.dtype).expand(batch, heads, -1, -1)], dim=-1), (0, spare))
        if x.device.type != "cuda":
            # Outside CUDA the fused kernels want values as long as keys; else they fall back to a stored matrix.
            v = F.pad(v, (0, k.shape[-1] - dim))
    mixed = attend(scaled, k, v, scale=1.0)[..., :dim]
    out: Tensor = attn.proj(mixed.permute(0, 2, 1, 3).reshape(batch, height, width, -1))
    return out
