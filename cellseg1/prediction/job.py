"""The prediction job: a model and image files in, a folder of label images out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.files import PathLike
from cellseg1.model import Model
from cellseg1.prediction.loop import segment_images
from cellseg1.prediction.pipeline import Pipeline
from cellseg1.prediction.plan import PredictPlan, plan_prediction
from cellseg1.prediction.run_folder import FolderFiles, RunFolder, describe_run
from cellseg1.prediction.tasks import ImageTask, PlaneRecord
from cellseg1.text import safe_text

if TYPE_CHECKING:
    from cellseg1.images.specification import ChannelWish, PlaneWish


@dataclass(frozen=True, slots=True)
class PredictProgress:
    """Where a prediction is: image `index` (from 0) of `count`, and the share of it that is done."""

    index: int
    count: int
    name: str
    share: float
    seconds: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class PredictResult:
    """Result of a run: its folder, its planes (also those that failed), and whether it was stopped before the end."""

    folder: Path
    planes: tuple[PlaneRecord, ...]
    stopped: bool

    @property
    def failures(self) -> tuple[PlaneRecord, ...]:
        """The planes without a result."""
        return tuple(plane for plane in self.planes if plane.error)


def predict(
    model: Model,
    inputs: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    progress: Callable[[PredictProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
    on_plane: Callable[[PlaneRecord], None] | None = None,
    overlays: bool = True,
    keep_candidates: bool = True,
    suffix: str = ".png",
    channels: ChannelWish | None = None,
    plane: PlaneWish | None = None,
) -> PredictResult:
    """Segment image files and folders of them.

    Writes into `out` (or, when that folder has something in it, a new one beside it) for every plane a label image
    ``NAME.png`` (``NAME.tif`` above 65,535 cells), an overlay picture and the proposals, and ``run.json``.  An image
    that cannot be used is listed, and the others are still segmented.  After `stop`, finished images are kept.

    Parameters
    ----------
    on_plane
        Called with the record of every plane as soon as its files are written, and of every failed image.
    channels
        Input channels instead of those of the training: names or numbers (from 0), such as ``"DAPI,2"``.
    plane
        Planes of a stack to segment, such as ``"z=3"`` or ``"z=3,t=0"`` (numbers from 0); None: all.

    Raises
    ------
    CellSeg1Error
        When no image can be segmented: a file is missing, two results would share a name, the folder cannot be
        written, or the only image is unusable.
    """
    tell = _teller(say)
    plan = plan_prediction(
        inputs,
        out,
        channels=channels,
        plane=plane,
        suffix=suffix,
        overlays=overlays,
        candidates=keep_candidates,
        say=tell,
    )
    return run_prediction(model, plan, progress=progress, stop=stop, say=say, on_plane=on_plane)


def run_prediction(
    model: Model,
    plan: PredictPlan,
    *,
    progress: Callable[[PredictProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
    on_plane: Callable[[PlaneRecord], None] | None = None,
) -> PredictResult:
    """Do what was planned; parameters and result as in `predict`."""
    tell = _teller(say)
    model = model.with_channels(plan.channels)
    run = RunFolder(plan.out, lambda: describe_run(model, plan.paths))
    if run.folder.name != Path(os.path.abspath(plan.out)).name:  # noqa: PTH100 - see free_folder
        tell(f"{plan.out} has results in it, which are kept; the new ones are in {run.folder.name}.")

    def note(record: PlaneRecord) -> None:
        if record.error:
            tell(record.error)
        run.add(record)
        if on_plane is not None:
            on_plane(record)

    files = FolderFiles(run.folder, plan.suffix, plan.overlays, plan.candidates)
    tasks = [ImageTask(path, files, plan.planes) for path in plan.paths]
    pipeline = Pipeline(model, say=tell, stop=stop)
    try:
        run.write("running")
        shown = None if progress is None else _reporter(progress, plan.paths)
        stopped = segment_images(pipeline, tasks, note, progress=shown, stop=stop, alone=len(tasks) == 1)
    except BaseException:
        # However the run ended (a full disk, a second Ctrl+C), finished work is recorded.
        run.abandon()
        raise
    run.write("stopped" if stopped else "finished")
    return PredictResult(run.folder, tuple(run.planes), stopped)


def _teller(say: Callable[[str], None] | None) -> Callable[[str], None]:
    def tell(sentence: str) -> None:
        if say is not None:
            say(safe_text(sentence))

    return tell


def _reporter(progress: Callable[[PredictProgress], None], paths: Sequence[Path]) -> Callable[[int, float], None]:
    started = time.monotonic()

    def report(index: int, share: float) -> None:
        spent, done = time.monotonic() - started, index + share
        left = spent / done * (len(paths) - done) if done > 0 else 0.0
        progress(PredictProgress(index, len(paths), paths[index].name, share, spent, left))

    return report
