"""The real main window for tests: shown in the light theme, with a home of its own, and closed without a trace."""

from __future__ import annotations

import contextlib

from PySide6.QtWidgets import QApplication

from app.preferences.store import PreferencesStore
from app.shell.main_window import MainWindow
from app.theme import apply_theme


@contextlib.contextmanager
def main_window(home, monkeypatch, width=1300, height=720):
    """Show a main window whose settings and projects lie in `home`."""
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(home))
    apply_theme(QApplication.instance(), "light")
    window = MainWindow(PreferencesStore())
    window.resize(width, height)
    window.show()
    try:
        yield window
    finally:
        window.close()
        window.shut_down()
        window.help.close_log()
        window.deleteLater()
        QApplication.processEvents()
