"""Draws the Windows icon and the pictures of the setup's pages from the program's icon."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from installer.roots import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ICON = ROOT / "resources/icons/app.svg"
#: Sizes that NSIS's pages expect, in pixels.
WELCOME, HEADER = (164, 314), (150, 57)
#: Sides of the squares in the icon file; Windows picks one for each place and magnification.
ICO_SIZES = (16, 20, 24, 32, 40, 48, 64, 128, 256)
_DARK, _LIGHT = "#1d2733", "#ffffff"


def write_pictures(folder: Path) -> tuple[Path, Path]:
    """Draw the welcome page's and the header's picture; returns their paths (BMP, 24 bit, the only kind NSIS takes)."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import QRectF
    from PySide6.QtGui import QColor, QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    renderer = QSvgRenderer(str(ICON))
    paths = []
    for name, (width, height), ground, place in (
        ("welcome.bmp", WELCOME, _DARK, QRectF(26, 40, 112, 112)),
        ("header.bmp", HEADER, _LIGHT, QRectF(97, 4, 49, 49)),
    ):
        image = QImage(width, height, QImage.Format.Format_RGB32)
        image.fill(QColor(ground))
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        renderer.render(painter, place)
        painter.end()
        path = folder / name
        # Qt writes 32 bit from this format; NSIS shows such pictures black on some systems.
        if not image.convertToFormat(QImage.Format.Format_RGB888).save(str(path), "BMP"):
            raise OSError(f"{path} cannot be written.")
        paths.append(path)
    return paths[0], paths[1]


def write_ico(path: Path) -> None:
    """Draw the program's icon in all sizes of `ICO_SIZES` into one file."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PIL import Image
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    renderer = QSvgRenderer(str(ICON))
    pictures = []
    for side in ICO_SIZES:
        image = QImage(side, side, QImage.Format.Format_RGBA8888)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        renderer.render(painter)
        painter.end()
        pictures.append(Image.frombytes("RGBA", (side, side), bytes(image.constBits()), "raw", "RGBA"))
    pictures[-1].save(path, "ICO", sizes=[(side, side) for side in ICO_SIZES], append_images=pictures[:-1])
