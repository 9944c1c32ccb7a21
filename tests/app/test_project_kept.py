"""Work that is kept although something happens to the project's folder, its disk or its clock."""

import contextlib
import os
import shutil
import sys
import zipfile

import pytest
from project_help import FullDisk, act, copy_folder, is_after, new_project, paint_cell, picture

from app.base.errors import ProjectError
from app.project.archive import export_file, import_file
from app.project.drawings import ProjectDrawings
from app.project.project import Project
from app.project.thumbnails import thumbnail
from cellseg1.errors import CellSeg1Error


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # no power cut is tried here


# ---- a full disk


def test_an_image_with_unwritten_edits_is_not_removed(tmp_path, monkeypatch):
    project, ids = new_project(tmp_path, 2)
    document = project.drawings.document(ids[0])
    act(document, 1)
    disk = FullDisk(monkeypatch)
    disk.full = True
    for number in range(2, 12):
        act(document, number)
    with pytest.raises(ProjectError, match="disk is full"):
        project.trash.remove(ids[0])
    assert [image.id for image in project.images] == ids
    assert project.drawings.document(ids[0]) is document
    assert is_after(document, 11)
    disk.full = False
    project.flush()
    assert project.storage_problem is None
    removed = project.trash.remove(ids[0])
    project.trash.restore(removed)
    assert is_after(project.drawings.document(ids[0]), 11)
    project.close()


def test_a_removal_that_cannot_be_written_changes_nothing(tmp_path, monkeypatch):
    project, ids = new_project(tmp_path, 3)
    document = project.drawings.document(ids[1])
    act(document, 1)
    project.flush()
    disk = FullDisk(monkeypatch)
    disk.full = True
    name = project.images.get(ids[1]).name
    with pytest.raises(CellSeg1Error, match=f"^{name} was not removed: the disk is full"):
        project.trash.remove(ids[1])
    assert [image.id for image in project.images] == ids
    disk.full = False
    project.flush()
    assert project.trash.removed() == []
    act(document, 2)
    assert project.storage_problem is None
    project.close()
    with Project.open(project.folder) as project:
        assert is_after(project.drawings.document(ids[1]), 2)


# ---- names


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
@pytest.mark.parametrize("copy", [True, False])
def test_names_that_other_systems_cannot_hold(tmp_path, copy):
    names = [
        "a:b.png",
        "what?.png",
        'q"<>|*.png',
        "back\\slash.png",
        "tab\t.png",
        "con.png",
        "dot..png",
        "ä" * 120 + ".png",
    ]
    if sys.platform == "linux":
        names.append(os.fsdecode(b"latin\xe9.png"))
    paths = [picture(tmp_path / "pictures" / name, seed=number) for number, name in enumerate(names)]
    project = Project.create(tmp_path, "Odd")
    ids = project.add_images(paths, copy=copy).added
    assert [image.name for image in project.images] == names
    for image_id in ids:
        assert project.images.check(image_id) == "ok"
        paint_cell(project.drawings.document(image_id))
    removed = project.trash.remove(ids[0])
    assert project.trash.restore(removed) == ids[0]
    assert export_file(project, tmp_path / "odd.cs1zip") == []
    project.close()
    with Project.open(import_file(tmp_path / "odd.cs1zip", tmp_path / "in")) as again:
        assert {image.name for image in again.images} == set(names)
        for image_id in ids:
            assert again.images.check(image_id) == "ok"
            assert again.images.get(image_id).cells == 1
            assert again.images.path(image_id).is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="two names are one file there")
def test_a_project_that_holds_such_names_already(tmp_path):
    """As a version before copied them; and two that are one file on other systems."""
    project, ids = new_project(tmp_path, 3)
    project.close()
    folder = project.folder
    import json

    from app.project import content
    from app.project.files.sealed import seal, unseal

    _, values = unseal((folder / "project.json").read_bytes(), content.KIND)
    for entry, name in zip(values["images"], ("a:b?.png", "Same.png", "same.png"), strict=True):
        (folder / entry["file"]).rename(folder / "images" / name)
        entry["file"] = f"images/{name}"
    for name in ("project.json", "project.json.bak"):
        (folder / name).write_bytes(seal(content.KIND, 1, json.dumps(values)[1:]))
    with Project.open(folder) as project:
        assert project.damage == []
        assert [project.images.check(one) for one in ids] == ["ok"] * 3
        paint_cell(project.drawings.document(ids[0]))
        project.trash.restore(project.trash.remove(ids[0]))
        export_file(project, tmp_path / "one.cs1zip")
    with Project.open(import_file(tmp_path / "one.cs1zip", tmp_path / "in")) as again:
        assert [again.images.check(one) for one in ids] == ["ok"] * 3
        assert again.images.get(ids[0]).cells == 1


# ---- a folder that is gone or was renamed


@pytest.mark.skipif(os.name == "nt", reason="an open folder cannot be renamed there")
def test_a_renamed_project_is_not_made_again(tmp_path):
    project, ids = new_project(tmp_path, 2)
    document = project.drawings.document(ids[0])
    act(document, 1)
    run = project.runs.new("train").name
    project.flush()
    old, new = project.folder, tmp_path / "Renamed.cs1project"
    old.rename(new)
    act(document, 2)
    project.set_setting("a", 1)
    with pytest.raises(ProjectError, match="moved or deleted"):
        project.flush()
    assert "moved or deleted" in project.storage_problem
    assert "Move it back" in project.storage_problem
    assert "space" not in project.storage_problem
    for change in (
        lambda: project.runs.new("train"),
        lambda: project.trash.remove(ids[1]),
        lambda: project.add_images([picture(tmp_path / "more.png", seed=7)], copy=True),
        lambda: act(project.drawings.document(ids[1]), 1),
        lambda: thumbnail(project, ids[0]),
        lambda: project.runs.update(run, state="failed"),
        lambda: project.flush(),
    ):
        with contextlib.suppress(CellSeg1Error):
            change()
        assert not old.exists()
    # What was drawn meanwhile is in the folder under its new name already.
    killed = copy_folder(new, tmp_path / "killed.cs1project")
    with Project.open(killed) as again:
        assert is_after(again.drawings.document(ids[0]), 2)
    # Another folder of that name is another project's.
    old.mkdir()
    act(document, 3)
    with pytest.raises(ProjectError):
        project.flush()
    assert list(old.iterdir()) == []
    with pytest.raises(ProjectError, match="not the project"):
        project.moved_to(old)
    project.moved_to(new)
    assert project.storage_problem is None
    project.flush()
    assert '"failed"' in (new / "runs" / run / "run.json").read_text(encoding="utf-8")
    act(document, 4)
    project.close()
    assert list(old.iterdir()) == []
    with Project.open(new) as again:
        assert is_after(again.drawings.document(ids[0]), 4)
        assert again.settings["a"] == 1


def test_a_deleted_project_is_not_made_again_but_can_be_saved_elsewhere(tmp_path):
    project, (image_id,) = new_project(tmp_path, copy=False)
    document = project.drawings.document(image_id)
    act(document, 1)
    project.flush()
    shutil.rmtree(project.folder)
    act(document, 2)
    with pytest.raises(ProjectError):
        project.flush()
    assert not project.folder.exists()
    project.save_elsewhere(tmp_path / "elsewhere")
    project.close()
    with Project.open(tmp_path / "elsewhere" / "Cells.cs1project") as again:
        assert is_after(again.drawings.document(image_id), 2)


# ---- a journal that another program replaces


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be replaced there")
@pytest.mark.parametrize("how", ["replaced", "older", "deleted", "folder"])
def test_edits_are_safe_after_a_journal_was_replaced(tmp_path, how):
    project, (image_id,) = new_project(tmp_path)
    document = project.drawings.document(image_id)
    path = project.drawings.journal_path(image_id)
    act(document, 1)
    older = path.read_bytes()
    for number in range(2, 5):
        act(document, number)
    project.flush()
    match how:
        case "replaced" | "older":
            other = tmp_path / "other"
            other.write_bytes(path.read_bytes() if how == "replaced" else older)
            other.replace(path)
        case "deleted":
            path.unlink()
        case "folder":
            shutil.rmtree(path.parent)
    for number in range(5, 9):
        act(document, number)
        killed = copy_folder(project.folder, tmp_path / f"killed{number}.cs1project")
        with Project.open(killed) as again:
            assert is_after(again.drawings.document(image_id), number)
    project.flush()
    assert project.storage_problem is None
    assert len(project.damage) == 1
    assert ("kept as" in project.damage[0]) == (how in ("replaced", "older"))
    while document.can_undo:
        document.undo()
    project.close()


# ---- clocks, and what the list shows


@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_the_list_is_right_after_a_crash_whatever_the_clock_says(tmp_path, hours):
    project, ids = new_project(tmp_path, 2)
    paint_cell(project.drawings.document(ids[0]))
    project.flush()
    paint_cell(project.drawings.document(ids[0]), at=(12, 20))
    project.drawings.document(ids[0]).set_attribute("Use", "training", True)
    paint_cell(project.drawings.document(ids[1]))
    folder = copy_folder(project.folder, tmp_path / "killed.cs1project")
    project.close()
    for path in folder.rglob("*.journal"):
        when = path.stat().st_mtime + 3600 * hours
        os.utime(path, (when, when))
    with Project.open(folder) as again:
        assert [again.images.get(one).cells for one in ids] == [2, 1]
        assert again.images.training() == [(ids[0], 0, 0)]
    with Project.open(folder) as again:
        assert [again.images.get(one).cells for one in ids] == [2, 1]


def test_a_finished_edit_writes_its_journal_only(tmp_path, monkeypatch):
    from app.project.files import writer

    monkeypatch.setattr(writer, "DELAY", 0.01)
    project, (image_id,) = new_project(tmp_path)
    document = project.drawings.document(image_id)
    act(document, 1)
    project.flush()
    file = project.folder / "project.json"
    before = file.stat()
    for number in range(2, 7):
        act(document, number)
        project._write_due()
    assert os.path.samestat(before, file.stat())
    assert before.st_mtime_ns == file.stat().st_mtime_ns
    project.flush()
    assert before.st_mtime_ns != file.stat().st_mtime_ns
    project.close()


def test_a_project_of_thousands_is_not_read_or_written_twice(tmp_path, monkeypatch):
    from app.project.content import Content, ProjectImage

    project = Project.create(tmp_path, "Many")
    for number in range(50):
        entry = ProjectImage(f"{number:08x}", f"{number}.png", f"/somewhere/{number}.png", linked=True)
        project.content.images[entry.id] = entry
    project.close()
    read, real = [], Content.read.__func__
    monkeypatch.setattr(Content, "read", classmethod(lambda cls, *args, **kw: read.append(1) or real(cls, *args, **kw)))
    before = (project.folder / "project.json").stat()
    with Project.open(project.folder) as project:
        assert len(project.images) == 50
    assert len(read) == 1
    assert before.st_mtime_ns == (project.folder / "project.json").stat().st_mtime_ns


def test_a_file_that_goes_while_it_is_packed_is_no_obstacle(tmp_path, monkeypatch):
    project, (image_id,) = new_project(tmp_path)
    (project.folder / "models" / "m.cs1").write_bytes(b"model")
    real = ProjectDrawings.copy

    def gone(drawings, source, out):
        if source.suffix == ".cs1":
            raise FileNotFoundError(2, "No such file")
        real(drawings, source, out)

    monkeypatch.setattr(ProjectDrawings, "copy", gone)
    export_file(project, tmp_path / "one.cs1zip")
    project.close()
    with Project.open(import_file(tmp_path / "one.cs1zip", tmp_path / "in")) as again:
        assert again.images.check(image_id) == "ok"
    with zipfile.ZipFile(tmp_path / "one.cs1zip") as packed:
        assert packed.testzip() is None
