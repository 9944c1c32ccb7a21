"""Every setting, declared once: name, type, default, range, unit and help in one row of `cellseg1.settings.groups`.

`Settings` holds them in groups; a *recipe* is a table of overrides.  Nothing here imports torch or Qt.
"""

from __future__ import annotations

from cellseg1.settings.files import load_yaml, parse_assignments
from cellseg1.settings.help import help_table
from cellseg1.settings.recipes import (
    CPU_PRESET,
    DEFAULT_BACKBONE,
    DEFAULT_RECIPE,
    MEMORY_TIERS,
    RECIPES,
    backbone_settings,
    check_same_backbone,
    make_settings,
    memory_preset,
    untrained_settings,
)
from cellseg1.settings.rows import TABLE, Row, Use, acts_in, check_value, find_row
from cellseg1.settings.whole import GROUPS, Settings, settings_from_dict

__all__ = [
    "CPU_PRESET",
    "DEFAULT_BACKBONE",
    "DEFAULT_RECIPE",
    "GROUPS",
    "MEMORY_TIERS",
    "RECIPES",
    "TABLE",
    "Row",
    "Settings",
    "Use",
    "acts_in",
    "backbone_settings",
    "check_same_backbone",
    "check_value",
    "find_row",
    "help_table",
    "load_yaml",
    "make_settings",
    "memory_preset",
    "parse_assignments",
    "settings_from_dict",
    "untrained_settings",
]
