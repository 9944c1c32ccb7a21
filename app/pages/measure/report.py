"""The accuracy report as CSV, picture and PDF: one layout, drawn page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QBuffer, QCoreApplication, QIODevice, QMarginsF, QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPageLayout, QPageSize, QPainter, QPdfWriter, QPen

from cellseg1.errors import OutputError
from cellseg1.evaluation import ImageScore, Report
from cellseg1.files import write_bytes
from cellseg1.tables import csv_bytes

from ...widgets.plots.ap_curve import CurveColours, paint_curve
from .scores import counts

if TYPE_CHECKING:
    from pathlib import Path

_translate = QCoreApplication.translate

#: The page in points: A4 with a margin.
_WIDTH, _HEIGHT, _MARGIN = 595.0, 842.0, 42.0
_ROW = 16.0
_CURVE = 190.0
_COLOURS = CurveColours(QColor("#4a4c52"), QColor("#dcdde0"), QColor("#1f62b8"), QColor("#b9bbc0"))
_INK, _QUIET, _LINE = QColor("#1e1f22"), QColor("#585b62"), QColor("#b9bbc0")


def columns() -> tuple[str, ...]:
    """Return the titles of the table."""
    return (
        _translate("AccuracyReport", "Image"),
        "AP@0.5",
        "AP@0.75",
        "F1",
        "PQ",
        "SEG",
        _translate("AccuracyReport", "missed"),
        _translate("AccuracyReport", "invented"),
        _translate("AccuracyReport", "split"),
        _translate("AccuracyReport", "merged"),
    )


def row_of(score: ImageScore) -> tuple[str | float | int, ...]:
    """Return the row of an image."""
    return (
        score.name,
        at_level(score.ap, 0.5),
        at_level(score.ap, 0.75),
        score.f1,
        score.pq,
        score.seg,
        *counts(score).values(),
    )


def mean_row(report: Report) -> tuple[str | float | int, ...]:
    """Return the last row: means of the scores, sums of the mistakes."""
    each = [counts(image) for image in report.images]
    sums = [sum(one[kind] for one in each) for kind in ("missed", "invented", "split", "merged")]
    means = (at_level(report.ap, 0.5), at_level(report.ap, 0.75), report.f1, report.pq, report.seg)
    return (_translate("AccuracyReport", "mean (errors: sum)"), *means, *sums)


def at_level(ap: dict[float, float], level: float) -> float:
    """Return the AP at a threshold, whatever its last binary digit."""
    return min(ap.items(), key=lambda item: abs(item[0] - level))[1]


@dataclass(frozen=True, slots=True)
class ReportText:
    """What is written over the table."""

    title: str
    lines: tuple[str, ...] = ()


def write_csv(path: Path, report: Report) -> None:
    """Write one row per image with all scores and mistakes, and the mean row.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    kinds = ("missed", "invented", "split", "merged")
    levels = report.thresholds
    single = ("precision", "recall", "f1", "pq", "seg")
    head = ["image", *(f"ap_{level:.2f}" for level in levels), *single, "n_true", "n_predicted", *kinds]
    rows: list[list[object]] = [list(head)]
    for image in report.images:
        found = counts(image)
        rows.append(
            [
                image.name,
                *(f"{image.ap[level]:.6f}" for level in levels),
                *(f"{getattr(image, name):.6f}" for name in single),
                image.n_true,
                image.n_pred,
                *(found[kind] for kind in kinds),
            ]
        )
    number = len(report.images)
    each = [counts(image) for image in report.images]
    rows.append(
        [
            "mean",
            *(f"{report.ap[level]:.6f}" for level in levels),
            *(f"{getattr(report, name):.6f}" for name in single),
            *(f"{sum(values) / number:.6g}" for values in _totals(report)),
            *(f"{sum(one[kind] for one in each) / number:.6g}" for kind in kinds),
        ]
    )
    write_bytes(path, csv_bytes(rows))


def _totals(report: Report) -> tuple[list[int], list[int]]:
    return [image.n_true for image in report.images], [image.n_pred for image in report.images]


def write_png(path: Path, report: Report, text: ReportText, scale: float = 2.0) -> None:
    """Draw the whole report into one tall picture.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    pages = _Pages(report, text)
    # A table of many thousand rows would be no picture any more.
    height = min(pages.height_of_all(), 16_000.0 / scale)
    image = QImage(round(_WIDTH * scale), round(height * scale), QImage.Format.Format_RGB32)
    if image.isNull():
        raise OutputError("There is not enough memory for the picture of the report; save it as PDF or CSV instead.")
    image.fill(QColor("white"))
    painter = QPainter(image)
    painter.scale(scale, scale)
    pages.draw(painter, height)
    painter.end()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    write_bytes(path, bytes(buffer.data().data()))


def write_pdf(path: Path, report: Report, text: ReportText) -> None:
    """Write the report as a PDF of A4 pages.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    page = QPageSize(QSizeF(_WIDTH, _HEIGHT), QPageSize.Unit.Point, "A4", QPageSize.SizeMatchPolicy.ExactMatch)
    writer.setPageLayout(QPageLayout(page, QPageLayout.Orientation.Portrait, QMarginsF(0, 0, 0, 0)))
    writer.setResolution(288)
    writer.setTitle(text.title)
    writer.setCreator("CellSeg1 Studio")
    painter = QPainter()
    if not painter.begin(writer):
        raise OutputError("The PDF could not be made; save the report as PNG or CSV instead.")
    painter.scale(288 / 72, 288 / 72)
    pages = _Pages(report, text)
    while not pages.draw(painter, _HEIGHT):
        writer.newPage()
    painter.end()
    buffer.close()
    write_bytes(path, bytes(buffer.data().data()))


class _Pages:
    """Draws the report from where the page before ended."""

    def __init__(self, report: Report, text: ReportText) -> None:
        self.report = report
        self.text = text
        self.rows: list[Sequence[str | float | int]] = [row_of(image) for image in report.images]
        self.next = 0
        self.first = True

    def height_of_all(self) -> float:
        """Return the height of a page that holds everything."""
        return self._head() + _ROW * (len(self.rows) + 2) + 2 * _MARGIN + 8

    def _head(self) -> float:
        return 30 + 14 * len(self.text.lines) + _CURVE + 24

    def draw(self, painter: QPainter, height: float) -> bool:
        """Draw a page of this height; returns whether everything is drawn now."""
        y = _MARGIN
        if self.first:
            y = self._draw_head(painter, y)
            self.first = False
        y = self._draw_titles(painter, y)
        while self.next < len(self.rows):
            # The mean stays with the last row.
            need = _ROW * (2 if self.next == len(self.rows) - 1 else 1)
            if y + need > height - _MARGIN:
                return False
            self._draw_row(painter, y, self.rows[self.next])
            y += _ROW
            self.next += 1
        painter.setPen(QPen(_LINE, 0.7))
        painter.drawLine(QPointF(_MARGIN, y), QPointF(_WIDTH - _MARGIN, y))
        self._draw_row(painter, y, mean_row(self.report), bold=True)
        return True

    def _draw_head(self, painter: QPainter, y: float) -> float:
        painter.setFont(_font(15, bold=True))
        painter.setPen(_INK)
        width = _WIDTH - 2 * _MARGIN
        painter.drawText(QRectF(_MARGIN, y, width, 22), Qt.AlignmentFlag.AlignVCenter, self.text.title)
        y += 26
        painter.setFont(_font(9))
        painter.setPen(_QUIET)
        for line in self.text.lines:
            shown = QFontMetricsF(painter.font()).elidedText(line, Qt.TextElideMode.ElideMiddle, width)
            painter.drawText(QRectF(_MARGIN, y, width, 14), Qt.AlignmentFlag.AlignVCenter, shown)
            y += 14
        y += 8
        painter.setFont(_font(8))
        paint_curve(painter, QRectF(_MARGIN, y, min(width, 340.0), _CURVE), self.report, _COLOURS)
        return y + _CURVE + 16

    def _draw_titles(self, painter: QPainter, y: float) -> float:
        self._draw_row(painter, y, columns(), bold=True)
        painter.setPen(QPen(_LINE, 0.7))
        painter.drawLine(QPointF(_MARGIN, y + _ROW), QPointF(_WIDTH - _MARGIN, y + _ROW))
        return y + _ROW

    def _draw_row(
        self, painter: QPainter, y: float, values: Sequence[str | float | int], *, bold: bool = False
    ) -> None:
        painter.setFont(_font(8, bold=bold))
        painter.setPen(_INK)
        number = len(values) - 1
        width = 45.0
        name = _WIDTH - 2 * _MARGIN - number * width
        metrics = QFontMetricsF(painter.font())
        first = metrics.elidedText(str(values[0]), Qt.TextElideMode.ElideMiddle, name - 6)
        painter.drawText(QRectF(_MARGIN, y, name, _ROW), Qt.AlignmentFlag.AlignVCenter, first)
        for place, value in enumerate(values[1:]):
            box = QRectF(_MARGIN + name + place * width, y, width, _ROW)
            shown = f"{value:.3f}" if isinstance(value, float) else str(value)
            painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, shown)


def _font(points: int, *, bold: bool = False) -> QFont:
    """Return a font measured in the page's points: the painter is scaled, so its pixels are points."""
    font = QFont()
    font.setPixelSize(points)
    if bold:
        font.setWeight(QFont.Weight.DemiBold)
    return font
