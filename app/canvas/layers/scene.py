"""All layers of an image, drawn in order; knows no mouse and no keys.

The canvas draws it to the screen, `app.canvas.picture` into a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QColor, QFont, QPainter

from . import decor
from .cell_colours import CellColours
from .cells import LabelLayer, Overlay
from .image import ImageLayer
from .proposals import ProposalTiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PySide6.QtCore import QRect

    from ..viewport import Box, Viewport
    from .cell_colours import Cells
    from .tiles import Rect


class Scene:
    """The layers of one view."""

    def __init__(self) -> None:
        self.image = ImageLayer()
        self.colours = CellColours()
        self.cells = LabelLayer(self.colours)
        self._reference_colours = CellColours()
        self.reference = LabelLayer(self._reference_colours)
        self.proposals = ProposalTiles()
        self.region: Sequence[float] | None = None
        self.marks: Sequence[decor.Mark] = ()
        self.current_mark = -1
        self.pixel_size: tuple[float, float] | None = None
        self.image_visible = True
        self.masks_visible = True

    def set_reference(self, labels: NDArray[np.int32] | None, overlay: Overlay) -> None:
        """Draw a second label image, as outlines in one colour or as cells."""
        if labels is not None:
            self._reference_colours.reserve(int(labels.max(initial=0)))
            if overlay.color is None:
                self._reference_colours.assign_all(labels)
        self.reference.overlay = overlay
        self.reference.set_labels(labels)

    def set_pixel_ratio(self, ratio: float) -> None:
        """Take over how many device pixels a line of one pixel has."""
        if ratio != self.cells.pixel_ratio:
            for layer in (self.cells, self.reference, self.proposals):
                layer.pixel_ratio = ratio
                layer.clear()

    def cells_changed(self, box: Box, table: Cells, *, live: bool) -> list[Box]:
        """Take over a change of the label image; return the boxes that look different now."""
        labels = self.cells.labels
        if labels is None:
            return []
        boxes = [box]
        if live:
            given = self.colours.meet(labels, box)
        else:
            given, others = self.colours.update(labels, box, table)
            boxes += [other for other in map(table.box, others) if other is not None]
        if given:
            self.cells.refresh_tables()
        for changed in boxes:
            self.cells.invalidate(changed)
        return boxes

    def cells_touch(self, pairs: NDArray[np.int64], table: Cells) -> list[Box]:
        """Give cells that touch each other colours that differ; return the boxes that look different now."""
        labels = self.cells.labels
        if labels is None:
            return []
        given, others = self.colours.part(labels, pairs, table)
        boxes = [other for other in map(table.box, others) if other is not None]
        if given:
            self.cells.refresh_tables()
        for changed in boxes:
            self.cells.invalidate(changed)
        return boxes

    def clear_tiles(self) -> None:
        """Throw away all that can be drawn again."""
        for layer in (self.image, self.cells, self.reference, self.proposals):
            layer.clear()

    def paint(
        self, painter: QPainter, view: Viewport, exposed: Iterable[Rect], unit: float, background: QColor | None
    ) -> None:
        """Draw the exposed rectangles; the painter counts in device pixels."""
        layers = [self.image] if self.image_visible else []
        if self.masks_visible:
            layers += [self.cells, self.reference, self.proposals]  # type: ignore[list-item]
        for rect in exposed:
            if background is not None:
                painter.fillRect(rect[0], rect[1], rect[2] - rect[0], rect[3] - rect[1], background)
            if not view.shape[0] or not view.shape[1]:
                continue
            if not self.image_visible or self.image.plane is None:
                width, height = view.image_size()
                x0, y0 = max(rect[0], view.left), max(rect[1], view.top)
                x1, y1 = min(rect[2], view.left + width), min(rect[3], view.top + height)
                if x1 > x0 and y1 > y0:
                    painter.fillRect(x0, y0, x1 - x0, y1 - y0, QColor("black"))
            for layer in layers:
                layer.paint(painter, view, rect)
            decor.paint_grid(painter, view, rect)
        if self.region is not None and view.shape[0]:
            decor.paint_region(painter, view, self.region, unit)
        if self.marks and self.masks_visible:
            decor.paint_marks(painter, view, self.marks, self.current_mark, unit)

    def paint_scale_bar(self, painter: QPainter, view: Viewport, unit: float, font: QFont) -> None:
        """Draw the scale bar, if there is an image."""
        if view.shape[0] and view.shape[1]:
            across = None if self.pixel_size is None else self.pixel_size[1]
            decor.paint_scale_bar(painter, view, across, unit, font)


def device_rects(rects: Iterable[QRect], ratio: float) -> list[Rect]:
    """Rectangles of the layout in device pixels, rounded outwards."""
    found = []
    for rect in rects:
        x0, y0 = int(rect.x() * ratio), int(rect.y() * ratio)
        x1, y1 = (rect.x() + rect.width()) * ratio, (rect.y() + rect.height()) * ratio
        found.append((x0 if rect.x() >= 0 else x0 - 1, y0 if rect.y() >= 0 else y0 - 1, -int(-x1 // 1), -int(-y1 // 1)))
    return found
