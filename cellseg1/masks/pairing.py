"""Finding images in a folder, and the mask that belongs to each, by name."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.errors import ImageError, PairingError
from cellseg1.images.read import IMAGE_SUFFIXES

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

_WORDS = "cp_masks|masks|mask|labels|label|seg|images|image|img|gt"
_TAIL = re.compile(rf"[_\-. ](?:{_WORDS})$")
_HEAD = re.compile(rf"^(?:{_WORDS})[_\-. ]")


def plain_stem(path: Path) -> str:
    """Return the file name without its suffix; ``.nii.gz`` and ``.ome.tif`` go as a whole."""
    name = path.name
    lower = name.lower()
    for suffix in (".nii.gz", ".ome.tif", ".ome.tiff"):
        if lower.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return path.stem


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that puts ``cell2`` before ``cell10`` and ignores case."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part], path.name


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """List the image files of a folder in natural order, without hidden files and sub-folders.

    Raises
    ------
    ImageError
        When the folder does not exist or cannot be listed.
    """
    folder = Path(folder)
    try:
        entries = list(folder.iterdir())
    except NotADirectoryError as error:
        raise ImageError(f"{folder} is a file. Choose the folder that holds the images.") from error
    except OSError as error:
        raise ImageError(f"The folder {folder} cannot be read: {error.strerror}. Check the name.") from error
    return sorted((path for path in entries if _is_image(path) and path.is_file()), key=natural_key)


def _is_image(path: Path) -> bool:
    return not path.name.startswith(".") and path.name.lower().endswith(IMAGE_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which mask belongs to which image.

    Attributes
    ----------
    pairs
        (image, mask), in natural order of the images.
    images_without_mask, masks_without_image
        What is left over.
    ambiguous
        Groups (images, masks) of the same name, of which no pair was made.
    """

    pairs: tuple[tuple[Path, Path], ...]
    images_without_mask: tuple[Path, ...] = ()
    masks_without_image: tuple[Path, ...] = ()
    ambiguous: tuple[tuple[tuple[Path, ...], tuple[Path, ...]], ...] = ()

    def report(self) -> list[str]:
        """Return sentences that say what was not matched; empty when all is."""
        sentences = []
        for images, masks in self.ambiguous:
            sentences.append(
                f"These files have the same name, so it is not clear which mask is meant: {_names((*images, *masks))}. "
                "Rename or remove some."
            )
        if self.images_without_mask:
            sentences.append(f"No mask was found for {_names(self.images_without_mask)}.")
        if self.masks_without_image:
            sentences.append(f"No image was found for the mask {_names(self.masks_without_image)}.")
        return sentences

    def require_complete(self) -> None:
        """Refuse anything but a mask for every image and an image for every mask.

        Raises
        ------
        PairingError
            With all sentences of `report`.
        """
        if not self.pairs and not self.report():
            raise PairingError("There are neither images nor masks to match. Choose other folders.")
        if self.report():
            raise PairingError(" ".join(self.report()) + " A mask must have the name of its image.")


def _names(paths: Sequence[Path], limit: int = 5) -> str:
    shown = ", ".join(path.name for path in paths[:limit])
    return shown if len(paths) <= limit else f"{shown} and {len(paths) - limit} more"


def pair_by_name(images: Sequence[Path], masks: Sequence[Path]) -> Pairing:
    """Match masks to images by their names; never by their order.

    Three rounds, each over what the one before left: the same name without suffix; the same name without words such as
    ``_mask``, ``_cp_masks``, ``img_`` or ``_gt`` at its ends; the same last number, but only if this pairs all that is
    left one to one.  Case does not matter.  Hidden files are ignored.
    """
    left_images = sorted({p for p in images if not p.name.startswith(".")}, key=natural_key)
    left_masks = sorted({p for p in masks if not p.name.startswith(".")}, key=natural_key)
    pairs: list[tuple[Path, Path]] = []
    ambiguous: list[tuple[tuple[Path, ...], tuple[Path, ...]]] = []
    for key in (_exact_key, _bare_key):
        matched, doubtful = _match(left_images, left_masks, key)
        pairs += matched
        ambiguous += doubtful
        used = {p for pair in matched for p in pair} | {p for group in doubtful for part in group for p in part}
        left_images = [p for p in left_images if p not in used]
        left_masks = [p for p in left_masks if p not in used]
    if left_images and len(left_images) == len(left_masks):
        matched, _ = _match(left_images, left_masks, _number_key)
        if len(matched) == len(left_images):
            pairs += matched
            left_images, left_masks = [], []
    pairs.sort(key=lambda pair: natural_key(pair[0]))
    return Pairing(tuple(pairs), tuple(left_images), tuple(left_masks), tuple(ambiguous))


def _match(
    images: Sequence[Path], masks: Sequence[Path], key: Callable[[Path], str | None]
) -> tuple[list[tuple[Path, Path]], list[tuple[tuple[Path, ...], tuple[Path, ...]]]]:
    """Pair files of equal key; groups that are not one to one are doubtful."""
    groups: dict[str, tuple[list[Path], list[Path]]] = defaultdict(lambda: ([], []))
    for side, paths in enumerate((images, masks)):
        for path in paths:
            name = key(path)
            if name is not None:
                groups[name][side].append(path)
    both = [group for group in groups.values() if group[0] and group[1]]
    pairs = [(first[0], second[0]) for first, second in both if len(first) == len(second) == 1]
    doubtful = [(tuple(first), tuple(second)) for first, second in both if len(first) > 1 or len(second) > 1]
    return pairs, doubtful


def _exact_key(path: Path) -> str:
    return plain_stem(path).casefold()


def _bare_key(path: Path) -> str:
    """Take the words off, as long as something is left."""
    name = plain_stem(path).casefold()
    while True:
        shorter = _HEAD.sub("", _TAIL.sub("", name))
        if shorter in ("", name):
            return name
        name = shorter


def _number_key(path: Path) -> str | None:
    numbers = re.findall(r"\d+", plain_stem(path))
    return str(int(numbers[-1])) if numbers else None
