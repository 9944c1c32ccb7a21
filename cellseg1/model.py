"""A model ready to use: backbone + adapter + card, on a device."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cellseg1.errors import CellSeg1Error, ModelFileError, SettingsError
from cellseg1.files import PathLike, file_sha256
from cellseg1.images import InputRule, InputSpecification
from cellseg1.lora import Card, apply_model, apply_pth, is_adapter_enabled, load_card, read_pth, set_adapter_enabled
from cellseg1.sam.build import build_backbone
from cellseg1.sam.device import choose_device
from cellseg1.sam.registry import canonical_name, get_spec
from cellseg1.settings import Settings, check_same_backbone, make_settings, settings_from_dict

if TYPE_CHECKING:
    from cellseg1.images.specification import ChannelWish
    from cellseg1.sam.interface import Backbone


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model: everything that a prediction needs.

    Attributes
    ----------
    settings
        Settings of the training, with the caller's changes.
    input
        The input specification: channels, and how grey values are scaled.
    scale
        Factor by which an image is enlarged before the network sees it (1 when the model keeps the image's scale).
    file, file_sha256
        The model file and the hash of its bytes; None and empty without a file.
    """

    backbone: Backbone
    card: Card
    settings: Settings
    input: InputSpecification
    scale: float
    file: Path | None = None
    file_sha256: str = ""

    @property
    def module(self) -> nn.Module:
        """The backbone as a torch module."""
        assert isinstance(self.backbone, nn.Module)
        return self.backbone

    @property
    def input_rule(self) -> InputRule:
        """How grey values are scaled."""
        return self.input.rule

    def with_channels(self, channels: ChannelWish | None) -> Model:
        """Return the model with other input channels, by name or number (from 0); None changes nothing.

        Raises
        ------
        SettingsError
            When these are not one to three.
        """
        return dataclasses.replace(self, input=self.input.with_channels(channels))

    @property
    def adapter_enabled(self) -> bool:
        """Whether the adapter is enabled; False also without one."""
        return is_adapter_enabled(self.module)

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
    own = weights if weights is not None else Path(settings.files.model_path) if settings.files.model_path else None
    backbone = build_backbone(name, settings.data.sam_image_size, own, verify=own is None)
    assert isinstance(backbone, nn.Module)
    backbone.to(device)
    return backbone, "" if own is not None else get_spec(name).sha256


def load_model(
    path: PathLike,
    *,
    device: str = "auto",
    overrides: Mapping[str, Any] | None = None,
    backbone_weights: PathLike | None = None,
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
    path, weights = Path(path), None if backbone_weights is None else Path(backbone_weights)
    if not path.exists():
        raise ModelFileError(f"There is no model file {path}; check its name.")
    chosen = choose_device(device)
    if path.suffix.lower() in {".pth", ".pt"}:
        return _load_pth(path, chosen, overrides or {}, weights)
    card = load_card(path)
    try:
        stored = settings_from_dict(card.settings)
        specification = InputSpecification.from_dict(card.input) if card.input else input_of(stored)
        name = canonical_name(card.backbone)
        # The card decides the backbone and the rule of grey values.
        stored = stored.replace(vit_name=name, **_input_settings(specification.rule))
    except CellSeg1Error as error:
        raise ModelFileError(f"The card of the model {path} cannot be used: {error}") from error
    # Given settings replace single values; given percentiles also replace the range set by hand in the training.
    given = dict(overrides or {})
    if {"input_rule", "input_low", "input_high", "input_outliers"} & set(given):
        given = {"input_range": None, **given}
    check_same_backbone(given.get("vit_name", name), name)
    settings = stored.replace(**{**given, "vit_name": name})
    check_input_settings(overrides or {}, settings)
    specification = dataclasses.replace(specification, rule=rule_of(settings))
    backbone, sha256 = prepare_backbone(name, settings, chosen, weights)
    assert isinstance(backbone, nn.Module)
    apply_model(path, backbone, backbone_sha256=sha256 or None)
    backbone.to(chosen).eval()
    return Model(backbone, card, settings, specification, card.scale or 1.0, path.absolute(), file_sha256(path))


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
    check_input_settings(values, settings)
    backbone, sha256 = prepare_backbone(name, settings, device, weights)
    assert isinstance(backbone, nn.Module)
    apply_pth(path, backbone)
    backbone.to(device).eval()
    notes = "" if file.image_size_known else "The image size is not in the file's name; 512 was taken."
    card = Card(
        recipe="paper",
        backbone=name,
        backbone_sha256=sha256,
        image_size=settings.data.sam_image_size,
        input=input_of(settings).to_dict(),
        settings=settings.to_dict(),
        notes=notes,
    )
    return Model(backbone, card, settings, input_of(settings), 1.0, path.absolute(), file_sha256(path))


def plain_model(name: str, settings: Settings, device: str = "auto") -> Model:
    """Make a model of a backbone alone, without adapter."""
    chosen = choose_device(device)
    backbone, sha256 = prepare_backbone(name, settings, chosen)
    card = Card(backbone=name, backbone_sha256=sha256, settings=settings.to_dict())
    return Model(backbone, card, settings, input_of(settings), 1.0)


def input_of(settings: Settings) -> InputSpecification:
    """Return the input specification of these settings, without a choice of channels."""
    return InputSpecification(rule_of(settings))


def rule_of(settings: Settings) -> InputRule:
    """Return the rule by which grey values become model input under these settings."""
    values = settings.input.input_range or ()
    ranges = tuple(zip(values[::2], values[1::2], strict=True))
    return InputRule(
        settings.input.input_rule,
        settings.input.input_low,
        settings.input.input_high,
        settings.input.input_outliers,
        ranges,
    )


def check_input_settings(given: Mapping[str, Any], settings: Settings) -> None:
    """Refuse given settings of the input that would have no effect.

    Raises
    ------
    SettingsError
        With the name of the setting, and why it has no effect.
    """
    measured = [name for name in ("input_low", "input_high", "input_outliers") if name in given]
    if measured and settings.input.input_rule == "minmax":
        raise SettingsError(
            f"The setting {measured[0]} has no effect with input_rule=minmax; "
            "add input_rule=percentile, or leave it out."
        )
    if settings.input.input_range is not None and (measured or "input_rule" in given) and "input_range" in given:
        raise SettingsError(
            f"The setting {[*measured, 'input_rule'][0]} has no effect beside input_range; leave out one of them."
        )


def _input_settings(rule: InputRule) -> dict[str, Any]:
    return {
        "input_rule": rule.kind,
        "input_low": rule.low,
        "input_high": rule.high,
        "input_outliers": rule.outliers,
        "input_range": [value for pair in rule.ranges for value in pair] or None,
    }
