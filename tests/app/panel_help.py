"""What the tests of the panels share: a session with a project, a canvas wired as the window wires it, a fake job."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from engine_help import discs
from PIL import Image
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit

from app.annotation import operations
from app.canvas import Canvas
from cellseg1.lora.card import Card


class FakeJob(QObject):
    """A job that does what the test says."""

    progress = Signal(object)
    said = Signal(str)
    previewed = Signal(object)
    item_done = Signal(object)
    state_changed = Signal(str)
    finished = Signal(object)
    failed = Signal(str, str)
    stopped = Signal()
    ended = Signal(object)

    def __init__(self, request, title, run_id=""):
        super().__init__()
        self.request, self.title, self.run_id = request, title, run_id
        self.kind = {"TrainRequest": "train", "PredictRequest": "predict"}.get(type(request).__name__, "import")
        self.state = "running"
        self.last_progress = self.last_preview = self.result = self.error = None
        self.curve, self.log, self.items = [], [], []
        self.started = time.time()
        self.killed = False
        self.waiting_for = ""

    def process_identity(self):
        return 0, ""

    def stop(self, grace=None):
        self.state = "stopping"
        self.state_changed.emit("stopping")

    def kill(self):
        self.killed = True
        self.end("stopped")

    def tell(self, step, steps, loss):
        point = (step, loss, 1e-3)
        self.curve.append(point)
        detail = {"step": step, "steps": steps, "loss": loss, "points": [point]}
        self.last_progress = SimpleNamespace(share=step / steps, text="Epoch 1 of 2", seconds_left=200.0, detail=detail)
        self.progress.emit(self.last_progress)

    def show(self, box, labels, step=5):
        cells = len(np.unique(labels)) - 1
        self.last_preview = SimpleNamespace(image=0, box=box, labels=labels, step=step, cells=cells)
        self.previewed.emit(self.last_preview)

    def release(self, request):
        self.request, self.held, self.waiting_for = request, "", ""

    def give_up(self, sentence, details=""):
        self.held = False
        self.end("failed", error=(sentence, details))

    def end(self, state, result=None, error=None):
        self.state, self.result, self.error = state, result, error
        self.state_changed.emit(state)
        if state == "finished":
            self.finished.emit(result)
        elif state == "stopped":
            self.stopped.emit()
        else:
            self.failed.emit(*error)
        self.ended.emit(self)


class Bench:
    """A session, a canvas, and what was said."""

    def __init__(self, session, canvas, folder, qtbot):
        self.session, self.canvas, self.folder, self.qtbot = session, canvas, folder, qtbot
        self.problems, self.notes, self.jobs = [], [], []
        session.problem.connect(lambda sentence, _details: self.problems.append(sentence))
        session.note.connect(self.notes.append)
        session.image_changed.connect(self._show)
        session.display_changed.connect(lambda: session.display and canvas.set_display(session.display))
        canvas.display_changed.connect(session.set_display)

    def _show(self):
        self.canvas.set_document(None)
        self.canvas.set_image(self.session.plane, self.session.display)
        self.canvas.set_document(self.session.document)

    def fake_engines(self, monkeypatch):
        def start(request, title, run_id="", *, held=""):
            self.jobs.append(FakeJob(request, title, run_id))
            self.jobs[-1].held = self.jobs[-1].waiting_for = held
            return self.jobs[-1]

        monkeypatch.setattr(self.session.engines, "start", start)

    def project(self, *names):
        """Open a new project with these pictures: "discs" (96 x 144), "stack" (5 planes, 2 channels)."""
        (self.folder / "projects").mkdir(exist_ok=True)
        self.session.create_project(self.folder / "projects", "Test")
        self.add(*names)

    def add(self, *names):
        pictures = self.folder / "pictures"
        pictures.mkdir(exist_ok=True)
        for name in names:
            if name == "stack":
                values = np.random.default_rng(0).integers(0, 4000, (7, 2, 60, 90)).astype(np.uint16)
                tifffile.imwrite(pictures / "stack.tif", values)
            else:
                Image.fromarray(discs()[0]).save(pictures / f"{name}.png")
        if names:
            self.session.add_images(sorted(pictures.iterdir()), copy=True)
            self.show_image(0)

    def show_image(self, number, z=0, t=0):
        image_id = self.session.project.images[number].id
        self.session.show_image(image_id, z, t)
        self.wait(lambda: self.session.image_id == image_id and self.session.image is not None)
        # The panels follow with the next turn of the event loop.
        self.qtbot.wait(10)
        return image_id

    def draw(self, cells=None):
        """Draw the discs of the picture, or the first few of them."""
        labels = discs()[1]
        if cells is not None:
            labels[labels > cells] = 0
        operations.import_labels(self.session.document, labels)
        self.qtbot.wait(10)

    def wait(self, condition):
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=8000)

    def show(self, panel):
        self.qtbot.addWidget(panel)
        panel.resize(304, 900)
        panel.show()
        self.qtbot.waitExposed(panel)
        return panel


@pytest.fixture(name="bench")
def bench_fixture(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CELLSEG1_DATA_DIR", str(tmp_path / "data"))
    from app.preferences.store import PreferencesStore
    from app.session.session import Session

    session = Session(PreferencesStore(tmp_path / "preferences.json"))
    session.preferences.set("device", "cpu")
    canvas = Canvas()
    qtbot.addWidget(canvas)
    canvas.resize(320, 240)
    yield Bench(session, canvas, tmp_path, qtbot)
    canvas.set_document(None)
    session.close()
    session.preferences.flush()


def nameless(panel):
    """Widgets that can be used but have no accessible name."""
    kinds = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit)
    found = []
    for widget in panel.findChildren(QObject):
        if not isinstance(widget, kinds) or not widget.isVisibleTo(panel):
            continue
        inside = isinstance(widget, QLineEdit) and isinstance(widget.parent(), QAbstractSpinBox | QComboBox)
        bar = type(widget).__name__ in ("QScrollBar", "QToolBarExtension")
        if not inside and not bar and not (widget.accessibleName() or _text(widget)):
            found.append(widget)
    return found


def _text(widget):
    return widget.text() if isinstance(widget, QAbstractButton) else ""


def cut_labels(panel):
    """Visible labels whose text is wider or higher than the label."""
    from PySide6.QtWidgets import QLabel

    cut = []
    for label in panel.findChildren(QLabel):
        if not label.isVisible() or not label.text() or (label.pixmap() is not None and not label.pixmap().isNull()):
            continue
        needed = label.heightForWidth(label.width()) if label.wordWrap() else label.sizeHint().height()
        if label.height() < needed - 1 or (not label.wordWrap() and label.width() < label.sizeHint().width() - 1):
            cut.append(label.text())
    return cut


def write_model(folder, name, **values):
    """A file with a card but no weights."""
    card = Card(**{"backbone": "tiny", "created": "2026-01-02T10:00:00+00:00", **values})
    header = {"__metadata__": {"cellseg1_schema": "1", "card": json.dumps(card.to_dict()), "tensors_sha256": ""}}
    text = json.dumps(header).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.cs1"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return path
