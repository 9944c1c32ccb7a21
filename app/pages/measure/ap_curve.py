"""The curve of average precision over the overlap that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPalette,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from cellseg1.evaluation import Report

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


def plot_area(area: QRectF, font: QFont) -> QRectF:
    """Return the part of `area` inside the axes."""
    metrics = QFontMetricsF(font)
    left = metrics.horizontalAdvance("0.0") + 8
    bottom = 2 * metrics.height() + 6
    return area.adjusted(left, metrics.height() + 6, -metrics.horizontalAdvance("0.95") / 2 - 2, -bottom)


def paint_curve(
    painter: QPainter, area: QRectF, report: Report, colours: CurveColours, chosen: str | None = None
) -> None:
    """Draw axes, a thin line for each image and a thick one for the mean; `chosen` is drawn as thick as that."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    font = painter.font()
    metrics = QFontMetricsF(font)
    plot = plot_area(area, font)
    levels = report.thresholds
    _paint_axes(painter, area, plot, levels, colours, metrics)
    if len(report.images) > 1:
        for image in report.images[:_MOST_LINES]:
            if image.name != chosen:
                _paint_line(painter, plot, levels, [image.ap[level] for level in levels], colours.single, 1.0)
    if chosen is not None:
        for image in report.images:
            if image.name == chosen:
                pen_colour = colours.text
                _paint_line(painter, plot, levels, [image.ap[level] for level in levels], pen_colour, 1.5)
                break
    mean = report.ap
    _paint_line(painter, plot, levels, [mean[level] for level in levels], colours.line, 2.5)
    painter.restore()


def _place(plot: QRectF, levels: Sequence[float], index: int, value: float) -> QPointF:
    low, high = levels[0], levels[-1]
    share = 0.5 if high <= low else (levels[index] - low) / (high - low)
    return QPointF(plot.left() + share * plot.width(), plot.bottom() - value * plot.height())


def _paint_axes(
    painter: QPainter,
    area: QRectF,
    plot: QRectF,
    levels: Sequence[float],
    colours: CurveColours,
    metrics: QFontMetricsF,
) -> None:
    line = metrics.height()
    for step in range(6):
        value = step / 5
        y = plot.bottom() - value * plot.height()
        painter.setPen(QPen(colours.grid, 1))
        painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
        painter.setPen(colours.text)
        box = QRectF(area.left(), y - line / 2, plot.left() - area.left() - 6, line)
        painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{value:.1f}")
    room = metrics.horizontalAdvance("0.95") + 8
    shown = -room
    for index, level in enumerate(levels):
        place = _place(plot, levels, index, 0)
        # The last number is always there; one that would touch it is left out.
        last = index == len(levels) - 1
        if not last and (place.x() - shown < room or plot.right() - place.x() < room):
            continue
        shown = place.x()
        box = QRectF(place.x() - room / 2, plot.bottom() + 3, room, line)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"{level:.2f}".rstrip("0") if level != 1 else "1.0")
    under = QRectF(plot.left(), plot.bottom() + 3 + line, plot.width(), line)
    painter.drawText(under, Qt.AlignmentFlag.AlignCenter, _translate("ApCurve", "overlap asked for (IoU)"))
    over = QRectF(area.left(), area.top(), area.width(), line)
    painter.drawText(
        over, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, _translate("ApCurve", "average precision")
    )


def _paint_line(
    painter: QPainter, plot: QRectF, levels: Sequence[float], values: Sequence[float], colour: QColor, width: float
) -> None:
    path = QPainterPath()
    for index, value in enumerate(values):
        place = _place(plot, levels, index, value)
        if index:
            path.lineTo(place)
        else:
            path.moveTo(place)
    pen = QPen(colour, width)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPath(path)
    if width > 2:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        for index, value in enumerate(values):
            painter.drawEllipse(_place(plot, levels, index, value), width + 0.5, width + 0.5)


class ApCurve(QWidget):
    """Shows the curve; the pointer over it tells the numbers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.report: Report | None = None
        self._chosen: str | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
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
        font = QFont(self.font())
        font.setPixelSize(max(11, round(self.fontInfo().pixelSize() * 0.85)))
        painter.setFont(font)
        paint_curve(painter, QRectF(self.rect()), self.report, self.colours(), self._chosen)
        painter.end()

    def value_at(self, x: float) -> tuple[float, float] | None:
        """Return the threshold nearest to a place, and the mean AP there."""
        if self.report is None:
            return None
        font = QFont(self.font())
        font.setPixelSize(max(11, round(self.fontInfo().pixelSize() * 0.85)))
        plot = plot_area(QRectF(self.rect()), font)
        levels = self.report.thresholds
        nearest = min(range(len(levels)), key=lambda i: abs(_place(plot, levels, i, 0).x() - x))
        return levels[nearest], self.report.ap[levels[nearest]]

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
