"""The image that every reader returns: an array with named axes, and what the file said about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

AXES_ORDER = "TZCYXS"


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """The metadata of an image.

    Attributes
    ----------
    path
        The file; None for an image made in memory.
    format
        ``PNG``, ``JPEG``, ``BMP``, ``TIFF``, ``OME-TIFF``, ``ImageJ-TIFF``, ``NPY`` or ``NIfTI``.
    axes
        One letter per dimension of the array, in the order ``TZCYXS`` without absent axes; ``S`` is the axis of the
        three colour samples.
    shape, dtype
        Of the array.
    channel_names
        One name per channel; empty when the file has none.
    pixel_size_um
        Height and width (y, x) of a pixel in micrometres; None when unknown.
    guessed
        True when the order of the axes was guessed from their lengths.
    notes
        Sentences that the user should see, such as "The alpha channel was dropped."
    lossy
        True when the compression of the file changes values, as JPEG does.
    """

    path: Path | None
    format: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    channel_names: tuple[str, ...] = ()
    pixel_size_um: tuple[float, float] | None = None
    guessed: bool = False
    notes: tuple[str, ...] = ()
    lossy: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An array and its description; axes always in the order ``TZCYXS``, ``Y`` and ``X`` always present."""

    array: NDArray[Any]
    info: ImageInfo

    def _length(self, letter: str) -> int:
        index = self.info.axes.find(letter)
        return 1 if index < 0 else self.array.shape[index]

    @property
    def n_t(self) -> int:
        """Number of time points."""
        return self._length("T")

    @property
    def n_z(self) -> int:
        """Number of focal planes."""
        return self._length("Z")

    @property
    def n_channels(self) -> int:
        """Number of values per pixel: 1 for grey, 3 for colour."""
        return self._length("C") * self._length("S")

    @property
    def is_colour(self) -> bool:
        """Whether the channels are the red, green and blue of one colour picture."""
        return "S" in self.info.axes and "C" not in self.info.axes

    def plane(self, z: int = 0, t: int = 0) -> NDArray[Any]:
        """Return one 2-D slice, (H, W) or (H, W, C), as a view where possible.

        Raises
        ------
        ImageError
            When the image has no such plane.
        """
        for name, index, count in (("z", z, self.n_z), ("t", t, self.n_t)):
            if not 0 <= index < count:
                where = self.info.path or "The image"
                raise ImageError(f"{where} has no plane {name} = {index}: choose a number from 0 to {count - 1}.")
        view = self.array
        axes = self.info.axes
        for letter, index in (("T", t), ("Z", z)):
            if letter in axes:
                view = view[tuple(index if axis == letter else slice(None) for axis in axes)]
                axes = axes.replace(letter, "")
        if "C" in axes:
            view = np.moveaxis(view, 0, 2)
            view = view.reshape(*view.shape[:2], -1)
        return view
