"""A kill, an error of the disk, or a full disk at every file operation: nothing acknowledged is lost, nothing stays."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from project_help import act, is_after, new_project, paint_cell, picture

from app.project.archive import export_file
from app.project.project import Project

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

OPERATIONS = (
    *("edit", "compact", "add", "remove", "restore", "export", "bring_in", "duplicate", "create"),
    *("rename", "move", "run", "settings"),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A project of three images, one more that was removed, a run, and what operations need beside it."""
    folder = tmp_path_factory.mktemp("source")
    os.environ["CELLSEG1_STUDIO_HOME"] = str(folder / "home")
    project, ids = new_project(folder, 4, name="Cells")
    for number in range(1, 7):
        act(project.drawings.document(ids[0]), number)
    for number in (1, 2):
        paint_cell(project.drawings.document(ids[number]))
    paint_cell(project.drawings.document(ids[3]))
    run = project.runs.new("train").name
    project.runs.update(run, state="finished")
    project.set_setting("model", "old.cs1")
    project.trash.remove(ids[3])
    export_file(project, folder / "one.cs1zip")
    project.close()
    for number in range(3):
        picture(folder / "more" / f"more{number}.png", seed=20 + number)
    shutil.rmtree(folder / "pictures")
    shutil.rmtree(folder / "home", ignore_errors=True)
    return folder, ids


@pytest.fixture(scope="module")
def child():
    command = [sys.executable, str(Path(__file__).with_name("fault_child.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


def attempt(process, base, operation, number, kind):
    """Let the child do it; returns what it said."""
    wish = {"operation": operation, "number": number, "kind": kind}
    wish |= {"base": str(base), "folder": str(base / "Cells.cs1project"), "home": str(base / "home")}
    process.stdin.write(json.dumps(wish) + "\n")
    process.stdin.flush()
    said = []
    for line in process.stdout:
        words = line.rstrip("\n").split(" ", 1)
        if words[0] == "gone":
            return said
        said.append((words[0], words[1] if len(words) > 1 else ""))
    raise AssertionError("the child ended")


def check(base, ids, operation, kind, said, monkeypatch):
    """All that was acknowledged is there, nothing that was begun stays, and the project goes on."""
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(base / "home"))
    assert not [words for words in said if words[0] == "raw"], said
    folders = sorted(path for path in base.rglob("*.cs1project") if path.is_dir())
    known = {folder: folder.relative_to(base).as_posix() for folder in folders}
    assert folders, "a project is gone"
    whole = []
    for folder in folders:
        with contextlib.closing(Project.open(folder)) as project:
            assert not project.read_only, project.why_read_only
            assert project.damage == [], (known[folder], project.damage)
            if known[folder].startswith("new/"):
                continue
            whole.append(folder)
            check_project(project, ids, operation, said, known[folder])
        with Project.open(folder) as project:
            assert project.damage == []
    assert whole
    acknowledged = {words[0] for words in said}
    for word, path in (
        ("imported", "in/Cells.cs1project"),
        ("duplicated", "copies/Second.cs1project"),
        ("created", "new/Fresh.cs1project"),
        ("renamed", "Other.cs1project"),
        ("moved", "usb/Cells.cs1project"),
    ):
        assert word not in acknowledged or path in known.values()
    if acknowledged & {"renamed", "moved"}:
        assert "Cells.cs1project" not in known.values()
    if operation in ("rename", "move") and kind != "kill":
        assert len(folders) == 1, "the project is in two places"
    if operation == "duplicate" and kind != "kill":
        assert ("duplicated" in acknowledged) == (len(folders) == 2), "a copy that nobody was told of"
    assert ("exported" in acknowledged) <= (base / "out" / "one.cs1zip").exists()
    left = [path for path in base.rglob("*") if is_left(path)]
    assert left == [], "something was left behind"


def is_left(path):
    parts = path.name.endswith(".part") or path.name == ".adding" or path.name.startswith(".lock")
    return parts or (path.parent.name == "unfinished" and path.is_file()) or ".damaged-" in path.name


def check_project(project, ids, operation, said, where):
    listed = {image.id: image for image in project.images}
    removed = project.trash.removed()
    names = [one.name for one in removed]
    assert len(names) == len(set(names))
    # What is nowhere of the four is lost; what is in both is a ghost.
    for number, image_id in enumerate(ids):
        there, gone = image_id in listed, f"p{number}.png" in names
        assert there + gone == (1 if where == "Cells.cs1project" or number < 3 or there or gone else 0), (
            image_id,
            where,
        )
    words = {}
    for word, rest in said:
        words.setdefault(word, []).append(rest)
    check_words(project, ids, listed, words)
    for image in listed.values():
        assert project.images.check(image.id) == "ok"
        assert (
            project.drawings.labels_of(image.id) is None
            or image.cells == len(np.unique(project.drawings.labels_of(image.id))) - 1
        )
    used = {image.stored_name for image in listed.values()}
    assert {path.name for path in (project.folder / "images").iterdir()} == used, "copies that nobody knows"
    for one in removed:
        project.trash.restore(one)
    for image_id in ids[1:]:
        if image_id in project.content.images:
            assert project.images.get(image_id).cells == 1
            assert project.images.check(image_id) == "ok"
            assert len(project.drawings.document(image_id).cells) == 1
    edits = [int(rest) for rest in words.get("edit", [])]
    least = max(edits, default=6)
    document = project.drawings.document(ids[0])
    most = {"edit": 9, "compact": 9, "rename": 7}.get(operation, 6)
    fits = [number for number in range(least, most + 1) if is_after(document, number)]
    assert fits, f"edits are lost: {least} were acknowledged"
    while document.can_undo:
        document.undo()
    assert all(any(folder.iterdir()) for folder in folders_in(project.folder / "runs"))
    assert folders_in(project.folder / "trash") == []


def check_words(project, ids, listed, words):
    assert "removed" not in words or ids[0] not in listed
    assert "restored" not in words or ids[3] in listed
    assert "set" not in words or project.settings["model"] == "new.cs1"
    for run in words.get("run", []):
        assert run in [one.id for one in project.runs]
    for run in words.get("finished", []):
        assert project.runs.get(run).state == "finished"
        assert project.images.get(ids[0]).planes["0,0"]["predicted"]
    for image_id in words.get("added", []) if "closed" in words else []:
        assert image_id in listed


def folders_in(folder):
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def try_all(source, child, tmp_path, operation, kind, chosen, monkeypatch):
    folder, ids = source
    base = tmp_path / "dry"
    shutil.copytree(folder, base)
    said = dict(attempt(child, base, operation, 0, kind))
    assert "raw" not in said, said
    assert "sentence" not in said, said
    total = int(said["count"])
    assert total > 5
    shutil.rmtree(base)
    for number in chosen(total):
        base = tmp_path / str(number)
        shutil.copytree(folder, base)
        said = attempt(child, base, operation, number, kind)
        try:
            check(base, ids, operation, kind, said, monkeypatch)
        except BaseException as error:
            error.add_note(f"{operation}: {kind} at {number} of {total}; said {said}")
            raise
        shutil.rmtree(base)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_some_places(source, child, tmp_path, operation, monkeypatch):
    chance = random.Random(operation)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    for kind in ("kill", chance.choice(("eio", "full"))):
        (tmp_path / kind).mkdir()

        def chosen(total, kind=kind):
            return sorted(chance.sample(range(1, total + 1), 2 if kind == "kill" else 1))

        try_all(source, child, tmp_path / kind, operation, kind, chosen, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", "eio", "full"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_place(source, child, tmp_path, operation, kind, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    try_all(source, child, tmp_path, operation, kind, lambda total: range(1, total + 1), monkeypatch)
