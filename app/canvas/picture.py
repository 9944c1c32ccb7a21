"""Saving what a view shows as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QBuffer, QIODevice
from PySide6.QtGui import QColor, QImage, QPainter

from cellseg1.errors import OutputError

from .viewport import Viewport

if TYPE_CHECKING:
    from pathlib import Path

    from .view import ImageView

_MOST_PIXELS = 200_000_000


def picture(view: ImageView, scale: float = 1.0) -> QImage:
    """Draw what is shown of the image, without window, tools and pointer, `scale` times as large.

    Raises
    ------
    OutputError
        When there is nothing to show, or it would be too large.
    """
    top, left, bottom, right = view.visible_box()
    if bottom <= top or right <= left:
        raise OutputError("There is no image to save: open one, or move it into view.")
    port = Viewport()
    port.shape = view.shape
    port.zoom = view.zoom * scale
    port.width = max(1, round((right - left) * port.zoom))
    port.height = max(1, round((bottom - top) * port.zoom))
    if port.width * port.height > _MOST_PIXELS:
        raise OutputError(
            f"A picture of {port.width} x {port.height} pixels is too large. Zoom out, or choose a smaller scale."
        )
    port.left, port.top = -round(left * port.zoom), -round(top * port.zoom)
    image = QImage(port.width, port.height, QImage.Format.Format_RGB32)
    image.fill(QColor("black"))
    ratio = view.devicePixelRatioF()
    scene = view.scene
    scene.set_pixel_ratio(ratio * scale)
    painter = QPainter(image)
    try:
        # In strips, so that a large picture needs no more tiles at a time than the screen.
        for y in range(0, port.height, 1024):
            strip = (0, y, port.width, min(port.height, y + 1024))
            painter.setClipRect(strip[0], strip[1], strip[2], strip[3] - strip[1])
            scene.paint(painter, port, [strip], ratio * scale, None)
        painter.setClipping(False)
        scene.paint_scale_bar(painter, port, ratio * scale, view.font())
    finally:
        painter.end()
        scene.set_pixel_ratio(ratio)
        scene.clear_tiles()
    return image


def save_picture(view: ImageView, path: Path, scale: float = 1.0) -> None:
    """Save the content of a view with its scale bar as PNG; `scale` 2 doubles the pixels.

    The file is written completely or not at all.

    Raises
    ------
    OutputError
        When there is nothing to show or the file cannot be written.
    """
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image = picture(view, scale)
    if not image.save(buffer, "PNG"):  # type: ignore[call-overload]
        raise OutputError("The picture could not be made; there may not be enough memory. Choose a smaller scale.")
    from cellseg1.files import write_bytes

    write_bytes(path, bytes(buffer.data().data()))
