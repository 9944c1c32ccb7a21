"""The result of a training."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QPushButton, QVBoxLayout, QWidget

from ...engine.planning import duration_text
from ...theme import GAP, TIGHT, heading
from ...translation.library_words import shown
from ...widgets.flow import FlowLayout
from ...widgets.plain import Label
from .plan import ap_sentence

if TYPE_CHECKING:
    from ...engine.jobs import JobHandle


class TrainingResult(QFrame):
    """The result of the last training, and actions with it."""

    predict_wanted = Signal()
    resume_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", True)
        self.run_id = ""
        self.title = Label()
        self.title.setFont(heading(self.font(), 0))
        self.title.setWordWrap(True)
        self.text = Label()
        self.text.setWordWrap(True)
        self.predict = QPushButton(self.tr("Predict other images"))
        self.predict.setAccessibleName(self.tr("Predict other images"))
        self.predict.setToolTip(self.tr("Go to step 3 with this model (Ctrl+3)"))
        self.predict.clicked.connect(self.predict_wanted)
        self.resume = QPushButton(self.tr("Resume"))
        self.resume.setAccessibleName(self.tr("Resume this training"))
        self.resume.setToolTip(self.tr("Go on where it stopped"))
        self.resume.clicked.connect(lambda: self.resume_wanted.emit(self.run_id))
        # Side by side they may be wider than the panel.
        row = FlowLayout()
        row.addWidget(self.predict)
        row.addWidget(self.resume)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GAP + TIGHT, GAP + TIGHT, GAP + TIGHT, GAP + TIGHT)
        layout.setSpacing(GAP)
        layout.addWidget(self.title)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self.hide()

    def show_end(self, job: JobHandle, *, resumable: bool) -> None:
        """Show how a job ended."""
        self.run_id = job.run_id
        result = job.result or {}
        model = result.get("model")
        name = Path(model).stem if model else ""
        took = shown(duration_text(float(result.get("seconds") or max(0.0, time.time() - job.started))))
        self.predict.setVisible(bool(model))
        self.resume.setVisible(resumable and job.state in ("stopped", "failed"))
        if job.state == "finished":
            self.title.setText(self.tr("{name} is trained").format(name=name))
            self.text.setText(
                self.tr("It took {time}.").format(time=took) + " " + ap_sentence(result.get("ap_training"))
            )
        elif job.state == "stopped" and model:
            self.title.setText(self.tr("Stopped; {name} is kept").format(name=name))
            self.text.setText(self.tr("The model knows what it learned so far. It can be used, or trained to the end."))
        elif job.state == "stopped":
            self.title.setText(self.tr("Stopped"))
            self.text.setText(self.tr("It ended before there was a model to keep. Nothing you drew was lost."))
        else:
            sentence, _details = job.error or (self.tr("The training ended with an error."), "")
            self.title.setText(self.tr("The training failed"))
            self.text.setText(sentence)
        self.setAccessibleName(self.title.text())
        self.setAccessibleDescription(self.text.text())
        self.show()
