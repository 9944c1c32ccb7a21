"""Truth and prediction side by side: up to four linked views, each showing what one chooses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cellseg1.errors import CellSeg1Error
from cellseg1.files import write_bytes
from cellseg1.images import read_image

from ...canvas.layers.decor import MARK_COLOURS
from ...project.display import Display, auto_display
from ...session.lanes import Newest
from ...session.planes import Plane
from ...theme import GAP, MARGIN, TIGHT, icon
from ...widgets.colour_button import ColourButton, swatch
from ...widgets.errors import show_error
from ...widgets.flow import FlowLayout
from ...widgets.number_field import NumberField
from ...widgets.plain import Label, plain_tip, plain_title
from ...widgets.showing import screen_room
from .pane import Lines, Loaded, Pane
from .scores import Drawn, PlaneScore, error_picture, read_pair, take_drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ...session.session import Session

    Picture = tuple[NDArray[Any] | None, Display | None]

#: What the four views show at first.
_FIRST = ("image", "both", "truth_labels", "errors")


class CompareView(QDialog):
    """A window of its own with up to four linked views of one result; the arrows go to the next result."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Compare"))
        self.setWindowFlag(Qt.WindowType.WindowMaximizeButtonHint)
        self.setSizeGripEnabled(True)
        self._session = session
        self._results: Sequence[PlaneScore] = ()
        self._index = 0
        #: What was read for a result that is not shown any more is for nobody.
        self._wish = Newest()
        self.loaded: Loaded | None = None
        self.lines = Lines()
        self.panes = [Pane(content) for content in _FIRST]
        for number, pane in enumerate(self.panes):
            for other in self.panes[:number]:
                other.view.link(pane.view)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, GAP, MARGIN, MARGIN)
        layout.setSpacing(GAP)
        layout.addWidget(self._bar())
        self._grid = QGridLayout()
        self._grid.setSpacing(GAP)
        layout.addLayout(self._grid, 1)
        layout.addWidget(self._legend())
        self._arrange(4)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return most of the screen."""
        return (screen_room(self).size() * 0.85).boundedTo(QSize(1400, 960))

    def setVisible(self, visible: bool) -> None:  # noqa: N802 - Qt's name
        """Open in the wished size; by itself Qt would take at most two thirds of the screen."""
        if visible and not self.testAttribute(Qt.WidgetAttribute.WA_Resized):
            self.resize(self.sizeHint())
        super().setVisible(visible)

    # ---- building

    def _bar(self) -> QWidget:
        bar = QWidget()
        flow = FlowLayout(bar)
        self.previous = self._tool("previous", self.tr("Previous image"), "PgUp", lambda: self.go(-1))
        self.next = self._tool("next", self.tr("Next image"), "PgDown", lambda: self.go(1))
        self.name = Label()
        self.number = QComboBox()
        for count, text in ((1, self.tr("1 view")), (2, self.tr("2 views")), (4, self.tr("4 views"))):
            self.number.addItem(text, count)
        self.number.setCurrentIndex(2)
        self.number.setAccessibleName(self.tr("Number of views"))
        self.number.setToolTip(self.tr("Number of views"))
        self.number.currentIndexChanged.connect(lambda _index: self._arrange(int(self.number.currentData())))
        self.truth_colour = ColourButton(self.tr("Truth"), self.lines.truth)
        self.truth_colour.chosen.connect(lambda colour: self.set_lines(replace(self.lines, truth=colour)))
        self.prediction_colour = ColourButton(self.tr("Prediction"), self.lines.prediction)
        self.prediction_colour.chosen.connect(lambda colour: self.set_lines(replace(self.lines, prediction=colour)))
        self.width_box = NumberField()
        self.width_box.setDecimals(0)
        self.width_box.setRange(1, 8)
        self.width_box.setValue(self.lines.width)
        self.width_box.setSuffix(f"\N{NARROW NO-BREAK SPACE}{self.tr('px')}")
        self.width_box.setAccessibleName(self.tr("Width of the outlines"))
        self.width_box.setToolTip(self.tr("Width of the outlines"))
        self.width_box.valueChanged.connect(lambda width: self.set_lines(replace(self.lines, width=round(width))))
        fit = self._tool("fit", self.tr("Fit the image"), "0", self.panes[0].view.fit)
        self.save = QPushButton(icon("export"), self.tr("Save picture..."))
        self.save.setToolTip(self.tr("Save the views side by side as PNG"))
        self.save.setAccessibleName(self.tr("Save the views as a picture"))
        self.save.setAutoDefault(False)
        self.save.clicked.connect(self._save)
        for widget in (
            self.previous,
            self.next,
            self.name,
            self.number,
            self.truth_colour,
            self.prediction_colour,
            self.width_box,
            self.width_box.hint,
            fit,
            self.save,
        ):
            flow.addWidget(widget)
        return bar

    def _tool(self, sign: str, text: str, key: str, act: Callable[[], object]) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon(sign))
        button.setToolTip(plain_tip(f"{text} ({key})"))
        button.setAccessibleName(text)
        button.setShortcut(key)
        button.clicked.connect(lambda _on=False: act())
        return button

    def _legend(self) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(MARGIN)
        for colour, text in (
            ("#bec0c4", self.tr("found")),
            ("#5c5e62", self.tr("edge differs")),
            (MARK_COLOURS["missed"], self.tr("missed")),
            (MARK_COLOURS["invented"], self.tr("invented")),
            (MARK_COLOURS["split"], self.tr("split or merged")),
        ):
            entry = QHBoxLayout()
            entry.setSpacing(TIGHT)
            sign = Label()
            sign.setPixmap(swatch(QColor(colour), self.devicePixelRatioF()).pixmap(QSize(16, 16)))
            entry.addWidget(sign)
            word = Label(text)
            word.setProperty("secondary", True)
            entry.addWidget(word)
            row.addLayout(entry)
        row.addStretch(1)
        self.state = Label()
        self.state.setProperty("secondary", True)
        row.addWidget(self.state)
        return holder

    def _arrange(self, number: int) -> None:
        for pane in self.panes:
            self._grid.removeWidget(pane)
            pane.hide()
        for place, pane in enumerate(self.panes[:number]):
            self._grid.addWidget(pane, place // 2, place % 2)
            pane.show()
        for line in range(2):
            self._grid.setRowStretch(line, int(line == 0 or number > 2))
            self._grid.setColumnStretch(line, int(line == 0 or number > 1))

    # ---- what is shown

    def set_results(self, results: Sequence[PlaneScore], index: int) -> None:
        """Show one of these results."""
        self._results = results
        self._show_result(index)

    def set_lines(self, lines: Lines) -> None:
        """Change colours or width of the outlines."""
        self.lines = lines
        for pane in self.panes:
            pane.set_loaded(self.loaded, self.lines)

    def go(self, by: int) -> None:
        """Show the next or the previous result."""
        place = self._index + by
        if 0 <= place < len(self._results):
            self._show_result(place)

    def _show_result(self, index: int) -> None:
        self._index = index
        result = self._results[index]
        self.name.setText(
            self.tr("{name} ({n} of {total})").format(name=result.pair.name, n=index + 1, total=len(self._results))
        )
        self.setWindowTitle(plain_title(self.tr("Compare: {name}").format(name=result.pair.name)))
        self.previous.setEnabled(index > 0)
        self.next.setEnabled(index + 1 < len(self._results))
        self.state.setText(self.tr("Loading..."))
        session = self._session
        try:
            drawn = take_drawn(session.project, result.pair)
            picture, size = _picture_of(session, result.pair.plane)
        except CellSeg1Error as error:
            self._wish.drop()
            self._took(error)
            return

        def load() -> Loaded | Exception:
            try:
                return _load(result, drawn, picture, size)
            except (CellSeg1Error, OSError, ValueError) as error:
                return error

        session.run(load, self._took, self.tr("Loading the comparison"), newest=self._wish)

    def _took(self, found: Loaded | Exception) -> None:
        if isinstance(found, Exception):
            self.state.setText(self.tr("This image cannot be shown."))
            self.loaded = None
            show_error(self, str(found))
        else:
            self.loaded = found
            self.state.setText("")
        for pane in self.panes:
            pane.set_loaded(self.loaded, self.lines)

    # ---- picture

    def _save(self) -> None:
        start = self._session.preferences.values.last_folder or str(Path.home())
        stem = Path(self._results[self._index].pair.name).stem if self._results else "compare"
        name, _filter = QFileDialog.getSaveFileName(
            self, self.tr("Save the views"), str(Path(start) / f"{stem}_compare.png"), self.tr("PNG (*.png)")
        )
        if name:
            self.save_to(Path(name if name.lower().endswith(".png") else f"{name}.png"))

    def save_to(self, path: Path, scale: float = 2.0) -> None:
        """Save the visible views with their titles as one PNG."""
        from PySide6.QtCore import QBuffer, QIODevice
        from PySide6.QtGui import QImage

        from ...canvas.picture import picture

        panes = [pane for pane in self.panes if not pane.isHidden()]
        try:
            pictures = [picture(pane.view, scale) for pane in panes]
        except CellSeg1Error as error:
            show_error(self, str(error))
            return
        gap, title = round(8 * scale), round(24 * scale)
        width, height = max(one.width() for one in pictures), max(one.height() for one in pictures)
        columns = 1 if len(pictures) == 1 else 2
        rows = -(-len(pictures) // columns)
        whole = QImage(columns * (width + gap) + gap, rows * (height + title + gap) + gap, QImage.Format.Format_RGB32)
        whole.fill(QColor("white"))
        painter = QPainter(whole)
        font = self.font()
        font.setPixelSize(round(13 * scale))
        painter.setFont(font)
        painter.setPen(QColor("#1e1f22"))
        for place, (pane, one) in enumerate(zip(panes, pictures, strict=True)):
            x = gap + (place % columns) * (width + gap)
            y = gap + (place // columns) * (height + title + gap)
            painter.drawText(x, y, width, title, Qt.AlignmentFlag.AlignVCenter, pane.box.currentText())
            painter.drawImage(x, y + title, one)
        painter.end()
        buffer = QBuffer()
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        whole.save(buffer, "PNG")  # type: ignore[call-overload]
        try:
            write_bytes(path, bytes(buffer.data().data()))
        except CellSeg1Error as error:
            show_error(self, str(error))
            return
        self._session.preferences.set("last_folder", str(path.parent))
        self.state.setText(self.tr("Saved in {path}").format(path=path))


def _picture_of(session: Session, plane: Plane | None) -> tuple[Callable[[], Picture], tuple[float, float] | None]:
    """Return how to get at pixels and display of a plane, in the background, and its pixel size."""
    project = session.project
    if plane is None or project is None:
        return (lambda: (None, None)), None
    entry = project.images.get(plane[0])
    size = entry.pixel_size_um
    if plane == (session.image_id, session.z, session.t) and session.plane is not None:
        shown = session.plane, session.display
        return (lambda: shown), size
    axes = entry.axes if entry.axes_by_hand else None
    stored = Display.from_dict(entry.display) if entry.display else None

    def read() -> Picture:
        from cellseg1.images.axes import with_axes

        image = with_axes(read_image(project.images.path(plane[0])), axes)
        pixels = image.plane(plane[1], plane[2])
        return pixels, stored or auto_display(pixels, image.is_colour)

    return read, size


def _load(
    result: PlaneScore,
    drawn: Drawn,
    picture: Callable[[], Picture],
    size: tuple[float, float] | None,
) -> Loaded:
    truth, prediction, _notes = read_pair(result.pair, drawn)
    if truth.shape != prediction.shape:
        raise CellSeg1Error("Truth and prediction differ in size, so they cannot be shown together.")
    try:
        pixels, display = picture()
    except (CellSeg1Error, OSError):
        # Without the image the outlines can still be compared.
        pixels, display = None, None
    if pixels is not None and pixels.shape[:2] != truth.shape:
        pixels, display = None, None
    return Loaded(
        pixels,
        display,
        truth,
        prediction,
        error_picture(truth, prediction, result.score.mistakes),
        result.score.mistakes,
        size,
    )
