"""What is remembered of a job while it is shown, and how its time is said."""

from __future__ import annotations

from typing import Any, Protocol

from PySide6.QtCore import QCoreApplication

from app.translation.library_words import shown


class Job(Protocol):
    """What the bar needs of a job; `app.engine.jobs.JobHandle` is one."""

    kind: str
    run_id: str
    title: str
    state: str
    last_progress: Any
    silent: bool
    waiting_for: str
    result: dict[str, Any] | None
    log: list[str]
    progress: Any
    said: Any
    finished: Any
    failed: Any
    stopped: Any

    def stop(self) -> None:
        """Ask the job to end and keep what it has."""


def time_left(seconds: float | None) -> str:
    """Return a remaining time as a person would say it; empty when unknown."""
    if seconds is None:
        return ""
    translate = QCoreApplication.translate
    if seconds < 10:
        return translate("JobBar", "a few seconds left")
    if seconds < 55:
        return translate("JobBar", "{n} s left").format(n=int(-(-seconds // 10) * 10))
    if seconds < 3600 - 30:
        return translate("JobBar", "{n} min left").format(n=max(1, round(seconds / 60)))
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 10 and minutes:
        return translate("JobBar", "{h} h {m} min left").format(h=hours, m=minutes)
    return translate("JobBar", "{n} h left").format(n=hours + (minutes >= 30))


def percent(progress: Any) -> int:
    """Return the finished share of a progress message in percent; it says 100 only at the end."""
    share = 0.0 if progress is None else float(progress.share or 0.0)
    return 100 if share >= 1 else int(min(max(share, 0.0), 0.999) * 100)


class JobEntry:
    """What the bar remembers of one job."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.state = "running"
        self.sentence = ""
        self.losses: list[tuple[float, float]] = []

    @property
    def running(self) -> bool:
        """Whether the job has not ended."""
        return self.state in ("running", "stopping")

    def line(self) -> str:
        """What there is to say beside the percentage."""
        if self.state == "stopping":
            return QCoreApplication.translate("JobBar", "stopping…")
        if self.state == "running":
            if self.job.silent:
                return QCoreApplication.translate("JobBar", "not heard for a while; it may hang")
            progress = self.job.last_progress
            left = time_left(getattr(progress, "seconds_left", None))
            said = shown(getattr(progress, "text", "")) or self.job.waiting_for
            return left or said or QCoreApplication.translate("JobBar", "starting…")
        kept = self.job.kind != "train" or bool((self.job.result or {}).get("model"))
        return {
            "finished": QCoreApplication.translate("JobBar", "finished"),
            "stopped": QCoreApplication.translate("JobBar", "stopped; what was done is kept")
            if kept
            else QCoreApplication.translate("JobBar", "stopped"),
            "failed": self.sentence,
        }[self.state]
