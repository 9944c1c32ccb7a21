"""From proposals to a label image: filter, suppress duplicates, clean, assemble.

No network and no torch: the window runs this while a slider moves.  `Selector` does once what does not depend on the
settings (the overlap of every pair of proposals); `Selector.select` then takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cellseg1.errors import SettingsError
from cellseg1.prediction.assemble import assemble
from cellseg1.prediction.clean import without_small_regions
from cellseg1.prediction.nms import greedy_nms
from cellseg1.prediction.runs import Runs, join, overlaps, runs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellseg1.prediction.candidates import Candidates
    from cellseg1.settings import Settings

#: How many values of `min_mask_region_area` the cleaned masks are remembered for.
_REMEMBERED = 4


@dataclass(frozen=True, slots=True)
class SelectSettings:
    """How proposals become cells; the names are those of the published configuration files.

    Attributes
    ----------
    pred_iou_thresh
        Keep proposals whose score is greater.
    stability_score_thresh
        Keep proposals whose stability is at least this.
    box_nms_thresh
        Has no effect, as in the research code; kept so that its configuration files mean what they meant.
    crop_nms_thresh
        Of two masks with a greater IoU (0..1) only the better stays, within a view and across views.
    max_mask_region_area_ratio
        Keep masks of fewer pixels than this share of the image.
    min_mask_region_area
        Holes and islands of fewer pixels are filled or dropped; 0: neither.
    overlap_boxes
        ``inclusive``: masks whose boxes, measured between pixel centres, share no area never count as duplicates,
        so that doubled lines one pixel wide both stay (as published); ``exact``: they do count.
    assemble
        See `cellseg1.prediction.assemble.assemble`.
    second_nms
        ``repaired``: duplicates that cleaning made are suppressed too; ``upstream``: they stay (as published).
    min_cell_area, max_cell_area
        Leave out cleaned masks of fewer or more pixels, and cells of which fewer than `min_cell_area` are visible.

    Raises
    ------
    SettingsError
        When a value is out of its range.
    """

    pred_iou_thresh: float = 0.8
    stability_score_thresh: float = 0.6
    box_nms_thresh: float = 0.05
    crop_nms_thresh: float = 0.05
    max_mask_region_area_ratio: float = 0.1
    min_mask_region_area: int = 20
    overlap_boxes: Literal["inclusive", "exact"] = "exact"
    assemble: Literal["upstream", "repaired"] = "repaired"
    second_nms: Literal["upstream", "repaired"] = "repaired"
    min_cell_area: int = 0
    max_cell_area: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.crop_nms_thresh <= 1:
            raise SettingsError(f"crop_nms_thresh must lie between 0 and 1, not {self.crop_nms_thresh}.")
        for name in ("min_mask_region_area", "min_cell_area", "max_mask_region_area_ratio", "max_cell_area"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise SettingsError(f"{name} must not be negative, but is {value}.")
        for name, choices in (
            ("overlap_boxes", ("inclusive", "exact")),
            ("assemble", ("upstream", "repaired")),
            ("second_nms", ("upstream", "repaired")),
        ):
            if getattr(self, name) not in choices:
                raise SettingsError(f"{name} must be {' or '.join(choices)}, not {getattr(self, name)!r}.")


def select_settings(settings: Settings) -> SelectSettings:
    """Translate a model's settings into those of the choice."""
    return SelectSettings(
        pred_iou_thresh=settings.selection.pred_iou_thresh,
        stability_score_thresh=settings.selection.stability_score_thresh,
        box_nms_thresh=settings.selection.box_nms_thresh,
        crop_nms_thresh=settings.selection.crop_nms_thresh,
        max_mask_region_area_ratio=settings.selection.max_mask_region_area_ratio,
        min_mask_region_area=settings.selection.min_mask_region_area,
        overlap_boxes="inclusive" if settings.switches.box_overlap == "upstream" else "exact",
        assemble=settings.switches.assemble,
        second_nms=settings.switches.second_nms,
        min_cell_area=settings.selection.min_area,
        max_cell_area=settings.selection.max_area,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The cells that were chosen.

    Attributes
    ----------
    labels
        (H, W) int32 label image, 0 background, 1..n without gaps.
    cells
        (n,) int64: the proposal that label i + 1 was painted from.
    score, stability
        (n,) float32 of these proposals.
    area
        (n,) int64 visible pixels of each label.
    kept
        (K,) int64: the proposals whose masks were assembled, best first (by score, or score x stability when there
        is more than one view; with the upstream second suppression those that cleaning changed come last); a
        superset of `cells`.
    masks
        The K masks after cleaning, as runs; `masks.areas()`, `masks.boxes()` and `masks.raster(i)` describe them.
    """

    labels: NDArray[np.int32]
    cells: NDArray[np.int64]
    score: NDArray[np.float32]
    stability: NDArray[np.float32]
    area: NDArray[np.int64]
    kept: NDArray[np.int64]
    masks: Runs


class _Cleaned:
    """The masks after cleaning with one threshold, made when first asked for."""

    def __init__(self, runs: Runs, threshold: int) -> None:
        self._runs = runs
        self._threshold = threshold
        self._known = np.zeros(runs.count, bool)
        # Position in `_changed` of the masks that cleaning changes, -1 for the others: most are not changed.
        self._place = np.full(runs.count, -1, np.int64)
        self._changed = runs.take(np.zeros(0, np.int64))

    def get(self, index: NDArray[np.int64]) -> tuple[Runs, NDArray[np.bool_]]:
        """Return the cleaned masks `index` (M,), and (M,) bool which of them differ from before."""
        new = index[~self._known[index]]
        if len(new):
            before = self._runs.take(new)
            after = without_small_regions(before, self._threshold)
            differs = np.flatnonzero(_differs(before, after))
            self._place[new[differs]] = self._changed.count + np.arange(len(differs))
            self._changed = join([self._changed, after.take(differs)])
            self._known[new] = True
        place = self._place[index]
        changed = place >= 0
        pool = join([self._runs.take(index[~changed]), self._changed.take(place[changed])])
        back = np.empty(len(index), np.int64)
        back[np.concatenate([np.flatnonzero(~changed), np.flatnonzero(changed)])] = np.arange(len(index))
        return pool.take(back), changed


def _differs(before: Runs, after: Runs) -> NDArray[np.bool_]:
    """(count,) which masks differ; runs are unique, so equal masks have equal runs."""
    old, new = before.indptr, after.indptr
    differs = np.diff(old) != np.diff(new)
    alike = np.flatnonzero(~differs)
    a, b = before.take(alike), after.take(alike)
    unequal = (a.y != b.y) | (a.x0 != b.x0) | (a.x1 != b.x1)
    differs[alike[a.mask[unequal]]] = True
    return np.asarray(differs, bool)


class Selector:
    """Chooses cells from the proposals of one image, again and again with other settings.

    What is remembered between calls never changes a result: a new `Selector` gives exactly the same.
    """

    def __init__(self, candidates: Candidates) -> None:
        self.candidates = candidates
        self._runs = runs_of(candidates)
        self._first, self._second, shared = overlaps(self._runs)
        self._iou = _iou(shared, candidates.area[self._first], candidates.area[self._second])
        self._lines_only = _no_inclusive_overlap(candidates.box_xyxy, self._first, self._second)
        self._cleaned: dict[int, _Cleaned] = {}

    def overlapping_pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Return first, second (P,) and IoU (P,) float32 of all proposals that share pixels, each pair once."""
        return self._first, self._second, self._iou

    def select(self, settings: SelectSettings | None = None) -> Selection:
        """Choose, clean and paint.

        The steps and their order are those of the automatic mask generation of CellSeg1 (arXiv 2412.01410), which
        follows Segment Anything (Kirillov et al. 2023): score, stability and area; suppression within each view by
        score, then across views by score x stability; holes and islands; area again; assembly.
        """
        settings = settings or SelectSettings()
        kept = self._suppressed(settings)
        masks, changed = self._cleaned_masks(kept, settings.min_mask_region_area)
        area = masks.areas()
        good = self._small_enough(area, settings)
        if settings.second_nms == "upstream":
            # The second suppression of the research code drops nothing, but it sorts: untouched masks first.
            order = np.argsort(changed, kind="stable")
            kept, masks, area, good = kept[order], masks.take(order), area[order], good[order]
        elif changed.any():
            good[good] = _without_new_duplicates(masks.take(np.flatnonzero(good)), changed[good], settings)
        good &= area >= settings.min_cell_area
        if settings.max_cell_area is not None:
            good &= area <= settings.max_cell_area
        if not good.all():
            kept, masks = kept[good], masks.take(np.flatnonzero(good))
        labels, order, visible = assemble(
            masks, repaired=settings.assemble == "repaired", min_area=settings.min_cell_area
        )
        cells = kept[order]
        return Selection(
            labels=labels,
            cells=cells,
            score=self.candidates.score[cells],
            stability=self.candidates.stability[cells],
            area=visible,
            kept=kept,
            masks=masks,
        )

    def _small_enough(self, area: NDArray[np.int64], settings: SelectSettings) -> NDArray[np.bool_]:
        height, width = self.candidates.shape
        small: NDArray[np.bool_] = area < settings.max_mask_region_area_ratio * height * width
        return small

    def _suppressed(self, settings: SelectSettings) -> NDArray[np.int64]:
        """Return what the filters and both suppressions leave, best first."""
        own = self.candidates
        alive = self._small_enough(own.area, settings)
        alive &= own.score > np.float32(settings.pred_iou_thresh)
        alive &= own.stability >= np.float32(settings.stability_score_thresh)
        rival = self._iou > np.float32(settings.crop_nms_thresh)
        if settings.overlap_boxes == "inclusive":
            rival &= ~self._lines_only
        rival &= alive[self._first] & alive[self._second]
        first, second = self._first[rival], self._second[rival]
        number = np.arange(len(own))
        # Equal scores: the earlier proposal is the better, so that the result never depends on the sorting method.
        by_score = np.lexsort((number, -own.score))
        same = own.view[first] == own.view[second]
        alive &= greedy_nms(_rank(by_score), first[same], second[same])
        if len(own.view_boxes) < 2:
            return np.asarray(by_score[alive[by_score]], np.int64)
        overall = np.lexsort((number, -own.score, own.view, -(own.score * own.stability)))
        both = alive[first] & alive[second]
        alive &= greedy_nms(_rank(overall), first[both], second[both])
        return np.asarray(overall[alive[overall]], np.int64)

    def _cleaned_masks(self, index: NDArray[np.int64], threshold: int) -> tuple[Runs, NDArray[np.bool_]]:
        if threshold == 0:
            return self._runs.take(index), np.zeros(len(index), bool)
        cleaned = self._cleaned.pop(threshold, None) or _Cleaned(self._runs, threshold)
        self._cleaned[threshold] = cleaned
        if len(self._cleaned) > _REMEMBERED:
            del self._cleaned[next(iter(self._cleaned))]
        return cleaned.get(index)


def select(candidates: Candidates, settings: SelectSettings | None = None) -> Selection:
    """Choose cells once; see `Selector`."""
    return Selector(candidates).select(settings)


def _rank(order: NDArray[np.int64]) -> NDArray[np.int64]:
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _iou(shared: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
    # float32, like the published code: a pair exactly at the threshold must fall on the same side.
    return np.asarray(shared.astype(np.float32) / (a + b - shared).astype(np.float32), np.float32)


def _no_inclusive_overlap(
    boxes: NDArray[np.int32], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(P,) which pairs of boxes share no area when their maximum corner is taken as the last pixel's centre."""
    low = np.maximum(boxes[first, :2], boxes[second, :2])
    high = np.minimum(boxes[first, 2:], boxes[second, 2:]) - 1
    return np.asarray((high <= low).any(axis=1), bool)


def _without_new_duplicates(masks: Runs, changed: NDArray[np.bool_], settings: SelectSettings) -> NDArray[np.bool_]:
    """(K,) what stays of masks, sorted best first, of which `changed` may overlap more than before."""
    one, other, shared = overlaps(masks, np.flatnonzero(changed))
    area = masks.areas()
    rival = _iou(shared, area[one], area[other]) > np.float32(settings.crop_nms_thresh)
    if settings.overlap_boxes == "inclusive":
        rival &= ~_no_inclusive_overlap(masks.boxes(), one, other)
    return greedy_nms(np.arange(masks.count), one[rival], other[rival])
