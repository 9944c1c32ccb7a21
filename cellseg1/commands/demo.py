"""``cellseg1 demo``: train, predict and evaluate on the sample project."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from cellseg1.commands.common import (
    Bar,
    Commands,
    add_settings,
    command,
    duration,
    path_of,
    say_to,
    tell_result,
    use_threads,
)
from cellseg1.settings import parse_assignments


def add(commands: Commands) -> None:
    """Add the command and its options."""
    parser = command(commands, "demo", "Do the main job on the sample project.", _demo)
    parser.add_argument("--out", type=path_of, default=Path("cellseg1-demo"), help="folder of the results")
    add_settings(parser)


def _demo(options: argparse.Namespace, stop: Callable[[], bool]) -> int:
    from cellseg1.demo import run_demo

    use_threads(options)
    bar = Bar(options, "step")
    try:
        result = run_demo(
            options.out,
            overrides=parse_assignments(options.set),
            device=options.device,
            train_progress=bar.train,
            stop=stop,
            say=say_to(options),
        )
    finally:
        bar.close()
    text = f"{result.table()}\n\nTook {duration(result.seconds)}. Label images and overlays: {result.folder}"
    tell_result(options, result.to_dict(), text)
    return 0
