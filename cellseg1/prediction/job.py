"""The prediction job: a model and image files in, a folder of label images out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.errors import OutputError
from cellseg1.files import PathLike, check_writable, free_folder
from cellseg1.images import PlaneChoice
from cellseg1.masks.writers import WRITERS, writer_of
from cellseg1.model import Model
from cellseg1.plugins import listed
from cellseg1.prediction.inputs import collect_inputs
from cellseg1.prediction.loop import segment_images
from cellseg1.prediction.pipeline import Pipeline
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

    def tell(sentence: str) -> None:
        if say is not None:
            say(safe_text(sentence))

    if writer_of(suffix) is None:
        known = listed(writer.suffixes[0] for writer in WRITERS.all())
        raise OutputError(f"Label images cannot be written as {suffix!r}; choose {known}.")
    model = model.with_channels(channels)
    chosen = PlaneChoice.parse(plane)
    paths = collect_inputs(inputs, tell)
    out = Path(out)
    check_writable(free_folder(out))
    run = RunFolder(out, lambda: describe_run(model, paths))
    if run.folder.name != Path(os.path.abspath(out)).name:  # noqa: PTH100 - see free_folder
        tell(f"{out} has results in it, which are kept; the new ones are in {run.folder.name}.")

    def note(record: PlaneRecord) -> None:
        if record.error:
            tell(record.error)
        run.add(record)
        if on_plane is not None:
            on_plane(record)

    files = FolderFiles(run.folder, suffix, overlays, keep_candidates)
    tasks = [ImageTask(path, files, chosen) for path in paths]
    pipeline = Pipeline(model, say=tell, stop=stop)
    try:
        run.write("running")
        shown = None if progress is None else _reporter(progress, paths)
        stopped = segment_images(pipeline, tasks, note, progress=shown, stop=stop, alone=len(tasks) == 1)
    except BaseException:
        # However the run ended (a full disk, a second Ctrl+C), finished work is recorded.
        run.abandon()
        raise
    run.write("stopped" if stopped else "finished")
    return PredictResult(run.folder, tuple(run.planes), stopped)


def _reporter(progress: Callable[[PredictProgress], None], paths: Sequence[Path]) -> Callable[[int, float], None]:
    started = time.monotonic()

    def report(index: int, share: float) -> None:
        spent, done = time.monotonic() - started, index + share
        left = spent / done * (len(paths) - done) if done > 0 else 0.0
        progress(PredictProgress(index, len(paths), paths[index].name, share, spent, left))

    return report
