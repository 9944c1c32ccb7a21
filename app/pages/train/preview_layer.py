"""The preview of a model in training over the training image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from ...annotation.proposal_layer import ProposalLayer
from ...session.planes import Plane

if TYPE_CHECKING:
    from ...canvas import Canvas
    from ...engine.jobs import TrainingPreview
    from ...session.session import Session


class PreviewLayer(QObject):
    """Shows the prediction of the model in training over the training image while that image is shown.

    It is a separate layer of proposals, hidden while another panel is shown.
    """

    changed = Signal()

    def __init__(self, session: Session, canvas: Canvas, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._canvas = canvas
        self.planes: list[Plane] = []
        self.preview: TrainingPreview | None = None
        self.wanted = True
        self.active = False
        self._layer: ProposalLayer | None = None
        self._made: tuple[TrainingPreview, ProposalLayer] | None = None
        # Connected after the window, which removes all proposals when the image or the step changes.
        self._soon = QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self.show_now)
        session.image_changed.connect(self._soon.start)
        session.proposals.changed.connect(self._soon.start)

    def set_planes(self, planes: list[Plane]) -> None:
        """Set the training planes in the order of the job; an earlier preview is dropped."""
        self.planes = planes
        self.set_preview(None)

    def set_preview(self, preview: TrainingPreview | None) -> None:
        """Show another preview."""
        self.preview = preview
        self.show_now()
        self.changed.emit()

    def set_wanted(self, wanted: bool) -> None:
        """Show or hide it."""
        self.wanted = wanted
        self.show_now()

    def set_active(self, active: bool) -> None:
        """Tell the layer whether the panel is shown."""
        self.active = active
        if active:
            self._soon.start()
        else:
            self.show_now()

    @property
    def plane(self) -> Plane | None:
        """The plane that the preview belongs to."""
        if self.preview is None or self.preview.image >= len(self.planes):
            return None
        return self.planes[self.preview.image]

    @property
    def here(self) -> bool:
        """Whether the plane of the preview is shown."""
        session = self._session
        return self.plane is not None and self.plane == (session.image_id, session.z, session.t)

    def show_now(self) -> None:
        """Update the canvas."""
        session = self._session
        preview, plane = self.preview, session.plane
        if self.active and self.wanted and self.here and preview is not None and plane is not None:
            layer = self._layer_of(preview, (plane.shape[0], plane.shape[1]))
            if layer is not None and self._canvas.shape == layer.labels.shape:
                self._layer = layer
                if self._canvas.proposals is not layer:
                    self._canvas.set_proposals(layer)
                return
        if self._layer is not None:
            mine = self._canvas.proposals is self._layer
            self._layer = None
            if mine:
                self._canvas.set_proposals(None)

    def _layer_of(self, preview: TrainingPreview, shape: tuple[int, int]) -> ProposalLayer | None:
        if self._made is not None and self._made[0] is preview and self._made[1].labels.shape == shape:
            return self._made[1]
        top, left, bottom, right = preview.box
        if bottom > shape[0] or right > shape[1] or preview.labels.shape != (bottom - top, right - left):
            return None
        labels = np.zeros(shape, np.int32)
        labels[top:bottom, left:right] = preview.labels
        layer = ProposalLayer(labels=labels, score=np.ones(int(labels.max(initial=0)) + 1, np.float32))
        self._made = preview, layer
        return layer
