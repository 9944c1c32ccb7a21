"""What is drawn over image and cells: region, pixel grid, marks, scale bar, brush.

All of it is drawn twice, dark under light, so that it is seen on every image.  Positions are device pixels; `unit` is
how many of them one pixel of the layout has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPainterPath, QPen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PySide6.QtCore import QRect

    from ..viewport import Box, Viewport
    from .tiles import Rect

GRID_ZOOM = 12.0
Kind = Literal["missed", "invented", "split", "merged"]

#: Missed blue, invented orange, the others violet: no pair that colour-blind people confuse.
MARK_COLOURS = {"missed": "#56b4e9", "invented": "#f0a020", "split": "#b48cff", "merged": "#b48cff"}

DARK = QColor(0, 0, 0, 170)
LIGHT = QColor(255, 255, 255)
_LARGEST_STAMP = 700.0
_SHADE = QColor(0, 0, 0, 115)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place to look at, such as a mistake: `kind` gives its colour (others than known ones are white)."""

    kind: str
    box: Box
    text: str = ""


def round_length(longest: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, 50 ... (or 0.5, 0.2 ...) that is not above `longest`."""
    if not longest > 0 or not math.isfinite(longest):
        return 0.0
    power = 10.0 ** math.floor(math.log10(longest))
    for step in (5, 2, 1):
        if step * power <= longest * (1 + 1e-9):
            return float(f"{step * power:.6g}")
    return power


def length_text(length: float, in_um: bool) -> str:
    """Write a length as on a scale bar."""
    if not in_um:
        return f"{length:g} px"
    if length >= 1000:
        return f"{length / 1000:g} mm"
    if length < 1:
        return f"{length * 1000:g} nm"
    return f"{length:g} µm"


def scale_bar(view: Viewport, pixel_um: float | None, unit: float) -> tuple[float, str]:
    """Length in device pixels, and text, of a bar of a round length that fills about a sixth of the view."""
    longest = min(160 * unit, view.width / 4) / view.zoom
    if pixel_um is None:
        # Parts of a pixel are no length to measure by.
        length = max(1.0, round_length(longest))
        return length * view.zoom, length_text(length, in_um=False)
    length = round_length(longest * pixel_um)
    return length / pixel_um * view.zoom, length_text(length, in_um=True)


def paint_scale_bar(painter: QPainter, view: Viewport, pixel_um: float | None, unit: float, font: QFont) -> None:
    """Draw the bar into the lower right corner."""
    length, text = scale_bar(view, pixel_um, unit)
    if length <= 0:
        return
    font = QFont(font)
    font.setPixelSize(round(12 * unit))
    font.setWeight(QFont.Weight.DemiBold)
    metrics = QFontMetricsF(font)
    width = max(length, metrics.horizontalAdvance(text)) + 16 * unit
    height = metrics.height() + 14 * unit
    # In the corner of what is seen of the image, which may be smaller than the view.
    image_width, image_height = view.image_size()
    right = max(min(view.width, view.left + image_width), width + 24 * unit)
    bottom = max(min(view.height, view.top + image_height), height + 24 * unit)
    plate = QRectF(right - width - 12 * unit, bottom - height - 12 * unit, width, height)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(0, 0, 0, 140))
    painter.drawRoundedRect(plate, 4 * unit, 4 * unit)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
    x = round(plate.center().x() - length / 2)
    y = round(plate.bottom() - 8 * unit)
    painter.fillRect(QRectF(x, y - round(2 * unit), round(length), max(2, round(3 * unit))), LIGHT)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(font)
    painter.setPen(LIGHT)
    words = QRectF(plate.left(), plate.top() + 3 * unit, plate.width(), metrics.height())
    painter.drawText(words, Qt.AlignmentFlag.AlignCenter, text)
    painter.restore()


def paint_grid(painter: QPainter, view: Viewport, exposed: Rect) -> None:
    """Draw lines between pixels, when they are large enough to be told apart."""
    if view.zoom < GRID_ZOOM:
        return
    x0, y0 = view.to_image(exposed[0], exposed[1])
    x1, y1 = view.to_image(exposed[2], exposed[3])
    height, width = view.shape
    left, right = max(0, math.floor(x0)), min(width, math.ceil(x1))
    top, bottom = max(0, math.floor(y0)), min(height, math.ceil(y1))
    strength = round(min(1.0, (view.zoom - GRID_ZOOM) / 12 + 0.35) * 70)
    painter.setPen(QPen(QColor(128, 128, 128, strength), 0))
    device_top, device_bottom = view.to_device(0, top)[1], view.to_device(0, bottom)[1]
    device_left, device_right = view.to_device(left, 0)[0], view.to_device(right, 0)[0]
    for column in range(left, right + 1):
        x = math.floor(view.to_device(column, 0)[0])
        painter.drawLine(x, round(device_top), x, round(device_bottom))
    for row in range(top, bottom + 1):
        y = math.floor(view.to_device(0, row)[1])
        painter.drawLine(round(device_left), y, round(device_right), y)


def paint_region(painter: QPainter, view: Viewport, region: Sequence[float], unit: float) -> None:
    """Darken the image outside the region and outline it."""
    x, y, width, height = region
    left, top = view.to_device(x, y)
    right, bottom = view.to_device(x + width, y + height)
    inner = QRectF(round(left), round(top), round(right) - round(left), round(bottom) - round(top))
    whole = QRectF(view.left, view.top, *view.image_size())
    outside = QPainterPath()
    outside.addRect(whole)
    hole = QPainterPath()
    hole.addRect(inner)
    painter.fillPath(outside.subtracted(hole), _SHADE)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    stroke(painter, unit, lambda: painter.drawRect(inner), dashed=True)


def paint_marks(painter: QPainter, view: Viewport, marks: Sequence[Mark], current: int, unit: float) -> None:
    """Frame each mark; the current one is thicker and has its text."""
    top, left, bottom, right = view.visible_box()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for index, mark in enumerate(marks):
        y0, x0, y1, x1 = mark.box
        if index == current or x1 < left or x0 > right or y1 < top or y0 > bottom:
            continue
        frame = _mark_frame(view, mark, 3 * unit)
        colour = QColor(MARK_COLOURS.get(mark.kind, "#ffffff"))
        stroke(painter, unit, partial(painter.drawRoundedRect, frame, 3 * unit, 3 * unit), colour, 1.5)
    if 0 <= current < len(marks):
        mark = marks[current]
        frame = _mark_frame(view, mark, 5 * unit)
        colour = QColor(MARK_COLOURS.get(mark.kind, "#ffffff"))
        stroke(painter, unit, lambda: painter.drawRoundedRect(frame, 4 * unit, 4 * unit), colour, 3)
        if mark.text:
            _paint_tag(painter, view, frame, mark.text, colour, unit)


def mark_at(view: Viewport, marks: Sequence[Mark], x: float, y: float, unit: float) -> int:
    """Index of the smallest mark at a device position, or -1."""
    hit = [i for i, mark in enumerate(marks) if _mark_frame(view, mark, 5 * unit).contains(QPointF(x, y))]
    return min(hit, key=lambda i: _mark_frame(view, marks[i], 0).width(), default=-1)


def _mark_frame(view: Viewport, mark: Mark, air: float) -> QRectF:
    x0, y0, x1, y1 = view.device_rect(mark.box)
    return QRectF(x0 - air, y0 - air, x1 - x0 + 2 * air, y1 - y0 + 2 * air)


def _paint_tag(painter: QPainter, view: Viewport, frame: QRectF, text: str, colour: QColor, unit: float) -> None:
    painter.save()
    font = QFont(painter.font())
    font.setPixelSize(round(12 * unit))
    metrics = QFontMetricsF(font)
    width, height = metrics.horizontalAdvance(text) + 12 * unit, metrics.height() + 4 * unit
    above = frame.top() - height - 4 * unit
    y = above if above >= 0 else frame.bottom() + 4 * unit
    x = min(max(0.0, frame.left()), max(0.0, view.width - width))
    tag = QRectF(x, y, width, height)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawRoundedRect(tag, 3 * unit, 3 * unit)
    painter.setPen(QColor("black"))
    painter.setFont(font)
    painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, text)
    painter.restore()


def paint_brush(painter: QPainter, x: float, y: float, diameter: float, unit: float) -> None:
    """Draw the brush as a circle of its true size; positions are pixels of the layout."""
    if diameter > _LARGEST_STAMP:
        painter.save()
        _draw_brush(painter, QPointF(x, y), diameter, unit)
        painter.restore()
        return
    stamp = _brush_stamp(round(diameter, 2), unit)
    half = stamp.deviceIndependentSize() / 2
    painter.drawImage(QPointF(x - half.width(), y - half.height()), stamp)


@lru_cache(maxsize=4)
def _brush_stamp(diameter: float, unit: float) -> QImage:
    """Draw the circle once: smooth lines take longer than all the rest of a mouse move."""
    side = math.ceil(diameter + 6)
    stamp = QImage(math.ceil(side * unit), math.ceil(side * unit), QImage.Format.Format_ARGB32_Premultiplied)
    stamp.setDevicePixelRatio(unit)
    stamp.fill(0)
    painter = QPainter(stamp)
    middle = stamp.deviceIndependentSize() / 2
    _draw_brush(painter, QPointF(middle.width(), middle.height()), diameter, unit)
    painter.end()
    return stamp


def _draw_brush(painter: QPainter, at: QPointF, diameter: float, unit: float) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    radius, line = diameter / 2, max(1.0, round(1.5 * unit, 1)) / unit
    painter.setPen(QPen(QColor(0, 0, 0, 200), line))
    painter.drawEllipse(at, radius + line / 2, radius + line / 2)
    painter.setPen(QPen(LIGHT, line))
    painter.drawEllipse(at, max(0.5, radius - line / 2), max(0.5, radius - line / 2))


def paint_ghost(painter: QPainter, x: float, y: float, unit: float) -> None:
    """Draw where the pointer is in a linked view."""
    arm, gap = 7 * unit, 3 * unit
    for pen in (QPen(DARK, 3 * unit), QPen(LIGHT, 1 * unit)):
        painter.setPen(pen)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            painter.drawLine(QPointF(x + dx * gap, y + dy * gap), QPointF(x + dx * arm, y + dy * arm))


def paint_focus(painter: QPainter, area: QRect, colour: QColor) -> None:
    """Frame the widget that has the focus; `area` in pixels of the layout."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colour, 2))
    painter.drawRect(QRectF(area).adjusted(1, 1, -1, -1))


def stroke(
    painter: QPainter,
    unit: float,
    draw: Callable[[], object],
    colour: QColor = LIGHT,
    width: float = 1.5,
    *,
    dashed: bool = False,
) -> None:
    """Call `draw` with a dark pen and then with a light (or coloured) one."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    under = QPen(DARK, (width + 1.6) * unit)
    over = QPen(colour, width * unit)
    for pen in (under, over):
        pen.setCosmetic(True)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        pen.setCapStyle(Qt.PenCapStyle.FlatCap if dashed else Qt.PenCapStyle.RoundCap)
    if dashed:
        over.setDashPattern([4.0, 3.0])
    for pen in (under, over):
        painter.setPen(pen)
        draw()
    painter.restore()
