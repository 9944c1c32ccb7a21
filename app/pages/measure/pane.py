"""One view of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtWidgets import (
    QComboBox,
    QVBoxLayout,
    QWidget,
)

from ...canvas.label_view import LabelView
from ...canvas.layers.cells import Overlay
from ...canvas.layers.decor import Mark
from ...project.display import Display
from ...theme import TIGHT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellseg1.evaluation import Mistake

    from ...project.display import Colour


_SOLID = Overlay("fill", 1.0, 1)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The data of one result for all views."""

    plane: NDArray[Any] | None
    display: Display | None
    truth: NDArray[np.int32]
    prediction: NDArray[np.int32]
    errors: NDArray[np.uint8]
    mistakes: tuple[Mistake, ...]
    pixel_size: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Lines:
    """Colours and width of the outlines."""

    truth: Colour = (86, 180, 233)
    prediction: Colour = (240, 160, 32)
    width: int = 2


class Pane(QWidget):
    """One view with a choice of its content."""

    def __init__(self, content: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._loaded: Loaded | None = None
        self._lines = Lines()
        self.view = LabelView()
        self.box = QComboBox()
        self.box.setAccessibleName(self.tr("What this view shows"))
        self.box.setToolTip(self.tr("Choose what this view shows"))
        for key, text in (
            ("image", self.tr("Image")),
            ("truth", self.tr("Outlines of the truth")),
            ("prediction", self.tr("Outlines of the prediction")),
            ("both", self.tr("Both outlines")),
            ("truth_labels", self.tr("Cells of the truth")),
            ("prediction_labels", self.tr("Cells of the prediction")),
            ("errors", self.tr("Errors")),
        ):
            self.box.addItem(text, key)
        self.box.setCurrentIndex(self.box.findData(content))
        self.box.currentIndexChanged.connect(lambda _index: self._show())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(TIGHT)
        layout.addWidget(self.box)
        layout.addWidget(self.view, 1)

    @property
    def content(self) -> str:
        """The shown content."""
        return str(self.box.currentData())

    def set_content(self, content: str) -> None:
        """Show other content."""
        self.box.setCurrentIndex(self.box.findData(content))

    def set_loaded(self, loaded: Loaded | None, lines: Lines) -> None:
        """Show another result, or the same one in other colours."""
        self._loaded, self._lines = loaded, lines
        self._show()

    def _show(self) -> None:
        found, view, lines = self._loaded, self.view, self._lines
        if found is None:
            view.set_image(None)
            return
        content = self.content
        state = view.view_state if view.shape == found.truth.shape else None
        black = np.zeros(found.truth.shape, np.uint8)
        if content == "errors":
            view.set_image(found.errors)
        else:
            plane = found.plane if found.plane is not None else black
            view.set_image(plane, found.display if found.plane is not None else None)
        view.set_image_visible(content not in ("truth_labels", "prediction_labels"))
        view.set_pixel_size(found.pixel_size)
        labels: NDArray[np.int32] | None = None
        overlay = _SOLID
        if content in ("truth", "both", "truth_labels"):
            labels = found.truth
            overlay = Overlay("outline", 0.0, lines.width, lines.truth)
        elif content in ("prediction", "prediction_labels"):
            labels = found.prediction
            overlay = Overlay("outline", 0.0, lines.width, lines.prediction)
        if content.endswith("_labels"):
            overlay = _SOLID
        if view.labels is not labels:
            view.set_labels(labels)
        view.set_overlay(overlay)
        both = found.prediction if content == "both" else None
        view.set_reference(both, lines.prediction, lines.width)
        marks = [Mark(one.kind, one.box) for one in found.mistakes] if content == "errors" else []
        view.set_marks(marks)
        if state is not None:
            view.set_view_state(state)
