"""``cellseg1 doctor``: report what this computer supports."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from cellseg1.commands.common import Commands, command, tell_result


def add(commands: Commands) -> None:
    """Add the command and its options."""
    command(commands, "doctor", "Tell what this computer can do, and why something is not used.", _doctor)


def _doctor(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.doctor import describe, examine

    report = examine()
    tell_result(options, report, describe(report))
    return 0
