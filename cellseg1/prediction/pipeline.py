"""The prediction pipeline: file, plane, input, proposals, label image, record.

The command, the window's engine and the benchmarks all use it.  `Pipeline` holds the model and does one `ImageTask` at
a time; `cellseg1.prediction.loop` hands out the tasks.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cellseg1.files import write_with
from cellseg1.images import Image, read_image, resize_image
from cellseg1.images.axes import with_axes
from cellseg1.masks import write_label_image
from cellseg1.masks.writers import fitting_writer, writer_of
from cellseg1.model import Model
from cellseg1.prediction.overlay import overlay_picture
from cellseg1.prediction.plane import PlaneResult, predict_plane
from cellseg1.prediction.tasks import ImageTask, PlaneFiles, PlaneRecord


class Pipeline:
    """Does tasks with one model in the current process.

    Parameters
    ----------
    model
        The model.
    say
        Called with every sentence the user should see; each begins with the name of the file.
    stop
        Called often; True abandons the current plane (`StoppedError`).
    on_result
        Called with every plane before its files are written; an exception from it becomes the plane's error.
    """

    def __init__(
        self,
        model: Model,
        *,
        say: Callable[[str], None] | None = None,
        stop: Callable[[], bool] | None = None,
        on_result: Callable[[ImageTask, PlaneResult], None] | None = None,
    ) -> None:
        self.model = model
        self._say = say or (lambda _sentence: None)
        self._stop = stop
        self._on_result = on_result
        self._read: tuple[Path, str | None, Image] | None = None

    def planes(self, task: ImageTask, progress: Callable[[float], None] | None = None) -> Iterator[PlaneRecord]:
        """Segment the planes of one image and write their files, plane by plane.

        Parameters
        ----------
        progress
            Called with the finished share of the image, 0 to 1.

        Raises
        ------
        CellSeg1Error
            When the image cannot be used; planes yielded before are done.  `StoppedError` after `stop`.
        """
        image = self._image(task)
        name = task.path.name
        for note in image.info.notes:
            self._say(f"{name}: {note}")
        chosen = task.planes.of(image)
        several = image.n_z * image.n_t > 1
        said: set[str] = set()

        def tell(note: str) -> None:
            if note not in said:
                self._say(f"{name}: {note}")
            said.add(note)

        for number, (z, t) in enumerate(chosen):
            files, remark = task.destination.files_of(task.path, f"_t{t:03d}_z{z:03d}" if several else "")
            if remark:
                self._say(remark)
            started = time.monotonic()

            def report(share: float, done: int = number) -> None:
                if progress is not None:
                    progress((done + share) / len(chosen))

            result = predict_plane(
                self.model, image, z=z, t=t, scale=task.scale, progress=report, stop=self._stop, say=tell
            )
            if self._on_result is not None:
                self._on_result(task, result)
            labels = self._write(files, result, image.info.pixel_size_um)
            seconds = round(time.monotonic() - started, 3)
            yield PlaneRecord(name, labels, result.cells, seconds, "", str(task.path), z, t, task.image_id)

    def _image(self, task: ImageTask) -> Image:
        """Read the file, once for consecutive tasks of it."""
        if self._read is None or self._read[:2] != (task.path, task.axes):
            self._read = None
            self._read = (task.path, task.axes, with_axes(read_image(task.path), task.axes))
        return self._read[2]

    def _write(self, files: PlaneFiles, result: PlaneResult, pixel_size_um: tuple[float, float] | None) -> str:
        target = None if files.labels is None else self._fitting(files.labels, result.labels)
        beside = [file for file in (files.candidates, files.overlay) if file is not None]
        try:
            if files.candidates is not None:
                result.candidates.save(files.candidates)
            if files.overlay is not None:
                write_overlay(files.overlay, result.pixels, result.labels)
            # The label image is written last: where it exists, all files of this plane exist.
            if target is not None:
                size = labels_pixel_size(result.labels, result.pixels, pixel_size_um)
                write_label_image(target, result.labels, pixel_size_um=size)
        except BaseException:
            _remove(beside)
            raise
        return "" if target is None else target.name

    def _fitting(self, target: Path, labels: NDArray[np.int32]) -> Path:
        """Return the path of a label image, with another format where the chosen one cannot hold that many cells."""
        writer, highest = writer_of(target.suffix.lower()), int(labels.max(initial=0))
        fitting = None if writer is None else fitting_writer(writer, highest)
        if writer is None or fitting is None or fitting is writer:
            return target
        self._say(
            f"{target.stem}: more than {writer.most_id:,} cells do not fit into a {writer.title}; saved as "
            f"{fitting.title}."
        )
        return target.with_name(target.name[: -len(target.suffix)] + fitting.suffixes[0])


def _remove(files: Sequence[Path]) -> None:
    """Remove the files of a plane whose label image could not be written, and folders that become empty."""
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the system refuses to remove a folder that is not empty
            file.parent.rmdir()


def labels_pixel_size(
    labels: NDArray[np.int32], pixels: NDArray[np.uint8], size: tuple[float, float] | None
) -> tuple[float, float] | None:
    """Return the pixel size (y, x) in micrometres of labels that may be smaller than their image."""
    if size is None:
        return None
    return size[0] * pixels.shape[0] / labels.shape[0], size[1] * pixels.shape[1] / labels.shape[1]


def write_overlay(path: Path, pixels: NDArray[np.uint8], labels: NDArray[np.int32]) -> None:
    """Write a PNG of the cells on their image (H, W, 3), which is resized to the labels."""
    shown = pixels
    if labels.shape != pixels.shape[:2]:
        shown = np.asarray(resize_image(pixels, (labels.shape[0], labels.shape[1])), dtype=np.uint8)
    write_picture(path, overlay_picture(shown, labels))


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an RGB picture (H, W, 3) as PNG, atomically."""
    from PIL import Image as Pillow

    write_with(path, lambda stream: Pillow.fromarray(pixels).save(stream, format="PNG"))
