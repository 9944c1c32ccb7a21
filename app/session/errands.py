"""Work for threads, whose answers come back into the window's thread."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import shiboken6
from PySide6.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    from collections.abc import Callable


log = logging.getLogger(__name__)
#: What takes longer may hang (a file server that is away): it does not keep what waits behind it any more.
PATIENCE = 5.0
#: Threads at most, with those that hang.
_MOST = 32
_LOOK_MS = 1000


class Errand:
    """Something to do in a thread, and what to do with the answer.

    Its functions hold widgets, and its answer or error may hold them too.  All of it is let go in the window's thread
    by `deliver`, whoever still has the errand itself.
    """

    __slots__ = ("_answered", "_done", "_error", "_failed", "_result", "_work")

    def __init__(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None],
        answered: Callable[[Errand], None],
    ) -> None:
        self._work: Callable[[], Any] | None = work
        self._done: Callable[[Any], None] | None = done
        self._failed: Callable[[BaseException], None] | None = failed
        self._answered: Callable[[Errand], None] | None = answered
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
        done, failed, result, error = self._done, self._failed, self._result, self._error
        self._work = self._done = self._failed = self._answered = self._result = self._error = None
        if _is_gone(done):
            return
        if error is not None and failed is not None:
            failed(error)
        elif done is not None:
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


class Errands(QObject):
    """Threads that run errands.

    Parameters
    ----------
    threads
        How many at a time.
    seconds
        How long what has begun is waited for at the end.
    """

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
        self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[BaseException], None]
    ) -> None:
        """Run `work` in a thread, then ``done(result)`` or ``failed(error)`` in this one."""
        errand = Errand(work, done, failed, self._tell)
        self._open.add(errand)
        self._crew.submit(errand)
        self._look.start()

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
