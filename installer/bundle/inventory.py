"""What the program is made of: every package with its version, its licence and the texts of that licence.

The frozen program is looked at file by file (which package did this file come from?), so that nothing is listed that
is not inside and nothing is inside that is not listed.  Libraries that were taken from the system the build ran on
are found through its package manager.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.dialogs.licences import short_licence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LICENCES, LICENCE_TEXTS = "licences.json", "LICENCES.txt"
Kind = Literal["package", "python", "system"]

_TEXT = re.compile(r"licen[cs]e|copying|notice", re.IGNORECASE)
_NO_TEXT = frozenset((".py", ".pyc", ".pyi", ".html", ".json", ".so", ".h", ".png", ".cmake", ".css", ".js"))
_OURS = "cellseg1-studio"
#: In the bundle: our own files, and Python's library, which PyInstaller packs itself.
_OUR_FILES = ("resources/", "base_library.zip")
_LINE = "=" * 100


class InventoryError(ValueError):
    """Something is inside about which not enough is known."""


@dataclass(slots=True)
class Component:
    """Something that the program is made of.

    Attributes
    ----------
    kind
        A Python package, Python itself, or a package of the system that the build ran on.
    licence
        Its short name, empty when nobody says.
    texts
        The licence's texts: (file name, text).
    """

    name: str
    version: str
    kind: Kind
    licence: str = ""
    homepage: str = ""
    texts: list[tuple[str, str]] = field(default_factory=list)

    def text(self) -> str:
        """Return all texts in one."""
        return "\n\n".join(f"--- {name}\n{text}" if len(self.texts) > 1 else text for name, text in self.texts)


def key_of(name: str) -> str:
    """Return a package's name as packages are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


# ---- packages


def component_of(distribution: metadata.Distribution) -> Component:
    """Describe an installed package."""
    info = distribution.metadata
    component = Component(
        name=info["Name"] or "?",
        version=info["Version"] or "",
        kind="package",
        licence=short_licence(info),
        homepage=_homepage(info),
    )
    for file in distribution.files or []:
        if not _TEXT.search("/".join(file.parts[-2:])) or file.suffix.lower() in _NO_TEXT:
            continue
        try:
            text = Path(str(distribution.locate_file(file))).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if text.strip():
            component.texts.append((file.as_posix(), text.strip("\n")))
    if not component.texts:
        component.texts = _known_texts(component.name)
    return component


def _homepage(info: Any) -> str:
    pages = dict(line.split(", ", 1) for line in info.get_all("Project-URL") or [] if ", " in line)
    for name in ("Homepage", "homepage", "Home", "Source", "Repository", "Source Code"):
        if name in pages:
            return str(pages[name])
    return str(info["Home-page"] or "") if "Home-page" in info else next(iter(pages.values()), "")


def _known_texts(name: str) -> list[tuple[str, str]]:
    known = tomllib.loads((HERE / "licences" / "missing.toml").read_text(encoding="utf-8"))
    entry = next((one for package, one in known.items() if key_of(package) == key_of(name)), None)
    files = [] if entry is None else entry["files"]
    return [(file, (HERE / "licences" / file).read_text(encoding="utf-8").strip("\n")) for file in files]


def components_of_folders(folders: Iterable[Path]) -> list[Component]:
    """Describe all packages that are installed in these folders."""
    found = {
        key_of(one.metadata["Name"]): component_of(one)
        for one in metadata.distributions(path=[str(folder) for folder in folders])
        if one.metadata["Name"]
    }
    found.pop(_OURS, None)
    return sorted(found.values(), key=lambda one: one.name.casefold())


# ---- what was frozen


def components_of_files(files: Iterable[tuple[str, str]]) -> list[Component]:
    """Describe everything that collected files (name in the bundle, source) came from.

    Raises
    ------
    InventoryError
        When the origin of a file cannot be told.
    """
    owners: dict[str, metadata.Distribution] = {}
    names: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        names[key_of(distribution.metadata["Name"])] = distribution
        for file in distribution.files or []:
            # The links in the path of an environment differ from those PyInstaller wrote down.
            owners[os.path.realpath(str(distribution.locate_file(file)))] = distribution
    inside: dict[str, metadata.Distribution] = {"pyinstaller": names["pyinstaller"]}
    system: set[str] = set()
    unknown = []
    packages = {os.path.realpath(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    python = {os.path.realpath(place) for place in (sys.base_prefix, sysconfig.get_config_var("LIBDIR") or "") if place}
    for name, source in files:
        real = os.path.realpath(source)
        if real in owners:
            inside[key_of(owners[real].metadata["Name"])] = owners[real]
        elif name.replace("\\", "/").startswith(_OUR_FILES) or _below(real, {str(ROOT)}) or not source:
            continue
        elif _below(real, packages):
            unknown.append(f"{name} ({source})")
        elif not _below(real, python) or _below(real, {"/usr/lib/x86_64-linux-gnu", "/usr/lib64"}):
            system.add(real)
    if unknown:
        raise InventoryError(f"No package owns {unknown[0]} (and {len(unknown) - 1} more files).")
    found = [component_of(one) for one in inside.values() if key_of(one.metadata["Name"]) != _OURS]
    return sorted([_python(), *found, *_system(system)], key=lambda one: one.name.casefold())


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def _python() -> Component:
    version = ".".join(map(str, sys.version_info[:3]))
    places = (Path(os.__file__).parent / "LICENSE.txt", Path(sys.base_prefix) / "LICENSE.txt")
    places += (Path(f"/usr/share/doc/python{sys.version_info[0]}.{sys.version_info[1]}/copyright"),)
    text = next((place.read_text(encoding="utf-8") for place in places if place.is_file()), "")
    texts = [("LICENSE.txt", text.strip("\n"))] if text else []
    return Component("Python", version, "python", "PSF-2.0", "https://www.python.org", texts)


def _system(files: Iterable[str]) -> list[Component]:
    """Describe the system's packages that own these files."""
    found: dict[str, Component] = {}
    debian = shutil.which("dpkg-query") is not None
    for file in sorted(files):
        package, version = _owner_on_debian(file) if debian else ("", "")
        if not package and debian:
            raise InventoryError(f"No package of the system owns {file}, which was collected.")
        if not package:
            # Windows, or a system with another package manager: the file's own name says most.
            found[file] = Component(Path(file).name, "", "system")
            continue
        if package not in found:
            place = Path("/usr/share/doc") / package / "copyright"
            text = place.read_text(encoding="utf-8", errors="replace").strip("\n") if place.is_file() else ""
            found[package] = Component(
                package, version, "system", _debian_licence(text), "", [("copyright", text)] if text else []
            )
    return list(found.values())


def _owner_on_debian(file: str) -> tuple[str, str]:
    # Since Debian merged /lib into /usr/lib its list of files knows some under the one, some under the other name.
    for name in dict.fromkeys((file, file.removeprefix("/usr"))):
        line = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True, check=False).stdout
        if ": " in line:
            package = line.split(": ", 1)[0].split(",")[0].strip()
            shown = ["dpkg-query", "-W", "-f", "${Version}", package]
            version = subprocess.run(shown, capture_output=True, text=True, check=False).stdout
            return package.split(":")[0], version
    return "", ""


def _debian_licence(text: str) -> str:
    names = dict.fromkeys(re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE))
    return ", ".join(list(names)[:4])


# ---- files


def check(components: Iterable[Component]) -> None:
    """Refuse components without a licence text.

    Raises
    ------
    InventoryError
        With the names of those that have none.
    """
    bare = [one.name for one in components if not one.texts and not (one.kind == "system" and not one.version)]
    if bare:
        raise InventoryError(
            f"No text of a licence is known for {', '.join(bare)}; put it into installer/bundle/licences and name it "
            "in missing.toml."
        )


def write_licences(components: Iterable[Component], folder: Path) -> None:
    """Write ``licences.json``, which the window shows, and ``LICENCES.txt`` for people, into a folder."""
    components = list(components)
    folder.mkdir(parents=True, exist_ok=True)
    data = [
        {"name": one.name, "version": one.version, "kind": one.kind, "licence": one.licence, "text": one.text()}
        for one in components
    ]
    (folder / LICENCES).write_text(json.dumps(data, ensure_ascii=False, indent=0), encoding="utf-8")
    parts = [
        "CellSeg1 Studio is under the Apache License 2.0 (see LICENSE and NOTICE). With it come the following works,",
        "each under its own licence. They are listed by name; the texts follow in the same order.",
        "",
        *(f"  {one.name} {one.version}: {one.licence or 'see below'}" for one in components),
    ]
    for one in components:
        parts += ["", _LINE, f"{one.name} {one.version}", _LINE, one.text() or "The system's own licence applies."]
    (folder / LICENCE_TEXTS).write_text("\n".join(parts) + "\n", encoding="utf-8")


def read_report(path: Path) -> list[tuple[str, str]]:
    """Return (name, source) of every file that the spec collected."""
    report: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return [(str(name), str(source)) for name, source in report["files"]]
