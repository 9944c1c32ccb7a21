"""Applying a theme and following the system's light and dark while the program runs."""

from __future__ import annotations

import logging
from typing import Literal, get_args

from PySide6.QtCore import QCoreApplication, QDir, QObject, Qt, Signal
from PySide6.QtWidgets import QApplication, QStyleFactory

from cellseg1.bundled import resource_path

from .colours import DARK, LIGHT, Colours
from .fonts import base_font
from .icons import app_icon, set_icon_colours
from .palette import make_palette
from .sheet import style_sheet

Choice = Literal["system", "light", "dark"]
CHOICES: tuple[str, ...] = get_args(Choice)

_SCHEMES = {
    "system": Qt.ColorScheme.Unknown,
    "light": Qt.ColorScheme.Light,
    "dark": Qt.ColorScheme.Dark,
}
_log = logging.getLogger(__name__)


class Theme(QObject):
    """The look of one application; there is one, made by the first `apply_theme` and owned by the application."""

    #: The colours are other ones now; palette, icons and style sheet are already exchanged.
    changed = Signal()

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self._app = app
        self._choice: Choice = "system"
        self._colours: Colours | None = None
        app.setStyle(QStyleFactory.create("Fusion"))
        app.setFont(base_font(app.font()))
        app.setWindowIcon(app_icon())
        # The style sheet names the ticks and arrows by this prefix, wherever the program is installed.
        QDir.setSearchPaths("marks", [str(resource_path("icons/marks"))])
        app.styleHints().colorSchemeChanged.connect(self._follow)

    @property
    def choice(self) -> Choice:
        """What the user chose: ``system``, ``light`` or ``dark``."""
        return self._choice

    @property
    def colours(self) -> Colours:
        """The colours that are shown."""
        return self._colours or LIGHT

    def choose(self, choice: Choice) -> None:
        """Show this theme from now on."""
        self._choice = choice
        hints = self._app.styleHints()
        # So that title bars and native dialogs go along where the platform can do it.
        if choice == "system":
            hints.unsetColorScheme()
        else:
            hints.setColorScheme(_SCHEMES[choice])
        self._follow()

    def _follow(self) -> None:
        scheme = _SCHEMES[self._choice]
        if scheme == Qt.ColorScheme.Unknown:
            scheme = self._app.styleHints().colorScheme()
        colours = DARK if scheme == Qt.ColorScheme.Dark else LIGHT
        if colours == self._colours:
            return
        self._colours = colours
        self._app.setPalette(make_palette(colours))
        self._app.setStyleSheet(style_sheet(colours))
        set_icon_colours(colours, self._app)
        self.changed.emit()


_themes: dict[int, Theme] = {}


def apply_theme(app: QApplication, choice: str = "system") -> Theme:
    """Give the application its look: ``system``, ``light`` or ``dark``; an unknown name counts as ``system``."""
    theme = _of(app)
    if theme is None:
        theme = Theme(app)
        _themes.clear()
        _themes[id(app)] = theme
    if choice not in CHOICES:
        _log.warning("unknown theme %r", choice)
    theme.choose("light" if choice == "light" else "dark" if choice == "dark" else "system")
    return theme


def _of(app: QCoreApplication | None) -> Theme | None:
    import shiboken6

    theme = _themes.get(id(app)) if app is not None else None
    return theme if theme is not None and shiboken6.isValid(theme) else None


def current_theme() -> Theme | None:
    """Return the theme of the running application, None before `apply_theme`."""
    return _of(QApplication.instance())


def colours() -> Colours:
    """Return the colours that are shown now (the light ones before `apply_theme`)."""
    theme = current_theme()
    return theme.colours if theme is not None else LIGHT
