"""The thread in the window that owns one engine: starts it, passes requests and answers on, and sees it end."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, QObject, QThread, Signal

from .arrays import release, share
from .child import main as child
from .messages import Encode, EngineOptions, Failed, Heartbeat, Preview, Progress, Quit, Ready, Say

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from multiprocessing.shared_memory import SharedMemory

    from numpy.typing import NDArray

    from .messages import Request

#: Time between a polite and a hard end, and how long an engine may take to leave after its last word.
_HARD_SECONDS, _LEAVE_SECONDS = 2.0, 5.0
#: Answers after which more answers to the same request follow.
_GOES_ON = (Progress, Say, Preview)


@dataclass(frozen=True, slots=True)
class Exit:
    """How an engine ended.

    Attributes
    ----------
    code
        Exit code, negative for a signal; None when it could not be started.
    silent
        Seconds since it was last heard.
    ended_by_us
        Whether the window ended it the hard way.
    details
        Traceback of what went wrong on this side.
    """

    code: int | None
    silent: float = 0.0
    ended_by_us: bool = False
    details: str = ""


class Link(QThread):
    """One engine.  Everything that may wait (starting, sending, ending) happens in the thread, never in the window.

    Signals
    -------
    answered(int, object)
        Number of the request and the answer.
    gone(object)
        The last one: an `Exit`.
    """

    answered = Signal(int, object)
    gone = Signal(object)

    def __init__(self, options: EngineOptions, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"engine-{options.role}")
        self.pid: int | None = None
        self.heard = time.monotonic()
        self.begun = threading.Event()
        self._options = options
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()
        self._outbox: deque[tuple[int, Request, NDArray[Any] | None]] = deque()
        self._woken, self._waker = self._context.Pipe(duplex=False)
        self._awake = False
        self._closed = False
        self._soft_end: float | None = None
        self._hard_end: float | None = None
        self._ended_by_us = False
        self._shared: dict[int, SharedMemory] = {}

    # ---- called by the window

    def post(self, number: int, request: Request, array: NDArray[Any] | None = None) -> None:
        """Send a request, with the pixels of an `Encode`; nothing happens when the engine has ended."""
        with self._lock:
            if not self._closed:
                self._outbox.append((number, request, array))
                self._wake()

    def shutdown(self, grace: float) -> None:
        """Ask the engine to end; after `grace` seconds it is terminated, and killed when that does not help."""
        with self._lock:
            if not self._closed:
                self._outbox.append((0, Quit(), None))
                self._end_by(time.monotonic() + grace)
                self._wake()

    def terminate_in(self, seconds: float) -> None:
        """Terminate the engine after so many seconds, unless it has ended by then."""
        with self._lock:
            if not self._closed:
                self._end_by(time.monotonic() + seconds)
                self._wake()

    def kill(self) -> None:
        """Kill the engine at once."""
        with self._lock:
            if not self._closed:
                self._soft_end = self._hard_end = time.monotonic()
                self._wake()

    def _end_by(self, when: float) -> None:
        if self._soft_end is None or when < self._soft_end:
            self._soft_end, self._hard_end = when, when + _HARD_SECONDS

    def _wake(self) -> None:
        # One message is enough until it is read; more could fill the pipe and make the window wait.
        if not self._awake:
            self._awake = True
            self._waker.send_bytes(b"w")

    # ---- the thread

    def run(self) -> None:
        """Serve the engine from its start to its end."""
        exit_: Exit
        try:
            exit_ = self._serve()
        except Exception:  # noqa: BLE001 - the window must learn of it, whatever it is
            exit_ = Exit(None, details=traceback.format_exc())
        self.begun.set()
        with self._lock:
            self._closed = True
            self._woken.close()
            self._waker.close()
        for memory in self._shared.values():
            release(memory)
        self._shared.clear()
        self.gone.emit(exit_)

    def _serve(self) -> Exit:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=child.main, args=(theirs, self._options), name=f"cellseg1-{self._options.role}", daemon=True
        )
        try:
            try:
                process.start()
            finally:
                theirs.close()
            self.pid = process.pid
            self.heard = time.monotonic()
            self.begun.set()
            self._talk(process, ours)
            process.join()
            return Exit(process.exitcode, time.monotonic() - self.heard, self._ended_by_us)
        finally:
            ours.close()
            if process.pid is not None:
                if process.is_alive():
                    process.kill()
                process.join()
                process.close()

    def _talk(self, process: SpawnProcess, connection: Connection) -> None:
        """Pass messages until the process has ended and everything it said was read."""
        talking = True
        while True:
            waiting: list[Any] = [process.sentinel, self._woken]
            if talking:
                waiting.append(connection)
            ready = wait(waiting, self._timeout())
            if self._woken in ready:
                self._woken.recv_bytes()
                with self._lock:
                    self._awake = False
            if talking:
                self._send_all(connection)
            if talking and (connection in ready or process.sentinel in ready):
                talking = self._receive(connection)
                if not talking:
                    # It said its last word; torch may take a moment to leave.
                    self._leave_soon()
            if process.sentinel in ready and not (talking and _has_more(connection)):
                return
            self._enforce(process)

    def _timeout(self) -> float | None:
        with self._lock:
            ends = [when for when in (self._soft_end, self._hard_end) if when is not None]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _leave_soon(self) -> None:
        with self._lock:
            if self._soft_end is None:
                self._end_by(time.monotonic() + _LEAVE_SECONDS)

    def _enforce(self, process: SpawnProcess) -> None:
        now = time.monotonic()
        with self._lock:
            soft, hard = self._soft_end, self._hard_end
            soft_due = soft is not None and now >= soft
            hard_due = hard is not None and now >= hard
            if soft_due:
                self._soft_end = None
            if hard_due:
                self._hard_end = None
        if hard_due:
            self._ended_by_us = True
            process.kill()
        elif soft_due:
            self._ended_by_us = True
            process.terminate()

    def _send_all(self, connection: Connection) -> None:
        while True:
            with self._lock:
                if not self._outbox:
                    return
                number, request, array = self._outbox.popleft()
            if isinstance(request, Encode) and array is not None:
                reference, memory = share(array)
                if memory is not None:
                    self._shared[number] = memory
                request = replace(request, pixels=reference)
            # An engine that has died in between is noticed by its sentinel.
            with contextlib.suppress(OSError):
                connection.send((number, request))

    def _receive(self, connection: Connection) -> bool:
        """Read what has come; False when there will be no more."""
        try:
            while connection.poll():
                number, answer = connection.recv()
                self.heard = time.monotonic()
                if isinstance(answer, Heartbeat):
                    continue
                if not isinstance(answer, (*_GOES_ON, Ready)) and number in self._shared:
                    release(self._shared.pop(number))
                self.answered.emit(number, answer)
        except (EOFError, OSError):
            return False
        return True


def _has_more(connection: Connection) -> bool:
    try:
        return connection.poll()
    except (EOFError, OSError):
        return False


def describe_exit(end: Exit, kind: str) -> Failed:
    """Say why an engine ended without an answer."""
    translate = QCoreApplication.translate
    if end.code is None:
        sentence = translate(
            "Engines", "The engine could not be started. Nothing you drew was lost; start the program again."
        )
        return Failed(sentence, end.details)
    if sys.platform != "win32" and end.code == -signal.SIGKILL:
        sentence = translate(
            "Engines", "The engine was ended by the system, perhaps because the memory of this computer was full."
        )
    else:
        sentence = translate("Engines", "The engine stopped unexpectedly.")
    what = {
        "train": translate("Engines", "Nothing you drew was lost; the training can be resumed."),
        "predict": translate("Engines", "Nothing you drew was lost, and the images that are done are kept."),
    }.get(kind, translate("Engines", "Nothing you drew was lost; try again."))
    name = ""
    if end.code < 0:
        try:
            name = f" ({signal.Signals(-end.code).name})"
        except ValueError:
            name = ""
    details = f"Exit code {end.code}{name}; last heard {end.silent:.1f} s before its end. {end.details}".rstrip()
    return Failed(f"{sentence} {what}", details)
