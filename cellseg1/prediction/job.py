"""The prediction job: a model and image files in, label images out."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cellseg1._version import __version__
from cellseg1.errors import ImageError, OutputError, StoppedError
from cellseg1.files import (
    PathLike,
    as_paths,
    check_writable,
    claim_folder,
    free_folder,
    nothing_can_be_written,
    write_bytes,
    write_with,
)
from cellseg1.images import Image, PlaneChoice, plane_input, read_image, resize_image, resize_mask
from cellseg1.masks import list_folder, name_key, plain_stem, write_label_image
from cellseg1.memory import check_memory
from cellseg1.model import Model
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.decode import find_candidates
from cellseg1.prediction.overlay import overlay_picture
from cellseg1.prediction.own_scale import Box, at_own_scale
from cellseg1.prediction.select import Selection, select, select_settings
from cellseg1.settings import Settings, acts_in
from cellseg1.text import json_text, safe_text
from cellseg1.trouble import explained

if TYPE_CHECKING:
    from cellseg1.images.specification import ChannelWish, PlaneWish

#: The record of a run, which lies in its folder from the beginning.
RECORD = "run.json"
#: How often it is brought up to date, so that a run that is killed has one too.
_RECORD_SECONDS = 5.0
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
    """Result of one plane of the file `path`: where its label image is, or why there is none."""

    image: str
    labels: str
    cells: int
    seconds: float
    error: str = ""
    path: str = ""
    z: int = 0
    t: int = 0


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
        return count_cells(self.labels)


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
    seen = plane_input(image, model.input, z=z, t=t)
    check_memory(memory_needed(seen.shape, model), f"The image {image.info.path or 'that was given'}")
    candidates = predict_candidates(model, seen.pixels, scale=scale, progress=progress, stop=stop)
    selection = select(candidates, select_settings(model.settings))
    labels = label_image(selection, seen.shape, model.settings)
    return PlaneResult(candidates, labels, (*image.info.notes, *seen.notes))


def label_image(selection: Selection, shape: tuple[int, int], settings: Settings) -> NDArray[np.int32]:
    """Return the label image at the size of the original image, or as it is where the recipe wants that (P5).

    Cells that are too small to be left when it shrinks leave no gap: the others are numbered anew.
    """
    labels = selection.labels
    if settings.output_size == "upstream" or labels.shape == shape:
        return labels
    return _without_gaps(np.asarray(resize_mask(labels, shape), dtype=np.int32))


def _without_gaps(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    there = _present(labels)
    there[0] = False
    return np.asarray((np.cumsum(there) * there).astype(np.int32)[labels])


def count_cells(labels: NDArray[np.int32]) -> int:
    """Return how many cells a label image holds, whatever their numbers are."""
    return int(np.count_nonzero(_present(labels)[1:]))


def _present(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    return np.bincount(labels.ravel(), minlength=1) > 0


def predict(
    model: Model,
    inputs: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    progress: Callable[[PredictProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
    overlays: bool = True,
    keep_candidates: bool = True,
    suffix: str = ".png",
    channels: ChannelWish | None = None,
    plane: PlaneWish | None = None,
) -> PredictResult:
    """Segment image files and folders of them.

    Writes into `out` (or, when that folder has something in it, a new one beside it) for every plane a label image
    ``NAME.png`` (``NAME.tif`` above 65,535 cells), an overlay picture and the proposals, and ``run.json``.  An image
    that cannot be used is listed and the rest goes on.  What is done when `stop` says so is kept.

    Parameters
    ----------
    channels
        What the network sees instead of the channels of the training: names or numbers (from 0), such as ``"DAPI,2"``.
    plane
        Which planes of a stack are segmented, such as ``"z=3"`` or ``"z=3,t=0"`` (numbers from 0); None: all.

    Raises
    ------
    CellSeg1Error
        When nothing can be done at all: a file is missing, two results would share a name, the folder cannot be
        written, or the only image is not usable.
    """

    def tell(sentence: str) -> None:
        if say is not None:
            say(safe_text(sentence))

    if suffix not in (".png", ".tif"):
        raise OutputError(f"Label images cannot be written as {suffix!r}; choose .png or .tif.")
    model = model.with_channels(channels)
    chosen = PlaneChoice.parse(plane)
    paths = collect_inputs(inputs, tell)
    out = Path(out)
    check_writable(free_folder(out))
    run = _Run(model, out, paths, progress, tell, overlays, keep_candidates, suffix, chosen)
    if run.folder.name != Path(os.path.abspath(out)).name:  # noqa: PTH100 - see free_folder
        tell(f"{out} has results in it, which are kept; the new ones are in {run.folder.name}.")
    try:
        stopped = run.all_images(stop)
    except BaseException:
        # Whatever ended the run (a full disk, a second Ctrl+C), what is done is on record.
        run.abandon()
        raise
    run.end(stopped=stopped)
    return PredictResult(run.folder, tuple(run.planes), stopped)


def collect_inputs(inputs: PathLike | Sequence[PathLike], say: Callable[[str], None] | None = None) -> list[Path]:
    """Expand folders, and refuse what cannot work before any time is spent.

    Masks that lie beside their images in a folder, and what is no readable image, are left out; `say` is told.

    Raises
    ------
    ImageError
        When a file does not exist, there is nothing to do, or two images would write the same result.
    """
    tell = say or (lambda _sentence: None)
    paths: list[Path] = []
    for entry in as_paths(inputs):
        if entry.is_dir():
            listing = list_folder(entry)
            if not listing.images:
                raise ImageError(
                    " ".join([f"There are no images in the folder {entry}; choose another folder.", *listing.report()])
                )
            for sentence in listing.report():
                tell(f"{entry}: {sentence}")
            if listing.masks:
                names = ", ".join(path.name for path in listing.masks[:5])
                more = f" and {len(listing.masks) - 5} more" if len(listing.masks) > 5 else ""
                tell(f"{entry}: {names}{more} are masks of images beside them and are not segmented.")
            paths.extend(listing.images)
        elif entry.exists() or entry.is_symlink():
            paths.append(entry)
        else:
            raise ImageError(f"There is no file {entry}; check its name.")
    if not paths:
        raise ImageError("There is no image to segment; give image files or a folder.")
    seen: dict[str, Path] = {}
    for path in paths:
        # Windows and macOS do not tell upper from lower case, nor one way of storing accents from another.
        other = seen.setdefault(name_key(path), path)
        if other is not path:
            raise ImageError(
                f"{other} and {path} would both be saved as {result_name(path)}; "
                "rename one, or predict them separately."
            )
    return paths


def result_name(path: Path) -> str:
    """Name of an image's results: the file's name without its suffixes, see `cellseg1.masks.plain_stem`."""
    return plain_stem(path)


class _Run:
    """One run in its folder, which nobody else writes into."""

    def __init__(
        self,
        model: Model,
        out: Path,
        paths: Sequence[Path],
        progress: Callable[[PredictProgress], None] | None,
        tell: Callable[[str], None],
        overlays: bool,
        keep_candidates: bool,
        suffix: str,
        chosen: PlaneChoice,
    ) -> None:
        self.model = model
        self.paths = paths
        self.progress = progress
        self.tell = tell
        self.overlays = overlays
        self.keep_candidates = keep_candidates
        self.suffix = suffix
        self.chosen = chosen
        self.planes: list[PredictedPlane] = []
        self.names: set[str] = set()
        self.started = self._recorded = time.monotonic()
        wanted = free_folder(out)
        made = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
        self.folder = claim_folder(out, RECORD)
        self._made = made if self.folder == wanted else [self.folder]

    def all_images(self, stop: Callable[[], bool] | None) -> bool:
        """Segment one file after the other; tells whether that was stopped.

        One that fails, for whatever reason, is listed and the others go on.  Only where nothing more can be written
        do they not; and where there is but one image its error is the run's.
        """
        self._write_record("running")
        for index, path in enumerate(self.paths):
            if stop is not None and stop():
                return True
            if time.monotonic() - self._recorded > _RECORD_SECONDS:
                self._write_record("running")
            try:
                self._one_image(index, path, stop)
            except StoppedError:
                return True
            except Exception as error:
                failure = explained(error, f"segmenting {path.name}")
                if nothing_can_be_written(error) or (len(self.paths) == 1 and not self.planes):
                    raise failure from error
                self._failed(path, str(failure))
        return False

    def end(self, *, stopped: bool) -> None:
        """Write the record as it stays."""
        self._write_record("stopped" if stopped else "finished")

    def abandon(self) -> None:
        """Keep what is done, with its record; a run that has nothing leaves nothing."""
        with contextlib.suppress(OSError):
            if self.planes:
                self._write_record("failed")
                return
            (self.folder / RECORD).unlink(missing_ok=True)
        for folder in self._made:
            with contextlib.suppress(OSError):  # the system refuses to remove a folder with something in it
                folder.rmdir()

    def _one_image(self, index: int, path: Path, stop: Callable[[], bool] | None) -> None:
        """Segment all planes of one file."""
        image = read_image(path)
        for note in image.info.notes:
            self.tell(f"{path.name}: {note}")
        several = image.n_z * image.n_t > 1
        chosen = self.chosen.of(image)
        said: set[str] = set()
        for number, (z, t) in enumerate(chosen):
            name = self._name(path, f"_t{t:03d}_z{z:03d}" if several else "")
            started = time.monotonic()
            seen = plane_input(image, self.model.input, z=z, t=t)
            for note in seen.notes:
                if note not in said:
                    self.tell(f"{path.name}: {note}")
            said.update(seen.notes)

            def report(share: float, done: int = number) -> None:
                self._report(index, path.name, (done + share) / len(chosen))

            check_memory(memory_needed(seen.shape, self.model), f"The image {path}")
            candidates = predict_candidates(self.model, seen.pixels, progress=report, stop=stop)
            selection = select(candidates, select_settings(self.model.settings))
            labels = label_image(selection, seen.shape, self.model.settings)
            written = self._write(name, seen.pixels, labels, candidates, image.info.pixel_size_um)
            cells, seconds = count_cells(labels), round(time.monotonic() - started, 3)
            self.planes.append(PredictedPlane(path.name, written, cells, seconds, path=str(path), z=z, t=t))

    def _name(self, path: Path, plane: str) -> str:
        """Choose the name of a plane's results: that of the image, shortened where the file system would refuse it."""
        wanted = result_name(path) + plane
        name = fitting_name(wanted, plane)
        if name.casefold() in self.names:
            raise ImageError(f"{path} would be saved as {name}, as another image was; rename it.")
        self.names.add(name.casefold())
        if name != wanted:
            self.tell(f"The name of {path.name} is too long; its results are called {name}.")
        return name

    def _write(
        self,
        name: str,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int32],
        candidates: Candidates,
        pixel_size_um: tuple[float, float] | None,
    ) -> str:
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
            size = _pixel_size_of(labels, pixels, pixel_size_um)
            write_label_image(self.folder / f"{name}{suffix}", labels, pixel_size_um=size)
        except BaseException:
            self._remove(beside)
            raise
        return f"{name}{suffix}"

    def _remove(self, files: Sequence[Path]) -> None:
        """Take away what was written of a plane whose label image could not be, and folders left empty by that."""
        for file in files:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the system refuses to remove a folder with something in it
                file.parent.rmdir()

    def _failed(self, path: Path, reason: str) -> None:
        """Note an image without result."""
        self.planes.append(PredictedPlane(path.name, "", 0, 0.0, reason, path=str(path)))
        self.tell(reason)

    def _report(self, index: int, name: str, share: float) -> None:
        if self.progress is None:
            return
        spent = time.monotonic() - self.started
        done = index + share
        left = spent / done * (len(self.paths) - done) if done > 0 else 0.0
        self.progress(PredictProgress(index, len(self.paths), name, share, spent, left))

    def _write_record(self, state: Literal["running", "finished", "stopped", "failed"]) -> None:
        """Write ``run.json``: with what, from what, and what came out."""
        model, card = self.model, self.model.card
        record: dict[str, Any] = {
            "schema": 1,
            "program_version": __version__,
            "model": {
                "file": None if model.file is None else str(model.file),
                "sha256": model.file_sha256,
                "recipe": card.recipe,
                "backbone": card.backbone,
                "created": card.created,
                "adapter": model.adapter_enabled,
            },
            "device": str(model.backbone.device_of()),
            "settings": {name: value for name, value in model.settings.to_dict().items() if acts_in(name, "predict")},
            "input": model.input.to_dict(),
            "scale": model.scale,
            "inputs": [os.path.abspath(path) for path in self.paths],  # noqa: PTH100 - a link keeps its own name
            "state": state,
            "stopped": state != "finished",
            "planes": [asdict(plane) for plane in self.planes],
        }
        write_bytes(self.folder / RECORD, json_text(record, indent=1).encode())
        self._recorded = time.monotonic()


#: Bytes that a name may have on the file systems in use, less the longest suffix of a result.
_LONGEST_NAME = 255 - len(".tiff")


def fitting_name(name: str, end: str = "") -> str:
    """Return `name`, or where it is too long for a file a shorter one that stays different from others.

    Parameters
    ----------
    end
        The end of the name that must stay.
    """
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    mark = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}{end}"
    short = name.removesuffix(end)
    while len(os.fsencode(short + mark)) > _LONGEST_NAME:
        short = short[:-1]
    return short + mark


#: Bytes for every pixel of the image, and of the image at the model's scale, that a prediction takes at its peak.
_BYTES_PER_PIXEL, _BYTES_PER_SCALED_PIXEL = 40, 12


def memory_needed(shape: tuple[int, int], model: Model) -> int:
    """Estimate the memory (bytes) that segmenting an image of `shape` (H, W) takes on top of what is in use."""
    pixels = shape[0] * shape[1]
    if model.settings.resize_size is not None:
        pixels = max(pixels, model.settings.resize_size[0] * model.settings.resize_size[1])
    return int(pixels * (_BYTES_PER_PIXEL + _BYTES_PER_SCALED_PIXEL * model.scale**2))


def _pixel_size_of(
    labels: NDArray[np.int32], pixels: NDArray[np.uint8], size: tuple[float, float] | None
) -> tuple[float, float] | None:
    """Pixel size (y, x) of labels that may be smaller than their image."""
    if size is None:
        return None
    return size[0] * pixels.shape[0] / labels.shape[0], size[1] * pixels.shape[1] / labels.shape[1]


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an RGB picture (H, W, 3) as PNG, atomically."""
    from PIL import Image

    write_with(path, lambda stream: Image.fromarray(pixels).save(stream, format="PNG"))
