"""An operation that takes long, done on a copy of the document in another thread and then taken over at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from .steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cellseg1.masks import Box

    from .document import Document


class Aside:
    """One operation on a copy.

    Made and taken over in the thread of the document, worked on in any other.

    Attributes
    ----------
    step
        What the operation did; None when it changed nothing, or before `work`.
    value
        What the operation returned.
    """

    def __init__(self, document: Document) -> None:
        self._since = document.revision
        self._twin = document.twin()
        self.step: Step | None = None
        self.value: Any = None

    def work(self, operation: Callable[[Document], Any]) -> None:
        """Do it on the copy; it may make one step.

        Raises
        ------
        RuntimeError
            When it makes several.
        """
        catcher = _Catcher()
        self._twin.log = catcher
        self.value = operation(self._twin)
        self._twin.log = None
        if len(catcher.payloads) > 1:
            raise RuntimeError("An operation beside the document must be one step.")
        if catcher.payloads:
            self.step = Step.from_payload(catcher.payloads[0], self._twin.shape)

    @property
    def labels(self) -> NDArray[Any]:
        """The (H, W) label image after the operation."""
        return self._twin.labels

    @property
    def box(self) -> Box | None:
        """Where it changed pixels."""
        return None if self.step is None else self.step.box

    def take_over(self, document: Document) -> bool:
        """Make it a step of the document; False when the document is another than it was, and nothing happens."""
        if document.revision != self._since or document.editing:
            return False
        if self.step is not None:
            document.adopt(self._twin, self.step)
        return True


class _Catcher:
    """Keeps what a document would write down."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def append(self, kind: Literal["step", "undo", "redo"], payload: bytes) -> int:
        if kind != "step":
            raise RuntimeError("An operation beside the document cannot undo.")
        self.payloads.append(payload)
        return len(self.payloads) - 1

    def read(self, token: int) -> bytes:
        return self.payloads[token]
