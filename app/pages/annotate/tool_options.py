"""Options of the tool in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from ...canvas.tools.tidy import CleanUpTool
from ...session.clicks import Clicks
from ...theme import GAP, TIGHT, heading
from ...widgets.plain import Label
from ...widgets.slider_field import SliderField

if TYPE_CHECKING:
    from ...canvas import Canvas
    from ...session.session import Session

_BRUSHES = ("brush", "eraser")
#: Tools that paint, and so can be kept from painting over other cells.
_PAINTERS = ("brush", "lasso", "polygon", "click")
_LARGEST_BRUSH = 500


class ToolOptions(QWidget):
    """Title, hint and settings of the canvas's tool; what is changed here is changed in the canvas."""

    models_wanted = Signal()

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._canvas = canvas
        self.title = Label()
        self.title.setFont(heading(self.font(), 0))
        self.hint = Label()
        self.hint.setWordWrap(True)
        self.hint.setProperty("secondary", True)
        self.brush = SliderField(
            self.tr("Size"),
            1,
            _LARGEST_BRUSH,
            1,
            0,
            "px",
            logarithmic=True,
            tip=self.tr("Diameter of the brush ([ and ], or Shift+wheel)"),
        )
        self.brush.value_changed.connect(lambda value: canvas.set_brush_size(round(value)))
        self.protect = QCheckBox(self.tr("Protect other cells"))
        self.protect.setAccessibleName(self.tr("Protect other cells"))
        self.protect.setToolTip(self.tr("Paint only on the background: cells that are there stay as they are"))
        self.protect.clicked.connect(self._set_protect)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        for widget in (self.title, self.hint, self.brush, self.protect, self._cleaning(), self._clicking()):
            layout.addWidget(widget)

        canvas.tool_changed.connect(lambda _name: self.refresh())
        canvas.brush_size_changed.connect(self.brush.set_value)
        session.preferences.changed.connect(self._preference_changed)
        session.model_changed.connect(self.refresh)
        assistant = canvas.assistant
        if isinstance(assistant, Clicks):
            assistant.state_changed.connect(lambda _state: self._show_click_state())
        self.refresh()

    def _cleaning(self) -> QWidget:
        tool = self._cleaner
        self.clean = QWidget()
        layout = QVBoxLayout(self.clean)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        self.smooth = SliderField(
            self.tr("Smooth"), 0, 12, 1, 0, "px", tip=self.tr("Bumps and notches up to this radius go; 0: none")
        )
        self.smooth.value_changed.connect(lambda value: setattr(tool, "smooth", round(value)))
        self.islands = SliderField(
            self.tr("Drop islands below"),
            0,
            500,
            1,
            0,
            self.tr("px²"),
            tip=self.tr("Separate pieces of a cell that are smaller than this go"),
        )
        self.islands.value_changed.connect(lambda value: setattr(tool, "min_island", round(value)))
        self.clean_all = QPushButton(self.tr("Clean up all cells"))
        self.clean_all.setAccessibleName(self.tr("Clean up all cells"))
        self.clean_all.setToolTip(self.tr("One step that can be undone (Ctrl+Z)"))
        self.clean_all.clicked.connect(lambda: tool.clean(None))
        for widget in (self.smooth, self.islands, self.clean_all):
            layout.addWidget(widget)
        return self.clean

    @property
    def _cleaner(self) -> CleanUpTool:
        tool = self._canvas.tools["clean"]
        assert isinstance(tool, CleanUpTool)
        return tool

    def _clicking(self) -> QWidget:
        self.click = QWidget()
        layout = QVBoxLayout(self.click)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(TIGHT)
        self.click_model = Label()
        self.click_model.setWordWrap(True)
        self.click_state = Label()
        self.click_state.setWordWrap(True)
        self.click_state.setProperty("secondary", True)
        self.busy = QProgressBar()
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setAccessibleName(self.tr("Getting the image ready"))
        self.models_button = QPushButton(self.tr("Choose a model..."))
        self.models_button.setProperty("quiet", True)
        self.models_button.setAccessibleName(self.tr("Choose a model"))
        self.models_button.setToolTip(self.tr("Choose the model that answers clicks (Ctrl+M)"))
        self.models_button.clicked.connect(self.models_wanted)
        row = QHBoxLayout()
        row.addWidget(self.models_button)
        row.addStretch(1)
        for widget in (self.click_model, self.click_state, self.busy):
            layout.addWidget(widget)
        layout.addLayout(row)
        return self.click

    def refresh(self) -> None:
        """Show the tool in hand."""
        canvas, tool = self._canvas, self._canvas.tool
        self.title.setText(f"{tool.title()} ({tool.key})" if tool.key else tool.title())
        self.hint.setText(tool.hint())
        self.brush.setVisible(tool.name in _BRUSHES)
        self.brush.set_value(canvas.brush_size)
        self.protect.setVisible(tool.name in _PAINTERS)
        self.protect.setChecked(canvas.protect)
        self.clean.setVisible(tool.name == "clean")
        clean = self._cleaner
        self.smooth.set_value(clean.smooth)
        self.islands.set_value(clean.min_island)
        self.click.setVisible(tool.name == "click")
        self._show_click_state()

    def _show_click_state(self) -> None:
        model = self._session.model
        self.click_model.setText(
            self.tr("With the model {name}.").format(name=model.stem)
            if model is not None
            else self.tr("With the plain network ({name}). A model that you trained knows your cells better.").format(
                name=self._session.backbone
            )
        )
        assistant = self._canvas.assistant
        state = assistant.state if isinstance(assistant, Clicks) else "failed"
        texts = {
            "idle": self.tr("Open an image to begin."),
            "preparing": self.tr("Getting ready... You can click already; the answer comes when it is done."),
            "ready": self.tr("Ready: click a cell."),
            "failed": self.tr("Clicks do not work now. Choose the tool again to try once more, or paint (B)."),
        }
        self.click_state.setText(texts.get(state, ""))
        self.busy.setVisible(state == "preparing")

    def _preference_changed(self, name: str) -> None:
        if name == "protect_cells":
            self.refresh()

    def _set_protect(self, on: bool) -> None:
        self._canvas.protect = on
        self._session.preferences.set("protect_cells", on)
