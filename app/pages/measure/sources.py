"""Choosing what is compared with what: drawn cells, a prediction, or a folder of masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QWidget

from ...session.planes import drawn_planes, predictions, run_title, settings_of
from ...translation import counted
from ...widgets.plain import plain_tip
from .scores import Side

if TYPE_CHECKING:
    from ...session.session import Session


class SourceBox(QComboBox):
    """A choice between things of the project and a folder, which is asked for."""

    changed = Signal()

    def __init__(self, session: Session, title: str, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._folder: Path | None = None
        self._last = 0
        self._by_hand = False
        self.setAccessibleName(title)
        self.setToolTip(plain_tip(tip))
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(16)
        self.activated.connect(self._activated)

    def options(self) -> list[tuple[str, str]]:
        """Return what the project offers: text and data."""
        raise NotImplementedError

    def side(self) -> Side | None:
        """Return what is chosen, None when there is nothing."""
        raise NotImplementedError

    def fill(self) -> None:
        """List what there is now; the choice stays as far as it can."""
        kept = self.currentData()
        self.blockSignals(True)
        self.clear()
        for text, data in self.options():
            self.addItem(text, data)
        if self._folder is not None:
            self.addItem(self.tr("Folder {name}").format(name=self._folder.name), self._folder)
        self.addItem(self.tr("Folder of masks..."), "ask")
        index = self.findData(kept)
        # As long as nobody chose, the best of what there is now.
        self.setCurrentIndex(index if index >= 0 and kept != "ask" and self._by_hand else self.first())
        self._last = self.currentIndex()
        self.blockSignals(False)

    def first(self) -> int:
        """Return which option is chosen at first."""
        return 0

    def set_folder(self, folder: Path | None) -> None:
        """Choose a folder of masks."""
        self._folder = folder
        self._by_hand = True
        self.fill()
        if folder is not None:
            self.setCurrentIndex(self.findData(folder))
            self._last = self.currentIndex()
        self.changed.emit()

    def _activated(self, index: int) -> None:
        if self.itemData(index) != "ask":
            self._last = index
            self._by_hand = True
            self.changed.emit()
            return
        preferences = self._session.preferences
        start = str(self._folder or preferences.values.last_folder or Path.home())
        name = QFileDialog.getExistingDirectory(self.window(), self.tr("Choose a folder of masks"), start)
        if name:
            preferences.set("last_folder", name)
            self.set_folder(Path(name))
        else:
            self.setCurrentIndex(self._last)


class TruthBox(SourceBox):
    """Checked images, all drawn cells, or a folder."""

    any_checked = False
    any_drawn = False

    def options(self) -> list[tuple[str, str]]:
        """Return checked and all drawn cells with their numbers."""
        project = self._session.project
        checked = drawn = 0
        if project is not None:
            checked = sum(1 for _ in drawn_planes(project, checked_only=True))
            drawn = sum(1 for _ in drawn_planes(project))
        self.any_checked, self.any_drawn = checked > 0, drawn > 0
        return [
            (self.tr("Cells of checked images: {n}").format(n=checked), "checked"),
            (self.tr("All drawn cells: {images}").format(images=counted.images(drawn)), "drawn"),
        ]

    def first(self) -> int:
        """Prefer checked images, where there are any."""
        return 0 if self.any_checked else 1

    def side(self) -> Side | None:
        """Return the chosen truth."""
        data = self.currentData()
        if isinstance(data, Path):
            return Side(folder=data)
        return Side(checked_only=data == "checked")

    def words(self) -> str:
        """Say what it is, for the report."""
        data = self.currentData()
        if isinstance(data, Path):
            return str(data)
        return self.tr("drawn cells of checked images") if data == "checked" else self.tr("all drawn cells")


class PredictionBox(SourceBox):
    """The predictions of the project, the newest first, or a folder."""

    def options(self) -> list[tuple[str, str]]:
        """Return the predictions."""
        project = self._session.project
        found = predictions(project) if project is not None else []
        return [(run_title(run), run.id) for run in found]

    def first(self) -> int:
        """Prefer the prediction that is shown."""
        return max(0, self.findData(self._session.proposals.run_id))

    def side(self) -> Side | None:
        """Return the chosen prediction with its thresholds, None when there is none."""
        data = self.currentData()
        if isinstance(data, Path):
            return Side(folder=data)
        project = self._session.project
        run = next((one for one in predictions(project) if one.id == data), None) if project is not None else None
        return None if run is None else Side(run_id=run.id, settings=settings_of(self._session, run))

    def words(self) -> tuple[str, ...]:
        """Say what it is, for the report: the prediction, and its thresholds."""
        data = self.currentData()
        if isinstance(data, Path):
            return (str(data),)
        side = self.side()
        if side is None or side.settings is None:
            return ()
        used = side.settings
        size = self.tr("any size")
        if used.max_cell_area is not None:
            size = f"{used.min_cell_area}-{used.max_cell_area} px²"
        elif used.min_cell_area:
            size = f"≥ {used.min_cell_area} px²"
        line = self.tr("score {score}, stability {stability}, overlap {overlap}, {size}").format(
            score=f"{used.pred_iou_thresh:.2f}",
            stability=f"{used.stability_score_thresh:.2f}",
            overlap=f"{used.crop_nms_thresh:.2f}",
            size=size,
        )
        project = self._session.project
        runs = predictions(project) if project is not None else []
        run = next((one for one in runs if one.id == data), None)
        return (self.currentText() if run is None else f"{run_title(run, longest=200)} ({run.id})", line)
