"""The one entry of the frozen program: the window, the command `cellseg1`, and every engine process.

One executable is enough on Linux, where `cellseg1` is a link to it; on Windows a windowed and a console executable
start the same script.  Which one is meant is told by the name under which it was started.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

# The classes that travel to an engine must be importable before `freeze_support` takes over.
from app.engine.child import main as child  # noqa: F401

COMMAND = "cellseg1"


def is_command(program: str) -> bool:
    """Whether the program was started under the name of the command, on any system."""
    return Path(program).name.lower().removesuffix(".exe") == COMMAND


def main() -> int:
    """Be what the name says; returns the exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # A windowed program on Windows has no output, and libraries write to it all the same.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open until the end
    multiprocessing.freeze_support()
    # Windows passes no name that can be trusted, but there the two programs are two files.
    if is_command(sys.executable if sys.platform == "win32" else sys.argv[0]):
        from cellseg1.cli import main as command

        return command()
    from app.__main__ import main as window

    return window()


if __name__ == "__main__":
    sys.exit(main())
