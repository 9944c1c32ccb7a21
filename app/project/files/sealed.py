"""Small JSON files that know whether they are whole: a checksum inside, and a second copy beside them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

from cellseg1.files import write_bytes
from cellseg1.regular import open_regular, read_regular

from ...base.errors import ProjectError
from ...base.foreign import boundary, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

BACKUP = ".bak"
_FIRST_LINE = re.compile(rb'\{"format":"([a-z0-9 ]+)","schema":(\d{1,6}),"sha256":"([0-9a-f]{64})",\n')


class DamagedError(ProjectError):
    """A file of the project is not what was written."""


def dump(value: Any) -> str:
    """Return compact JSON; what JSON cannot hold is refused here and not when it is read."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def seal(kind: str, schema: int, body: str) -> bytes:
    """Return the bytes of a file; `body` is a JSON object's text without the opening brace."""
    rest = body.encode("utf-8", "surrogatepass")
    return f'{{"format":"{kind}","schema":{schema},"sha256":"{_hash(kind, schema, rest)}",\n'.encode() + rest


def unseal(data: bytes, kind: str) -> tuple[int, dict[str, Any]]:
    """Return schema and content; DamagedError unless every byte is as it was written."""
    first = _FIRST_LINE.match(data)
    if first is None or first[1].decode() != kind:
        raise DamagedError("its first line is damaged")
    schema, rest = int(first[2]), data[first.end() :]
    if _hash(kind, schema, rest).encode() != first[3]:
        raise DamagedError("its checksum does not fit")
    with boundary(DamagedError):
        return schema, parse_json(b"{" + rest)


def _hash(kind: str, schema: int, rest: bytes) -> str:
    return hashlib.sha256(f"{kind}|{schema}|".encode() + rest).hexdigest()


def write_sealed(path: Path, data: bytes) -> None:
    """Write a sealed file, then its second copy: at every moment one of them is whole.

    Raises
    ------
    OutputError
        When one of them cannot be written.
    """
    write_bytes(path, data)
    write_bytes(backup_of(path), data)


def backup_of(path: Path) -> Path:
    """Return where the second copy of a file is."""
    return path.with_name(path.name + BACKUP)


def read_sealed(
    path: Path,
    kind: str,
    schema: int,
    migrations: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]],
    damage: list[str],
    *,
    repair: bool,
) -> dict[str, Any]:
    """Read a sealed file, or its second copy when it is damaged.

    Parameters
    ----------
    path, kind
        The file and what it must say it is.
    schema, migrations
        The present schema, and by older schema what brings a content to the next one.
    damage
        Gets a sentence about everything that was not whole.
    repair
        Set damaged files aside and write them again from the other copy.

    Raises
    ------
    ProjectError
        When there is nothing readable, or it was written by a newer program.
    """
    whole = _whole_copies(path, kind, damage, repair=repair)
    if not whole:
        raise DamagedError(
            f"{path} is missing or damaged, and so is its second copy. Nothing was changed; restore it from a backup."
        )
    data, found, content = whole.get(path) or whole[backup_of(path)]
    if found > schema:
        raise ProjectError(
            f"{path.parent.name} was written by a newer version of this program (format {found}; this one knows "
            f"{schema}). Nothing was changed; install the newer version to open it."
        )
    if repair and found == schema and [one[0] for one in whole.values()] != [data, data]:
        with contextlib.suppress(OSError):
            write_sealed(path, data)
    if found < schema and repair:
        old = path.with_name(f"{path.name}.schema-{found}")
        if not old.exists():
            write_bytes(old, data)
    return _migrated(path, content, range(found, schema), migrations)


def _whole_copies(
    path: Path, kind: str, damage: list[str], *, repair: bool
) -> dict[Path, tuple[bytes, int, dict[str, Any]]]:
    """Return bytes, schema and content of each of the two copies that is whole."""
    whole: dict[Path, tuple[bytes, int, dict[str, Any]]] = {}
    for file in (path, backup_of(path)):
        try:
            data = read_regular(file)
            # Both copies are usually equal, so thousands of images are not parsed twice.
            same = next((one for one in whole.values() if one[0] == data), None)
            whole[file] = same or (data, *unseal(data, kind))
        except FileNotFoundError:
            continue
        except DamagedError as error:
            damage.append(f"{file.name} was damaged ({error}){_kept(file, repair=repair)}.")
        except OSError as error:
            raise ProjectError(f"{file} cannot be read: {error.strerror or error}. Nothing was changed.") from error
    return whole


def _migrated(
    path: Path,
    content: dict[str, Any],
    versions: range,
    migrations: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]],
) -> dict[str, Any]:
    """Bring a content through older formats to the present one."""
    for version in versions:
        if version not in migrations:
            raise ProjectError(f"{path} has the unknown format {version}. Nothing was changed.")
        with boundary(lambda why: DamagedError(f"{path} is not understood ({why}). Nothing was changed."), path):
            content = migrations[version](content)
    return content


def _kept(file: Path, *, repair: bool) -> str:
    if not repair:
        return "; its second copy is used"
    with contextlib.suppress(OSError):
        return f"; it is kept as {set_aside(file).name} and its second copy is used"
    return "; its second copy is used"


def both_are(path: Path, schema: int) -> bool:
    """Tell whether both copies of a file have the same checksum, in the format `schema`."""
    found = []
    for file in (path, backup_of(path)):
        with contextlib.suppress(OSError), open_regular(file) as stream:
            line = _FIRST_LINE.match(stream.read(200))
            found.append(line[0] if line is not None and int(line[2]) == schema else b"")
    return len(found) == 2 and found[0] == found[1] != b""


def keep_copy(path: Path) -> str:
    """Keep a copy of a file (see `set_aside`); returns a sentence about it, empty when it cannot be copied."""
    with contextlib.suppress(OSError):
        return f" The file as it was is kept as {set_aside(path).name}."
    return ""


def set_aside(path: Path) -> Path:
    """Copy a damaged file to the first free name ``NAME.damaged-1``, ``-2`` ...; the file itself stays.

    Raises
    ------
    OSError
        When it cannot be copied.
    """
    number = 1
    while os.path.lexists(target := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        with open_regular(path) as source, part.open("xb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
        part.rename(target)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    return target
