"""The commands of ``cellseg1``, one file each, in the order of its help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellseg1.commands import backbone, demo, doctor, evaluate, measure, model, predict, train

if TYPE_CHECKING:
    from cellseg1.commands.common import Commands


def add_all(commands: Commands) -> None:
    """Add every command to the parser."""
    for one in (demo, train, predict, evaluate, measure, model, backbone, doctor):
        one.add(commands)
