"""What is remembered of a job while it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication

from ...engine.messages import PredictRequest
from ...translation.library_words import shown
from ...translation.time_left import time_left

if TYPE_CHECKING:
    from ...engine.jobs import JobHandle
    from ...engine.messages import Progress


def percent(progress: Progress | None) -> int:
    """Return the finished share of a progress message in percent; it says 100 only at the end."""
    share = 0.0 if progress is None else float(progress.share or 0.0)
    return 100 if share >= 1 else int(min(max(share, 0.0), 0.999) * 100)


class JobEntry:
    """What the bar says of one job."""

    def __init__(self, job: JobHandle) -> None:
        self.job = job

    @property
    def state(self) -> str:
        """running, stopping, and at the end finished, stopped or failed."""
        return "running" if self.job.state == "starting" else self.job.state

    @property
    def running(self) -> bool:
        """Whether the job has not ended."""
        return self.state in ("running", "stopping")

    @property
    def failed(self) -> bool:
        """Whether it ended as failed, or some of its images did: nobody may have been looking."""
        return self.state == "failed" or (not self.running and self._failed_images()[0] > 0)

    def _failed_images(self) -> tuple[int, int]:
        """Return how many images of a prediction failed, and how many it has."""
        request = self.job.request
        if not isinstance(request, PredictRequest):
            return 0, 0
        failed = {item.image_id for item in self.job.items if item.error}
        return len(failed), len({item.image_id for item in request.items})

    def line(self) -> str:
        """What there is to say beside the percentage."""
        if self.state == "stopping":
            return QCoreApplication.translate("JobBar", "stopping…")
        if self.state == "running":
            if self.job.silent:
                return QCoreApplication.translate("JobBar", "not heard for a while; it may hang")
            progress = self.job.last_progress
            left = "" if progress is None else time_left(progress.seconds_left)
            said = ("" if progress is None else shown(progress.text)) or self.job.waiting_for
            return left or said or QCoreApplication.translate("JobBar", "starting…")
        failed, count = self._failed_images()
        if self.state == "finished" and failed:
            words = QCoreApplication.translate("JobBar", "{failed} of {count} images could not be predicted")
            return words.format(failed=failed, count=count)
        kept = self.job.kind != "train" or bool((self.job.result or {}).get("model"))
        return {
            "finished": QCoreApplication.translate("JobBar", "finished"),
            "stopped": QCoreApplication.translate("JobBar", "stopped; what was done is kept")
            if kept
            else QCoreApplication.translate("JobBar", "stopped"),
            "failed": self.job.error[0] if self.job.error is not None else "",
        }[self.state]
