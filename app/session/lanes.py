"""Lanes: threads for long work, whose results are delivered in the window's thread."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

import shiboken6
from PySide6.QtCore import QObject, QTimer, Signal

from cellseg1.errors import CellSeg1Error

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

log = logging.getLogger(__name__)
#: Longer tasks may hang (an unreachable file server); another thread then takes the waiting tasks.
PATIENCE = 5.0
#: Most threads, including hanging ones.
_MOST = 32
_LOOK_MS = 1000


class Newest:
    """Keeps only the answer to the newest question, and none after `drop`.

    It is passed with the question (`Lane.run`), so the caller needs no counter.
    """

    def __init__(self) -> None:
        self._number = 0

    def drop(self) -> None:
        """Drop the answers to all earlier questions."""
        self._number += 1

    def asked(self) -> Callable[[], bool]:
        """Register a new question; return a function that tells whether its answer is still wanted."""
        self.drop()
        return self.current()

    def current(self) -> Callable[[], bool]:
        """Return a function that tells whether the newest question is still the newest."""
        mine = self._number
        return lambda: mine == self._number


class Errand:
    """A task for a thread, with the handler of its answer.

    Its functions, answer and error may reference widgets.  `deliver` releases all of them in the window's thread, even
    if something still references the errand.
    """

    __slots__ = ("_answered", "_done", "_error", "_failed", "_result", "_wanted", "_work")

    def __init__(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], object],
        failed: Callable[[BaseException], None],
        answered: Callable[[Errand], None],
        wanted: Callable[[], bool] | None = None,
    ) -> None:
        self._work: Callable[[], Any] | None = work
        self._done: Callable[[Any], object] | None = done
        self._failed: Callable[[BaseException], None] | None = failed
        self._answered: Callable[[Errand], None] | None = answered
        self._wanted = wanted
        self._result: Any = None
        self._error: BaseException | None = None

    def __call__(self) -> None:
        """Run the task; in the thread."""
        assert self._work is not None
        assert self._answered is not None
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - every error is delivered to the window
            self._error = error
        self._answered(self)

    def deliver(self) -> None:
        """Deliver the answer; in the window's thread."""
        done, failed, result, error, wanted = self._done, self._failed, self._result, self._error, self._wanted
        self._work = self._done = self._failed = self._answered = self._result = self._error = self._wanted = None
        if _is_gone(done):
            return
        if error is not None and failed is not None:
            failed(error)
        elif done is not None and (wanted is None or wanted()):
            done(result)


def _is_gone(done: Any) -> bool:
    """Tell whether the receiving widget is gone, such as a closed dialog."""
    owner = getattr(done, "__self__", None)
    return isinstance(owner, QObject) and not shiboken6.isValid(owner)


class Crew:
    """Threads that take tasks from a queue.

    A read from an unreachable file server cannot be cancelled.  So a thread that has been busy for `PATIENCE` is
    replaced by another, and abandoned at the end of the program.

    Parameters
    ----------
    size
        Number of threads, without hanging ones.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        #: Start of each thread's current task; None while idle.
        self._threads: dict[threading.Thread, float | None] = {}
        self._closed = False

    @property
    def waiting(self) -> int:
        """Number of tasks that have not started."""
        with self._changed:
            return len(self._waiting)

    def submit(self, task: Callable[[], None]) -> None:
        """Queue a task, which must not raise."""
        with self._changed:
            if self._closed:
                return
            self._waiting.append(task)
            self._hire()
            self._changed.notify()

    def look(self) -> None:
        """Start another thread if one is needed because some hang."""
        with self._changed:
            self._hire()

    def _hire(self) -> None:
        late = time.monotonic() - PATIENCE
        idle = sum(since is None for since in self._threads.values())
        working = sum(since is not None and since > late for since in self._threads.values())
        for _ in range(min(len(self._waiting) - idle, self._size - idle - working, _MOST - len(self._threads))):
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads[thread] = None
            thread.start()

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._changed:
                self._threads[me] = None
                # A replaced thread ends after its task.
                if self._closed or (not self._waiting and len(self._threads) > self._size):
                    del self._threads[me]
                    self._changed.notify_all()
                    return
                if not self._waiting:
                    self._changed.wait()
                    continue
                task = self._waiting.popleft()
                self._threads[me] = time.monotonic()
            task()
            del task

    def close(self, seconds: float) -> bool:
        """Drop waiting tasks and wait for running ones up to a time; False when some still run."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            threads = list(self._threads)
            self._changed.notify_all()
        end = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)


class Lane(QObject):
    """Threads for one kind of work; a hanging task blocks no other lane.

    Signals
    -------
    problem(str, str)
        A task failed: sentence and details.

    Parameters
    ----------
    threads
        Number of parallel tasks.
    seconds
        Longest wait for running tasks at the end.
    """

    problem = Signal(str, str)
    _answered = Signal(object)

    def __init__(self, threads: int, name: str, parent: QObject | None = None, *, seconds: float = 30.0) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._crew = Crew(threads, name)
        self._seconds = seconds
        self._look = QTimer(self, interval=_LOOK_MS)
        self._look.timeout.connect(self._look_after)
        #: Undelivered errands, kept in this thread so that their objects are not freed in another.
        self._open: set[Errand] = set()
        self._answered.connect(self._deliver)

    def run(
        self,
        work: Callable[[], T],
        done: Callable[[T], object],
        name: str = "",
        failed: Callable[[], None] | None = None,
        *,
        newest: Newest | None = None,
    ) -> None:
        """Run `work` in a thread, then ``done(result)`` in this one.

        Parameters
        ----------
        name
            Name of the task in the sentence about an unexpected error.
        failed
            Called before an error becomes `problem`.
        newest
            The answer is dropped when a later question used the same `Newest`.
        """

        def tell(error: BaseException) -> None:
            if failed is not None:
                failed()
            self._tell_problem(error, name)

        errand = Errand(work, done, tell, self._tell, None if newest is None else newest.asked())
        self._open.add(errand)
        self._crew.submit(errand)
        self._look.start()

    def _tell_problem(self, error: BaseException, name: str) -> None:
        details = "".join(traceback.format_exception(error))
        if isinstance(error, CellSeg1Error):
            self.problem.emit(str(error), details)
            return
        log.error("%s", details)
        what = name or self.tr("The work in the background")
        self.problem.emit(self.tr("{what} failed: {why}").format(what=what, why=error), details)

    def _tell(self, errand: Errand) -> None:
        """Send an errand back; in the thread.  After the end of the program there is no receiver."""
        with contextlib.suppress(RuntimeError):
            self._answered.emit(errand)

    def _look_after(self) -> None:
        self._crew.look()
        if not self._crew.waiting:
            self._look.stop()

    def _deliver(self, errand: Errand) -> None:
        if errand in self._open:
            self._open.discard(errand)
            errand.deliver()

    def close(self) -> None:
        """Wait a limited time for running tasks, and drop the others."""
        self._look.stop()
        if not self._crew.close(self._seconds):
            log.warning("left behind what does not end: %s", self.objectName())
            # Hanging threads still use theirs.
            _left_behind.extend(self._open)
        self._open.clear()


#: Errands of hanging threads, kept so that they are not freed there.
_left_behind: list[Errand] = []
