"""The main job on the sample project: train on one annotated image, predict three others, measure, show."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellseg1.bundled import resource_path
from cellseg1.errors import StoppedError
from cellseg1.evaluation.job import evaluate
from cellseg1.evaluation.report import Report
from cellseg1.files import free_folder
from cellseg1.masks import list_images
from cellseg1.model import load_model
from cellseg1.prediction.job import PredictProgress, predict
from cellseg1.training.job import train
from cellseg1.training.trainer import TrainProgress


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo gave: its folder, the scores with and without the adapter, and how long it all took (seconds)."""

    folder: Path
    adapted: Report
    plain: Report
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """`evaluate`'s object plus `seconds` and, under `without_adapter`, the same figures of the plain backbone."""
        return {
            **self.adapted.to_dict(),
            "seconds": round(self.seconds, 1),
            "without_adapter": self.plain.to_dict(),
            "folder": str(self.folder),
        }

    def table(self) -> str:
        """Return the scores as a small text table."""
        names = [name for name in self.adapted.to_dict()["ap"] if name in {"0.50", "0.75", "0.90"}]
        rows = [("", *(f"AP@{name}" for name in names), "F1", "PQ")]
        for label, report in (("with adapter", self.adapted), ("without adapter", self.plain)):
            values = report.to_dict()
            cells = [values["ap"][name] for name in names] + [values["f1"], values["pq"]]
            rows.append((label, *(f"{value:.3f}" for value in cells)))
        return "\n".join(f"{row[0]:<16}" + "".join(f"{cell:>9}" for cell in row[1:]) for row in rows)


def run_demo(
    out: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    train_progress: Callable[[TrainProgress], None] | None = None,
    predict_progress: Callable[[PredictProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
) -> DemoResult:
    """Do the main job on the sample project into `out`, or a new folder beside it when that has something in it.

    Raises
    ------
    StoppedError
        When `stop` said so; what is done is kept.
    """
    started = time.monotonic()
    sample = resource_path("sample_project")
    folder = free_folder(out)
    images = list_images(sample / "train" / "images")
    masks = list_images(sample / "train" / "masks")
    trained = train(
        images,
        masks,
        folder / "model.cs1",
        overrides=overrides,
        device=device,
        progress=train_progress,
        stop=stop,
        say=say,
    )
    if not trained.outcome.finished:
        raise StoppedError(f"The demo was stopped; its model so far is {trained.path}.")
    model = load_model(trained.path, device=device)
    reports = []
    for name, adapter in (("with_adapter", True), ("without_adapter", False)):
        model.set_adapter(adapter)
        run = predict(model, [sample / "test" / "images"], folder / name, progress=predict_progress, stop=stop, say=say)
        if run.stopped:
            raise StoppedError(f"The demo was stopped; what is done is in {folder}.")
        report = evaluate(sample / "test" / "masks", run.folder)
        report.to_json(run.folder / "scores.json")
        report.to_csv(run.folder / "scores.csv")
        reports.append(report)
    return DemoResult(folder, reports[0], reports[1], time.monotonic() - started)
