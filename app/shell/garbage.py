"""Cyclic garbage is collected in the window's thread only (docs/decisions/0025-garbage-and-crashes.md)."""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

#: How often it is looked whether there is enough garbage: between two looks a thread that reads large files makes
#: some thousand objects at most.
_EVERY_MS = 100


class Collector(QObject):
    """Collects cyclic garbage between two events of the thread that it is made in, and nowhere else.

    By itself Python collects in whichever thread happens to make an object.  In it die the wrappers of widgets that
    are in a cycle, and a widget must not be touched from another thread while the window paints.

    Attributes
    ----------
    thresholds
        As those of ``gc``: objects for a look at the youngest, and how many looks at one age for one at the next.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.thresholds = gc.get_threshold()
        self._was_enabled = gc.isenabled()
        gc.disable()
        self._timer = QTimer(self, interval=_EVERY_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()

    def look(self) -> None:
        """Collect the oldest generation that is due; Python goes on counting while its own collector is off."""
        due = [
            age for age, (count, most) in enumerate(zip(gc.get_count(), self.thresholds, strict=True)) if count > most
        ]
        if due:
            gc.collect(max(due))

    def settle(self) -> None:
        """Take what is there now for lasting: a look at all that the libraries made takes longer than a blink."""
        gc.freeze()

    def end(self) -> None:
        """Leave it to Python again."""
        self._timer.stop()
        gc.unfreeze()
        if self._was_enabled:
            gc.enable()
