"""What a LoRA adapter looks like.  Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from cellseg1.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

DropoutPlace = Literal["output", "branch"]
_MAX_RANK = 256

#: Freeze flag -> state-dict prefixes of the base weights that it covers.
FREEZE_PARTS: dict[str, tuple[str, ...]] = {
    "freeze_image_encoder": ("image_encoder.",),
    "freeze_prompt_encoder": ("prompt_encoder.",),
    "freeze_mask_decoder_transformer": ("mask_decoder.transformer.",),
    "freeze_upscaling_cnn": ("mask_decoder.output_upscaling.",),
    "freeze_output_hypernetworks_mlps": ("mask_decoder.output_hypernetworks_mlps.",),
    "freeze_mask_decoder_mask_tokens": ("mask_decoder.mask_tokens.",),
    "freeze_mask_decoder_iou": ("mask_decoder.iou_token.", "mask_decoder.iou_prediction_head."),
}


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """Size and place of a LoRA adapter (Hu et al. 2021, arXiv 2106.09685, without alpha).

    Attributes
    ----------
    image_encoder_rank, mask_decoder_rank
        Rank of the added matrices; 0 = none in that part.
    dropout
        Probability, used in training only.
    dropout_place
        output = on the whole output of qkv, q_proj and v_proj, as the research code does;
        branch = on the input of the added branch, as LoRA does.
    freeze_*
        False = these base weights are trained too, and stored with the model.  ``freeze_norms_and_biases`` covers
        every vector of the network, wherever it is: scales and offsets of normalisations and the biases of layers
        (BitFit, Zaken et al. 2022, arXiv 2106.10199, and the normalisations).
    """

    image_encoder_rank: int = 4
    mask_decoder_rank: int = 4
    dropout: float = 0.1
    dropout_place: DropoutPlace = "output"
    freeze_image_encoder: bool = True
    freeze_prompt_encoder: bool = True
    freeze_mask_decoder_transformer: bool = True
    freeze_upscaling_cnn: bool = True
    freeze_output_hypernetworks_mlps: bool = True
    freeze_mask_decoder_mask_tokens: bool = True
    freeze_mask_decoder_iou: bool = True
    freeze_norms_and_biases: bool = True

    def __post_init__(self) -> None:
        for part in ("image_encoder", "mask_decoder"):
            rank = getattr(self, f"{part}_rank")
            if not isinstance(rank, int) or isinstance(rank, bool) or not 0 <= rank <= _MAX_RANK:
                raise SettingsError(f"{part}_lora_rank is {rank!r}; it must be a whole number from 0 to {_MAX_RANK}.")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise SettingsError(f"lora_dropout is {self.dropout!r}; it must be at least 0 and less than 1.")
        if self.dropout_place not in get_args(DropoutPlace):
            raise SettingsError(f"The dropout place {self.dropout_place!r} is unknown; choose output or branch.")
        if not (self.image_encoder_rank or self.mask_decoder_rank or self.trains_base_weights()):
            raise SettingsError("Nothing would be trained: both LoRA ranks are 0 and every part is frozen.")

    def trained_prefixes(self) -> tuple[str, ...]:
        """Return the state-dict prefixes of the base weights that are trained too."""
        return tuple(prefix for flag, parts in FREEZE_PARTS.items() if not getattr(self, flag) for prefix in parts)

    def trains_base_weights(self) -> bool:
        """Tell whether any of the backbone's own weights are trained."""
        return bool(self.trained_prefixes()) or not self.freeze_norms_and_biases

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LoraConfig:
        """Make a configuration from plain values; unknown keys, of a newer version, are ignored.

        Raises
        ------
        SettingsError
            When a value is out of its range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})
