"""Segmentation of one plane: the network's input in, proposals and a label image out, without file access."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellseg1.errors import StoppedError
from cellseg1.images import Image, plane_input, resize_image, resize_mask
from cellseg1.memory import check_memory
from cellseg1.model import Model
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.decode import find_candidates
from cellseg1.prediction.own_scale import Box, at_own_scale
from cellseg1.prediction.select import Selection, select, select_settings
from cellseg1.settings import Settings


def predict_candidates(
    model: Model,
    pixels: NDArray[np.uint8],
    *,
    scale: float | None = None,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Candidates:
    """Find all proposals in one model input (H, W, 3) uint8.

    With `resize_size` the image is resized first and the proposals are those of the resized image.

    Parameters
    ----------
    scale
        Factor by which the image is enlarged before the network sees it; None takes the model's, or, depending on
        the settings, the one that fits the cells of the image (see `cellseg1.prediction.own_scale`).

    Raises
    ------
    StoppedError
        When `stop` returned True.
    """
    settings = model.settings
    if settings.data.resize_size is not None:
        pixels = np.asarray(resize_image(pixels, settings.data.resize_size), dtype=np.uint8)

    def find(wanted: float, number: int = 0, box: Box | None = None) -> Candidates | None:
        def report(share: float) -> None:
            # Preparations for the first pass would make the progress bar go back.
            serving = box is not None or (own and number == 0 and wanted != model.scale)
            if progress is not None and not serving:
                # Most images need one pass; further ones share the last tenth, so that the bar never goes back.
                progress(share * first_share if number == 0 else 1 - 0.1 * 0.5**number * (2 - share))

        seen = pixels if box is None else np.ascontiguousarray(pixels[box[0] : box[2], box[1] : box[3]])
        return find_candidates(model.backbone, seen, settings, scale=wanted, progress=report, stop=stop)

    own = scale is None and settings.prediction.image_scale == "own" and settings.data.target_diameter is not None
    first_share = 0.9 if own else 1.0
    if own:
        assert settings.data.target_diameter is not None
        chosen = select_settings(settings)
        found = at_own_scale(find, lambda one: select(one, chosen), model.scale, settings.data.target_diameter)
    else:
        found = find(model.scale if scale is None else scale)
    if found is None:
        raise StoppedError("The prediction was stopped.")
    if progress is not None:
        progress(1.0)
    return found


def predict_pixels(model: Model, pixels: NDArray[np.uint8]) -> Selection:
    """Segment one model input (H, W, 3) uint8; see `predict` for files."""
    return select(predict_candidates(model, pixels), select_settings(model.settings))


@dataclass(frozen=True, slots=True, eq=False)
class PlaneResult:
    """One segmented plane.

    Attributes
    ----------
    pixels
        (H, W, 3) uint8, the network's input.
    candidates
        All proposals.
    labels
        (H, W) int32, the label image chosen from them: 0 is background, the cells are 1..n without gaps.
    scores
        (n,) float32, the score that the network gives each cell; 1 is best.
    notes
        Sentences about the conversion of the image to the network's input.
    seconds
        Time of the segmentation.
    """

    pixels: NDArray[np.uint8]
    candidates: Candidates
    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    notes: tuple[str, ...]
    seconds: float

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
    say: Callable[[str], None] | None = None,
) -> PlaneResult:
    """Segment one plane of an image in memory.

    Parameters
    ----------
    scale
        Factor by which the image is enlarged before the network sees it; None takes the model's.
    progress
        Called with the finished share, 0 to 1.
    say
        Called with the notes about the input, before the network starts.

    Raises
    ------
    CellSeg1Error
        When the plane does not exist or cannot be used; `StoppedError` after `stop`.
    """
    started = time.monotonic()
    seen = plane_input(image, model.input, z=z, t=t)
    if say is not None:
        for note in seen.notes:
            say(note)
    check_memory(memory_needed(seen.shape, model), f"The image {image.info.path or 'that was given'}")
    candidates = predict_candidates(model, seen.pixels, scale=scale, progress=progress, stop=stop)
    selection = select(candidates, select_settings(model.settings))
    labels, kept = fitted_labels(selection, seen.shape, model.settings)
    spent = time.monotonic() - started
    return PlaneResult(seen.pixels, candidates, labels, selection.score[kept], seen.notes, spent)


def label_image(selection: Selection, shape: tuple[int, int], settings: Settings) -> NDArray[np.int32]:
    """Return the label image at the size of the original image, or unchanged where the recipe says so (P5).

    Cells that vanish when it shrinks leave no gap: the others are renumbered.
    """
    return fitted_labels(selection, shape, settings)[0]


def fitted_labels(
    selection: Selection, shape: tuple[int, int], settings: Settings
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return `label_image`, and the indices (from 0) of the selected cells in it."""
    labels = selection.labels
    if settings.switches.output_size != "upstream" and labels.shape != shape:
        labels = np.asarray(resize_mask(labels, shape), dtype=np.int32)
        there = _present(labels)
        there[0] = False
        return np.asarray((np.cumsum(there) * there).astype(np.int32)[labels]), np.flatnonzero(there) - 1
    return labels, np.flatnonzero(_present(labels)[1:])


def count_cells(labels: NDArray[np.int32]) -> int:
    """Return the number of cells of a label image with any ids."""
    return int(np.count_nonzero(_present(labels)[1:]))


def _present(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    return np.bincount(labels.ravel(), minlength=1) > 0


#: Peak memory of a prediction: bytes per pixel of the image, and per pixel of the image at the model's scale.
_BYTES_PER_PIXEL, _BYTES_PER_SCALED_PIXEL = 40, 12


def memory_needed(shape: tuple[int, int], model: Model) -> int:
    """Estimate the memory (bytes) that segmenting an image of `shape` (H, W) takes on top of what is in use."""
    pixels = shape[0] * shape[1]
    if model.settings.data.resize_size is not None:
        pixels = max(pixels, model.settings.data.resize_size[0] * model.settings.data.resize_size[1])
    return int(pixels * (_BYTES_PER_PIXEL + _BYTES_PER_SCALED_PIXEL * model.scale**2))
