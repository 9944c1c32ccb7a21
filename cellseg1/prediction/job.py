"""The prediction job: a model and image files in, label images out."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellseg1._version import __version__
from cellseg1.errors import CellSeg1Error, ImageError, OutputError, StoppedError
from cellseg1.files import check_writable, free_folder, write_bytes, write_with
from cellseg1.images import Image, pick_channels, read_image, resize_image, resize_mask, to_model_input
from cellseg1.masks import list_images, write_label_image
from cellseg1.model import Model
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.decode import find_candidates
from cellseg1.prediction.overlay import overlay_picture
from cellseg1.prediction.own_scale import Box, at_own_scale
from cellseg1.prediction.select import Selection, select, select_settings
from cellseg1.settings import Settings

#: A PNG label image cannot hold larger ids.
_PNG_LIMIT = 65535


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
class PredictedPlane:
    """Result of one plane: where its label image is, or why there is none."""

    image: str
    labels: str
    cells: int
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class PredictResult:
    """Result of a run: its folder, its planes (also those that failed), and whether it was stopped before the end."""

    folder: Path
    planes: tuple[PredictedPlane, ...]
    stopped: bool

    @property
    def failures(self) -> tuple[PredictedPlane, ...]:
        """The planes without a result."""
        return tuple(plane for plane in self.planes if plane.error)


def predict_candidates(
    model: Model,
    pixels: NDArray[np.uint8],
    *,
    scale: float | None = None,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Candidates:
    """Find all proposals in one image given as model input (H, W, 3) uint8.

    With `resize_size` the image is resized first and the proposals are those of the resized image.

    Parameters
    ----------
    scale
        Factor by which the image is enlarged before the network sees it; None takes the model's, or the one that
        fits the image's own cells where the settings ask for that (see `cellseg1.prediction.own_scale`).

    Raises
    ------
    StoppedError
        When `stop` said so.
    """
    settings = model.settings
    if settings.resize_size is not None:
        pixels = np.asarray(resize_image(pixels, settings.resize_size), dtype=np.uint8)

    def find(wanted: float, number: int = 0, box: Box | None = None) -> Candidates | None:
        def report(share: float) -> None:
            # What only serves the first look would make the bar go back.
            serving = box is not None or (own and number == 0 and wanted != model.scale)
            if progress is not None and not serving:
                # Most images need one look; further ones divide the last tenth, so that the bar never goes back.
                progress(share * first_share if number == 0 else 1 - 0.1 * 0.5**number * (2 - share))

        seen = pixels if box is None else np.ascontiguousarray(pixels[box[0] : box[2], box[1] : box[3]])
        return find_candidates(model.backbone, seen, settings, scale=wanted, progress=report, stop=stop)

    own = scale is None and settings.image_scale == "own" and settings.target_diameter is not None
    first_share = 0.9 if own else 1.0
    if own:
        assert settings.target_diameter is not None
        chosen = select_settings(settings)
        found = at_own_scale(find, lambda one: select(one, chosen), model.scale, settings.target_diameter)
    else:
        found = find(model.scale if scale is None else scale)
    if found is None:
        raise StoppedError("The prediction was stopped.")
    if progress is not None:
        progress(1.0)
    return found


def predict_pixels(model: Model, pixels: NDArray[np.uint8]) -> Selection:
    """Segment one image given as model input (H, W, 3) uint8; see `predict` for files."""
    return select(predict_candidates(model, pixels), select_settings(model.settings))


@dataclass(frozen=True, slots=True, eq=False)
class PlaneResult:
    """One segmented plane: its proposals, the label image chosen from them, and what was said about the input."""

    candidates: Candidates
    labels: NDArray[np.int32]
    notes: tuple[str, ...]

    @property
    def cells(self) -> int:
        """Number of cells."""
        return int(self.labels.max(initial=0))


def predict_plane(
    model: Model,
    image: Image,
    *,
    z: int = 0,
    t: int = 0,
    scale: float | None = None,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> PlaneResult:
    """Segment one plane of an image that was read already.

    Parameters
    ----------
    scale
        Factor by which the image is enlarged before the network sees it; None takes the model's.
    progress
        Called with the share done, 0 to 1.

    Raises
    ------
    CellSeg1Error
        When the plane does not exist or cannot be used; `StoppedError` when `stop` said so.
    """
    plane = image.plane(z=z, t=t)
    _chosen, remark = pick_channels(plane, names=image.info.channel_names)
    pixels = to_model_input(plane, model.input_rule, colour=image.is_colour)
    candidates = predict_candidates(model, pixels, scale=scale, progress=progress, stop=stop)
    selection = select(candidates, select_settings(model.settings))
    labels = label_image(selection, (plane.shape[0], plane.shape[1]), model.settings)
    return PlaneResult(candidates, labels, (*image.info.notes, *([remark] if remark else [])))


def label_image(selection: Selection, shape: tuple[int, int], settings: Settings) -> NDArray[np.int32]:
    """Return the label image at the size of the original image, or as it is where the recipe wants that (P5)."""
    labels = selection.labels
    if settings.output_size == "upstream" or labels.shape == shape:
        return labels
    return np.asarray(resize_mask(labels, shape), dtype=np.int32)


def predict(
    model: Model,
    inputs: Sequence[Path],
    out: Path,
    *,
    progress: Callable[[PredictProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
    overlays: bool = True,
    keep_candidates: bool = True,
    suffix: str = ".png",
) -> PredictResult:
    """Segment image files and folders of them.

    Writes into `out` (or, when that folder has something in it, a new one beside it) for every plane a label image
    ``NAME.png`` (``NAME.tif`` above 65,535 cells), an overlay picture and the proposals, and ``run.json``.  An image
    that cannot be used is listed and the rest goes on.  What is done when `stop` says so is kept.

    Raises
    ------
    CellSeg1Error
        When nothing can be done at all: a file is missing, two results would share a name, the folder cannot be
        written, or the only image is not usable.
    """
    tell = say or (lambda _sentence: None)
    paths = collect_inputs(inputs)
    folder = free_folder(out)
    if folder.name != Path(os.path.abspath(out)).name:  # noqa: PTH100 - see free_folder
        tell(f"{out} has results in it, which are kept; the new ones are in {folder.name}.")
    check_writable(folder)
    run = _Run(model, folder, len(paths), progress, tell, overlays, keep_candidates, suffix)
    stopped = False
    for index, path in enumerate(paths):
        stopped = stop is not None and stop()
        if stopped:
            break
        try:
            run.one_image(index, path, stop)
        except StoppedError:
            stopped = True
            break
        except OutputError:
            # A full disk does not get better with the next image; what is complete stays.
            with contextlib.suppress(OutputError):
                if run.planes:
                    run.write_record(stopped=True)
            raise
        except CellSeg1Error as error:
            if len(paths) == 1 and not run.planes:
                raise
            run.failed(path, str(error))
            tell(str(error))
    run.write_record(stopped=stopped)
    return PredictResult(folder, tuple(run.planes), stopped)


def collect_inputs(inputs: Sequence[Path]) -> list[Path]:
    """Expand folders, and refuse what cannot work before any time is spent.

    Raises
    ------
    ImageError
        When a file does not exist, there is nothing to do, or two images would write the same result.
    """
    paths: list[Path] = []
    for entry in inputs:
        if entry.is_dir():
            found = list_images(entry)
            if not found:
                raise ImageError(f"There are no images in the folder {entry}; choose another folder.")
            paths.extend(found)
        elif entry.exists():
            paths.append(entry)
        else:
            raise ImageError(f"There is no file {entry}; check its name.")
    if not paths:
        raise ImageError("There is no image to segment; give image files or a folder.")
    seen: dict[str, Path] = {}
    for path in paths:
        # Windows and macOS do not tell upper from lower case.
        other = seen.setdefault(result_name(path).casefold(), path)
        if other is not path:
            raise ImageError(
                f"{other} and {path} would both be saved as {result_name(path)}; "
                "rename one, or predict them separately."
            )
    return paths


def result_name(path: Path) -> str:
    """Name of an image's results: the file's name without its suffix (both parts of ``.nii.gz``)."""
    return path.name[: -len(".nii.gz")] if path.name.lower().endswith(".nii.gz") else path.stem


class _Run:
    """One run in its folder."""

    def __init__(
        self,
        model: Model,
        folder: Path,
        count: int,
        progress: Callable[[PredictProgress], None] | None,
        tell: Callable[[str], None],
        overlays: bool,
        keep_candidates: bool,
        suffix: str,
    ) -> None:
        self.model = model
        self.folder = folder
        self.count = count
        self.progress = progress
        self.tell = tell
        self.overlays = overlays
        self.keep_candidates = keep_candidates
        self.suffix = suffix
        self.planes: list[PredictedPlane] = []
        self.names: set[str] = set()
        self.started = time.monotonic()

    def one_image(self, index: int, path: Path, stop: Callable[[], bool] | None) -> None:
        """Segment all planes of one file."""
        image = read_image(path)
        for note in image.info.notes:
            self.tell(f"{path.name}: {note}")
        several = image.n_z * image.n_t > 1
        for number in range(image.n_z * image.n_t):
            t, z = divmod(number, image.n_z)
            name = result_name(path) + (f"_t{t:03d}_z{z:03d}" if several else "")
            if name.casefold() in self.names:
                raise ImageError(f"{path} would be saved as {name}, as another image was; rename it.")
            self.names.add(name.casefold())
            started = time.monotonic()
            plane = image.plane(z=z, t=t)
            if number == 0:
                _chosen, remark = pick_channels(plane, names=image.info.channel_names)
                if remark:
                    self.tell(f"{path.name}: {remark}")
            pixels = to_model_input(plane, self.model.input_rule, colour=image.is_colour)

            def report(share: float, done: int = number) -> None:
                self._report(index, path.name, (done + share) / (image.n_z * image.n_t))

            candidates = predict_candidates(self.model, pixels, progress=report, stop=stop)
            selection = select(candidates, select_settings(self.model.settings))
            labels = label_image(selection, (plane.shape[0], plane.shape[1]), self.model.settings)
            written = self._write(name, pixels, labels, candidates)
            cells = int(labels.max(initial=0))
            self.planes.append(PredictedPlane(path.name, written, cells, round(time.monotonic() - started, 3)))

    def _write(self, name: str, pixels: NDArray[np.uint8], labels: NDArray[np.int32], candidates: Candidates) -> str:
        suffix = self.suffix
        if suffix == ".png" and int(labels.max(initial=0)) > _PNG_LIMIT:
            suffix = ".tif"
            self.tell(f"{name}: more than 65,535 cells do not fit into a PNG; saved as TIFF.")
        beside = [self.folder / "candidates" / f"{name}.npz", self.folder / "overlays" / f"{name}.png"]
        try:
            if self.keep_candidates:
                candidates.save(beside[0])
            if self.overlays:
                shown = pixels
                if labels.shape != pixels.shape[:2]:
                    shown = np.asarray(resize_image(pixels, (labels.shape[0], labels.shape[1])), dtype=np.uint8)
                write_picture(beside[1], overlay_picture(shown, labels))
            # The label image last: where it exists, everything of this plane exists.
            write_label_image(self.folder / f"{name}{suffix}", labels)
        except OutputError:
            self._remove(beside)
            raise
        return f"{name}{suffix}"

    def _remove(self, files: Sequence[Path]) -> None:
        """Take away what was written of a plane whose label image could not be, and folders left empty by that."""
        with contextlib.suppress(OSError):
            for file in files:
                file.unlink(missing_ok=True)
        for folder in (*(file.parent for file in files), self.folder):
            with contextlib.suppress(OSError):  # the system refuses to remove a folder with something in it
                folder.rmdir()

    def failed(self, path: Path, reason: str) -> None:
        """Note an image without result."""
        self.planes.append(PredictedPlane(path.name, "", 0, 0.0, reason))

    def _report(self, index: int, name: str, share: float) -> None:
        if self.progress is None:
            return
        spent = time.monotonic() - self.started
        done = index + share
        left = spent / done * (self.count - done) if done > 0 else 0.0
        self.progress(PredictProgress(index, self.count, name, share, spent, left))

    def write_record(self, *, stopped: bool) -> None:
        """Write ``run.json``: with what, from what, and what came out."""
        card = self.model.card
        record: dict[str, Any] = {
            "schema": 1,
            "program_version": __version__,
            "model": {"recipe": card.recipe, "backbone": card.backbone, "created": card.created},
            "settings": self.model.settings.to_dict(),
            "scale": self.model.scale,
            "stopped": stopped,
            "planes": [asdict(plane) for plane in self.planes],
        }
        write_bytes(self.folder / "run.json", json.dumps(record, indent=1, ensure_ascii=False).encode())


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an RGB picture (H, W, 3) as PNG, atomically."""
    from PIL import Image

    write_with(path, lambda stream: Image.fromarray(pixels).save(stream, format="PNG"))
