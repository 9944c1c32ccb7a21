"""Reading mask files of every common kind into one form: int32 labels 1..n."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import ImageError, MaskError
from cellseg1.images.read import load
from cellseg1.masks.ids import components, equal_pieces, relabel_sequential, remap_colours

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from cellseg1.images.image import Image
    from cellseg1.masks.ids import Labels

_BINARY_VALUES = (1, 255, 65535)


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A label image read from a file.

    Attributes
    ----------
    labels
        (H, W) int32; 0 is background, cells are 1..n without gaps, in the order of their ids (or colours) in the file.
    original_ids
        The n ids in the file; for colour and binary masks, which have none, simply 1..n.
    notes
        Sentences that the user should see, such as "The mask has only two values; ...".
    """

    labels: NDArray[np.int32]
    original_ids: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.original_ids)


def read_mask(
    path: str | os.PathLike[str], *, require_cells: bool = False, z: int | None = None, t: int | None = None
) -> Mask:
    """Read a mask: integer ids, colours, a palette, or only two values.

    - Whole numbers of any type (also floats without fractions, and three equal channels) are ids; 0 is background.
      A file without any 0 has no background: each of its ids is a cell.
    - A palette image's indices are its ids.
    - In RGB each colour is a cell (`remap_colours` says which colour is the background); fully transparent pixels are
      background too.
    - If there are only two values, 0 and 1, 255 or 65535, or black and one colour, the 4-connected pieces are the
      cells, and a note says so.

    Parameters
    ----------
    path
        Any file that `read_image` reads.
    require_cells
        Refuse a mask without cells.
    z, t
        Plane of a stack; needed only for stacks.

    Raises
    ------
    MaskError
        When the file cannot be read, is a picture and no mask, has negative or fractional values, is a stack and no
        plane was named, or is empty and `require_cells` is set.
    """
    try:
        image = load(path, as_labels=True)
        plane = _one_plane(image, z, t)
    except ImageError as error:
        raise MaskError(str(error)) from error
    notes = [note for note in image.info.notes if "axes" not in note]
    plane, notes = _without_alpha(plane, image, notes)
    try:
        mask = _from_plane(plane, image, notes)
    except MaskError as error:
        raise MaskError(f"{path} cannot be used as a mask: {error}") from error
    if require_cells and mask.n_cells == 0:
        raise MaskError(f"{path} holds no cells. Draw some, or choose another mask.")
    return mask


def _one_plane(image: Image, z: int | None, t: int | None) -> NDArray[Any]:
    for name, index, count in (("z", z, image.n_z), ("t", t, image.n_t)):
        if count > 1 and index is None:
            raise MaskError(
                f"{image.info.path} is a stack of {count} planes, not one mask. "
                f"Choose a plane ({name} = 0 to {count - 1})."
            )
    return image.plane(z or 0, t or 0)


def _without_alpha(plane: NDArray[Any], image: Image, notes: list[str]) -> tuple[NDArray[Any], list[str]]:
    """Take alpha off (grey+alpha or RGBA) and make what is fully transparent background."""
    if "S" not in image.info.axes or plane.shape[2] not in (2, 4):
        return plane, notes
    alpha = plane[..., -1]
    plane = plane[..., :-1] if plane.shape[2] == 4 else plane[..., 0]
    clear = alpha == 0
    if clear.any():
        plane = np.where(clear if plane.ndim == 2 else clear[..., np.newaxis], plane.dtype.type(0), plane)
        notes = [*notes, "Transparent pixels of the mask were taken as background."]
    return plane, notes


def _from_plane(plane: NDArray[Any], image: Image, notes: list[str]) -> Mask:
    """Recognise the kind of mask."""
    if plane.ndim == 3 and all(np.array_equal(plane[..., 0], plane[..., c]) for c in range(1, plane.shape[2])):
        plane = plane[..., 0]
    if plane.ndim == 3:
        if plane.shape[2] != 3 or plane.dtype.kind != "u" or plane.dtype.itemsize > 2:
            raise MaskError(
                f"it has {plane.shape[2]} channels of type {plane.dtype}. Save one id, or one colour, per cell."
            )
        labels, colours, background = remap_colours(plane)
        _refuse_picture(labels, image)
        if any(background):
            notes = [*notes, f"The mask has no black; its border colour {background} was taken as background."]
        if len(colours) == 1:
            return _binary(labels > 0, notes)
        return Mask(labels, np.arange(1, len(colours) + 1, dtype=np.int64), tuple(notes))
    if plane.dtype.kind == "f":
        plane = _whole_numbers(plane)
    if plane.dtype.kind == "b":
        return _binary(plane, notes)
    labels, original = relabel_sequential(plane)
    if len(original) == 1 and int(original[0]) in _BINARY_VALUES and not labels.all():
        return _binary(labels > 0, notes)
    _refuse_picture(labels, image)
    if len(original) and labels.all():
        notes = [*notes, "The mask has no background (no pixel is 0), so every pixel belongs to a cell."]
    return Mask(labels, original, tuple(notes))


def _binary(cells: NDArray[np.bool_], notes: list[str]) -> Mask:
    labels = components(cells)
    count = int(labels.max(initial=0))
    if count:
        notes = [
            *notes,
            f"The mask has only two values; its {count} separate pieces were taken as cells (touching cells are one).",
        ]
    return Mask(labels, np.arange(1, count + 1, dtype=np.int64), tuple(notes))


def _whole_numbers(plane: NDArray[Any]) -> NDArray[np.int64]:
    if not np.isfinite(plane).all() or not np.array_equal(plane, np.rint(plane)):
        raise MaskError("it has fractional values or NaN. A mask has one whole number per cell.")
    if plane.max(initial=0) >= 2**53:
        raise MaskError("its ids are too large to be exact. Number the cells 1, 2, 3 ...")
    return plane.astype(np.int64)


def _refuse_picture(labels: Labels, image: Image) -> None:
    """Tell a photograph, whose values change from pixel to pixel, from a mask, whose cells are coherent areas."""
    if image.info.format == "JPEG" and int(labels.max(initial=0)) > 1:
        raise MaskError("JPEG changes the values of pixels, so ids and colours are lost. Save masks as PNG or TIFF.")
    n_ids = int(labels.max(initial=0))
    filled = int(np.count_nonzero(labels))
    # Masks of a few points may consist of single pixels, so only well-filled pictures are judged.
    if n_ids < 3 or filled < labels.size / 4 or filled < 64:
        return
    n_pieces = int(equal_pieces(labels).max())
    mean_size = filled / n_pieces
    if mean_size < 2 or (mean_size < 10 and n_pieces > 10 * n_ids):
        raise MaskError(
            f"it looks like a picture ({n_ids} different values in {n_pieces} pieces of {mean_size:.1f} pixels each). "
            "Choose the mask that belongs to it."
        )
