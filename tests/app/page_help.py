"""A small session and project in memory for the tests of panels, with the real documents, proposals and canvas."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.annotation.document import Document
from app.project.display import auto_display
from app.session.shown_image import ShownPlane
from cellseg1.errors import CellSeg1Error
from cellseg1.prediction.candidates import Candidates

SHAPE = (90, 140)


def disc(shape, x, y, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


#: Places and scores of the proposals that a prediction offers: (x, y, radius, score).
CELLS = (
    (20, 20, 9, 0.95),
    (60, 25, 8, 0.9),
    (100, 30, 10, 0.85),
    (30, 65, 9, 0.75),
    (75, 65, 7, 0.65),
    (115, 70, 9, 0.55),
)


def labels_of(cells, shape=SHAPE):
    labels = np.zeros(shape, np.int32)
    for number, (x, y, radius, *_rest) in enumerate(cells, 1):
        labels[disc(shape, x, y, radius)] = number
    return labels


def candidates_of(cells, shape=SHAPE):
    masks = [(disc(shape, x, y, radius), (0, 0)) for x, y, radius, _score in cells]
    score = [one[3] for one in cells]
    return Candidates.from_masks(masks, shape, score=score, stability=[0.9] * len(cells))


@dataclasses.dataclass
class Entry:
    id: str
    name: str
    n_z: int = 1
    n_t: int = 1
    planes: dict = dataclasses.field(default_factory=dict)
    plane_shape: tuple | None = SHAPE
    pixel_size_um: tuple | None = None
    axes: str = "YX"
    axes_by_hand: bool = False
    display: dict = dataclasses.field(default_factory=dict)


class FakeImages(list):
    """The part `images` of a project."""

    def __init__(self, folder, entries):
        super().__init__(entries)
        self.folder = folder

    def get(self, image_id):
        return next(one for one in self if one.id == image_id)

    def path(self, image_id):
        return self.folder / self.get(image_id).name

    def places_of(self, entry):
        return [self.folder / entry.name]

    def next_unchecked(self, after):
        ids = [one.id for one in self]
        start = ids.index(after) + 1 if after in ids else 0
        for image_id in ids[start:] + ids[:start]:
            if not self.get(image_id).planes.get("0,0", {}).get("checked"):
                return image_id
        return None


class FakeRuns(list):
    """The part `runs` of a project."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def update(self, run_id, **fields):
        next(run for run in self if run.id == run_id).fields.update(fields)

    def proposals_path(self, run_id, image_id, z, t):
        return self.folder / run_id / f"{image_id}_z{z:03d}_t{t:03d}.npz"

    def latest_prediction(self, image_id, z, t):
        runs = [run for run in reversed(self) if self.proposals_path(run.id, image_id, z, t).exists()]
        return runs[0] if runs else None


class FakeModels(list):
    """The part `models` of a project."""

    def all(self):
        return list(self)


class FakeDrawings:
    """The part `drawings` of a project."""

    def __init__(self, images):
        self.images = images
        self.documents = {}

    def document(self, image_id, z=0, t=0):
        key = (image_id, z, t)
        if key not in self.documents:
            self.documents[key] = Document(self.images.get(image_id).plane_shape)
        return self.documents[key]

    def update_plane(self, image_id, z, t, document):
        note = self.images.get(image_id).planes.setdefault(f"{z},{t}", {})
        note.update(
            cells=len(document.cells),
            checked=bool(document.attributes.get("checked")),
            training=bool(document.attributes.get("training")),
        )


class FakeProject:
    def __init__(self, folder: Path, names=("a1.tif", "a2.tif", "a3.tif")):
        self.folder = folder
        self.name = "Test"
        self.read_only = False
        self.why_read_only = ""
        self.images = FakeImages(folder, [Entry(f"i{n}", name) for n, name in enumerate(names)])
        self.drawings = FakeDrawings(self.images)
        self.runs = FakeRuns(folder)
        self.models = FakeModels()
        self.settings = {}

    def draw(self, image_id, labels, z=0, t=0, **attributes):
        document = Document(labels.shape, labels, attributes)
        self.drawings.documents[image_id, z, t] = document
        self.drawings.update_plane(image_id, z, t, document)
        return document

    def add_run(self, image_ids, cells=CELLS, *, model="mine.cs1", select=None):
        run_id = f"{len(self.runs) + 1:04d}-predict"
        self.runs.append(
            SimpleNamespace(
                id=run_id,
                kind="predict",
                state="finished",
                created="2026-01-02T03:04:05+00:00",
                folder=self.folder / run_id,
                fields={"model": model, "select": select or {"pred_iou_thresh": 0.5, "stability_score_thresh": 0.5}},
            )
        )
        for image_id in image_ids:
            entry = self.images.get(image_id)
            for z in range(entry.n_z):
                path = self.runs.proposals_path(run_id, image_id, z, 0)
                path.parent.mkdir(parents=True, exist_ok=True)
                candidates_of(cells, entry.plane_shape).save(path)
                entry.planes.setdefault(f"{z},0", {})["predicted"] = True
        return self.runs[-1]


class FakeJob(QObject):
    progress = Signal(object)
    item_done = Signal(object)
    state_changed = Signal(str)

    def __init__(self):
        super().__init__()
        self.kind = "predict"
        self.state = "running"
        self.stops = 0
        self.last_progress = None

    def stop(self):
        self.stops += 1
        self.state = "stopping"
        self.state_changed.emit("stopping")


class FakePreferences:
    def __init__(self):
        self.values = SimpleNamespace(last_folder="", device="cpu")

    def set(self, name, value):
        setattr(self.values, name, value)


class FakeSession(QObject):
    project_changed = Signal()
    images_changed = Signal()
    image_state_changed = Signal(str)
    image_changed = Signal()
    document_edited = Signal()
    model_changed = Signal()
    models_changed = Signal()
    job_started = Signal(object)
    job_ended = Signal(object)
    problem = Signal(str, str)
    note = Signal(str)
    _from_thread = Signal(object)

    def __init__(self, project=None):
        super().__init__()
        from app.session.proposals import Proposals

        self.project = project
        self.image_id = self.plane = self.document = self.display = None
        self.z = self.t = 0
        self.preferences = FakePreferences()
        self.training = self.prediction = None
        self.wishes = []
        self.model = None
        self.backbone = "tiny"
        self.image_problem = ""
        self.notes: list[str] = []
        self.problems: list[Any] = []
        self.note.connect(self.notes.append)
        self.problem.connect(lambda *args: self.problems.append(args))
        self.pool = ThreadPoolExecutor(1)
        self.pending = 0
        self._unsubscribe = None
        self._from_thread.connect(self._call)
        self.proposals = Proposals(SimpleNamespace(run=self.run), SimpleNamespace(run=self.edit_aside))
        self.proposals.problem.connect(self.problem)
        self.proposals.note.connect(self.note)
        self.image_changed.connect(self.show_proposals)
        self.project_changed.connect(self.show_proposals)

    def show_proposals(self):
        shown = None
        if self.project is not None and self.image_id is not None and self.plane is not None:
            shown = ShownPlane(self.project, self.image_id, self.z, self.t, None, self.plane, self.document)
        self.proposals.show(shown)

    def start_prediction(self, wish):
        self.wishes.append(wish)
        self.prediction = FakeJob()
        self.job_started.emit(self.prediction)
        return self.prediction

    def end_job(self):
        job, self.prediction = self.prediction, None
        self.job_ended.emit(job)

    def require_project(self):
        return self.project

    def edit_aside(self, document, what, operation, done):
        done(operation(document))

    def run(self, work, done, name="", newest=None):
        wanted = None if newest is None else newest.asked()
        if wanted is not None:
            take, done = done, lambda answer: take(answer) if wanted() else None
        self.pending += 1
        self.pool.submit(work).add_done_callback(lambda future: self._from_thread.emit((future, done)))

    def _call(self, answer):
        future, done = answer
        self.pending -= 1
        if future.exception() is not None:
            self.problem.emit(str(future.exception()), "")
            return
        done(future.result())

    def close(self):
        self.pool.shutdown(wait=True)

    def show_image(self, image_id, z=0, t=0):
        if self._unsubscribe is not None:
            self._unsubscribe()
        self.image_id, self.z, self.t = image_id, z, t
        entry = self.project.images.get(image_id)
        rows, columns = np.indices(entry.plane_shape)
        self.plane = ((rows * 3 + columns * 2 + 40 * int(image_id[1:])) % 200).astype(np.uint16)
        self.display = auto_display(self.plane, False)
        self.document = self.project.drawings.document(image_id, z, t)
        self._unsubscribe = self.document.subscribe(self._edited)
        self.image_changed.emit()

    def _edited(self, change):
        self.project.drawings.update_plane(self.image_id, self.z, self.t, self.document)
        if change.kind != "live":
            self.proposals.edited(change)
        if change.kind not in ("live", "cancel"):
            self.document_edited.emit()

    def pixel_size(self):
        return self.project.images.get(self.image_id).pixel_size_um if self.image_id else None

    def set_model(self, path):
        self.model = path
        self.model_changed.emit()

    def set_checked(self, checked):
        self.document.set_attribute("check", "checked", checked)

    def set_training(self, use):
        self.document.set_attribute("train", "training", use)

    def next_unchecked(self):
        found = self.project.images.next_unchecked(self.image_id)
        if found is not None:
            self.show_image(found)
        return found is not None

    def fail(self, sentence):
        raise CellSeg1Error(sentence)


class Stage:
    """Session, canvas and the little that the window does between them."""

    def __init__(self, qtbot, folder):
        from app.canvas import Canvas

        self.qtbot = qtbot
        self.project = FakeProject(folder)
        self.session = FakeSession(self.project)
        self.canvas = Canvas()
        self.canvas.resize(420, 300)
        qtbot.addWidget(self.canvas)

    def connect(self):
        """After the panels, as the window does."""
        session, canvas = self.session, self.canvas

        def image_changed():
            canvas.set_document(None)
            canvas.set_image(session.plane, session.display)
            canvas.set_document(session.document)

        session.image_changed.connect(image_changed)
        session.proposals.changed.connect(lambda: canvas.set_proposals(session.proposals.layer()))

    def show(self, image_id="i0", z=0, t=0):
        self.session.show_image(image_id, z, t)
        self.settle()

    def settle(self):
        """Until nothing runs in the background and all timers of zero have fired."""
        from PySide6.QtWidgets import QApplication

        end = time.monotonic() + 10
        quiet = 0
        while quiet < 3:
            QApplication.processEvents()
            quiet = 0 if self.session.pending else quiet + 1
            time.sleep(0.003)
            assert time.monotonic() < end, "the background never came to rest"
