"""The look of the program: colours, palette, style sheet, icons, distances, fonts.

`apply_theme` dresses the application; `icon` gives icons that follow the theme; widgets that paint themselves ask
`colours` in every paint event (a change of theme repaints everything).
"""

from __future__ import annotations

from .colours import DARK, LIGHT, Colours, contrast, mix
from .fonts import BASE_PIXELS, heading, tabular
from .icons import app_icon, icon, icon_name, pixmap
from .spacing import BIG_ICON, GAP, ICON, MARGIN, PANEL_WIDTH, RADIUS, TIGHT, WIDE
from .switch import CHOICES, Choice, Theme, apply_theme, colours, current_theme

__all__ = [
    "BASE_PIXELS",
    "BIG_ICON",
    "CHOICES",
    "DARK",
    "GAP",
    "ICON",
    "LIGHT",
    "MARGIN",
    "PANEL_WIDTH",
    "RADIUS",
    "TIGHT",
    "WIDE",
    "Choice",
    "Colours",
    "Theme",
    "app_icon",
    "apply_theme",
    "colours",
    "contrast",
    "current_theme",
    "heading",
    "icon",
    "icon_name",
    "mix",
    "pixmap",
    "tabular",
]
