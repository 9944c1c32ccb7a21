"""The start in parts: the start page first, and all that it does not need behind it."""

from __future__ import annotations

import importlib

from PySide6.QtCore import QObject, QTimer, Signal

#: Between the first picture and loading the rest: time for it to reach the screen.
_FIRST_LOOK_MS = 20
#: What the work area is made of, in the order in which it is loaded; each takes less than a blink.
_PARTS = (
    "numpy",
    "cv2",
    "..annotation",
    "..canvas",
    "..session.session",
    "..pages.annotate.panel",
    "..pages.train.panel",
    "..pages.predict.panel",
    "..pages.review.panel",
    "..pages.measure.panel",
    ".project_commands",
    ".help_commands",
    ".wiring",
)


class Loading(QObject):
    """Imports the parts one after the other, so that the window answers between two."""

    #: Everything is imported.
    done = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._left = list(_PARTS)
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._next)
        self._begun = False

    def begin(self) -> None:
        """Begin a moment after the first picture; again: nothing happens."""
        if not self._begun:
            self._begun = True
            QTimer.singleShot(_FIRST_LOOK_MS, self._timer, self._timer.start)

    def stop(self) -> None:
        """Load nothing more: who needs the rest imports it."""
        self._begun = True
        self._left.clear()
        self._timer.stop()

    def _next(self) -> None:
        if self._left:
            importlib.import_module(self._left.pop(0), __package__)
        else:
            self._timer.stop()
            self.done.emit()
