"""Says that the program ended unexpectedly last time, and offers the work back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QToolButton, QVBoxLayout, QWidget

from ..theme import GAP, ICON, TIGHT, icon
from ..widgets.empty_state import Sign
from ..widgets.plain import Label, plain_action

if TYPE_CHECKING:
    from pathlib import Path


class EndNotice(QFrame):
    """One notice above everything else in the window; it stays until something is done about it.

    ``open_wanted(path)`` asks for the project that was open.
    """

    open_wanted = Signal(object)
    log_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("banner", True)
        self._project: Path | None = None
        self.label = Label()
        self.label.setWordWrap(True)
        self.open_button = QPushButton()
        self.open_button.setToolTip(self.tr("Go on where you were"))
        self.open_button.clicked.connect(self._open)
        self.log_button = QPushButton(self.tr("Show the log"))
        self.log_button.setProperty("quiet", True)
        self.log_button.setAccessibleName(self.tr("Show the log"))
        self.log_button.setToolTip(self.tr("See what is known about the end, for example to send it to somebody"))
        self.log_button.clicked.connect(self.log_wanted)
        self.close_button = QToolButton()
        self.close_button.setIcon(icon("close"))
        self.close_button.setIconSize(QSize(14, 14))
        self.close_button.setProperty("small", True)
        self.close_button.setToolTip(self.tr("Dismiss"))
        self.close_button.setAccessibleName(self.tr("Dismiss the notice about the last end"))
        self.close_button.clicked.connect(self.hide)
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.log_button)
        buttons.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(GAP)
        words.addWidget(self.label)
        words.addLayout(buttons)
        row = QHBoxLayout(self)
        row.setContentsMargins(GAP + TIGHT, GAP, GAP, GAP)
        row.setSpacing(GAP)
        row.addWidget(Sign("warning", ICON, "warning"), 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        row.addWidget(self.close_button, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def tell(self, *, restarted: bool, project: Path | None, name: str, log: Path | None) -> None:
        """Show the notice.

        Parameters
        ----------
        restarted
            Whether the computer was switched off or restarted, and the program did not end by itself.
        project, name
            The project to offer, if any.
        log
            The file in which more is written; None when there is none.
        """
        what = (
            self.tr("The computer was switched off or restarted while CellSeg1 Studio was open.")
            if restarted
            else self.tr("CellSeg1 Studio ended unexpectedly last time.")
        )
        safe = self.tr("What you had drawn is saved, up to the last finished stroke.")
        more = "" if log is None else self.tr("More is in the log: {file}").format(file=log)
        self.label.setText(" ".join(filter(None, (what, safe, more))))
        self.setAccessibleName(self.label.text())
        self._project = project
        self.open_button.setVisible(project is not None)
        self.open_button.setText(self.tr("Open {name}").format(name=plain_action(name)))
        self.open_button.setAccessibleName(self.tr("Open the project {name} again").format(name=name))
        self.log_button.setVisible(log is not None)
        self.show()

    def forget_project(self) -> None:
        """Take the offer back: a project is open."""
        self.open_button.hide()

    def _open(self) -> None:
        project, self._project = self._project, None
        self.hide()
        if project is not None:
            self.open_wanted.emit(project)
