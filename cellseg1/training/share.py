"""How much of a training's change is kept, where the settings leave it open.

A network that finds the cells of the training image already loses by a whole change: it forgets other looks.  One that
does not find them needs all of it (decision 0016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cellseg1.evaluation import evaluate_labels
from cellseg1.images import resize_mask
from cellseg1.model import Model
from cellseg1.prediction.plane import predict_pixels
from cellseg1.sam.registry import get_kind
from cellseg1.training.samples import TrainingImage

#: Side of the part of an image that is looked at, in pixels of the model input; a larger one only costs more time.
_SIDE = 512
#: Images that are looked at.
_IMAGES = 3
#: AP@0.5 up to which all of the change is kept, and from which on half of it.
_POOR, _GOOD = 0.5, 0.7


def share_for(ap: float) -> float:
    """Share of the change to keep when the network had this AP@0.5 before the training: 1 when poor, 0.5 when good."""
    return float(np.interp(ap, (_POOR, _GOOD), (1.0, 0.5)))


def ap_before(model: Model, images: Sequence[TrainingImage]) -> float:
    """Mean AP@0.5 of a network, as it is now, on the part of each of the first images with the most cells."""
    settings = model.settings.replace(image_scale="model", **get_kind(model.settings.files.vit_name).untrained)
    fixed = replace(model, settings=settings)
    return float(np.mean([_ap_of(fixed, image) for image in images[:_IMAGES]]))


def _ap_of(model: Model, image: TrainingImage) -> float:
    inside = image.labels if image.annotated is None else np.where(image.annotated, image.labels, 0).astype(np.int32)
    part = fullest_part(inside, max(16, round(_SIDE / model.scale)))
    annotated = None if image.annotated is None else image.annotated[part]
    return ap_of(model, np.ascontiguousarray(image.pixels[part]), image.labels[part], annotated)


def ap_of(
    model: Model, pixels: NDArray[np.uint8], truth: NDArray[np.int32], annotated: NDArray[np.bool_] | None
) -> float:
    """Return AP@0.5 of a network's prediction on a picture; pixels where `annotated` is False are ignored."""
    found = predict_pixels(model, pixels).labels
    if found.shape != truth.shape:
        # With resize_size, published figures compare at that size, with the truth resized.
        size = (found.shape[0], found.shape[1])
        truth = np.asarray(resize_mask(truth, size), dtype=np.int32)
        annotated = None if annotated is None else resize_mask(annotated.astype(np.int32), size) > 0
    if annotated is not None:
        found = np.where(annotated, found, 0).astype(np.int32)
        truth = np.where(annotated, truth, 0).astype(np.int32)
    return evaluate_labels(truth, found, thresholds=(0.5,)).ap[0.5]


def fullest_part(labels: NDArray[np.int32], side: int) -> tuple[slice, slice]:
    """Rows and columns of the window of at most `side` pixels with the most cells, the first of equals."""
    height, width = labels.shape
    starts = [sorted({*range(0, max(1, size - side), max(1, side // 2)), max(0, size - side)}) for size in labels.shape]
    # The edges of all windows cut the image into blocks; each block is read once for all its windows.
    cuts = [
        sorted({edge for start in along for edge in (start, min(size, start + side))})
        for along, size in zip(starts, labels.shape, strict=True)
    ]
    blocks = {
        (top, left): _ids(labels[top:bottom, left:right])
        for top, bottom in pairwise(cuts[0])
        for left, right in pairwise(cuts[1])
    }

    def count(place: tuple[slice, slice]) -> int:
        rows, columns = place
        inside = [
            blocks[top, left]
            for top in cuts[0][:-1]
            if rows.start <= top < rows.stop
            for left in cuts[1][:-1]
            if columns.start <= left < columns.stop
        ]
        return len(np.unique(np.concatenate(inside)))

    places = [(slice(y, min(height, y + side)), slice(x, min(width, x + side))) for y in starts[0] for x in starts[1]]
    return max(places, key=count)


def _ids(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the ids in a part of a label image, from the beginnings of its runs only."""
    begins = np.ones(labels.shape, bool)
    begins[:, 1:] = labels[:, 1:] != labels[:, :-1]
    return np.unique(labels[begins])
