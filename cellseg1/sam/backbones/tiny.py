"""tiny: our own small SAM, shipped with the program; see `cellseg1.sam.tiny`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellseg1.bundled import resource_path
from cellseg1.errors import BackboneError
from cellseg1.sam.kind import BackboneKind, BackboneSpec

if TYPE_CHECKING:
    from pathlib import Path

_CARD = "backbones/tiny.json"


@dataclass(frozen=True, kw_only=True)
class TinyKind(BackboneKind):
    """A backbone of the architecture of `cellseg1.sam.tiny`, whose card lies beside its file."""

    def spec(self) -> BackboneSpec:
        """Read the card beside the shipped file, so that new weights need no change of code."""
        try:
            card = json.loads(resource_path(_CARD).read_text(encoding="utf-8"))
            return BackboneSpec(
                "tiny",
                "tiny.safetensors",
                int(card["size_bytes"]),
                str(card["sha256"]),
                None,
                str(card.get("licence", "Apache-2.0")),
                "Our own small SAM, shipped with the program: fast on a laptop, no download.",
            )
        except FileNotFoundError as error:
            raise BackboneError(
                "The bundled backbone tiny is missing from this installation; install CellSeg1 Studio again, "
                "or choose vit_b, vit_l or vit_h."
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BackboneError(
                "The description of the bundled backbone tiny is damaged; install CellSeg1 Studio again."
            ) from error

    def shipped_file(self) -> Path | None:
        """See `BackboneKind`."""
        try:
            return resource_path(f"backbones/{self.spec().filename}")
        except FileNotFoundError:
            return None


#: tiny is trained and used at one scale.
_STUDIO: dict[str, object] = {
    "target_diameter": 28.0,
    "sam_image_size": 256,
    "patch_size": 256,
    "view_plan": "tiles",
    "epoch_max": 12,
    "batch_size": 4,
    "gradient_accumulation_step": 1,
    "duplicate_data": 40,
    "epoch_tiles": 40,
    "min_cell_area": 40,
    "edge_distance": 4,
    "scale_limit": (-0.3, 0.3),
    "crop_prob": 0.3,
    "crop_scale": (0.5, 1.0),
    # The published 0.6 lets through too much background, and 0.7 refuses cells (decision 0016).
    "stability_score_thresh": 0.65,
    # So small a network must change as a whole to learn an unseen kind of cells (decision 0016).
    "backbone_lr": 4e-4,
    "freeze_image_encoder": False,
    "freeze_prompt_encoder": False,
    "freeze_mask_decoder_transformer": False,
    "freeze_upscaling_cnn": False,
    "freeze_output_hypernetworks_mlps": False,
    "freeze_mask_decoder_mask_tokens": False,
    "freeze_mask_decoder_iou": False,
    "max_point_num": 12,
    # Weight interpolation keeps what the backbone knew about other cells (decision 0016).
    "trained_share": None,
    "image_scale": "own",
    "prompt_rule": "sparing",
    # The decoder splits them further; large batches let it reuse its memory.
    "points_per_batch": 1024,
}

TINY = TinyKind(
    name="tiny",
    title="tiny (comes with the program)",
    builder="cellseg1.sam.tiny:build_named",
    about="Small and fast; works on every computer.",
    bundled=True,
    # It fits into the memory of every computer.
    own_batch=True,
    settings={"studio": _STUDIO},
    # Scores are lower for unseen kinds of cells; the thresholds of a trained model would drop most of them
    # (decision 0016).
    untrained={"pred_iou_thresh": 0.7, "stability_score_thresh": 0.7},
    seconds_per_tile=0.5,
)
