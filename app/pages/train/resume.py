"""Trainings that ended before they were done: finding them, and offering to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ...base.run_files import read_curve, read_status
from ...theme import GAP, ICON, TIGHT
from ...widgets.empty_state import Sign
from ...widgets.plain import Label

if TYPE_CHECKING:
    from ...project.project import Project
    from ...project.runs import RunInfo

#: Added by the training to the name of its model (see `cellseg1.training.checkpoint`, which needs torch).
_CHECKPOINT = ".checkpoint"
_ENDED_EARLY = ("interrupted", "stopped", "failed")


def unfinished_training(project: Project | None) -> RunInfo | None:
    """Return the newest training of a project if it can go on and nobody has said that it need not, else None."""
    if project is None or project.read_only:
        return None
    trainings = [run for run in project.runs if run.kind == "train"]
    if not trainings or trainings[-1].state not in _ENDED_EARLY or trainings[-1].fields.get("discarded"):
        return None
    return trainings[-1] if can_resume(project, trainings[-1]) else None


def ended_with_program(run: RunInfo) -> bool:
    """Tell whether a training ended with the program; otherwise it was stopped or failed."""
    return run.state == "interrupted" or bool(run.fields.get("resume_later"))


def can_resume(project: Project, run: RunInfo) -> bool:
    """Whether a training left a checkpoint from which it can go on."""
    out = (run.fields.get("request") or {}).get("out")
    if not out:
        return False
    return (project.folder / f"{out}{_CHECKPOINT}").exists()


def share_of(run: RunInfo) -> float | None:
    """Return how far a training was when it ended, None when that is unknown."""
    status = read_status(run.folder)
    return None if status is None else status.share


def curve_of(run: RunInfo) -> list[tuple[int, float]]:
    """Return the (step, loss) values of the training so far."""
    return [(step, loss) for step, loss, _rate in read_curve(run.folder)]


class ResumeOffer(QFrame):
    """Says that a training was interrupted, and how far it was, with what can be done about it."""

    resume_wanted = Signal(str)
    discard_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("banner", True)
        self.run_id = ""
        self.label = Label()
        self.label.setWordWrap(True)
        self.resume = QPushButton(self.tr("Resume"))
        self.resume.setAccessibleName(self.tr("Resume the training"))
        self.resume.setToolTip(self.tr("Go on where it stopped"))
        self.resume.clicked.connect(lambda: self.resume_wanted.emit(self.run_id))
        self.discard = QPushButton(self.tr("Discard"))
        self.discard.setProperty("quiet", True)
        self.discard.setAccessibleName(self.tr("Do not offer this training again"))
        self.discard.setToolTip(self.tr("Do not offer it again; a model that it kept stays"))
        self.discard.clicked.connect(lambda: self.discard_wanted.emit(self.run_id))
        buttons = QHBoxLayout()
        buttons.setSpacing(GAP)
        buttons.addWidget(self.resume)
        buttons.addWidget(self.discard)
        buttons.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(GAP)
        words.addWidget(self.label)
        words.addLayout(buttons)
        row = QHBoxLayout(self)
        row.setContentsMargins(GAP + TIGHT, GAP, GAP, GAP)
        row.setSpacing(GAP)
        row.addWidget(Sign("info", ICON, "accent"), 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        self.hide()

    def show_run(self, run: RunInfo | None) -> None:
        """Offer to resume a run; None hides the offer."""
        self.run_id = "" if run is None else run.id
        if run is None:
            self.hide()
            return
        share = share_of(run)
        where = self.tr(" at {n} %").format(n=round(share * 100)) if share else ""
        name = run.fields.get("title") or run.id
        sentence = {
            "stopped": self.tr("The training of {name} was stopped{where}."),
            "failed": self.tr("The training of {name} ended with an error{where}. What it learned until then is kept."),
        }.get(
            run.state,
            self.tr(
                "The program ended unexpectedly during the training of {name}{where}. "
                "What it learned until then is kept."
            ),
        )
        self.label.setText(sentence.format(name=name, where=where))
        self.setAccessibleName(self.label.text())
        self.show()
