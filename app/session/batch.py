"""Going through many planes without holding up the window: each is prepared here and worked on in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import shiboken6
from PySide6.QtCore import QObject, QTimer, Signal

from cellseg1.errors import CellSeg1Error, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .session import Session


Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Value = TypeVar("Value")
Closing = TypeVar("Closing")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Item, Value]):
    """What came of one item: its `value`, or the sentence `error` that says why there is none."""

    item: Item
    value: Value | None = None
    error: str = ""


class Batch(QObject, Generic[Item, Prepared, Value, Closing]):
    """One piece of work after the other; project and documents are touched only in the window's thread.

    Parameters
    ----------
    items
        What there is to do; the text that `name` gives of each is shown.
    prepare
        Called in the window's thread with an item; what it returns is handed to `work`.
    work
        Called in the background with (item, prepared); returns the value of the `Outcome`.
    finish
        Called in the background after the last item; its value is `closing`.
    abandon
        Called when the work was cancelled or failed as a whole, to take away what is half done; may be called in the
        background, and more than once.

    An item that fails with a `CellSeg1Error` is listed and the rest goes on; `OutputError` ends everything, because a
    full disk does not get better with the next item.
    """

    progressed = Signal(int, int, str)
    finished = Signal(list)
    cancelled = Signal(list)
    failed = Signal(str, str)

    def __init__(
        self,
        session: Session,
        items: Sequence[Item],
        work: Callable[[Item, Prepared], Value],
        *,
        prepare: Callable[[Item], Prepared],
        name: Callable[[Item], str],
        finish: Callable[[], Closing] | None = None,
        abandon: Callable[[], None] | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._project = session.project
        self._items = list(items)
        self._work = work
        self._prepare = prepare
        self._name = name
        self._finish = finish
        self._abandon = abandon
        self._outcomes: list[Outcome[Item, Value]] = []
        self._next = 0
        self._stop = False
        self._in_background = False
        self.running = False
        self.closing: Closing | None = None
        # A project that is closed takes its documents with it.
        session.project_changed.connect(self._project_changed)

    def start(self) -> None:
        """Begin."""
        self.running = True
        QTimer.singleShot(0, self._step)

    def cancel(self) -> None:
        """Stop after the item that is being worked on; `cancelled` follows."""
        if not self.running:
            return
        self._stop = True
        if not self._in_background:
            self._end_cancelled()

    def _project_changed(self) -> None:
        if self.running and self._session.project is not self._project:
            self.cancel()

    def _step(self) -> None:
        if not self.running or not shiboken6.isValid(self):
            return
        if self._stop:
            self._end_cancelled()
            return
        if self._next >= len(self._items):
            self._close()
            return
        item = self._items[self._next]
        self.progressed.emit(self._next, len(self._items), self._name(item))
        try:
            prepared = self._prepare(item)
        except CellSeg1Error as error:
            self._took(Outcome(item, error=str(error)))
            return
        self._in_background = True
        self._session.run(lambda: self._guarded(item, prepared), self._took)

    def _guarded(self, item: Item, prepared: Prepared) -> Outcome[Item, Value] | _Broken:
        try:
            value = self._work(item, prepared)
        except OutputError as error:
            return _Broken(str(error), "")
        except CellSeg1Error as error:
            return Outcome(item, error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the batch must end and say so
            return _broken(error)
        finally:
            if self._stop and self._abandon is not None:
                self._abandon()
        return Outcome(item, value)

    def _took(self, outcome: Outcome[Item, Value] | _Broken) -> None:
        if not shiboken6.isValid(self):
            return
        self._in_background = False
        if not self.running:
            return
        if isinstance(outcome, _Broken):
            self._break(outcome)
            return
        self._outcomes.append(outcome)
        self._next += 1
        # Through the event loop, so that many quick failures do not hold up the window.
        QTimer.singleShot(0, self._step)

    def _close(self) -> None:
        total = len(self._items)
        self.progressed.emit(total, total, "")
        if self._finish is None:
            self._end_finished(None)
            return
        finish = self._finish

        def last() -> Closing | _Broken:
            try:
                return finish()
            except CellSeg1Error as error:
                return _Broken(str(error), "")
            except Exception as error:  # noqa: BLE001 - as in `_guarded`
                return _broken(error)

        self._in_background = True
        self._session.run(last, self._end_finished)

    def _end_finished(self, closing: Closing | _Broken | None) -> None:
        if not shiboken6.isValid(self) or not self.running:
            return
        self._in_background = False
        if isinstance(closing, _Broken):
            self._break(closing)
            return
        self.closing = closing
        self.running = False
        self.finished.emit(self._outcomes)

    def _break(self, broken: _Broken) -> None:
        self.running = False
        if self._abandon is not None:
            self._abandon()
        self.failed.emit(broken.sentence, broken.details)

    def _end_cancelled(self) -> None:
        self.running = False
        if self._abandon is not None:
            self._abandon()
        self.cancelled.emit(self._outcomes)


@dataclass(frozen=True, slots=True)
class _Broken:
    """Why the whole work ended."""

    sentence: str
    details: str


def _broken(error: Exception) -> _Broken:
    import traceback

    sentence = str(error) or type(error).__name__
    return _Broken(f"The work stopped: {sentence}", "".join(traceback.format_exception(error)))
