"""The menu of the project's name: everything about project and program, in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QWidget

from ..project import recent
from ..theme import icon
from ..widgets.plain import plain_action, plain_tip
from .actions import ACTIONS

if TYPE_CHECKING:
    from .actions import Actions


class RecentMenu(QMenu):
    """The projects one worked on lately, as they are when it opens; ``chosen(path)`` asks for one."""

    chosen = Signal(object)

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self.setIcon(icon("folder"))
        self.aboutToShow.connect(self._fill)

    def _fill(self) -> None:
        self.clear()
        for entry in recent.recent():
            action = self.addAction(plain_action(entry.name))
            action.setToolTip(plain_tip(str(entry.path)))
            action.setEnabled(entry.path.exists())
            action.triggered.connect(lambda _on=False, path=entry.path: self.chosen.emit(path))
        if not self.actions():
            self.addAction(self.tr("No projects yet")).setEnabled(False)


class ProjectMenu(QMenu):
    """All commands that stand in a part of the menu, and the recent projects.

    What concerns the project as a whole, and help, stand in menus of their own: all in one would be as tall as a small
    screen.
    """

    def __init__(self, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._commands = actions
        self.recent = RecentMenu(self.tr("Open recent"), self)
        self._fill(self, "open")
        self.insertMenu(actions["try_sample"], self.recent)
        for part in ("images", "save"):
            self.addSeparator()
            self._fill(self, part)
        self.addSeparator()
        self._fill(self.addMenu(icon("rename"), self.tr("This project")), "whole")
        self._fill(self, "program")
        self._fill(self.addMenu(icon("info"), self.tr("Help")), "help")
        self.addSeparator()
        self._fill(self, "end")

    def _fill(self, menu: QMenu, part: str) -> None:
        for spec in ACTIONS:
            if spec.menu == part:
                menu.addAction(self._commands[spec.name])
