"""The engine: the main function of a child process, and its end of the connection.

The window's own start imports this module first, so it imports neither Qt nor torch; the work does, inside its
functions.  An engine ends when its connection closes, whatever became of the window.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import sys
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

from app.engine.messages import (
    Done,
    EngineOptions,
    ExamineRequest,
    Failed,
    Heartbeat,
    ImportModelRequest,
    PredictRequest,
    Progress,
    Quit,
    Ready,
    Stop,
    TrainRequest,
)
from cellseg1.errors import CellSeg1Error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path
    from types import FrameType

    from app.engine.messages import Answer, Request

#: Time for the last checkpoint after the window has gone.
_LAST_SECONDS = 2.0
_HEARTBEAT_SECONDS = 1.0
#: Where a crash of a compiled library is described, in the run's folder.
CRASH = "crash.txt"


class Channel:
    """The engine's end of the connection: a thread that listens, a thread for the heartbeat, and a lock for sending.

    Attributes
    ----------
    stop
        Set when the job shall end.
    lost
        Set when the window has gone.
    at_loss
        Called before the process ends because the window has gone.
    """

    def __init__(self, connection: Connection, role: str) -> None:
        self.stop = threading.Event()
        self.lost = threading.Event()
        self.at_loss: list[Any] = []
        self._connection = connection
        self._role = role
        self._sending = threading.Lock()
        self._inbox: deque[tuple[int, Request]] = deque()
        self._arrived = threading.Condition()
        self._over = False
        for task in (self._listen, self._beat):
            threading.Thread(target=task, name=task.__name__.strip("_"), daemon=True).start()

    def send(self, number: int, answer: Answer) -> None:
        """Send an answer; when nobody listens any more it is dropped."""
        with self._sending, contextlib.suppress(OSError, ValueError):
            self._connection.send((number, answer))

    def next(self) -> tuple[int, Request] | None:
        """Wait for the next request; None when there will be none."""
        with self._arrived:
            while not self._inbox and not self._over:
                self._arrived.wait()
            return None if self._over else self._inbox.popleft()

    def waiting(self) -> list[Request]:
        """Return the requests that have come and were not taken yet."""
        with self._arrived:
            return [request for _, request in self._inbox]

    def _listen(self) -> None:
        while True:
            try:
                number, request = self._connection.recv()
            except (EOFError, OSError):
                break
            if isinstance(request, Stop):
                self.stop.set()
                continue
            if isinstance(request, Quit):
                self.stop.set()
                self._finish()
                continue
            with self._arrived:
                self._inbox.append((number, request))
                self._arrived.notify_all()
        self.lost.set()
        self.stop.set()
        self._finish()
        if self._role == "job":
            time.sleep(_LAST_SECONDS)
        for task in self.at_loss:
            task()
        os._exit(3)

    def _finish(self) -> None:
        with self._arrived:
            self._over = True
            self._arrived.notify_all()

    def _beat(self) -> None:
        while not self.lost.wait(_HEARTBEAT_SECONDS):
            self.send(0, Heartbeat(time.time()))


def main(connection: Connection, options: EngineOptions) -> None:
    """Be an engine: what the child process runs, and its end."""
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
        # An interpreter with torch in it takes seconds to leave in good order, and holds its memory meanwhile.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def work(connection: Connection, options: EngineOptions) -> None:
    """Answer requests until the job is done or the connection closes."""
    channel = Channel(connection, options.role)
    channel.send(0, Ready(os.getpid()))
    if options.role == "interactive":
        from app.engine.child.clicks import serve

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
    except Exception as error:  # noqa: BLE001 - whatever it is, the window must hear of it
        return explain(error)


@contextlib.contextmanager
def crash_report(folder: Path | None) -> Iterator[None]:
    """Let a crash inside a compiled library write where it happened into the run's folder; nothing stays otherwise."""
    import faulthandler

    path = None if folder is None else folder / CRASH
    try:
        if folder is not None:
            folder.mkdir(exist_ok=True)
        stream = None if path is None else path.open("w", encoding="utf-8")
    except OSError:
        stream = None
    if stream is None or path is None:
        yield
        return
    with stream:
        faulthandler.enable(stream)
        try:
            yield
        finally:
            faulthandler.disable()
    with contextlib.suppress(OSError):
        path.unlink()


def _run(channel: Channel, number: int, request: Request, options: EngineOptions) -> Done | Failed:
    if isinstance(request, (TrainRequest, PredictRequest)):
        # torch takes seconds, and from a slow disk a minute, before the job has a word of its own.
        channel.send(number, Progress(0.0, "Loading libraries"))
    match request:
        case TrainRequest():
            from app.engine.child.train import train_job

            return train_job(channel, number, request, options)
        case PredictRequest():
            from app.engine.child.predict import predict_job

            return predict_job(channel, number, request, options)
    return Done(answer(request))


def answer(request: Request) -> dict[str, Any]:
    """Answer a request that needs no progress."""
    match request:
        case ExamineRequest():
            from cellseg1.doctor import examine

            return examine()
        case ImportModelRequest():
            from app.engine.child.predict import import_model

            return import_model(request)
    raise TypeError(f"An engine cannot do {type(request).__name__}.")


def explain(error: BaseException, doing: str = "") -> Failed:
    """Turn any error into a sentence for the user, with the traceback as details."""
    details = f"Python {platform.python_version()}, torch {_torch_version()}, {platform.platform()}\n" + "".join(
        traceback.format_exception(error)
    )
    what = f" while {doing}" if doing else ""
    if isinstance(error, CellSeg1Error):
        sentence = str(error)
    elif is_memory_error(error):
        sentence = (
            f"The memory of this computer or its GPU was not enough{what}. Nothing you drew was lost; close other "
            "programs, or use smaller images or a smaller backbone."
        )
    elif isinstance(error, OSError):
        where = "" if error.filename is None else f" {error.filename}"
        why = error.strerror or str(error)
        sentence = f"The file{where} cannot be used{what}: {why}. Nothing you drew was lost; check the file, try again."
    else:
        sentence = (
            f"Something went wrong inside the program{what}. Nothing you drew was lost; try again, and if it "
            "comes back, send us the details."
        )
    return Failed(sentence, details)


def is_memory_error(error: BaseException) -> bool:
    """Tell whether memory was full."""
    from cellseg1.memory import is_out_of_memory

    return is_out_of_memory(error)


def _torch_version() -> str:
    return str(getattr(sys.modules.get("torch"), "__version__", "not loaded"))


def _prepare(options: EngineOptions) -> None:
    """Lower the priority, and leave it to the window to end this process."""
    import warnings

    from app.base.places import cache_folder

    # Otherwise torch makes a folder for compiled code among everybody's temporary files.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "torch"))
    # Libraries warn about their own internals; nobody reads the output of an engine.
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.suppress(Exception):
        _lower_priority(options.nice)


def _leave(_number: int, _frame: FrameType | None) -> None:
    # An exception lets half-written files be removed.
    raise SystemExit(143)


def _lower_priority(nice: int) -> None:
    import psutil

    if sys.platform == "win32":
        if nice > 5:
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(nice)


def use_threads(options: EngineOptions) -> None:
    """Prepare the CPU, with the number of threads that was asked for."""
    from cellseg1.sam.device import quiet_cpu

    quiet_cpu(options.threads)
