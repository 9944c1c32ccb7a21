"""A canvas with a few cells, and a mouse for it."""

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.annotation import Document
from app.canvas import Canvas

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NONE = Qt.KeyboardModifier.NoModifier
SHIFT, CONTROL, ALT = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)


def three_cells():
    """(90, 140): cell 1 with a hole, 2 and 3 side by side."""
    labels = np.zeros((90, 140), np.int32)
    labels[10:40, 10:40] = 1
    labels[20:25, 20:25] = 0
    labels[50:80, 60:90] = 2
    labels[50:80, 90:120] = 3
    return labels


def make_canvas(qtbot, labels=None, plane=None, size=(640, 420), zoom=4.0):
    labels = three_cells() if labels is None else labels
    if plane is None:
        plane = np.random.default_rng(0).integers(0, 256, labels.shape, np.uint8)
    canvas = Canvas()
    qtbot.addWidget(canvas)
    canvas.resize(*size)
    canvas.set_image(plane)
    document = Document(labels.shape, labels)
    canvas.set_document(document)
    canvas.show()
    qtbot.waitExposed(canvas)
    canvas.setFocus()
    canvas.zoom_to(zoom)
    canvas.center_on(labels.shape[1] / 2, labels.shape[0] / 2)
    return canvas, document


class Mouse:
    """Presses, moves and releases at image positions."""

    def __init__(self, canvas):
        self.canvas = canvas
        self.held = Qt.MouseButton.NoButton

    def _send(self, kind, at, button, modifiers):
        place = self.canvas.to_widget(*at)
        event = QMouseEvent(kind, place, self.canvas.mapToGlobal(place), button, self.held, modifiers)
        QApplication.sendEvent(self.canvas, event)

    def press(self, x, y, button=LEFT, modifiers=NONE):
        self.held |= button
        self._send(QEvent.Type.MouseButtonPress, (x, y), button, modifiers)

    def move(self, x, y, modifiers=NONE):
        self._send(QEvent.Type.MouseMove, (x, y), Qt.MouseButton.NoButton, modifiers)

    def release(self, x, y, button=LEFT, modifiers=NONE):
        self.held &= ~button
        self._send(QEvent.Type.MouseButtonRelease, (x, y), button, modifiers)

    def click(self, x, y, button=LEFT, modifiers=NONE):
        self.press(x, y, button, modifiers)
        self.release(x, y, button, modifiers)

    def double_click(self, x, y):
        self.click(x, y)
        self.held |= LEFT
        self._send(QEvent.Type.MouseButtonDblClick, (x, y), LEFT, NONE)
        self.release(x, y)

    def drag(self, points, button=LEFT, modifiers=NONE):
        self.press(*points[0], button, modifiers)
        for x, y in points[1:]:
            self.move(x, y, modifiers)
        self.release(*points[-1], button, modifiers)

    def wheel(self, x, y, notches, modifiers=NONE):
        at = self.canvas.to_widget(x, y)
        event = QWheelEvent(
            at,
            QPointF(self.canvas.mapToGlobal(at)),
            QPoint(),
            QPoint(0, int(120 * notches)),
            Qt.MouseButton.NoButton,
            modifiers,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(self.canvas, event)


def press_key(canvas, key, modifiers=NONE):
    QTest.keyClick(canvas, key, modifiers)


def pixels(widget):
    """(H, W, 3) of what a widget looks like."""
    return image_pixels(widget.grab().toImage())


def image_pixels(image):
    image = image.convertToFormat(image.Format.Format_RGB32)
    flat = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return flat[:, : image.width(), 2::-1].copy()
