"""Help about settings as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from cellseg1.settings.recipes import make_settings
from cellseg1.settings.rows import TABLE, Use, acts_in, describe_range
from cellseg1.settings.whole import Settings


def help_table(groups: Iterable[str], settings: Settings | None = None, use: Use | None = None) -> str:
    """Describe the settings of some groups as indented text with defaults, ranges and units, for ``--help``.

    With `use`, only settings that have an effect there.
    """
    shown = settings or make_settings()
    lines: list[str] = []
    for group in groups:
        lines.append(f"{group}:")
        for row in TABLE.values():
            if row.group != group or (use is not None and not acts_in(row.name, use)):
                continue
            unit = f" {row.unit}" if row.unit else ""
            text = f"{row.help} [{_shown(shown[row.name])}{unit}; {row.allowed}{describe_range(row.told)}]"
            lines.append(f"  {row.name}")
            lines.extend(textwrap.wrap(text, 96, initial_indent="      ", subsequent_indent="      "))
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)
