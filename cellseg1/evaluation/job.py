"""The evaluation job: two folders of label images in, a report out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.errors import MaskError, PairingError
from cellseg1.evaluation.metrics import DEFAULT_THRESHOLDS
from cellseg1.evaluation.report import Report, evaluate_pairs
from cellseg1.files import PathLike
from cellseg1.masks import Pieces, list_folder, look_at_labels, open_mask, pair_by_name
from cellseg1.masks.planes import StackPlanes, planes_of_stacks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from cellseg1.masks import Mask


def evaluate(
    truth: PathLike,
    pred: PathLike,
    *,
    thresholds: Sequence[float] = DEFAULT_THRESHOLDS,
    resize_truth: bool = False,
    say: Callable[[str], None] | None = None,
    pieces: Pieces = "auto",
) -> Report:
    """Compare predicted label images with the truth, image by image, matched by name.

    Parameters
    ----------
    truth, pred
        Two folders, or two files.  Predictions of single planes (``a_t000_z003.png``) belong to the stack of masks
        ``a.tif``.
    resize_truth
        Resize the truth to the prediction (nearest neighbour), as the published experiments do.
    say
        Called with every sentence about the files that the user should see.
    pieces
        Whether separate pieces of one id or colour are separate cells, see `cellseg1.masks.open_mask`.

    Raises
    ------
    PairingError
        When a folder is empty, or a truth has no prediction.
    MaskError
        When two label images of a pair differ in size.
    """
    tell = say or (lambda _sentence: None)
    truth, pred = Path(truth), Path(pred)
    if truth.is_file() and pred.is_file():
        pairs, of_planes = [(pred, truth)], []
    else:
        predictions, truths = list(_files(pred, tell)), list(_files(truth, tell))
        of_planes = planes_of_stacks(predictions, truths)
        for group in of_planes:
            truths.remove(group.stack)
            predictions = [path for path in predictions if path not in group.planes]
        pairing = pair_by_name(predictions, truths)
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
    compared = itertools.chain(_read(pairs, pieces, tell), _read_planes(of_planes, pieces, tell))
    return evaluate_pairs(compared, thresholds, resize_true=resize_truth)


def _files(folder: Path, tell: Callable[[str], None]) -> tuple[Path, ...]:
    if folder.is_file():
        raise PairingError(f"{folder} is a file, and it is compared with a folder; give two files, or two folders.")
    if not folder.is_dir():
        raise PairingError(f"There is no folder {folder}; check its name.")
    listing = list_folder(folder)
    for sentence in listing.report():
        tell(f"{folder}: {sentence}")
    found = listing.masks or listing.images
    if not found:
        raise PairingError(" ".join([f"There are no label images in {folder}; check its name.", *listing.report()]))
    if listing.masks and listing.images:
        tell(f"{folder}: the images beside their masks are not taken for masks.")
    return found


def _read(
    pairs: Sequence[tuple[Path, Path]], pieces: Pieces, tell: Callable[[str], None]
) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.int32]]]:
    for pred, truth in pairs:
        true_file, pred_file = open_mask(truth, pieces=pieces), open_mask(pred, pieces=pieces)
        if (true_file.n_t, true_file.n_z) != (pred_file.n_t, pred_file.n_z):
            raise MaskError(
                f"{truth} has {true_file.n_planes} planes and {pred} {pred_file.n_planes}; compare files of the same "
                "planes."
            )
        for t in range(true_file.n_t):
            for z in range(true_file.n_z):
                where = f" (z {z}, t {t})" if true_file.n_planes > 1 else ""
                true_mask, pred_mask = true_file.plane(z, t), pred_file.plane(z, t)
                _say_notes(((f"{truth.name}{where}", true_mask), (f"{pred.name}{where}", pred_mask)), tell)
                yield f"{pred.name}{where}", true_mask.labels, pred_mask.labels


def _read_planes(
    groups: Sequence[StackPlanes], pieces: Pieces, tell: Callable[[str], None]
) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.int32]]]:
    for group in groups:
        stack = open_mask(group.stack, pieces=pieces)
        per_time = 1 + max(z for z, _t in group.planes.values())
        for pred, (z, t) in group.planes.items():
            if z >= stack.n_z or t >= stack.n_t:
                # The stack names its planes differently, or not at all; their order is the same.
                t, z = divmod(t * per_time + z, stack.n_z)  # noqa: PLW2901
            true_mask, pred_mask = stack.plane(z, t), open_mask(pred, pieces=pieces).plane()
            _say_notes(((f"{group.stack.name} (z {z}, t {t})", true_mask), (pred.name, pred_mask)), tell)
            yield pred.name, true_mask.labels, pred_mask.labels


def _say_notes(masks: Iterable[tuple[str, Mask]], tell: Callable[[str], None]) -> None:
    for name, mask in masks:
        for note in (*mask.notes, *look_at_labels(mask.labels)):
            tell(f"{name}: {note}")
