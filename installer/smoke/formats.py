"""Writes label images in every lossless compression of TIFF and PNG that the program promises to read.

``python -m installer.smoke.formats FOLDER`` (in the build's environment) fills FOLDER/plain and FOLDER/packed with the
same label images; `cellseg1 evaluate` of the built program must find them equal.  A codec that was left out of the
bundle shows here and not at a user's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

#: Name: what tifffile is asked for.
COMPRESSIONS: dict[str, dict[str, Any]] = {
    "deflate": {"compression": "deflate"},
    "deflate_predictor": {"compression": "deflate", "predictor": True},
    "jpeg2000": {"compression": "jpeg2000", "compressionargs": {"reversible": True}},
    "jpegxl": {"compression": "jpegxl", "compressionargs": {"lossless": True}},
    "lerc": {"compression": "lerc"},
    "lzma": {"compression": "lzma"},
    "lzw": {"compression": "lzw"},
    "packbits": {"compression": "packbits"},
    "png": {"compression": "png"},
    "zstd": {"compression": "zstd"},
}


def labels(seed: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Return a label image, (90, 130), of some rectangles."""
    rng = np.random.default_rng(seed)
    image = np.zeros((90, 130), np.uint16)
    for number, (top, left) in enumerate((y, x) for y in range(5, 80, 20) for x in range(5, 120, 25)):
        height, width = rng.integers(6, 15, 2)
        image[top : top + height, left : left + width] = 1 + number * 300 % 5000
    return image


def write(folder: Path) -> None:
    """Write the images."""
    for name in ("plain", "packed"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for seed, (name, options) in enumerate(COMPRESSIONS.items()):
        image = labels(seed)
        tifffile.imwrite(folder / "plain" / f"{name}.tif", image)
        tifffile.imwrite(folder / "packed" / f"{name}.tif", image, **options)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
