"""The rows of the image list: what a row says, which rows are shown, and how one is drawn."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import (
    QAbstractListModel,
    QCoreApplication,
    QLocale,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QFont, QFontMetrics, QImage, QPainter, QPainterPath, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from ...theme import RADIUS, colours, tabular
from ...widgets.plain import one_line, plain_tip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from PySide6.QtGui import QColor

    Index = QModelIndex | QPersistentModelIndex

#: Every state an image can be in, in the order of the work.
STATES = ("new", "annotated", "training", "predicted", "checked")
#: What the state filter offers besides the states themselves.
ALL, UNCHECKED, PROBLEM = "all", "unchecked", "problem"

#: Side of a thumbnail as it is kept; drawn at `_THUMB`, so that it is sharp on a 200 % screen.
_KEPT_SIDE = 96
#: Thumbnails kept in memory (about 36 kB each); the others are asked for again when they come into view.
_KEPT_THUMBNAILS = 600
_THUMB = 40
_MARGIN = 8


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image as the list shows it.

    Attributes
    ----------
    id, name
        The image's id in the project, and its file name.
    state
        One of `STATES`.
    cells
        Cells drawn or accepted; None when that is not known yet.
    thumbnail
        File of its thumbnail, None when there is none yet.  A changed path makes the list ask again.
    problem
        A short word shown in place of the state ("missing"), empty when all is well.
    """

    id: str
    name: str
    state: str = "new"
    cells: int | None = None
    thumbnail: Path | None = None
    problem: str = ""


class Role(IntEnum):
    """Item data besides Qt's own roles."""

    ROW = Qt.ItemDataRole.UserRole + 1
    THUMBNAIL = Qt.ItemDataRole.UserRole + 2


def state_word(state: str) -> str:
    """Return the word for a state in the user's language."""
    words = {
        "new": QCoreApplication.translate("ImageList", "new"),
        "annotated": QCoreApplication.translate("ImageList", "annotated"),
        "training": QCoreApplication.translate("ImageList", "training"),
        "predicted": QCoreApplication.translate("ImageList", "predicted"),
        "checked": QCoreApplication.translate("ImageList", "checked"),
    }
    return words.get(state, state)


def cells_text(cells: int | None) -> str:
    """Return a cell count for the eye: a dash where nothing is drawn."""
    return QLocale().toString(cells) if cells else "–"


class ImageModel(QAbstractListModel):
    """The rows that pass the filter, in the order they were given.

    Filling it is one assignment and one pass of the filter: nothing is computed, read or drawn per row until the row
    comes into view.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: dict[str, ImageRow] = {}
        self._shown: list[str] = []
        self._place: dict[str, int] | None = None
        self._text = ""
        self._state = ALL
        self._thumbnails: OrderedDict[str, QPixmap] = OrderedDict()
        self._asked: set[str] = set()
        self._stale: set[str] = set()
        self._kept: str | None = None

    # ---- Qt's interface

    def rowCount(self, parent: Index | None = None) -> int:  # noqa: N802 - Qt's name
        """Return the number of shown rows."""
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what Qt, the delegate or a screen reader asks for."""
        if not index.isValid() or index.row() >= len(self._shown):
            return None
        row = self._rows[self._shown[index.row()]]
        if role == Qt.ItemDataRole.DisplayRole:
            return row.name
        if role == Role.ROW:
            return row
        if role == Role.THUMBNAIL:
            return self._thumbnails.get(row.id)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self._spoken(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(f"{row.name}\n{self._spoken(row).removeprefix(row.name + ', ')}")
        return None

    def _spoken(self, row: ImageRow) -> str:
        if row.cells == 1:
            cells = QCoreApplication.translate("ImageList", "1 cell")
        elif row.cells:
            cells = QCoreApplication.translate("ImageList", "{n} cells").format(n=row.cells)
        else:
            cells = QCoreApplication.translate("ImageList", "no cells")
        return f"{row.name}, {row.problem or state_word(row.state)}, {cells}"

    # ---- rows

    @property
    def rows(self) -> list[ImageRow]:
        """All rows, the filtered ones too."""
        return list(self._rows.values())

    @property
    def shown(self) -> list[str]:
        """The ids of the rows that pass the filter."""
        return list(self._shown)

    @property
    def total(self) -> int:
        """The number of all rows."""
        return len(self._rows)

    def row_of(self, image_id: str) -> ImageRow | None:
        """Return the row of an image, None when it is not in the list."""
        return self._rows.get(image_id)

    def index_of(self, image_id: str) -> QModelIndex:
        """Return the index of a shown image, an invalid one when it is filtered out."""
        if self._place is None:
            self._place = {one: place for place, one in enumerate(self._shown)}
        place = self._place.get(image_id)
        return QModelIndex() if place is None else self.index(place)

    def set_rows(self, rows: Iterable[ImageRow]) -> None:
        """Show these rows instead; thumbnails of images that stay are kept."""
        self.beginResetModel()
        old, self._rows = self._rows, {row.id: row for row in rows}
        for gone in old.keys() - self._rows.keys():
            self._thumbnails.pop(gone, None)
        self._asked.clear()
        self._stale.clear()
        self._pass_filter()
        self.endResetModel()

    def update_row(self, row: ImageRow) -> None:
        """Replace the row of the same id; a row of a new id is added at the end."""
        old = self._rows.get(row.id)
        self._rows[row.id] = row
        if old is not None and old.thumbnail != row.thumbnail:
            self._asked.discard(row.id)
            self._stale.add(row.id)
        index = self.index_of(row.id)
        if index.isValid() == self._passes(row):
            if index.isValid():
                self.dataChanged.emit(index, index)
            return
        if index.isValid():
            self.beginRemoveRows(QModelIndex(), index.row(), index.row())
            self._shown.remove(row.id)
            self._place = None
            self.endRemoveRows()
            return
        place = self._place_for(row.id) if old is not None else len(self._shown)
        self.beginInsertRows(QModelIndex(), place, place)
        self._shown.insert(place, row.id)
        self._place = None
        self.endInsertRows()

    def _place_for(self, image_id: str) -> int:
        before = set()
        for one in self._rows:
            if one == image_id:
                break
            before.add(one)
        return sum(one in before for one in self._shown)

    # ---- filter

    def set_filter(self, text: str, state: str, keep: str | None = None) -> None:
        """Show the rows whose name contains `text` and whose state is `state` (or `ALL`, `UNCHECKED`, `PROBLEM`).

        `keep` stays in the list whatever its state becomes: an image does not vanish under the user's hands when
        marking it as checked takes it out of the filter.
        """
        self.beginResetModel()
        self._text, self._state, self._kept = text.casefold().strip(), state, None
        self._pass_filter()
        self._kept = keep if keep in self._shown else None
        self.endResetModel()

    def keep(self, image_id: str | None) -> None:
        """Keep another row than the present one in the list; the old one goes when it no longer passes."""
        old, self._kept = self._kept, image_id
        if old is not None and old != image_id and (row := self._rows.get(old)) is not None:
            self.update_row(row)

    def _passes(self, row: ImageRow) -> bool:
        if row.id == self._kept:
            return True
        if self._text and self._text not in row.name.casefold():
            return False
        if self._state == ALL:
            return True
        if self._state == UNCHECKED:
            return row.state != "checked"
        if self._state == PROBLEM:
            return bool(row.problem)
        return row.state == self._state

    def _pass_filter(self) -> None:
        if self._text or self._state != ALL:
            self._shown = [row.id for row in self._rows.values() if self._passes(row)]
        else:
            self._shown = list(self._rows)
        self._place = None

    # ---- thumbnails

    def wanted(self, places: Sequence[int]) -> list[str]:
        """Return the images at these places whose thumbnail must be asked for, and note that they were."""
        found = []
        for place in places:
            image_id = self._shown[place]
            if image_id in self._thumbnails:
                self._thumbnails.move_to_end(image_id)
                if image_id not in self._stale:
                    continue
            if image_id not in self._asked:
                self._asked.add(image_id)
                found.append(image_id)
        return found

    def set_thumbnail(self, image_id: str, image: QImage) -> None:
        """Take a thumbnail; one for an image that has left the list is ignored."""
        if image_id not in self._rows or image.isNull():
            return
        if max(image.width(), image.height()) > _KEPT_SIDE:
            image = image.scaled(
                _KEPT_SIDE,
                _KEPT_SIDE,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        self._stale.discard(image_id)
        self._thumbnails[image_id] = QPixmap.fromImage(image)
        self._thumbnails.move_to_end(image_id)
        while len(self._thumbnails) > _KEPT_THUMBNAILS:
            gone, _ = self._thumbnails.popitem(last=False)
            self._asked.discard(gone)
        index = self.index_of(image_id)
        if index.isValid():
            self.dataChanged.emit(index, index, [Role.THUMBNAIL])

    def renew_thumbnail(self, image_id: str) -> None:
        """Ask for the thumbnail again (its cells have changed); the old one is shown until then."""
        self._asked.discard(image_id)
        self._stale.add(image_id)
        if (index := self.index_of(image_id)).isValid():
            self.dataChanged.emit(index, index, [Role.THUMBNAIL])


def draw_mark(painter: QPainter, box: QRectF, state: str, colour: QColor) -> None:
    """Draw the mark of a state; each is told from the others by its shape, not by its colour."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    pen = QPen(colour, 1.4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    side, middle = box.width(), box.center()
    circle = box.adjusted(1, 1, -1, -1)
    if state == "annotated":
        painter.drawEllipse(circle)
        painter.setBrush(colour)
        painter.drawPie(circle, 90 * 16, 180 * 16)
    elif state == "training":
        half = side / 2 - 0.5
        painter.setBrush(colour)
        painter.drawPolygon(
            QPolygonF([middle + QPointF(x * half, y * half) for x, y in ((0, -1), (1, 0), (0, 1), (-1, 0))])
        )
    elif state == "predicted":
        pen.setDashPattern([1.6, 1.9])
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        painter.setPen(pen)
        painter.drawEllipse(circle)
    elif state == "checked":
        pen.setWidthF(2)
        painter.setPen(pen)
        points = ((0.1, 0.55), (0.4, 0.85), (0.92, 0.2))
        painter.drawPolyline(QPolygonF([QPointF(box.left() + x * side, box.top() + y * side) for x, y in points]))
    elif state == PROBLEM:
        points = ((0.5, 0.06), (0.98, 0.92), (0.02, 0.92))
        painter.drawPolygon(QPolygonF([QPointF(box.left() + x * side, box.top() + y * side) for x, y in points]))
        painter.drawLine(middle + QPointF(0, -side * 0.1), middle + QPointF(0, side * 0.12))
        painter.drawPoint(middle + QPointF(0, side * 0.28))
    else:
        painter.drawEllipse(circle)
    painter.restore()


class RowDelegate(QStyledItemDelegate):
    """Draws a row: thumbnail, name over state, cell count at the right."""

    def sizeHint(self, option: QStyleOptionViewItem, _index: Index) -> QSize:  # noqa: N802 - Qt's name
        """Return the height that every row has."""
        lines = 2 * QFontMetrics(option.font).height() + 4
        return QSize(160, max(_THUMB, lines) + 2 * _MARGIN)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one row."""
        row: ImageRow = index.data(Role.ROW)
        painter.save()
        self._background(painter, option)
        box = option.rect.adjusted(_MARGIN, 0, -_MARGIN, 0)
        thumb = QRect(box.left(), box.top() + (box.height() - _THUMB) // 2, _THUMB, _THUMB)
        self._thumbnail(painter, thumb, index.data(Role.THUMBNAIL))
        self._text(painter, option, box.adjusted(_THUMB + _MARGIN, 0, 0, 0), row)
        painter.restore()

    def _background(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        state, look = option.state, colours()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(option.rect).adjusted(1, 1, -1, -1)
        selected = state & QStyle.StateFlag.State_Selected
        if selected or state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(look.qcolor("selected" if selected else "hover"))
            painter.drawRoundedRect(frame, RADIUS, RADIUS)
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(look.qcolor("accent"), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(frame.adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)

    def _thumbnail(self, painter: QPainter, box: QRect, picture: QPixmap | None) -> None:
        clip = QPainterPath()
        clip.addRoundedRect(QRectF(box), 4, 4)
        if picture is None:
            painter.fillPath(clip, colours().qcolor("pressed"))
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setClipPath(clip)
        # The middle of the picture, square, so that all rows line up whatever the image's shape.
        side = min(picture.width(), picture.height())
        source = QRect((picture.width() - side) // 2, (picture.height() - side) // 2, side, side)
        painter.drawPixmap(box, picture, source)
        painter.restore()

    def _text(self, painter: QPainter, option: QStyleOptionViewItem, box: QRect, row: ImageRow) -> None:
        metrics = QFontMetrics(option.font)
        top = box.top() + (box.height() - 2 * metrics.height() - 4) // 2
        count = tabular(QFont(option.font))
        number = cells_text(row.cells)
        width = QFontMetrics(count).horizontalAdvance(number)
        colour, quiet = colours().qcolor("text"), colours().qcolor("secondary")

        line = QRect(box.left(), top, box.width(), metrics.height())
        painter.setFont(count)
        painter.setPen(colour if row.cells else quiet)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, number)
        painter.setFont(option.font)
        painter.setPen(colour)
        room = box.width() - width - _MARGIN
        name = metrics.elidedText(one_line(row.name), Qt.TextElideMode.ElideMiddle, room)
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, name)

        side = round(metrics.ascent() * 0.8)
        line = line.translated(0, metrics.height() + 4)
        mark = QRectF(line.left(), line.top() + (line.height() - side) / 2, side, side)
        sign = colours().qcolor("warning") if row.problem else quiet
        draw_mark(painter, mark, PROBLEM if row.problem else row.state, sign)
        word = row.problem or state_word(row.state)
        line.adjust(side + 6, 0, 0, 0)
        painter.setPen(colour if row.problem else quiet)
        word = metrics.elidedText(word, Qt.TextElideMode.ElideRight, line.width())
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, word)
