"""Step 4: look at the proposals beside the drawn cells; accept, reject, correct, mark as checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from cellseg1.errors import CellSeg1Error

from ...theme import GAP, TIGHT, heading, icon, tabular
from ...translation import counted
from ...widgets.empty_state import EmptyState
from ...widgets.errors import show_error
from ...widgets.plain import Label, plain_action, plain_tip
from ...widgets.slider_field import SliderField
from ..shared.page import Page
from .keys import ProposalKeys

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QHideEvent, QKeyEvent, QShowEvent

    from cellseg1.masks import Box

    from ...canvas import Canvas
    from ...session.proposals import Proposals
    from ...session.session import Session


class ReviewPanel(Page):
    """Goes through the proposals of the shown plane.

    Signals
    -------
    train_on_wanted
        A model (Path, or None for the backbone as it is) to train on from; `step_wanted` follows.
    """

    train_on_wanted = Signal(object)

    def __init__(self, session: Session, canvas: Canvas, parent: QWidget | None = None) -> None:
        super().__init__(session, canvas, parent)
        self.set_title(self.tr("Review"))
        #: The proposal that Enter accepts, 0 for none.
        self.current = 0
        self._keys = ProposalKeys(canvas, session.proposals, lambda: self.current, self)
        self._keys.step_wanted.connect(self.step)
        self._keys.accept_wanted.connect(self.accept_current)
        self._keys.reject_wanted.connect(self.reject_current)
        self._soon = QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self._refresh_if_seen)

        self.counts = Label()
        self.counts.setFont(tabular(heading(self.font(), 1)))
        self.counts.setWordWrap(True)
        self.add(self.counts)
        self._build_empty()
        self._build_one()
        self._build_many()
        self._build_after()
        self.set_primary(
            self.tr("Checked, next image"), "checked", self.tr("Mark this image as checked and go to the next")
        )
        self.primary_clicked.connect(self.check_and_go_on)

        session.proposals.changed.connect(self._proposals_changed)
        for signal in (session.image_changed, session.images_changed, session.model_changed, session.project_changed):
            signal.connect(self._soon.start)
        session.image_changed.connect(self._forget)
        session.document_edited.connect(self._soon.start)
        canvas.proposal_clicked.connect(self._clicked)
        canvas.selection_changed.connect(self._cells_chosen)
        self.refresh()

    # ---- building

    def _build_empty(self) -> None:
        self.empty = EmptyState("predict", "", self.tr("Go to Predict"))
        self.empty.button.setToolTip(self.tr("Go to step 3 (Ctrl+3)"))
        self.empty.clicked.connect(lambda: self.step_wanted.emit("predict"))
        self.add(self.empty)

    def _build_one(self) -> None:
        self.one = self._group()
        self.which = Label()
        self.which.setWordWrap(True)
        self.which.setFont(tabular(self.which.font()))
        self.accept_button = self._button(self.tr("Accept"), "accept", self.tr("Make it a cell (Enter)"))
        self.accept_button.clicked.connect(self.accept_current)
        self.reject_button = self._button(
            self.tr("Reject"), "reject", self.tr("Do not offer it any more (Delete or R)")
        )
        self.reject_button.clicked.connect(self.reject_current)
        self.step_button = self._button(
            self.tr("Next, from the least sure"), "next", self.tr("Go to the proposal of the next higher score (Tab)")
        )
        self.step_button.clicked.connect(lambda: self.step(1))
        row = QHBoxLayout()
        row.setSpacing(GAP)
        row.addWidget(self.accept_button, 1)
        row.addWidget(self.reject_button, 1)
        layout = self.one.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.addWidget(self.which)
        layout.addLayout(row)
        layout.addWidget(self.step_button)
        self.add(self.one)

    def _build_many(self) -> None:
        self.many = self._group()
        self.score = SliderField(
            self.tr("By score"), 0.0, 1.0, 0.01, 2, value=0.9, tip=self.tr("Divides sure proposals from doubtful ones")
        )
        self.score.value_changed.connect(lambda _value: self._show_division())
        self.accept_above = self._button("", "accept", self.tr("Make all proposals of at least this score cells"))
        self.accept_above.clicked.connect(
            lambda: self._change(lambda done: self._proposals.accept_above(self.score.value, done))
        )
        self.reject_below = self._button("", "reject", self.tr("Do not offer proposals of a lower score any more"))
        self.reject_below.clicked.connect(
            lambda: self._change(lambda done: done(self._proposals.reject_below(self.score.value)))
        )
        self.accept_all = self._button(
            self.tr("Accept all"), "accept", self.tr("Make all proposals cells; drawn cells stay as they are")
        )
        self.accept_all.clicked.connect(lambda: self._change(lambda done: self._proposals.accept(None, done)))
        layout = self.many.layout()
        assert layout is not None
        for widget in (self.score, self.accept_above, self.reject_below, self.accept_all):
            layout.addWidget(widget)
        self.add(self.many)

    def _build_after(self) -> None:
        self.after_title = self.add_heading(self.tr("This image"))
        self.checked = QCheckBox(self.tr("Checked"))
        self.checked.setToolTip(self.tr("Its cells are right: they count as truth in step 5"))
        self.checked.setAccessibleName(self.tr("This image is checked"))
        self.checked.clicked.connect(lambda on: self._guarded(lambda: self._session.set_checked(on)))
        self.add(self.checked)
        self.training = QCheckBox(self.tr("Use for training"))
        self.training.setToolTip(self.tr("Train the next model on the cells of this image too"))
        self.training.setAccessibleName(self.tr("Use this image for training"))
        self.training.clicked.connect(lambda on: self._guarded(lambda: self._session.set_training(on)))
        self.add(self.training)
        self.next_button = self._button(
            self.tr("Next unchecked image"), "next", self.tr("Go on without marking this image (N)")
        )
        self.next_button.clicked.connect(self.go_on)
        self.add(self.next_button)
        self.train_on = self._button(
            self.tr("Train on from this model"), "train", self.tr("Go to step 2 and train the present model further")
        )
        self.train_on.clicked.connect(self._train_on)
        self.add(self.train_on)

    def _group(self) -> QWidget:
        group = QWidget()
        layout = QVBoxLayout(group)
        layout.setContentsMargins(0, TIGHT, 0, GAP)
        layout.setSpacing(GAP)
        return group

    def _button(self, text: str, sign: str, tip: str) -> QPushButton:
        button = QPushButton(icon(sign), text)
        button.setToolTip(plain_tip(tip))
        button.setAccessibleName(text or tip)
        return button

    # ---- what there is

    @property
    def _proposals(self) -> Proposals:
        return self._session.proposals

    def _writable(self) -> bool:
        project = self._session.project
        return project is not None and not project.read_only and self._session.document is not None

    def in_order(self) -> list[int]:
        """Return the ids of what is offered by rising score: what needs a look comes first."""
        offered = np.asarray(self._proposals.offered)
        if not len(offered):
            return []
        scores = self._proposals.scores()[offered]
        return [int(one) for one in offered[np.lexsort((offered, scores))]]

    def box_of(self, number: int) -> Box | None:
        """Return the box of a proposal in the image."""
        labels = self._proposals.labels
        if labels is None:
            return None
        place = labels == number
        rows, columns = np.flatnonzero(place.any(axis=1)), np.flatnonzero(place.any(axis=0))
        if not len(rows):
            return None
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    # ---- showing

    def shown(self) -> None:
        """Bring everything up to date; called when one comes to this step."""
        self.refresh()

    def _refresh_if_seen(self) -> None:
        if self.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Show numbers and buttons anew."""
        session = self._session
        document = session.document
        offered = len(self._proposals.offered)
        drawn = len(document.cells) if document is not None else 0
        loading = self._proposals.run_id is not None and self._proposals.selection is None
        here = session.image_id is not None
        self.counts.setVisible(here)
        if loading:
            self.counts.setText(self.tr("Loading the proposals..."))
        else:
            self.counts.setText(f"{counted.proposals(offered)}, {counted.cells(drawn)}")
        writable = self._writable()
        self.one.setVisible(offered > 0)
        self.many.setVisible(offered > 0)
        for button in (self.accept_button, self.reject_button):
            button.setEnabled(writable and self.current > 0)
        for button in (self.accept_above, self.reject_below, self.accept_all):
            button.setEnabled(writable)
        self._show_empty(here=here, offered=offered, loading=loading)
        self._show_current()
        self._show_division()
        self._show_after(here=here, writable=writable)

    def _show_empty(self, *, here: bool, offered: int, loading: bool) -> None:
        self.empty.setVisible(not offered and not loading)
        if offered or loading:
            return
        if not here:
            project = self._session.project
            self.empty.set_sentence(
                self.tr("Choose an image in the list at the left to review its cells.")
                if project is not None and project.images
                else self.tr("Add images to the project first; then predict them to review what is found.")
            )
            self.empty.set_button("")
        elif self._proposals.run_id is None:
            self.empty.set_sentence(self.tr("This image is not predicted yet. Predict it, or go on to one that is."))
            self.empty.set_button(self.tr("Go to Predict"))
        else:
            self.empty.set_sentence(
                self.tr("Nothing is left to decide here. Correct cells with the tools, then mark the image as checked.")
            )
            self.empty.set_button("")

    def _show_current(self) -> None:
        if self.current:
            score = float(self._proposals.scores()[self.current])
            self.which.setText(self.tr("Proposal with a score of {score}").format(score=f"{score:.2f}"))
        else:
            self.which.setText(self.tr("Click a proposal (dashed) to choose it, or press Tab."))

    def _show_division(self) -> None:
        offered = np.asarray(self._proposals.offered)
        above = 0
        if len(offered):
            above = int((self._proposals.scores()[offered] >= self.score.value).sum())
        below = len(offered) - above
        value = f"{self.score.value:.2f}"
        self.accept_above.setText(self.tr("Accept {n} ({score} or more)").format(n=above, score=value))
        self.reject_below.setText(self.tr("Reject {n} (below {score})").format(n=below, score=value))
        self.accept_all.setText(self.tr("Accept all {n}").format(n=len(offered)))
        for button in (self.accept_above, self.reject_below, self.accept_all):
            button.setAccessibleName(button.text())
        writable = self._writable()
        self.accept_above.setEnabled(writable and above > 0)
        self.reject_below.setEnabled(writable and below > 0)

    def _show_after(self, *, here: bool, writable: bool) -> None:
        document = self._session.document
        attributes = document.attributes if document is not None else {}
        self.checked.setChecked(bool(attributes.get("checked")))
        self.training.setChecked(bool(attributes.get("training")))
        self.checked.setEnabled(writable)
        self.training.setEnabled(writable)
        for widget in (self.after_title, self.checked, self.training, self.next_button, self.train_on):
            widget.setVisible(here)
        model = self._session.model
        self.train_on.setVisible(here and model is not None)
        if model is not None:
            self.train_on.setText(plain_action(self.tr("Train on from {name}").format(name=_short(model.stem))))
            self.train_on.setAccessibleName(self.tr("Train on from {name}").format(name=model.stem))
        button = self.primary
        if button is not None:
            button.setEnabled(here and writable)

    # ---- the chosen proposal

    def choose(self, number: int, *, show: bool = False) -> None:
        """Choose a proposal (0: none) and mark it in the image; with `show` bring it into view."""
        if number and number not in self._proposals.offered:
            number = 0
        self.current = number
        self._canvas.select_proposals(frozenset({number} if number else ()))
        if number:
            self._canvas.select(())
            box = self.box_of(number) if show else None
            if box is not None:
                self._canvas.reveal(box)
        self.refresh()

    def _clicked(self, number: int) -> None:
        # Proposals are shown in step 3 too, where a click means nothing.
        if self.isVisible():
            self.choose(number)

    def step(self, by: int) -> bool:
        """Choose the proposal of the next higher (or lower) score; False when there is none."""
        order = self.in_order()
        if not order:
            return False
        if self.current in order:
            place = (order.index(self.current) + by) % len(order)
        else:
            place = 0 if by > 0 else len(order) - 1
        self.choose(order[place], show=True)
        return True

    def accept_current(self) -> None:
        """Make the chosen proposal a cell and go to the next one."""
        self._decide(lambda number: self._proposals.accept([number]))

    def reject_current(self) -> None:
        """Do not offer the chosen proposal any more and go to the next one."""
        self._decide(lambda number: self._proposals.reject([number]))

    def _decide(self, act: Callable[[int], object]) -> None:
        number = self.current
        if not number or not self._writable():
            return
        order = self.in_order()
        place = order.index(number) if number in order else -1
        following = order[place + 1 :] + order[: max(place, 0)]
        self._guarded(lambda: act(number))
        left = set(self.in_order())
        self.choose(next((one for one in following if one in left and one != number), 0), show=True)
        if number in left:
            # It lies on drawn cells so that too little of it is free.
            self._session.note.emit(self.tr("It lies on drawn cells, so it was not made a cell; reject it."))

    def _change(self, act: Callable[[Callable[[int], None]], object]) -> None:
        """Accept or reject several; `act` tells how many, perhaps later."""
        if not self._writable():
            return
        before = len(self._proposals.offered)

        def done(_count: int) -> None:
            if before and before == len(self._proposals.offered):
                self._session.note.emit(self.tr("Nothing changed: these proposals lie on drawn cells."))
            self.choose(0)

        self._guarded(lambda: act(done))

    def _guarded(self, act: Callable[[], object]) -> None:
        try:
            act()
        except CellSeg1Error as error:
            show_error(self, str(error))

    # ---- the image

    def check_and_go_on(self) -> None:
        """Mark the image as checked and show the next one that is not."""
        if self._writable():
            self._guarded(lambda: self._session.set_checked(True))
        self.go_on()

    def go_on(self) -> None:
        """Show the next image that is not checked."""
        found = False
        try:
            found = self._session.next_unchecked()
        except CellSeg1Error as error:
            show_error(self, str(error))
            return
        if not found:
            self._session.note.emit(self.tr("All images are checked. Step 5 compares and measures them."))

    def _train_on(self) -> None:
        self.train_on_wanted.emit(self._session.model)
        self.step_wanted.emit("train")

    # ---- following the session

    def _forget(self) -> None:
        self.current = 0
        self._canvas.select_proposals(frozenset())

    def _cells_chosen(self, cells: frozenset[int]) -> None:
        """Let go of the proposal when a drawn cell is chosen: the keys then mean the cell."""
        if cells and self.current:
            self.choose(0)

    def _proposals_changed(self) -> None:
        if self.current and self.current not in self._proposals.offered:
            self._forget()
        self._soon.start()

    # ---- keys

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Take the keys of this step, also over the image."""
        super().showEvent(event)
        self.refresh()
        self._keys.take()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Leave the keys to the canvas again."""
        self._keys.leave()
        self._forget()
        super().hideEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Take the same keys while a button of the panel has the focus."""
        if not self._keys.press_on_panel(event):
            super().keyPressEvent(event)


def _short(name: str, most: int = 18) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
