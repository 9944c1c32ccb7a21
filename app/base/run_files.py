"""What an engine writes about its run while it runs, so that it is there even when the window was killed.

In the run's folder: ``log.txt`` (sentences with times), ``curve.jsonl`` (one line per training step),
``items.jsonl`` (one line per predicted plane), ``status.json`` (where the run is, and how it ended).
Imports neither Qt nor torch.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from cellseg1.errors import OutputError
from cellseg1.files import write_bytes
from cellseg1.regular import read_regular

from .processes import lives, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = 1
LOG, CURVE, ITEMS, STATUS = "log.txt", "curve.jsonl", "items.jsonl", "status.json"
State = Literal["running", "finished", "stopped", "interrupted", "failed"]
#: Seconds between two notes of the progress.
_STATUS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a run.

    Attributes
    ----------
    sentence, details
        The sentence about its end, and the traceback of a failure.
    pid, pid_started, pid_created
        The engine's process; the second identifies it (see `processes.started`), as does the third in records of older
        versions.
    share, seconds_left
        The last progress.
    result
        The result in `app.engine.messages.Done`.
    """

    state: State
    kind: str
    sentence: str = ""
    details: str = ""
    pid: int = 0
    pid_started: str = ""
    pid_created: float = 0.0
    share: float = 0.0
    seconds_left: float | None = None
    updated: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)

    def alive(self) -> bool:
        """Tell whether the engine still runs."""
        return self.state == "running" and lives(self.pid, self.pid_started, self.pid_created)


_NUMBER = (int, float)
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("state", "kind", "sentence", "details", "pid_started"), str),
    **dict.fromkeys(("pid_created", "share", "updated"), _NUMBER),
    "pid": int,
    "seconds_left": (*_NUMBER, type(None)),
    "result": dict,
}


class RunRecord:
    """The files of one run; without a folder it writes nothing.

    A full disk must not end a training whose model may still fit, so nothing here raises.
    """

    def __init__(self, folder: Path | None, kind: str) -> None:
        import psutil

        self.folder = folder
        self._lock = threading.Lock()
        self._written = 0.0
        self._values: dict[str, Any] = {
            "schema": SCHEMA,
            "kind": kind,
            "state": "running",
            "sentence": "",
            "details": "",
            "pid": os.getpid(),
            "pid_started": started(os.getpid()),
            "pid_created": psutil.Process().create_time(),
            "share": 0.0,
            "seconds_left": None,
            "result": {},
        }
        if folder is not None:
            # Without its parents: a project that was moved or deleted is not made again.
            with contextlib.suppress(OSError):
                folder.mkdir(exist_ok=True)
        self._write_status()

    def require_folder(self) -> None:
        """Raise OutputError when the run's folder is gone, so that writing does not make a deleted project again."""
        if self.folder is not None and not self.folder.is_dir():
            raise OutputError(
                f"The folder {self.folder} was moved or deleted while the job ran, so it was ended. Bring the project "
                "back to its place, or open it at the new one, and start again."
            )

    def log(self, text: str) -> None:
        """Add a sentence (or a traceback) to the log."""
        now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        self._append(LOG, f"{now}  {text}\n")

    def curve(self, step: int, loss: float, learning_rate: float, seconds: float) -> None:
        """Add a training step."""
        values = {"step": step, "loss": loss, "learning_rate": learning_rate, "seconds": round(seconds, 3)}
        self._append(CURVE, json.dumps(values) + "\n")

    def item(self, **values: Any) -> None:
        """Add a predicted plane."""
        self._append(ITEMS, json.dumps(values, ensure_ascii=False) + "\n")

    def progress(self, share: float, seconds_left: float | None) -> None:
        """Note the progress, every few seconds."""
        self._values.update(share=share, seconds_left=seconds_left)
        if time.monotonic() - self._written >= _STATUS_SECONDS:
            self._write_status()

    def end(self, state: State, sentence: str = "", details: str = "", result: dict[str, Any] | None = None) -> None:
        """Write how the run ended; only the first call counts."""
        if self._values["state"] != "running":
            return
        self._values.update(state=state, sentence=sentence, details=details, result=result or {})
        if sentence:
            self.log(sentence)
        if details:
            self.log(details)
        self._write_status()

    def _append(self, name: str, text: str) -> None:
        if self.folder is None:
            return
        with self._lock, contextlib.suppress(OSError), (self.folder / name).open("a", encoding="utf-8") as stream:
            stream.write(text)

    def _write_status(self) -> None:
        self._written = time.monotonic()
        if self.folder is None or not self.folder.is_dir():
            return
        text = json.dumps({**self._values, "updated": time.time()}, ensure_ascii=False, indent=1)
        with self._lock, contextlib.suppress(OutputError):
            write_bytes(self.folder / STATUS, text.encode())


def read_status(folder: Path) -> Status | None:
    """Return where a run is; None when nothing readable is there."""
    try:
        values = json.loads(read_regular(folder / STATUS))
    except (OSError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(values, dict):
        return None
    known = {key: values[key] for key in _TYPES if key in values}
    if not all(isinstance(value, _TYPES[key]) for key, value in known.items()):
        return None
    return Status(**known) if {"state", "kind"} <= known.keys() and known["state"] in get_args(State) else None


def read_curve(folder: Path) -> list[tuple[int, float, float]]:
    """Return (step, loss, learning rate) of every step; of steps that a resumed run repeated, the last."""
    points: list[tuple[int, float, float]] = []
    for values in _lines(folder / CURVE):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            step = int(values["step"])
            while points and points[-1][0] >= step:
                points.pop()
            points.append((step, float(values["loss"]), float(values["learning_rate"])))
    return points


def read_items(folder: Path) -> list[dict[str, Any]]:
    """Return what is known of every predicted plane."""
    return list(_lines(folder / ITEMS))


def read_log(folder: Path) -> str:
    """Return the log, empty when there is none."""
    return _text(folder / LOG)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines; a line cut short by a crash is left out."""
    for line in _text(path).splitlines():
        with contextlib.suppress(ValueError, RecursionError, MemoryError):
            values = json.loads(line)
            if isinstance(values, dict):
                yield values


def _text(path: Path) -> str:
    try:
        return read_regular(path).decode("utf-8", errors="replace")
    except (OSError, MemoryError):
        return ""
