"""Recipes and presets: tables of settings over the published defaults.

A *recipe* is such a table: ``paper`` changes nothing and gives the published results; ``studio`` repairs the defects of
the research code, one switch for each, and is the default of the program.  Only this module knows their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellseg1.errors import SettingsError
from cellseg1.sam.registry import BACKBONES, canonical_name, get_kind
from cellseg1.settings.groups import Switches
from cellseg1.settings.rows import check_value
from cellseg1.settings.whole import Settings

#: Overrides by recipe.
RECIPES: dict[str, dict[str, Any]] = {
    "paper": {},
    "studio": {
        **dict.fromkeys(Switches.__struct_fields__, "repaired"),
        "precision": "auto",
        "input_rule": "percentile",
        "input_outliers": "leave_out",
        "resize_size": None,
        "train_id": None,
        "pyramid_window": 512,
    },
}
DEFAULT_RECIPE = "studio"
DEFAULT_BACKBONE = "tiny"

#: Memory tiers of the published method (free GPU memory in GiB, first that fits): batch and accumulation.
#: Below 6 GiB the encoder is recomputed in the backward pass.
MEMORY_TIERS: tuple[tuple[float, str, dict[str, Any]], ...] = (
    (22.0, "24 GB", {"batch_size": 4, "gradient_accumulation_step": 8}),
    (12.0, "12 GB", {"batch_size": 2, "gradient_accumulation_step": 16}),
    (6.0, "8 GB", {"batch_size": 1, "gradient_accumulation_step": 32}),
    (0.0, "small", {"batch_size": 1, "gradient_accumulation_step": 32, "gradient_checkpointing": True}),
)
CPU_PRESET: dict[str, Any] = {"batch_size": 1, "gradient_accumulation_step": 32}


def memory_preset(free_gib: float | None, backbone: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the overrides of the preset for this much free GPU memory (GiB; None: CPU).

    A backbone with `BackboneKind.own_batch` keeps its batch.
    """
    if get_kind(backbone).own_batch:
        return ("CPU" if free_gib is None else "GPU"), {}
    if free_gib is None:
        return "CPU", CPU_PRESET
    for least, name, values in MEMORY_TIERS:
        if free_gib >= least:
            return name, values
    raise AssertionError("the last tier begins at zero")


def make_settings(
    recipe: str = DEFAULT_RECIPE,
    backbone: str = DEFAULT_BACKBONE,
    overrides: Mapping[str, Any] | None = None,
    preset: Mapping[str, Any] | None = None,
) -> Settings:
    """Build settings: published defaults, then recipe, backbone, memory preset, and the user's own overrides.

    Raises
    ------
    SettingsError
        For an unknown recipe or setting, a value out of range, or a `vit_name` that is not the backbone.
    """
    if recipe not in RECIPES:
        raise SettingsError(f"There is no recipe {recipe!r}; choose one of {', '.join(RECIPES)}.")
    values: dict[str, Any] = dict(RECIPES[recipe])
    values.update(backbone_settings(recipe, backbone))
    values.update(preset or {})
    values.update(overrides or {})
    check_same_backbone(values.pop("vit_name", backbone), backbone)
    return Settings().replace(**values, vit_name=backbone)


def backbone_settings(recipe: str, backbone: str) -> Mapping[str, Any]:
    """Return the settings of a backbone that differ from those of the recipe."""
    kind = BACKBONES.get(backbone)
    return {} if kind is None else kind.settings.get(recipe, {})


def check_same_backbone(wanted: Any, backbone: str) -> None:
    """Refuse the setting `vit_name` where another backbone is used (`SettingsError`)."""
    if canonical_name(check_value("vit_name", wanted)) != backbone:
        raise SettingsError(f"The setting vit_name is {wanted} but the backbone is {backbone}; give one of them only.")


def untrained_settings(backbone: str, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Build settings for a backbone without an adapter; raises like `make_settings`."""
    return make_settings(backbone=backbone, overrides={**get_kind(backbone).untrained, **(overrides or {})})
