"""The two sets of colours: greys and one accent.

Widgets that paint themselves take their colours from `Colours`; everything else gets them through the palette.
Status colours (warning, error) appear only on small signs beside a sentence, never as the only difference.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtGui import QColor


@dataclass(frozen=True)
class Colours:
    """One set of colours as ``#rrggbb``; `text`, `secondary` and `accent` are readable on every ground."""

    dark: bool
    #: Grounds, from the back to the front.
    canvas: str
    window: str
    field: str
    raised: str
    hover: str
    pressed: str
    #: Lines: `border` separates, `outline` marks the edge of a field or a button.
    border: str
    outline: str
    #: Writing.
    text: str
    secondary: str
    disabled: str
    #: The accent, and what is written on it.
    accent: str
    accent_hover: str
    accent_pressed: str
    on_accent: str
    #: A light tint of the accent behind what is selected; text stays readable on it.
    selected: str
    #: Signs.
    warning: str
    error: str

    def qcolor(self, name: str) -> QColor:
        """Return the colour of this name, such as ``"accent"``."""
        return QColor(getattr(self, name))


LIGHT = Colours(
    dark=False,
    canvas="#e3e4e6",
    window="#f4f4f5",
    field="#ffffff",
    raised="#fdfdfd",
    hover="#e9eaec",
    pressed="#dddee1",
    border="#dcdde0",
    outline="#b9bbc0",
    text="#1e1f22",
    secondary="#585b62",
    disabled="#9a9da3",
    accent="#1f62b8",
    accent_hover="#1a56a3",
    accent_pressed="#154a8e",
    on_accent="#ffffff",
    selected="#dce8f7",
    warning="#8a5300",
    error="#b3261e",
)

DARK = Colours(
    dark=True,
    canvas="#161719",
    window="#232427",
    field="#1a1b1d",
    raised="#2d2f33",
    hover="#34363b",
    pressed="#3d4046",
    border="#37393e",
    outline="#53565d",
    text="#e9e9eb",
    secondary="#b0b3b9",
    disabled="#74777e",
    accent="#7db4ff",
    accent_hover="#93c1ff",
    accent_pressed="#a8cdff",
    on_accent="#0d1a2b",
    selected="#2a3a50",
    warning="#f0b455",
    error="#ff8f86",
)


def luminance(colour: str | QColor) -> float:
    """Return the relative luminance of a colour (WCAG 2), 0 for black and 1 for white."""
    exact = QColor(colour)
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (exact.redF(), exact.greenF(), exact.blueF())
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str | QColor, second: str | QColor) -> float:
    """Return the contrast of two opaque colours (WCAG 2), from 1 to 21."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mix(first: str | QColor, second: str | QColor, share: float) -> QColor:
    """Return `first` with this share (0..1) of `second` in it."""
    a, b = QColor(first), QColor(second)
    return QColor.fromRgbF(
        a.redF() + (b.redF() - a.redF()) * share,
        a.greenF() + (b.greenF() - a.greenF()) * share,
        a.blueF() + (b.blueF() - a.blueF()) * share,
    )
