"""What every backbone offers, whatever is inside: encode images, decode point prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Embedding:
    """What the image encoder made of a batch of images.

    Attributes
    ----------
    features
        Tensors of shape (B, C_i, H_i, W_i); what each holds is the backbone's own business.
    input_size
        Height and width, in pixels of the model input, of the images before padding.
    """

    features: tuple[Tensor, ...]
    input_size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Masks and scores for N prompts, of which K masks were decoded.

    Attributes
    ----------
    scores
        (N,) predicted quality of every prompt's mask, without sigmoid; about 1 for a cell, 0 for background.
    kept
        (K,) int64, ascending: which prompts have a mask (all of them unless a minimum score was given).
    logits
        (K, h, w) mask logits, one value per `stride` pixels of the model input; above 0 is cell.
    origin
        (K, 2) int64, (x, y) of the top left corner of each mask in pixels of the model input; may be negative
        for a backbone that decodes in a window around the prompt, and is zero for one that decodes everywhere.
    stride
        Pixels of the model input per value of `logits`.
    """

    scores: Tensor
    kept: Tensor
    logits: Tensor
    origin: Tensor
    stride: int = 4


class Backbone(Protocol):
    """The interface of `SamModel` (vit_h, vit_l, vit_b) and `TinyModel`; both are `torch.nn.Module`.

    Sub-modules `image_encoder`, `prompt_encoder` and `mask_decoder` exist in each of them.
    """

    name: str
    #: None when any size that is a multiple of 16 is accepted per call, else the square size it was built for.
    image_size: int | None
    image_encoder: nn.Module
    prompt_encoder: nn.Module
    mask_decoder: nn.Module
    #: Recompute the encoder in the backward pass: less memory, more time, the same result.
    checkpoint_encoder: bool

    def encode(self, pixels: Tensor) -> Embedding:
        """Encode (B, 3, h, w) float RGB in 0..255: normalise, then zero-pad at the bottom and right."""
        ...

    def decode(
        self,
        embedding: Embedding,
        points: Tensor,
        labels: Tensor,
        image_index: Tensor,
        min_score: float | None = None,
    ) -> Decoded:
        """Decode N prompts.

        Parameters
        ----------
        points
            (N, P, 2) float, (x, y) in pixels of the model input (the half pixel is added inside).
        labels
            (N, P) 1 = foreground, 0 = background, -1 = padding, 2 and 3 = box corners, as in SAM.
        image_index
            (N,) int64: which image of the batch each prompt belongs to.
        min_score
            When given, masks are only decoded for prompts whose score is greater (saves most of the work);
            gradients are then not needed.
        """
        ...

    def mask_windows(self, points: Tensor, labels: Tensor) -> tuple[Tensor, int]:
        """Return the windows of the masks of prompts: `Decoded.origin` (N, 2), and their side in pixels of the input.

        Parameters
        ----------
        points, labels
            As in `decode`.
        """
        ...

    def device_of(self) -> torch.device:
        """Return where the weights are."""
        ...
