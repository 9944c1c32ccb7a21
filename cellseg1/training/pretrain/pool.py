"""The annotated images `tiny` is trained on: reading, held-out groups, and how often each set is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Cells wider than this (median, pixels) are stored smaller: no crop is ever taken at a larger scale.
_LARGEST_DIAMETER = 48.0

#: How often a set is drawn, by name of its folder; dsb2018_stage1 is split by kind.  Balanced by modality, not size.
WEIGHTS = {
    "dsb2018_stage1/fluorescence": 3.0,
    "dsb2018_stage1/stained": 1.5,
    "bbbc039": 1.0,
    "tnbc_he": 1.5,
    "codex_expert1": 1.0,
    "plantseg_ovule_slices": 0.8,
    "baby_yeast_brightfield": 0.6,
    "usiigaci_t98g_phase": 2.0,
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One annotated image, ready to be cropped.

    Attributes
    ----------
    image
        (H, W, 3) uint8, scaled between its own 0.1 and 99.9 percentile.
    labels
        (H, W) int32, 0 = background.
    diameter
        Median equivalent diameter of its cells in pixels.
    """

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    diameter: float


def kind_of(image: NDArray[np.uint8]) -> str:
    """Tell the modality of a dsb2018_stage1 image: fluorescence, stained or brightfield."""
    colour = image.ndim == 3 and float(np.abs(image[..., 0].astype(np.int16) - image[..., 2]).mean()) > 3
    if colour:
        return "stained"
    return "brightfield" if float(image.mean()) > 100 else "fluorescence"


def is_held_out(image: NDArray[np.uint8], kind: str) -> bool:
    """Tell whether a dsb2018_stage1 image belongs to an acquisition group that is kept for measuring.

    Groups are images of one size and one look.  Held out: fluorescence of 512 x 640, 603 x 1272 and 260 x 347;
    stained smears on a white ground; the bright-field group (1024 x 1024).  None of them occurs in bbbc039, whose
    fields are 520 x 696.
    """
    if kind == "fluorescence":
        return image.shape[:2] in {(512, 640), (603, 1272), (260, 347)}
    if kind == "stained":
        return bool(np.percentile(image[..., 1], 90) > 195)
    return True


def read_pair(folder: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Read ``images/name`` and ``masks/name`` of one set."""
    with Image.open(folder / "images" / name) as file:
        image = np.asarray(file)
    with Image.open(folder / "masks" / name) as file:
        labels = np.asarray(file).astype(np.int32)
    return image, labels


def median_diameter(labels: NDArray[np.int32]) -> float:
    """Median equivalent diameter (pixels) of the cells; 0 without cells."""
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    return float(np.sqrt(4 * np.median(areas) / np.pi)) if len(areas) else 0.0


def load_pool(root: Path) -> tuple[dict[str, list[Sample]], list[str], list[str]]:
    """Read all sets below `root`.

    Returns
    -------
    The samples for training by key of `WEIGHTS`; the names of the images used, and of those held out, each as
    ``set/image`` in sorted order.
    """
    pool: dict[str, list[Sample]] = {key: [] for key in WEIGHTS}
    used: list[str] = []
    held: list[str] = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        for path in sorted((folder / "images").iterdir()):
            image, labels = read_pair(folder, path.name)
            key, name = folder.name, f"{folder.name}/{path.name}"
            if key == "dsb2018_stage1":
                kind = kind_of(image)
                if is_held_out(image, kind):
                    held.append(name)
                    continue
                key = f"{key}/{kind}"
            sample = _prepare(name, image, labels)
            if sample is not None:
                pool[key].append(sample)
                used.append(name)
    return {key: samples for key, samples in pool.items() if samples}, used, held


def load_held(root: Path, names: list[str], most: int = 24) -> dict[str, list[Sample]]:
    """Read images that are held out (``set/image`` below `root`), at most so many of a kind.

    Of twice as many it takes every second one, of three times as many every third one.
    """
    found: dict[str, list[Sample]] = {}
    for name in names:
        folder, file = name.split("/", 1)
        image, labels = read_pair(root / folder, file)
        sample = _prepare(name, image, labels)
        if sample is not None:
            found.setdefault(f"held out/{kind_of(image)}", []).append(sample)
    return {key: samples[:: max(1, len(samples) // most)][:most] for key, samples in found.items()}


def _prepare(name: str, image: NDArray[np.uint8], labels: NDArray[np.int32]) -> Sample | None:
    diameter = median_diameter(labels)
    if diameter == 0:
        return None
    if diameter > _LARGEST_DIAMETER:
        factor = _LARGEST_DIAMETER / diameter
        size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT).astype(np.int32)
        diameter = _LARGEST_DIAMETER
    values = image.astype(np.float32)
    low, high = np.percentile(values, (0.1, 99.9))
    values = np.clip((values - low) * (255.0 / max(high - low, 1.0)), 0, 255)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    return Sample(name, values.astype(np.uint8), labels, diameter)
