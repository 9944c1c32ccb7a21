"""The ``cellseg1`` command; its subcommands are in `cellseg1.commands`.

Exit codes: 0 done; 1 stopped by the user, finished work is kept; 2 refused, or some images could not be used (one
sentence says why).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import logging.handlers
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import platformdirs

from cellseg1._version import __version__
from cellseg1.commands import add_all
from cellseg1.commands.common import tell_error
from cellseg1.errors import CellSeg1Error, StoppedError
from cellseg1.paper import command as paper
from cellseg1.trouble import explained, log_cause


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(argv)
    with _logging() as log_file:
        return _run(options, log_file)


def _run(options: argparse.Namespace, log_file: Path) -> int:
    try:
        with warnings.catch_warnings(), _stop_on_signals() as stop:
            # Libraries warn about their own internals; a user cannot act on that.
            warnings.simplefilter("ignore")
            return int(options.run(options, stop))
    except StoppedError as error:
        tell_error(str(error))
        return 1
    except CellSeg1Error as error:
        log_cause(error)
        tell_error(str(error))
        return 2
    except BrokenPipeError:
        return 1
    except OSError as error:
        logging.getLogger(__name__).info("A file could not be used", exc_info=error)
        where = "" if error.filename is None else f" {error.filename}"
        tell_error(f"Cannot use{where or ' a file'}: {error.strerror or error}. Check its name, or choose another.")
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets a sentence, and the log the rest
        tell_error(_unexpected(error, log_file))
        return 2


def _unexpected(error: Exception, log_file: Path) -> str:
    from cellseg1.memory import is_out_of_memory

    if isinstance(error, ImportError) and is_out_of_memory(error):
        return (
            "The memory that this process may use is not enough to load the program's libraries; raise its limit "
            "(ulimit -v unlimited), or close other programs."
        )
    if is_out_of_memory(error):
        return "The memory is not enough; close other programs, use smaller images, or --device cpu."
    return f"{explained(error, 'working on this command')} It is {log_file}."


class _Terminal(logging.StreamHandler[TextIO]):
    def filter(self, record: logging.LogRecord) -> bool:
        """Drop records with a traceback: the user has read their sentence already."""
        return not record.exc_info and super().filter(record) is not False


class _LogFile(logging.handlers.RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is of the logging module
        """Ignore a log that cannot be written."""


@contextlib.contextmanager
def _logging() -> Iterator[Path]:
    """Send warnings to the terminal, and every record with its traceback to a file made on first use."""
    path = Path(platformdirs.user_log_dir("CellSeg1", appauthor=False)) / "command.log"
    terminal = _Terminal(sys.stderr)
    terminal.setLevel(logging.WARNING)
    file = _LogFile(path, maxBytes=1_000_000, backupCount=1, encoding="utf-8", delay=True, errors="backslashreplace")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log = logging.getLogger("cellseg1")
    level = log.level
    log.setLevel(logging.INFO)
    for handler in (terminal, file):
        log.addHandler(handler)
    try:
        yield path
    finally:
        log.setLevel(level)
        for handler in (terminal, file):
            log.removeHandler(handler)
            handler.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cellseg1", description="Segment cells after training on one annotated image."
    )
    parser.add_argument("--version", action="version", version=f"cellseg1 {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_all(commands)
    paper.add_to(commands)
    return parser


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl+C (or a polite kill) came; a second Ctrl+C ends at once."""
    asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        sys.stderr.write("\nStopping after the current step; what is done is kept.\n")

    previous: dict[signal.Signals, Any] = {}
    with contextlib.suppress(ValueError):  # signals belong to the main thread; elsewhere there is nothing to catch
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
