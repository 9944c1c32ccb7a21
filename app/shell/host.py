"""What commands use of the window: they know no more of it, and the window knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QWidget

    from ..canvas import Canvas
    from ..preferences.store import PreferencesStore
    from ..session.session import Session


class Host(Protocol):
    """The window as its commands see it.

    Attributes
    ----------
    frame
        The window itself: dialogs stand over it.
    """

    @property
    def frame(self) -> QWidget: ...  # noqa: D102
    @property
    def session(self) -> Session: ...  # noqa: D102
    @property
    def preferences(self) -> PreferencesStore: ...  # noqa: D102
    @property
    def canvas(self) -> Canvas: ...  # noqa: D102

    def say(self, sentence: str, action: str = "", do: Callable[[], None] | None = None) -> None:
        """Show a remark above the canvas for some seconds; longer when there is something to do about it."""

    def show_step(self, name: str) -> None:
        """Show one of the five steps."""

    def when_free(self, call: Callable[[], object]) -> None:
        """Call now, or when no dialog is open and nothing is being added any more."""
