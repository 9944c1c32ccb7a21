"""Prediction in an engine, plane by plane.  Never imports Qt."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from ...base.run_files import RunRecord
from ..messages import Done, EngineOptions, Failed, ItemDone, Progress, Say
from .failure import explain

if TYPE_CHECKING:
    from pathlib import Path

    from cellseg1.model import Model
    from cellseg1.prediction.plane import PlaneResult
    from cellseg1.prediction.tasks import ImageTask, PlaneRecord

    from ..messages import PredictItem, PredictRequest
    from .channel import Channel

_PROGRESS_SECONDS = 0.1


def predict_job(channel: Channel, number: int, request: PredictRequest, options: EngineOptions) -> Done | Failed:
    """Carry out a request; finished planes stay after a stop, and a failed plane does not end the job."""
    record = RunRecord(request.run_folder, "predict")
    channel.at_loss.append(
        lambda: record.end("stopped", "The program ended during the prediction; the planes that are done are kept.")
    )
    job = _Prediction(channel, number, request, record)
    try:
        from cellseg1.sam.device import quiet_cpu

        quiet_cpu(options.threads)
        values = job.run()
    except Exception as error:  # noqa: BLE001 - every error must reach the record and the window
        failed = explain(error, "segmenting")
        record.end("failed", failed.sentence, failed.details)
        return failed
    except SystemExit:
        record.end("stopped", "The prediction was ended; the planes that are done are kept.")
        raise
    record.end("stopped" if values["stopped"] else "finished", values["sentence"], result=values)
    return Done(values)


def make_model(path: Path | None, backbone: str, device: str, overrides: dict[str, Any]) -> Model:
    """Load a model, or the plain backbone when there is none."""
    from cellseg1.model import load_model, plain_model
    from cellseg1.settings import untrained_settings

    if path is None:
        return plain_model(backbone, untrained_settings(backbone, overrides), device)
    return load_model(path, device=device, overrides=overrides)


class _Prediction:
    """One prediction: turns the library's callbacks into messages and records."""

    def __init__(self, channel: Channel, number: int, request: PredictRequest, record: RunRecord) -> None:
        self.channel = channel
        self.number = number
        self.request = request
        self.record = record
        self.started = time.monotonic()
        self.sent = 0.0
        self.cells = self.done = self.failed = 0

    def run(self) -> dict[str, Any]:
        """Load the model and segment the planes."""
        from cellseg1.prediction.loop import segment_images
        from cellseg1.prediction.pipeline import Pipeline
        from cellseg1.prediction.select import select_settings

        request = self.request
        self.channel.send(self.number, Progress(0.0, "Loading the model"))
        # The window needs labels of the size of the image, whatever the recipe of a published model says.
        overrides = {"output_size": "repaired", **request.overrides}
        model = make_model(request.model, request.backbone, request.device, overrides)
        model = model.with_channels(request.channels or None)
        self.started = time.monotonic()
        stop = self.channel.stop.is_set
        pipeline = Pipeline(model, say=self._say, stop=stop, on_result=self._segmented)
        tasks = [_task(item) for item in request.items]
        stopped = segment_images(
            pipeline, tasks, self._done, progress=self._progress, stop=stop, explain=_sentence_and_details
        )
        return {
            "stopped": stopped,
            "sentence": f"{self.done} of {len(request.items)} planes segmented, {self.failed} failed.",
            "count": len(request.items),
            "done": self.done,
            "failed": self.failed,
            "cells": self.cells,
            "seconds": round(time.monotonic() - self.started, 1),
            "scale": model.scale,
            "input": model.input.to_dict(),
            "settings": model.settings.to_dict(),
            "select": dataclasses.asdict(select_settings(model.settings)),
        }

    def _segmented(self, _task: ImageTask, _found: PlaneResult) -> None:
        """Handle a plane before its files are written."""
        self.record.require_folder()

    def _done(self, plane: PlaneRecord) -> None:
        """Count a plane or a failed image, and report it to the window."""
        if plane.error:
            self.failed += 1
            self.record.log(plane.details)
            self._say(f"{plane.image}: {plane.error}")
        else:
            self.done += 1
            self.cells += plane.cells
        self.record.item(**plane.to_dict())
        done = ItemDone(plane.image_id, plane.z, plane.t, plane.cells, plane.seconds, plane.error)
        self.channel.send(self.number, done)

    def _say(self, sentence: str) -> None:
        self.record.log(sentence)
        self.channel.send(self.number, Say(sentence))

    def _progress(self, index: int, share: float) -> None:
        if time.monotonic() - self.sent < _PROGRESS_SECONDS:
            return
        self.sent = time.monotonic()
        item, count = self.request.items[index], len(self.request.items)
        done = index + share
        left = (time.monotonic() - self.started) / done * (count - done) if done > 0 else None
        self.record.progress(done / count, left)
        detail = {"index": index, "count": count, "image_id": item.image_id, "name": item.path.name}
        text = f"{item.path.name} ({index + 1} of {count})"
        self.channel.send(self.number, Progress(done / count, text, left, detail))


def _task(item: PredictItem) -> ImageTask:
    """Convert a request to a task of the library."""
    from cellseg1.images import PlaneChoice
    from cellseg1.prediction.tasks import FixedFiles, ImageTask, PlaneFiles

    files = FixedFiles(PlaneFiles(labels=item.out_labels, candidates=item.out_candidates))
    return ImageTask(item.path, files, PlaneChoice(item.z, item.t), item.axes, item.scale, item.image_id)


def _sentence_and_details(error: Exception, doing: str) -> tuple[str, str]:
    failed = explain(error, doing)
    return failed.sentence, failed.details
