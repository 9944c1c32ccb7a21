"""The window does the whole work on the sample by itself: what an installer is tested with, on the user's system too.

``cellseg1-studio --self-test FOLDER`` presses the window's own buttons: sample, a stroke of the brush, train, predict,
accept, save all masks.  Everything that is written lies in FOLDER, and ``report.json`` there says how it went; the
user's projects, preferences and models are neither read nor touched.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, QTimer
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from cellseg1._version import __version__
from cellseg1.files import write_bytes
from cellseg1.sam.registry import DATA_DIR_VARIABLE

from ..base.places import HOME_VARIABLE
from ..shell.application import run
from ..widgets.errors import ErrorDialog

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator, Iterator

    from PySide6.QtWidgets import QAbstractButton

    from ..shell.main_window import MainWindow

REPORT = "report.json"
MASKS = "masks"
#: Training steps are few: it is to be seen that training works, not how good the model becomes.
EPOCHS = 1
_TICK_MS = 50
#: Seconds for what answers at once, and for an engine's work on a slow computer.
_SOON, _WORK = 60.0, 1200.0


class SelfTestError(AssertionError):
    """Something did not happen as it should."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What the test waits for, and how long at most (seconds)."""

    condition: Callable[[], object]
    what: str
    seconds: float = _SOON


def isolate(folder: Path) -> None:
    """Let the program keep everything in this folder, from now on and in its engines.

    Raises
    ------
    OSError
        When the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[HOME_VARIABLE] = str(folder / "home")
    os.environ[DATA_DIR_VARIABLE] = str(folder / "data")


def run_self_test(options: argparse.Namespace) -> int:
    """Let the window do the whole work by itself; returns 0 when all of it went well, 1 if not, 2 without a folder."""
    folder: Path = options.self_test.absolute()
    try:
        isolate(folder)
    except OSError as error:
        sys.stderr.write(f"The folder {folder} cannot be used for the self-test: {error.strerror or error}.\n")
        return 2
    tests: list[SelfTest] = []
    run(options, lambda window: tests.append(SelfTest(window, folder)))
    return 0 if tests and tests[0].passed else 1


class SelfTest(QObject):
    """Works through the script while the window lives its usual life, writes the report and closes the window.

    Attributes
    ----------
    passed
        Whether everything went well; False until the end.
    """

    def __init__(self, window: MainWindow, folder: Path) -> None:
        super().__init__(window)
        self.passed = False
        self._window = window
        self._folder = folder
        self._report: dict[str, Any] = {
            "passed": False,
            "error": "",
            "program": __version__,
            "frozen": bool(getattr(sys, "frozen", False)),
            "executable": sys.executable,
            "system": platform.platform(),
            "python": platform.python_version(),
            "seconds": {},
            "found": {},
        }
        self._last = time.monotonic()
        self._script = self._steps()
        self._wait = Wait(lambda: True, "the beginning")
        self._waiting_since = self._last
        self._timer = QTimer(self, interval=_TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    # ---- the engine of the script

    def _tick(self) -> None:
        try:
            self._look_for_errors()
            if self._is_here():
                self._wait = next(self._script)
                self._waiting_since = time.monotonic()
        except StopIteration:
            self.passed = True
            self._end("")
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs into the report
            self._end(f"{type(error).__name__}: {error}", traceback.format_exc())

    def _is_here(self) -> bool:
        if self._wait.condition():
            return True
        if time.monotonic() - self._waiting_since > self._wait.seconds:
            raise SelfTestError(f"{self._wait.what} did not come within {self._wait.seconds:.0f} s")
        return False

    def _look_for_errors(self) -> None:
        for top in QApplication.topLevelWidgets():
            if isinstance(top, ErrorDialog) and top.isVisible():
                details = top.details
                top.close()
                raise SelfTestError(f"{top.sentence}\n{details}".strip())

    def _end(self, error: str, details: str = "") -> None:
        self._timer.stop()
        self._report |= {"passed": self.passed, "error": error, "details": details}
        try:
            write_bytes(self._folder / REPORT, json.dumps(self._report, indent=1, ensure_ascii=False).encode())
        except OSError as problem:
            self.passed = False
            sys.stderr.write(f"The report cannot be written: {problem}\n")
        sys.stderr.write(f"self-test: {'passed' if self.passed else error}\n")
        for top in QApplication.topLevelWidgets():
            if top is not self._window and top.isVisible():
                top.close()
        # A dialog's own event loop has to end before the window's can.
        QTimer.singleShot(0, self._window, self._window.quit_now)

    def _lap(self, name: str) -> None:
        now = time.monotonic()
        self._report["seconds"][name] = round(now - self._last, 2)
        self._last = now

    def _steps(self) -> Generator[Wait, None, None]:
        yield from self._begin()
        yield from self._draw()
        yield from self._train()
        yield from self._predict()
        yield from self._accept()
        yield from self._save()
        yield from self._about()

    # ---- the script

    def _begin(self) -> Iterator[Wait]:
        window = self._window
        handle = window.windowHandle()
        yield Wait(lambda: window.isVisible() and (handle is None or handle.isExposed()), "the window")
        # From the start of the process, with the unpacking of what is imported.
        self._report["seconds"]["window"] = round(time.time() - psutil.Process().create_time(), 2)
        self._last = time.monotonic()
        yield Wait(lambda: window.is_complete, "everything behind the start page")
        self._lap("everything loaded")
        window.start_page.sample_button.click()
        yield Wait(lambda: self._cells() > 20, "the sample project with its cells")
        self._lap("sample")

    def _draw(self) -> Iterator[Wait]:
        window = self._window
        first = window.session.image_id
        window.actions_["next_image"].trigger()
        yield Wait(lambda: window.session.image_id != first and window.session.document is not None, "the next image")
        window.actions_["fit"].trigger()
        window.area.tool_column.tool_chosen.emit("brush")
        plane = window.session.plane
        assert plane is not None
        height, width = plane.shape[:2]
        self._stroke([(width * 0.4, height * 0.5), (width * 0.5, height * 0.55)])
        yield Wait(lambda: self._cells() == 1, "a cell painted with the brush")
        window.actions_["undo"].trigger()
        yield Wait(lambda: self._cells() == 0, "the painted cell undone")
        self._lap("draw")

    def _train(self) -> Iterator[Wait]:
        window = self._window
        session = window.session
        window.area.step_bar.buttons["train"].click()
        yield Wait(lambda: window.step() == "train" and self._ready(window.area.train.primary), "the button Train")
        # As if it were typed into the field of the form.
        window.area.train.wishes.form.row("epoch_max").entered.emit("epoch_max", EPOCHS)
        yield Wait(lambda: window.area.train.wishes.form.value("epoch_max") == EPOCHS, "the number of epochs")
        self._press(window.area.train.primary)
        yield Wait(lambda: session.training is not None, "the start of the training")
        job = session.training
        assert job is not None
        yield Wait(lambda: job.curve or not job.running, "the first training step", _WORK)
        self._lap("first training step")
        yield Wait(lambda: not job.running and session.training is None, "the end of the training", _WORK)
        if job.state != "finished" or window.session.model is None:
            raise SelfTestError(f"the training ended as {job.state}: {job.error}")
        self._report["found"] |= {"training steps": len(job.curve), "loss": [round(one[1], 4) for one in job.curve]}
        self._lap("training")

    def _predict(self) -> Iterator[Wait]:
        window = self._window
        session = window.session
        window.area.step_bar.buttons["predict"].click()
        scope = window.area.predict.images.box
        yield Wait(lambda: window.step() == "predict" and scope.findData("all") >= 0, "step 3")
        scope.setCurrentIndex(scope.findData("all"))
        scope.activated.emit(scope.currentIndex())
        yield Wait(lambda: self._ready(window.area.predict.primary), "the button Predict")
        self._press(window.area.predict.primary)
        yield Wait(lambda: session.prediction is not None, "the start of the prediction")
        job = session.prediction
        assert job is not None
        yield Wait(lambda: not job.running and session.prediction is None, "the end of the prediction", _WORK)
        if job.state != "finished":
            raise SelfTestError(f"the prediction ended as {job.state}: {job.error}")
        self._report["found"]["images predicted"] = len(job.items)
        self._lap("prediction")

    def _accept(self) -> Iterator[Wait]:
        window = self._window
        proposals = window.session.proposals
        window.area.step_bar.buttons["review"].click()
        yield Wait(
            lambda: window.step() == "review" and len(proposals.offered) and not proposals.busy,
            "the proposals of step 4",
        )
        offered = len(proposals.offered)
        yield Wait(lambda: self._ready(window.area.review.accept_all), "the button Accept all")
        window.area.review.accept_all.click()
        yield Wait(lambda: self._cells() > 0, "the accepted cells")
        self._report["found"] |= {"proposals": offered, "cells accepted": self._cells()}
        self._lap("review")

    def _save(self) -> Iterator[Wait]:
        import numpy as np

        from cellseg1.images import read_image

        from ..pages.export.dialog import ExportMasksDialog

        window = self._window
        target = self._folder / MASKS
        # The dialog is modal: it runs its own loop, in which this script goes on.
        QTimer.singleShot(0, window.actions_["export_masks"], window.actions_["export_masks"].trigger)
        yield Wait(lambda: self._dialog(ExportMasksDialog) is not None, "the dialog that saves masks")
        dialog = self._dialog(ExportMasksDialog)
        assert isinstance(dialog, ExportMasksDialog)
        dialog.drawn.setChecked(True)
        count = len(dialog.planes())
        # The dialog of the system that asks for a folder cannot be answered from here.
        dialog.save_to(target)
        yield Wait(dialog.open_button.isVisible, "the saved masks")
        dialog.close_button.click()
        yield Wait(lambda: self._dialog(ExportMasksDialog) is None, "the end of the dialog")
        project = window.session.require_project()
        saved = {path.stem: int(np.unique(read_image(path).array).size) - 1 for path in sorted(target.iterdir())}
        drawn = {
            Path(one.name).stem: project.images.get(one.id).cells
            for one in project.images
            if project.images.get(one.id).cells
        }
        if saved != drawn or len(saved) != count:
            raise SelfTestError(f"the saved masks hold {saved} cells, the project {drawn}")
        self._report["found"]["cells saved"] = saved
        self._lap("saving masks")

    def _about(self) -> Iterator[Wait]:
        from ..dialogs.about import AboutDialog

        action = self._window.actions_["about"]
        QTimer.singleShot(0, action, action.trigger)
        yield Wait(lambda: self._dialog(AboutDialog) is not None, "the dialog About")
        dialog = self._dialog(AboutDialog)
        assert isinstance(dialog, AboutDialog)
        dialog.tabs.setCurrentIndex(2)
        rows = dialog.table.rowCount()
        self._report["found"]["licences"] = rows
        dialog.close()
        if __version__ not in dialog.version_text() or rows < 20:
            raise SelfTestError(f"About shows {rows} packages and {dialog.version_text()!r}")
        yield Wait(lambda: self._dialog(AboutDialog) is None, "the end of the dialog")
        self._lap("about")

    # ---- hands and eyes

    def _cells(self) -> int:
        document = self._window.session.document
        return -1 if document is None else len(document.cells)

    @staticmethod
    def _ready(button: QAbstractButton | None) -> bool:
        return button is not None and button.isVisible() and button.isEnabled()

    @staticmethod
    def _press(button: QAbstractButton | None) -> None:
        if button is None:
            raise SelfTestError("a button is missing")
        button.click()

    @staticmethod
    def _dialog(kind: type) -> object | None:
        modal = QApplication.activeModalWidget()
        return modal if isinstance(modal, kind) else None

    def _stroke(self, points: list[tuple[float, float]]) -> None:
        """Draw a line of image positions with the left button."""
        canvas = self._window.canvas
        places = [QPointF(canvas.to_widget(x, y)) for x, y in points]
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        script = [
            (QEvent.Type.MouseButtonPress, places[0], left, left),
            *((QEvent.Type.MouseMove, place, none, left) for place in places[1:]),
            (QEvent.Type.MouseButtonRelease, places[-1], left, none),
        ]
        for kind, place, button, buttons in script:
            event = QMouseEvent(
                kind, place, QPointF(canvas.mapToGlobal(place)), button, buttons, Qt.KeyboardModifier.NoModifier
            )
            QApplication.sendEvent(canvas, event)
