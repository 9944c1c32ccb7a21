"""The one thread that brings a project to disk: it waits a moment, writes what is due, and tries again on failure."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between a change and its fsync: the promise is two, and disks may take their time.
DELAY = 0.5
#: Seconds between two attempts while the disk refuses.
RETRY = 2.0


class BackgroundWriter:
    """Calls `work` within `DELAY` after `wake`; while it returns False, again every `RETRY`.

    The thread begins with the first wish and ends with `close`.
    """

    def __init__(self, work: Callable[[], bool]) -> None:
        self._work = work
        self._condition = threading.Condition()
        self._due: float | None = None
        self._tasks: deque[Callable[[], None]] = deque()
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Ask for `work` soon."""
        with self._condition:
            due = time.monotonic() + DELAY
            # Until a failed attempt is due again, new wishes do not hurry it.
            if self._due is None:
                self._due = due
                self._start()

    def add(self, task: Callable[[], None]) -> None:
        """Run something once, as soon as possible."""
        with self._condition:
            self._tasks.append(task)
            self._start()

    def _start(self) -> None:
        if self._closed:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="project-writer", daemon=True)
            self._thread.start()
        self._condition.notify_all()

    def wait_idle(self) -> None:
        """Wait until the tasks that were added are done."""
        with self._condition:
            self._condition.wait_for(lambda: self._thread is None or not (self._tasks or self._busy))

    def close(self) -> None:
        """Finish the tasks and end the thread; what `work` has left is the caller's to do."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._tasks and not self._closed:
                    left = None if self._due is None else self._due - time.monotonic()
                    if left is not None and left <= 0:
                        break
                    self._condition.wait(left)
                if self._closed and not self._tasks:
                    return
                task = self._tasks.popleft() if self._tasks else None
                self._busy = True
                if task is None:
                    self._due = None
            try:
                done = True
                if task is None:
                    done = self._work()
                else:
                    task()
            except Exception:
                # The thread must go on: everything that is written later depends on it.
                logging.getLogger(__name__).exception("Writing the project failed")
                done = False
            with self._condition:
                self._busy = False
                if not done:
                    self._due = time.monotonic() + RETRY
                self._condition.notify_all()
