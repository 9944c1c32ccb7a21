"""The second architecture of `tiny`: dense maps, masks at half resolution, smaller windows.

It keeps the trunk of the first one (`cellseg1.sam.tiny`), so it can start from weights of the first one, and differs in
four places:

* a dense head (`Tiny2Model.dense`) predicts for every position whether it is in a cell, its depth in the cell, whether
  two cells meet there, and the offset to the cell's centre, to place prompts (sparse prompting) and rank masks;
* masks have a value for every 2 x 2 pixels: a second step refines those of the first with features of stride 2;
* a prompt is decoded in a window of 96 pixels, and cells are expected to be 24 pixels wide;
* the score is the expected intersection over union of the mask, between 0 and 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cellseg1.errors import BackboneError
from cellseg1.sam.tiny import (
    Attention,
    ChannelNorm,
    ResidualConv,
    TinyImageEncoder,
    TinyMaskDecoder,
    TinyModel,
    build_tiny,
    with_weights,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cellseg1.sam.interface import Embedding
    from cellseg1.sam.scratch import Scratch

#: Median cell diameter, in pixels of the model input, at which the network works best.
TARGET_DIAMETER_2 = 24.0
WINDOW_2 = 96
MASK_STRIDE_2 = 2
#: Names of the dense maps, in order: probability of a cell, depth in the cell (1 innermost, 0 at the edge),
#: probability of an adjacent cell, and the offset (x, y) to the cell's centre in pixels of the model input.
DENSE_MAPS = ("cell", "depth", "border", "centre x", "centre y")
#: Pixels of the model input per unit of the network's output for the offset to the centre.
WAY_UNIT = 8.0
_EMBED_DIM = 128
#: Features of the stem at stride 2 and at stride 4.
_AT2_DIM = 32
_AT4_DIM = 48
#: Features of each step of the masks.
_COARSE_DIM = 32
_FINE_DIM = 16
_HEAD_DIM = 64
#: Four places of stride 2 lie in one of stride 4.
_PARTS = 4


class Tiny2ImageEncoder(TinyImageEncoder):
    """(B, 3, H, W), H and W multiples of 16, to features at stride 8 (128 channels) and stride 4 (96 channels).

    Of the latter, 32 serve the first step of the masks; 64 are 16 features for each of the four places of stride 2.
    """

    def __init__(self) -> None:
        super().__init__()
        for part in self.blocks.modules():
            if isinstance(part, Attention):
                part.by_products = True
        self.stem8.append(ResidualConv(_EMBED_DIM))
        self.from_top = nn.Conv2d(_EMBED_DIM, _AT4_DIM, 1)
        self.refine4 = ResidualConv(_AT4_DIM)
        self.fine_context = nn.Conv2d(_AT4_DIM, _PARTS * _FINE_DIM, 1)
        self.fine_edges = nn.Conv2d(_AT2_DIM, _PARTS * _FINE_DIM, 4, stride=2, padding=1)
        for added in (self.stem8[-1].conv2, self.from_top, self.refine4.conv2):
            _begin_without(added)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embedding (B, 128, H / 8, W / 8) and the details (B, 96, H / 4, W / 4)."""
        x = x.contiguous(memory_format=torch.channels_last)
        at2 = self.stem2(x)
        at4 = self.stem4(at2)
        embedding = self.embed(self.stem8(at4))
        at4 = self.refine4(at4 + F.interpolate(self.from_top(embedding), scale_factor=2.0, mode="bilinear"))
        return embedding, torch.cat([self.skip(at4), self.fine_context(at4) + self.fine_edges(at2)], 1)


class Tiny2MaskDecoder(TinyMaskDecoder):
    """The decoder of the first architecture over smaller windows, with a second step to stride 2."""

    def __init__(self) -> None:
        super().__init__(_EMBED_DIM, WINDOW_2 // 8)
        self.to_fine = nn.Linear(_COARSE_DIM, _PARTS * _FINE_DIM)
        self.fine_weights = nn.Sequential(
            nn.Linear(_EMBED_DIM, _EMBED_DIM), nn.GELU(), nn.Linear(_EMBED_DIM, _FINE_DIM)
        )
        _begin_without(self.fine_weights[2])

    def masks(self, mask_tokens: Tensor, windows: Tensor, skip: Tensor) -> Tensor:
        """Mask logits (N, 48, 48) from mask tokens (N, C), windows (N, 144, C) and details (N, 576, 96)."""
        coarse, features = self.at_skip(mask_tokens, windows, skip[..., :_COARSE_DIM])
        # The four places of stride 2 stay side by side in the channels; only the logits are put in their places.
        fine = F.gelu(self.to_fine(features) + skip[..., _COARSE_DIM:])
        weights = self.fine_weights(mask_tokens)
        count, side = len(fine), coarse.shape[-1]
        added = fine.view(count, side * side * _PARTS, _FINE_DIM) @ weights[:, :, None]
        added = added.view(count, side, side, _PARTS).permute(0, 3, 1, 2)
        added = F.pixel_shuffle(added, 2)[:, 0]
        return F.interpolate(coarse[:, None], scale_factor=2.0, mode="bilinear")[:, 0] + added

    def tokens(
        self, windows: Tensor, position: Tensor, sparse: Tensor, scratch: Scratch | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Do what the first architecture does, with scores between 0 and 1."""
        logits, tokens, windows = super().tokens(windows, position, sparse, scratch)
        return logits.float().sigmoid(), tokens, windows


def _begin_without(layer: Any) -> None:
    """Initialise new layers so that they change nothing: weights of the first architecture are then a valid start."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


class DenseHead(nn.Module):
    """Details (B, 96, H / 4, W / 4) to the five maps of `DENSE_MAPS` (B, 5, H / 2, W / 2)."""

    def __init__(self) -> None:
        super().__init__()
        inside = _COARSE_DIM + _PARTS * _FINE_DIM
        self.norm = ChannelNorm(inside)
        self.conv = nn.Conv2d(inside, _HEAD_DIM, 3, padding=1)
        self.maps = nn.Conv2d(_HEAD_DIM, _PARTS * len(DENSE_MAPS), 1)

    def forward(self, details: Tensor) -> Tensor:
        """Return logits of the first three maps, and the offset to the centre in its own unit."""
        return F.pixel_shuffle(self.maps(F.gelu(self.conv(self.norm(details)))), 2)


class Tiny2Model(TinyModel):
    """The second architecture; implements `cellseg1.sam.interface.Backbone` for any image size."""

    window = WINDOW_2
    mask_stride = MASK_STRIDE_2
    #: The last row and column are repeated.
    padding = "replicate"

    def __init__(self) -> None:
        super().__init__(Tiny2ImageEncoder(), Tiny2MaskDecoder())
        self.dense_head = DenseHead()

    def dense_logits(self, embedding: Embedding) -> Tensor:
        """Return the raw maps of the head (B, 5, H / 2, W / 2), padding included."""
        maps: Tensor = self.dense_head(embedding.features[1])
        return maps

    def dense(self, embedding: Embedding) -> Tensor:
        """Return the maps of `DENSE_MAPS` (B, 5, ceil(h / 2), ceil(w / 2)) float32, for images of h x w pixels.

        The value at (y, x) belongs to the pixels 2 y, 2 y + 1 and 2 x, 2 x + 1 of the model input.
        """
        height, width = embedding.input_size
        maps = self.dense_logits(embedding)[..., : -(-height // 2), : -(-width // 2)].float()
        return torch.cat([maps[:, :3].sigmoid(), maps[:, 3:] * WAY_UNIT], 1)


def build_tiny2(weights: Path | None = None) -> Tiny2Model:
    """Build the second architecture, with the weights of a safetensors file, or untrained without one.

    Raises
    ------
    BackboneError
        When the file is damaged or its tensors are not those of this architecture.
    """
    return with_weights(Tiny2Model(), weights)


def begin(weights: Path) -> Tiny2Model:
    """Build the second architecture from weights of either one, in training mode."""
    try:
        return build_tiny2(weights).train()
    except BackboneError:
        return begin_from_first(build_tiny(weights)).train()


@torch.no_grad()
def begin_from_first(first: TinyModel) -> Tiny2Model:
    """Build the second architecture from weights of the first one, with nearly the same outputs."""
    model = Tiny2Model()
    state = dict(first.state_dict())
    # Positions are encoded by their distance from the centre of the window in units of half a window.
    name = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    state[name] = state[name] * (model.window / first.window)
    # The first score is about IoU / 0.8 itself, the second one the logit of the IoU.
    for part, offset in (("weight", 0.0), ("bias", -2.5)):
        name = f"mask_decoder.iou_prediction_head.2.{part}"
        state[name] = state[name] * 5.0 + offset
    missing, unknown = model.load_state_dict(state, strict=False)
    assert not unknown
    assert missing
    return model
