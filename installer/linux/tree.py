"""What both Linux packages share: menu entry, file types, icons, and what the system must bring."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from installer.roots import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).resolve().parent
NAME = "cellseg1-studio"
DESKTOP, TYPES = HERE / f"{NAME}.desktop", HERE / f"{NAME}.xml"
ICON = ROOT / "resources" / "icons" / "app.svg"
#: Sides of the icons in pixels, as in desktop.sh.
SIZES = (16, 24, 32, 48, 64, 128, 256, 512)


class PackageError(RuntimeError):
    """A package cannot be made."""


def draw_icons(folder: Path) -> None:
    """Draw the icon in all sizes into ``FOLDER/hicolor``, as icon themes want it."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    renderer = QSvgRenderer(str(ICON))
    for size in SIZES:
        picture = QImage(size, size, QImage.Format.Format_ARGB32)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        renderer.render(painter)
        painter.end()
        path = folder / "hicolor" / f"{size}x{size}" / "apps" / f"{NAME}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not picture.save(str(path)):
            raise PackageError(f"{path} cannot be written.")
    scalable = folder / "hicolor" / "scalable" / "apps"
    scalable.mkdir(parents=True, exist_ok=True)
    shutil.copy2(ICON, scalable / f"{NAME}.svg")


def fill_share(share: Path, icons: Path, desktop: str) -> None:
    """Make a folder ``share`` with menu entry (its text), file types and icons."""
    for inner in ("applications", "mime/packages", "icons"):
        (share / inner).mkdir(parents=True, exist_ok=True)
    (share / "applications" / DESKTOP.name).write_text(desktop, encoding="utf-8")
    shutil.copy2(TYPES, share / "mime" / "packages")
    shutil.copytree(icons / "hicolor", share / "icons" / "hicolor", dirs_exist_ok=True)


def system_packages(outside: Mapping[str, str]) -> list[str]:
    """Return the Debian packages that bring the libraries which are not inside.

    Parameters
    ----------
    outside
        Library: a file that needs it.

    Raises
    ------
    PackageError
        When nobody wrote down where a library comes from.
    """
    table: dict[str, Any] = tomllib.loads((HERE / "system_libraries.toml").read_text(encoding="utf-8"))
    optional = {library for libraries in table["optional"].values() for library in libraries}
    owners = {library: package for package, libraries in table["packages"].items() for library in libraries}
    found = set()
    for library, user in outside.items():
        if library in optional:
            continue
        if library not in owners:
            raise PackageError(
                f"{library}, which {user} needs, is neither inside nor in installer/linux/system_libraries.toml."
            )
        found.add(owners[library])
    return sorted(found)


def link_tree(source: Path, target: Path) -> None:
    """Copy a folder without taking room for its files, where the disk allows that."""

    def link(old: str, new: str) -> None:
        try:
            os.link(old, new, follow_symlinks=False)
        except OSError:
            shutil.copy2(old, new, follow_symlinks=False)

    shutil.copytree(source, target, symlinks=True, copy_function=link)


def pack(folder: Path, target: Path, level: int) -> None:
    """Pack a folder's content as ``tar.xz``, with the same bytes for the same content.

    Raises
    ------
    PackageError
        When tar or xz fails.
    """
    words = ["tar", "-C", str(folder), "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"]
    with target.open("wb") as stream:
        tar = subprocess.Popen([*words, "-cf", "-", "."], stdout=subprocess.PIPE)
        xz = subprocess.run(["xz", "-c", f"-{level}", "-T0"], stdin=tar.stdout, stdout=stream, check=False)
        assert tar.stdout is not None
        tar.stdout.close()
        if tar.wait() or xz.returncode:
            raise PackageError(f"{folder} could not be packed.")


if __name__ == "__main__":
    draw_icons(Path(sys.argv[1]))
