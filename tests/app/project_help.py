"""What the tests of projects share: tiny pictures, edits that always do the same, and a document to compare with."""

import errno
import functools
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from app.annotation import Document, operations
from app.project.journal import journal as journals
from app.project.journal.open_plane import OpenPlane
from app.project.project import Project
from cellseg1.masks import write_label_image

SHAPE = (30, 47)


def picture(path, shape=SHAPE, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def squares(shape=SHAPE, count=3):
    labels = np.zeros(shape, np.int32)
    for number in range(count):
        labels[2 + 8 * number : 8 + 8 * number, 3 : 9 + number] = number + 1
    return labels


def mask(path, labels=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_label_image(path, squares() if labels is None else labels)
    return path


def act(document, number):
    """Do the operation of that number; each makes exactly one record."""
    if number % 5 == 3 and document.can_undo:
        document.undo()
    elif number % 7 == 4 and document.can_redo:
        document.redo()
    elif number % 6 == 5:
        document.set_attribute("Region", "region", [number % 9, 1, 5 + number, 6])
    else:
        height, width = document.shape
        rng = np.random.default_rng(number)
        y, x = int(rng.integers(0, height - 6)), int(rng.integers(0, width - 8))
        box = (y, x, y + 3 + number % 4, x + 5 + number % 3)
        selected = np.ones((box[2] - box[0], box[3] - box[1]), bool)
        step = document.apply("Paint", lambda edit: edit.paint((box, selected), number, protect=False))
        assert step is not None


def replica(count, shape=SHAPE):
    """A document in memory after that many operations."""
    document = Document(shape)
    for number in range(1, count + 1):
        act(document, number)
    return document


@functools.cache
def expected(count):
    """Labels and attributes after that many operations."""
    document = replica(count)
    return document.labels.copy(), dict(document.attributes)


def is_after(document, count):
    labels, attributes = expected(count)
    return np.array_equal(document.labels, labels) and dict(document.attributes) == attributes


def same(first, second):
    return np.array_equal(first.labels, second.labels) and dict(first.attributes) == dict(second.attributes)


def new_project(folder, count=1, name="Cells", **options):
    """A project with that many pictures; returns it and their ids."""
    project = Project.create(folder, name)
    paths = [picture(folder / "pictures" / f"p{number}.png", seed=number) for number in range(count)]
    report = project.add_images(paths, copy=options.get("copy", True))
    assert len(report.added) == count
    return project, report.added


def open_plane(path, shape=SHAPE, *, read_only=False, problems=None, damage=None):
    """A drawing without a project; the background works at once."""
    plane = OpenPlane(
        Path(path),
        shape,
        "p0.png",
        read_only=read_only,
        on_problem=(lambda error: None) if problems is None else problems.append,
        wake=lambda: None,
        in_background=lambda work: work(),
        damage=[] if damage is None else damage,
    )
    plane.document().subscribe(lambda change: plane.changed())
    return plane


def close_plane(plane, *, save=True):
    if save:
        plane.save()
    plane.journal.close()


def drawn(path, count, *, save=False):
    """Make a journal of that many operations."""
    plane = open_plane(path)
    for number in range(plane.journal.last + 1, count + 1):
        act(plane.document(), number)
    close_plane(plane, save=save)


def copy_folder(source, target):
    """What is on disk at this moment, as if the process had been killed; without its lock."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".lock"))
    return target


class FullDisk:
    """Lets so many more bytes be written, then none."""

    def __init__(self, monkeypatch, room=0):
        self.room = room
        self.full = False
        self._write = journals.write_all
        monkeypatch.setattr(journals, "write_all", self._journal)
        import app.project.files.sealed as sealed

        self._sealed = sealed.write_bytes
        monkeypatch.setattr(sealed, "write_bytes", self._bytes)

    def _journal(self, stream, data):
        if not self.full:
            self._write(stream, data)
            return
        part = bytes(data)[: self.room]
        self.room -= len(part)
        self._write(stream, part)
        if len(part) < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")

    def _bytes(self, path, data):
        from cellseg1.errors import OutputError

        if self.full:
            raise OutputError("full") from OSError(errno.ENOSPC, "No space left on device")
        self._sealed(path, data)


def paint_cell(document, at=(3, 4)):
    y, x = at
    return operations.new_cell(document, ((y, x, y + 4, x + 5), np.ones((4, 5), bool)))
