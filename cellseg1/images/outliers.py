"""Outlier pixels, which are not cells: hot and dead pixels, burnt-in bars, black borders, debris.

Outliers would take up the whole range of grey values.  Brightness alone is no evidence, because the cells of a sparse
image are also few bright pixels on dark ground.  So each kind is recognised by a property that cells never have.

- *Hot and dead pixels* are isolated: a microscope blurs every point of light over its neighbours, and cells have
  several pixels more often than chance puts hot pixels side by side.
- *Bars and borders* have one value far from all others and sharp edges: no pixel has a value between theirs and those
  of the image.  They are long rectangles, lie at the edge of the image, or stand beside cells.
- *Debris* is one or a few spots, several times brighter than everything else, in an image that has other objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Largest share of the area that may be left out (borders of whole rows and columns may be larger).
MOST = 0.06
#: Smallest distance of outliers from the other values, as a share of their range; nearer ones do no harm.
_GAP = 0.08
#: Largest group of hot pixels that touch each other.
_TOUCHING = 8
#: Share of its brightness by which a hot pixel exceeds its surroundings, such as a bright cell.
_OWN_SHARE = 0.3
#: In a group of hot pixels, each has at most this many neighbours with this share of its height.
_SPREAD, _BRIGHT_NEIGHBOURS = 0.25, 3
#: A point of light spreads at least this share of its height to its four neighbours, a hot pixel nothing.
_SHARED = 0.12
#: Number of shapes of 1, 2, 3 ... connected pixels (8-connected).
_WAYS = (1, 4, 20, 110, 638, 3832, 23592, 147941)
#: Smallest ratio of length to width of a bar that does not touch the edge, and the largest number of bars.
_LONG, _BARS = 3, 6
#: Fewest pixels with the value of a bar.
_REPEATED = 5
#: Debris: smallest factor of brightness over all else, largest number of pieces, width of the seam around it (px).
_DEBRIS_HEIGHT, _DEBRIS_PIECES, _SEAM = 2.0, 8, 5
#: Larger values are clipped, so that 32-bit sums stay finite.
_HUGE = 1e30
#: Number of values that are sampled for statistics.
_ENOUGH = 1_000_000
#: Fewest other objects in an image with debris.
_OTHERS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Outliers:
    """The pixels left out, as a mask (H, W), and a sentence for each kind.

    `single` are hot and dead pixels, `bars` are bars and borders; neither can be a cell.
    """

    mask: NDArray[np.bool_]
    single: NDArray[np.bool_]
    bars: NDArray[np.bool_]
    notes: tuple[str, ...]


def find_outliers(values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> Outliers | None:
    """Find the pixels to leave out of the range of grey values; None when there are none.

    Parameters
    ----------
    values
        (H, W), or (H, W, 3) of a colour picture.
    valid
        (H, W) bool, where the values are numbers; None: everywhere.
    """
    good = np.ones(values.shape[:2], bool) if valid is None else valid
    if min(values.shape[:2]) < 8 or not good.any():
        return None
    left_out, single, bars = (np.zeros(values.shape[:2], bool) for _ in range(3))
    notes: list[str] = []
    for bright in (True, False):
        side = values if values.ndim == 2 else values.max(axis=2) if bright else values.min(axis=2)
        border = _border(side, good & ~left_out, bright=bright)
        if border is not None:
            notes.append(_area_note("A border", border))
            left_out |= border
            bars |= border
        if not _suspicious(side[good & ~left_out] if notes or valid is not None else side.ravel(), bright=bright):
            continue
        found = _Side(side, good & ~left_out, bright=bright)
        notes += found.search()
        left_out |= found.left_out
        single |= found.single
        bars |= found.bars
    return Outliers(left_out, single, bars, tuple(notes)) if left_out.any() else None


def filled(pixels: NDArray[np.uint8], outliers: Outliers) -> NDArray[np.uint8]:
    """Return a picture (H, W) or (H, W, 3) with hot and dead pixels, bars and borders filled from their surroundings.

    The network would mistake them for cells or edges of cells.
    """
    import cv2

    pixels = pixels.copy()
    if outliers.bars.any():
        count, labels, stats, _middle = cv2.connectedComponentsWithStats(outliers.bars.astype(np.uint8), connectivity=8)
        for number in range(1, count):
            left, top, width, height = stats[number, :4]
            box = np.s_[max(0, top - _SEAM) : top + height + _SEAM, max(0, left - _SEAM) : left + width + _SEAM]
            inside = labels[box] == number
            around = (
                cv2.dilate(inside.astype(np.uint8), np.ones((2 * _SEAM + 1,) * 2, np.uint8)) > 0
            ) & ~outliers.mask[box]
            if around.any():
                pixels[box][inside] = np.median(pixels[box][around], axis=0).astype(np.uint8)
    if outliers.single.any():
        pixels[outliers.single] = cv2.medianBlur(pixels, 5)[outliers.single]
    return pixels


def _suspicious(values: NDArray[Any], *, bright: bool) -> bool:
    """Tell quickly whether the extreme percentiles lie far enough out to be outliers."""
    least, low, high, most = quantiles(_thinned(values), (0.1, 100 * MOST + 1, 99 - 100 * MOST, 99.9))
    beyond = most - high if bright else low - least
    return beyond > _GAP * (high - low)


def _border(values: NDArray[Any], good: NDArray[np.bool_], *, bright: bool) -> NDArray[np.bool_] | None:
    """Find rows and columns of one value at the edges of the image, far from all its other values, of any area."""
    sides = []
    for flip in (False, True):
        for turned in (False, True):
            lines = values.T if turned else values
            lines = lines[::-1] if flip else lines
            value = lines[0, 0]
            count = 0
            while count < len(lines) and lines[count, 0] == value and bool((lines[count] == value).all()):
                count += 1
            if count:
                sides.append((float(value), flip, turned, count))
    mask = np.zeros(values.shape, bool)
    # A uniform background reaches the edges too.
    outermost = (max if bright else min)((side[0] for side in sides), default=0.0)
    for value, flip, turned, count in sides:
        if value == outermost:
            part = mask.T if turned else mask
            (part[::-1] if flip else part)[:count] = True
    rest = values[good & ~mask]
    if not mask.any() or rest.size < 0.25 * values.size:
        return None
    low, high = quantiles(_thinned(rest), (0.1, 99.9))
    own = values[good & mask]
    if own.size == 0 or low == high:
        return None
    away = float(own.min()) - high if bright else low - float(own.max())
    return mask & good if away > _GAP * (high - low) else None


class _Side:
    """The search at one end of the values; dark outliers are found as bright ones of the negative."""

    def __init__(self, values: NDArray[Any], good: NDArray[np.bool_], *, bright: bool) -> None:
        self.bright = bright
        self.good = good
        self.step = 1.0 if values.dtype.kind in "bui" else 0.0
        # Filters compute with 32 bits, which is precise enough after subtracting the median.
        small = values.dtype.kind in "bui" and values.dtype.itemsize <= 2
        work: NDArray[Any] = values.astype(np.float32 if small else np.float64)
        np.subtract(work, float(np.median(_thinned(work[good]))), out=work)
        if not bright:
            np.negative(work, out=work)
        self.values = np.clip(work, -_HUGE, _HUGE, out=work).astype(np.float32, copy=False)
        self.values[~good] = 0
        self.left_out, self.single, self.bars = (np.zeros(values.shape, bool) for _ in range(3))

    @property
    def rest(self) -> NDArray[np.bool_]:
        """The pixels that are not left out yet."""
        return self.good & ~self.left_out

    def search(self) -> list[str]:
        """Search for every kind; return the sentences."""
        notes = []
        single = self._single_pixels()
        if self._leave_out(single):
            self.single = single
            notes.append(_single_note(int(single.sum()), bright=self.bright))
        flat, bars = self._flat()
        while len(notes) < 4 and self._leave_out(flat):
            self.bars |= bars
            notes.append(_area_note("A bar or border", flat))
            flat, bars = self._flat()
        spot = self._debris()
        if self._leave_out(spot):
            notes.append(_area_note("A very bright part" if self.bright else "A very dark part", spot))
        return notes

    @property
    def _nothing(self) -> NDArray[np.bool_]:
        return np.zeros(self.values.shape, bool)

    def _leave_out(self, mask: NDArray[np.bool_]) -> bool:
        """Leave these pixels out, unless that is too large an area or leaves nothing."""
        if not mask.any() or (self.left_out | mask).mean() > MOST:
            return False
        rest = self.values[self.rest & ~mask]
        if rest.size == 0 or rest.min() == rest.max():
            return False
        self.left_out |= mask
        return True

    def _range(self, picture: NDArray[Any], where: NDArray[np.bool_]) -> tuple[float, float]:
        low, high = quantiles(_thinned(picture[where]), (0.1, 99.9))
        return low, high

    def _single_pixels(self) -> NDArray[np.bool_]:
        """Find pixels far above their surroundings that share no light with their neighbours."""
        import cv2

        around = cv2.medianBlur(self.values, 5)
        low, high = self._range(around, self.good)
        least = max(_GAP * (high - low), 5 * self._noise(), 2 * self.step)
        rows, columns = np.nonzero(self.values > high + _GAP * (high - low))
        height = self.values[rows, columns] - around[rows, columns]
        # Inside a bright cell, the noise of that cell exceeds the surroundings.
        likely = height > least
        if self.bright:
            likely &= height > _OWN_SHARE * (self.values[rows, columns] - low)
        rows, columns, height = rows[likely], columns[likely], height[likely]
        if not rows.size:
            return self._nothing
        bright = np.zeros(self.values.shape, np.uint8)
        bright[rows, columns] = 1
        _count, labels, stats, _middle = cv2.connectedComponentsWithStats(bright, connectivity=8)
        sizes = stats[:, cv2.CC_STAT_AREA]
        above = np.pad(self.values, 1, mode="reflect")
        ground, top = around[rows, columns], _SPREAD * height
        neighbours = sum(
            above[rows + dy, columns + dx] > ground + top for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)
        )
        group = labels[rows, columns]
        single = sizes[group] == 1
        beside = np.stack([above[rows + dy, columns + dx] for dy, dx in ((0, 1), (1, 0), (1, 2), (2, 1))])
        shared = np.median(beside - ground, axis=0) / height
        hot = np.where(single, shared < _SHARED, neighbours <= _BRIGHT_NEIGHBOURS)
        lonely = shared[single & hot]
        # Single faint points of light may share little; the median over all of them still shows it.
        if not lonely.size or np.median(lonely) > _SHARED / 3:
            return self._nothing
        hot &= sizes[group] <= _largest_by_chance(sizes[1:], lonely.size, self.values.size)
        if (sizes[1:] > 1).sum() - np.unique(group[hot & ~single]).size + (single & ~hot).sum() > lonely.size:
            return self._nothing
        found = self._nothing
        found[rows[hot], columns[hot]] = True
        return found & self.good

    def _noise(self) -> float:
        """Estimate the standard deviation of the noise from second differences, which ignore slopes."""
        rows = slice(None, None, max(1, self.values.size // _ENOUGH))
        values, rest = self.values[rows], self.rest[rows]
        second = values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]
        found = np.abs(second[rest[:, 2:] & rest[:, 1:-1] & rest[:, :-2]])
        if found.size == 0:
            return self.step / 2
        return max(float(np.median(found)) / 0.6745 / 6**0.5, self.step / 2)

    def _flat(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Find pixels of very few values beyond a gap without any pixel, and the long rectangles among them."""
        import cv2

        rest = self.values[self.rest]
        thin = _thinned(rest)
        low, start = quantiles(thin, (0.1, 99 - 100 * MOST))
        tail = np.unique(rest[rest >= start])
        gaps = np.diff(tail)
        if not gaps.size:
            return self._nothing, self._nothing
        # The values of the image may be sparse too, as in a stretched 8-bit picture.
        usual = np.diff(np.unique(thin))
        own = float(np.quantile(usual[: max(1, int((thin <= start).sum()))], 0.99)) if usual.size else 0.0
        wide = np.flatnonzero((gaps > _GAP * (tail[:-1] - low)) & (gaps > 4 * own) & (gaps > 2 * self.step))
        for index in wide:
            if tail.size - index - 1 > 3:
                continue
            mask: NDArray[np.bool_] = self.rest & (self.values >= tail[index + 1])
            if mask.mean() > MOST or mask.sum() < _REPEATED * (tail.size - index - 1):
                continue
            count, labels, stats, _middle = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
            sizes = stats[1:, cv2.CC_STAT_AREA]
            boxes = stats[1:, cv2.CC_STAT_WIDTH] * stats[1:, cv2.CC_STAT_HEIGHT]
            edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
            at_edge = np.isin(np.arange(1, count), edge)
            sides = np.sort(stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]], axis=1)
            long = (sizes >= 0.85 * boxes) & ((sides[:, 1] >= _LONG * sides[:, 0]) | at_edge)
            few = count - 1 <= _BARS
            known = sizes[long | at_edge].sum() >= 0.8 * sizes.sum() and few
            if known or self._has_others(mask, count - 1):
                bars: NDArray[np.bool_] = np.concatenate([[False], long & few])[labels]
                return mask, bars
        return self._nothing, self._nothing

    def _debris(self) -> NDArray[np.bool_]:
        """Find a few spots that are much brighter than all else, with the seam around them."""
        import cv2

        low, _high = self._range(self.values, self.rest)
        most = float(self.values[self.rest].max())
        seam = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _SEAM + 1, 2 * _SEAM + 1))
        for halvings in range(1, 10):
            least = low + (most - low) / 2**halvings
            mask = self.rest & (self.values > least)
            if mask.mean() > MOST:
                return self._nothing
            count, _labels, stats, _middle = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
            if int((stats[1:, cv2.CC_STAT_AREA] >= 9).sum()) > _DEBRIS_PIECES:
                return self._nothing
            wide = cv2.dilate(mask.astype(np.uint8), seam) > 0
            rest = self.rest & ~wide
            if not rest.any():
                return self._nothing
            top = self._range(self.values, rest)[1]
            if least - low >= _DEBRIS_HEIGHT * (top - low):
                spot: NDArray[np.bool_] = self.rest & wide & (self.values > top)
                return spot if self._has_others(wide, count - 1) else self._nothing
        return self._nothing

    def _has_others(self, mask: NDArray[np.bool_], pieces: int) -> bool:
        """Tell whether there are objects at some distance from those of `mask`."""
        import cv2

        side = min(mask.shape)
        around = np.ones((2 * min(15, side // 16) + 1,) * 2, np.uint8)
        far = self.rest & (cv2.dilate(mask.astype(np.uint8), around) == 0)
        if far.mean() < 0.2:
            far = self.rest & ~mask
        weight = far.astype(np.float32)
        seen = np.where(far, self.values, 0).astype(np.float32)

        def mean(width: int) -> NDArray[np.float32]:
            total, area = cv2.blur(seen, (width, width)), cv2.blur(weight, (width, width))
            smooth: NDArray[np.float32] = total / np.maximum(area, 1e-3)
            return smooth

        contrast = np.where(far, np.abs(mean(5) - mean(2 * min(32, side // 6) + 1)), 0)
        least = max(8 * self._noise() / 5, 0.3 * quantiles(_thinned(contrast[far]), (99.5,))[0], 4 * self.step)
        _count, _labels, stats, _middle = cv2.connectedComponentsWithStats((contrast > least).astype(np.uint8))
        return int((stats[1:, cv2.CC_STAT_AREA] >= 12).sum()) >= max(_OTHERS, 2 * pieces)


def _largest_by_chance(sizes: NDArray[Any], singles: int, area: int) -> int:
    """Return the largest group of adjacent hot pixels that their number explains by chance.

    Groups that are more frequent than by chance are small cells.
    """
    density = singles / area
    for size, ways in enumerate(_WAYS[1:_TOUCHING], 2):
        if (sizes >= size).sum() > 2 * area * ways * density**size + max(1, 0.2 * singles):
            return size - 1
    return _TOUCHING


def _single_note(count: int, *, bright: bool) -> str:
    kind = "hot" if bright else "dead"
    return f"{count} {kind} pixel{' was' if count == 1 else 's were'} left out of the contrast."


def _area_note(what: str, mask: NDArray[np.bool_]) -> str:
    return f"{what} of {mask.mean():.2%} of the area was left out of the contrast.".replace("%", " %")


def _thinned(values: NDArray[Any]) -> NDArray[Any]:
    """Return an evenly spaced subset of many values."""
    # An odd step; an even one would sample some columns only.
    return values[:: max(1, values.size // _ENOUGH) | 1]


def quantiles(values: NDArray[Any], percents: tuple[float, ...]) -> list[float]:
    """Return the values of np.percentile, by counting where the type allows: sorting a large slide takes seconds."""
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    if not (values.dtype.kind in "ui" and values.dtype.itemsize <= 2):
        return [float(value) for value in np.percentile(values.astype(np.float64), percents)]
    least = int(values.min())
    cumulated = np.cumsum(np.bincount((values.astype(np.int32) - least).ravel()))
    found: list[float] = []
    for percent in percents:
        position = (values.size - 1) * percent / 100
        before = int(position)
        first, second = np.searchsorted(cumulated, [before, min(before + 1, values.size - 1)], side="right")
        found.append(least + float(first) + (position - before) * float(second - first))
    return found
