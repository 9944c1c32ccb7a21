"""Making the application: theme, preferences, one instance, error hook, window."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QSocketNotifier, QTimer
from PySide6.QtWidgets import QApplication

from cellseg1._version import __version__

from ..base.places import log_folder
from ..preferences.store import PreferencesStore
from ..theme import apply_theme
from ..translation.load import install as install_translations
from ..widgets.errors import install_exception_hook
from .garbage import Collector
from .last_end import RunningMark, look_back
from .main_window import MainWindow
from .single_instance import InstanceServer, hand_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..session.session import Session

_LOG_BYTES = 1 << 20


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; ends the program where that asks for its version, or is wrong."""
    parser = argparse.ArgumentParser(
        prog="cellseg1-studio", description="CellSeg1 Studio: segment your cells after painting a few dozen."
    )
    parser.add_argument("--version", action="version", version=f"CellSeg1 Studio {__version__}")
    parser.add_argument(
        "path", nargs="?", help="a project folder or a file in it, a one-file project (.cs1zip), or a model (.cs1)"
    )
    parser.add_argument("--sample", action="store_true", help="open the sample project")
    parser.add_argument(
        "--self-test",
        metavar="FOLDER",
        type=Path,
        help="do the whole work on the sample by itself, with everything it writes in FOLDER, and end with 0 or 1",
    )
    return parser.parse_args(arguments)


def start_log() -> Path | None:
    """Write the program's log into the user's log folder; None when that cannot be written."""
    folder = log_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(folder / "studio.log", maxBytes=_LOG_BYTES, backupCount=2, encoding="utf-8")
    except OSError:
        return None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    return folder / "studio.log"


def stop_log() -> None:
    """Close the log file."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, RotatingFileHandler):
            root.removeHandler(handler)
            handler.close()


class Terminator:
    """Ctrl+C and SIGTERM close the window as the user would, instead of tearing it down between two statements."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._notifier: QSocketNotifier | None = None
        self._pipe: tuple[int, int] | None = None
        self._before: dict[int, object] = {}
        if sys.platform == "win32":
            return
        read, write = os.pipe()
        os.set_blocking(write, False)
        self._pipe = read, write
        self._wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, lambda *_: None)
        self._notifier = QSocketNotifier(read, QSocketNotifier.Type.Read)
        self._notifier.activated.connect(self._caught)

    def _caught(self) -> None:
        assert self._pipe is not None
        os.read(self._pipe[0], 1)
        self._close()

    def end(self) -> None:
        """Give the signals back."""
        if self._pipe is None or self._notifier is None:
            return
        self._notifier.setEnabled(False)
        signal.set_wakeup_fd(self._wakeup)
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
        for end in self._pipe:
            os.close(end)


def _follow_project(session: Session, mark: RunningMark) -> None:
    """Note in the mark of this process which project is open."""

    def note() -> None:
        mark.set_project(None if session.project is None else session.project.folder)

    session.project_changed.connect(note)
    note()


def run(options: argparse.Namespace, begin: Callable[[MainWindow], object] | None = None) -> int:
    """Run the window until it is closed; returns the exit code.

    Parameters
    ----------
    options
        See `parse`.
    begin
        Called when the window is there, instead of opening what the options name.
    """
    existing = QApplication.instance()
    app = existing if isinstance(existing, QApplication) else QApplication([sys.argv[0]])
    app.setApplicationName("CellSeg1 Studio")
    app.setOrganizationName("CellSeg1")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName("cellseg1-studio")
    install_translations(app)
    app.setQuitOnLastWindowClosed(False)
    # The window that runs already may have been started in another folder.
    path = None if options.path is None else str(Path(options.path).absolute())
    if begin is None and hand_over([*(["--sample"] if options.sample else []), *([path] if path else [])]):
        return 0
    collector = Collector()
    log_file = start_log()
    last_end = look_back(log_folder())
    mark = RunningMark(log_folder())
    preferences = PreferencesStore()
    apply_theme(app, preferences.values.theme)
    window = MainWindow(preferences, later=True)
    window.completed.connect(collector.settle)
    window.completed.connect(lambda: _follow_project(window.session, mark))
    if last_end is not None and begin is None:
        window.tell_last_end(last_end, log_file)
    uninstall = install_exception_hook(window)
    server = InstanceServer(window)
    server.asked.connect(window.show_again)
    terminator = Terminator(window.quit_now)
    window.show()
    if begin is not None:
        begin(window)
    else:
        QTimer.singleShot(0, lambda: window.open_arguments(path, sample=options.sample))
    try:
        return int(app.exec())
    finally:
        terminator.end()
        server.close()
        uninstall()
        window.shut_down()
        # While Python is still whole: what is left to Qt's own end calls overrides that are gone by then.
        shiboken6.delete(window)
        collector.end()
        mark.end()
        stop_log()
