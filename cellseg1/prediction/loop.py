"""The loop over images: tasks in, records out, in this process.

A loop over worker processes can replace this module: `ImageTask` and `PlaneRecord` can be pickled, and each process
keeps its own `Pipeline`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

from cellseg1.errors import CellSeg1Error, StoppedError
from cellseg1.files import nothing_can_be_written
from cellseg1.prediction.pipeline import Pipeline
from cellseg1.prediction.tasks import ImageTask, PlaneRecord
from cellseg1.trouble import explained

#: Turns an error and the current activity into a sentence for the user and details for the log.
Explain = Callable[[Exception, str], tuple[str, str]]


def explain_error(error: Exception, doing: str) -> tuple[str, str]:
    """Return the library's own sentence for an error, and its traceback."""
    return str(explained(error, doing)), "".join(traceback.format_exception(error))


def segment_images(
    pipeline: Pipeline,
    tasks: Sequence[ImageTask],
    on_plane: Callable[[PlaneRecord], None],
    *,
    progress: Callable[[int, float], None] | None = None,
    stop: Callable[[], bool] | None = None,
    explain: Explain = explain_error,
    alone: bool = False,
) -> bool:
    """Do one task after the other; return whether the loop was stopped.

    An image that fails for any reason gets a record with a sentence, and the others are still segmented.  The run ends
    only when nothing more can be written, as on a full disk.

    Parameters
    ----------
    on_plane
        Called with every record, as soon as its files are written.
    progress
        Called with the number of the task (from 0) and its finished share, 0 to 1.
    stop
        Called before every image; True ends the loop.
    alone
        There is one image only; its error is raised unless one of its planes is done.

    Raises
    ------
    CellSeg1Error
        When nothing more can be written, or with `alone`.
    """
    any_done = False
    for index, task in enumerate(tasks):
        if stop is not None and stop():
            return True

        def report(share: float, number: int = index) -> None:
            if progress is not None:
                progress(number, share)

        try:
            for record in pipeline.planes(task, report):
                any_done = True
                on_plane(record)
        except StoppedError:
            return True
        except Exception as error:
            doing = f"segmenting {task.path.name}"
            if nothing_can_be_written(error) or (alone and not any_done):
                if isinstance(error, CellSeg1Error):
                    raise
                raise explained(error, doing) from error
            sentence, details = explain(error, doing)
            on_plane(failure_of(task, sentence, details))
    return False


def failure_of(task: ImageTask, sentence: str, details: str = "") -> PlaneRecord:
    """Return the record of an image without a result."""
    return PlaneRecord(
        task.path.name,
        error=sentence,
        path=str(task.path),
        z=task.planes.z or 0,
        t=task.planes.t or 0,
        image_id=task.image_id,
        details=details,
    )
