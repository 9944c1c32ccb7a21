"""Files and folders dropped onto a widget from the desktop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QRectF, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from PySide6.QtCore import QMimeData


def dropped_paths(data: QMimeData | None) -> list[Path]:
    """Return the local files and folders in `data`, in the order given; addresses on the web are left out."""
    if data is None or not data.hasUrls():
        return []
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile() and url.toLocalFile()]


class _Frame(QWidget):
    """The dashed frame that shows where the files will go; it lies above everything and takes no events."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colour = self.palette().color(QPalette.ColorRole.Highlight)
        pen = QPen(colour, 2, Qt.PenStyle.DashLine)
        painter.setPen(pen)
        colour.setAlpha(28)
        painter.setBrush(colour)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(3, 3, -3, -3), 8, 8)


class FileDrop(QObject):
    """Lets a widget take files: ``FileDrop(widget).dropped.connect(...)``.

    A drag of anything else is refused, so that the pointer says so before the button is let go.
    """

    dropped = Signal(list)

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._frame = _Frame(widget)
        self.enabled = True
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Answer the drag and drop events of the widget; everything else goes on to it."""
        # While Python takes the program down, Qt may still ask an object that has lost its attributes.
        if watched is getattr(self, "_widget", None):
            if isinstance(event, QDragEnterEvent):
                return self._enter(event)
            if event.type() == QEvent.Type.DragLeave:
                self._frame.hide()
            elif isinstance(event, QDropEvent) and event.type() == QEvent.Type.Drop:
                return self._drop(event)
        return False

    def _enter(self, event: QDragEnterEvent) -> bool:
        if not (self.enabled and dropped_paths(event.mimeData())):
            event.ignore()
            return True
        # Copy, never move: the desktop must not delete the user's originals.
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        self._frame.setGeometry(self._widget.rect())
        self._frame.raise_()
        self._frame.show()
        return True

    def _drop(self, event: QDropEvent) -> bool:
        self._frame.hide()
        paths = dropped_paths(event.mimeData())
        if self.enabled and paths:
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self.dropped.emit(paths)
        else:
            event.ignore()
        return True
