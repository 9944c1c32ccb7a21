"""Names of files made from an image."""

from __future__ import annotations

import re
from pathlib import Path

from cellseg1.masks import plain_stem

_UNUSABLE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)$", re.IGNORECASE)


def file_stem(image_name: str, z: int = 0, t: int = 0, *, several: bool = False) -> str:
    """Return the name of an image's results: without suffix, usable on every system; planes are numbered."""
    stem = plain_stem(Path(_UNUSABLE.sub("_", image_name)))
    stem = stem.strip().rstrip(".") or "image"
    if _RESERVED.match(stem):
        stem = f"{stem}_"
    return f"{stem}_t{t:03d}_z{z:03d}" if several else stem
