"""Reads the pruning list and applies it to what PyInstaller collected."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LIST = Path(__file__).with_name("prune.toml")
_KINDS = {"keep": "match", "drop": "match", "exclude": "module"}


class PruneError(ValueError):
    """The pruning list cannot be used."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of the list: what, and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Prune:
    """The whole list.

    Attributes
    ----------
    keep, drop
        Patterns of files.
    exclude
        Modules that are not collected at all.
    """

    keep: tuple[Rule, ...]
    drop: tuple[Rule, ...]
    exclude: tuple[Rule, ...]

    def why(self, path: str) -> Rule | None:
        """Return the rule by which a file goes; None when it stays."""
        path = path.replace("\\", "/")
        if any(fnmatchcase(path, rule.what) for rule in self.keep):
            return None
        return next((rule for rule in self.drop if fnmatchcase(path, rule.what)), None)

    def apply(self, entries: Iterable[tuple[str, str, str]]) -> tuple[list[tuple[str, str, str]], dict[str, int]]:
        """Divide collected entries (name in the bundle, source, kind).

        Returns
        -------
        The entries that stay, and the bytes that each rule saved.
        """
        kept: list[tuple[str, str, str]] = []
        saved: dict[str, int] = {}
        for entry in entries:
            rule = self.why(entry[0])
            if rule is None:
                kept.append(entry)
                continue
            source = Path(entry[1])
            saved[rule.what] = saved.get(rule.what, 0) + (source.stat().st_size if source.is_file() else 0)
        return kept, saved

    def clean(self, folder: Path) -> dict[str, int]:
        """Delete what the list names from a folder of installed packages; returns the bytes that each rule saved."""
        saved: dict[str, int] = {}
        modules = tuple(rule.what.replace(".", "/") for rule in self.exclude)
        for path in sorted(folder.rglob("*"), reverse=True):
            name = path.relative_to(folder).as_posix()
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
                continue
            rule = self.why(name)
            what = (
                rule.what
                if rule
                else next((one for one in modules if name.startswith(f"{one}/") or name == f"{one}.py"), None)
            )
            if what is not None:
                saved[what] = saved.get(what, 0) + path.lstat().st_size
                path.unlink()
        return saved


def belongs_to_compiled_torchvision(entry: tuple[str, str, str]) -> bool:
    """Whether a collected entry is a compiled part of torchvision or a library that came with it."""
    name, source, kind = (one.replace("\\", "/") for one in entry)
    compiled = name.startswith("torchvision/") and name.endswith((".so", ".pyd"))
    link = kind == "SYMLINK" and source.startswith("torchvision.libs/")
    return compiled or link or name.startswith("torchvision.libs/")


def read(path: Path = LIST) -> Prune:
    """Read the list.

    Raises
    ------
    PruneError
        When an entry is not complete, or stands there twice.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PruneError(f"The pruning list {path} cannot be read: {error}.") from error
    if unknown := sorted(set(data) - set(_KINDS)):
        raise PruneError(
            f"The pruning list {path} has the unknown table {unknown[0]!r}; known are {', '.join(_KINDS)}."
        )
    rules: dict[str, tuple[Rule, ...]] = {}
    for kind, key in _KINDS.items():
        found = []
        for entry in data.get(kind, []):
            if set(entry) != {key, "reason"} or not all(isinstance(one, str) and one.strip() for one in entry.values()):
                raise PruneError(f"The pruning list {path}: {kind} {entry} needs {key} and reason.")
            if any(rule.what == entry[key] for rule in found):
                raise PruneError(f"The pruning list {path} names {entry[key]!r} twice.")
            found.append(Rule(entry[key], entry["reason"]))
        rules[kind] = tuple(found)
    return Prune(**rules)
