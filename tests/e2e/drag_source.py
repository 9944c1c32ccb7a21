"""A window of a few pixels from which files can be dragged, as from a file manager: ``drag_source.py X Y PATH ...``.

It says "ready" when it can be pressed, and ends after the drop with 0 when the files were taken, else with 1.
"""

import sys

from PySide6.QtCore import QMimeData, QPoint, Qt, QTimer, QUrl
from PySide6.QtGui import QDrag
from PySide6.QtWidgets import QApplication, QWidget

SIZE = 40


class Source(QWidget):
    def __init__(self, paths):
        super().__init__(None, Qt.WindowType.X11BypassWindowManagerHint | Qt.WindowType.WindowStaysOnTopHint)
        self.paths = paths

    def showEvent(self, event):  # noqa: N802 - Qt's name
        super().showEvent(event)
        # Not before the X server has it on the screen.
        QTimer.singleShot(300, lambda: print("ready", flush=True))

    def mouseMoveEvent(self, _event):  # noqa: N802 - Qt's name
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(path) for path in self.paths])
        drag = QDrag(self)
        drag.setMimeData(data)
        self.paths = []
        taken = drag.exec(Qt.DropAction.CopyAction | Qt.DropAction.MoveAction, Qt.DropAction.CopyAction)
        # What was dropped is asked for afterwards.
        QTimer.singleShot(1500, lambda: QApplication.exit(0 if taken == Qt.DropAction.CopyAction else 1))


if __name__ == "__main__":
    application = QApplication(sys.argv[:1])
    source = Source(sys.argv[3:])
    source.setGeometry(int(sys.argv[1]), int(sys.argv[2]), SIZE, SIZE)
    source.show()
    source.move(QPoint(int(sys.argv[1]), int(sys.argv[2])))
    sys.exit(application.exec())
