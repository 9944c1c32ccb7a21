"""`tiny`: a small SAM for cells that runs on a laptop and ships with the program.

It keeps SAM's three parts and their interface (image encoder, prompt encoder, mask decoder) and differs in two
places, both because a network of this size must be trained from scratch on little data:

* the encoder starts with convolutions down to stride 16 and ends with a pyramid step back to stride 8, so that small
  cells keep their shape; transformer blocks work in between;
* a prompt is decoded in a window of the embedding around it (`WINDOW` pixels of the model input) instead of over
  the whole image, so the cost per prompt does not grow with the image and any image size can be given.

Model inputs are expected at a scale where cells are roughly 14 to 56 pixels wide (see `TARGET_DIAMETER`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from segment_anything.modeling.prompt_encoder import PromptEncoder
from segment_anything.modeling.transformer import TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from cellseg1.errors import BackboneError
from cellseg1.sam import two_way
from cellseg1.sam.attention import attend, attend_by_products
from cellseg1.sam.interface import Decoded, Embedding
from cellseg1.sam.scratch import scratch_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellseg1.sam.scratch import Scratch

M = TypeVar("M", bound=nn.Module)

#: Median cell diameter, in pixels of the model input, at which the network was trained to work best.
TARGET_DIAMETER = 28.0
#: Side of the window around a prompt in which its mask is decoded, in pixels of the model input.
WINDOW = 128
EMBED_STRIDE = 8
SKIP_STRIDE = 4
_EMBED_DIM = 128
_SKIP_DIM = 32
_TOKENS = WINDOW // EMBED_STRIDE
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W); each pixel for itself, so tiles do not influence it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        x = x.permute(0, 2, 3, 1)
        normal: Tensor = F.layer_norm(x, (x.shape[-1],), self.weight, self.bias, 1e-5).permute(0, 3, 1, 2)
        return normal


class ResidualConv(nn.Module):
    """Two 3 x 3 convolutions around a non-linearity, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        result: Tensor = x + self.conv2(F.gelu(self.conv1(self.norm(x))))
        return result


class Attention(nn.Module):
    """Multi-head self-attention with one fused ``qkv`` layer (the place where LoRA goes), over (B, L, C)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        #: Train on a CPU in bfloat16 by plain products, which is several times faster and rounds differently.
        self.by_products = False
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within each row of the batch; `mask` (B, 1, 1, L) is True where a token may be looked at."""
        batch, length, dim = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        trains = torch.is_grad_enabled() and q.dtype == torch.bfloat16 and q.device.type == "cpu"
        out = attend_by_products(q, k, v, mask) if self.by_products and trains else attend(q, k, v, mask)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(batch, length, dim))
        return projected


class Block(nn.Module):
    """Transformer block over (B, H, W, C), global or in windows; positions come from a depth-wise convolution."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float, window: int) -> None:
        super().__init__()
        self.window = window
        self.position = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        hidden = int(dim * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, H, W, C)."""
        x = x + self.position(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = self.norm1(x)
        batch, height, width, dim = y.shape
        size = self.window
        if size == 0 or (height <= size and width <= size):
            y = self.attn(y.reshape(batch, height * width, dim)).view(batch, height, width, dim)
        else:
            y = self._windows(y, size)
        x = x + y
        result: Tensor = x + self.mlp(self.norm2(x))
        return result

    def _windows(self, y: Tensor, size: int) -> Tensor:
        batch, height, width, dim = y.shape
        pad_h, pad_w = -height % size, -width % size
        mask: Tensor | None = None
        if pad_h or pad_w:
            y = F.pad(y, (0, 0, 0, pad_w, 0, pad_h))
            inside = torch.zeros(y.shape[1:3], dtype=torch.bool, device=y.device)
            inside[:height, :width] = True
            mask = _to_windows(inside[None, :, :, None], size)[:, None, None, :, 0].repeat(batch, 1, 1, 1)
        full_h, full_w = y.shape[1:3]
        out = self.attn(_to_windows(y, size), mask)
        out = out.view(batch, full_h // size, full_w // size, size, size, dim).permute(0, 1, 3, 2, 4, 5)
        joined: Tensor = out.reshape(batch, full_h, full_w, dim)[:, :height, :width]
        return joined


def _to_windows(x: Tensor, size: int) -> Tensor:
    """(B, H, W, C) to (B * windows, size * size, C); H and W are multiples of `size`."""
    batch, height, width, dim = x.shape
    x = x.view(batch, height // size, size, width // size, size, dim).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, size * size, dim)


class TinyImageEncoder(nn.Module):
    """(B, 3, H, W), H and W multiples of 16, to features at stride 8 (128 channels) and stride 4 (32 channels)."""

    def __init__(self, dim: int = 256, depth: int = 6, heads: int = 8, global_blocks: Iterable[int] = (2, 5)) -> None:
        super().__init__()
        self.stem2 = nn.Sequential(nn.Conv2d(3, 32, 3, stride=2, padding=1), ChannelNorm(32), nn.GELU())
        self.stem4 = nn.Sequential(nn.Conv2d(32, 48, 3, stride=2, padding=1), ResidualConv(48))
        self.stem8 = nn.Sequential(ChannelNorm(48), nn.Conv2d(48, 128, 3, stride=2, padding=1), ResidualConv(128))
        self.stem16 = nn.Sequential(ChannelNorm(128), nn.Conv2d(128, dim, 3, stride=2, padding=1))
        everywhere = set(global_blocks)
        self.blocks = nn.ModuleList(
            Block(dim, heads, 3.0, window=0 if index in everywhere else 8) for index in range(depth)
        )
        self.neck_top = nn.Sequential(ChannelNorm(dim), nn.Conv2d(dim, _EMBED_DIM, 1))
        self.neck_lateral = nn.Conv2d(128, _EMBED_DIM, 1)
        self.neck_smooth = nn.Sequential(ResidualConv(_EMBED_DIM), ChannelNorm(_EMBED_DIM))
        self.skip = nn.Conv2d(48, _SKIP_DIM, 1)
        self.checkpointing = False

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embedding (B, 128, H / 8, W / 8) and the skip features (B, 32, H / 4, W / 4)."""
        x = x.contiguous(memory_format=torch.channels_last)
        at4 = self.stem4(self.stem2(x))
        return self.embed(self.stem8(at4)), self.skip(at4)

    def embed(self, at8: Tensor) -> Tensor:
        """Return the embedding (B, 128, H / 8, W / 8) of the stem's features at stride 8."""
        tokens = self.stem16(at8).permute(0, 2, 3, 1)
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        top = self.neck_top(tokens.permute(0, 3, 1, 2))
        top = F.interpolate(top, scale_factor=2.0, mode="bilinear", align_corners=False)
        embedding: Tensor = self.neck_smooth(top + self.neck_lateral(at8))
        return embedding


class TinyMaskDecoder(nn.Module):
    """SAM's two-way decoder, smaller, with one mask per prompt, over one window per prompt."""

    def __init__(self, dim: int = _EMBED_DIM, side: int = _TOKENS) -> None:
        super().__init__()
        #: Side of a window in features of the embedding.
        self.side = side
        self.transformer = TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=4, mlp_dim=2 * dim)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(1, dim)
        self.output_upscaling = nn.ModuleList(
            [
                nn.ConvTranspose2d(dim, _SKIP_DIM, 2, stride=2),
                ChannelNorm(_SKIP_DIM),
                nn.Conv2d(_SKIP_DIM, _SKIP_DIM, 1),
            ]
        )
        self.output_hypernetworks_mlps = nn.ModuleList([_mlp(dim, dim, _SKIP_DIM)])
        self.iou_prediction_head = _mlp(dim, dim, 1)

    def tokens(
        self, windows: Tensor, position: Tensor, sparse: Tensor, scratch: Scratch | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run the two-way transformer over windows (N, L, C) with positions (L, C), L = 256 here.

        With a `scratch` the windows are overwritten.

        Returns
        -------
        Scores (N,), mask tokens (N, C) and the updated windows (N, L, C).
        """
        count = sparse.shape[0]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])[None].expand(count, -1, -1)
        prompts = torch.cat([own, sparse], 1)
        if two_way.applies(self.transformer):
            hidden, source = two_way.two_way(self.transformer, windows, position, prompts, scratch)
        else:
            square = windows.transpose(1, 2).reshape(count, -1, self.side, self.side)
            places = position.T.reshape(-1, self.side, self.side).expand_as(square)
            hidden, source = self.transformer(square, places, prompts)
        scores = self.iou_prediction_head(hidden[:, 0])[:, 0]
        return scores, hidden[:, 1], source

    def masks(self, mask_tokens: Tensor, windows: Tensor, skip: Tensor) -> Tensor:
        """Mask logits (N, 32, 32) from mask tokens (N, C), windows (N, 256, C) and skip windows (N, 1024, 32)."""
        return self.at_skip(mask_tokens, windows, skip)[0]

    def at_skip(self, mask_tokens: Tensor, windows: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, 2 S, 2 S) and features (N, 4 L, 32) at the stride of the skip features, for windows of side S."""
        upscale, norm, mix = self.output_upscaling
        assert isinstance(upscale, nn.ConvTranspose2d)
        assert isinstance(norm, ChannelNorm)
        assert isinstance(mix, nn.Conv2d)
        assert mix.bias is not None
        square = windows.view(-1, self.side, self.side, upscale.in_channels)
        fine = two_way.upscaled(upscale, square).flatten(1, 2) + skip
        fine = F.gelu(F.layer_norm(fine, (_SKIP_DIM,), norm.weight, norm.bias, 1e-5))
        # The mixing of channels is linear, so it acts on the one vector of weights instead of on every place.
        weights = self.output_hypernetworks_mlps[0](mask_tokens)
        mixed = weights @ mix.weight[:, :, 0, 0]
        logits: Tensor = torch.einsum("nc,npc->np", mixed, fine) + (weights @ mix.bias)[:, None]
        return logits.view(-1, 2 * self.side, 2 * self.side), fine


def _mlp(inside: int, hidden: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inside, hidden), nn.GELU(), nn.Linear(hidden, outside))


class TinyModel(nn.Module):
    """The bundled backbone; implements `cellseg1.sam.interface.Backbone` for any image size."""

    name = "tiny"
    image_size: int | None = None
    #: Side of the window around a prompt, and pixels per value of a mask, in pixels of the model input.
    window = WINDOW
    mask_stride = SKIP_STRIDE
    #: Mode of `torch.nn.functional.pad` up to multiples of 16; zeros are the mean colour.
    padding = "constant"
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, encoder: TinyImageEncoder | None = None, decoder: TinyMaskDecoder | None = None) -> None:
        super().__init__()
        self.image_encoder = TinyImageEncoder() if encoder is None else encoder
        side = self.window // EMBED_STRIDE
        self.prompt_encoder = PromptEncoder(_EMBED_DIM, (side, side), (self.window, self.window), 4)
        # Mask prompts are not offered: without these the file is smaller and no weight is left untrained.
        del self.prompt_encoder.mask_downscaling
        self.mask_decoder = TinyMaskDecoder() if decoder is None else decoder
        #: Prompts decoded at once; bounds the memory of prediction.  Half as many took a tenth longer on a CPU.
        self.decode_batch = 256
        self.register_buffer("pixel_mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def device_of(self) -> torch.device:
        """Return where the weights are."""
        return next(self.parameters()).device

    @property
    def checkpoint_encoder(self) -> bool:
        """Whether the encoder's blocks are recomputed in the backward pass to save memory."""
        return bool(self.image_encoder.checkpointing)

    @checkpoint_encoder.setter
    def checkpoint_encoder(self, on: bool) -> None:
        self.image_encoder.checkpointing = on

    def mask_windows(self, points: Tensor, labels: Tensor) -> tuple[Tensor, int]:
        """See `Backbone`: a window around each prompt."""
        return window_origin(points, labels, self.window), self.window

    def encode(self, pixels: Tensor) -> Embedding:
        """Encode (B, 3, h, w) float RGB in 0..255; sides are padded to multiples of 16 after normalisation."""
        height, width = pixels.shape[-2:]
        normal = (pixels - self.pixel_mean) / self.pixel_std
        normal = F.pad(normal, (0, -width % 16, 0, -height % 16), mode=self.padding)
        return Embedding(self.image_encoder(normal), (height, width))

    def _sparse(self, points: Tensor, labels: Tensor) -> Tensor:
        """Embed prompts (N, P, 2) with labels (N, P) as tokens; like SAM, a padding token where there is no box."""
        encoder = self.prompt_encoder
        has_box = bool((labels >= 2).any())
        tokens: Tensor = encoder._embed_points(points, labels, pad=not has_box)
        if has_box:
            for corner in (2, 3):
                tokens = tokens + (labels == corner)[..., None] * encoder.point_embeddings[corner].weight
        return tokens

    def decode(
        self,
        embedding: Embedding,
        points: Tensor,
        labels: Tensor,
        image_index: Tensor,
        min_score: float | None = None,
    ) -> Decoded:
        """Decode N prompts, each in its own window; see `cellseg1.sam.interface.Backbone.decode`."""
        origin = window_origin(points, labels, self.window)
        side = self.window // EMBED_STRIDE
        field, skip = _Field(embedding.features[0], side // 2), _Field(embedding.features[1], side)
        field.flat = field.flat + self.prompt_encoder.no_mask_embed.weight.to(field.flat.dtype)
        position = self.prompt_encoder.get_dense_pe()[0].flatten(1).T.to(field.flat.dtype)
        local = points.float() - origin[:, None].to(points.device, torch.float32)
        scores: list[Tensor] = []
        logits: list[Tensor] = []
        kept: list[Tensor] = []
        scratch = scratch_for(points)
        for start in range(0, len(points), self.decode_batch):
            part = slice(start, start + self.decode_batch)
            sparse = self._sparse(local[part], labels[part]).to(field.flat.dtype)
            windows = field.windows(image_index[part], origin[part] // EMBED_STRIDE, side, scratch)
            score, token, source = self.mask_decoder.tokens(windows, position, sparse, scratch)
            scores.append(score)
            keep = torch.arange(len(score), device=score.device)
            if min_score is not None:
                keep = keep[score > min_score]
                token, source = token[keep], source[keep]
            kept.append(keep + start)
            corner = origin[part][keep] // SKIP_STRIDE
            fine = skip.windows(image_index[part][keep], corner, 2 * side, scratch)
            logits.append(self.mask_decoder.masks(token, source, fine))
        if not scores:
            empty, values = points.new_zeros((0,)), self.window // self.mask_stride
            return Decoded(empty, empty.long(), points.new_zeros((0, values, values)), origin, self.mask_stride)
        index = torch.cat(kept)
        return Decoded(torch.cat(scores), index, torch.cat(logits), origin[index], self.mask_stride)


class _Field:
    """Features (B, C, H, W) with a zero margin, from which windows are gathered."""

    def __init__(self, features: Tensor, margin: int) -> None:
        self.margin = margin
        padded = F.pad(features, (margin,) * 4)
        self.batch, self.channels, self.height, self.width = padded.shape
        self.flat = padded.permute(0, 2, 3, 1).reshape(-1, self.channels)

    def windows(self, image_index: Tensor, corner: Tensor, size: int, scratch: Scratch | None = None) -> Tensor:
        """Return (N, size * size, C) whose top left corners are `corner` (N, 2) = (x, y) in cells of the grid.

        They lie in the `scratch` when there is one.
        """
        along = torch.arange(size, device=corner.device)
        # A prompt just outside the image would reach beyond the margin; its window is moved inwards instead.
        x = (corner[:, 0] + self.margin).clamp(0, self.width - size)
        y = (corner[:, 1] + self.margin).clamp(0, self.height - size)
        rows = image_index[:, None] * self.height + y[:, None] + along
        index = rows[:, :, None] * self.width + (x[:, None] + along)[:, None, :]
        room = (
            None
            if scratch is None
            else scratch.take(f"windows of {size}", (index.numel(), self.channels), self.flat.dtype)
        )
        found = torch.index_select(self.flat, 0, index.flatten(), out=room)
        return found.view(len(corner), size * size, self.channels)


def window_origin(points: Tensor, labels: Tensor, window: int = WINDOW) -> Tensor:
    """Top left corner (N, 2) int64 of each prompt's window, a multiple of 8 pixels of the model input.

    The window is centred on the box when there is one, else on the mean of the foreground points.
    """
    is_box = (labels == 2) | (labels == 3)
    use = torch.where(is_box.any(1, keepdim=True), is_box, labels == 1).to(torch.float32)[..., None]
    centre = (points.float() * use).sum(1) / use.sum(1).clamp(min=1)
    snapped = torch.floor((centre - window / 2) / EMBED_STRIDE + 0.5) * EMBED_STRIDE
    return snapped.to(torch.int64)


def build_named(_name: str, weights: Path, _image_size: int) -> TinyModel:
    """Build it for any size of input; see `cellseg1.sam.kind.BackboneKind.build`."""
    return build_tiny(weights)


def build_tiny(weights: Path | None = None) -> TinyModel:
    """Build `tiny`, with the weights of a safetensors file (float16 or float32), or untrained without one.

    Raises
    ------
    BackboneError
        When the file is damaged or its tensors are not those of this architecture.
    """
    return with_weights(TinyModel(), weights)


def with_weights(model: M, weights: Path | None) -> M:
    """Load the weights of a safetensors file into a new model and set evaluation mode; None leaves it untrained.

    Raises
    ------
    BackboneError
        When the file is damaged or its tensors are not those of the model.
    """
    if weights is None:
        return model
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(weights.read_bytes())
    except (SafetensorError, OSError) as error:
        raise BackboneError(f"The backbone file {weights} is damaged ({error}); reinstall the program.") from error
    expected = model.state_dict()
    wrong = sorted(set(expected) ^ set(tensors)) or [k for k in expected if expected[k].shape != tensors[k].shape]
    if wrong:
        raise BackboneError(
            f"The backbone file {weights} does not fit this version of the program "
            f"({', '.join(wrong[:3])} differ); reinstall the program."
        )
    model.load_state_dict({key: value.float() for key, value in tensors.items()})
    return model.eval()
