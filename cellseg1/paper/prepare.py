"""Conversion of the publishers' archives to folders ``NAME/{train,test}/{images,masks}``.

A finished data set has a record with the hash of every file: a second call skips it, and a damaged one is made again.
Each is made under another name and moved into place when it is complete.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cellseg1.errors import OutputError, StoppedError
from cellseg1.files import (
    check_room,
    check_writable,
    describe_os_error,
    file_sha256,
    flush_folder,
    is_file,
    is_folder,
    is_taken,
    write_bytes,
)
from cellseg1.paper.archive import Archive, ArchiveError, not_written, opened, writing
from cellseg1.paper.conversion import plan, write_labels, write_pair
from cellseg1.paper.data_sets import ARCHIVES, SPLITS, DataSet, Split, chosen_sets, images_in, is_of_a_system
from cellseg1.paper.locked import locked
from cellseg1.paper.tissuenet import LEAST_TRAINING_IMAGES, SplitFile, opened_split
from cellseg1.text import json_text, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cellseg1.files import PathLike

#: The record of a finished data set, in its folder.
RECORD: Final = "prepared.json"
_SCHEMA: Final = 1
_KINDS: Final = ("images", "masks")
#: Larger than every file of TissueNet.
_MOST_ARRAY_BYTES: Final = 32 * 2**30


@dataclass(frozen=True, slots=True)
class Missing:
    """A missing archive: its name, its source, and the data sets that need it."""

    archive: str
    where: str
    sets: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What to do."""
        return f"{self.archive} is missing ({', '.join(self.sets)}); get it from {self.where}."


@dataclass(slots=True)
class Prepared:
    """The result of `prepare`.

    Attributes
    ----------
    made, there
        Short names of the data sets made by this call, and of those that were complete before.
    missing
        Missing archives; their data sets were left out.
    notes
        Sentences that the user should see.
    """

    made: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prepare(
    archives: PathLike,
    out: PathLike,
    sets: Sequence[str] = (),
    *,
    progress: Callable[[str, int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Prepared:
    """Make data sets of the published experiments from the publishers' archives.

    Parameters
    ----------
    archives
        Folder of the archives, under the publishers' names (`cellseg1.paper.data_sets.ARCHIVES`); only read.
    out
        Output folder, with a folder per data set.
    sets
        Short names or folder names; none: all 20.
    progress
        Called with a data set, the number of finished images, and the number of all.
    stop
        Called between images; True ends with `StoppedError`, and complete data sets stay.

    Raises
    ------
    ArchiveError
        When an archive is damaged, malicious or a different one.
    OutputError
        When nothing can be written, or a folder of that name was not made by this program.

    Examples
    --------
    >>> prepare("images", "data", ["DSB"]).missing[0].archive
    'dsb2018.zip'
    """
    source, target = Path(archives), Path(out)
    if not is_folder(source):
        raise ArchiveError(f"There is no folder {source}; give the folder with the publishers' archives.")
    wanted = chosen_sets(sets)
    result = Prepared()
    check_writable(target)
    work = _Work(source, progress or (lambda _name, _done, _count: None), stop or (lambda: False), result)
    with locked(target / ".prepare.lock"):
        _tidy(target)
        needed = [one for one in wanted if not _is_done(target / one.name, one, result)]
        result.missing = _missing(source, needed)
        lacking = {name for missing in result.missing for name in missing.sets}
        needed = [one for one in needed if one.short not in lacking]
        for one in needed:
            if one.source != "tissuenet":
                work.zipped(one, target)
        tissues = [one for one in needed if one.source == "tissuenet"]
        if tissues:
            work.tissues(tissues, target)
    return result


def _missing(source: Path, needed: Sequence[DataSet]) -> list[Missing]:
    users: dict[str, list[str]] = defaultdict(list)
    for one in needed:
        for archive in one.archives:
            if not is_file(source / archive):
                users[archive].append(one.short)
    return [Missing(name, ARCHIVES[name], tuple(sets)) for name, sets in users.items()]


# ---- making


@dataclass(slots=True)
class _Work:
    source: Path
    progress: Callable[[str, int, int], None]
    stop: Callable[[], bool]
    result: Prepared

    def _go_on(self, name: str, done: int, count: int) -> None:
        if self.stop():
            raise StoppedError(f"Stopped while making {name}; the data sets that were complete are kept.")
        self.progress(name, done, count)

    def zipped(self, wanted: DataSet, target: Path) -> None:
        """Make one data set whose archives hold files."""
        with contextlib.ExitStack() as stack:
            archives: dict[str, Archive] = {
                name: stack.enter_context(opened(self.source / name)) for name in wanted.archives
            }
            plans = {split: plan(wanted, split, archives) for split in SPLITS}
            check_room(target, sum(one.needed for one in plans.values()), wanted.name)
            staging = stack.enter_context(_staging(target, wanted))
            count, done = sum(len(one.pairs) for one in plans.values()), 0
            for split, one in plans.items():
                for pair in one.pairs:
                    self._go_on(wanted.short, done, count)
                    write_pair(pair, staging / split)
                    done += 1
            self.result.notes.extend(dict.fromkeys(note for one in plans.values() for note in one.notes))
            self._finish([wanted], {wanted.short: staging}, target)

    def tissues(self, wanted: Sequence[DataSet], target: Path) -> None:
        """Make groups of TissueNet, all in one pass, because its compressed arrays have no random access."""
        with contextlib.ExitStack() as stack:
            archive = stack.enter_context(opened(self.source / wanted[0].archives[0]))
            folders = {one.short: stack.enter_context(_staging(target, one)) for one in wanted}
            shorts = {_key(one): one.short for one in wanted}
            scratch = stack.enter_context(_scratch(target))
            for split in SPLITS:
                with _arrays(archive, split, scratch) as arrays:
                    self._split(arrays, split, shorts, folders)
            self._finish(wanted, folders, target)

    def _split(self, arrays: SplitFile, split: Split, shorts: Mapping[str, str], folders: Mapping[str, Path]) -> None:
        from PIL import Image

        for key, short in shorts.items():
            count = arrays.groups.count(key)
            least = LEAST_TRAINING_IMAGES if split == "train" else 1
            if count < least:
                raise ArchiveError(
                    f"tissuenet_v1.1.zip has {count} {split} images of {short} where at least {least} are expected; "
                    "download it again."
                )
        for key, row in arrays.rows(set(shorts)):
            self._go_on(shorts[key], row.number, len(arrays.groups))
            folder, name = folders[shorts[key]] / split, f"{row.number:05d}.png"
            with writing(folder / "images" / name) as stream, Image.fromarray(row.picture) as picture:
                try:
                    picture.save(stream, format="PNG")
                except OSError as error:
                    raise not_written(folder / "images" / name, error) from error
            write_labels(folder, name, row.nuclei)

    def _finish(self, wanted: Sequence[DataSet], folders: Mapping[str, Path], target: Path) -> None:
        hashes = {name: _file_facts(self.source / name) for name in wanted[0].archives}
        for one in wanted:
            counts = _write_record(folders[one.short], one, hashes)
            _move_into_place(folders[one.short], target / one.name)
            self.result.made.append(one.short)
            if one.published not in (None, counts):
                self.result.notes.append(
                    f"{one.short} has {counts[0]} training and {counts[1]} test images; the published experiments had "
                    f"{one.published[0]} and {one.published[1]}."
                )


def _key(wanted: DataSet) -> str:
    return wanted.name.removeprefix("tissuenet_").removesuffix("_nuclei").casefold()


@contextlib.contextmanager
def _arrays(archive: Archive, split: Split, scratch: Path) -> Iterator[SplitFile]:
    """Copy the arrays of a split, which are an archive themselves, out of the archive and open them."""
    name = f"tissuenet_v1.1_{split}.npz"
    found = [info for member, info in archive.members.items() if member.rsplit("/", 1)[-1] == name]
    if len(found) != 1:
        raise ArchiveError(f"{archive.path} has no file {name}, so it is not TissueNet 1.1; download it again.")
    check_room(scratch, 2 * found[0].file_size, name)
    path = scratch / name
    archive.extract(found[0], path, _MOST_ARRAY_BYTES)
    with opened_split(path, test=split == "test") as arrays:
        yield arrays
    path.unlink()


# ---- unfinished folders


@contextlib.contextmanager
def _staging(target: Path, wanted: DataSet) -> Iterator[Path]:
    with _scratch(target, wanted.name) as folder:
        for split in SPLITS:
            for kind in _KINDS:
                (folder / split / kind).mkdir(parents=True)
        yield folder


@contextlib.contextmanager
def _scratch(target: Path, name: str = "arrays") -> Iterator[Path]:
    folder = target / f".{name}.part"
    try:
        try:
            folder.mkdir()
        except OSError as error:
            raise not_written(folder, error) from error
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tidy(target: Path) -> None:
    """Remove the leftovers of a killed call; the lock keeps other writers out."""
    names = {f".{name}.part" for name in ("arrays", *(one.name for one in chosen_sets()))}
    for name in (*names, *(f"{one}.old" for one in names)):
        shutil.rmtree(target / name, ignore_errors=True)


def _move_into_place(staging: Path, final: Path) -> None:
    """Replace an incomplete folder of this program by the finished one."""
    old = staging.with_name(f"{staging.name}.old")
    try:
        if is_taken(final):
            final.rename(old)
        staging.rename(final)
    except OSError as error:
        raise not_written(final, error) from error
    flush_folder(final.parent)
    shutil.rmtree(old, ignore_errors=True)


# ---- the record


def _file_facts(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": file_sha256(path)}


def _files(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for split in SPLITS
        for kind in _KINDS
        for path in images_in(folder / split / kind)
    }


def _write_record(folder: Path, wanted: DataSet, archives: Mapping[str, Any]) -> tuple[int, int]:
    files = {name: _file_facts(path) for name, path in _files(folder).items()}
    train, test = (sum(name.startswith(f"{split}/images/") for name in files) for split in SPLITS)
    record = {
        "schema": _SCHEMA,
        "data_set": wanted.name,
        "resize": wanted.resize,
        "images": {"train": train, "test": test},
        "archives": dict(archives),
        "files": files,
    }
    write_bytes(folder / RECORD, json_text(record, indent=1).encode())
    return train, test


def _is_done(folder: Path, wanted: DataSet, result: Prepared) -> bool:
    """Tell whether a data set is complete and unchanged; a foreign folder of its name is refused."""
    if not is_taken(folder):
        return False
    if not is_folder(folder) or folder.is_symlink():
        raise OutputError(f"{folder} is in the way: it is not a folder. Choose another folder for the data sets.")
    recorded = _recorded(folder, wanted)
    foreign = _foreign(folder, recorded)
    if foreign is not None:
        raise OutputError(
            f"{folder} holds {foreign}, which this program did not put there; move it away, or choose another folder "
            "for the data sets."
        )
    if recorded is not None and _unchanged(folder, recorded):
        result.there.append(wanted.short)
        return True
    if any(folder.iterdir()):
        result.notes.append(f"{wanted.short} was damaged or incomplete and was not used as it is.")
    return False


def _recorded(folder: Path, wanted: DataSet) -> dict[str, dict[str, Any]] | None:
    """Return the files of a record; None without a usable record."""
    try:
        record = parse_json((folder / RECORD).read_bytes())
        files = record["files"]
        if record["schema"] != _SCHEMA or record["data_set"] != wanted.name or not files:
            return None
        return {str(name): {"size": int(one["size"]), "sha256": str(one["sha256"])} for name, one in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _foreign(folder: Path, recorded: Mapping[str, Any] | None) -> str | None:
    """Return the name of an entry in a folder that is not part of a data set of this program."""
    layout = {RECORD, *SPLITS, *(f"{split}/{kind}" for split in SPLITS for kind in _KINDS)}
    marked = is_taken(folder / RECORD)
    try:
        for place, folders, files in os.walk(folder):
            for name in (*folders, *files):
                found = Path(place, name).relative_to(folder).as_posix()
                of_ours = found in recorded if recorded is not None else marked and found.rpartition("/")[0] in layout
                if found not in layout and not of_ours and not is_of_a_system(name):
                    return found
    except OSError as error:
        raise OutputError(f"Cannot use the folder {folder}: {describe_os_error(error)}.") from error
    return None


def _unchanged(folder: Path, recorded: Mapping[str, dict[str, Any]]) -> bool:
    files = _files(folder)
    try:
        return files.keys() == recorded.keys() and all(
            path.stat().st_size == recorded[name]["size"] and file_sha256(path) == recorded[name]["sha256"]
            for name, path in files.items()
        )
    except OSError:
        return False
