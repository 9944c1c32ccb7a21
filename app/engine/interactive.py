"""The engine that answers clicks, as the window sees it."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer, Signal

from .link import Exit, Link, describe_exit
from .messages import (
    Click,
    Done,
    Encode,
    Encoded,
    EngineOptions,
    ExamineRequest,
    Failed,
    Masks,
    Skipped,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cellseg1.masks import Box

    from .messages import Answer, Request

#: How long it may take to leave.
CLOSING_SECONDS = 3.0
#: It ends after five minutes without a request.
IDLE_SECONDS = 300.0


@dataclass(frozen=True, slots=True, eq=False)
class ClickMask:
    """A cell that was found: its box (top, left, bottom, right), the mask inside it, and the score (0 to 1).

    Where there is nothing, the box is empty.
    """

    box: Box
    mask: NDArray[np.bool_]
    score: float


@dataclass(slots=True)
class _Image:
    """What is needed to prepare an image again when the engine was ended in between."""

    request: Encode
    pixels: NDArray[Any]
    link: Link | None


class Interactive(QObject):
    """The engine that answers clicks; started with the first request, ended after five idle minutes.

    An image that was given to `encode` can be clicked from then on; when the engine has ended in between (idle, or a
    crash) it is started and the image prepared again, without the caller's doing.
    """

    encoded = Signal(str, float)
    masks = Signal(int, object)
    failed = Signal(str, str)
    #: Whether an engine is there.
    running_changed = Signal(bool)

    def __init__(self, options: EngineOptions | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.idle_seconds = IDLE_SECONDS
        self._options = options or EngineOptions("interactive", nice=5)
        self._numbers = itertools.count(1)
        self._link: Link | None = None
        self._leaving: list[Link] = []
        self._images: OrderedDict[str, _Image] = OrderedDict()
        self._calls: dict[int, tuple[Callable[[dict[str, Any]], None], Callable[[str, str], None] | None]] = {}
        self._waiting: set[int] = set()
        self._newest_click = 0
        self._closed = False
        self._idle = QTimer(self, singleShot=True)
        self._idle.timeout.connect(self.end)

    @property
    def pid(self) -> int | None:
        """Number of the engine's process, None when there is none."""
        return None if self._link is None else self._link.pid

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._waiting)

    def encode(
        self,
        key: str,
        pixels: NDArray[Any],
        model: Path | None = None,
        *,
        raw: bool = False,
        colour: bool | None = None,
        channel_names: tuple[str, ...] = (),
        backbone: str = "tiny",
        device: str = "auto",
        scale: float | None = None,
        at: tuple[float, float] | None = None,
    ) -> int:
        """Prepare an image for clicks; `encoded` follows.

        See `app.engine.messages.Encode` for the parameters.  `pixels` must not be changed afterwards.  A waiting image
        is dropped for it.
        """
        request = Encode(
            key,
            colour=colour,
            channel_names=channel_names,
            raw=raw,
            model=model,
            backbone=backbone,
            device=device,
            scale=scale,
            at=at,
        )
        self._images[key] = image = _Image(request, pixels, None)
        self._images.move_to_end(key)
        while len(self._images) > 4:
            self._images.popitem(last=False)
        return self._prepare(image)

    def _prepare(self, image: _Image) -> int:
        number = self._post(image.request, image.pixels)
        image.link = self._link
        return number

    def click(
        self,
        key: str,
        points: tuple[tuple[float, float, int], ...] | list[tuple[float, float, int]] = (),
        box: tuple[float, float, float, float] | None = None,
    ) -> int:
        """Ask for the cell at some points (x, y, 1 inside or 0 outside) or in a box; returns the request's number.

        Only the answer to the newest click comes through `masks`.

        Raises
        ------
        KeyError
            When `encode` was not called for this image, or four others came after it.
        """
        image = self._images[key]
        self._images.move_to_end(key)
        if image.link is None or image.link is not self._link:
            self._prepare(image)
        places = tuple((float(x), float(y), int(kind)) for x, y, kind in points)
        self._newest_click = self._post(Click(key, places, box))
        return self._newest_click

    def is_known(self, key: str) -> bool:
        """Tell whether `click` may be called for an image."""
        return key in self._images

    def examine(
        self, callback: Callable[[dict[str, Any]], None], errback: Callable[[str, str], None] | None = None
    ) -> None:
        """Request the report of `cellseg1.doctor.examine` for `callback`.

        Without an `errback`, a failure is reported by `failed`.
        """
        self._calls[self._post(ExamineRequest())] = (callback, errback)

    def end(self) -> None:
        """End the engine; the next request starts another."""
        if self._waiting:
            self._idle.start(int(self.idle_seconds * 1000))
            return
        self._let_go(CLOSING_SECONDS)

    def _let_go(self, grace: float) -> None:
        self._idle.stop()
        link, self._link = self._link, None
        if link is not None:
            self._leaving.append(link)
            link.shutdown(grace)
            self.running_changed.emit(False)

    def _post(self, request: Request, array: NDArray[Any] | None = None) -> int:
        number = next(self._numbers)
        if self._closed:
            return number
        if self._link is None:
            self._link = Link(self._options, self)
            self._link.answered.connect(self._answered, Qt.ConnectionType.QueuedConnection)
            self._link.gone.connect(self._gone, Qt.ConnectionType.QueuedConnection)
            self._link.start()
            self.running_changed.emit(True)
        self._waiting.add(number)
        self._link.post(number, request, array)
        self._idle.start(int(self.idle_seconds * 1000))
        return number

    def _answered(self, number: int, answer: Answer) -> None:
        if number not in self._waiting or self.sender() is not self._link:
            return
        self._waiting.discard(number)
        call = self._calls.pop(number, None)
        match answer:
            case Encoded(key, seconds):
                self.encoded.emit(key, seconds)
            case Masks():
                if number == self._newest_click:
                    self.masks.emit(number, ClickMask(answer.box, answer.mask.read(), answer.score))
            case Failed(sentence, details):
                if call is not None and call[1] is not None:
                    call[1](sentence, details)
                else:
                    self.failed.emit(sentence, details)
            case Done(result):
                if call is not None:
                    call[0](result)
            case Skipped():
                pass

    def _gone(self, end: Exit) -> None:
        link = self.sender()
        assert isinstance(link, Link)
        link.wait()
        if link in self._leaving:
            self._leaving.remove(link)
        elif link is self._link:
            self._link = None
            self._idle.stop()
            calls, self._calls = self._calls, {}
            self._waiting.clear()
            self.running_changed.emit(False)
            failed = describe_exit(end, "interactive")
            for _callback, errback in calls.values():
                if errback is not None:
                    errback(failed.sentence, failed.details)
            self.failed.emit(failed.sentence, failed.details)
        link.deleteLater()

    def close(self, grace: float) -> None:
        """Begin to end the engine because the window closes; no later request does anything."""
        self._closed = True
        self._waiting.clear()
        self._calls.clear()
        self._let_go(grace)

    def join(self) -> None:
        """Wait for the end after `close`."""
        for link in self._leaving:
            link.wait()
        QCoreApplication.sendPostedEvents(self, QEvent.Type.MetaCall.value)
