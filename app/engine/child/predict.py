"""Prediction in an engine, plane by plane.  Never imports Qt."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from app.base.axes import read_with_axes
from app.base.run_files import RunRecord
from app.engine import planning
from app.engine.child.failure import explain
from app.engine.messages import Done, EngineOptions, Failed, ItemDone, Progress, Say
from cellseg1.errors import StoppedError
from cellseg1.files import nothing_can_be_written

if TYPE_CHECKING:
    from pathlib import Path

    from app.engine.child.channel import Channel
    from app.engine.messages import PredictItem, PredictRequest
    from cellseg1.images import Image
    from cellseg1.model import Model

_PROGRESS_SECONDS = 0.1


def predict_job(channel: Channel, number: int, request: PredictRequest, options: EngineOptions) -> Done | Failed:
    """Segment as asked; what is done when the job is stopped stays, and a plane that fails does not end the rest."""
    record = RunRecord(request.run_folder, "predict")
    channel.at_loss.append(
        lambda: record.end("stopped", "The program ended during the prediction; the planes that are done are kept.")
    )
    job = _Prediction(channel, number, request, record)
    try:
        from cellseg1.sam.device import quiet_cpu

        quiet_cpu(options.threads)
        values = job.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the record and the window must hear of it
        failed = explain(error, "segmenting")
        record.end("failed", failed.sentence, failed.details)
        return failed
    except SystemExit:
        record.end("stopped", "The prediction was ended; the planes that are done are kept.")
        raise
    sentence = f"{values['done']} of {values['count']} planes segmented, {values['failed']} failed."
    record.end("stopped" if values["stopped"] else "finished", sentence, result=values)
    return Done(values)


def make_model(path: Path | None, backbone: str, device: str, overrides: dict[str, Any]) -> Model:
    """Load a model, or the plain backbone when there is none."""
    from cellseg1.model import load_model, plain_model
    from cellseg1.settings import untrained_settings

    if path is None:
        return plain_model(backbone, untrained_settings(backbone, overrides), device)
    return load_model(path, device=device, overrides=overrides)


class _Prediction:
    """One prediction: turns what the library says into messages and records."""

    def __init__(self, channel: Channel, number: int, request: PredictRequest, record: RunRecord) -> None:
        self.channel = channel
        self.number = number
        self.request = request
        self.record = record
        self.started = time.monotonic()
        self.sent = 0.0
        self.cells = self.done = self.failed = 0
        self.image: tuple[Path, str | None, Image] | None = None

    def run(self) -> dict[str, Any]:
        """Load the model and go through the planes."""
        from cellseg1.prediction.select import select_settings

        request = self.request
        self.channel.send(self.number, Progress(0.0, "Loading the model"))
        # The window works at the size of the image, whatever the recipe of a published model says.
        overrides = {"output_size": "repaired", **request.overrides}
        model = make_model(request.model, request.backbone, request.device, overrides)
        model = model.with_channels(request.channels or None)
        self.started = time.monotonic()
        stopped = False
        for index, item in enumerate(request.items):
            stopped = self.channel.stop.is_set()
            if stopped:
                break
            try:
                self._one(model, index, item)
            except StoppedError:
                stopped = True
                break
        return {
            "stopped": stopped,
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

    def _one(self, model: Model, index: int, item: PredictItem) -> None:
        started = time.monotonic()
        self._progress(index, item, 0.0)
        try:
            cells = self._segment(model, index, item)
        except StoppedError:
            raise
        except Exception as error:
            if nothing_can_be_written(error):
                # A full disk does not get better with the next image.
                raise
            failed = explain(error, f"segmenting {item.path.name}")
            self.failed += 1
            self.record.log(failed.details)
            self._say(f"{item.path.name}: {failed.sentence}")
            self._item(item, 0, time.monotonic() - started, failed.sentence)
            return
        self.done += 1
        self.cells += cells
        self._item(item, cells, time.monotonic() - started, "")

    def _segment(self, model: Model, index: int, item: PredictItem) -> int:
        from cellseg1.masks import write_label_image
        from cellseg1.prediction.job import predict_plane

        image = self._read(item)
        begun = time.monotonic()
        found = predict_plane(
            model,
            image,
            z=item.z,
            t=item.t,
            scale=item.scale,
            progress=lambda share: self._progress(index, item, share),
            stop=self.channel.stop.is_set,
        )
        spent = time.monotonic() - begun
        for note in found.notes:
            self._say(f"{item.path.name}: {note}")
        self.record.require_folder()
        found.candidates.save(item.out_candidates)
        if item.out_labels is not None:
            write_label_image(item.out_labels, found.labels)
        scale = model.scale if item.scale is None else item.scale
        pixels = found.labels.size * scale**2
        planning.remember_prediction(model.settings.vit_name, model.backbone.device_of().type, pixels, spent)
        return found.cells

    def _read(self, item: PredictItem) -> Image:
        """Read the file, once for all its planes that follow each other."""
        if self.image is None or self.image[:2] != (item.path, item.axes):
            self.image = None
            self.image = (item.path, item.axes, read_with_axes(item.path, item.axes))
        return self.image[2]

    def _say(self, sentence: str) -> None:
        self.record.log(sentence)
        self.channel.send(self.number, Say(sentence))

    def _item(self, item: PredictItem, cells: int, seconds: float, error: str) -> None:
        seconds = round(seconds, 3)
        self.record.item(image_id=item.image_id, z=item.z, t=item.t, cells=cells, seconds=seconds, error=error)
        self.channel.send(self.number, ItemDone(item.image_id, item.z, item.t, cells, seconds, error))

    def _progress(self, index: int, item: PredictItem, share: float) -> None:
        if time.monotonic() - self.sent < _PROGRESS_SECONDS:
            return
        self.sent = time.monotonic()
        count = len(self.request.items)
        done = index + share
        left = (time.monotonic() - self.started) / done * (count - done) if done > 0 else None
        self.record.progress(done / count, left)
        detail = {"index": index, "count": count, "image_id": item.image_id, "name": item.path.name}
        text = f"{item.path.name} ({index + 1} of {count})"
        self.channel.send(self.number, Progress(done / count, text, left, detail))
