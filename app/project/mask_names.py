"""Which files are meant when the user drops files and folders, and which of them are masks."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.files import is_folder, is_there
from cellseg1.masks import name_key, natural_key, pair_by_name
from cellseg1.masks.pairing import MASK_TAIL, by_products, is_called_image, why_left_out

from ..base.names import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

#: "_t002_z011", "-z5", "_z005_t1": at least one of both, set off from the name.
_PLANE_TAIL = re.compile(
    r"(?P<stem>.+?)(?=[_\-. ][tz]\d)(?:[_\-. ]t(?P<t>\d+))?(?:[_\-. ]?z(?P<z>\d+))?(?:[_\-. ]?t(?P<t2>\d+))?"
    r"(?:[_\-. ]?z(?P<z2>\d+))?"
)
_MASK_FOLDERS = frozenset(("mask", "masks", "label", "labels", "gt", "seg", "annotations", "ground_truth"))


def expand(paths: Iterable[Path], skipped: list[tuple[Path, str]]) -> list[Path]:
    """Return the image files among files and folders, each once; of a folder all below it, in natural order."""
    found: dict[Path, None] = {}
    for path in paths:
        path = Path(os.path.abspath(path))  # noqa: PTH100, PLW2901 - links keep their own name
        if is_folder(path):
            inside, left_out = _inside(path)
            skipped += left_out
            if not inside and not left_out:
                skipped.append((path, "There are no images in this folder."))
            found.update(dict.fromkeys(inside))
        elif reason := why_left_out(path):
            skipped.append((path, _as_sentence(reason)))
        elif not is_there(path):
            skipped.append((path, "There is no such file."))
        elif not is_called_image(path.name):
            skipped.append((path, "It is not an image of a known kind."))
        else:
            found[path] = None
    return list(found)


def _inside(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Return the files with names of images in a folder and its subfolders, and look-alikes that cannot be used."""
    inside: list[Path] = []
    left_out: list[tuple[Path, str]] = []
    for place, folders, names in os.walk(folder):
        entries = [Path(place, name) for name in [*folders, *names]]
        reasons = {path: reason for path in entries if (reason := why_left_out(path))}
        # A folder that is one image (Zarr) is not searched.
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not name.endswith(SUFFIX) and Path(place, name) not in reasons
        ]
        here = [path for path in (Path(place, name) for name in names) if path not in reasons]
        here = [path for path in here if is_called_image(path.name)]
        reasons |= by_products(here)
        left_out += [(path, _as_sentence(reason)) for path, reason in reasons.items()]
        inside += [path for path in here if path not in reasons]
    inside.sort(key=lambda file: (natural_key(file.parent), natural_key(file)))
    return inside, sorted(left_out, key=lambda entry: natural_key(entry[0]))


def _as_sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:]}."


@dataclass(frozen=True, slots=True)
class PlaneMask:
    """A mask file that names a plane of its stack: ``cells_t002_z011.tif`` belongs to ``cells.tif``.

    `z` and `t` are the numbers in the name, None where it has none.
    """

    path: Path
    z: int | None
    t: int | None


def masks_of_planes(images: Iterable[Path], masks: Iterable[Path]) -> dict[Path, list[PlaneMask]]:
    """Find masks that belong to single planes of images, by name: what this program and others write for stacks."""
    masks = list(masks)
    by_stem = {name_key(path): path for path in images}
    found: dict[Path, list[PlaneMask]] = {}
    for mask in masks:
        stem = MASK_TAIL.sub("", name_key(mask))
        match = None if stem in by_stem else _PLANE_TAIL.fullmatch(stem)
        image = None if match is None else by_stem.get(MASK_TAIL.sub("", match["stem"]))
        if match is None or image is None:
            continue
        numbers = {name: int(match[name]) for name in ("t", "z", "t2", "z2") if match[name] is not None}
        t, z = numbers.get("t", numbers.get("t2")), numbers.get("z", numbers.get("z2"))
        found.setdefault(image, []).append(PlaneMask(mask, z, t))
    return found


def counted_from(numbers: Iterable[int | None], count: int) -> int:
    """Return whether plane numbers in names of files begin at 0 or at 1."""
    known = [number for number in numbers if number is not None]
    return 1 if known and min(known) >= 1 and max(known) >= count else 0


def split_masks(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Tell masks from images by their names or folders; what has no image beside it is an image itself."""
    called = [path for path in files if _is_called_mask(path)]
    others = [path for path in files if not _is_called_mask(path)]
    if not called or not others:
        return files, []
    pairing = pair_by_name(others, called)
    masks = {mask for _image, mask in pairing.pairs} | {mask for _, group in pairing.ambiguous for mask in group}
    masks |= {one.path for group in masks_of_planes(others, called).values() for one in group}
    # The words of a name may mean something else ("gt" of a gene); only a partner makes it a mask.
    return [path for path in files if path not in masks], [path for path in called if path in masks]


def _is_called_mask(path: Path) -> bool:
    return bool(MASK_TAIL.search(name_key(path))) or path.parent.name.casefold() in _MASK_FOLDERS
