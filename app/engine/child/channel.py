"""The engine's end of its connection to the window."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from ..messages import Heartbeat, Quit, Stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from ..messages import Answer, Request

#: Time in seconds for the last checkpoint after the window has gone: on a busy computer a step takes some.
_LAST_SECONDS = 10.0
_HEARTBEAT_SECONDS = 1.0


class Channel:
    """The engine's end of the connection: a thread that listens, a thread for the heartbeat, and a lock for sending.

    Attributes
    ----------
    stop
        Set when the job should end.
    lost
        Set when the window has gone.
    at_loss
        Called before the process ends because the window has gone.
    """

    def __init__(self, connection: Connection, role: str) -> None:
        self.stop = threading.Event()
        self.lost = threading.Event()
        self.at_loss: list[Callable[[], None]] = []
        self._connection = connection
        self._role = role
        self._sending = threading.Lock()
        self._inbox: deque[tuple[int, Request]] = deque()
        self._arrived = threading.Condition()
        self._over = False
        for task in (self._listen, self._beat):
            threading.Thread(target=task, name=task.__name__.strip("_"), daemon=True).start()

    def send(self, number: int, answer: Answer) -> None:
        """Send an answer; it is dropped when the connection is closed."""
        with self._sending, contextlib.suppress(OSError, ValueError):
            self._connection.send((number, answer))

    def next(self) -> tuple[int, Request] | None:
        """Wait for the next request; None at the end of the connection."""
        with self._arrived:
            while not self._inbox and not self._over:
                self._arrived.wait()
            return None if self._over else self._inbox.popleft()

    def waiting(self) -> list[Request]:
        """Return the received requests that were not taken yet."""
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
