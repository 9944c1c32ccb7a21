"""Reading mask files of every common kind into one form: int32 labels 1..n."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import ImageError, MaskError
from cellseg1.images.image import Image
from cellseg1.images.opening import reading
from cellseg1.images.read import load
from cellseg1.masks.kinds import PIECES, Pieces, find_cells

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A label image read from a file.

    Attributes
    ----------
    labels
        (H, W) int32; 0 is background, cells are 1..n without gaps, in the order of their ids (or colours) in the file.
    original_ids
        The n ids in the file; 1..n where cells come from pieces or colours.
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


class MaskFile:
    """A mask file, decoded once: one mask, or one for each plane of its image.

    Attributes
    ----------
    path
        The file.
    n_t, n_z
        Time points and focal planes, named as the image names them.
    notes
        Notes from decoding the file.
    """

    def __init__(self, path: Path, image: Image, pieces: Pieces, notes: tuple[str, ...]) -> None:
        self.path = path
        self.notes = notes
        self._image = image
        self._pieces = pieces

    @property
    def n_t(self) -> int:
        """Number of time points."""
        return self._image.n_t

    @property
    def n_z(self) -> int:
        """Number of focal planes."""
        return self._image.n_z

    @property
    def n_planes(self) -> int:
        """Number of masks in the file."""
        return self.n_t * self.n_z

    def plane(self, z: int = 0, t: int = 0) -> Mask:
        """Return the cells of one plane; a file of one mask has the same for every plane.

        Raises
        ------
        MaskError
            When the file has no such plane, or it cannot be used as a mask.
        """
        plane, notes = self._values(z, t)
        with reading(self.path, MaskError, lambda why: MaskError(f"{self.path} cannot be used as a mask: {why}.")):
            try:
                found = find_cells(
                    plane,
                    pieces=self._pieces,
                    lossy=self._image.info.lossy,
                    colour=self._image.is_colour,
                )
            except MaskError as error:
                raise MaskError(f"{self.path} cannot be used as a mask: {error}") from error
            return Mask(found.labels, found.ids, (*self.notes, *notes, *found.notes))

    def area(self, z: int = 0, t: int = 0) -> NDArray[np.bool_]:
        """Return (H, W), true where a plane holds anything but background."""
        plane, _ = self._values(z, t)
        area: NDArray[np.bool_] = plane != 0
        if area.ndim == 3:
            area = np.any(area, axis=2)
        return area

    def _values(self, z: int, t: int) -> tuple[NDArray[Any], tuple[str, ...]]:
        if self.n_planes == 1:
            z = t = 0
        try:
            plane = self._image.plane(z, t)
        except ImageError as error:
            raise MaskError(str(error)) from error
        return _without_alpha(plane, self._image)


def open_mask(path: str | os.PathLike[str], *, image: Image | None = None, pieces: Pieces = "auto") -> MaskFile:
    """Decode a mask file.

    Parameters
    ----------
    path
        Any file that `read_image` reads.
    image
        The image of the masks; its planes then name those of a stack of masks, even when the file has no axes.
    pieces
        Whether separate pieces of one id or colour are separate cells: ``split`` them, ``keep`` them together, or
        ``auto``: split them where a few ids have many pieces, as colours and classes have, and say so.

    Raises
    ------
    MaskError
        When the file cannot be read, or holds a stack while the image has one plane.
    """
    if pieces not in PIECES:
        raise MaskError(f"Unknown choice {pieces!r} for the pieces of a mask: choose {', '.join(PIECES)}.")
    path = Path(path)
    try:
        masks = load(path, as_labels=True)
    except ImageError as error:
        raise MaskError(str(error)) from error
    notes = tuple(note for note in masks.info.notes if "axes" not in note)
    if image is not None:
        masks, said = _with_planes_of(image, masks)
        notes += said
    return MaskFile(path, masks, pieces, notes)


def read_mask(
    path: str | os.PathLike[str],
    *,
    require_cells: bool = False,
    z: int | None = None,
    t: int | None = None,
    image: Image | None = None,
    pieces: Pieces = "auto",
) -> Mask:
    """Read a mask: integer ids, colours, a palette, or only two values.

    - Whole numbers of any type (also floats without fractions, and three equal channels) are ids; 0 is background.
      A file without any 0 has no background: each of its ids is a cell; but of two values, or of classes, the one
      along the border is the background.
    - A palette image's indices are its ids.
    - In RGB each colour is a cell (`remap_colours` says which colour is the background); fully transparent pixels are
      background too.
    - If there are only two values, 0 and 1, 255 or 65535, or black and one colour, the 4-connected pieces are the
      cells, and a note says so.  Soft edges between two values are cut half-way.
    - Ids or colours that are used for many pieces each are classes; see `pieces`.
    - An id or colour that is only thin lines around all others is background.

    Parameters
    ----------
    path
        Any file that `read_image` reads.
    require_cells
        Refuse a mask without cells.
    z, t
        Plane of a stack; needed only for stacks.
    image, pieces
        See `open_mask`.

    Raises
    ------
    MaskError
        When the file cannot be read, is a photograph, has negative or fractional values, is a stack and no plane is
        given, or has no cells and `require_cells` is set.

    Examples
    --------
    >>> import cellseg1
    >>> mask = cellseg1.read_mask("mask.png")
    >>> mask.labels.shape, bool(mask.labels.max() == mask.n_cells)
    ((72, 96), True)
    """
    masks = open_mask(path, image=image, pieces=pieces)
    for name, index, count in (("z", z, masks.n_z), ("t", t, masks.n_t)):
        if count > 1 and index is None:
            raise MaskError(
                f"{path} is a stack of {count} planes, not one mask. Choose a plane ({name} = 0 to {count - 1})."
            )
    mask = masks.plane(z or 0, t or 0)
    if require_cells and mask.n_cells == 0:
        where = f" in its plane z = {z or 0}, t = {t or 0}" if masks.n_planes > 1 else ""
        raise MaskError(f"{path} holds no cells{where}. Draw some, or choose another mask.")
    return mask


def _with_planes_of(image: Image, masks: Image) -> tuple[Image, tuple[str, ...]]:
    """Name the planes of masks like those of their image."""
    have, want = masks.n_t * masks.n_z, image.n_t * image.n_z
    if have == 1 and "C" in masks.info.axes and masks.n_channels == want > 1 and image.n_channels != want:
        masks = _renamed(masks, {"C": "Z"})
        have = want
    if have == 1 or (masks.n_t, masks.n_z) == (image.n_t, image.n_z):
        return masks, ()
    if want == 1:
        raise MaskError(
            f"{masks.info.path} is a stack of {have} planes, but its image has one plane. "
            "Save the mask of that plane as a file of its own."
        )
    if have != want:
        return masks, (
            f"The file of masks has {have} planes and its image {want}; the plane of the same numbers is used.",
        )
    if (masks.n_t, masks.n_z) == (image.n_z, image.n_t):
        return _renamed(masks, {"T": "Z", "Z": "T"}), ()
    # One axis for both; time points change slowest, as everywhere in this program.
    axis = masks.info.axes.index("Z" if masks.n_z > 1 else "T")
    shape = masks.array.shape
    array = masks.array.reshape(*shape[:axis], image.n_t, image.n_z, *shape[axis + 1 :])
    axes = "TZ" + masks.info.axes.replace("T", "").replace("Z", "")
    return Image(array, dataclasses.replace(masks.info, axes=axes, shape=array.shape)), ()


def _renamed(masks: Image, letters: dict[str, str]) -> Image:
    from cellseg1.images.axes import order_axes

    array, axes = order_axes(masks.array, "".join(letters.get(letter, letter) for letter in masks.info.axes))
    return Image(array, dataclasses.replace(masks.info, axes=axes, shape=array.shape))


def _without_alpha(plane: NDArray[Any], image: Image) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Take alpha off (grey+alpha or RGBA) and make what is fully transparent background."""
    if "S" not in image.info.axes or plane.shape[2] not in (2, 4):
        return plane, ()
    alpha = plane[..., -1]
    plane = plane[..., :-1] if plane.shape[2] == 4 else plane[..., 0]
    clear = alpha == 0
    if not clear.any():
        return plane, ()
    if clear.all():
        return plane, ("The mask is transparent everywhere; its transparency was ignored.",)
    plane = np.where(clear if plane.ndim == 2 else clear[..., np.newaxis], plane.dtype.type(0), plane)
    return plane, ("Transparent pixels of the mask were taken as background.",)
