"""Start of the window: ``python -m app`` or ``cellseg1-studio``.

Child processes import this module again (multiprocessing *spawn*), so its top imports nothing of Qt: the engine must
not carry Qt, and on Windows torch cannot be loaded after it (docs/decisions/0001-library-and-window.md).
"""

from __future__ import annotations

import multiprocessing
import sys

from .engine.child import main as child  # noqa: F401 - the frozen program finds the engine's entry through this import


def main(arguments: list[str] | None = None) -> int:
    """Run the window until it is closed; returns the exit code."""
    multiprocessing.freeze_support()
    from .shell.application import parse, run

    options = parse(sys.argv[1:] if arguments is None else arguments)
    if options.self_test is not None:
        from .selftest.run import run_self_test

        return run_self_test(options)
    return run(options)


if __name__ == "__main__":
    multiprocessing.freeze_support()
    sys.exit(main())
