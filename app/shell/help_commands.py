"""Commands that show something about the program: models, preferences, computer check, log, keys, tour, about.

What they show is loaded when it is asked for: most starts of the program never do.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QObject

from ..base.places import log_folder
from ..dialogs.log_window import LogHandler, LogStore, LogWindow
from ..widgets.showing import ask
from .actions import shortcut_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..dialogs.tour import TourOverlay
    from .host import Host
    from .project_commands import ProjectCommands
    from .step_bar import StepBar


class HelpCommands(QObject):
    """Shows dialogs of the window."""

    def __init__(self, host: Host, projects: ProjectCommands, step_bar: StepBar) -> None:
        super().__init__(host.frame)
        self._host = host
        self._projects = projects
        self._step_bar = step_bar
        self.log = LogStore(self)
        self._handler = LogHandler(self.log)
        logging.getLogger().addHandler(self._handler)
        self.destroyed.connect(lambda handler=self._handler: logging.getLogger().removeHandler(handler))
        self._log_window: LogWindow | None = None
        self.tour: TourOverlay | None = None

    def do_models(self) -> None:
        """Show the models of project and library."""
        from ..pages.models.panel import ModelsPanel
        from ..widgets.dialog import Dialog

        dialog = Dialog(self._host.frame, self.tr("Models"), columns=96, rows=32)
        panel = ModelsPanel(self._host.session, self._host.canvas)
        dialog.body.addWidget(panel)
        dialog.add_close_button()
        ask(dialog)

    def do_preferences(self) -> None:
        """Show the preferences."""
        from ..preferences.dialog import PreferencesDialog

        ask(PreferencesDialog(self._host.preferences, self._host.frame))

    def do_computer(self) -> None:
        """Examine this computer in the engine and show what was found."""
        from ..dialogs.computer import ComputerCheckDialog

        store = self._host.preferences
        dialog = ComputerCheckDialog(self._host.frame, device=store.values.device)
        dialog.device_chosen.connect(lambda device: store.set("device", device))

        def answered(tell: Callable[..., None]) -> Callable[..., None]:
            # The dialog may be closed, and gone, before the engine knows.
            return lambda *answer: tell(*answer) if shiboken6.isValid(dialog) else None

        def examine() -> None:
            self._host.session.engines.interactive.examine(answered(dialog.set_report), answered(dialog.set_problem))

        dialog.check_wanted.connect(examine)
        examine()
        ask(dialog)

    def do_log(self) -> None:
        """Show the log."""
        if self._log_window is None:
            self._log_window = LogWindow(self.log, self._host.frame, folder=str(log_folder()))
        self._log_window.show()
        self._log_window.raise_()

    def show_log(self, first: str) -> None:
        """Show the log with something that was written before this window was there."""
        if first not in self.log.lines:
            self.log.add(first)
        self.do_log()

    def do_shortcuts(self) -> None:
        """Show the list of keys."""
        from ..dialogs.shortcuts import ShortcutsDialog

        ask(ShortcutsDialog(shortcut_table(), self._host.frame))

    def do_about(self) -> None:
        """Show version and licences."""
        from ..dialogs.about import AboutDialog

        ask(AboutDialog(self._host.frame))

    def do_tour(self) -> None:
        """Point at the five steps one after the other."""
        from ..dialogs.tour import TourOverlay, TourStep

        host = self._host
        if host.session.project is None:
            self._projects.do_try_sample()
        texts = {
            "annotate": self.tr("Paint a few dozen cells on one image. B is the brush, C finds a cell by a click."),
            "train": self.tr("Train on that image. It takes some minutes, and you can go on painting meanwhile."),
            "predict": self.tr("Let the model find the cells in all other images; the sliders act at once."),
            "review": self.tr("Accept what is right, correct what is not, and train on if you like."),
            "measure": self.tr("Compare with a truth, and save the table of all cells."),
        }
        steps = [TourStep(self._step_bar.buttons[name], text) for name, text in texts.items()]
        self.tour = TourOverlay(host.frame, steps)
        self.tour.start()

    def close_log(self) -> None:
        """Stop collecting the log."""
        logging.getLogger().removeHandler(self._handler)
