"""Read many damaged files in a process of its own: ``python mutate_child.py FOLDER COUNT SEED``.

Prints JSON: what was read, refused and raised, the slowest file, and the peak of memory.  A file that takes longer than
the limit ends the process with the place where it hung.
"""

from __future__ import annotations

import faulthandler
import gzip
import io
import json
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import tifffile
from PIL import Image as PilImage

from cellseg1.errors import ImageError, MaskError
from cellseg1.images import read_image
from cellseg1.masks import open_mask

_SECONDS = 30
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _bytes_of(write: Callable[[io.BytesIO], Any]) -> bytes:
    packed = io.BytesIO()
    write(packed)
    return packed.getvalue()


def originals() -> dict[str, bytes]:
    """Return one sound file of each format, small, of a picture and of labels."""
    rng = np.random.default_rng(2)
    grey = rng.integers(0, 256, (60, 91)).astype(np.uint8)
    rgb16 = rng.integers(0, 65536, (30, 41, 3)).astype(np.uint16)
    labels = np.kron(np.arange(1, 36).reshape(5, 7), np.pad(np.ones((8, 9), int), 2)).astype(np.uint16)
    stack = rng.integers(0, 4000, (2, 3, 20, 31)).astype(np.uint16)
    palette = PilImage.fromarray(labels.astype(np.uint8))
    palette.putpalette(rng.integers(0, 256, 768).astype(np.uint8).tobytes())
    make: Any = nibabel.Nifti1Image
    nifti = make(np.asfortranarray(labels.T), np.eye(4)).to_bytes()
    import imagecodecs

    return {
        "png": _bytes_of(lambda out: PilImage.fromarray(grey).save(out, "PNG")),
        "png16": bytes(imagecodecs.png_encode(rgb16)),
        "png-palette": _bytes_of(lambda out: palette.save(out, "PNG", transparency=3)),
        "jpeg": _bytes_of(lambda out: PilImage.fromarray(grey).convert("RGB").save(out, "JPEG")),
        "bmp": _bytes_of(lambda out: palette.save(out, "BMP")),
        "tiff": _bytes_of(lambda out: tifffile.imwrite(out, labels, compression="lzw", rowsperstrip=8, metadata=None)),
        "tiff-tiled": _bytes_of(lambda out: tifffile.imwrite(out, grey, compression="zlib", tile=(16, 32))),
        "imagej": _bytes_of(
            lambda out: tifffile.imwrite(out, stack, imagej=True, metadata={"axes": "ZCYX", "unit": "um"})
        ),
        "ome": _bytes_of(lambda out: tifffile.imwrite(out, stack, ome=True, metadata={"axes": "TCYX"})),
        "npy": _bytes_of(lambda out: np.save(out, labels)),
        "nifti": nifti,
        "nifti-gz": gzip.compress(nifti, mtime=0),
    }


def damage(kind: str, data: bytes, rng: np.random.Generator) -> bytes:
    """Change a file in one or two places; where checksums would only hide what lies behind them, mend these."""
    if kind == "nifti-gz" and rng.random() < 0.5:
        return gzip.compress(damage("nifti", gzip.decompress(data), rng), mtime=0)
    changed = bytearray(data)
    for _ in range(rng.integers(1, 3)):
        # Headers are short and say more than pixels do.
        at = int(rng.integers(0, min(len(changed), 400) if rng.random() < 0.6 else len(changed)))
        match int(rng.choice((0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6))):
            case 0:
                changed[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                changed[at] = int(rng.integers(0, 256))
            case 2:
                number = struct.pack(rng.choice(["<I", ">I"]), int(rng.choice(_NUMBERS)))
                changed[at : at + 4] = number[: len(changed) - at]
            case 3 if len(changed) > 40:
                del changed[at : at + int(rng.integers(1, 20))]
            case 4:
                changed[at:at] = rng.bytes(int(rng.integers(1, 20)))
            case 5 if rng.random() < 0.3:
                del changed[max(at, 20) :]
            case _:
                changed[at : at + 8] = bytes(min(8, len(changed) - at))
    if kind.startswith("png") and rng.random() < 0.7:
        return _with_checksums(bytes(changed))
    return bytes(changed)


def _with_checksums(png: bytes) -> bytes:
    out, at = png[:8], 8
    while at + 12 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        block = png[at + 4 : at + 8 + length]
        if at + 12 + length > len(png):
            break
        out += struct.pack(">I", length) + block + struct.pack(">I", zlib.crc32(block))
        at += 12 + length
    return out + png[at:]


def _try(path: Path) -> tuple[str, str]:
    """Return what came of reading a file as an image and as a mask."""
    results = []
    for read, allowed in ((read_image, ImageError), (_every_mask, MaskError)):
        try:
            read(path)
            results.append("read")
        except allowed as error:
            text = str(error)
            sound = text.startswith(str(path)) or "image" in text
            results.append(
                "refused" if sound and text.endswith(".") and "mistake in this program" not in text else text
            )
        except BaseException as error:  # noqa: BLE001 - this is what is looked for
            results.append(f"{type(error).__name__}: {error}")
    return results[0], results[1]


def _every_mask(path: Path) -> None:
    masks = open_mask(path)
    for t in range(min(masks.n_t, 3)):
        for z in range(min(masks.n_z, 3)):
            masks.plane(z, t)


def _peak() -> int:
    """Return the most memory this process has had, in bytes; 0 where that is not known.

    Not ``ru_maxrss``: on Linux a child begins with what its parent had.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def main() -> None:
    """Damage and read `COUNT` files of each format."""
    folder, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    path = folder / "damaged"
    wrong: list[list[str]] = []
    counts: dict[str, dict[str, int]] = {}
    slowest = 0.0
    for kind, data in originals().items():
        path.write_bytes(data)
        assert _try(path)[0] == "read", (kind, _try(path))
        rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
        counts[kind] = {"read": 0, "refused": 0}
        for number in range(count):
            path.write_bytes(damage(kind, data, rng))
            faulthandler.dump_traceback_later(_SECONDS, exit=True)
            began = time.perf_counter()
            for result in _try(path):
                if result in counts[kind]:
                    counts[kind][result] += 1
                else:
                    wrong.append([kind, str(number), result])
                    (folder / f"{kind}-{number}").write_bytes(path.read_bytes())
            faulthandler.cancel_dump_traceback_later()
            slowest = max(slowest, time.perf_counter() - began)
    peak = _peak()
    print(json.dumps({"wrong": wrong, "counts": counts, "slowest_s": round(slowest, 2), "peak_bytes": peak}))


if __name__ == "__main__":
    main()
