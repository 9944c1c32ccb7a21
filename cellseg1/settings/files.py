"""Settings as text: the flat YAML of the research code, and ``name=value``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cellseg1.errors import SettingsError
from cellseg1.regular import open_regular
from cellseg1.settings.rows import Use, acts_in, clipped, find_row
from cellseg1.settings.whole import Settings, flattened


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a settings file, flat as the published ones or with groups; every key is checked.

    Raises
    ------
    SettingsError
        When the file cannot be read, holds no table, or an unknown key or a wrong value.
    """
    from cellseg1 import plain_yaml

    try:
        with open_regular(path) as stream:
            data = stream.read(plain_yaml.MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"Cannot read the settings file {path}: {error.strerror}. Check its name.") from error
    try:
        content = plain_yaml.load(data)
    except ValueError as error:
        raise SettingsError(f"The settings file {path} is not valid YAML: {error}.") from error
    if not isinstance(content, dict):
        raise SettingsError(f"The settings file {path} must hold lines of the form 'name: value'.")
    try:
        values = {key: find_row(key).checked(value) for key, value in flattened(content).items()}
        Settings().replace(**values)
    except SettingsError as error:
        raise SettingsError(f"In {path}: {error}") from error
    return values


def parse_assignments(items: Iterable[str], use: Use | None = None) -> dict[str, Any]:
    """Read ``name=value`` or ``group.name=value`` texts as given with ``--set``.

    Values are written as in YAML: none, true, [1, 2], 0.5.

    Parameters
    ----------
    use
        Refuse settings without an effect in this use: ``predict`` those of a training only, and the reverse.

    Raises
    ------
    SettingsError
        When a text has no ``=``, or the setting is unknown, has no effect here, or has an invalid value.
    """
    from cellseg1 import plain_yaml

    values: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals:
            raise SettingsError(f"{clipped(item)} is not a setting; write it as name=value.")
        try:
            value = None if text.strip().lower() == "none" else plain_yaml.load(text.encode("utf-8", "replace"))
        except ValueError:
            value = text
        row = find_row(key.strip())
        name = row.name
        values[name] = row.checked(value)
        if use is not None and not acts_in(name, use):
            where = "prediction" if use == "predict" else "training"
            raise SettingsError(f"The setting {name} does nothing in a {where}; leave it out.")
    return values
