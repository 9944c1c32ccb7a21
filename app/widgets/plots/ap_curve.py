"""The curve of average precision over the overlap that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from cellseg1.evaluation import Report

from .plot import Axes, Plot, line_pen, nearest

_translate = QCoreApplication.translate

#: More lines than this say nothing more.
_MOST_LINES = 40


@dataclass(frozen=True, slots=True)
class CurveColours:
    """What the curve is drawn in."""

    text: QColor
    grid: QColor
    line: QColor
    single: QColor


def axes_in(area: QRectF, font: QFont, levels: Sequence[float]) -> Axes:
    """Return the axes of a curve over these levels in `area`."""
    metrics = QFontMetricsF(font)
    left = metrics.horizontalAdvance("0.0") + 8
    bottom = 2 * metrics.height() + 6
    place = area.adjusted(left, metrics.height() + 6, -metrics.horizontalAdvance("0.95") / 2 - 2, -bottom)
    return Axes(place, levels[0], levels[-1], 0, 1)


def paint_curve(
    painter: QPainter, area: QRectF, report: Report, colours: CurveColours, chosen: str | None = None
) -> None:
    """Draw axes, a thin line for each image and a thick one for the mean; `chosen` is drawn as thick as that."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    levels = report.thresholds
    axes = axes_in(area, painter.font(), levels)
    _paint_axes(painter, area, axes, levels, colours)

    def line(values: Mapping[float, float], colour: QColor, width: float) -> None:
        painter.setPen(line_pen(colour, width))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(axes.path(levels, [values[level] for level in levels]))

    if len(report.images) > 1:
        for image in report.images[:_MOST_LINES]:
            if image.name != chosen:
                line(image.ap, colours.single, 1.0)
    here = next((image for image in report.images if image.name == chosen), None)
    if here is not None:
        line(here.ap, colours.text, 1.5)
    line(report.ap, colours.line, 2.5)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colours.line)
    for level in levels:
        painter.drawEllipse(axes.at(level, report.ap[level]), 3.0, 3.0)
    painter.restore()


def _paint_axes(painter: QPainter, area: QRectF, axes: Axes, levels: Sequence[float], colours: CurveColours) -> None:
    metrics, place = QFontMetricsF(painter.font()), axes.place
    line = metrics.height()
    marks = [(step / 5, f"{step / 5:.1f}") for step in range(6)]
    Plot.paint_grid(painter, axes, marks, (area.left(), place.left() - 6), line, (colours.grid, colours.text))
    room = metrics.horizontalAdvance("0.95") + 8
    shown = -room
    for index, level in enumerate(levels):
        x = axes.at(level, 0).x()
        # The last number is always there; one that would touch it is left out.
        last = index == len(levels) - 1
        if not last and (x - shown < room or place.right() - x < room):
            continue
        shown = x
        box = QRectF(x - room / 2, place.bottom() + 3, room, line)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"{level:.2f}".rstrip("0") if level != 1 else "1.0")
    under = QRectF(place.left(), place.bottom() + 3 + line, place.width(), line)
    painter.drawText(under, Qt.AlignmentFlag.AlignCenter, _translate("ApCurve", "overlap asked for (IoU)"))
    over = QRectF(area.left(), area.top(), area.width(), line)
    painter.drawText(
        over, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, _translate("ApCurve", "average precision")
    )


class ApCurve(Plot):
    """Shows the curve; the pointer over it tells the numbers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.report: Report | None = None
        self._chosen: str | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Average precision curve"))

    def set_report(self, report: Report | None) -> None:
        """Show the curve of a report."""
        self.report = report
        self._chosen = None
        self.setAccessibleDescription(self._words())
        self.update()

    def set_chosen(self, name: str | None) -> None:
        """Make the line of one image stand out."""
        if name != self._chosen:
            self._chosen = name
            self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a height that grows with the font."""
        return QSize(240, self.fontMetrics().height() * 12)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the least that can be read."""
        return QSize(160, self.fontMetrics().height() * 12)

    def _words(self) -> str:
        if self.report is None:
            return ""
        return "; ".join(
            self.tr("{ap} at an overlap of {level}").format(ap=f"{value:.2f}", level=f"{level:.2f}")
            for level, value in self.report.ap.items()
        )

    def colours(self) -> CurveColours:
        """Return the colours of the palette."""
        palette = self.palette()
        text = palette.color(QPalette.ColorRole.PlaceholderText)
        grid = palette.color(QPalette.ColorRole.WindowText)
        single = QColor(grid)
        grid.setAlpha(28)
        single.setAlpha(70)
        return CurveColours(text, grid, palette.color(QPalette.ColorRole.Highlight), single)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the curve."""
        if self.report is None:
            return
        painter = QPainter(self)
        painter.setFont(self._small())
        paint_curve(painter, QRectF(self.rect()), self.report, self.colours(), self._chosen)
        painter.end()

    def _small(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(max(11, round(self.fontInfo().pixelSize() * 0.85)))
        return font

    def value_at(self, x: float) -> tuple[float, float] | None:
        """Return the threshold nearest to a place, and the mean AP there."""
        if self.report is None:
            return None
        levels = self.report.thresholds
        axes = axes_in(QRectF(self.rect()), self._small(), levels)
        level = levels[nearest(levels, axes.x_at(x))]
        return level, self.report.ap[level]

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Tell the numbers."""
        self._tell(event.position(), event.globalPosition())
        super().mouseMoveEvent(event)

    def event(self, event: QEvent) -> bool:
        """Tell the numbers where a tooltip is asked for."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            self._tell(QPointF(event.pos()), QPointF(event.globalPos()))
            return True
        return super().event(event)

    def _tell(self, at: QPointF, on_screen: QPointF) -> None:
        found = self.value_at(at.x())
        if found is not None:
            text = self.tr("AP {ap} at an overlap of {level}").format(ap=f"{found[1]:.3f}", level=f"{found[0]:.2f}")
            QToolTip.showText(on_screen.toPoint(), text, self)
