"""Which object of one label image is which object of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import MaskError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Labels up to this are counted in a table; larger ones are sorted.
_TABLE_SIZE = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """The objects of one label image.

    Attributes
    ----------
    index
        (H, W) int32: 0 for background, else 1 + position in `ids`.
    ids
        (n,) int64, ascending: the labels that are present, without 0.
    area
        (n,) int64 pixels of each.
    """

    index: NDArray[np.int32]
    ids: NDArray[np.int64]
    area: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class OverlapTable:
    """What two label images share.

    Attributes
    ----------
    true, pred
        The n true and m predicted objects.
    row, column
        (P,) int64 positions in ``true.ids`` and ``pred.ids`` of the pairs that share pixels, sorted.
    pixels
        (P,) int64 how many they share.
    iou
        (P,) float64 intersection over union of each pair, 0..1.
    """

    true: Objects
    pred: Objects
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    pixels: NDArray[np.int64]
    iou: NDArray[np.float64]

    def iou_matrix(self) -> NDArray[np.float64]:
        """(n, m) IoU of every pair of objects."""
        matrix = np.zeros((len(self.true.ids), len(self.pred.ids)))
        matrix[self.row, self.column] = self.iou
        return matrix


def find_objects(labels: NDArray[Any], name: str = "label image") -> Objects:
    """Count the objects of a label image by the labels that are present; gaps in the numbers do not matter.

    Parameters
    ----------
    labels
        (H, W) of any integer type or bool, 0 is background.
    name
        What to call it in an error.

    Raises
    ------
    MaskError
        When it is not two-dimensional, not of an integer type, or holds negative numbers.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2:
        raise MaskError(f"The {name} must have two dimensions, but its shape is {labels.shape}.")
    if labels.dtype == bool:
        labels = labels.astype(np.uint8)
    if labels.dtype.kind not in "iu":
        raise MaskError(f"The {name} must hold whole numbers, but its type is {labels.dtype}.")
    if not labels.size:
        return Objects(np.zeros(labels.shape, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64))
    if int(labels.min()) < 0:
        raise MaskError(f"The {name} holds negative numbers. Cells are numbered from 1, background is 0.")
    if int(labels.max()) < _TABLE_SIZE:
        size = np.bincount(labels.ravel())
        size[0] = 0
        ids = np.flatnonzero(size)
        lookup = np.zeros(len(size), np.int32)
        lookup[ids] = np.arange(1, len(ids) + 1)
        return Objects(lookup[labels], ids.astype(np.int64), size[ids].astype(np.int64))
    found, inverse, count = np.unique(labels, return_inverse=True, return_counts=True)
    shift = 0 if found[0] == 0 else 1
    index = (inverse.reshape(labels.shape) + shift).astype(np.int32)
    cells = found != 0
    # A uint64 label beyond the int64 range would turn negative here; no file format in use has any.
    return Objects(index, found[cells].astype(np.int64), count[cells].astype(np.int64))


def overlap_table(true: NDArray[Any], pred: NDArray[Any], *, resize_true: bool = False) -> OverlapTable:
    """Count what every true object shares with every predicted one.

    Parameters
    ----------
    true, pred
        (H, W) label images of any integer type, 0 is background.
    resize_true
        Bring `true` to the shape of `pred` (nearest exact, as the published evaluation does) instead of refusing.

    Raises
    ------
    MaskError
        When the shapes differ, or as `find_objects`.
    """
    from scipy.sparse import coo_array

    truth, guess = find_objects(true, "true label image"), find_objects(pred, "predicted label image")
    if truth.index.shape != guess.index.shape:
        if not resize_true or not truth.index.size or not guess.index.size:
            raise MaskError(
                f"The true and the predicted label image differ in shape: {truth.index.shape} and "
                f"{guess.index.shape} (height, width). Compare the masks of one image at one size, or ask for resizing."
            )
        import cv2

        height, width = guess.index.shape
        small = cv2.resize(truth.index, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        resized = find_objects(small)
        truth = Objects(resized.index, truth.ids[resized.ids - 1], resized.area)
    a, b = truth.index.reshape(-1), guess.index.reshape(-1)
    # Pixels in a row mostly belong to the same pair: count them together.
    begin = np.flatnonzero(np.concatenate([[a.size > 0], (a[1:] != a[:-1]) | (b[1:] != b[:-1])]))
    length = np.diff(begin, append=a.size)
    both = (a[begin] != 0) & (b[begin] != 0)
    row, column = a[begin[both]] - 1, b[begin[both]] - 1
    shape = (len(truth.ids), len(guess.ids))
    shared = coo_array((length[both], (row, column)), shape=shape).tocsr()
    shared.sort_indices()
    counts = shared.tocoo()
    first, second = counts.row.astype(np.int64), counts.col.astype(np.int64)
    pixels = counts.data.astype(np.int64)
    union = truth.area[first] + guess.area[second] - pixels
    return OverlapTable(truth, guess, first, second, pixels, pixels / union)


def match_at(table: OverlapTable, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Match objects one to one where the IoU is at least `threshold`.

    As many pairs as possible, and of these matchings the one with the largest sum of IoU: the optimal matching of
    Cellpose (Stringer et al. 2021) and StarDist (Schmidt et al. 2018), found per group of objects that overlap.

    Returns
    -------
    row, column, iou
        (K,) positions in ``table.true.ids`` and ``table.pred.ids`` and the IoU of the matched pairs, sorted.
    """
    near = np.flatnonzero((table.iou >= threshold) & (table.iou > 0))
    row, column = table.row[near], table.column[near]
    n_true, n_pred = len(table.true.ids), len(table.pred.ids)
    # Above an IoU of one half nobody has two partners, so nearly all pairs are decided without an assignment.
    clear = (np.bincount(row, minlength=n_true)[row] == 1) & (np.bincount(column, minlength=n_pred)[column] == 1)
    chosen = [near[clear]]
    rest = near[~clear]
    if len(rest):
        chosen += _assign(table.row[rest], table.column[rest], table.iou[rest], rest, n_true + n_pred, n_true)
    pairs = np.sort(np.concatenate(chosen))
    return table.row[pairs], table.column[pairs], table.iou[pairs]


def _assign(
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    iou: NDArray[np.float64],
    number: NDArray[np.int64],
    total: int,
    n_true: int,
) -> list[NDArray[np.int64]]:
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(row), np.int8), (row, column + n_true)), shape=(total, total))
    group = connected_components(graph, directed=False)[1][row]
    order = np.argsort(group, kind="stable")
    chosen: list[NDArray[np.int64]] = []
    for member in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        rows, i = np.unique(row[member], return_inverse=True)
        columns, j = np.unique(column[member], return_inverse=True)
        gain = np.zeros((len(rows), len(columns)))
        # One more pair is worth more than any sum of IoU.
        gain[i, j] = 1 + iou[member] / (2 * min(gain.shape))
        pair = np.full(gain.shape, -1, np.int64)
        pair[i, j] = number[member]
        best = pair[linear_sum_assignment(gain, maximize=True)]
        chosen.append(best[best >= 0])
    return chosen


def count_matches(table: OverlapTable, thresholds: Sequence[float]) -> NDArray[np.int64]:
    """(T,) how many objects are matched at each of the thresholds."""
    return np.array([len(match_at(table, threshold)[0]) for threshold in thresholds], np.int64)


def match_ious(table: OverlapTable) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Match all objects to the largest sum of IoU, however small each is (``mask_ious`` of Cellpose).

    Returns
    -------
    iou, pred_id
        (n,) for each true object the IoU of its partner and the partner's label; 0 and 0 without one.
    """
    iou = np.zeros(len(table.true.ids))
    partner = np.zeros(len(table.true.ids), np.int64)
    if len(table.row):
        from scipy.optimize import linear_sum_assignment
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        n_true, total = len(iou), len(iou) + len(table.pred.ids)
        graph = coo_array((table.iou, (table.row, table.column + n_true)), shape=(total, total))
        group = connected_components(graph, directed=False)[1][table.row]
        order = np.argsort(group, kind="stable")
        for member in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
            rows, i = np.unique(table.row[member], return_inverse=True)
            columns, j = np.unique(table.column[member], return_inverse=True)
            gain = np.zeros((len(rows), len(columns)))
            gain[i, j] = table.iou[member]
            a, b = linear_sum_assignment(gain, maximize=True)
            real = gain[a, b] > 0
            iou[rows[a[real]]] = gain[a[real], b[real]]
            partner[rows[a[real]]] = table.pred.ids[columns[b[real]]]
    return iou, partner
