"""What to do with running jobs when the window is closed."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ..theme import GAP, MARGIN, TIGHT, icon
from ..widgets.dialog import Dialog, Role, sentence, title_label

if TYPE_CHECKING:
    from collections.abc import Sequence


class CloseChoice(Enum):
    """The user's answer."""

    BACKGROUND = "background"
    STOP = "stop"
    CANCEL = "cancel"


class CloseDuringJobDialog(Dialog):
    """Keep running in the background, stop and resume later, or stay.

    Parameters
    ----------
    titles
        What the jobs are called.
    tray
        Whether there are icons beside the clock.
    leaving
        Whether only the project is left, and the window stays.
    saved
        Whether all that was drawn is on the disk.

    Attributes
    ----------
    choice
        The answer, `CloseChoice.CANCEL` until one is given.
    """

    def __init__(
        self,
        titles: Sequence[str],
        parent: QWidget | None = None,
        *,
        tray: bool = True,
        leaving: bool = False,
        saved: bool = True,
    ) -> None:
        super().__init__(parent, self.tr("A job is running"), columns=60, scroll=True)
        self.choice = CloseChoice.CANCEL
        self.body.addWidget(title_label(", ".join(titles), 1))
        question = self.tr("What should happen to the job?")
        if saved:
            question = self.tr("What you have drawn is saved.") + " " + question
        self.body.addWidget(sentence(question))
        self.body.addSpacing(GAP)
        keep = (
            self.tr("It goes on at the top right of the window, and its results go into its own project.")
            if leaving
            else self.tr("The window hides; its icon beside the clock, or starting the program again, brings it back.")
            if tray
            else self.tr("The window hides; starting the program again brings it back.")
        )
        self.background_button = self._option(self.tr("Keep running in the background"), keep, CloseChoice.BACKGROUND)
        self.body.addSpacing(GAP)
        later = self.tr("A training can go on where it was when you open the project again; finished images are kept.")
        self.stop_button = self._option(self.tr("Stop and resume later"), later, CloseChoice.STOP)
        self.cancel_button = self.add_button(self.tr("Cancel"), Role.RejectRole)
        self.background_button.setProperty("primary", True)
        self.background_button.setDefault(True)
        self.background_button.setFocus()

    def _option(self, text: str, help_text: str, choice: CloseChoice) -> QPushButton:
        button = QPushButton(text)
        button.setIcon(
            icon(
                "hide" if choice is CloseChoice.BACKGROUND else "pause",
                "on_accent" if choice is CloseChoice.BACKGROUND else "text",
            )
        )
        button.setAccessibleDescription(help_text)
        button.clicked.connect(lambda _on=False: self._choose(choice))
        box = QVBoxLayout()
        box.setSpacing(TIGHT)
        box.addWidget(button)
        note = sentence(help_text, quiet=True)
        note.setContentsMargins(MARGIN, 0, MARGIN, 0)
        box.addWidget(note)
        self.body.addLayout(box)
        return button

    def _choose(self, choice: CloseChoice) -> None:
        self.choice = choice
        self.accept()
