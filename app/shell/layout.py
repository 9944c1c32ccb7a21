"""Where everything is: steps above, images left, panel right, tools and canvas between them, status below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from ..pages.annotate.panel import AnnotatePanel
from ..pages.measure.panel import MeasurePanel
from ..pages.predict.panel import PredictPanel
from ..pages.review.panel import ReviewPanel
from ..pages.shared.page import Page
from ..pages.train.panel import TrainPanel
from ..theme import MARGIN, PANEL_WIDTH
from ..widgets.empty_state import EmptyState
from ..widgets.file_drop import FileDrop
from .image_list.list import ImageList
from .job_bar.bar import JobBar
from .notes import Notes
from .status_bar import StatusBar
from .step_bar import STEPS, StepBar
from .tool_column import ToolColumn

if TYPE_CHECKING:
    from ..canvas import Canvas
    from ..session.session import Session

_LIST_WIDTH, _CANVAS_WIDTH = 232, 900


class WorkArea(QWidget):
    """All that is seen while a project is open; knows where it is, not what it does.

    Attributes
    ----------
    annotate, train, predict, review, measure
        The panels of the five steps.
    canvas_stack
        The canvas, or instead of it what there is to say while a project has no images.
    drop
        Files dropped anywhere over it.
    """

    def __init__(self, session: Session, canvas: Canvas) -> None:
        super().__init__()
        self.step_bar = StepBar()
        self.job_bar = JobBar()
        self.images = ImageList()
        self.tool_column = ToolColumn()
        self.status = StatusBar()
        self.panels = QStackedWidget()
        self.annotate = AnnotatePanel(session, canvas)
        self.train = TrainPanel(session, canvas)
        self.predict = PredictPanel(session, canvas)
        self.review = ReviewPanel(session, canvas)
        self.measure = MeasurePanel(session, canvas)
        self.pages: tuple[Page, ...] = (self.annotate, self.train, self.predict, self.review, self.measure)
        for page in self.pages:
            self.panels.addWidget(page)
        self.panels.setMinimumWidth(PANEL_WIDTH)
        self.canvas_stack = QStackedWidget()
        self.canvas_stack.addWidget(canvas)
        self.no_image = EmptyState(
            "image", self.tr("This project has no images yet. Drop files or a folder here."), self.tr("Add images...")
        )
        self.canvas_stack.addWidget(self.no_image)
        self.notes = Notes()
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.addWidget(self.images)
        self.splitter.addWidget(self._center())
        self.splitter.addWidget(self.panels)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setCollapsible(1, False)
        self.splitter.setSizes([_LIST_WIDTH, _CANVAS_WIDTH, PANEL_WIDTH])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(self._top())
        whole.addWidget(self.splitter, 1)
        whole.addWidget(self.status)
        # Anywhere over the work area, not only over the list.
        self.drop = FileDrop(self)

    def _top(self) -> QHBoxLayout:
        top = QHBoxLayout()
        top.setContentsMargins(0, 4, MARGIN, 4)
        top.addWidget(self.step_bar)
        top.addStretch(1)
        top.addWidget(self.job_bar)
        return top

    def _center(self) -> QWidget:
        center = QWidget()
        column = QVBoxLayout(center)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.notes)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.tool_column)
        row.addWidget(self.canvas_stack, 1)
        column.addLayout(row, 1)
        return center

    def step(self) -> str:
        """Return the name of the step whose panel is shown."""
        return STEPS[self.panels.currentIndex()]

    def show_page(self, step: str) -> None:
        """Show the panel of a step, and only the tools that belong to it."""
        self.panels.setCurrentIndex(STEPS.index(step))
        self.step_bar.set_step(step)
        self.tool_column.set_offered(None if step in ("annotate", "review") else ("select",))

    def show_canvas(self, *, without_images: bool, drawable: bool) -> None:
        """Show the canvas, or what there is to say in a project without images; tools only where one can draw."""
        self.canvas_stack.setCurrentIndex(1 if without_images else 0)
        self.tool_column.set_usable(drawable)
