"""Projects that somebody else made to do harm: nothing outside of them is touched, and what is bad is left out."""

import hashlib
import json
import os
import re
import shutil
import zipfile

import pytest
from project_help import act, is_after, new_project, paint_cell, picture

from app.base.errors import ProjectError
from app.base.names import inside, safe_name, within
from app.project import content, trash
from app.project.archive import export_file, import_file
from app.project.files.sealed import seal, unseal
from app.project.project import Project
from app.project.thumbnails import thumbnail
from cellseg1.errors import CellSeg1Error


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))
    # Many small projects are made, and no power cut is tried here.
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def reseal(path, kind, change):
    """Change what is in a sealed file, as somebody who knows how it is made."""
    schema, values = unseal(path.read_bytes(), kind)
    change(values)
    data = seal(kind, schema, json.dumps(values)[1:])
    for file in (path, path.with_name(path.name + ".bak")):
        file.write_bytes(data)


def outside(folder):
    """All that is in a folder, to see whether it was touched."""
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture
def victim(tmp_path):
    """A folder of somebody's own, beside the project."""
    folder = tmp_path / "victim"
    picture(folder / "thesis" / "figure.png")
    (folder / "thesis" / "text.txt").write_text("years of work")
    return folder


EVIL_IDS = [
    "../../victim/thesis",
    "..",
    "",
    "/tmp",
    "a/b",
    "..\\..\\victim",
    "C:\\x",
    "0123456",
    "ABCDEF01",
    "01234567\n",
    "con",
    7,
    None,
    ["01234567"],
]


@pytest.mark.parametrize("evil", EVIL_IDS)
def test_an_id_that_is_none_is_left_out_and_said(tmp_path, victim, evil):
    project, ids = new_project(tmp_path, 2)
    act(project.drawings.document(ids[1]), 1)
    project.close()
    before = outside(victim)
    reseal(
        project.folder / "project.json",
        content.KIND,
        lambda values: values["images"][0].update(id=evil, name="bad.png"),
    )
    with Project.open(project.folder) as project:
        assert [image.id for image in project.images] == [ids[1]]
        assert "1 of 2 images of the project were left out" in project.damage[0]
        # The entry is not lost: who made it can mend it.
        kept = re.search(r"kept as (\S+)\.$", project.damage[0])[1]
        assert b"bad.png" in (project.folder / kept).read_bytes()
        thumbnail(project, ids[1])
        act(project.drawings.document(ids[1]), 2)
        assert is_after(project.drawings.document(ids[1]), 2)
        project.trash.remove(ids[1])
    assert outside(victim) == before
    with Project.open(project.folder) as project:
        assert project.damage == []


EVIL_FILES = [
    "../victim/thesis/figure.png",
    "images/../../victim/thesis/figure.png",
    "images/..",
    "images/",
    "images",
    "annotations/x.png",
    "/etc/passwd",
    "images//etc/passwd",
    "images/a/b.png",
    "images\\..\\..\\victim\\thesis\\figure.png",
    "project.json",
    "images/a\0.png",
]


@pytest.mark.parametrize("evil", EVIL_FILES)
def test_a_copy_that_lies_elsewhere_is_left_out(tmp_path, victim, evil):
    project, ids = new_project(tmp_path, 2)
    project.close()
    before = outside(victim)
    reseal(project.folder / "project.json", content.KIND, lambda values: values["images"][0].update(file=evil))
    with Project.open(project.folder) as project:
        assert [image.id for image in project.images] == [ids[1]]
        assert len(project.damage) == 1
    assert outside(victim) == before


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../../../victim/thesis"},
        {"file": "../victim/thesis/new.png"},
        {"file": "images/../../autostart.desktop"},
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_restoring_writes_into_the_project_only(tmp_path, victim, change, packed):
    project, ids = new_project(tmp_path, 2)
    paint_cell(project.drawings.document(ids[0]))
    removed = project.trash.remove(ids[0])
    stored = next(path for path in removed.folder.iterdir() if path.suffix == ".png")
    reseal(removed.folder / "removed.json", trash._KIND, lambda values: values["image"].update(change))
    shutil.copy(stored, removed.folder / "new.png")
    shutil.copy(stored, removed.folder / "autostart.desktop")
    folder = project.folder
    project.close()
    if packed:
        archive = tmp_path / "evil.cs1zip"
        _pack(folder, archive)
        with pytest.raises(ProjectError, match="trash/"):
            import_file(archive, tmp_path / "in")
        assert list((tmp_path / "in").iterdir() if (tmp_path / "in").exists() else ()) == []
        return
    before = outside(victim)
    with Project.open(folder) as project:
        assert project.trash.removed() == []
        with pytest.raises(ProjectError):
            project.trash.restore(removed)
    assert outside(victim) == before
    assert not (tmp_path / "autostart.desktop").exists()
    with Project.open(folder) as project:
        assert [image.name for image in project.images] == ["p1.png"]


def _pack(folder, path):
    """Make a one-file project of all that is in a folder, as somebody with a program of their own would."""
    files = {}
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file.name != ".lock" and not file.name.startswith("open."):
                data = file.read_bytes()
                name = file.relative_to(folder).as_posix()
                files[name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                archive.writestr(name, data)
        archive.writestr("cs1zip.json", json.dumps({"schema": 1, "name": "Gift", "files": files}))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("name", ["annotations", "trash", "thumbnails", "images", "models", "runs"])
def test_folders_that_are_links_to_elsewhere_are_refused(tmp_path, victim, name):
    project, _ = new_project(tmp_path)
    project.close()
    shutil.rmtree(project.folder / name)
    (project.folder / name).symlink_to(victim / "thesis", target_is_directory=True)
    before = outside(victim)
    with pytest.raises(ProjectError, match="points out of the project"):
        Project.open(project.folder)
    assert outside(victim) == before


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_deeper_in_are_not_followed(tmp_path, victim):
    project, ids = new_project(tmp_path, 3)
    act(project.drawings.document(ids[2]), 1)
    project.close()
    folder = project.folder
    text = victim / "thesis" / "text.txt"
    (folder / "annotations" / ids[0]).symlink_to(victim / "thesis", target_is_directory=True)
    (folder / "annotations" / ids[1]).mkdir()
    (folder / "annotations" / ids[1] / "z000_t000.journal").symlink_to(text)
    journal = folder / "annotations" / ids[2] / "z000_t000.journal"
    journal.with_name(".z000_t000.journal.part").symlink_to(text)
    (folder / "trash").mkdir(exist_ok=True)
    (folder / "trash" / "x").symlink_to(victim / "thesis", target_is_directory=True)
    (folder / "runs" / "0001-train").symlink_to(victim / "thesis", target_is_directory=True)
    (folder / "images" / "p1.png").unlink()
    (folder / "images" / "p1.png").symlink_to(victim / "thesis" / "figure.png")
    data = bytearray(journal.read_bytes())
    data[-2] ^= 1
    journal.write_bytes(data)
    before = outside(victim)
    with Project.open(folder) as project:
        for image_id in ids[:2]:
            with pytest.raises(ProjectError, match="points out of the project"):
                project.drawings.document(image_id)
        assert project.images.check(ids[1]) == "missing"
        # A damaged journal is written anew, but not through a link.
        act(project.drawings.document(ids[2]), 2)
        project.flush()
        assert not project.runs
        assert project.trash.removed() == []
        project.runs.new("train")
        with pytest.raises(ProjectError, match="points out of the project"):
            project.trash.remove(ids[0])
        export_file(project, tmp_path / "one.cs1zip")
    with zipfile.ZipFile(tmp_path / "one.cs1zip") as archive:
        packed = b"".join(archive.read(name) for name in archive.namelist())
    assert b"years of work" not in packed
    assert outside(victim) == before


def test_only_images_are_packed_of_what_is_linked(tmp_path):
    """Somebody's project links files of this computer and is sent back."""
    project, ids = new_project(tmp_path, 3, copy=False)
    project.close()
    secret, pipe = tmp_path / "id_rsa", tmp_path / "pipe"
    secret.write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    if hasattr(os, "mkfifo"):
        os.mkfifo(pipe)

    def change(values):
        values["images"][0].update(file=str(secret), nearby="../id_rsa")
        values["images"][1].update(file=str(pipe), nearby="")

    reseal(project.folder / "project.json", content.KIND, change)
    with Project.open(project.folder) as project:
        assert [project.images.check(one) for one in ids] == [
            "changed",
            "changed" if pipe.exists() else "missing",
            "ok",
        ]
        problems = export_file(project, tmp_path / "one.cs1zip")
    assert ["is no image" in one or "is missing" in one for one in problems] == [True, True]
    with zipfile.ZipFile(tmp_path / "one.cs1zip") as archive:
        assert [name for name in archive.namelist() if name.startswith("images/")] == ["images/p2.png"]
        assert not [name for name in archive.namelist() if b"PRIVATE" in archive.read(name)]


def test_a_one_file_project_links_nothing_on_this_computer(tmp_path, victim):
    project, (image_id,) = new_project(tmp_path, copy=False)
    project.close()
    evil = victim / "thesis" / "figure.png"
    reseal(
        project.folder / "project.json",
        content.KIND,
        lambda values: values["images"][0].update(file=str(evil), nearby="../victim/thesis/figure.png", fingerprint={}),
    )
    _pack(project.folder, tmp_path / "gift.cs1zip")
    with Project.open(import_file(tmp_path / "gift.cs1zip", tmp_path / "in")) as project:
        assert project.images.get(image_id).file == "figure.png"
        assert project.images.check(image_id) == "missing"


@pytest.mark.parametrize("uid", ["../../../victim", "", 7, "A" * 32])
def test_the_name_of_the_cache_is_checked(tmp_path, victim, uid):
    project, _ = new_project(tmp_path)
    project.close()
    reseal(project.folder / "project.json", content.KIND, lambda values: values["project"].update(uid=uid))
    with Project.open(project.folder) as project:
        assert re.fullmatch(r"[0-9a-f]{32}", project.content.uid)


ODD = {
    "shape": [[-1, 5], [0, 0], ["a"], [1.5, 2], 7, None, [10**30, 4], [30] * 20],
    "axes": ["YY", "", "X", 7, ["Y", "X"], "Y/X", "ZYX"],
    "n_z": [-1, 1e300, "3", None, True, 10**40],
    "planes": [[], {"a": 1}, {"0,0": 3}, {"0,0": {"cells": "many", "training": 2}}, {"-1,0": {"cells": 1}}],
    "pixel_size_um": [[0, 0], ["a", "b"], [1], 3, [-1, 1], [10**400, 1]],
    "fingerprint": [7, {"size": "x"}, {"ends": "../../x"}, {"size": 10**40}],
    "display": [[], 7, "x"],
    "notes": [7, [7], {"a": 1}],
    "channel_names": [[None], 3],
    "nearby": [7, "a\0b"],
    "dtype": [7, []],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ODD.items() for value in values])
def test_odd_values_are_as_if_they_were_not_there(tmp_path, name, value):
    project, (image_id,) = new_project(tmp_path)
    project.close()
    reseal(project.folder / "project.json", content.KIND, lambda values: values["images"][0].update({name: value}))
    with Project.open(project.folder) as project:
        assert project.damage == []
        assert project.images.get(image_id).state == "new"
        assert project.images.training() == []
        thumbnail(project, image_id)
        act(project.drawings.document(image_id), 1)
        assert project.images.get(image_id).plane_shape == (30, 47)


def test_names_that_some_system_cannot_hold_are_made_safe():
    for name in (
        "a:b.png",
        "a?.tif",
        "tab\there.png",
        "x. ",
        "con.png",
        "LPT1",
        "",
        "..",
        "a/b.png",
        "a\\b.png",
        "\udcff.png",
    ):
        safe = safe_name(name)
        assert inside(safe), name
        assert safe.endswith(".png") == name.endswith(".png")
    assert safe_name("plain name.ome.tif") == "plain name.ome.tif"
    long = safe_name("ä" * 300 + ".ome.tif")
    assert long.endswith(".tif")
    assert len(long.encode()) <= 200


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "/etc"])
def test_within_takes_plain_names_only(tmp_path, name):
    with pytest.raises(ProjectError):
        within(tmp_path, "images", name)
    assert within(tmp_path, "images", "a.png") == tmp_path / "images" / "a.png"


def test_paths_that_cannot_be_are_missing(tmp_path):
    project, ids = new_project(tmp_path, 3, copy=False)
    project.close()

    def change(values):
        values["images"][0].update(file="/" + "x" * 5000, nearby="y" * 5000)
        values["images"][1].update(file="relative\udc80.png", nearby="../\udc80")

    reseal(project.folder / "project.json", content.KIND, change)
    with Project.open(project.folder) as project:
        assert [project.images.check(one) for one in ids] == ["missing", "missing", "ok"]
        for image_id in ids[:2]:
            with pytest.raises(CellSeg1Error):
                project.images.read(image_id)
        assert len(export_file(project, tmp_path / "one.cs1zip")) == 2
