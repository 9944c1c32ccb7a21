"""What the window knows of its engines: jobs in progress, and the engine that answers clicks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer, Signal

from ..base.processes import started
from .interactive import CLOSING_SECONDS, ClickMask, Interactive
from .link import Exit, Link, describe_exit
from .messages import (
    CRASH,
    Done,
    EngineOptions,
    ExamineRequest,
    Failed,
    ImportModelRequest,
    ItemDone,
    PredictRequest,
    Preview,
    Progress,
    Say,
    Stop,
    TrainRequest,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellseg1.masks import Box

    from .messages import Answer, JobRequest

__all__ = ["ClickMask", "Engines", "Interactive", "JobHandle", "TrainingPreview"]

#: A job that was asked to stop is ended the hard way after this time (seconds) and so many training steps.
GRACE_SECONDS, GRACE_STEPS = 10.0, 3.0
_LOG_LINES = 2000
#: An engine says every second that it is alive; after this silence the user is told that it may hang.
SILENT_SECONDS = 60.0
_LISTEN_MS = 2000
_START_SECONDS = 5.0
#: Number of the one request of a job.
_REQUEST = 1
#: Longest wait for the preparation of a job, such as the masks of a training.
HELD_SECONDS = 1800.0


_KINDS = {TrainRequest: "train", PredictRequest: "predict", ExamineRequest: "examine", ImportModelRequest: "import"}


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPreview:
    """What a model in training makes of the part `box` (top, left, bottom, right) of training image `image`.

    `labels` is the label image of that part, `step` the number of steps done.
    """

    image: int
    box: Box
    labels: NDArray[Any]
    step: int
    cells: int


class JobHandle(QObject):
    """A job in progress or ended.

    Attributes
    ----------
    kind
        train, predict, examine or import.
    state
        ``starting`` until the engine's first message about the request, then ``running``, ``stopping``, and at the end
        ``finished``, ``stopped`` or ``failed``.
    last_progress, curve, log
        The latest `Progress`; (step, loss, learning rate) of every training step so far; all sentences so far.
    result
        The engine's final result; also after a stop that kept something.
    error
        Sentence and details of a failure.

    Signals come when the process has ended (its memory is back), except progress and what belongs to it.
    """

    progress = Signal(object)
    said = Signal(str)
    previewed = Signal(object)
    item_done = Signal(object)
    state_changed = Signal(str)
    finished = Signal(object)
    failed = Signal(str, str)
    stopped = Signal()
    #: After finished, failed or stopped.
    ended = Signal(object)

    def __init__(
        self,
        request: JobRequest,
        title: str,
        run_id: str,
        options: EngineOptions,
        parent: QObject | None = None,
        *,
        held: str = "",
    ) -> None:
        super().__init__(parent)
        self.request = request
        self.kind = _KINDS[type(request)]
        self.title = title
        self.run_id = run_id
        self.state = "starting"
        self.last_progress: Progress | None = None
        self.last_preview: TrainingPreview | None = None
        self.curve: list[tuple[int, float, float]] = []
        self.items: list[ItemDone] = []
        self.log: list[str] = []
        self.result: dict[str, Any] | None = None
        self.error: tuple[str, str] | None = None
        self.started = time.time()
        self._last: Done | Failed | None = None
        #: Whether the engine has not been heard for so long that it may hang.
        self.silent = False
        self._listening = QTimer(self, interval=_LISTEN_MS)
        self._listening.timeout.connect(self._listen)
        self._listening.start()
        self.link = Link(options, self)
        self.link.answered.connect(self._answered, Qt.ConnectionType.QueuedConnection)
        self.link.gone.connect(self._gone, Qt.ConnectionType.QueuedConnection)
        self._held = held
        self._waited = QTimer(self, interval=int(HELD_SECONDS * 1000), singleShot=True)
        self._waited.timeout.connect(self._waited_too_long)
        if held:
            self._waited.start()
        else:
            self.link.post(_REQUEST, request)
        self.link.start()

    # Only the window's state (`_held`, `stop`) decides when the request is sent, never messages of the engine, which
    # may be ready long before or after the request.

    def release(self, request: JobRequest) -> None:
        """Send the request that was not ready when the engine started (`held`); once."""
        if not self._let_go():
            return
        self.request = request
        self.link.post(_REQUEST, request)
        self.state_changed.emit(self.state)

    def give_up(self, sentence: str, details: str = "") -> None:
        """End as failed before the request was handed over, because it cannot be made."""
        if self._let_go():
            self._last = Failed(sentence, details)
            self.link.shutdown(CLOSING_SECONDS)

    def _let_go(self) -> bool:
        """End the wait for the request; False when it has ended before, or the job is ending."""
        waited, self._held = self._held, ""
        self._waited.stop()
        return bool(waited) and self.state == "starting"

    def _waited_too_long(self) -> None:
        sentence = QCoreApplication.translate(
            "Engines",
            "The job was ended: {what} took too long. Nothing you drew was lost; look whether the disk answers.",
        )
        self.give_up(sentence.format(what=self._held))

    @property
    def waiting_for(self) -> str:
        """Description of the preparation before the engine works; empty when it works or has ended."""
        if self.state != "starting":
            return ""
        return self._held or QCoreApplication.translate("Engines", "Starting the engine")

    @property
    def running(self) -> bool:
        """Whether the job has not ended yet."""
        return self.state in ("starting", "running", "stopping")

    @property
    def silent_seconds(self) -> float:
        """Seconds since the engine was last heard; it is heard every second unless it hangs."""
        return time.monotonic() - self.link.heard

    @property
    def pid(self) -> int | None:
        """Number of the process, None before it started."""
        return self.link.pid

    def process_identity(self) -> tuple[int, str]:
        """Return number and start of the engine's process, which tell it from any other, for the record of the run.

        The process is started in a thread; this waits for it, some hundredths of a second after the job was made.
        """
        self.link.begun.wait(_START_SECONDS)
        pid = self.link.pid
        return pid or 0, started(pid) if pid else ""

    def stop(self, grace: float | None = None) -> None:
        """Ask the job to end and keep what was done; when it does not within `grace` seconds it is ended."""
        if self.state not in ("starting", "running"):
            return
        held = self._let_go()
        self._set_state("stopping")
        if held:
            # Nothing has begun that could be kept.
            self.link.shutdown(CLOSING_SECONDS)
            return
        self.link.post(0, Stop())
        self.link.terminate_in(self._grace() if grace is None else grace)

    def _grace(self) -> float:
        # A step cannot be interrupted, and on a slow computer it takes its time.
        step = float(self.last_progress.detail.get("seconds_per_step", 0.0)) if self.last_progress else 0.0
        return GRACE_SECONDS + GRACE_STEPS * step

    def kill(self) -> None:
        """End the job at once; a training goes on from its last checkpoint when it is resumed."""
        if self.running:
            self._set_state("stopping")
            self.link.kill()

    def _listen(self) -> None:
        """Notice when the heartbeat stops, and when it comes back."""
        silent = self.running and self.silent_seconds > SILENT_SECONDS
        if silent == self.silent:
            return
        self.silent = silent
        translate = QCoreApplication.translate
        sentence = (
            translate(
                "Engines",
                "The engine has not been heard for a minute and may hang. You can stop it; what it kept stays.",
            )
            if silent
            else translate("Engines", "The engine is heard again.")
        )
        self.log.append(sentence)
        self.said.emit(sentence)

    def _set_state(self, state: str) -> None:
        self.state = state
        if not self.running:
            self._listening.stop()
            self._waited.stop()
        self.state_changed.emit(state)

    def _answered(self, number: int, answer: Answer) -> None:
        if not self.running:
            return
        # `Ready` says nothing about the request, which the engine may not have received.
        if number == _REQUEST and self.state == "starting" and not self._held:
            self._set_state("running")
        match answer:
            case Progress():
                self.last_progress = answer
                self.curve.extend(answer.detail.get("points", ()))
                self.progress.emit(answer)
            case Say(text):
                self.log.append(text)
                del self.log[:-_LOG_LINES]
                self.said.emit(text)
            case Preview():
                self.last_preview = TrainingPreview(
                    answer.image, answer.box, answer.labels.read(), answer.step, answer.cells
                )
                self.previewed.emit(self.last_preview)
            case ItemDone():
                self.items.append(answer)
                self.item_done.emit(answer)
            case Done() | Failed():
                self._last = answer

    def _gone(self, end: Exit) -> None:
        self.link.wait()
        if not self.running:
            return
        last = self._last
        if last is None and self.state != "stopping":
            last = describe_exit(end, self.kind)
            last = Failed(last.sentence, f"{last.details}\n{self._crash()}".rstrip())
        if isinstance(last, Failed):
            self.error = (last.sentence, last.details)
            self.log.append(last.sentence)
            self._set_state("failed")
            self.failed.emit(*self.error)
        elif last is None or last.result.get("stopped"):
            self.result = None if last is None else last.result
            self._set_state("stopped")
            self.stopped.emit()
        else:
            self.result = last.result
            self._set_state("finished")
            self.finished.emit(self.result)
        self.ended.emit(self)

    def _crash(self) -> str:
        """Return where a compiled library crashed, if it could still say so."""
        folder = getattr(self.request, "run_folder", None)
        try:
            return "" if folder is None else (folder / CRASH).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def close(self, grace: float) -> None:
        """Begin to end the engine because the window closes."""
        if self.running:
            self._set_state("stopping")
        self.link.post(0, Stop())
        self.link.shutdown(grace)

    def join(self) -> None:
        """Wait for the end after `close`."""
        self.link.wait()
        QCoreApplication.sendPostedEvents(self, QEvent.Type.MetaCall.value)


class Engines(QObject):
    """All engines of the window: one for each job, and the interactive one."""

    def __init__(self, parent: QObject | None = None, *, threads: int | None = None) -> None:
        super().__init__(parent)
        self.jobs: list[JobHandle] = []
        self._threads = threads
        self._closed = False
        self.interactive = Interactive(EngineOptions("interactive", threads, nice=5), self)

    def start(self, request: JobRequest, title: str, run_id: str = "", *, held: str = "") -> JobHandle:
        """Start a job in an engine of its own; it ends with the job.

        With `held`, a description of the preparation, the engine only starts; `JobHandle.release` or `give_up` follows.
        """
        if self._closed:
            raise RuntimeError("The engines are closed.")
        handle = JobHandle(request, title, run_id, EngineOptions("job", self._threads, nice=10), self, held=held)
        self.jobs.append(handle)
        handle.ended.connect(self._ended)
        return handle

    def _ended(self, handle: JobHandle) -> None:
        if handle in self.jobs:
            self.jobs.remove(handle)
        # It lives as long as somebody looks at it.
        handle.setParent(None)

    def close(self, grace: float = CLOSING_SECONDS) -> None:
        """End everything and wait for it; jobs are asked to keep what was done, and resume later."""
        if self._closed:
            return
        self._closed = True
        jobs = list(self.jobs)
        for handle in jobs:
            handle.close(grace)
        self.interactive.close(grace)
        for handle in jobs:
            handle.join()
        self.interactive.join()
