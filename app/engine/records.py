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
from typing import TYPE_CHECKING, Any, Literal

from cellseg1.errors import OutputError
from cellseg1.files import write_bytes

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
    """Where a run is.

    Attributes
    ----------
    sentence, details
        How it ended, in words, and for a failure the traceback.
    pid, pid_created
        The engine's process; the time tells it from a later one of the same number.
    share, seconds_left
        The last progress.
    result
        What `app.engine.messages.Done` said.
    """

    state: State
    kind: str
    sentence: str = ""
    details: str = ""
    pid: int = 0
    pid_created: float = 0.0
    share: float = 0.0
    seconds_left: float | None = None
    updated: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)

    def alive(self) -> bool:
        """Tell whether the engine still runs."""
        import psutil

        if self.state != "running":
            return False
        with contextlib.suppress(psutil.Error, ValueError):
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.pid_created) < 1 and process.status() != psutil.STATUS_ZOMBIE
        return False


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
            "pid_created": psutil.Process().create_time(),
            "share": 0.0,
            "seconds_left": None,
            "result": {},
        }
        if folder is not None:
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
        self._write_status()

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
        if self.folder is None:
            return
        text = json.dumps({**self._values, "updated": time.time()}, ensure_ascii=False, indent=1)
        with self._lock, contextlib.suppress(OutputError):
            write_bytes(self.folder / STATUS, text.encode())


def read_status(folder: Path) -> Status | None:
    """Return where a run is; None when nothing readable is there."""
    try:
        values = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        known = {key: values[key] for key in Status.__dataclass_fields__ if key in values}
        return Status(**known)
    except (OSError, ValueError, TypeError, KeyError):
        return None


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
    try:
        return (folder / LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines; a line cut short by a crash is left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            values = json.loads(line)
            if isinstance(values, dict):
                yield values
