"""Messages above the canvas, in two places: what lasts, and below it what passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ..pages.train.resume import ResumeOffer
from ..widgets.banner import Banner

if TYPE_CHECKING:
    from collections.abc import Callable

_NOTE_MS = 6000
_OFFER_MS = 30_000
_MOST_NOTES = 3
#: Between two messages, in pixels.
_SPACING = 4


class Notes(QWidget):
    """What the window has to say.

    Attributes
    ----------
    storage, waiting, read_only, offer
        What lasts: the project cannot be written; the drawing is busy; the project cannot be changed; a training can
        go on.
    """

    #: The project shall be saved somewhere else.
    save_elsewhere_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.storage = Banner(parent=self)
        self.storage.acted.connect(self.save_elsewhere_wanted)
        self.waiting = Banner(parent=self)
        self.offer = ResumeOffer(self)
        self.read_only = Banner(parent=self)
        self._passing = QVBoxLayout()
        self._passing.setSpacing(_SPACING)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(_SPACING)
        for lasting in (self.storage, self.waiting, self.offer, self.read_only):
            column.addWidget(lasting)
        column.addLayout(self._passing)

    def passing(self) -> list[Banner]:
        """Return the remarks that are shown, the oldest first."""
        items = [self._passing.itemAt(place) for place in range(self._passing.count())]
        widgets = [item.widget() for item in items if item is not None]
        return [one for one in widgets if isinstance(one, Banner)]

    def say(self, sentence: str, action: str = "", do: Callable[[], None] | None = None) -> None:
        """Show a remark for some seconds; longer when there is something to do about it."""
        banner = Banner(sentence, kind="info", action=action, parent=self)
        banner.dismissed.connect(banner.deleteLater)
        if do is not None:
            banner.acted.connect(do)
            banner.acted.connect(banner.dismiss)
        self._passing.addWidget(banner)
        for old in self.passing()[:-_MOST_NOTES]:
            self._remove(old)
        QTimer.singleShot(_NOTE_MS if do is None else _OFFER_MS, banner, banner.dismiss)

    def show_storage(self, sentence: str) -> None:
        """Say that the project cannot be written; an empty sentence ends it."""
        if sentence:
            self.storage.show_message(sentence, "error", self.tr("Save elsewhere..."))
        else:
            self.storage.clear()

    def show_waiting(self, what: str) -> None:
        """Say for as long as it lasts that the drawing is busy."""
        if what:
            self.waiting.show_message(what, dismissable=False)
        else:
            self.waiting.clear()

    def show_read_only(self, why: str) -> None:
        """Say that the project cannot be changed; an empty sentence ends it."""
        if why:
            self.read_only.show_message(why, "warning")
        else:
            self.read_only.clear()

    def clear_passing(self) -> None:
        """Take all remarks away: they were about another project."""
        for banner in self.passing():
            self._remove(banner)

    def _remove(self, banner: Banner) -> None:
        self._passing.removeWidget(banner)
        banner.deleteLater()
