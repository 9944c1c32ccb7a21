"""Does one operation of a project and fails or dies at its n-th file operation; run by test_faults.

Forks for every wish, so that imports are paid for once.  Says what was acknowledged, one line each.
"""

import contextlib
import errno
import json
import os
import sys
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import numpy as np  # noqa: E402
from project_help import act, picture  # noqa: E402

import cellseg1.files  # noqa: E402
from app.project import copying  # noqa: E402
from app.project.archive import export_file, import_file  # noqa: E402
from app.project.files import writer  # noqa: E402
from app.project.journal import journal as journals  # noqa: E402
from app.project.project import Project  # noqa: E402
from cellseg1.errors import CellSeg1Error  # noqa: E402

_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Faults:
    """Counts what is done to files below a folder; the n-th fails, or is the last."""

    def __init__(self, base, number, kind):
        self.base, self.number, self.kind = str(base), number, kind
        self.count = 0
        self.active = False
        sys.addaudithook(self.hear)
        self._wrap(os, "fsync", torn=False)
        self._wrap(os, "write", torn=False)
        self._wrap(journals, "write_all", torn=True)
        self._wrap(copying._Guard, "write", torn=True)
        self._wrap(cellseg1.files._Raw, "write", torn=True)

    def hear(self, event, args):
        if not self.active:
            return
        if event == "open":
            wanted = isinstance(args[2], int) and args[2] & _WRITING and self._below(args[0])
        else:
            wanted = event in _EVENTS and (isinstance(args[0], int) or self._below(args[0]))
        if wanted:
            self.hit()

    def _below(self, path):
        with contextlib.suppress(TypeError):
            return os.path.abspath(os.fsdecode(path)).startswith(self.base)  # noqa: PTH100
        return False

    def _wrap(self, place, name, *, torn):
        real = getattr(place, name)

        def wrapped(target, *rest):
            # What is said to the test is no file operation.
            if self.active and target != 1 and self.next():
                if torn:
                    with contextlib.suppress(Exception):
                        self.active = False
                        real(target, bytes(rest[0])[: len(rest[0]) // 2])
                        getattr(target, "flush", lambda: None)()
                    self.active = True
                self.fail()
            return real(target, *rest)

        setattr(place, name, wrapped)

    def next(self):
        self.count += 1
        return self.count == self.number

    def hit(self):
        if self.next():
            self.fail()

    def fail(self):
        if self.kind == "kill":
            os._exit(9)
        number = {"eio": errno.EIO, "full": errno.ENOSPC}[self.kind]
        raise OSError(number, os.strerror(number))


def say(*words):
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


@contextlib.contextmanager
def writable(folder):
    with Project.open(folder) as project:
        if project.read_only:
            raise CellSeg1Error(project.why_read_only)
        yield project


def edit(folder, base):
    with writable(folder) as project:
        image_id = project.images[0].id
        document = project.drawings.document(image_id)
        for number in range(7, 10):
            act(document, number)
            if not project.drawings.unsaved:
                say("edit", number)
        project.flush()
        say("edit", 9)


def compact(folder, base):
    journals.SNAPSHOT_BYTES, journals.COMPACT_BYTES = 300, 600
    edit(folder, base)


def add(folder, base):
    with writable(folder) as project:
        report = project.add_images([base / "more"], copy=True)
        for _path, reason in report.skipped:
            assert reason
        for image_id in report.added:
            say("added", image_id) if not project.storage_problem else None
    say("closed")


def remove(folder, base):
    with writable(folder) as project:
        image_id = project.images[0].id
        project.trash.remove(image_id)
        say("removed", image_id)


def restore(folder, base):
    with writable(folder) as project:
        image_id = project.trash.restore(project.trash.removed()[0])
        say("restored", image_id) if not project.storage_problem else None


def export(folder, base):
    with writable(folder) as project:
        export_file(project, base / "out" / "one.cs1zip")
        say("exported")


def bring_in(folder, base):
    import_file(base / "one.cs1zip", base / "in")
    say("imported")


def duplicate(folder, base):
    with writable(folder) as project:
        project.duplicate(base / "copies", "Second")
        say("duplicated")


def create(folder, base):
    Project.create(base / "new", "Fresh").close()
    say("created")


def rename(folder, base):
    with writable(folder) as project:
        act(project.drawings.document(project.images[0].id), 7)
        project.rename("Other")
        say("renamed")


def move(folder, base):
    real = Path.stat

    def other_disk(self, **options):
        state = real(self, **options)
        return os.stat_result([*state[:2], state.st_dev + 1, *state[3:10]]) if self.name == "usb" else state

    with writable(folder) as project:
        Path.stat = other_disk
        project.move(base / "usb")
        Path.stat = real
        say("moved")


def run(folder, base):
    with writable(folder) as project:
        name = project.runs.new("predict", title="x").name
        say("run", name)
        project.runs.add_result(name, project.images[0].id, 0, 0, cells=3)
        project.runs.update(name, state="finished")
        say("finished", name) if not project.storage_problem else None


def settings(folder, base):
    with writable(folder) as project:
        project.set_setting("model", "new.cs1")
        project.flush()
        say("set")


OPERATIONS = {
    one.__name__: one
    for one in (edit, compact, add, remove, restore, export, bring_in, duplicate, create, rename, move, run, settings)
}


def main():
    writer.DELAY = 30  # the order of what is done is always the same
    real = os.fsync
    os.fsync = lambda handle: real(handle) if handle < 0 else None
    for line in sys.stdin:
        wish = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ["CELLSEG1_STUDIO_HOME"] = wish["home"]
            base, folder = Path(wish["base"]), Path(wish["folder"])
            faults = Faults(base, wish["number"], wish["kind"])
            faults.active = True
            try:
                OPERATIONS[wish["operation"]](folder, base)
            except CellSeg1Error as error:
                faults.active = False
                say("sentence", str(error).replace("\n", " "))
            except BaseException:  # noqa: BLE001 - the test judges it
                faults.active = False
                say("raw", traceback.format_exc().replace("\n", " | "))
            faults.active = False
            say("count", faults.count)
            os._exit(0)
        os.waitpid(child, 0)
        say("gone")


if __name__ == "__main__":
    assert np.zeros(1).size
    assert picture
    main()
