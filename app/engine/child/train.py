"""Training in an engine: progress, curve, previews, and a record that outlives the window.  Never imports Qt."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cellseg1.errors import CellSeg1Error, StoppedError

from ...base.axes import read_with_axes
from ...base.run_files import RunRecord
from .. import planning
from ..arrays import pack_labels
from ..messages import Done, EngineOptions, Failed, Preview, Progress, Say
from .failure import explain, is_memory_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cellseg1.images import Image
    from cellseg1.model import Model
    from cellseg1.training.job import TrainResult
    from cellseg1.training.samples import TrainingImage
    from cellseg1.training.trainer import TrainProgress

    from ...base.run_files import State
    from ..messages import TrainRequest
    from .channel import Channel

#: Side of the part that is predicted for a preview, in pixels of the model input.
PREVIEW_SIDE = 512
#: A preview may take at most this share of the time.
_PREVIEW_SHARE = 0.2
_PROGRESS_SECONDS = 0.1


def train_job(channel: Channel, number: int, request: TrainRequest, options: EngineOptions) -> Done | Failed:
    """Train as asked; what was learned is kept when the job is stopped."""
    record = RunRecord(request.run_folder, "train")
    channel.at_loss.append(
        lambda: record.end(
            "interrupted", "The program ended during the training; it can be resumed from its checkpoint."
        )
    )
    job = _Training(channel, number, request, record)
    early: State
    try:
        from cellseg1.sam.device import quiet_cpu

        quiet_cpu(options.threads)
        result = job.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the record and the window must hear of it
        failed = explain(error, "training")
        record.end("failed", failed.sentence, failed.details)
        return failed
    except SystemExit:
        early = "interrupted" if channel.lost.is_set() else "stopped"
        record.end(early, "The training was ended before its step was done; it can be resumed from its checkpoint.")
        raise
    values = _values(result)
    words = "Trained" if result.outcome.finished else "Stopped; the model so far is kept and can be resumed"
    # Nobody asked for an end that comes because the window has gone.
    early = "interrupted" if channel.lost.is_set() else "stopped"
    record.end("finished" if result.outcome.finished else early, f"{words}: {result.path.name}.", result=values)
    return Done(values)


def _values(result: TrainResult) -> dict[str, Any]:
    outcome = result.outcome
    return {
        "model": str(result.path),
        "stopped": not outcome.finished,
        "finished": outcome.finished,
        "steps": outcome.steps,
        "epochs": outcome.epochs,
        "resumed_from": outcome.resumed_from,
        "seconds": round(outcome.seconds, 1),
        "losses": list(outcome.losses),
        "ap_training": result.card.ap_training,
        "notes": list(result.notes),
    }


class _Training:
    """One training: turns what the library says into messages and records."""

    def __init__(self, channel: Channel, number: int, request: TrainRequest, record: RunRecord) -> None:
        self.channel = channel
        self.number = number
        self.request = request
        self.record = record
        self.points: list[tuple[int, float, float]] = []
        self.sent = 0.0
        self.first: TrainProgress | None = None
        self.preview = _PreviewMaker(self) if request.preview else None
        self.model: Model | None = None

    def run(self) -> TrainResult:
        """Call the library."""
        from cellseg1.training.job import train

        request = self.request
        self.record.require_folder()
        self.send(Progress(0.0, "Reading the images"))
        more: dict[str, Any] = {"read": self.read} if any(request.axes) else {}
        result = train(
            request.images,
            request.masks,
            request.out,
            regions=request.regions or None,
            backbone=request.backbone,
            recipe=request.recipe,
            overrides=request.overrides,
            device=request.device,
            resume=request.resume,
            progress=self.progress,
            stop=self.channel.stop.is_set,
            say=self.say,
            # Who stops does not want to wait for a figure.
            measure=lambda outcome: outcome.finished,
            start_model=request.start_model,
            planes=request.planes or None,
            channels=request.channels or None,
            watch=self.watch,
            **more,
        )
        if self.preview is not None and result.outcome.finished:
            self.preview.make(result.outcome.steps)
        self._remember(result)
        return result

    def read(self, path: Path) -> Image:
        """Read an image with the axes that the user gave."""
        return read_with_axes(path, dict(zip(self.request.images, self.request.axes, strict=True)).get(path))

    def send(self, message: Progress | Say | Preview) -> None:
        """Send something to the window."""
        self.channel.send(self.number, message)

    def say(self, sentence: str) -> None:
        """Pass a sentence on, and keep it in the log."""
        self.record.log(sentence)
        self.send(Say(sentence))

    def watch(self, model: Model, images: Sequence[TrainingImage]) -> None:
        """Take hold of the model and the images."""
        self.model = model
        if self.preview is not None:
            self.preview.model, self.preview.image = model, images[0]

    def progress(self, now: TrainProgress) -> None:
        """Between two steps."""
        # Checked before the next checkpoint, which would make the folder of a deleted project again.
        self.record.require_folder()
        self.first = self.first or now
        self.record.curve(now.step, now.loss, now.learning_rate, now.seconds)
        share = now.step / max(1, now.steps)
        self.record.progress(share, now.seconds_left)
        self.points.append((now.step, now.loss, now.learning_rate))
        if time.monotonic() - self.sent >= _PROGRESS_SECONDS or now.step == now.steps:
            detail = {
                "step": now.step,
                "steps": now.steps,
                "epoch": now.epoch,
                "epochs": now.epochs,
                "loss": now.loss,
                "learning_rate": now.learning_rate,
                "seconds_per_step": now.seconds / max(1, now.step),
                "points": self.points,
            }
            self.send(Progress(share, f"Epoch {now.epoch} of {now.epochs}", now.seconds_left, detail))
            self.points, self.sent = [], time.monotonic()
        if now.step == now.steps:
            self.send(Progress(1.0, "Measuring the model on its training image", None, {"step": now.step}))
        elif self.preview is not None and not self.channel.stop.is_set():
            self.preview.when_due(now)

    def _remember(self, result: TrainResult) -> None:
        """Note how fast this computer is, for the next estimate."""
        if self.model is None or self.first is None:
            return
        # The first step of a process is slower than the others.
        steps = result.outcome.steps - self.first.step
        if steps < planning.LEAST_STEPS:
            return
        settings = self.model.settings
        seconds = (result.outcome.seconds - self.first.seconds) / (steps * settings.training.batch_size)
        device = self.model.backbone.device_of().type
        planning.remember_training(self.request.backbone, device, settings.data.sam_image_size, seconds)


class _PreviewMaker:
    """Predicts a part of the first training image with the model that is being trained."""

    def __init__(self, job: _Training) -> None:
        self.job = job
        self.model: Model | None = None
        self.image: TrainingImage | None = None
        self.pause = job.request.preview_seconds
        self.due: float | None = None

    def when_due(self, now: TrainProgress) -> None:
        """Make one when enough training time has passed."""
        if self.due is None:
            # A resumed training brings its earlier seconds along.
            self.due = now.seconds + self.pause
        if now.seconds >= self.due:
            started = time.monotonic()
            self.make(now.step)
            self.due = now.seconds + max(self.pause, (time.monotonic() - started) / _PREVIEW_SHARE)

    def make(self, step: int) -> None:
        """Predict and send; a preview that fails must not end the training."""
        if self.model is None or self.image is None:
            return
        try:
            self._make(self.model, self.image, step)
        except StoppedError:
            return
        except (CellSeg1Error, RuntimeError, MemoryError) as error:
            self.image = None
            why = "memory is short" if is_memory_error(error) else str(error)
            self.job.say(f"There are no further previews: {why}. The training goes on.")

    def _make(self, model: Model, image: TrainingImage, step: int) -> None:
        from dataclasses import replace

        import numpy as np

        from cellseg1.prediction.plane import label_image, predict_candidates
        from cellseg1.prediction.select import select, select_settings

        settings = model.settings
        if settings.prediction.view_plan == "pyramid":
            # One view with a quarter of the points: a preview shows how far the training is, no more.
            settings = settings.replace(
                crop_n_layers=0, points_per_side=max(1, settings.prediction.points_per_side // 2)
            )
        settings = settings.replace(output_size="repaired")
        top, left, bottom, right = box = preview_box(image, model)
        part = np.ascontiguousarray(image.pixels[top:bottom, left:right])
        # The training images have the model's scale; looking for another one would take time.
        used, stop = replace(model, settings=settings), self.job.channel.stop.is_set
        found = predict_candidates(used, part, scale=model.scale, stop=stop)
        labels = label_image(select(found, select_settings(settings)), (part.shape[0], part.shape[1]), settings)
        cells = int(labels.max(initial=0))
        self.job.record.log(f"Preview after {step} steps: {cells} cells.")
        self.job.send(Preview(0, box, pack_labels(labels), step, cells))


def preview_box(image: TrainingImage, model: Model) -> tuple[int, int, int, int]:
    """Choose the part (top, left, bottom, right) that previews show: the middle of what is annotated."""
    import numpy as np

    height, width = image.labels.shape
    if model.settings.data.resize_size is not None:
        # The model knows only whole images brought to one size.
        return 0, 0, height, width
    side = max(16, round(PREVIEW_SIDE / model.scale))
    known = image.labels > 0 if image.annotated is None else image.annotated
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    top = _start(rows, height, side)
    left = _start(columns, width, side)
    return top, left, min(height, top + side), min(width, left + side)


def _start(places: Any, length: int, side: int) -> int:
    middle = (int(places[0]) + int(places[-1]) + 1) // 2 if len(places) else length // 2
    return max(0, min(middle - side // 2, length - side))
