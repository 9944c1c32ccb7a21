"""The evaluation job: two folders of label images in, a report out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.errors import PairingError
from cellseg1.evaluation.metrics import DEFAULT_THRESHOLDS
from cellseg1.evaluation.report import Report, evaluate_pairs
from cellseg1.masks import list_images, pair_by_name, read_mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray


def evaluate(
    truth: Path,
    pred: Path,
    *,
    thresholds: Sequence[float] = DEFAULT_THRESHOLDS,
    resize_truth: bool = False,
    say: Callable[[str], None] | None = None,
) -> Report:
    """Compare predicted label images with the truth, image by image, matched by name.

    Parameters
    ----------
    truth, pred
        Two folders, or two files.
    resize_truth
        Bring the truth to the size of the prediction (nearest pixel), as the published experiments do.

    Raises
    ------
    PairingError
        When a folder is empty, or a truth has no prediction.
    MaskError
        When two label images of a pair differ in size.
    """
    tell = say or (lambda _sentence: None)
    if truth.is_file() and pred.is_file():
        pairs = [(pred, truth)]
    else:
        pairing = pair_by_name(_files(pred), _files(truth))
        if pairing.masks_without_image:
            names = ", ".join(path.name for path in pairing.masks_without_image[:5])
            raise PairingError(
                f"There is no prediction in {pred} for {names}; predict these images, "
                f"or take their truth out of {truth}."
            )
        if pairing.ambiguous:
            pairing.require_complete()
        pairs = list(pairing.pairs)
        for extra in pairing.images_without_mask:
            tell(f"{extra.name} has no truth and is left out.")
    return evaluate_pairs(_read(pairs, tell), thresholds, resize_true=resize_truth)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PairingError(f"There is no folder {folder}; check its name.")
    found = list_images(folder)
    if not found:
        raise PairingError(f"There are no label images in {folder}; check its name.")
    return found


def _read(
    pairs: Sequence[tuple[Path, Path]], tell: Callable[[str], None]
) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.int32]]]:
    for pred, truth in pairs:
        true_mask, pred_mask = read_mask(truth), read_mask(pred)
        for path, mask in ((truth, true_mask), (pred, pred_mask)):
            for note in mask.notes:
                tell(f"{path.name}: {note}")
        yield pred.name, true_mask.labels, pred_mask.labels
