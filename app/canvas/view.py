"""The widget that shows an image: layers, zoom, linked views; without document and tools."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPalette, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QWidget

from ..project.display import Display, auto_display, channel_count
from .layers import decor
from .layers.cells import Overlay
from .layers.scene import Scene, device_rects
from .viewport import Box, Viewport, ViewState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..annotation.proposal_layer import ProposalLayer
    from ..project.display import Colour
    from .layers.decor import Mark

_ZOOM_STEP = 1.25
_NEAR = 48


class ImageView(QWidget):
    """Shows a plane with what is drawn over it.

    Signals
    -------
    zoom_changed, view_changed, display_changed, overlay_changed
        With the new zoom, `ViewState`, `Display`, `Overlay`.
    """

    zoom_changed = Signal(float)
    view_changed = Signal(object)
    display_changed = Signal(object)
    overlay_changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scene = Scene()
        self._view = Viewport()
        self._links: list[ImageView] = []
        self._following = False
        self._fitted = True
        self._ghost: tuple[float, float] | None = None
        self._hidden = False
        self._waiting = QRect()
        #: Number of moves and zooms; cached positions are valid while it stays the same.
        self.moves = 0
        # Everything is painted by hand, so Qt need not fill the background first.
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(120, 90)

    # Image

    @property
    def plane(self) -> NDArray[Any] | None:
        """The values that are shown."""
        return self.scene.image.plane

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of what is shown; (0, 0) when there is nothing."""
        return self._view.shape

    def set_image(self, plane: NDArray[Any] | None, display: Display | None = None) -> None:
        """Show a plane (H, W) or (H, W, C) of any type; one of the same size keeps zoom and place.

        Without `display` the window levels are chosen from the values; three 8-bit channels are a colour picture.
        """
        if plane is not None and plane.ndim not in (2, 3):
            raise ValueError(f"A plane has rows, columns and perhaps channels; this array has the shape {plane.shape}.")
        self.scene.image.set_plane(plane)
        if plane is not None:
            if display is None or len(display.channels) != channel_count(plane):
                colour = channel_count(plane) in (3, 4) and plane.dtype == np.uint8
                display = auto_display(plane, colour)
            self.scene.image.set_display(display)
            self._set_shape((int(plane.shape[0]), int(plane.shape[1])))
            self.display_changed.emit(display)
        else:
            self._set_shape((0, 0))
        self.update()

    @property
    def display(self) -> Display:
        """How the channels are shown."""
        return self.scene.image.display

    def set_display(self, display: Display) -> None:
        """Show the channels in another way."""
        if display != self.scene.image.display:
            self.scene.image.set_display(display)
            self.display_changed.emit(display)
            self.update()

    def set_image_visible(self, visible: bool) -> None:
        """Show or hide the image under the cells; without it they lie on black."""
        self.scene.image_visible = visible
        self.update()

    def set_pixel_size(self, size_um: tuple[float, float] | None) -> None:
        """Give height and width of a pixel in micrometres, for the scale bar and areas."""
        good = size_um is not None and all(math.isfinite(side) and side > 0 for side in size_um)
        self.scene.pixel_size = size_um if good else None
        self.update()

    # What is drawn over it

    @property
    def overlay(self) -> Overlay:
        """How cells are drawn."""
        return self.scene.cells.overlay

    def set_overlay(self, overlay: Overlay) -> None:
        """Draw cells in another way."""
        if overlay != self.scene.cells.overlay:
            self.scene.cells.set_overlay(overlay)
            self.overlay_changed.emit(overlay)
            self.update()

    def set_reference(
        self, labels: NDArray[np.int32] | None, color: Colour | None = (255, 255, 255), width: int = 2
    ) -> None:
        """Draw the outlines of a second label image over the cells, to compare them."""
        self._fits(labels)
        self.scene.set_reference(labels, Overlay("outline", 0.0, width, color))
        self.update()

    def set_proposals(self, layer: ProposalLayer | None) -> None:
        """Draw proposals over the cells."""
        self._fits(None if layer is None else layer.labels)
        self.scene.proposals.set_layer(layer)
        self.update()

    @property
    def proposals(self) -> ProposalLayer | None:
        """The proposals that are drawn."""
        return self.scene.proposals.layer

    @property
    def proposal_selection(self) -> frozenset[int]:
        """Ids of the marked proposals."""
        return self.scene.proposals.selection

    def select_proposals(self, ids: frozenset[int]) -> None:
        """Mark proposals."""
        self.scene.proposals.select(frozenset(ids))
        self.update()

    def set_marks(self, marks: Sequence[Mark]) -> None:
        """Frame places to look at."""
        self.scene.marks = tuple(marks)
        self.scene.current_mark = -1
        self.update()

    def show_mark(self, index: int) -> None:
        """Go to a mark and show its text; -1: to none."""
        self.scene.current_mark = index
        if 0 <= index < len(self.scene.marks):
            self.show_box(self.scene.marks[index].box)
        self.update()

    def set_hidden(self, hidden: bool) -> None:
        """Hide everything that is drawn over the image."""
        if hidden != self._hidden:
            self._hidden = hidden
            self.scene.masks_visible = not hidden
            self.update()

    # Zoom and place

    @property
    def zoom(self) -> float:
        """Pixels of the screen per image pixel."""
        return self._view.zoom

    @property
    def view_state(self) -> ViewState:
        """Middle and zoom, to come back to later."""
        return self._view.state

    def set_view_state(self, state: ViewState) -> None:
        """Show the same part again."""
        self._view.zoom = self._view.limited(state.zoom)
        self._view.center_on(*state.center)
        self._moved()

    def fit(self) -> None:
        """Show the whole image, and go on doing so when the window changes its size."""
        self._view.fit()
        self._moved(fitted=True)

    def zoom_to(self, factor: float, at: QPointF | None = None) -> None:
        """Set the zoom (1 = 100 %); what is under the point of the widget `at`, or in the middle, stays there."""
        at = QPointF(self.width() / 2, self.height() / 2) if at is None else at
        ratio = self.devicePixelRatioF()
        self._view.zoom_about(factor, at.x() * ratio, at.y() * ratio)
        self._moved()

    def zoom_by(self, steps: float, at: QPointF | None = None) -> None:
        """Zoom in (or out) by steps of a quarter."""
        new = self.zoom * _ZOOM_STEP**steps
        # Whole pixels are what one wants to see; do not step over them.
        if (self.zoom < 1 < new or new < 1 < self.zoom) and abs(steps) <= 1:
            new = 1.0
        self.zoom_to(new, at)

    def center_on(self, x: float, y: float) -> None:
        """Put an image position into the middle."""
        self._view.center_on(x, y)
        self._moved()

    def pan(self, dx: float, dy: float) -> None:
        """Move the image by pixels of the layout."""
        ratio = self.devicePixelRatioF()
        self._view.move(dx * ratio, dy * ratio)
        self._moved()

    def show_box(self, box: Box, *, closely: bool = False) -> None:
        """Bring a box of image pixels into the middle, at a zoom at which it can be judged, unless it is so already."""
        height, width = max(1, box[2] - box[0]), max(1, box[3] - box[1])
        share = max(width * self.zoom / self._view.width, height * self.zoom / self._view.height)
        seen = self._view.visible_box()
        inside = seen[0] <= box[0] and seen[1] <= box[1] and box[2] <= seen[2] and box[3] <= seen[3]
        small = max(width, height) * self.zoom < 24 * self.devicePixelRatioF()
        if inside and not small and not closely and share <= 0.8:
            # It is in sight already: moving the image would only lose what is around it.
            return
        if closely or share > 0.8 or small:
            part = 0.5 if closely else 0.3
            wanted = part * min(self._view.width / width, self._view.height / height)
            self._view.zoom = self._view.limited(min(wanted, 24.0))
        self._view.center_on((box[1] + box[3]) / 2, (box[0] + box[2]) / 2)
        self._moved()

    def reveal(self, box: Box) -> None:
        """Bring a box into view if none of it is seen."""
        seen = self._view.visible_box()
        if box[2] <= seen[0] or box[0] >= seen[2] or box[3] <= seen[1] or box[1] >= seen[3]:
            self.show_box(box)

    def to_widget(self, x: float, y: float) -> QPointF:
        """Position in the widget of an image position."""
        ratio = self.devicePixelRatioF()
        device_x, device_y = self._view.to_device(x, y)
        return QPointF(device_x / ratio, device_y / ratio)

    def to_image(self, at: QPointF) -> tuple[float, float]:
        """Image position of a position in the widget."""
        ratio = self.devicePixelRatioF()
        return self._view.to_image(at.x() * ratio, at.y() * ratio)

    def visible_box(self) -> Box:
        """Image pixels that are seen."""
        return self._view.visible_box()

    # Linked views

    def link(self, other: ImageView) -> None:
        """Let two views show the same part from now on; this one's is taken."""
        if other is self or other in self._links:
            return
        self._links.append(other)
        other._links.append(self)
        other._follow(self.view_state)

    def unlink(self, other: ImageView) -> None:
        """Let them go their own ways."""
        if other in self._links:
            self._links.remove(other)
            other._links.remove(self)

    def _follow(self, state: ViewState) -> None:
        if self._following or not self.shape[0]:
            return
        self._following = True
        try:
            self.set_view_state(state)
        finally:
            self._following = False

    def _point_links(self, at: tuple[float, float] | None) -> None:
        """Show in linked views where the pointer is."""
        for other in self._links:
            other._set_ghost(at)

    def _set_ghost(self, at: tuple[float, float] | None) -> None:
        for place in (self._ghost, at):
            if place is not None:
                spot = self.to_widget(*place)
                self.update(QRectF(spot.x() - 12, spot.y() - 12, 24, 24).toAlignedRect())
        self._ghost = at

    # Qt

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """As much as there is."""
        return QSize(800, 600)

    def background(self) -> QColor:
        """Return the colour beside the image: quieter than the window around it."""
        window = self.palette().color(QPalette.ColorRole.Window)
        return window.darker(108) if window.lightness() > 127 else window.darker(140)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the exposed part."""
        self._waiting = QRect()
        ratio = self.devicePixelRatioF()
        self.scene.set_pixel_ratio(ratio)
        region = event.region()
        few = region.rectCount() <= 6
        rects: list[QRect] = list(region) if few else [region.boundingRect()]  # type: ignore[call-overload]
        painter = QPainter(self)
        painter.save()
        painter.scale(1 / ratio, 1 / ratio)
        self.scene.paint(painter, self._view, device_rects(rects, ratio), ratio, self.background())
        painter.restore()
        painter.save()
        self.paint_over(painter)
        painter.restore()
        painter.save()
        painter.scale(1 / ratio, 1 / ratio)
        self.scene.paint_scale_bar(painter, self._view, ratio, self.font())
        if self._ghost is not None:
            decor.paint_ghost(painter, *self._view.to_device(*self._ghost), ratio)
        painter.restore()
        self.paint_last(painter)
        painter.end()

    def paint_over(self, painter: QPainter) -> None:
        """Draw what is over the image and under the scale bar; for subclasses."""

    def paint_last(self, painter: QPainter) -> None:
        """Draw what is over everything; for subclasses."""

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Keep the middle in the middle, or the image fitted."""
        super().resizeEvent(event)
        self._resize()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Fit the first time: before, the size is not known."""
        super().showEvent(event)
        self._resize()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Follow the palette and the screen."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self.update()

    def event(self, event: QEvent) -> bool:
        """Follow a move to a screen of another scale."""
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._resize()
        return super().event(event)

    def refresh(self, area: QRect) -> None:
        """Draw an area again, together with what is waiting beside it: one rectangle is drawn faster than several."""
        if self._waiting.intersects(area.adjusted(-_NEAR, -_NEAR, _NEAR, _NEAR)):
            self._waiting = self._waiting.united(area)
        else:
            self._waiting = area
        self.update(self._waiting)

    def update_box(self, box: Box) -> None:
        """Draw a box of image pixels again."""
        ratio = self.devicePixelRatioF()
        x0, y0, x1, y1 = self._view.device_rect(box, self.scene.cells.reach())
        x0, y0 = max(0, x0), max(0, y0)
        x1, y1 = min(self._view.width, x1), min(self._view.height, y1)
        if x0 < x1 and y0 < y1:
            left, top = math.floor(x0 / ratio), math.floor(y0 / ratio)
            self.refresh(QRect(left, top, math.ceil(x1 / ratio) - left, math.ceil(y1 / ratio) - top))

    def _set_shape(self, shape: tuple[int, int]) -> None:
        if shape == self._view.shape:
            return
        self._view.shape = shape
        for drop in (self.set_proposals, self.set_reference):
            drop(None)
        self.scene.marks, self.scene.current_mark = (), -1
        self.fit()

    def _fits(self, labels: NDArray[Any] | None) -> None:
        if labels is not None and labels.shape != self.shape:
            raise ValueError(f"Labels of the shape {labels.shape} do not fit an image of {self.shape}.")

    def _resize(self) -> None:
        ratio = self.devicePixelRatioF()
        size = round(self.width() * ratio), round(self.height() * ratio)
        if size != (self._view.width, self._view.height):
            self.moves += 1
            self._view.resize(*size)
            if self._fitted:
                self.fit()
            self.view_changed.emit(self.view_state)

    def _moved(self, *, fitted: bool = False) -> None:
        self.moves += 1
        self._fitted = fitted
        self.update()
        self.zoom_changed.emit(self.zoom)
        state = self.view_state
        self.view_changed.emit(state)
        if not self._following:
            for other in self._links:
                other._follow(state)
