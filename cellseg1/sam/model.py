"""The official SAM backbones behind our interface, at any square image size."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from cellseg1.errors import BackboneError
from cellseg1.sam import decoder_pass
from cellseg1.sam.encoder_pass import run_encoder
from cellseg1.sam.interface import Decoded, Embedding

if TYPE_CHECKING:
    from cellseg1.sam.shapes import VitShape

PATCH = 16
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
_CHANNELS = 256
#: Prompts decoded together.  Beyond 16 the intermediate arrays no longer fit a CPU's caches and each one is
#: mapped and unmapped by the allocator (measured: 16.5 ms per prompt at 8, 25 ms at 64).
_CPU_PROMPTS = 16
_GPU_PROMPTS = 64


class SamModel(nn.Module):
    """SAM (Kirillov et al. 2023, arXiv 2304.02643) made of segment-anything's own modules.

    State-dict keys are SAM's own names.  Built by `cellseg1.sam.weights`.

    Attributes
    ----------
    name
        vit_b, vit_l, vit_h, or another name for other shapes.
    image_size
        Side of the square model input in pixels.
    decode_batch
        Prompts decoded together; None chooses by device.
    checkpoint_encoder
        Recompute the encoder's blocks in the backward pass instead of storing their activations.
    fast_attention
        Fused attention in the encoder; results differ by rounding only.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, shape: VitShape, image_size: int, name: str) -> None:
        super().__init__()
        if image_size < PATCH or image_size % PATCH:
            raise BackboneError(
                f"The image size {image_size} cannot be used; choose a multiple of {PATCH}, such as 512."
            )
        grid = image_size // PATCH
        self.name: str = name
        self.shape: VitShape = shape
        # Typed as in the `Backbone` protocol, where None means "any size".
        self.image_size: int | None = image_size
        self._side = image_size
        self.decode_batch: int | None = None
        self.checkpoint_encoder: bool = False
        self.fast_attention: bool = False
        self.image_encoder: nn.Module = ImageEncoderViT(
            img_size=image_size,
            patch_size=PATCH,
            embed_dim=shape.embed_dim,
            depth=shape.depth,
            num_heads=shape.heads,
            mlp_ratio=4,
            out_chans=_CHANNELS,
            qkv_bias=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=shape.window,
            global_attn_indexes=shape.global_blocks,
        )
        self.prompt_encoder: nn.Module = PromptEncoder(_CHANNELS, (grid, grid), (image_size, image_size), 16)
        self.mask_decoder: nn.Module = MaskDecoder(
            transformer_dim=_CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=_CHANNELS, num_heads=8, mlp_dim=2048),
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        )
        # Not part of SAM's files; on the CPU even while the rest is built without memory.
        for key, values in (("pixel_mean", PIXEL_MEAN), ("pixel_std", PIXEL_STD)):
            self.register_buffer(key, torch.tensor(values, device="cpu").view(3, 1, 1), persistent=False)
        self._dense_position: tuple[tuple[object, ...], Tensor] | None = None

    def device_of(self) -> torch.device:
        """Return where the weights are."""
        return self.pixel_mean.device

    def mask_windows(self, points: Tensor, labels: Tensor) -> tuple[Tensor, int]:  # noqa: ARG002 - same for all
        """See `Backbone`: every mask covers the whole input."""
        return torch.zeros((len(points), 2), dtype=torch.int64, device=points.device), self._side

    def preprocess(self, pixels: Tensor) -> Tensor:
        """Normalise (B, 3, h, w) pixels in 0..255, then pad with zeros to (B, 3, S, S)."""
        height, width = pixels.shape[-2:]
        if pixels.ndim != 4 or pixels.shape[1] != 3 or max(height, width) > self._side:
            message = f"expected (B, 3, h, w) with h and w at most {self._side}, got {tuple(pixels.shape)}"
            raise ValueError(message)
        pixels = pixels.to(self.device_of())
        if not pixels.is_floating_point():
            pixels = pixels.float()
        normalised = (pixels - self.pixel_mean) / self.pixel_std
        return F.pad(normalised, (0, self._side - width, 0, self._side - height))

    def encode(self, pixels: Tensor) -> Embedding:
        """Encode (B, 3, h, w) RGB in 0..255 with h, w up to the image size; one feature (B, 256, S/16, S/16)."""
        features = run_encoder(
            self.image_encoder,
            self.preprocess(pixels),
            checkpoint=self.checkpoint_encoder,
            fast=self.fast_attention,
        )
        return Embedding((features,), (int(pixels.shape[-2]), int(pixels.shape[-1])))

    def decode(
        self,
        embedding: Embedding,
        points: Tensor,
        labels: Tensor,
        image_index: Tensor,
        min_score: float | None = None,
    ) -> Decoded:
        """Decode N prompts to single masks of (S/4, S/4) logits; see `Backbone.decode`.

        Prompts with a box (labels 2 and 3) and prompts without one go in separate calls.

        Raises
        ------
        ValueError
            When shapes do not fit together, a label is unknown, or an index has no image.
        """
        features = embedding.features[0]
        images = image_index.cpu()
        _check_prompts(points, labels, images, features.shape[0])
        # float32 before the move: MPS has no float64.
        points = points.to(torch.float32).to(features.device)
        labels = labels.to(torch.int64).to(features.device)
        with torch.no_grad() if min_score is not None else contextlib.nullcontext():
            return self._decode_by_image(features, points, labels, images, min_score)

    def _decode_by_image(
        self, features: Tensor, points: Tensor, labels: Tensor, images: Tensor, min_score: float | None
    ) -> Decoded:
        decoder = self.mask_decoder
        prompts = decoder_pass.embed_prompts(self.prompt_encoder, points, labels)
        no_mask = self.prompt_encoder.get_parameter("no_mask_embed.weight")
        batch = self.decode_batch or (_CPU_PROMPTS if features.device.type == "cpu" else _GPU_PROMPTS)
        rows_done, scores_done, kept_done = (
            [images.new_zeros(0)],
            [features.new_zeros(0).float()],
            [images.new_zeros(0)],
        )
        side = 4 * features.shape[-1]
        logits_done = [features.new_zeros((0, side, side)).float()]
        for image in sorted(set(images.tolist())):
            shared = decoder_pass.share_image(decoder, features[image : image + 1], no_mask, self.dense_position())
            for rows in torch.split(torch.nonzero(images == image)[:, 0], batch):
                tokens, keys = decoder_pass.run_transformer(decoder, shared, prompts[rows.to(prompts.device)])
                scores = decoder_pass.predict_scores(decoder, tokens)
                kept = rows
                if min_score is not None:
                    good = torch.nonzero(scores > min_score)[:, 0]
                    tokens, keys, kept = tokens[good], keys[good], rows[good.cpu()]
                if len(kept):
                    logits_done.append(decoder_pass.predict_masks(decoder, tokens, keys, shared.grid))
                rows_done.append(rows)
                scores_done.append(scores)
                kept_done.append(kept)
        scores = _in_order(torch.cat(scores_done), torch.cat(rows_done))
        kept = torch.cat(kept_done)
        logits = _in_order(torch.cat(logits_done), kept)
        kept = kept.sort().values.to(features.device)
        return Decoded(scores, kept, logits, torch.zeros((len(kept), 2), dtype=torch.int64, device=features.device))

    def dense_position(self) -> Tensor:
        """Return the (1, 256, S/16, S/16) positional encoding of the image tokens, computed once per device."""
        matrix = self.prompt_encoder.get_buffer("pe_layer.positional_encoding_gaussian_matrix")
        # Loading a LoRA file overwrites the matrix in place; its version tells.
        key = (matrix.device, matrix.data_ptr(), matrix._version)
        if self._dense_position is None or self._dense_position[0] != key:
            # A tensor made in inference mode could not take part in training later.
            with torch.inference_mode(mode=False), torch.no_grad(), torch.autocast(matrix.device.type, enabled=False):
                self._dense_position = (key, self.prompt_encoder.get_dense_pe())  # type: ignore[operator]
        return self._dense_position[1]


def _check_prompts(points: Tensor, labels: Tensor, images: Tensor, image_count: int) -> None:
    if points.ndim != 3 or points.shape[2] != 2 or labels.shape != points.shape[:2] or images.shape != points.shape[:1]:
        message = (
            f"expected points (N, P, 2), labels (N, P), image_index (N,), got {tuple(points.shape)}, "
            f"{tuple(labels.shape)}, {tuple(images.shape)}"
        )
        raise ValueError(message)
    if len(images) and not 0 <= int(images.min()) <= int(images.max()) < image_count:
        message = f"image_index must lie in 0..{image_count - 1}"
        raise ValueError(message)
    if labels.numel() and not -1 <= int(labels.min()) <= int(labels.max()) <= decoder_pass.LABELS[-1]:
        message = f"labels must be among {decoder_pass.LABELS}"
        raise ValueError(message)


def _in_order(values: Tensor, rows: Tensor) -> Tensor:
    """Sort `values` by the prompt they belong to; free of copies when they already are in order."""
    if bool((rows.diff() > 0).all()):
        return values
    return values[rows.argsort().to(values.device)]
