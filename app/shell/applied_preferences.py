"""Preferences take effect where they are meant to, and what was set on the canvas is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from ..base.places import choose_library
from ..canvas.layers.cells import Overlay
from ..theme import current_theme

if TYPE_CHECKING:
    from .host import Host


class AppliedPreferences(QObject):
    """Theme, library, brush and overlay as the user prefers them."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.frame)
        self._host = host
        self._told: set[str] = set()

    def apply(self) -> None:
        """Let the present values take effect."""
        values, canvas = self._host.preferences.values, self._host.canvas
        choose_library(Path(values.library_folder) if values.library_folder else None)
        theme = current_theme()
        if theme is not None and theme.choice != values.theme:
            theme.choose(values.theme)
        canvas.set_brush_size(round(values.brush_size))
        canvas.protect = values.protect_cells
        overlay = Overlay(values.overlay_mode, values.overlay_opacity, max(1, round(values.outline_width)))
        if overlay != canvas.overlay:
            canvas.set_overlay(overlay)

    def keep_overlay(self, overlay: Overlay) -> None:
        """Keep how cells are shown."""
        preferences = self._host.preferences
        preferences.set("overlay_mode", overlay.mode)
        preferences.set("overlay_opacity", overlay.opacity)
        preferences.set("outline_width", overlay.outline_width)

    def keep_brush(self, size: int) -> None:
        """Keep the size of the brush."""
        self._host.preferences.set("brush_size", size)

    def tell(self, sentence: str = "") -> None:
        """Say what is wrong with the file of the preferences, each sentence once."""
        host = self._host
        if sentence and host.frame.isVisible() and sentence not in self._told:
            self._told.add(sentence)
            host.say(sentence)
        while host.session.project is not None and host.preferences.notes:
            host.say(host.preferences.notes.pop(0))
