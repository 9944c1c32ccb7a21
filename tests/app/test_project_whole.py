"""A project as a whole: other names and places, copies, one file, trash, runs, models, recent projects."""

import dataclasses
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from project_help import act, is_after, new_project, paint_cell, picture

from app.base import places
from app.base.errors import ProjectError
from app.base.names import inside
from app.pages.models.files import export_copy
from app.project import archive, recent
from app.project.archive import export_file, import_file
from app.project.drawings import ProjectDrawings
from app.project.files.lock import NAME
from app.project.models import library_models
from app.project.project import Project, trash_project
from app.project.runs import RunInfo
from cellseg1.errors import CellSeg1Error, ModelFileError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))


def worked_on(tmp_path, **options):
    project, ids = new_project(tmp_path, 2, **options)
    for number in range(1, 9):
        act(project.drawings.document(ids[0]), number)
    return project, ids


def tree(folder):
    """All files and their bytes, but what says where or when."""
    skipped = {NAME, "project.json", "project.json.bak"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in skipped and "thumbnails" not in path.parts
    }


# ---- rename, move, duplicate


def test_rename_and_move_while_open(tmp_path):
    project, ids = worked_on(tmp_path)
    document = project.drawings.document(ids[0])
    project.rename("Näxt one")
    assert project.folder == tmp_path / "Näxt one.cs1project"
    assert not (tmp_path / "Cells.cs1project").exists()
    act(document, 9)
    project.move(tmp_path / "else" / "where")
    assert project.folder == tmp_path / "else" / "where" / "Näxt one.cs1project"
    act(document, 10)
    document.undo()
    document.redo()
    assert project.drawings.document(ids[0]) is document
    assert (project.folder / NAME).exists()
    project.close()
    with Project.open(project.folder) as project:
        assert is_after(project.drawings.document(ids[0]), 10)
        assert project.images.check(ids[1]) == "ok"
        assert project.damage == []


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes among files")
def test_a_pipe_in_a_project_is_not_waited_for_when_it_is_copied(tmp_path):
    project, _ = worked_on(tmp_path)
    os.mkfifo(project.folder / "models" / "m.cs1")
    with pytest.raises(ProjectError, match=r"m\.cs1 could not be copied: it is a pipe and not a file"):
        project.duplicate(tmp_path, "Second")
    assert not (tmp_path / "Second.cs1project").exists()
    with pytest.raises(CellSeg1Error, match="a pipe and not a file"):
        export_copy(project.folder / "models" / "m.cs1", tmp_path / "out.cs1")
    project.close()


def other_disk(monkeypatch):
    """Let the folder ``usb`` be one of another disk."""
    real = Path.stat

    def stat(self, **options):
        state = real(self, **options)
        if self.name == "usb":
            return os.stat_result([*state[:2], state.st_dev + 1, *state[3:10]])
        return state

    monkeypatch.setattr(Path, "stat", stat)


def test_moving_to_another_disk(tmp_path, monkeypatch):
    project, ids = worked_on(tmp_path)
    document, old = project.drawings.document(ids[0]), project.folder
    project.flush()
    before = tree(old)
    (tmp_path / "usb").mkdir()
    other_disk(monkeypatch)
    project.move(tmp_path / "usb")
    monkeypatch.undo()
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))
    assert not old.exists()
    assert tree(project.folder) == before
    act(document, 9)
    project.close()
    with Project.open(tmp_path / "usb" / "Cells.cs1project") as project:
        assert is_after(project.drawings.document(ids[0]), 9)


def refuse_to_rename(monkeypatch, *folders):
    real = Path.rename

    def rename(self, target):
        if self in folders:
            raise PermissionError(13, "Permission denied")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)


def test_a_project_whose_old_folder_cannot_be_removed_stays_where_it_is(tmp_path, monkeypatch):
    project, ids = worked_on(tmp_path)
    project.flush()
    old, before = project.folder, tree(project.folder)
    other_disk(monkeypatch)
    refuse_to_rename(monkeypatch, old)
    with pytest.raises(ProjectError, match="It is unchanged"):
        project.move(tmp_path / "usb")
    assert project.folder == old
    assert tree(old) == before
    assert list((tmp_path / "usb").iterdir()) == []
    assert project.damage == []
    act(project.drawings.document(ids[0]), 9)
    project.close()
    with Project.open(old) as project:
        assert is_after(project.drawings.document(ids[0]), 9)
        assert not project.read_only


def test_a_copy_that_cannot_be_removed_either_is_told(tmp_path, monkeypatch):
    project, ids = worked_on(tmp_path)
    project.flush()
    old, copy = project.folder, tmp_path / "usb" / project.folder.name
    other_disk(monkeypatch)
    refuse_to_rename(monkeypatch, old, copy)
    with pytest.raises(ProjectError, match="It is unchanged"):
        project.move(tmp_path / "usb")
    assert project.folder == old
    assert f"its other copy {copy} could not be removed" in project.damage[0]
    act(project.drawings.document(ids[0]), 9)
    project.close()
    with Project.open(old) as project:
        assert is_after(project.drawings.document(ids[0]), 9)


def test_a_project_that_cannot_go_back_goes_on_in_the_copy(tmp_path, monkeypatch):
    project, ids = worked_on(tmp_path)
    project.flush()
    old, real = project.folder, project.drawings.go_on_in

    def go_on_in(folder):
        if folder == old:
            raise ProjectError("no")
        real(folder)

    other_disk(monkeypatch)
    refuse_to_rename(monkeypatch, old)
    monkeypatch.setattr(project.drawings, "go_on_in", go_on_in)
    project.move(tmp_path / "usb")
    assert project.folder == tmp_path / "usb" / "Cells.cs1project"
    assert f"its other copy {old} could not be removed" in project.damage[0]
    act(project.drawings.document(ids[0]), 9)
    project.close()
    with Project.open(tmp_path / "usb" / "Cells.cs1project") as project:
        assert is_after(project.drawings.document(ids[0]), 9)


def test_a_copy_that_cannot_be_gone_on_in_is_removed(tmp_path, monkeypatch):
    project, ids = worked_on(tmp_path)
    project.flush()
    old, real = project.folder, project.drawings.go_on_in

    def go_on_in(folder):
        real(folder)
        if folder != old:
            raise ProjectError("the disk is gone")

    other_disk(monkeypatch)
    monkeypatch.setattr(project.drawings, "go_on_in", go_on_in)
    with pytest.raises(ProjectError, match="the disk is gone"):
        project.move(tmp_path / "usb")
    assert project.folder == old
    assert list((tmp_path / "usb").iterdir()) == []
    act(project.drawings.document(ids[0]), 9)
    project.close()
    with Project.open(old) as project:
        assert is_after(project.drawings.document(ids[0]), 9)


def test_a_trash_that_was_left_out_when_the_project_was_packed(tmp_path):
    project, _ = worked_on(tmp_path)
    shutil.rmtree(project.folder / "trash", ignore_errors=True)
    assert project.trash.removed() == []
    project.trash.empty()
    project.close()


def test_taken_names_and_running_jobs_are_refused(tmp_path):
    project, ids = worked_on(tmp_path)
    Project.create(tmp_path, "Taken").close()
    (tmp_path / "sub" / "Cells.cs1project").mkdir(parents=True)
    for change in (
        lambda: project.rename("Taken"),
        lambda: project.rename("a/b"),
        lambda: project.move(tmp_path / "sub"),
        lambda: project.move(project.folder / "images"),
        lambda: project.duplicate(tmp_path, "Taken"),
        lambda: project.duplicate(project.folder, "Inside"),
        lambda: project.save_elsewhere(project.folder / "images" / "x.cs1project"),
    ):
        with pytest.raises(ProjectError):
            change()
    run = project.runs.new("train", pid=os.getpid())
    with pytest.raises(ProjectError, match="is running"):
        project.rename("Other")
    project.runs.update(run.name, state="finished")
    assert project.folder == tmp_path / "Cells.cs1project"
    assert is_after(project.drawings.document(ids[0]), 8)
    project.rename("Other")
    assert project.runs.get(run.name).folder == project.folder / "runs" / run.name
    project.close()


def test_a_duplicate_is_complete_and_independent(tmp_path):
    project, ids = worked_on(tmp_path)
    folder = project.duplicate(tmp_path / "copies", "Second")
    assert folder == tmp_path / "copies" / "Second.cs1project"
    act(project.drawings.document(ids[0]), 9)
    with Project.open(folder) as second:
        assert not second.read_only
        assert second.name == "Second"
        assert second.content.uid != project.content.uid
        assert is_after(second.drawings.document(ids[0]), 8)
        while second.drawings.document(ids[0]).can_undo:
            second.drawings.document(ids[0]).undo()
        assert second.images.path(ids[1]).parent == folder / "images"
    assert is_after(project.drawings.document(ids[0]), 9)
    project.close()


def test_nothing_half_copied_stays(tmp_path, monkeypatch):
    project, ids = worked_on(tmp_path)
    from app.project import copying

    monkeypatch.setattr(copying, "write_sealed", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(ProjectError, match="the disk is full"):
        project.duplicate(tmp_path / "copies", "Second")
    assert list((tmp_path / "copies").iterdir()) == []
    act(project.drawings.document(ids[0]), 9)
    project.close()


# ---- the computer's trash


def test_to_the_trash_and_back(tmp_path):
    """In a process of its own: where the trash is, is found out once."""
    project, ids = worked_on(tmp_path)
    with pytest.raises(ProjectError, match="is open"):
        trash_project(project.folder)
    project.close()
    before = tree(project.folder)
    if sys.platform != "linux":
        pytest.skip("looks into the trash of freedesktop systems")
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    code = f"from app.project.project import trash_project; trash_project({str(project.folder)!r})"
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=Path(__file__).parents[2], check=True)
    assert not project.folder.exists()
    found = tmp_path / "data" / "Trash" / "files" / "Cells.cs1project"
    assert tree(found) == before
    with Project.open(found) as project:
        assert is_after(project.drawings.document(ids[0]), 8)


def test_a_trash_that_refuses(tmp_path, monkeypatch):
    import send2trash

    def refuse(path):
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(send2trash, "send2trash", refuse)
    project, _ = new_project(tmp_path)
    project.close()
    with pytest.raises(ProjectError, match="could not be moved to the trash"):
        trash_project(project.folder)
    assert project.folder.exists()
    with pytest.raises(ProjectError, match="not a project"):
        trash_project(tmp_path)


# ---- one file


def test_there_and_back_again(tmp_path):
    project, ids = worked_on(tmp_path)
    run = project.runs.new("predict", title="Ä")
    proposals = project.runs.proposals_path(run.name, ids[0], 0, 0)
    proposals.parent.mkdir()
    proposals.write_bytes(b"proposals")
    project.runs.add_result(run.name, ids[0], 0, 0, cells=1)
    project.runs.update(run.name, state="finished")
    project.set_setting("model", "x.cs1")
    project.models_folder.joinpath("x.cs1").write_bytes(b"model")
    project.flush()
    path = tmp_path / "out" / "one.cs1zip"
    assert export_file(project, path) == []
    act(project.drawings.document(ids[0]), 9)
    folder = import_file(path, tmp_path / "in")
    assert folder == tmp_path / "in" / "Cells.cs1project"
    assert [file.name for file in (tmp_path / "in").iterdir()] == ["Cells.cs1project"]
    with Project.open(folder) as again:
        assert again.damage == []
        assert is_after(again.drawings.document(ids[0]), 8)
        assert again.drawings.document(ids[0]).undo_count
        mine, theirs = (
            [dataclasses.asdict(image) | {"fingerprint": image.fingerprint["sha256"]} for image in one.images]
            for one in (project, again)
        )
        mine[0]["planes"] = theirs[0]["planes"]
        assert theirs == mine
        assert [again.images.check(one) for one in ids] == ["ok", "ok"]
        assert again.settings == project.settings
        assert again.runs.get(run.name).fields == project.runs.get(run.name).fields
        assert again.runs.latest_prediction(ids[0]).id == run.name
        assert (folder / "models" / "x.cs1").read_bytes() == b"model"
    assert import_file(path, tmp_path / "in") == tmp_path / "in" / "Cells 2.cs1project"
    project.close()


def test_linked_images_are_packed(tmp_path):
    project, ids = new_project(tmp_path, 2, copy=False)
    other = picture(tmp_path / "other" / "p0.png", seed=9)
    (third,) = project.add_images([other], copy=False).added
    paint_cell(project.drawings.document(ids[0]))
    run = project.runs.new("train", request={"images": [str(tmp_path / "pictures" / "p0.png")], "out": "models/a.cs1"})
    (run / "status.json").write_text(json.dumps({"state": "finished", "result": {"model": str(tmp_path / "m.cs1")}}))
    path = tmp_path / "one.cs1zip"
    assert export_file(project, path) == []
    project.close()
    shutil.rmtree(project.folder)
    contents = {path.name: path.read_bytes() for path in (tmp_path / "pictures").iterdir()}
    shutil.rmtree(tmp_path / "pictures")
    folder = import_file(path, tmp_path / "in")
    with Project.open(folder) as again:
        assert [image.linked for image in again.images] == [False] * 3
        assert [again.images.check(one) for one in (*ids, third)] == ["ok"] * 3
        assert again.images.path(ids[0]).read_bytes() == contents["p0.png"]
        assert again.images.path(third).read_bytes() == other.read_bytes()
        assert len(again.drawings.document(ids[0]).cells) == 1
        assert again.runs.get(run.name).fields["request"] == {"images": ["images/p0.png"], "out": "models/a.cs1"}
    assert str(tmp_path).encode() not in b"".join(path.read_bytes() for path in folder.rglob("*.json*"))


def test_linked_images_may_stay_behind(tmp_path):
    project, ids = new_project(tmp_path, 2, copy=False)
    paint_cell(project.drawings.document(ids[0]))
    path = tmp_path / "one.cs1zip"
    export_file(project, path, pack_linked=False)
    (tmp_path / "pictures" / "p1.png").unlink()
    problems = export_file(project, tmp_path / "two.cs1zip")
    assert ["p1.png" in one for one in problems] == [True]
    project.close()
    folder = import_file(path, tmp_path / "in")
    with zipfile.ZipFile(path) as packed:
        assert str(tmp_path).encode() not in packed.read("project.json")
        assert not [name for name in packed.namelist() if name.startswith("images/")]
    with Project.open(folder) as again:
        assert [again.images.check(one) for one in ids] == ["missing", "missing"]
        assert again.images.relink_folder(tmp_path / "pictures") == 1
        assert again.images.check(ids[0]) == "ok"
        assert len(again.drawings.document(ids[0]).cells) == 1


def rewrite(path, target, change):
    """Copy a one-file project, changing what is in it."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as out:
        entries = {info.filename: source.read(info) for info in source.infolist()}
        for name, data in change(entries).items():
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            out.writestr(info, data)
    return target


def listed(entries, name, data=b"x"):
    import hashlib

    listing = json.loads(entries["cs1zip.json"])
    listing["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {**entries, name: data, "cs1zip.json": json.dumps(listing).encode()}


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "/tmp/out.txt",
        "images/../../out.txt",
        "C:/out.txt",
        "c:out.txt",
        "images\\..\\..\\out.txt",
        "images//x",
        "./x",
        "images/x\0.png",
        "images/a:b",
    ],
)
def test_names_that_lead_out_are_refused(tmp_path, name):
    project, _ = new_project(tmp_path)
    export_file(project, tmp_path / "one.cs1zip")
    project.close()
    evil = rewrite(tmp_path / "one.cs1zip", tmp_path / "evil.cs1zip", lambda entries: listed(entries, "images/XXXX"))
    # Written by hand, because the zip module itself mends some names.
    stored = name.encode()
    data = evil.read_bytes()
    padded = stored + b"q" * (11 - len(stored)) if len(stored) <= 11 else None
    if padded is None:
        evil = rewrite(tmp_path / "one.cs1zip", evil, lambda entries: listed(entries, name))
    else:
        evil.write_bytes(data.replace(b"images/XXXX", padded))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ProjectError):
        import_file(evil, tmp_path / "in")
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] in ([], [tmp_path / "in"])


def test_links_and_strangers_in_the_file_are_refused(tmp_path):
    project, _ = new_project(tmp_path)
    export_file(project, tmp_path / "one.cs1zip")
    project.close()
    link = zipfile.ZipInfo("images/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16

    def with_link(entries):
        entries = listed(entries, "images/link", b"/etc")
        data = entries.pop("images/link")
        return {**entries, link: data}

    changes = (
        with_link,
        lambda entries: {**entries, "images/unlisted.png": b"x"},
        lambda entries: {name: data for name, data in entries.items() if not name.startswith("images/")},
        lambda entries: {**entries, "project.json": entries["project.json"] + b" "},
        lambda entries: {**entries, "cs1zip.json": b"{}"},
        lambda entries: {name: data for name, data in entries.items() if name != "cs1zip.json"},
        lambda entries: listed(listed(entries, "images/A.png"), "images/a.png"),
        lambda entries: {**entries, "cs1zip.json": entries["cs1zip.json"].replace(b'"schema":1', b'"schema":2')},
        lambda entries: {**entries, "cs1zip.json": entries["cs1zip.json"].replace(b'"Cells"', b'"../Cells"')},
        lambda entries: {**entries, "cs1zip.json": entries["cs1zip.json"].replace(b'"size":', b'"size":9')},
    )
    for change in changes:
        with pytest.raises(ProjectError):
            import_file(rewrite(tmp_path / "one.cs1zip", tmp_path / "bad.cs1zip", change), tmp_path / "in")
        assert not (tmp_path / "in").exists() or list((tmp_path / "in").iterdir()) == []
    for data in (b"", b"no zip", (tmp_path / "one.cs1zip").read_bytes()[:-100]):
        (tmp_path / "bad.cs1zip").write_bytes(data)
        with pytest.raises(ProjectError):
            import_file(tmp_path / "bad.cs1zip", tmp_path / "in")


def test_a_damaged_file_is_never_half_imported(tmp_path):
    project, ids = worked_on(tmp_path)
    export_file(project, tmp_path / "one.cs1zip")
    project.close()
    data = (tmp_path / "one.cs1zip").read_bytes()
    bad = tmp_path / "bad.cs1zip"
    for position in range(0, len(data), max(1, len(data) // 60)):
        flipped = bytearray(data)
        flipped[position] ^= 0x20
        bad.write_bytes(flipped)
        try:
            folder = import_file(bad, tmp_path / "in")
        except ProjectError:
            assert not (tmp_path / "in").exists() or list((tmp_path / "in").iterdir()) == []
            continue
        # A flipped time stamp changes nothing.
        with Project.open(folder) as again:
            assert is_after(again.drawings.document(ids[0]), 8)
        shutil.rmtree(folder)


def test_no_room_is_said_before_anything_is_unpacked(tmp_path, monkeypatch):
    project, _ = new_project(tmp_path)
    export_file(project, tmp_path / "one.cs1zip")
    project.close()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(ProjectError, match="more than is free"):
        import_file(tmp_path / "one.cs1zip", tmp_path / "in")


def test_an_export_that_fails_leaves_no_file(tmp_path, monkeypatch):
    project, _ = new_project(tmp_path)
    (tmp_path / "one.cs1zip").write_bytes(b"an older one")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ProjectDrawings, "copy", fail)
    with pytest.raises(CellSeg1Error, match="the disk is full"):
        export_file(project, tmp_path / "one.cs1zip")
    assert (tmp_path / "one.cs1zip").read_bytes() == b"an older one"
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))
    project.close()


@pytest.mark.parametrize(
    ("path", "good"), [("a/b.png", True), ("a", True), ("", False), ("a/", False), ("/a", False), ("a/../b", False)]
)
def test_inside(path, good):
    assert inside(path) == good


# ---- runs


def test_runs_are_numbered_and_remembered(tmp_path):
    project, ids = new_project(tmp_path)
    first, second = project.runs.new("train", title="One"), project.runs.new("predict")
    assert [path.name for path in (first, second)] == ["0001-train", "0002-predict"]
    project.runs.update(first.name, state="finished", result={"ap": np.float32(0.5)}, images={ids[0]: {"z": 0, "t": 0}})
    project.runs.add_result(second.name, ids[0], 0, 0, cells=4)
    project.runs.add_result(second.name, ids[0], 1, 0, error="too dark")
    project.close()
    with Project.open(project.folder) as project:
        one, two = project.runs
        assert (one.id, one.kind, one.state) == ("0001-train", "train", "finished")
        assert one.fields == {"images": {ids[0]: {"z": 0, "t": 0}}, "title": "One", "result": {"ap": 0.5}}
        assert two.fields["images"] == {
            ids[0]: {"0,0": {"cells": 4, "error": None}, "1,0": {"cells": None, "error": "too dark"}}
        }
        assert project.images.get(ids[0]).state == "predicted"
        assert project.runs.new("train").name == "0003-train"
        with pytest.raises(ProjectError):
            project.runs.update("0009-train", state="finished")


def test_the_newest_prediction_of_a_plane(tmp_path):
    project, ids = new_project(tmp_path, 2)
    runs = [project.runs.new("predict").name for _ in range(3)]
    for run in runs[:2]:
        path = project.runs.proposals_path(run, ids[0], 0, 0)
        assert path == project.folder / "runs" / run / "proposals" / f"{ids[0]}_z000_t000.npz"
        path.parent.mkdir()
        path.write_bytes(b"x")
    assert project.runs.latest_prediction(ids[0], 0, 0).id == runs[1]
    assert project.runs.latest_prediction(ids[0], 1, 0) is None
    assert project.runs.latest_prediction(ids[1]) is None
    project.close()


def test_interrupted_runs_are_found(tmp_path):
    project, ids = new_project(tmp_path, 2)
    names = [project.runs.new(kind).name for kind in ("train", "train", "train", "predict", "train", "train")]
    dead = {"pid": 2**22 + 3, "pid_created": 1.0}
    project.runs.update(names[0], **dead)
    project.runs.update(names[1], pid=os.getpid(), pid_created=None)
    project.runs.update(names[2], state="finished", **dead)
    proposals = project.runs.proposals_path(names[3], ids[1], 0, 0)
    proposals.parent.mkdir()
    proposals.write_bytes(b"x")
    status = {"state": "finished", "kind": "train", "result": {"model": "m.cs1"}, "pid": 2**22 + 3, "pid_created": 1.0}
    (project.runs_folder / names[4] / "status.json").write_text(json.dumps(status))
    project.runs.update(names[5], pid=os.getpid(), pid_created=1.0)
    project.close()
    with Project.open(project.folder) as project:
        assert [run.id for run in project.runs.interrupted()] == [names[0], names[3], names[5]]
        states = [run.state for run in project.runs]
        assert states == ["interrupted", "running", "finished", "interrupted", "finished", "interrupted"]
        assert project.runs.get(names[4]).fields["result"] == {"model": "m.cs1"}
        assert project.images.get(ids[1]).state == "predicted"
        project.runs.update(names[0], state="stopped")
        project.runs.update(names[1], state="stopped")
    with Project.open(project.folder) as project:
        assert [run.id for run in project.runs.interrupted()] == [names[3], names[5]]
        assert isinstance(project.runs[0], RunInfo)


def test_a_run_whose_file_is_lost_is_still_listed(tmp_path):
    project, _ = new_project(tmp_path)
    run = project.runs.new("predict")
    (run / "log.txt").write_text("log")
    project.close()
    for name in ("run.json", "run.json.bak"):
        (run / name).unlink()
    with Project.open(project.folder) as project:
        assert [one.id for one in project.runs] == [run.name]


# ---- models


@pytest.fixture
def model(tmp_path):
    """A file with a card and one small tensor."""
    from cellseg1.lora.card import Card
    from cellseg1.lora.header import CARD_KEY, SCHEMA_KEY

    card = json.dumps(Card(backbone="tiny", notes="mine").to_dict())
    head = {
        "__metadata__": {SCHEMA_KEY: "1", CARD_KEY: card},
        "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
    }
    text = json.dumps(head).encode()
    path = tmp_path / "good.cs1"
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"1234")
    return path


def test_models_come_and_go(tmp_path, model):
    project, _ = new_project(tmp_path)
    assert project.models.all() == []
    first, second = project.models.add(model), project.models.add(model)
    assert [path.name for path in (first, second)] == ["good.cs1", "good_2.cs1"]
    (project.models_folder / "broken.cs1").write_bytes(b"nothing")
    found = {one.name: one for one in project.models.all()}
    assert list(found) == ["broken", "good", "good_2"]
    assert found["good"].card.notes == "mine"
    assert found["broken"].card is None
    assert "broken.cs1" in found["broken"].problem
    project.set_setting("model", "good.cs1")
    renamed = project.models.rename(first, "better")
    assert renamed.name == "better.cs1"
    assert project.settings["model"] == "better.cs1"
    with pytest.raises(ProjectError, match="already"):
        project.models.rename(renamed, "good_2")
    with pytest.raises(ProjectError):
        project.models.rename(renamed, "../x")
    project.models.remove(renamed)
    assert [one.name for one in project.models.all()] == ["broken", "good_2"]
    assert (project.folder / "trash" / "better.cs1").read_bytes() == model.read_bytes()
    with pytest.raises(ModelFileError):
        project.models.add(project.models_folder / "broken.cs1")
    places.library_folder().mkdir(parents=True)
    shutil.copy2(second, places.library_folder())
    assert [one.name for one in library_models()] == ["good_2"]
    project.close()


# ---- recent projects and places


def test_recent_projects(tmp_path):
    assert recent.recent() == []
    folders = [tmp_path / f"{number}.cs1project" for number in range(25)]
    for folder in folders:
        recent.add(folder, folder.stem)
    recent.add(folders[20], "Again")
    found = recent.recent()
    assert len(found) == 20
    assert [one.path for one in found[:3]] == [folders[20], folders[24], folders[23]]
    assert found[0].name == "Again"
    assert found[0].opened
    recent.remove(folders[24])
    assert [one.path for one in recent.recent()[:2]] == [folders[20], folders[23]]
    # A picture of its own cells, when there is one.
    (folders[23] / "thumbnails").mkdir(parents=True)
    picture(folders[23] / "thumbnails" / "a.png")
    assert recent.recent()[1].thumbnail == folders[23] / "thumbnails" / "a.png"
    (places.config_folder() / "recent.json").write_bytes(b"damaged")
    assert [one.path for one in recent.recent()[:2]] == [folders[20], folders[23]]
    for name in ("recent.json", "recent.json.bak"):
        (places.config_folder() / name).write_bytes(b"damaged")
    assert recent.recent() == []


def test_places_can_be_put_under_one_folder(tmp_path, monkeypatch):
    everything = (
        places.config_folder,
        places.log_folder,
        places.cache_folder,
        places.default_project_folder,
        places.library_folder,
    )
    found = {place() for place in everything}
    assert len(found) == 5
    assert {path.parent for path in found} == {tmp_path / "home"}
    assert places.home_folder() == tmp_path / "home"
    monkeypatch.delenv("CELLSEG1_STUDIO_HOME")
    assert len({place() for place in everything}) == 5
    assert tmp_path not in places.default_project_folder().parents


def test_nothing_here_loads_qt_or_torch():
    code = (
        "import sys, app.project.project, app.project.thumbnails, app.project.recent; "
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'PySide6', 'shiboken6'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
