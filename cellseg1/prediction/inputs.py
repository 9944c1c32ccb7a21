"""Input files of a prediction, and names of its results."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from cellseg1.errors import ImageError
from cellseg1.files import PathLike, as_paths
from cellseg1.masks import list_folder, name_key, plain_stem


def collect_inputs(inputs: PathLike | Sequence[PathLike], say: Callable[[str], None] | None = None) -> list[Path]:
    """Expand folders, and refuse unusable inputs before the prediction starts.

    Masks beside their images, and files that are no readable images, are left out and reported to `say`.

    Raises
    ------
    ImageError
        When a file does not exist, there are no images, or two images would have the same result file.
    """
    tell = say or (lambda _sentence: None)
    paths: list[Path] = []
    for entry in as_paths(inputs):
        if entry.is_dir():
            listing = list_folder(entry)
            if not listing.images:
                raise ImageError(
                    " ".join([f"There are no images in the folder {entry}; choose another folder.", *listing.report()])
                )
            for sentence in listing.report():
                tell(f"{entry}: {sentence}")
            if listing.masks:
                names = ", ".join(path.name for path in listing.masks[:5])
                more = f" and {len(listing.masks) - 5} more" if len(listing.masks) > 5 else ""
                tell(f"{entry}: {names}{more} are masks of images beside them and are not segmented.")
            paths.extend(listing.images)
        elif entry.exists() or entry.is_symlink():
            paths.append(entry)
        else:
            raise ImageError(f"There is no file {entry}; check its name.")
    if not paths:
        raise ImageError("There is no image to segment; give image files or a folder.")
    seen: dict[str, Path] = {}
    for path in paths:
        # Windows and macOS ignore case and the encoding of accents in file names.
        other = seen.setdefault(name_key(path), path)
        if other is not path:
            raise ImageError(
                f"{other} and {path} would both be saved as {result_name(path)}; "
                "rename one, or predict them separately."
            )
    return paths


def result_name(path: Path) -> str:
    """Return the stem of an image's results: the file name without suffixes, see `cellseg1.masks.plain_stem`."""
    return plain_stem(path)


#: Most bytes of a file name on common file systems, less the longest suffix of a result.
_LONGEST_NAME = 255 - len(".tiff")


def fitting_name(name: str, end: str = "") -> str:
    """Return `name`, or a shorter unique name when it is too long for a file.

    Parameters
    ----------
    end
        The end of the name that must stay.
    """
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    mark = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}{end}"
    short = name.removesuffix(end)
    while len(os.fsencode(short + mark)) > _LONGEST_NAME:
        short = short[:-1]
    return short + mark
