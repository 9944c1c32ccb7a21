"""Lanes: threads for work that takes longer than a frame, whose answers come back into the window's thread."""

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
#: What takes longer may hang (a file server that is away): it does not keep what waits behind it any more.
PATIENCE = 5.0
#: Threads at most, with those that hang.
_MOST = 32
_LOOK_MS = 1000


class Newest:
    """Of several questions only the answer to the newest is wanted, and none after `drop`.

    It goes with the question (`Lane.run`); who asks needs no number of its own.
    """

    def __init__(self) -> None:
        self._number = 0

    def drop(self) -> None:
        """Want no answer to what was asked so far."""
        self._number += 1

    def asked(self) -> Callable[[], bool]:
        """Note a new question; what is returned tells whether its answer is still wanted."""
        self.drop()
        return self.current()

    def current(self) -> Callable[[], bool]:
        """Return what tells whether the newest question still is the newest."""
        mine = self._number
        return lambda: mine == self._number


class Errand:
    """Something to do in a thread, and what to do with the answer.

    Its functions hold widgets, and its answer or error may hold them too.  All of it is let go in the window's thread
    by `deliver`, whoever still has the errand itself.
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
        """Do it; in the thread."""
        assert self._work is not None
        assert self._answered is not None
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the window hears of it
            self._error = error
        self._answered(self)

    def deliver(self) -> None:
        """Hand the answer over; in the window's thread."""
        done, failed, result, error, wanted = self._done, self._failed, self._result, self._error, self._wanted
        self._work = self._done = self._failed = self._answered = self._result = self._error = self._wanted = None
        if _is_gone(done):
            return
        if error is not None and failed is not None:
            failed(error)
        elif done is not None and (wanted is None or wanted()):
            done(result)


def _is_gone(done: Any) -> bool:
    """Whether the answer is for a widget that is not there any more, such as a dialog that was closed meanwhile."""
    owner = getattr(done, "__self__", None)
    return isinstance(owner, QObject) and not shiboken6.isValid(owner)


class Crew:
    """Threads that do one thing after the other.

    Nothing can make a read from a file server return that is away.  So a thread that has been busy for `PATIENCE`
    does not count any more: another takes its place; and at the end of the program it is left behind.

    Parameters
    ----------
    size
        How many at a time, beside those that hang.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        #: Since when each thread has been busy; None while it has nothing to do.
        self._threads: dict[threading.Thread, float | None] = {}
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many tasks nobody has begun."""
        with self._changed:
            return len(self._waiting)

    def submit(self, task: Callable[[], None]) -> None:
        """Have something done, which must not raise."""
        with self._changed:
            if self._closed:
                return
            self._waiting.append(task)
            self._hire()
            self._changed.notify()

    def look(self) -> None:
        """See whether another thread is needed because some hang."""
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
                # Who was replaced meanwhile is not needed twice.
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
        """Forget what was not begun, and wait so long for what was; False when some of it goes on."""
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
    """Threads of one kind of work: what hangs in one lane holds up nobody in another.

    Signals
    -------
    problem(str, str)
        A sentence and details: what was done failed.

    Parameters
    ----------
    threads
        How many things at a time.
    seconds
        How long what has begun is waited for at the end.
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
        #: Those that are not delivered: in this thread, so that nothing of them ends in another.
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
            What it is called in the sentence about an error that nobody expects.
        failed
            Called before an error becomes `problem`.
        newest
            The answer is dropped when another question was asked with the same one meanwhile.
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
        """Send an errand back; in the thread.  One that took longer than the program has nobody to go to."""
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
        """Wait for what runs, but not for ever, and forget the rest."""
        self._look.stop()
        if not self._crew.close(self._seconds):
            log.warning("left behind what does not end: %s", self.objectName())
            # The threads still use theirs.
            _left_behind.extend(self._open)
        self._open.clear()


#: Errands of threads that hang: they must not be freed in those.
_left_behind: list[Errand] = []
