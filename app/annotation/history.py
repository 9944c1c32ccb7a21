"""The steps that can be undone and redone, most of them out of memory when there is a log to read them from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .steps import HistoryError, StepLog, StepRef

if TYPE_CHECKING:
    from collections.abc import Iterable


class Entry:
    """A step: its payload is in memory, or can be read with its token, or both."""

    __slots__ = ("name", "payload", "size", "token")

    def __init__(self, name: str, size: int, payload: bytes | None, token: int | None) -> None:
        self.name = name
        self.size = size
        self.payload = payload
        self.token = token

    def ref(self) -> StepRef:
        """Return what is stored of it elsewhere."""
        return StepRef(self.name, self.token, self.size)


class History:
    """Two stacks: `done`, the newest last, and `undone`, the next to redo last."""

    def __init__(self, memory_limit: int) -> None:
        self.done: list[Entry] = []
        self.undone: list[Entry] = []
        self.memory_limit = memory_limit
        self.memory = 0
        self._spilled = 0

    def push(self, name: str, payload: bytes, token: int | None) -> None:
        """Add a finished step; what was undone is gone."""
        self._release(self.undone)
        self.undone = []
        self.done.append(Entry(name, len(payload), payload, token))
        self.memory += len(payload)
        self._spill()

    def load(self, done: Iterable[StepRef], undone: Iterable[StepRef]) -> None:
        """Begin with steps that are in the log; both in the order in which they were made."""
        self.done = [Entry(ref.name, ref.size, None, ref.token) for ref in done]
        self.undone = [Entry(ref.name, ref.size, None, ref.token) for ref in undone][::-1]
        self.memory = 0
        self._spilled = len(self.done)

    def payload(self, entry: Entry, log: StepLog | None) -> bytes:
        """Return the payload, from the log if it is not in memory."""
        if entry.payload is not None:
            return entry.payload
        if log is None or entry.token is None:
            raise HistoryError("This step of the history is not stored any more. The drawing itself is unchanged.")
        return log.read(entry.token)

    def undid(self) -> None:
        """Move the newest step to what can be redone."""
        self.undone.append(self.done.pop())
        self._spilled = min(self._spilled, len(self.done))

    def redid(self) -> None:
        """Move the next step back to what can be undone."""
        self.done.append(self.undone.pop())

    def drop_done(self, keep: int = 0) -> None:
        """Forget all but the newest `keep` steps that can be undone."""
        cut = max(0, len(self.done) - keep)
        self._release(self.done[:cut])
        self.done = self.done[cut:]
        self._spilled = max(0, self._spilled - cut)

    def drop_undone(self) -> None:
        """Forget what can be redone."""
        self._release(self.undone)
        self.undone = []

    def _release(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.payload is not None:
                self.memory -= entry.size
                entry.payload = None

    def _spill(self) -> None:
        """Take the oldest payloads out of memory; those that are nowhere else stay."""
        while self.memory > self.memory_limit and self._spilled < len(self.done):
            entry = self.done[self._spilled]
            if entry.token is not None:
                self._release([entry])
            self._spilled += 1
