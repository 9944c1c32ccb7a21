"""Small pictures of a project's images with their own cells drawn over them, made when they are looked at."""

from __future__ import annotations

import contextlib
import hashlib
import io
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cellseg1.errors import OutputError
from cellseg1.files import write_bytes
from cellseg1.images import InputRule, to_model_input
from cellseg1.prediction.overlay import overlay_picture

from ..base.errors import ProjectError
from ..base.names import within
from ..base.places import cache_folder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .project import Project

_RULE = InputRule("percentile", 0.5, 99.5)


def thumbnail(project: Project, image_id: str, size: int = 96) -> Path:
    """Return a PNG of an image's middle plane (or the first on which cells are drawn); made once per state.

    For any thread.

    Raises
    ------
    CellSeg1Error
        When the image cannot be read, or the picture cannot be written anywhere.
    """
    entry = project.images.get(image_id)
    z, t = _plane(entry.planes, entry.n_z)
    state = entry.planes.get(f"{z},{t}", {})
    content = (entry.fingerprint.get("ends"), entry.fingerprint.get("size"), entry.axes, z, t, size)
    # The image's entry knows the drawing's revision without opening it.
    key = hashlib.sha256(repr((content, state.get("revision", 0), state.get("cells", 0))).encode()).hexdigest()[:12]
    name = f"{entry.id}-{size}-{key}.png"
    folders = [cache_folder() / "thumbnails" / project.content.uid]
    with contextlib.suppress(ProjectError):
        # The folder of a deleted project is not made again for a thumbnail.
        if project.is_there():
            folders.insert(0, within(project.folder, "thumbnails", name).parent)
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    image = project.images.read(image_id)
    picture = picture_of(
        image.plane(min(z, image.n_z - 1), min(t, image.n_t - 1)),
        project.drawings.labels_of(image_id, z, t),
        size,
        colour=image.is_colour,
    )
    data = _png(picture)
    for folder in folders:
        try:
            write_bytes(folder / name, data)
        except OutputError:
            if folder is folders[-1]:
                raise
            continue
        _remove_older(folder, f"{entry.id}-{size}-", name)
        return folder / name
    raise AssertionError


def picture_of(plane: NDArray[Any], labels: NDArray[Any] | None, size: int, *, colour: bool) -> NDArray[np.uint8]:
    """Return an RGB picture whose longer side is `size`: contrast by percentiles, cells filled and outlined."""
    height, width = plane.shape[:2]
    scale = min(1.0, size / max(height, width))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Every so many pixels are enough to start from; without this a slide would take seconds.
    step = max(1, int(1 / scale) // 4)
    thin = np.ascontiguousarray(plane[::step, ::step])
    picture = to_model_input(thin, _RULE, colour=colour)
    picture = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
    if labels is not None and labels.shape == (height, width) and labels.any():
        rows = np.minimum(((np.arange(small[1]) + 0.5) / scale).astype(int), height - 1)
        columns = np.minimum(((np.arange(small[0]) + 0.5) / scale).astype(int), width - 1)
        drawn = labels[rows[:, np.newaxis], columns]
        # Colours are given by neighbourhood, in tables as long as the largest id.
        _, dense = np.unique(np.concatenate([[0], drawn.ravel()]), return_inverse=True)
        picture = overlay_picture(picture, dense[1:].reshape(drawn.shape).astype(np.int32), "fill")
    return picture


def _plane(planes: dict[str, dict[str, Any]], n_z: int) -> tuple[int, int]:
    drawn = [name for name, plane in planes.items() if plane.get("cells")]
    if drawn:
        z, t = min(tuple(int(number) for number in name.split(",")) for name in drawn)
        return z, t
    return max(0, n_z) // 2, 0


def _png(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    with Image.fromarray(picture) as image:
        image.save(stream, format="PNG")
    return stream.getvalue()


def _remove_older(folder: Path, start: str, newest: str) -> None:
    for path in folder.glob(f"{start}*.png"):
        if path.name != newest:
            with contextlib.suppress(OSError):
                path.unlink()
