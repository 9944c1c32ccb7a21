"""One small file instead of the folder of sets, to bring the training data to another computer.

``python -m cellseg1.training.pretrain.pack --data FOLDER --out FILE [--quality 95]``

Images are stored as they are trained on (`Sample`), as WebP; without ``--quality`` nothing is lost.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cellseg1.files import atomic_write
from cellseg1.training.pretrain.pool import Sample, load_pool


def write_pack(data: Path, out: Path, quality: int | None = None) -> None:
    """Pack the folder `data`; with a WebP `quality` of 1 to 100 the images become smaller and lose a little."""
    pool, used, held = load_pool(data)
    with atomic_write(out) as stream, zipfile.ZipFile(stream, "w") as file:
        index: dict[str, Any] = {"used": used, "held": held, "quality": quality, "samples": []}
        for key, samples in pool.items():
            for sample in samples:
                number = len(index["samples"])
                grey = bool((sample.image == sample.image[..., :1]).all())
                index["samples"].append({"set": key, "name": sample.name, "diameter": sample.diameter, "grey": grey})
                file.writestr(f"{number}.webp", _webp(sample.image, quality))
                file.writestr(f"{number}.png", _png(sample.labels))
        file.writestr("index.json", json.dumps(index))


def read_pack(path: Path) -> tuple[dict[str, list[Sample]], list[str], list[str]]:
    """Read what `write_pack` wrote; the result has the form of `cellseg1.training.pretrain.pool.load_pool`."""
    pool: dict[str, list[Sample]] = {}
    with zipfile.ZipFile(path) as file:
        index = json.loads(file.read("index.json"))
        for number, entry in enumerate(index["samples"]):
            image = _array(file.read(f"{number}.webp"))
            if entry["grey"]:
                # A lossy file may bring a little colour.
                image = np.repeat(image[..., 1:2], 3, axis=2)
            labels = _array(file.read(f"{number}.png")).astype(np.int32)
            pool.setdefault(entry["set"], []).append(Sample(entry["name"], image, labels, entry["diameter"]))
    return pool, index["used"], index["held"]


def read_data(path: Path) -> tuple[dict[str, list[Sample]], list[str], list[str]]:
    """Read the training data: a folder of sets, or the file into which they were packed."""
    return read_pack(path) if path.is_file() else load_pool(path)


def _webp(image: NDArray[np.uint8], quality: int | None) -> bytes:
    stream = io.BytesIO()
    how: dict[str, Any] = {"lossless": True, "quality": 60} if quality is None else {"quality": quality}
    Image.fromarray(image).save(stream, "WEBP", method=4, **how)
    return stream.getvalue()


def _png(labels: NDArray[np.int32]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(labels.astype(np.uint16)).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _array(content: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture)


def main() -> int:
    """Parse the arguments and pack."""
    parser = argparse.ArgumentParser(prog="python -m cellseg1.training.pretrain.pack", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of sets, each with images/ and masks/")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--quality", type=int, help="1 to 100: lossy images; left out, nothing is lost")
    options = parser.parse_args()
    write_pack(options.data, options.out, options.quality)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
