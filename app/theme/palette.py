"""The Qt palette made of a set of colours."""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette

from .colours import Colours, mix


def make_palette(colours: Colours) -> QPalette:
    """Return the palette of this set of colours, its disabled state included."""
    role = QPalette.ColorRole
    every = {
        role.Window: colours.window,
        role.WindowText: colours.text,
        role.Base: colours.field,
        role.AlternateBase: mix(colours.field, colours.window, 0.6),
        role.Text: colours.text,
        role.PlaceholderText: colours.secondary,
        role.Button: colours.raised,
        role.ButtonText: colours.text,
        role.BrightText: colours.error,
        role.ToolTipBase: colours.raised,
        role.ToolTipText: colours.text,
        role.Highlight: colours.accent,
        role.HighlightedText: colours.on_accent,
        role.Accent: colours.accent,
        role.Link: colours.accent,
        role.LinkVisited: colours.accent,
        role.Light: mix(colours.raised, "#ffffff", 0.06 if colours.dark else 0.8),
        role.Midlight: colours.hover,
        role.Mid: colours.outline,
        role.Dark: mix(colours.outline, "#000000", 0.15),
        role.Shadow: mix(colours.outline, "#000000", 0.5),
    }
    palette = QPalette()
    for where, colour in every.items():
        palette.setColor(where, QColor(colour))
    off = QPalette.ColorGroup.Disabled
    for where in (role.WindowText, role.Text, role.ButtonText, role.PlaceholderText, role.ToolTipText, role.Link):
        palette.setColor(off, where, QColor(colours.disabled))
    palette.setColor(off, role.Base, QColor(colours.window))
    palette.setColor(off, role.Button, QColor(colours.window))
    palette.setColor(off, role.Highlight, QColor(colours.outline))
    palette.setColor(off, role.Accent, QColor(colours.outline))
    palette.setColor(off, role.HighlightedText, QColor(colours.window))
    return palette
