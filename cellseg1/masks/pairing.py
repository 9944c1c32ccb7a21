"""Finding images and masks in folders, naming results, and matching masks with images by name."""

from __future__ import annotations

import re
import stat
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.errors import ImageError, PairingError
from cellseg1.files import is_file
from cellseg1.images.formats import readable_suffixes
from cellseg1.regular import open_regular
from cellseg1.remarks import Remark
from cellseg1.text import composed

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

_WORDS = "cp_masks|masks|mask|labels|label|seg|images|image|img|gt"
_TAIL = re.compile(rf"[_\-. ](?:{_WORDS})$")
_HEAD = re.compile(rf"^(?:{_WORDS})[_\-. ]")
MASK_TAIL = re.compile(r"[_\-. ](?:cp_masks|masks|mask|labels|label|seg|gt)$")
"""What the name of a mask ends in, in small letters and without suffix."""
_BESIDE_TAIL = re.compile(r"_(?:flows|flows_cp_masks|outlines_cp_masks|cp_outlines|cp_flows|dp|cellprob)$")
"""What Cellpose writes beside an image that is neither an image nor a mask."""

_UNREAD = {
    ".czi": "Zeiss CZI", ".lif": "Leica LIF", ".nd2": "Nikon ND2", ".oib": "Olympus OIB", ".oif": "Olympus OIF",
    ".vsi": "Olympus VSI", ".ims": "Imaris", ".h5": "HDF5", ".hdf5": "HDF5", ".zarr": "Zarr", ".n5": "N5",
    ".webp": "WebP", ".gif": "GIF", ".jp2": "JPEG 2000", ".j2k": "JPEG 2000", ".jxl": "JPEG XL", ".avif": "AVIF",
    ".heic": "HEIC", ".heif": "HEIF", ".dcm": "DICOM", ".mrc": "MRC", ".dm3": "Gatan DM3", ".dm4": "Gatan DM4",
    ".ndpi": "Hamamatsu NDPI", ".scn": "Leica SCN", ".mrxs": "MIRAX", ".zvi": "Zeiss ZVI", ".ics": "ICS", ".ids": "ICS",
    ".nrrd": "NRRD", ".mha": "MetaImage", ".mhd": "MetaImage", ".img": "NIfTI/Analyze pair", ".npz": "NPZ",
    ".mat": "MATLAB", ".psd": "Photoshop", ".xcf": "GIMP", ".dng": "camera raw", ".nef": "camera raw",
    ".cr2": "camera raw", ".exr": "OpenEXR", ".avi": "video", ".mp4": "video", ".mov": "video",
}  # fmt: skip
"""Kinds of image files that people have and that are not read yet."""


def plain_stem(path: Path) -> str:
    """Return the stem of an image's results: its name without suffixes of readers (both of ``.ome.tif``).

    Other suffixes stay: ``scan.001`` and ``scan.002`` are two images.
    """
    name = path.name
    suffix = _image_suffix(name)
    stem = name[: -len(suffix)] if suffix else name
    if stem.lower().endswith(".ome") and len(stem) > len(".ome"):
        stem = stem[: -len(".ome")]
    return stem


def _image_suffix(name: str) -> str:
    """Return the longest suffix of a reader at the end of `name`; "" when there is none or no stem is left."""
    lower = name.lower()
    found = [one for one in (*readable_suffixes(), ".zarr") if lower.endswith(one) and len(name) > len(one)]
    return max(found, key=len, default="")


def name_key(path: Path) -> str:
    """Return the key that files of one image share: the plain stem with case folded and accents normalised."""
    return _folded(plain_stem(path))


def _folded(text: str) -> str:
    return composed(composed(text).casefold())


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that puts ``cell2`` before ``cell10`` and ignores case."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part], path.name


# ---- folders


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a folder, in natural order.

    Attributes
    ----------
    images
        Images, without the masks beside them.
    masks
        Files named as the mask of an image beside them, such as ``a_cp_masks.png`` beside ``a.png``.
    left_out
        Files that look like images but are not used, with the reason.
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...] = ()
    left_out: tuple[tuple[Path, str], ...] = ()

    def report(self) -> list[str]:
        """Return sentences that name what was left out; empty when nothing was."""
        by_reason: dict[str, list[Path]] = defaultdict(list)
        for path, reason in self.left_out:
            by_reason[reason].append(path)
        return [f"Left out: {_names(paths)} ({reason})." for reason, paths in by_reason.items()]


def list_folder(folder: str | os.PathLike[str]) -> Listing:
    """List the images and masks of a folder, without hidden files and sub-folders.

    Raises
    ------
    ImageError
        When the folder does not exist or cannot be listed.
    """
    folder = Path(folder)
    try:
        entries = sorted(folder.iterdir(), key=natural_key)
    except NotADirectoryError as error:
        raise ImageError(f"{folder} is a file. Choose the folder that holds the images.") from error
    except OSError as error:
        raise ImageError(f"The folder {folder} cannot be read: {error.strerror}. Check the name.") from error
    left_out = [(path, reason) for path in entries if (reason := why_left_out(path))]
    reasons = {path for path, _ in left_out}
    files = [path for path in entries if path not in reasons and is_called_image(path.name) and is_file(path)]
    beside = by_products(files)
    left_out += [(path, beside[path]) for path in files if path in beside]
    files = [path for path in files if path not in beside]
    masks = _masks_beside(files)
    return Listing(tuple(path for path in files if path not in masks), tuple(masks), tuple(left_out))


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """List the image files of a folder in natural order; see `list_folder`."""
    return list(list_folder(folder).images)


def list_masks(folder: str | os.PathLike[str]) -> list[Path]:
    """List the mask files of a folder: those named as masks of images beside them, else all."""
    found = list_folder(folder)
    return list(found.masks or found.images)


def is_called_image(name: str) -> bool:
    """Tell whether a file has a suffix of an image format; hidden files do not count."""
    return not name.startswith(".") and name.lower().endswith(readable_suffixes())


def why_left_out(path: Path) -> str:
    """Return why an entry that looks like an image cannot be used; "" for images and everything else."""
    if path.name.startswith("."):
        return ""
    kind = _UNREAD.get(path.suffix.lower())
    if kind is not None:
        return f"{kind} files are not read yet; save them as OME-TIFF"
    if not is_called_image(path.name):
        return ""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "a link to a file that is not there" if path.is_symlink() else ""
    except OSError as error:
        return f"it cannot be opened: {error.strerror}"
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "not a regular file"


def by_products(files: Iterable[Path]) -> dict[Path, str]:
    """Find files of other programs beside an image that are neither image nor mask, with the reason."""
    found: dict[Path, str] = {}
    files = list(files)
    keys = {(path.parent, _without_mask_words(name_key(path))) for path in files}
    for path in files:
        if _folded(path.name).endswith("_seg.npy") and _holds_objects(path):
            found[path] = "a segmentation of Cellpose, which is not read; save its masks as PNG or TIFF there"
            continue
        stem = _BESIDE_TAIL.sub("", name_key(path))
        if stem != name_key(path) and (path.parent, stem) in keys:
            found[path] = "a by-product of Cellpose, no image and no mask"
    return found


def _holds_objects(path: Path) -> bool:
    """Whether an NPY file holds Python objects, as Cellpose's do, and not a plain array."""
    try:
        with open_regular(path) as stream:
            return b"'descr': '|O'" in stream.read(256)
    except OSError:
        return False


def _masks_beside(files: Sequence[Path]) -> list[Path]:
    """Return the files that are named as the mask of another one."""
    keys = {name_key(path) for path in files}
    masks = []
    for path in files:
        stem = _without_mask_words(name_key(path))
        if stem != name_key(path) and stem in keys:
            masks.append(path)
    return masks


def _without_mask_words(key: str) -> str:
    """Remove ``_cp_masks``, ``.labels`` ... from a name, and an ``.ome`` before them."""
    return MASK_TAIL.sub("", key).removesuffix(".ome")


# ---- matching


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

    def report(self) -> list[Remark]:
        """Return sentences that say what was not matched; empty when all is.

        Their codes: ``ambiguous_names``, ``images_without_mask``, ``masks_without_image``.
        """
        sentences = []
        for images, masks in self.ambiguous:
            text = (
                "These files have the same name, so it is not clear which mask is meant: {names}. "
                "Rename or remove some."
            )
            sentences.append(Remark("ambiguous_names", text, names=_names((*images, *masks))))
        if self.images_without_mask:
            text, names = "No mask was found for {names}.", _names(self.images_without_mask)
            sentences.append(Remark("images_without_mask", text, names=names))
        if self.masks_without_image:
            text, names = "No image was found for the mask {names}.", _names(self.masks_without_image)
            sentences.append(Remark("masks_without_image", text, names=names))
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
    left one to one.  Case does not matter, nor how accents are stored.  Hidden files are ignored.
    """
    left_images = sorted({p for p in images if not p.name.startswith(".")}, key=natural_key)
    left_masks = sorted({p for p in masks if not p.name.startswith(".")}, key=natural_key)
    pairs: list[tuple[Path, Path]] = []
    ambiguous: list[tuple[tuple[Path, ...], tuple[Path, ...]]] = []
    for key in (name_key, _bare_key):
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


def _bare_key(path: Path) -> str:
    """Take the words off, as long as something is left."""
    name = name_key(path)
    while True:
        shorter = _HEAD.sub("", _TAIL.sub("", name)).removesuffix(".ome")
        if shorter in ("", name):
            return name
        name = shorter


def _number_key(path: Path) -> str | None:
    numbers = re.findall(r"\d+", plain_stem(path))
    return str(int(numbers[-1])) if numbers else None
