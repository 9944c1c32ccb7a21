"""Public functions for many files, evaluation, measurement and export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.api.checks import as_path
from cellseg1.api.model import Segmentation, as_model
from cellseg1.evaluation import DEFAULT_THRESHOLDS, Report, evaluate_pairs
from cellseg1.evaluation import job as evaluation
from cellseg1.files import PathLike
from cellseg1.images.memory import is_array, is_path
from cellseg1.masks import read_mask, write_label_image
from cellseg1.measurement import CellTable, measure_cells
from cellseg1.prediction import job as prediction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellseg1.images.specification import ChannelWish, PlaneWish
    from cellseg1.masks import Pieces
    from cellseg1.model import Model as LoadedModel
    from cellseg1.prediction.tasks import PlaneRecord


def segment_folder(
    model: LoadedModel | PathLike,
    images: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    channels: ChannelWish | None = None,
    plane: PlaneWish | None = None,
    overlays: bool = True,
    proposals: bool = True,
    suffix: str = ".png",
    on_plane: Callable[[PlaneRecord], None] | None = None,
    progress: Callable[[prediction.PredictProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
) -> prediction.PredictResult:
    """Segment image files and folders of them, as the command ``cellseg1 predict`` does.

    An image that cannot be used is listed with the reason; the others are still segmented.

    Parameters
    ----------
    model
        A model from `load` or `train`, or the path of a model file.
    images
        One or several files or folders; masks beside their images are left out.
    out
        Folder of the results; when it is not empty, a new folder beside it.  It gets a label image per plane and
        ``run.json``.
    channels
        As in `Model.segment`.
    plane
        Segment this plane of stacks only, ``"z=3"``; None: all.
    overlays
        Also write pictures of the cell outlines.
    proposals
        Also keep all proposals, from which other cells can be chosen later.
    suffix
        Of the label images: ``.png``, ``.tif``, or a format of another package.
    on_plane
        Called with the record of every plane as soon as its files are written, and of every image that failed.
    progress
        Called with the progress of the run.
    stop
        Called often; True ends the run, and finished images are kept.
    say
        Called with every sentence the user should see.

    Returns
    -------
    PredictResult
        ``folder``, ``planes`` (a record of each), ``failures`` (those without a result), ``stopped``.

    Raises
    ------
    CellSeg1Error
        When no image can be segmented.

    Examples
    --------
    >>> import cellseg1
    >>> run = cellseg1.segment_folder("nuclei.cs1", "images", "results", overlays=False)
    >>> [plane.labels for plane in run.planes]
    ['cells.png']
    >>> run.failures
    ()
    """
    return prediction.predict(
        as_model(model),
        images,
        as_path(out, "The folder of the results"),
        progress=progress,
        stop=stop,
        say=say,
        on_plane=on_plane,
        overlays=overlays,
        keep_candidates=proposals,
        suffix=suffix,
        channels=channels,
        plane=plane,
    )


def evaluate(
    truth: PathLike | NDArray[Any] | Sequence[NDArray[Any]],
    pred: PathLike | NDArray[Any] | Sequence[NDArray[Any]],
    *,
    thresholds: Sequence[float] = DEFAULT_THRESHOLDS,
    resize_truth: bool = False,
    say: Callable[[str], None] | None = None,
    pieces: Pieces = "auto",
) -> Report:
    """Compare predicted label images with the truth.

    AP is TP / (TP + FP + FN) with cells matched at an IoU; PQ after Kirillov et al. 2019 (arXiv 1801.00868); SEG as
    in the Cell Tracking Challenge.

    Parameters
    ----------
    truth, pred
        Two label images (H, W), two sequences of them in the same order, or two files or folders, whose files are
        matched by name; predictions of single planes (``a_t000_z003.png``) belong to the stack of masks ``a.tif``.
    thresholds
        IoU thresholds of the AP, each in (0, 1].
    resize_truth
        Resize the truth to the prediction (nearest neighbour), as the published experiments do.
    say
        Called with every sentence about the files that the user should see.
    pieces
        Whether separate pieces of one id in a file are separate cells: ``split``, ``keep`` or ``auto``.

    Returns
    -------
    Report
        ``ap`` (IoU threshold -> AP), ``precision``, ``recall``, ``f1``, ``pq``, ``seg``: means over the images;
        ``images`` holds the values of each image.

    Raises
    ------
    PairingError
        When a folder is empty, or a truth has no prediction.
    MaskError
        When two label images differ in size, or an array is no label image.

    Examples
    --------
    >>> import numpy as np
    >>> import cellseg1
    >>> truth = np.zeros((40, 60), int)
    >>> truth[5:15, 5:15], truth[20:30, 30:40] = 1, 2
    >>> report = cellseg1.evaluate(truth, np.where(truth == 1, 1, 0))
    >>> report.ap[0.5], report.recall
    (0.5, 0.5)
    """
    if is_path(truth) and is_path(pred):
        return evaluation.evaluate(
            truth, pred, thresholds=thresholds, resize_truth=resize_truth, say=say, pieces=pieces
        )
    if is_path(truth) or is_path(pred):
        raise TypeError(
            "Truth and prediction are compared as two paths or as two arrays; read the file with read_mask."
        )
    true, found = _label_images(truth, "The truth"), _label_images(pred, "The prediction")
    if len(true) != len(found):
        raise ValueError(f"There are {len(true)} true and {len(found)} predicted label images; give one for each.")
    pairs = ((f"image {number}", *pair) for number, pair in enumerate(zip(true, found, strict=True), 1))
    return evaluate_pairs(pairs, thresholds, resize_true=resize_truth)


def measure(
    labels: PathLike | NDArray[Any] | Segmentation, *, pixel_size_um: tuple[float, float] | float | None = None
) -> CellTable:
    """Measure the cells of a label image.

    Parameters
    ----------
    labels
        (H, W) integers with 0 as background, a mask file, or a `Segmentation`.
    pixel_size_um
        Height and width (y, x) of a pixel in micrometres, or one number for both; None: that of the `Segmentation`,
        else there are no columns in micrometres.

    Returns
    -------
    CellTable
        ``ids`` and ``columns``; ``table["area_px"]`` is a column.

    Raises
    ------
    MaskError
        When the input is no label image.

    Examples
    --------
    >>> import numpy as np
    >>> import cellseg1
    >>> labels = np.zeros((20, 30), int)
    >>> labels[2:6, 3:8] = 1
    >>> float(cellseg1.measure(labels, pixel_size_um=0.5)["area_um2"][0])
    5.0
    """
    size = (float(pixel_size_um),) * 2 if isinstance(pixel_size_um, int | float) else pixel_size_um
    if size is not None and not (len(size) == 2 and min(size) > 0):
        raise ValueError(f"A pixel size of {pixel_size_um} cannot be used; give height and width in micrometres.")
    return measure_cells(
        _labels_of(labels), size or (labels.pixel_size_um if isinstance(labels, Segmentation) else None)
    )


def export(
    labels: NDArray[Any] | Segmentation, path: PathLike, *, pixel_size_um: tuple[float, float] | None = None
) -> None:
    """Write a label image that other programs can read without losing a cell.

    Parameters
    ----------
    labels
        (H, W) integers with 0 as background, or a `Segmentation`; for TIFF also (Z, H, W).
    path
        The suffix chooses the format: ``.png`` (up to 65,535 cells), ``.tif``, or a format of another package.  An
        existing file is replaced in one step; a missing folder is made.
    pixel_size_um
        Height and width (y, x) of a pixel in micrometres, stored in a TIFF; None: that of the `Segmentation`.

    Raises
    ------
    MaskError
        When the format is unknown or cannot hold the cells, or the array is no label image.
    OutputError
        When the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import cellseg1
    >>> cellseg1.export(np.eye(4, 6, dtype=int), "labels.png")
    >>> cellseg1.read_image("labels.png").array.shape
    (4, 6)
    """
    if isinstance(labels, Segmentation) and pixel_size_um is None:
        pixel_size_um = labels.pixel_size_um
    array = labels.labels if isinstance(labels, Segmentation) else _array(labels, "A label image")
    write_label_image(as_path(path, "The file to write"), array, pixel_size_um=pixel_size_um)


def _labels_of(labels: PathLike | NDArray[Any] | Segmentation) -> NDArray[Any]:
    if isinstance(labels, Segmentation):
        return labels.labels
    return read_mask(Path(labels)).labels if is_path(labels) else _array(labels, "A label image")


def _label_images(values: Any, what: str) -> list[NDArray[Any]]:
    if isinstance(values, Sequence) and not is_array(values):
        return [_array(one, what) for one in values]
    return [_array(values, what)]


def _array(value: Any, what: str) -> NDArray[Any]:
    if isinstance(value, Segmentation):
        return value.labels
    if not is_array(value):
        raise TypeError(f"{what} is a NumPy array, not {type(value).__name__}; read a file with read_mask.")
    return np.asarray(value)
