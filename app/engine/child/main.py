"""The engine: the main function of a child process.

The window imports this module at its start, so it imports neither Qt nor torch at the top; the work imports torch
inside functions.  An engine ends when its connection closes, for whatever reason.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

from ..messages import Done, EngineOptions, Failed, PredictRequest, Progress, Ready, TrainRequest
from .answers import answer
from .channel import Channel
from .failure import crash_report, explain

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from types import FrameType

    from ..messages import Request


def main(connection: Connection, options: EngineOptions) -> None:
    """Run an engine: the entry point of the child process."""
    code = 1
    try:
        _prepare(options)
        work(connection, options)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        # A regular exit of an interpreter with torch takes seconds, while its memory stays in use.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def work(connection: Connection, options: EngineOptions) -> None:
    """Answer requests until the job is done or the connection closes."""
    channel = Channel(connection, options.role)
    channel.send(0, Ready(os.getpid()))
    if options.role == "interactive":
        from .clicks import serve

        serve(channel, options)
        return
    entry = channel.next()
    if entry is not None:
        number, request = entry
        channel.send(number, run_job(channel, number, request, options))


def run_job(channel: Channel, number: int, request: Request, options: EngineOptions) -> Done | Failed:
    """Do one job from beginning to end; every error becomes a `Failed`."""
    folder = getattr(request, "run_folder", None)
    try:
        with crash_report(folder):
            return _run(channel, number, request, options)
    except Exception as error:  # noqa: BLE001 - every error must reach the window
        return explain(error)


def _run(channel: Channel, number: int, request: Request, options: EngineOptions) -> Done | Failed:
    if isinstance(request, (TrainRequest, PredictRequest)):
        # Importing torch takes seconds, from a slow disk a minute, before the job reports anything.
        channel.send(number, Progress(0.0, "Loading libraries"))
    match request:
        case TrainRequest():
            from .train import train_job

            return train_job(channel, number, request, options)
        case PredictRequest():
            from .predict import predict_job

            return predict_job(channel, number, request, options)
    return Done(answer(request))


def _prepare(options: EngineOptions) -> None:
    """Lower the priority, and ignore Ctrl+C, since the window ends this process."""
    import warnings

    from ...base.places import cache_folder

    # Otherwise torch makes a folder for compiled code in the shared temporary folder.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "torch"))
    # Libraries warn about their own internals; nobody reads the output of an engine.
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.suppress(Exception):
        _lower_priority(options.nice)


def _leave(_number: int, _frame: FrameType | None) -> None:
    # An exception removes incomplete files.
    raise SystemExit(143)


def _lower_priority(nice: int) -> None:
    import psutil

    if sys.platform == "win32":
        if nice > 5:
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(nice)
