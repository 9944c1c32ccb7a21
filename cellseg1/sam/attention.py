"""Scaled dot-product attention, as all networks here compute it."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

#: Without cuDNN's: since torch 2.11 its backward pass gives values that are not numbers for 64 tokens whose logits are
#: all strongly negative (pytorch/pytorch#196678), which black parts of an image bring about.
_BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, **options: Any) -> Tensor:
    """Do what `torch.nn.functional.scaled_dot_product_attention` does, over (..., L, D); `mask` is its `attn_mask`."""
    with sdpa_kernel(_BACKENDS):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, **options)


def attend_by_products(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Do the same by plain matrix products, for training on a CPU in bfloat16.

    The backward pass of torch's fused kernel takes seven times as long there (64 tokens, 32 channels per head).
    """
    reach = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if mask is not None:
        reach = reach.masked_fill(~mask, -1e4)
    result: Tensor = reach.softmax(-1).to(v.dtype) @ v
    return result
