"""Which packages this program is made of, and under which licences they are.

An installed program carries a list that was made when it was built (``resources/licences.json``), with everything that
is inside it; in a checkout the packages that are installed are asked.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from cellseg1.bundled import resource_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST = "licences.json"
_OURS = "cellseg1-studio"
_WINDOW = ("PySide6-Essentials", "shiboken6")
_TEXT = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)
_NAME = re.compile(r"^[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class PackageLicence:
    """One package.

    Attributes
    ----------
    name, version
        As the package calls itself.
    licence
        The short name of its licence, empty when it does not say.
    kept
        The texts of its licence, where they were kept when the program was built.
    """

    name: str
    version: str
    licence: str
    kept: str = ""

    def text(self) -> str:
        """Return the licence texts that the package brings, empty when it brings none."""
        if self.kept:
            return self.kept
        try:
            files = metadata.distribution(self.name).files or []
        except metadata.PackageNotFoundError:
            return ""
        found = []
        for file in files:
            inside = any(part.endswith((".dist-info", ".egg-info")) for part in file.parts[:-1])
            if inside and _TEXT.search(file.name):
                try:
                    found.append(file.read_text(encoding="utf-8"))
                except (OSError, UnicodeDecodeError):
                    continue
        return "\n\n".join(text.strip("\n") for text in found if text)


def packages() -> list[PackageLicence]:
    """Return what the program is made of (in a checkout: what it needs), in alphabetical order."""
    if built := _built_list():
        return built
    found: dict[str, PackageLicence] = {}
    todo = [*_needed(_OURS), *_WINDOW]
    while todo:
        name = todo.pop()
        key = _key(name)
        if key in found or key == _key(_OURS):
            continue
        try:
            info = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        found[key] = PackageLicence(info["Name"] or name, info["Version"] or "", short_licence(info))
        todo.extend(_needed(name))
    return sorted(found.values(), key=lambda package: package.name.casefold())


def _built_list() -> list[PackageLicence]:
    """Return what was written down when the program was built; empty where it was not, or cannot be read."""
    for folder in resource_folders():
        try:
            entries = json.loads((folder / LIST).read_text(encoding="utf-8"))
            return [PackageLicence(one["name"], one["version"], one["licence"], one["text"]) for one in entries]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return []


def own_licence() -> str:
    """Return the text of this program's licence with its notices."""
    texts = []
    for name in ("LICENSE", "NOTICE"):
        for folder in resource_folders():
            path = next((one for one in (folder / name, folder.parent / name) if one.is_file()), None)
            if path is not None:
                texts.append(path.read_text(encoding="utf-8").strip("\n"))
                break
    return "\n\n\n".join(texts) or PackageLicence(_OURS, "", "").text() or "Apache License, Version 2.0"


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed(name: str) -> Iterator[str]:
    """Yield what a package requires by itself: requirements of extras and of other systems are not installed."""
    try:
        requirements = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return
    for requirement in requirements:
        if "extra ==" not in requirement and (match := _NAME.match(requirement)):
            yield match.group()


def short_licence(info: metadata.PackageMetadata) -> str:
    """Return the short name of a package's licence as it says it, empty when it does not."""

    def field(name: str) -> str:
        values = info.get_all(name) or [""]
        return str(values[0]).strip()

    expression = field("License-Expression")
    if expression:
        return expression
    classifiers = [
        str(line).rsplit("::", 1)[-1].strip()
        for line in info.get_all("Classifier") or []
        if str(line).startswith("License ::") and not str(line).endswith("OSI Approved")
    ]
    if classifiers:
        return ", ".join(classifiers)
    # Some packages put the whole text into this field; its first line names it.
    return field("License").split("\n", 1)[0][:60]
