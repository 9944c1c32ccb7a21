"""Measuring the cells of image files with their masks: files in, one table out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellseg1.errors import MaskError, OutputError, PairingError, StoppedError
from cellseg1.files import check_replaceable, check_writable, write_bytes
from cellseg1.images import read_image
from cellseg1.masks import Pieces, list_folder, open_mask, pair_by_name
from cellseg1.masks.planes import planes_of_stacks
from cellseg1.measurement.table import CellTable, measure_cells
from cellseg1.tables import csv_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cellseg1.files import PathLike
    from cellseg1.images import Image
    from cellseg1.masks import Mask

#: What separates the columns of a table, by the suffix of its file.
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredPlane:
    """The cells of one plane (z, t) of an image, `image` being the name of its file."""

    image: str
    z: int
    t: int
    table: CellTable


def measure_files(
    images: PathLike,
    masks: PathLike,
    *,
    pieces: Pieces = "auto",
    say: Callable[[str], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[MeasuredPlane]:
    """Measure the cells of images, whose masks are found by name.

    Parameters
    ----------
    images, masks
        An image or a folder of images, and a mask or a folder of masks.  Label images of single planes
        (``a_t000_z003.png``) belong to the stack ``a.tif``.  The pixel size is that of the image.
    pieces
        Whether separate pieces of one id or colour are separate cells, see `cellseg1.masks.open_mask`.
    say
        Called with every sentence about the files that the user should see.
    stop
        Asked before every image.

    Returns
    -------
    list[MeasuredPlane]
        In natural order of the images; the ids are those in the mask files.

    Raises
    ------
    PairingError
        When there are no images or no masks, none fits another, or several have one name.
    MaskError
        When a mask cannot be used, or has another size than its image.
    ImageError
        When an image cannot be read.
    StoppedError
        When `stop` said so.
    """
    tell = say or (lambda _sentence: None)
    measured: list[MeasuredPlane] = []
    for image, files in _pairs(Path(images), Path(masks), tell):
        if stop is not None and stop():
            raise StoppedError("The measuring was stopped, and no table was written.")
        measured += _measure_image(image, files, pieces, tell)
    return measured


def write_table(path: Path, measured: Sequence[MeasuredPlane]) -> None:
    """Write the cells of all planes as one table, CSV or TSV by the suffix, with the units in the heading.

    Images without a pixel size have empty cells in the columns in micrometres, or there are no such columns when no
    image has one.

    Raises
    ------
    OutputError
        When the suffix is neither, or the file cannot be written; it then is as it was before.
    """
    delimiter = _delimiter(path)
    rows = [list(one.table.rows(one.image, one.z, one.t)) for one in measured]
    # The longest heading has its columns in the order of files.
    heading = list(dict.fromkeys(name for plane in sorted(rows, key=lambda one: -len(one[0])) for name in plane[0]))
    table: list[list[Any]] = [heading]
    for head, *cells in rows:
        for row in cells:
            named = dict(zip(head, row, strict=True))
            table.append([named.get(name, "") for name in heading])
    write_bytes(path, csv_bytes(table, delimiter=delimiter))


def check_table(path: Path) -> None:
    """Refuse a file that no table can be written to (`OutputError`), before anything is measured."""
    _delimiter(path)
    check_replaceable(path)
    check_writable(path.absolute().parent)


def _delimiter(path: Path) -> str:
    found = _DELIMITERS.get(path.suffix.lower())
    if found is None:
        raise OutputError(f"The table {path.name} must end in {' or '.join(_DELIMITERS)}.")
    return found


def _pairs(
    images: Path, masks: Path, tell: Callable[[str], None]
) -> Iterator[tuple[Path, dict[Path, tuple[int, int] | None]]]:
    """Yield every image with its mask files: one for all its planes (None), or one for each plane (z, t)."""
    if images.is_file() and masks.is_file():
        yield images, {masks: None}
        return
    all_images, files = _images(images, tell), _masks(masks, tell)
    stacks = {group.stack: group.planes for group in planes_of_stacks(files, all_images)}
    of_planes = {path for planes in stacks.values() for path in planes}
    pairing = pair_by_name(
        [path for path in all_images if path not in stacks], [path for path in files if path not in of_planes]
    )
    if pairing.ambiguous:
        pairing.require_complete()
    whole = dict(pairing.pairs)
    if not whole and not stacks:
        raise PairingError(f"No mask in {masks} has the name of an image in {images}; choose other folders.")
    single = images.is_file()
    for path in (*pairing.images_without_mask, *(() if single else pairing.masks_without_image)):
        tell(f"{path.name} has no {'mask' if path in all_images else 'image'} and is left out.")
    for path in all_images:
        if path in stacks:
            yield path, dict(stacks[path])
        elif path in whole:
            yield path, {whole[path]: None}


def _images(images: Path, tell: Callable[[str], None]) -> list[Path]:
    if images.is_file():
        return [images]
    if not images.is_dir():
        raise PairingError(f"There is no file or folder {images}; check its name.")
    listing = list_folder(images)
    for sentence in listing.report():
        tell(f"{images}: {sentence}")
    if not listing.images:
        raise PairingError(" ".join([f"There are no images in {images}; check its name.", *listing.report()]))
    return list(listing.images)


def _masks(masks: Path, tell: Callable[[str], None]) -> list[Path]:
    if masks.is_file():
        raise PairingError(f"{masks} is one mask for a folder of images; give a folder of masks.")
    if not masks.is_dir():
        raise PairingError(f"There is no folder {masks}; check its name.")
    listing = list_folder(masks)
    for sentence in listing.report():
        tell(f"{masks}: {sentence}")
    found = list(listing.masks or listing.images)
    if not found:
        raise PairingError(" ".join([f"There are no label images in {masks}; check its name.", *listing.report()]))
    return found


def _measure_image(
    path: Path, files: dict[Path, tuple[int, int] | None], pieces: Pieces, tell: Callable[[str], None]
) -> Iterator[MeasuredPlane]:
    image = read_image(path)
    for file, only in files.items():
        masks = open_mask(file, image=None if only else image, pieces=pieces)
        if only is None and masks.n_planes == 1 and image.n_t * image.n_z > 1:
            raise MaskError(f"{file} has one plane and {path} has {image.n_t * image.n_z}; give a mask for each plane.")
        places = [only] if only else [(z, t) for t in range(masks.n_t) for z in range(masks.n_z)]
        for z, t in places:
            mask = masks.plane() if only else masks.plane(z, t)
            _check_size(path, image, file, mask, (z, t))
            for note in mask.notes:
                tell(f"{file.name}: {note}")
            table = measure_cells(mask.labels, image.info.pixel_size_um)
            # The numbers in the file are those that other programs show.
            yield MeasuredPlane(path.name, z, t, replace(table, ids=mask.original_ids[table.ids - 1]))


def _check_size(path: Path, image: Image, file: Path, mask: Mask, place: tuple[int, int]) -> None:
    height, width = image.plane(*place).shape[:2]
    if mask.labels.shape != (height, width):
        raise MaskError(
            f"{path} has {width} x {height} pixels and {file} {mask.labels.shape[1]} x {mask.labels.shape[0]}; "
            "give the masks of these images."
        )
