"""An image with a label image to look at: it can be moved and zoomed, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QPointF, Qt

from .input.navigation import by_keyboard, navigate, pinch
from .layers import decor
from .view import ImageView

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QWheelEvent
    from PySide6.QtWidgets import QWidget

    from ..project.display import Display

_PANNING = (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton)


class LabelView(ImageView):
    """Shows an image and the cells of a label image."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pan_from: QPointF | None = None
        self._focus_shown = False
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self.setAccessibleName(self.tr("Image"))
        self.setAccessibleDescription(self.tr("Arrow keys move the image, plus and minus zoom, 0 shows all of it."))

    @property
    def labels(self) -> NDArray[np.int32] | None:
        """The label image that is shown."""
        return self.scene.cells.labels

    def set_labels(self, labels: NDArray[np.int32] | None) -> None:
        """Show the cells of a label image (H, W) of the image's size; None: none.

        Raises
        ------
        ValueError
            When it has another size than the image.
        """
        self._fits(labels)
        if labels is not None:
            self.scene.colours.assign_all(labels)
        self.scene.cells.set_labels(labels)
        self.update()

    def set_image(self, plane: NDArray[Any] | None, display: Display | None = None) -> None:
        """Show another plane; a label image of another size is let go."""
        if self.labels is not None and (plane is None or plane.shape[:2] != self.labels.shape):
            self.set_labels(None)
        super().set_image(plane, display)

    # Mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Take hold of the image."""
        self._focus_shown = False
        if event.button() in _PANNING:
            self._hold(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Move the image, and show in linked views where the pointer is."""
        if self._pan_from is not None:
            step = event.position() - self._pan_from
            self._pan_from = event.position()
            self.pan(step.x(), step.y())
        x, y = self.to_image(event.position())
        height, width = self.shape
        self._point_links((x, y) if 0 <= x < width and 0 <= y < height else None)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Let go of the image."""
        if event.button() in _PANNING:
            self._hold(None)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """Zoom at the pointer."""
        turned = event.angleDelta()
        # With Shift or Alt some systems turn the wheel sideways.
        delta = turned.y() or turned.x()
        if delta:
            self.zoom_by(delta / 120, event.position())
        event.accept()

    def event(self, event: QEvent) -> bool:
        """Zoom with two fingers."""
        return (event.type() == QEvent.Type.NativeGesture and pinch(self, event)) or super().event(event)

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Show the pointer nowhere."""
        self._point_links(None)
        super().leaveEvent(event)

    def _hold(self, at: QPointF | None) -> None:
        self._pan_from = at
        held = at is not None
        self.setCursor(Qt.CursorShape.ClosedHandCursor if held else Qt.CursorShape.OpenHandCursor)

    # Keys

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Move and zoom."""
        if not navigate(self, event):
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Show the focus to those who came by keyboard."""
        self._focus_shown = by_keyboard(event)
        self.update()

    def focusOutEvent(self, _event: QFocusEvent) -> None:  # noqa: N802 - Qt's name
        """Let go of the image: the release of the mouse goes elsewhere."""
        self._hold(None)
        self.update()

    def paint_last(self, painter: QPainter) -> None:
        """Draw the focus."""
        if self.hasFocus() and self._focus_shown:
            decor.paint_focus(painter, self.rect(), self.palette().highlight().color())
