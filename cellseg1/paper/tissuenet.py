"""The arrays of TissueNet, read row by row and without unpickling code."""

from __future__ import annotations

import contextlib
import io
import math
import pickle
import pickletools
import re
import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, cast

import numpy as np

from cellseg1.masks.ids import relabel_sequential
from cellseg1.paper.archive import ArchiveError
from cellseg1.trouble import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

#: Fewest training images of a published group.
LEAST_TRAINING_IMAGES: Final = 10
_MOST_META_BYTES: Final = 64 * 2**20
_MOST_ROW_BYTES: Final = 64 * 2**20
_LOW, _HIGH = 5, 95


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One image of the archive: its number, (H, W, 2) intensities and (H, W) labels of its nuclei, 1..n."""

    number: int
    picture: NDArray[np.uint8]
    nuclei: NDArray[np.int32]


class SplitFile:
    """One of the three ``.npz`` files; use `opened_split`.

    Attributes
    ----------
    groups
        The group of every image: ``breast_20191211_imc``, see `group_key`.
    """

    def __init__(self, path: Path, stored: zipfile.ZipFile, *, test: bool) -> None:
        self.path = path
        self._stored = stored
        with stored.open("X.npy") as stream:
            shape, _ = _header(stream)
        with stored.open("y.npy") as stream:
            masks, _ = _header(stream)
        if len(shape) != 4 or shape != masks or shape[3] != 2:
            raise ValueError(f"arrays of shape {shape} and {masks}")
        self.groups = _groups(_meta(stored), shape[0], test=test)

    def rows(self, wanted: set[str]) -> Iterator[tuple[str, Row]]:
        """Yield the images of some groups, with one image in memory at a time."""
        with self._stored.open("X.npy") as images, self._stored.open("y.npy") as masks:
            (_, height, width, _), kind = _header(images)
            _, mask_kind = _header(masks)
            for number, group in enumerate(self.groups):
                picture = _take(images, (height, width, 2), kind)
                labels = _take(masks, (height, width, 2), mask_kind)
                if group in wanted:
                    nuclei, _ = relabel_sequential(_whole(labels[..., 1]))
                    yield group, Row(number, as_picture(picture), nuclei)


@contextlib.contextmanager
def opened_split(path: Path, *, test: bool) -> Iterator[SplitFile]:
    """Open one ``.npz`` of TissueNet.

    Raises
    ------
    ArchiveError
        When it is damaged or has another layout.
    """
    with (
        reading(
            ArchiveError, f"{path.name} in tissuenet_v1.1.zip is damaged or has another layout; download it again."
        ),
        zipfile.ZipFile(path) as stored,
    ):
        yield SplitFile(path, stored, test=test)


def group_key(tissue: str, folder: str) -> str:
    """Return the normalised name of a group: lower case, with underscores for all other characters.

    Examples
    --------
    >>> group_key("Lymph Node", "20200114-20200114_cHL")
    'lymph_node_20200114_chl'
    """
    return re.sub(r"[^0-9a-z]+", "_", f"{tissue} {folder.rsplit('-', 1)[-1]}".casefold()).strip("_")


def as_picture(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert two channels to green and blue, each scaled between two percentiles of its non-zero pixels.

    Parameters
    ----------
    values
        (H, W, 2) of any numbers.

    Returns
    -------
    ndarray
        (H, W, 3) uint8, red 0; the 5th percentile of the non-zero pixels is 0 and the 95th 255.
    """
    picture = np.zeros((*values.shape[:2], 3), np.uint8)
    for channel in range(2):
        plane = values[..., channel].astype(np.float64)
        plane[~np.isfinite(plane)] = 0
        used = plane[plane != 0]
        if used.size == 0:
            continue
        low, high = np.percentile(used, (_LOW, _HIGH))
        if high > low:
            picture[..., channel + 1] = np.rint(np.clip((plane - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return picture


def _whole(labels: NDArray[Any]) -> NDArray[Any]:
    if labels.dtype.kind != "f":
        return labels
    if not np.isfinite(labels).all() or not np.array_equal(labels, np.rint(labels)):
        raise ValueError("ids that are no whole numbers")
    return labels.astype(np.int64)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(cast("io.BufferedIOBase", stream))
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version}")
    shape, by_columns, kind = read(cast("io.BufferedIOBase", stream))
    if by_columns or (kind.kind not in "biufU" and not kind.hasobject):
        raise ValueError(f"an array of type {kind}")
    return tuple(int(side) for side in shape), kind


def _take(stream: IO[bytes], shape: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
    size = math.prod(shape) * kind.itemsize
    if kind.hasobject or not 0 < size <= _MOST_ROW_BYTES:
        raise ValueError(f"images of {size} bytes and type {kind}")
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("it ends early")
    return np.frombuffer(data, kind).reshape(shape)


def _groups(meta: list[list[str]], count: int, *, test: bool) -> list[str]:
    names = [name.casefold() for name in meta[0]]
    if not {"experiment", "specimen"} <= set(names):
        raise ArchiveError(
            f"The description in tissuenet_v1.1.zip has the columns {', '.join(meta[0])[:200]}; experiment and "
            "specimen are needed."
        )
    folder, tissue = names.index("experiment"), names.index("specimen")
    # Two rows after the names of the columns belong to no image of the test set.
    rows = meta[3:] if test and len(meta) == count + 3 else meta[1:]
    if len(rows) != count:
        raise ValueError(f"{len(rows)} descriptions for {count} images")
    return [group_key(row[tissue], row[folder]) for row in rows]


# ---- a table of texts stored by numpy as objects


class _Stub:
    """Stand-in for a numpy array, type or number in a table of texts; keeps its arguments."""

    def __init__(self, *arguments: object) -> None:
        self._raw = arguments[-1] if arguments else b""
        self.state: Any = None

    def __str__(self) -> str:
        """Return the text of a numpy string; nothing useful for a number."""
        return self._raw.decode("utf-32-le", "replace") if isinstance(self._raw, bytes) else ""

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Texts(pickle.Unpickler):
    """An unpickler for texts, numbers and lists only: classes of numpy are replaced, all others refused."""

    _KNOWN = frozenset({"_reconstruct", "ndarray", "dtype", "scalar"})

    def find_class(self, module: str, name: str) -> Any:
        """Replace numpy's classes and refuse all others."""
        if module.partition(".")[0] == "numpy" and name in self._KNOWN:
            return _Stub
        if (module, name) == ("_codecs", "encode"):
            return _Stub
        raise pickle.UnpicklingError(f"{module}.{name} is refused")


def _meta(stored: zipfile.ZipFile) -> list[list[str]]:
    """Return the table of image descriptions as texts; its first row is the header."""
    if stored.getinfo("meta.npy").file_size > _MOST_META_BYTES:
        raise ValueError("a description that is too large")
    with stored.open("meta.npy") as stream:
        shape, kind = _header(stream)
        rest = stream.read()
    if len(shape) != 2 or not shape[0]:
        raise ValueError(f"a description of shape {shape}")
    values: Sequence[object]
    if kind.hasobject:
        # The unpickler would allocate any memo index that a file declares.
        places = (place for code, place, _ in pickletools.genops(rest) if code.name.startswith("LONG_BIN"))
        if any(int(place or 0) > len(rest) for place in places):
            raise ValueError("a description with impossible places")
        table = _Texts(io.BytesIO(rest)).load()
        # numpy's own order: version, shape, type, order of the axes, values.
        values = table.state[4]
    else:
        values = np.frombuffer(rest, kind).ravel().tolist()
    if len(values) != math.prod(shape):
        raise ValueError("a description that ends early")
    texts = [str(value) for value in values]
    return [texts[start : start + shape[1]] for start in range(0, len(texts), shape[1])]
