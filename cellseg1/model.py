"""A model ready to use: backbone + adapter + card, on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cellseg1.errors import CellSeg1Error, ModelFileError
from cellseg1.images import InputRule
from cellseg1.lora import Card, apply_model, apply_pth, load_card, read_pth, set_adapter_enabled
from cellseg1.sam.build import build_backbone
from cellseg1.sam.device import choose_device
from cellseg1.sam.registry import canonical_name, get_spec
from cellseg1.settings import Settings, make_settings, settings_from_dict

if TYPE_CHECKING:
    from cellseg1.sam.interface import Backbone


@dataclass(frozen=True, slots=True)
class Model:
    """What `load_model` gives: everything prediction needs.

    Attributes
    ----------
    settings
        Those the model was trained with, overridden by what the caller asked for.
    scale
        Factor by which an image is enlarged before the network sees it (1 when the model keeps the image's scale).
    """

    backbone: Backbone
    card: Card
    settings: Settings
    input_rule: InputRule
    scale: float

    @property
    def module(self) -> nn.Module:
        """The backbone as a torch module."""
        assert isinstance(self.backbone, nn.Module)
        return self.backbone

    def set_adapter(self, enabled: bool) -> None:
        """Switch the adapter on or off; off, the answers are those of the plain backbone."""
        set_adapter_enabled(self.module, enabled)


def prepare_backbone(
    name: str, settings: Settings, device: torch.device, weights: Path | None = None
) -> tuple[Backbone, str]:
    """Build a backbone on a device; returns it with the sha256 of its weights ("" for a file of the user's own).

    Raises
    ------
    BackboneError
        When it is not installed, or its file is damaged.
    """
    own = weights if weights is not None else Path(settings.model_path) if settings.model_path else None
    backbone = build_backbone(name, settings.sam_image_size, own, verify=own is None)
    assert isinstance(backbone, nn.Module)
    backbone.to(device)
    return backbone, "" if own is not None else get_spec(name).sha256


def load_model(
    path: Path,
    *,
    device: str = "auto",
    overrides: Mapping[str, Any] | None = None,
    backbone_weights: Path | None = None,
) -> Model:
    """Load a ``.cs1`` model or a published ``.pth`` adapter together with its backbone.

    Parameters
    ----------
    device
        auto, cpu, cuda, cuda:N or mps.
    overrides
        Settings that replace those stored in the model.
    backbone_weights
        File of the backbone's weights, instead of the installed one.

    Raises
    ------
    ModelFileError, BackboneError, SettingsError
        When a file is missing, damaged or does not fit.
    """
    if not path.exists():
        raise ModelFileError(f"There is no model file {path}; check its name.")
    chosen = choose_device(device)
    if path.suffix.lower() in {".pth", ".pt"}:
        return _load_pth(path, chosen, overrides or {}, backbone_weights)
    card = load_card(path)
    try:
        stored = settings_from_dict(card.settings)
        rule = InputRule.from_dict(card.input_rule) if card.input_rule else None
        name = canonical_name(card.backbone)
    except CellSeg1Error as error:
        raise ModelFileError(f"The card of the model {path} cannot be used: {error}") from error
    settings = stored.replace(**(overrides or {}))
    backbone, sha256 = prepare_backbone(name, settings, chosen, backbone_weights)
    assert isinstance(backbone, nn.Module)
    apply_model(path, backbone, backbone_sha256=sha256 or None)
    backbone.to(chosen).eval()
    return Model(backbone, card, settings, rule or rule_of(settings), card.scale or 1.0)


def _load_pth(path: Path, device: torch.device, overrides: Mapping[str, Any], weights: Path | None) -> Model:
    file = read_pth(path)
    if file.backbone is None and "vit_name" not in overrides:
        raise ModelFileError(
            f"The adapter {path} does not say which backbone it belongs to, and its shape fits none; "
            "give it with --set vit_name=NAME."
        )
    # Published adapters belong to the published way of using them.
    values = {"sam_image_size": file.image_size, **overrides}
    name = canonical_name(str(values.pop("vit_name", file.backbone)))
    settings = make_settings("paper", name, values)
    backbone, sha256 = prepare_backbone(name, settings, device, weights)
    assert isinstance(backbone, nn.Module)
    apply_pth(path, backbone)
    backbone.to(device).eval()
    notes = "" if file.image_size_known else "The image size is not in the file's name; 512 was taken."
    card = Card(
        recipe="paper",
        backbone=name,
        backbone_sha256=sha256,
        image_size=settings.sam_image_size,
        input_rule=rule_of(settings).to_dict(),
        settings=settings.to_dict(),
        notes=notes,
    )
    return Model(backbone, card, settings, rule_of(settings), 1.0)


def plain_model(name: str, settings: Settings, device: str = "auto") -> Model:
    """Make a model of a backbone alone, without adapter."""
    chosen = choose_device(device)
    backbone, sha256 = prepare_backbone(name, settings, chosen)
    card = Card(backbone=name, backbone_sha256=sha256, settings=settings.to_dict())
    return Model(backbone, card, settings, rule_of(settings), 1.0)


def rule_of(settings: Settings) -> InputRule:
    """How images become model input under these settings."""
    return InputRule(settings.input_rule, settings.input_low, settings.input_high)
