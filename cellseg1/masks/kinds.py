"""Conversion of one plane of a mask file, of any kind of mask, to labelled cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cellseg1.errors import MaskError
from cellseg1.masks.ids import components, equal_pieces, relabel_sequential, remap_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellseg1.masks.ids import Labels

Pieces = Literal["auto", "split", "keep"]
"""Whether separate pieces of one id are separate cells: decided by how many there are, always, or never."""

PIECES: tuple[Pieces, ...] = ("auto", "split", "keep")

_BINARY_VALUES = (1, 255, 65535)
_MOST_CLASSES = 16
"""Ids that are used for several cells are few: colours of a map, classes, generations."""
_PIECES_PER_CLASS = 3
_NEARLY_ALL = 0.9
_MOST_COLOURS = 256
"""More ids than `_MOST_CLASSES`, up to `_MOST_COLOURS`, are classes only if nearly all of them have many pieces."""
_LINE = 4
"""Pixels from the middle of a drawn line to its sides."""
_CRUMB_SHARE = 0.1
"""Pieces smaller than this share of the largest of their id are slips of a brush and say nothing about its use."""
_SOFT_BAND = 3
"""Pixels on each side of an outline within which smoothing, JPEG and resizing leave values in between."""
_JPEG_BLOCK = 8
"""Pixels from an outline that JPEG changes."""
_NEAR = 0.15
"""Values within this share of the range of one of its ends belong to that end."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Labels 1..n (H, W), their n original ids (1..n where there were none), and notes about assumptions."""

    labels: NDArray[np.int32]
    ids: NDArray[np.int64]
    notes: tuple[str, ...] = ()


def find_cells(plane: NDArray[Any], *, pieces: Pieces = "auto", lossy: bool = False, colour: bool = True) -> Cells:
    """Detect the kind of a mask and number its cells.

    Parameters
    ----------
    plane
        (H, W) of bool, integers or floats, or (H, W, C): three colours, or channels that are all equal.
    pieces
        See `Pieces`.
    lossy
        The file's compression changes values (JPEG); more than two values are then refused.
    colour
        Three values per pixel are one colour, not channels with cells of their own.

    Raises
    ------
    MaskError
        When the values are no mask; the message begins with "it".
    """
    if plane.ndim == 3 and all(np.array_equal(plane[..., 0], plane[..., c]) for c in range(1, plane.shape[2])):
        plane = plane[..., 0]
    if plane.ndim == 3:
        if not colour:
            raise MaskError(f"it has {plane.shape[2]} channels that differ. Save the channel with the cells alone.")
        return _from_colours(plane, pieces, lossy=lossy)
    if plane.dtype.kind == "b":
        return _from_two_values(plane, pieces)
    if plane.dtype.kind == "f":
        if not np.isfinite(plane).all():
            raise MaskError("it has NaN or infinite values. A mask has one whole number per cell.")
        if not np.array_equal(plane, np.rint(plane)):
            soft = _soft_edged(plane)
            if soft is None:
                raise MaskError("it has fractional values. A mask has one whole number per cell.")
            return _from_soft(soft, pieces)
        if float(plane.min(initial=0)) < 0:
            raise MaskError("it has negative values. Use 0 for the background and 1, 2, 3 ... for the cells.")
        # A Python number, because 2**53 does not fit the smallest float type.
        if float(plane.max(initial=0)) >= 2**53:
            raise MaskError("its ids are too large to be exact. Number the cells 1, 2, 3 ...")
        plane = plane.astype(np.int64)
    return _from_ids(plane, pieces, lossy=lossy)


def _from_colours(plane: NDArray[Any], pieces: Pieces, *, lossy: bool) -> Cells:
    if plane.shape[2] != 3 or plane.dtype.kind != "u" or plane.dtype.itemsize > 2:
        raise MaskError(
            f"it has {plane.shape[2]} channels of type {plane.dtype}. Save one id, or one colour, per cell."
        )
    labels, colours, background = remap_colours(plane)
    notes: tuple[str, ...] = ()
    if any(background):
        notes = (f"The mask has no black; its border colour {background} was taken as background.",)
    if len(colours) == 1:
        return _from_two_values(labels > 0, pieces, notes)
    _refuse_lossy(lossy=lossy)
    line = _outline_of_all(labels)
    if line:
        labels, colours = _without(labels, line), np.delete(colours, line - 1, axis=0)
        notes = (*notes, "A colour of the mask only outlines the cells; it was taken as background.")
    found = _structure(labels)
    if found.mixed:
        soft = _soft_colour(plane, labels, found, colours, background)
        if soft is not None:
            return _from_soft(soft, pieces)
        _refuse_outlines(labels, found)
        _refuse_mixed(labels, found)
    _refuse_picture(labels, found)
    return _ids_or_classes(labels, np.arange(1, len(colours) + 1, dtype=np.int64), found, pieces, notes, "colours")


def _from_ids(plane: NDArray[Any], pieces: Pieces, *, lossy: bool) -> Cells:
    labels, ids = relabel_sequential(plane)
    n_ids = len(ids)
    if n_ids == 1 and int(ids[0]) in _BINARY_VALUES and not labels.all():
        return _from_two_values(labels > 0, pieces)
    if n_ids > 1:
        _refuse_lossy(lossy=lossy)
    notes: tuple[str, ...] = ()
    line = _outline_of_all(labels)
    if line:
        notes = (f"The value {ids[line - 1]} of the mask only outlines the cells; it was taken as background.",)
        labels, ids = _without(labels, line), np.delete(ids, line - 1)
    found = _structure(labels)
    if found.mixed:
        soft = _soft_edged(plane, found.sliver_pixels)
        if soft is not None:
            return _from_soft(soft, pieces)
        _refuse_outlines(labels, found)
        _refuse_mixed(labels, found)
    _refuse_picture(labels, found)
    if n_ids == 0 or not labels.all():
        return _ids_or_classes(labels, ids, found, pieces, notes, "ids")
    if n_ids > 1 and pieces != "keep" and (n_ids == 2 or _are_classes(labels, found)):
        # A class image without a zero, as pixel classifiers write it; one of its numbers is the background.
        background = _most_frequent(_border(labels))
        note = (
            f"The mask has no 0; the value {ids[background - 1]}, which it has at its border, was taken as background."
        )
        rest, _ = relabel_sequential(np.where(labels == background, 0, labels))
        others = np.delete(ids, background - 1)
        if len(others) == 1:
            return _from_two_values(rest > 0, pieces, (note,))
        return _ids_or_classes(rest, others, _structure(rest), pieces, (note,), "ids")
    note = "The mask has no background (no pixel is 0), so every pixel belongs to a cell."
    return _ids_or_classes(labels, ids, found, pieces, (note,), "ids")


def _outline_of_all(labels: Labels) -> int:
    """Return the label of thin lines that separate all others from each other and the background; 0: there is none.

    Masks in the style of Pascal VOC use the value 255 so, for uncertain pixels at outlines.
    """
    from scipy import ndimage

    count = int(labels.max(initial=0))
    if count < 3:
        return 0
    contacts = np.zeros(count + 1, np.int64)
    meetings: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []
    for after, before in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = labels[after] != labels[before]
        meetings.append((labels[after][differ], labels[before][differ]))
        for side in meetings[-1]:
            contacts += np.bincount(side, minlength=count + 1)
    line = int(contacts[1:].argmax()) + 1
    with_line = with_ground = 0
    for one, other in meetings:
        beside = np.concatenate([one[other == line], other[one == line]])
        with_ground += int(np.count_nonzero(beside == 0))
        with_line += int(np.count_nonzero(beside))
    of_others = int(contacts[1:].sum() - contacts[line])
    if not with_ground or with_line < 0.95 * of_others:
        return 0
    drawn = np.pad(labels == line, 1)
    from_side = ndimage.distance_transform_cdt(drawn, metric="chessboard")[drawn]
    # Lines are thicker where several meet.
    return line if np.mean(from_side <= _LINE) >= _NEARLY_ALL else 0


def _without(labels: Labels, label: int) -> Labels:
    return relabel_sequential(np.where(labels == label, 0, labels))[0]


def _from_soft(cells: NDArray[np.bool_], pieces: Pieces) -> Cells:
    return _from_two_values(
        cells, pieces, ("The mask has soft edges (smoothed, resized or once a JPEG); it was cut half-way.",)
    )


def _from_two_values(cells: NDArray[np.bool_], pieces: Pieces, notes: tuple[str, ...] = ()) -> Cells:
    if _is_inverted(cells):
        cells = ~cells
        notes = (*notes, "What surrounds the cells is white in this mask; white was taken as the background.")
    if pieces == "keep":
        labels = cells.astype(np.int32)
        return Cells(labels, np.ones(int(labels.max(initial=0)), np.int64), notes)
    if pieces == "auto":
        _refuse_drawn_outlines(cells)
    labels = components(cells)
    count = int(labels.max(initial=0))
    if count:
        what = "one piece was taken as one cell" if count == 1 else f"{count} separate pieces were taken as cells"
        notes = (*notes, f"The mask has only two values; its {what} (touching cells are one).")
    return Cells(labels, np.arange(1, count + 1, dtype=np.int64), notes)


def _refuse_drawn_outlines(cells: NDArray[np.bool_]) -> None:
    """Refuse drawn outlines of cells; as areas they would be thin rings or one connected net."""
    from scipy import ndimage

    drawn, filled = np.count_nonzero(cells), np.count_nonzero(ndimage.binary_fill_holes(cells))
    if filled > 3 * drawn > 0:
        raise MaskError(
            "it shows the outlines of cells and not their areas. Fill them, or choose to split the mask into its "
            "pieces if the lines are meant."
        )


def _is_inverted(cells: NDArray[np.bool_]) -> bool:
    """Tell dark cells on white from white cells on black: the background surrounds the cells in one piece.

    Cells that fill the image between thin dark lines also cover most of the border, but in many pieces.
    """
    border = _border(cells)
    if cells.all() or np.count_nonzero(border) <= border.size // 2 or np.count_nonzero(cells) <= cells.size // 2:
        return False
    sizes = np.bincount(components(cells).ravel())[1:]
    return bool(sizes.max() >= 0.9 * sizes.sum())


def _border(plane: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]])


def _most_frequent(values: NDArray[Any]) -> int:
    return int(np.bincount(values).argmax())


def _ids_or_classes(
    labels: Labels, ids: NDArray[np.int64], found: _Structure, pieces: Pieces, notes: tuple[str, ...], word: str
) -> Cells:
    """Take each id as a cell, or each piece of it."""
    if pieces == "keep" or not (found.pieces_per_id > 1).any():
        return Cells(labels, ids, notes)
    # A thin diagonal or frayed cell is connected only at corners.
    found = _structure(labels, corners=True)
    if pieces == "auto":
        if not _are_classes(labels, found):
            # `cellseg1.masks.check` names the cells in several pieces.
            return Cells(labels, ids, notes)
        _refuse_outlines(labels, found)
    count = len(found.sizes)
    note = (
        f"The mask uses {_number(len(ids), word)} for {count} separate pieces, so each piece was taken as one cell "
        "(touching pieces are one). Choose to keep the pieces together if they are one cell."
    )
    return Cells(found.pieces, np.arange(1, count + 1, dtype=np.int64), (*notes, note))


def _number(count: int, word: str) -> str:
    return f"1 {word[:-1]}" if count == 1 else f"{count} {word}"


# ---- shape of the pieces of equal value


@dataclass(frozen=True, slots=True, eq=False)
class _Structure:
    """The pieces of equal id of labels 1..n, 4-connected (or 8-connected).

    Attributes
    ----------
    pieces
        (H, W) 1..m.
    sizes, owner
        (m,) pixels and id of each piece.
    pieces_per_id
        (n,) how many pieces each id has.
    slivers
        (m,) true for a piece that is less than three pixels wide everywhere and touches a piece of another id.
    """

    pieces: Labels
    sizes: NDArray[np.int64]
    owner: NDArray[np.int64]
    pieces_per_id: NDArray[np.int64]
    slivers: NDArray[np.bool_]

    @property
    def mixed(self) -> bool:
        """Whether most pieces are slivers between others, as made by smoothing, JPEG and noise."""
        return bool(self.sizes.size >= 3 and 2 * np.count_nonzero(self.slivers) >= self.sizes.size)

    @property
    def sliver_pixels(self) -> NDArray[np.bool_]:
        """(H, W), true where a sliver is."""
        return np.concatenate([[False], self.slivers])[self.pieces]


def _structure(labels: Labels, *, corners: bool = False) -> _Structure:
    pieces = equal_pieces(labels, corners=corners)
    count = int(pieces.max(initial=0))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:].astype(np.int64)
    owner = np.zeros(count + 1, np.int64)
    owner[pieces.ravel()] = labels.ravel()
    owner = owner[1:]
    per_id = np.bincount(owner, minlength=int(labels.max(initial=0)) + 1)[1:].astype(np.int64)
    touching = np.zeros(count + 1, bool)
    for after, before in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        one, other = labels[after], labels[before]
        meet = (one != other) & (one > 0) & (other > 0)
        for side in (pieces[after], pieces[before]):
            touching[side[meet]] = True
    wide = np.zeros(count + 1, bool)
    wide[pieces[_inner(pieces)]] = True
    return _Structure(pieces, sizes, owner, per_id, (touching & ~wide)[1:])


def _inner(pieces: Labels) -> NDArray[np.bool_]:
    """Return the pixels whose eight neighbours belong to the same piece."""
    inner = np.zeros(pieces.shape, bool)
    if min(pieces.shape) < 3:
        return inner
    centre = pieces[1:-1, 1:-1]
    same = centre > 0
    for y in range(3):
        for x in range(3):
            same = same & (pieces[y : y + centre.shape[0], x : x + centre.shape[1]] == centre)
    inner[1:-1, 1:-1] = same
    return inner


def _are_classes(labels: Labels, found: _Structure) -> bool:
    """Tell whether the ids are classes or colours, each used for many cells."""
    n_ids = int(labels.max(initial=0))
    if not 1 <= n_ids <= _MOST_COLOURS or found.sizes.size < _PIECES_PER_CLASS * n_ids:
        return False
    largest = np.zeros(n_ids + 1, np.int64)
    np.maximum.at(largest, found.owner, found.sizes)
    counted = (found.sizes >= _CRUMB_SHARE * largest[found.owner]) & ~found.slivers
    per_id = np.bincount(found.owner[counted], minlength=n_ids + 1)[1:]
    if n_ids > _MOST_CLASSES and np.mean(per_id >= _PIECES_PER_CLASS) < _NEARLY_ALL:
        return False
    return bool(per_id.sum() >= _PIECES_PER_CLASS * n_ids and 2 * np.count_nonzero(per_id > 1) >= n_ids)


def _refuse_outlines(labels: Labels, found: _Structure) -> None:
    """Refuse a class image in which one class is the outlines of the pieces of another."""
    from scipy import ndimage

    if len(found.pieces_per_id) > _MOST_CLASSES:
        return
    for number in np.flatnonzero(found.pieces_per_id >= _PIECES_PER_CLASS) + 1:
        line = labels == number
        others = (labels > 0) & ~line
        enclosed = ndimage.binary_fill_holes(line) & others
        if 2 * np.count_nonzero(enclosed) > np.count_nonzero(others) > 0:
            raise MaskError(
                "one of its values is the outline of the areas of another, as classes of pixels are. "
                "Save one id, or one colour, per cell."
            )


# ---- soft edges and pictures


def _soft_edged(values: NDArray[Any], slivers: NDArray[np.bool_] | None = None) -> NDArray[np.bool_] | None:
    """Return the cells of a two-valued drawing with soft edges; None for anything else.

    Outside a narrow band along the outlines every value must be near one of two, and most exactly equal; a
    photograph has noise and shades there.

    Parameters
    ----------
    values
        (H, W) numbers without NaN.
    slivers
        (H, W), true for pixels of slivers; they must lie near the outlines too.
    """
    from scipy import ndimage

    low, high = float(values.min()), float(values.max())
    if not high > low:
        return None
    unit = (values.astype(np.float64) - low) / (high - low)
    cells: NDArray[np.bool_] = unit > 0.5
    middle = (unit > _NEAR) & (unit < 1 - _NEAR)
    outline = np.zeros(cells.shape, bool)
    for axis in (0, 1):
        changes = np.diff(cells, axis=axis)
        outline |= np.pad(changes, [(0, 1) if i == axis else (0, 0) for i in (0, 1)])
        outline |= np.pad(changes, [(1, 0) if i == axis else (0, 0) for i in (0, 1)])
    distance = ndimage.distance_transform_cdt(~outline, metric="chessboard")
    near = distance < _SOFT_BAND
    if np.count_nonzero(middle & ~near) > 0.01 * np.count_nonzero(middle) + 2:
        return None
    if slivers is not None and np.count_nonzero(slivers & (distance <= _JPEG_BLOCK)) < 0.8 * np.count_nonzero(slivers):
        return None
    for side in (cells, ~cells):
        if np.count_nonzero(side & middle) > 0.4 * np.count_nonzero(side) or not _keeps_to_one_value(
            unit[side & ~near]
        ):
            return None
    return cells


def _keeps_to_one_value(values: NDArray[np.float64]) -> bool:
    """Tell whether values away from outlines are one value, within the error of JPEG."""
    if values.size == 0:
        return True
    away = np.abs(values - np.median(values))
    return bool(np.median(away) <= 0.005 and np.mean(away <= 0.06) >= 0.9)


def _soft_colour(
    plane: NDArray[Any], labels: Labels, found: _Structure, colours: NDArray[Any], background: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    """Do the same as `_soft_edged` for a drawing in one colour; mixtures of several colours are ambiguous."""
    wide = np.unique(labels[_inner(found.pieces)])
    wide = wide[wide > 0]
    if wide.size == 0:
        return None
    ground = np.asarray(background, np.float64)
    distances = np.abs(colours[wide - 1].astype(np.float64) - ground)
    main = distances[distances.sum(axis=1).argmax()]
    far = distances.max(axis=1) > _NEAR * main.max()
    if (np.abs(distances[far] - main).max(axis=1) > _NEAR * main.max()).any():
        return None
    return _soft_edged(np.abs(plane.astype(np.float64) - ground).sum(axis=-1), found.sliver_pixels)


def _refuse_lossy(*, lossy: bool) -> None:
    if lossy:
        raise MaskError(
            "JPEG changes the values of pixels, so ids and colours are lost. "
            "Save masks as PNG, or as TIFF without JPEG."
        )


def _refuse_mixed(labels: Labels, found: _Structure) -> None:
    """Refuse noise, and ids that are mixed along outlines."""
    slivers, n_ids = found.sizes[found.slivers], int(labels.max(initial=0))
    others = found.sizes.size - slivers.size
    # Crossing fibres are slivers too, but long ones; a dense map of tiny cells has one piece per id.
    if slivers.size > 2 * others and float(slivers.mean()) <= 5 and 2 * found.sizes.size > 3 * n_ids:
        raise MaskError(
            f"it looks like a picture, or like a mask that was smoothed, resized or saved as JPEG ({n_ids} different "
            f"values in {found.sizes.size} pieces of {found.sizes.mean():.1f} pixels each). "
            "Choose the mask itself, with one value per cell."
        )


def _refuse_picture(labels: Labels, found: _Structure) -> None:
    """Refuse a photograph, whose values change from pixel to pixel; the cells of a mask are coherent areas."""
    n_ids = int(labels.max(initial=0))
    filled = int(found.sizes.sum())
    # Sparse masks may consist of single pixels, so only well-filled pictures are checked.
    if n_ids < 3 or filled < labels.size / 4 or filled < 64:
        return
    n_pieces = found.sizes.size
    mean_size = filled / n_pieces
    scattered = mean_size < 10 and n_pieces > 10 * n_ids and 4 * np.count_nonzero(found.slivers) > n_pieces
    if mean_size < 2 or scattered:
        raise MaskError(
            f"it looks like a picture ({n_ids} different values in {n_pieces} pieces of {mean_size:.1f} pixels each). "
            "Choose the mask that belongs to it."
        )
