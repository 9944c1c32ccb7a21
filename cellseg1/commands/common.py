"""Shared parts of the commands: options, settings, messages, results, a progress bar."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellseg1.errors import SettingsError
from cellseg1.settings import DEFAULT_BACKBONE, DEFAULT_RECIPE, Use, help_table
from cellseg1.text import json_text, terminal_text

if TYPE_CHECKING:
    from cellseg1.prediction.job import PredictProgress
    from cellseg1.training.trainer import TrainProgress

#: More than any computer has cores; far more threads make the system end the program.
_MOST_THREADS = 1024


Commands = Any  # argparse has no public name for the object that collects subcommands


def command(
    commands: Commands,
    name: str,
    text: str,
    run: Callable[[argparse.Namespace, Callable[[], bool]], int],
    groups: Sequence[str] = (),
    use: Use | None = None,
) -> argparse.ArgumentParser:
    """Add a command that calls `run`; its help lists the settings of `groups` that apply in `use`."""
    epilog = f"Settings for --set NAME=VALUE (defaults of the {DEFAULT_RECIPE} recipe with {DEFAULT_BACKBONE}):\n\n"
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog + help_table(groups, use=use) if groups else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors and the result")
    return parser


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add --set, --device and --threads."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, also as GROUP.NAME=VALUE (repeatable)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads to use (default: all cores)")


def number_of(text: str) -> float:
    """Parse a number in either decimal notation."""
    from cellseg1.numbers import read_number

    try:
        return read_number(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def path_of(text: str) -> Path:
    """Parse the name of a file or folder."""
    # Path("") is the current folder; an empty name usually comes from an unset variable.
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(text)


def use_threads(options: argparse.Namespace) -> None:
    """Set the number of CPU threads as --threads says."""
    if options.threads is not None and options.threads < 1:
        raise SettingsError(f"--threads cannot be {options.threads}: it must be at least 1.")
    if options.threads is not None and options.threads > _MOST_THREADS:
        raise SettingsError(f"--threads cannot be {options.threads}: it must be at most {_MOST_THREADS}.")
    from cellseg1.sam.device import quiet_cpu

    quiet_cpu(options.threads)


def say_to(options: argparse.Namespace) -> Callable[[str], None]:
    """Return a function that prints a sentence for the user, unless --quiet."""

    def say(sentence: str) -> None:
        if not options.quiet:
            sys.stderr.write(f"{terminal_text(sentence)}\n")

    return say


def tell_error(sentence: str) -> None:
    """Print an error."""
    sys.stderr.write(f"cellseg1: {terminal_text(sentence)}\n")


def tell_result(options: argparse.Namespace, values: Any, text: str) -> None:
    """Print the result: `values` as JSON with --json, else `text`."""
    shown = json_text(values, indent=1) if options.json else terminal_text(text)
    with contextlib.suppress(AttributeError, ValueError):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    sys.stdout.write(f"{shown}\n")


def add_pieces(parser: argparse.ArgumentParser) -> None:
    """Add --mask-pieces."""
    parser.add_argument(
        "--mask-pieces",
        choices=("auto", "split", "keep"),
        default="auto",
        help="separate pieces of one id or colour in a mask are separate cells (split) or one cell (keep); "
        "auto splits them where a few ids have many pieces, and says so (default: auto)",
    )


def add_channels(parser: argparse.ArgumentParser) -> None:
    """Add --channels."""
    parser.add_argument(
        "--channels",
        metavar="NAME|N,...",
        help="the channels that the network sees, one to three names or numbers from 0, such as DAPI,2; "
        "a name that holds a comma in double quotes: '\"DAPI, nuclei\",2'",
    )


class Bar:
    """A progress bar on a terminal; silent elsewhere."""

    def __init__(self, options: argparse.Namespace, unit: str) -> None:
        self._bar: Any = None
        self._wanted = not options.quiet and sys.stderr.isatty()
        self._unit = unit

    def show(self, done: float, total: float, text: str) -> None:
        """Move to `done` of `total`."""
        if not self._wanted:
            return
        if self._bar is None:
            from tqdm import tqdm

            form = "{percentage:3.0f}%|{bar}| {desc}"
            self._bar = tqdm(total=total, unit=self._unit, bar_format=form, file=sys.stderr, leave=True)
        self._bar.total = total
        self._bar.n = done
        self._bar.set_description_str(text, refresh=True)

    def train(self, progress: TrainProgress) -> None:
        """Show a training's progress."""
        left = duration(progress.seconds_left)
        text = f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.4f}, {left} left"
        self.show(progress.step, progress.steps, text)

    def predict(self, progress: PredictProgress) -> None:
        """Show a prediction's progress."""
        text = f"{progress.name}, {duration(progress.seconds_left)} left"
        self.show(progress.index + progress.share, progress.count, text)

    def close(self) -> None:
        """End the line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def duration(seconds: float) -> str:
    """Format a duration: ``2 min 05 s``."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"
