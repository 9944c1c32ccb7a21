"""Comparing predictions with the truth: what is compared with what, and the scores of one plane.  Nothing of Qt."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cellseg1.errors import MaskError, PairingError
from cellseg1.evaluation import ImageScore, Mistake, evaluate_labels
from cellseg1.masks import list_folder, look_at_labels, pair_by_name, read_mask

from ...session.planes import Plane, choose, drawn_planes, is_stack, plane_title, predicted_planes, shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cellseg1.masks import Box
    from cellseg1.prediction.select import SelectSettings

    from ...project.content import ProjectImage
    from ...project.project import Project

Span = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Side:
    """Where the truth, or the prediction, comes from.

    Attributes
    ----------
    folder
        A folder of masks; None: the project itself (drawn cells, or a run).
    run_id, settings
        The run and its thresholds, for a prediction of the project.
    checked_only
        Take only cells of planes that are marked as checked, for drawn cells.
    """

    folder: Path | None = None
    run_id: str = ""
    settings: SelectSettings | None = None
    checked_only: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """Two label images to compare.

    Attributes
    ----------
    name
        For the table.
    plane
        Of the project, None when the image is not in it: it then cannot be shown.
    truth, prediction
        Files; None for drawn cells.  The prediction is a mask, or with `settings` a file of proposals.
    """

    name: str
    plane: Plane | None
    truth: Path | None
    prediction: Path
    settings: SelectSettings | None = None
    shape: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """The drawn cells of a plane, copied so that the user can go on; `region` as in the document."""

    labels: NDArray[np.int32] | None = None
    region: Span | None = None


@dataclass(frozen=True, slots=True)
class PlaneScore:
    """The scores of one pair, and the part that was compared (None: all)."""

    pair: Pair
    score: ImageScore
    region: Span | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pairs:
    """What can be compared, and sentences about what cannot."""

    pairs: tuple[Pair, ...]
    remarks: tuple[str, ...] = ()


def find_pairs(project: Project | None, truth: Side, prediction: Side) -> Pairs:
    """Find which truth belongs to which prediction; folders are matched by name.

    Raises
    ------
    PairingError
        When nothing can be compared; the sentence says what to do.
    """
    if truth.folder is not None and prediction.folder is not None:
        return _two_folders(project, truth.folder, prediction.folder)
    if project is None:
        raise PairingError("No project is open; open one, or choose two folders of masks.")
    if truth.folder is not None:
        found = _folder_and_run(project, truth.folder, prediction)
    elif prediction.folder is not None:
        found = _drawn_and_folder(project, truth, prediction.folder)
    else:
        found = _drawn_and_run(project, truth, prediction)
    return found


def _drawn_and_run(project: Project, truth: Side, prediction: Side) -> Pairs:
    run = next((one for one in project.runs if one.id == prediction.run_id), None)
    if run is None:
        raise PairingError("There is no prediction yet. Predict some images in step 3 first.")
    drawn = list(drawn_planes(project, checked_only=truth.checked_only))
    predicted = set(predicted_planes(project, run))
    both = [plane for plane in drawn if plane in predicted]
    if not both:
        raise PairingError(_nothing_drawn(truth, bool(drawn)))
    pairs = [
        Pair(
            plane_title(project, plane),
            plane,
            None,
            project.runs.proposals_path(run.id, *plane),
            prediction.settings,
            shape_of(project.images.get(plane[0])),
        )
        for plane in both
    ]
    left = len(drawn) - len(both)
    remarks = (_some(left, "image with cells was", "images with cells were", "not part of this prediction."),)
    return Pairs(tuple(pairs), remarks if left else ())


def _some(number: int, one: str, several: str, rest: str) -> str:
    return f"{number:,} {one if number == 1 else several} {rest}"


def _nothing_drawn(truth: Side, any_drawn: bool) -> str:
    if any_drawn:
        return "None of the images with cells was part of this prediction. Predict them, or choose another prediction."
    if truth.checked_only:
        return (
            "No image is marked as checked. Correct the cells of an image, mark it as checked in step 4, "
            "or compare with all drawn cells."
        )
    return "No cells are drawn yet. Draw or accept cells on an image, or choose a folder of masks as the truth."


def _files(folder: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return the masks of a folder, and sentences that name what was left out."""
    listing = list_folder(folder)
    found = listing.masks or listing.images
    if not found:
        raise PairingError(" ".join([f"There are no masks in {folder}; choose another folder.", *listing.report()]))
    return found, tuple(listing.report())


def _by_name(project: Project, files: Sequence[Path]) -> tuple[list[tuple[ProjectImage, Path]], tuple[str, ...]]:
    """Match the project's images with mask files by name; of images with the same name none is matched."""
    entries = {Path(entry.id) / Path(entry.name).name: entry for entry in project.images}
    pairing = pair_by_name(list(entries), files)
    remarks = [one for one in pairing.report() if one.code != "images_without_mask"]
    return [(entries[image], mask) for image, mask in pairing.pairs], tuple(remarks)


def _folder_and_run(project: Project, folder: Path, prediction: Side) -> Pairs:
    run = next((one for one in project.runs if one.id == prediction.run_id), None)
    if run is None:
        raise PairingError("There is no prediction yet. Predict some images in step 3 first.")
    predicted = set(predicted_planes(project, run))
    files, left_out = _files(folder)
    matched, remarks = _by_name(project, files)
    remarks = (*remarks, *left_out)
    pairs = []
    missing = 0
    for entry, mask in matched:
        plane = (entry.id, 0, 0)
        if plane not in predicted or is_stack(entry):
            missing += 1
            continue
        path = project.runs.proposals_path(run.id, *plane)
        pairs.append(Pair(entry.name, plane, mask, path, prediction.settings, shape_of(entry)))
    if not pairs:
        raise PairingError(
            f"No mask in {folder} belongs to an image of this prediction. A mask must have the name of its image."
        )
    if missing:
        sentence = _some(missing, "mask belongs to an image", "masks belong to images", "that was not predicted then.")
        remarks = (*remarks, sentence)
    return Pairs(tuple(pairs), remarks)


def _drawn_and_folder(project: Project, truth: Side, folder: Path) -> Pairs:
    drawn = set(drawn_planes(project, checked_only=truth.checked_only))
    if not drawn:
        raise PairingError(_nothing_drawn(truth, any_drawn=False))
    files, left_out = _files(folder)
    matched, remarks = _by_name(project, files)
    remarks = (*remarks, *left_out)
    pairs = [
        Pair(entry.name, (entry.id, 0, 0), None, mask)
        for entry, mask in matched
        if (entry.id, 0, 0) in drawn and not is_stack(entry)
    ]
    if not pairs:
        raise PairingError(
            f"No mask in {folder} belongs to an image with drawn cells. A mask must have the name of its image."
        )
    return Pairs(tuple(pairs), remarks)


def _two_folders(project: Project | None, truth: Path, prediction: Path) -> Pairs:
    (predicted, first), (true, second) = _files(prediction), _files(truth)
    pairing = pair_by_name(predicted, true)
    if not pairing.pairs:
        raise PairingError(
            f"No file in {prediction} has the name of one in {truth}. A prediction must have the name of its truth."
        )
    shown: dict[Path, Plane] = {}
    if project is not None:
        matched, _remarks = _by_name(project, [true for _pred, true in pairing.pairs])
        shown = {mask: (entry.id, 0, 0) for entry, mask in matched if not is_stack(entry)}
    pairs = [Pair(pred.name, shown.get(true), true, pred) for pred, true in pairing.pairs]
    remarks = [*first, *second]
    if pairing.images_without_mask:
        left = len(pairing.images_without_mask)
        remarks.append(_some(left, "prediction has", "predictions have", "no truth to be compared with."))
    if pairing.masks_without_image:
        left = len(pairing.masks_without_image)
        remarks.append(_some(left, "truth has", "truths have", "no prediction to be compared with."))
    remarks += [one for one in pairing.report() if one.code == "ambiguous_names"]
    return Pairs(tuple(pairs), tuple(remarks))


# ---- one pair


def take_drawn(project: Project | None, pair: Pair) -> Drawn:
    """Copy the drawn cells of a pair, where they are its truth; in the window's thread."""
    if project is None or pair.truth is not None or pair.plane is None:
        return Drawn()
    document = project.drawings.document(*pair.plane)
    region = document.attributes.get("region")
    span = None
    if region and len(region) == 4:
        x, y, width, height = (int(value) for value in region)
        span = x, y, width, height
    return Drawn(np.array(document.labels, np.int32), span)


def read_prediction(pair: Pair, shape: tuple[int, int] | None = None) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Return the predicted label image, whole, and what is to be said about its file."""
    if pair.settings is not None:
        return choose(pair.prediction, pair.settings, pair.shape or shape), ()
    mask = read_mask(pair.prediction)
    said = (*mask.notes, *look_at_labels(mask.labels))
    return mask.labels, tuple(f"{pair.prediction.name}: {note}" for note in said)


def read_pair(pair: Pair, drawn: Drawn) -> tuple[NDArray[np.int32], NDArray[np.int32], tuple[str, ...]]:
    """Return the true and the predicted label image, whole, and what is to be said about the files."""
    notes: tuple[str, ...] = ()
    if pair.truth is not None:
        mask = read_mask(pair.truth)
        truth = mask.labels
        notes = tuple(f"{pair.truth.name}: {note}" for note in (*mask.notes, *look_at_labels(mask.labels)))
    elif drawn.labels is not None:
        truth = drawn.labels
    else:
        raise MaskError(f"{pair.name} has no truth to compare with.")
    prediction, more = read_prediction(pair, (truth.shape[0], truth.shape[1]))
    return truth, prediction, (*notes, *more)


def score_pair(pair: Pair, drawn: Drawn) -> PlaneScore:
    """Compare a pair, within the annotated region if there is one.

    Raises
    ------
    MaskError
        When a mask cannot be read or the two differ in size.
    """
    truth, prediction, notes = read_pair(pair, drawn)
    region = drawn.region
    if region is None or truth.shape != prediction.shape:
        return PlaneScore(pair, evaluate_labels(truth, prediction, name=pair.name), None, notes)
    rows, columns = slice(region[1], region[1] + region[3]), slice(region[0], region[0] + region[2])
    score = evaluate_labels(
        np.ascontiguousarray(truth[rows, columns]), np.ascontiguousarray(prediction[rows, columns]), name=pair.name
    )
    moved = tuple(_moved(mistake, region[0], region[1]) for mistake in score.mistakes)
    return PlaneScore(pair, dataclasses.replace(score, mistakes=moved), region, notes)


def _moved(mistake: Mistake, x: int, y: int) -> Mistake:
    top, left, bottom, right = mistake.box
    box: Box = (top + y, left + x, bottom + y, right + x)
    centroid = mistake.centroid[0] + y, mistake.centroid[1] + x
    return dataclasses.replace(mistake, box=box, centroid=centroid)


def counts(score: ImageScore) -> dict[str, int]:
    """Return how many mistakes there are of each kind."""
    found = dict.fromkeys(("missed", "invented", "split", "merged"), 0)
    for mistake in score.mistakes:
        found[mistake.kind] += 1
    return found


def error_picture(
    truth: NDArray[np.int32], prediction: NDArray[np.int32], mistakes: Sequence[Mistake]
) -> NDArray[np.uint8]:
    """Paint where truth and prediction agree and what kind of mistake each cell is, (H, W, 3) uint8.

    Grey: found; blue: missed; orange: invented; violet: split or merged.  Pixels in which a found cell and its
    prediction differ are a darker grey.
    """
    picture = np.zeros((*truth.shape, 3), np.uint8)
    picture[:] = _BACKGROUND
    picture[(truth > 0) != (prediction > 0)] = _EDGE
    picture[(truth > 0) & (prediction > 0)] = _FOUND
    for kind, colour in _KIND_COLOURS.items():
        for mistake in mistakes:
            if mistake.kind != kind:
                continue
            ids, labels = (
                (mistake.pred_ids, prediction) if kind in ("invented", "merged") else (mistake.true_ids, truth)
            )
            top, left, bottom, right = mistake.box
            part = labels[top:bottom, left:right]
            picture[top:bottom, left:right][np.isin(part, ids)] = colour
    return picture


_BACKGROUND, _EDGE, _FOUND = (18, 18, 20), (92, 94, 98), (190, 192, 196)
_KIND_COLOURS = {
    "split": (180, 140, 255),
    "merged": (180, 140, 255),
    "missed": (86, 180, 233),
    "invented": (240, 160, 32),
}
