"""Fonts: the system's own, at 13 pixels or what the user chose above that, and figures of equal width."""

from __future__ import annotations

from typing import Final

from PySide6.QtGui import QFont, QFontInfo

#: Height of ordinary text in device-independent pixels.
BASE_PIXELS: Final = 13


def base_font(system: QFont) -> QFont:
    """Return the system's font at our size; a larger one that the user has set is kept."""
    font = QFont(system)
    font.setPixelSize(max(BASE_PIXELS, QFontInfo(system).pixelSize()))
    return font


def tabular(font: QFont) -> QFont:
    """Return a copy whose figures all have the same width, so that numbers do not jump while they change."""
    result = QFont(font)
    result.setFeature(QFont.Tag("tnum"), 1)
    return result


def heading(font: QFont, steps: int = 1) -> QFont:
    """Return a copy for a title: a little larger for each step, and bolder."""
    result = QFont(font)
    size = QFontInfo(font).pixelSize()
    result.setPixelSize(round(size * (1.0, 1.15, 1.45, 1.85)[min(max(steps, 0), 3)]))
    result.setWeight(QFont.Weight.DemiBold)
    return result
