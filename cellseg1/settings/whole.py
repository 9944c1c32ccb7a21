"""All settings of a training and a prediction together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cellseg1.errors import SettingsError
from cellseg1.settings.groups import (
    Augmentation,
    Data,
    Environment,
    Files,
    Input,
    Log,
    Loss,
    Network,
    Points,
    Prediction,
    Selection,
    Switches,
    Training,
)
from cellseg1.settings.rows import TABLE, clipped, find_row


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings, in groups; immutable, checked on construction (`SettingsError`).

    The names are unique over all groups, so that published flat files and ``name=value`` need no group;
    `flat`, `replace` and ``settings[name]`` translate between the two.

    Examples
    --------
    >>> from cellseg1.settings import Settings
    >>> settings = Settings().replace(epoch_max=20)
    >>> settings.training.epoch_max, settings["epoch_max"]
    (20, 20)
    """

    environment: Environment = msgspec.field(default_factory=Environment)
    files: Files = msgspec.field(default_factory=Files)
    data: Data = msgspec.field(default_factory=Data)
    input: Input = msgspec.field(default_factory=Input)
    training: Training = msgspec.field(default_factory=Training)
    network: Network = msgspec.field(default_factory=Network)
    points: Points = msgspec.field(default_factory=Points)
    augmentation: Augmentation = msgspec.field(default_factory=Augmentation)
    loss: Loss = msgspec.field(default_factory=Loss)
    prediction: Prediction = msgspec.field(default_factory=Prediction)
    selection: Selection = msgspec.field(default_factory=Selection)
    log: Log = msgspec.field(default_factory=Log)
    switches: Switches = msgspec.field(default_factory=Switches)

    def __getitem__(self, name: str) -> Any:
        """Return the value of one setting by its name."""
        return getattr(getattr(self, TABLE[name].group), name)

    def flat(self) -> dict[str, Any]:
        """All values by name, without groups."""
        return {name: self[name] for name in TABLE}

    def to_dict(self) -> dict[str, Any]:
        """All values by name as plain JSON types, for model files and records of runs."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.flat().items()}

    def replace(self, **changes: Any) -> Settings:
        """Return a copy with some settings changed; checks them (`SettingsError`)."""
        by_group: dict[str, dict[str, Any]] = {}
        for name, value in changes.items():
            row = find_row(name)
            by_group.setdefault(row.group, {})[row.name] = value
        groups = msgspec.structs.asdict(self)
        for group, few in by_group.items():
            # Constructed, because structs.replace checks nothing in some versions of msgspec.
            groups[group] = type(groups[group])(**{**msgspec.structs.asdict(groups[group]), **few})
        return Settings(**groups)


#: Names of the groups, in the order of the table.
GROUPS: tuple[str, ...] = Settings.__struct_fields__


def flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by name from a table that may hold groups as well: ``{"points": {"pos_rate": 0.5}}``.

    Raises
    ------
    SettingsError
        When a group is no table, or a setting is given twice.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key)
        if name not in GROUPS:
            inside = {name: value}
        elif isinstance(value, Mapping):
            inside = {f"{name}.{one}": inner for one, inner in value.items()}
        else:
            raise SettingsError(
                f"The group of settings {name} cannot be {clipped(value)}: it must hold names and values."
            )
        for one, inner in inside.items():
            plain = find_row(one).name if "." in one else one
            if plain in found:
                raise SettingsError(f"The setting {plain} is given twice; leave out one of them.")
            found[plain] = inner
    return found


def settings_from_dict(values: Mapping[str, Any]) -> Settings:
    """Build settings from `Settings.to_dict` output, or from groups of them.

    Keys of newer versions are ignored; missing ones get their default.
    """
    known = {
        key: {name: one for name, one in value.items() if name in TABLE}
        if key in GROUPS and isinstance(value, Mapping)
        else value
        for key, value in values.items()
        if key in TABLE or key in GROUPS
    }
    return Settings().replace(**flattened(known))
