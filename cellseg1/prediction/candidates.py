"""Every proposal of one image before any is thrown away: cropped, bit-packed, with its score and stability."""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellseg1.errors import ModelFileError
from cellseg1.files import write_with
from cellseg1.memory import check_memory
from cellseg1.prediction.ranges import expand
from cellseg1.regular import open_regular
from cellseg1.text import parse_json
from cellseg1.trouble import reading

#: Version of the file layout; a file of a later version is refused.
SCHEMA = 1
#: Largest number of pixels of a plane.
_MOST_PIXELS = 2**30
#: Largest compression ratio of deflate.
_MOST_PACKING = 1040

_COLUMNS = {
    "box_xyxy": "int32",
    "area": "int64",
    "score": "float32",
    "stability": "float32",
    "point_xy": "float32",
    "view": "int32",
    "offsets": "int64",
    "packed": "uint8",
    "view_boxes": "int32",
}


class MaskPacker:
    """Packs masks one by one, so that not all of them are in memory unpacked."""

    def __init__(self) -> None:
        self.boxes: list[tuple[int, int, int, int]] = []
        self.areas: list[int] = []
        self.packed: list[NDArray[np.uint8]] = []

    def add(self, crop: NDArray[np.bool_], corner: tuple[int, int]) -> None:
        """Pack a bool array (h, w) whose top left pixel lies at `corner`, (x0, y0), of the image."""
        x0, y0 = corner
        filled = np.asarray(crop, bool)
        rows, columns = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
        if not len(rows):
            self.boxes.append((0, 0, 0, 0))
            self.areas.append(0)
            self.packed.append(np.zeros(0, np.uint8))
            return
        top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        tight = filled[top:bottom, left:right]
        self.boxes.append((x0 + left, y0 + top, x0 + right, y0 + bottom))
        self.areas.append(int(np.count_nonzero(tight)))
        self.packed.append(np.packbits(tight))


@dataclass(frozen=True, eq=False)
class Candidates:
    """N proposals of one image.

    Attributes
    ----------
    shape
        (H, W) of the image in pixels.
    box_xyxy
        (N, 4) int32 x0, y0, x1, y1 in image pixels; **the maximum corner is exclusive**, so the crop of a mask is
        ``[y0:y1, x0:x1]``.  Tight around the mask; an empty mask has a box of zero size.
    area
        (N,) int64 pixels of the mask.
    score, stability
        (N,) float32 predicted quality, and stability score (IoU of the mask at two logit thresholds).
    point_xy
        (N, 2) float32 the prompt, (x, y) in image pixels.
    view
        (N,) int32 index into `view_boxes`: the crop or tile the proposal was decoded in.
    view_boxes
        (V, 4) int32 xyxy, maximum corner exclusive.
    packed, offsets
        (B,) uint8 and (N + 1,) int64: ``numpy.packbits`` of the flattened crop of mask i lies in
        ``packed[offsets[i]:offsets[i + 1]]``.
    settings
        What the proposals were made with and cannot be changed afterwards (the fixed thresholds); JSON values only.
    """

    shape: tuple[int, int]
    box_xyxy: NDArray[np.int32]
    area: NDArray[np.int64]
    score: NDArray[np.float32]
    stability: NDArray[np.float32]
    point_xy: NDArray[np.float32]
    view: NDArray[np.int32]
    offsets: NDArray[np.int64]
    packed: NDArray[np.uint8]
    view_boxes: NDArray[np.int32]
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse columns that do not fit together (ValueError)."""
        for name, fault in self._faults().items():
            if fault:
                raise ValueError(f"The column {name} of the proposals does not fit the others.")

    def _faults(self) -> dict[str, bool]:
        total, (height, width) = len(self.area), self.shape
        box = self.box_xyxy.astype(np.int64)
        if box.shape != (total, 4) or self.offsets.shape != (total + 1,):
            return {"box_xyxy": box.shape != (total, 4), "offsets": self.offsets.shape != (total + 1,)}
        size = box[:, 2:] - box[:, :2]
        within = (box >= 0).all() and (box[:, 2] <= width).all() and (box[:, 3] <= height).all()
        need = (np.maximum(size, 0).prod(axis=1) + 7) // 8
        return {
            "box_xyxy": bool(not within or (size < 0).any()),
            "offsets": bool(self.offsets[0] != 0 or (np.diff(self.offsets) != need).any()),
            "packed": self.packed.shape != (int(self.offsets[-1]),),
            "score": self.score.shape != (total,),
            "stability": self.stability.shape != (total,),
            "point_xy": self.point_xy.shape != (total, 2),
            "view_boxes": self.view_boxes.ndim != 2 or self.view_boxes.shape[1] != 4,
            "view": self.view.shape != (total,)
            or (total > 0 and (int(self.view.min()) < 0 or int(self.view.max()) >= len(self.view_boxes))),
        }

    def __len__(self) -> int:
        """Return N."""
        return len(self.area)

    @classmethod
    def from_masks(
        cls,
        masks: Iterable[tuple[NDArray[np.bool_], tuple[int, int]]] | MaskPacker,
        shape: tuple[int, int],
        *,
        score: Sequence[float] | NDArray[Any],
        stability: Sequence[float] | NDArray[Any],
        point_xy: Sequence[Sequence[float]] | NDArray[Any] | None = None,
        view: Sequence[int] | NDArray[Any] | None = None,
        view_boxes: Sequence[Sequence[int]] | NDArray[Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Candidates:
        """Pack masks.

        Parameters
        ----------
        masks
            N pairs of a bool array (h, w) and (x0, y0), the position of its top left pixel in the image.  The arrays
            need not be tight, and may be empty.  Or a `MaskPacker`.
        shape
            (H, W) of the image in pixels.
        score, stability, point_xy, view
            As the attributes; without `point_xy` zeros, without `view` everything comes from view 0.
        view_boxes
            As the attribute; without it one view, the whole image.

        Raises
        ------
        ValueError
            When a mask leaves the image or the columns differ in length.
        """
        if isinstance(masks, MaskPacker):
            packer = masks
        else:
            packer = MaskPacker()
            for crop, corner in masks:
                packer.add(crop, corner)
        boxes, areas, packed = packer.boxes, packer.areas, packer.packed
        total = len(boxes)
        return cls(
            shape=(int(shape[0]), int(shape[1])),
            box_xyxy=np.array(boxes, np.int32).reshape(total, 4),
            area=np.array(areas, np.int64),
            score=np.asarray(score, np.float32).reshape(-1),
            stability=np.asarray(stability, np.float32).reshape(-1),
            point_xy=np.zeros((total, 2), np.float32)
            if point_xy is None
            else np.asarray(point_xy, np.float32).reshape(-1, 2),
            view=np.zeros(total, np.int32) if view is None else np.asarray(view, np.int32).reshape(-1),
            offsets=np.concatenate([[0], np.cumsum([len(part) for part in packed], dtype=np.int64)]).astype(np.int64),
            packed=np.concatenate([np.zeros(0, np.uint8), *packed]),
            view_boxes=np.array([[0, 0, shape[1], shape[0]]], np.int32)
            if view_boxes is None
            else np.asarray(view_boxes, np.int32).reshape(-1, 4),
            settings=dict(settings or {}),
        )

    def mask(self, index: int) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """Return the tight bool crop (h, w) of proposal `index` and (y0, x0), its place in the image."""
        x0, y0, x1, y1 = (int(value) for value in self.box_xyxy[index])
        bits = np.unpackbits(self.packed[self.offsets[index] : self.offsets[index + 1]], count=(y1 - y0) * (x1 - x0))
        return bits.reshape(y1 - y0, x1 - x0).astype(bool), (y0, x0)

    def full_mask(self, index: int) -> NDArray[np.bool_]:
        """Return proposal `index` in the whole frame, (H, W) bool."""
        crop, (y0, x0) = self.mask(index)
        frame = np.zeros(self.shape, bool)
        frame[y0 : y0 + crop.shape[0], x0 : x0 + crop.shape[1]] = crop
        return frame

    def subset(self, index: NDArray[Any] | Sequence[int]) -> Candidates:
        """Return the proposals `index`, numbers (M,) or a bool choice (N,), in that order; views stay as they are."""
        chosen = np.asarray(index)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64).reshape(-1)
        start, stop = self.offsets[chosen], self.offsets[chosen + 1]
        return Candidates(
            shape=self.shape,
            offsets=np.concatenate([[0], np.cumsum(stop - start)]).astype(np.int64),
            packed=self.packed[expand(start, stop)[1]],
            view_boxes=self.view_boxes,
            settings=dict(self.settings),
            **{
                name: getattr(self, name)[chosen]
                for name in ("box_xyxy", "area", "score", "stability", "point_xy", "view")
            },
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Candidates]) -> Candidates:
        """Return the proposals of all `parts` one after the other.

        Equal view boxes become one view; the settings are those of the first part.

        Raises
        ------
        ValueError
            When there is no part, or the parts are of images of different shapes.
        """
        if not parts or any(part.shape != parts[0].shape for part in parts):
            raise ValueError("Proposals can be joined only when there are some, all of the same image.")
        known: dict[tuple[int, ...], int] = {}
        views: list[NDArray[np.int32]] = []
        for part in parts:
            number = [known.setdefault(tuple(box), len(known)) for box in part.view_boxes.tolist()]
            views.append(np.array(number, np.int32)[part.view])
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("box_xyxy", "area", "score", "stability", "point_xy", "packed")
        }
        return cls(
            shape=parts[0].shape,
            view=np.concatenate(views),
            view_boxes=np.array(list(known), np.int32).reshape(-1, 4),
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            settings=dict(parts[0].settings),
            **columns,
        )

    def save(self, path: Path) -> None:
        """Write everything to `path` (a compressed ``.npz``) in one step.

        Raises
        ------
        OutputError
            When the file cannot be written; an older one is then still whole.
        """
        header = {"schema": SCHEMA, "shape": list(self.shape), "settings": self.settings}
        text = np.frombuffer(json.dumps(header, allow_nan=False).encode(), np.uint8)
        columns: dict[str, Any] = {name: getattr(self, name) for name in _COLUMNS}
        write_with(Path(path), lambda stream: np.savez_compressed(stream, header=text, **columns))

    @classmethod
    def load(cls, path: Path) -> Candidates:
        """Read what `save` wrote.

        Raises
        ------
        ModelFileError
            When the file is damaged, is no file of proposals, or was written by a later version.
        FileNotFoundError
            When there is no such file.
        """
        with reading(
            ModelFileError,
            f"The proposals in {path} are damaged or not a file of proposals. Run the prediction of this image again.",
        ):
            header, columns = _read(Path(path))
            if int(header["schema"]) > SCHEMA:
                raise ModelFileError(
                    f"The proposals in {path} were written by a later version of the program (layout "
                    f"{int(header['schema'])}, this program knows {SCHEMA}). Update the program to open them."
                )
            height, width = (int(length) for length in header["shape"])
            if min(height, width) < 0 or height * width > _MOST_PIXELS:
                raise ValueError(f"an image of {width} x {height} pixels")
            made = cls(shape=(height, width), settings=dict(header["settings"]), **columns)
        return made  # noqa: RET504 - to a type checker the boundary may swallow what is returned in it


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and, unless the layout is newer, the columns.

    Declared sizes are not trusted: a column takes at most the size of its packed bytes.
    """
    with open_regular(path) as stream, zipfile.ZipFile(stream) as stored:
        entries = {entry.filename: entry for entry in stored.infolist()}
        total = sum(entry.file_size for entry in entries.values())
        packed = sum(entry.compress_size for entry in entries.values())
        if total > packed * _MOST_PACKING + 10_000 or packed > os.fstat(stream.fileno()).st_size:
            raise ValueError("it claims to hold more than it can")
        check_memory(2 * total, f"The file of proposals {path}")
        header = parse_json(_column(stored, entries, "header", "uint8").tobytes())
        if int(header["schema"]) > SCHEMA:
            return header, {}
        return header, {name: _column(stored, entries, name, kind) for name, kind in _COLUMNS.items()}


def _column(stored: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], name: str, kind: str) -> NDArray[Any]:
    entry = entries[f"{name}.npy"]
    with stored.open(entry) as stream:
        data = stream.read(entry.file_size + 1)
        stream.read(1)  # past the end, where the checksum is compared
    start = io.BytesIO(data)
    version = np.lib.format.read_magic(start)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, in_columns, dtype = read_header(start)
    if dtype != np.dtype(kind) or in_columns or len(data) != entry.file_size:
        raise ValueError(f"column {name} has the type {dtype}")
    values = np.frombuffer(data, dtype, offset=start.tell())
    if values.size != math.prod(shape):
        raise ValueError(f"column {name} is cut short")
    return values.reshape(shape).copy()
