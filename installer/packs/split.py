"""Divides a file that is too large for a release asset (2 GB) into numbered parts, and joins them again.

``NAME`` becomes ``NAME.part01``, ``NAME.part02`` ... and ``NAME.parts``: a text of ``SHA256  SIZE  NAME`` lines, one
per part in order, then one for the whole file.  Without this program: ``cat NAME.part?? > NAME`` on Linux, and
``copy /b NAME.part01+NAME.part02 NAME`` on Windows.  `parts.sh` checks and joins the same in a shell.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: Just below 2 GB, in the strictest meaning of it.
LIMIT = 1_900_000_000
_CHUNK = 1 << 20
_MOST_PARTS = 99


class PartsError(ValueError):
    """Parts are missing, damaged or do not belong together; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One line of a list: what a file measures and is called."""

    sha256: str
    size: int
    name: str

    def line(self) -> str:
        """Return it as it is written."""
        return f"{self.sha256}  {self.size}  {self.name}\n"


@dataclass(frozen=True, slots=True)
class PartsList:
    """The parts in order, and what they make."""

    parts: tuple[Piece, ...]
    whole: Piece


def split_file(path: Path, *, limit: int = LIMIT, remove: bool = False) -> list[Path]:
    """Divide a file that is larger than `limit` bytes.

    Parameters
    ----------
    remove
        Delete the file when all parts are written.

    Returns
    -------
    list
        The parts and, last, their list; only `path` when it is not larger than `limit`.

    Raises
    ------
    PartsError
        When it would be more parts than two digits can number.
    OSError
        When something cannot be read or written; nothing new is left then.
    """
    size = path.stat().st_size
    if size <= limit:
        return [path]
    count = -(-size // limit)
    if count > _MOST_PARTS:
        raise PartsError(f"{path.name} would have {count} parts; {_MOST_PARTS} are possible. Use a larger limit.")
    made: list[Path] = []
    try:
        whole, pieces = hashlib.sha256(), []
        with path.open("rb") as source:
            for number in range(1, count + 1):
                part = path.with_name(f"{path.name}.part{number:02}")
                made.append(part)
                pieces.append(_copy_piece(source, part, limit, whole))
        listing = path.with_name(f"{path.name}.parts")
        made.append(listing)
        lines = [*pieces, Piece(whole.hexdigest(), size, path.name)]
        listing.write_text("".join(one.line() for one in lines), encoding="utf-8", newline="\n")
    except BaseException:
        for one in made:
            with contextlib.suppress(OSError):
                one.unlink()
        raise
    if remove:
        path.unlink()
    return made


def _copy_piece(source: IO[bytes], part: Path, limit: int, whole: hashlib._Hash) -> Piece:
    digest, size = hashlib.sha256(), 0
    with part.open("wb") as out:
        while size < limit and (data := source.read(min(_CHUNK, limit - size))):
            digest.update(data)
            whole.update(data)
            out.write(data)
            size += len(data)
    return Piece(digest.hexdigest(), size, part.name)


def read_parts(listing: Path) -> PartsList:
    """Read a list ``NAME.parts``.

    Raises
    ------
    PartsError
        When it cannot be read or is no such list.
    """
    try:
        rows = [line.split(maxsplit=2) for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
        pieces = [Piece(sha256, int(size), name) for sha256, size, name in rows]
    except OSError as error:
        raise PartsError(f"{listing} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise PartsError(f"{listing} is damaged or no list of parts. Copy or download it again.") from error
    if len(pieces) < 2 or any("/" in one.name or "\\" in one.name for one in pieces):
        raise PartsError(f"{listing} is damaged or no list of parts. Copy or download it again.")
    if sum(one.size for one in pieces[:-1]) != pieces[-1].size:
        raise PartsError(f"{listing} is damaged: its sizes do not fit. Copy or download it again.")
    return PartsList(tuple(pieces[:-1]), pieces[-1])


def check_parts(listing: Path) -> PartsList:
    """Make sure that all parts lie beside their list, whole; sizes are compared before anything long begins.

    Raises
    ------
    PartsError
        With the first part that is missing or damaged.
    """
    content = read_parts(listing)
    for piece in content.parts:
        path = listing.with_name(piece.name)
        if not path.is_file():
            raise PartsError(f"The part {piece.name} is missing in {listing.parent}. Put all parts into one folder.")
        if (size := path.stat().st_size) != piece.size:
            raise PartsError(f"The part {piece.name} has {size:,} of {piece.size:,} bytes. Copy or download it again.")
    for piece in content.parts:
        with listing.with_name(piece.name).open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != piece.sha256:
                raise PartsError(f"The part {piece.name} is damaged. Copy or download it again.")
    return content


def join_file(listing: Path, target: Path) -> Path:
    """Check the parts and join them into `target`, which appears only when it is whole; returns it.

    Raises
    ------
    PartsError
        When a part is missing or damaged, or `target` is there already.
    OSError
        When it cannot be written.
    """
    if target.exists():
        raise PartsError(f"{target} is there already and is not replaced. Move it away first.")
    content = check_parts(listing)
    unfinished = target.with_name(target.name + ".unfinished")
    digest = hashlib.sha256()
    try:
        with unfinished.open("wb") as out:
            for piece in content.parts:
                with listing.with_name(piece.name).open("rb") as stream:
                    while data := stream.read(_CHUNK):
                        digest.update(data)
                        out.write(data)
        if digest.hexdigest() != content.whole.sha256:
            raise PartsError(
                f"The parts named in {listing} do not make {content.whole.name}. Download all of them again."
            )
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="installer.packs.split", description="Divide large files, check, join.")
    parser.add_argument("action", choices=("split", "check", "join"))
    parser.add_argument("file", type=Path, help="the large file, or its list NAME.parts")
    parser.add_argument("--limit", type=int, default=LIMIT, help="most bytes of a part")
    parser.add_argument("--remove", action="store_true", help="delete the large file when its parts are written")
    options = parser.parse_args(arguments)
    try:
        if options.action == "split":
            print("\n".join(map(str, split_file(options.file, limit=options.limit, remove=options.remove))))
        elif options.action == "check":
            print(f"{len(check_parts(options.file).parts)} parts, all whole")
        else:
            print(join_file(options.file, options.file.with_name(read_parts(options.file).whole.name)))
    except (PartsError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
