"""A project's own files: damage, schema, lock, and disks that refuse."""

import contextlib
import dataclasses
import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from project_help import FullDisk, act, copy_folder, is_after, new_project, paint_cell, picture, replica, same

from app.base.errors import ProjectError
from app.project import content
from app.project.files import lock, sealed
from app.project.files.lock import NAME, Holder, acquire
from app.project.files.sealed import DamagedError, seal, unseal
from app.project.project import Project
from cellseg1.errors import CellSeg1Error


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))


# ---- opening and closing


def test_a_new_project_is_there_after_closing(tmp_path):
    with Project.create(tmp_path / "deep" / "er", "Äpfel & Zellen 3") as project:
        assert project.folder == tmp_path / "deep" / "er" / "Äpfel & Zellen 3.cs1project"
        assert project.name == "Äpfel & Zellen 3"
        assert not project.read_only
        folder = project.folder
        project.set_setting("model", "a.cs1")
    assert not (folder / NAME).exists()
    with Project.open(folder / "project.json") as project:
        assert project.settings == {"model": "a.cs1"}
        assert project.folder == folder
        assert project.damage == []
    assert not [thread for thread in threading.enumerate() if thread.name == "project-writer"]


@pytest.mark.parametrize(
    "name", ["", " ", "a/b", "a\\b", "..", "con", "LPT1", "a:b", "x" * 101, "dot.", ".hidden", "q?"]
)
def test_names_that_some_system_cannot_hold_are_refused(tmp_path, name):
    with pytest.raises(ProjectError, match="Choose another name"):
        Project.create(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_is_refused(tmp_path):
    Project.create(tmp_path, "One").close()
    with pytest.raises(ProjectError, match="already"):
        Project.create(tmp_path, "One")
    (tmp_path / "Two.cs1project").write_text("a file")
    with pytest.raises(ProjectError, match="already"):
        Project.create(tmp_path, "Two")


def test_what_is_no_project_is_said_so(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere", picture(tmp_path / "a.png")):
        with pytest.raises(ProjectError, match="not a project"):
            Project.open(path)


def test_settings_and_flags_are_written_soon_without_closing(tmp_path):
    project, (image_id,) = new_project(tmp_path)
    project.set_setting("shown", {"image": image_id})
    project.images.set(image_id, pixel_size_um=(0.5, 0.25), pixel_size_by_hand=True)
    end = time.monotonic() + 2
    while True:
        copied = content.Content.read(project.folder, [], repair=False)
        if copied.settings and copied.images[image_id].pixel_size_um == (0.5, 0.25):
            break
        assert time.monotonic() < end, "it was not written within two seconds"
        time.sleep(0.02)
    project.close()


def test_edits_are_fsynced_within_two_seconds(tmp_path, monkeypatch):
    project, (image_id,) = new_project(tmp_path)
    document = project.drawings.document(image_id)
    act(document, 1)
    project.flush()
    synced, real = threading.Event(), os.fsync
    path = project.drawings.journal_path(image_id)

    def fsync(handle):
        real(handle)
        if os.path.samestat(os.fstat(handle), path.stat()):
            synced.set()

    monkeypatch.setattr(os, "fsync", fsync)
    act(document, 2)
    assert synced.wait(2)
    monkeypatch.undo()
    project.close()


def test_a_closed_project_leaves_its_documents_in_memory(tmp_path):
    project, (image_id,) = new_project(tmp_path)
    document = project.drawings.document(image_id)
    act(document, 1)
    project.close()
    project.close()
    act(document, 2)
    with pytest.raises(ProjectError):
        project.add_images([picture(tmp_path / "b.png")], copy=True)
    with Project.open(project.folder) as project:
        assert is_after(project.drawings.document(image_id), 1)


# ---- sealed files


def test_every_flipped_bit_of_a_sealed_file_is_noticed():
    data = seal("a kind", 1, '"a":[1,2],"ü":"x"}\n')
    assert unseal(data, "a kind") == (1, {"a": [1, 2], "ü": "x"})
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            with pytest.raises(DamagedError):
                unseal(bytes(flipped), "a kind")


def flipped_files(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and "images" not in path.parts]


def crashed(tmp_path):
    """A project that was edited, closed, edited again and killed; and its image."""
    project, (image_id,) = new_project(tmp_path)
    document = project.drawings.document(image_id)
    for number in range(1, 6):
        act(document, number)
    run = project.runs.new("train", title="First")
    (run / "log.txt").write_text("log")
    project.close()
    with Project.open(project.folder) as project:
        document = project.drawings.document(image_id)
        for number in range(6, 10):
            act(document, number)
        project.flush()
        copy_folder(project.folder, tmp_path / "killed.cs1project")
    return tmp_path / "killed.cs1project", image_id


def test_one_flipped_byte_in_any_file_and_the_project_opens(tmp_path):
    """Of each file a sample of positions here; all positions of journals and snapshots in test_journal."""
    source, image_id = crashed(tmp_path)
    files = [path.relative_to(source) for path in flipped_files(source)]
    names = {path.name for path in files}
    assert {"project.json", "project.json.bak", "z000_t000.journal", "z000_t000.snapshot", "run.json"} <= names
    count = 0
    for file in files:
        size = (source / file).stat().st_size
        for position in sorted({0, size - 1, *range(5, size, max(1, size // 6))}):
            count += 1
            folder = copy_folder(source, tmp_path / f"{count}.cs1project")
            data = bytearray((folder / file).read_bytes())
            data[position] ^= 0x55
            (folder / file).write_bytes(data)
            with Project.open(folder) as project:
                assert not project.read_only
                assert len(project.images) == 1
                document = project.drawings.document(image_id)
                least = 5 if file.suffix == ".journal" else 9
                fits = [number for number in range(least, 10) if is_after(document, number)]
                assert fits, (file, position)
                assert [run.id for run in project.runs] == ["0001-train"]
                kept = list(folder.rglob("*.damaged-1"))
                if file.suffix in (".journal", ".snapshot", ".json", ".bak"):
                    assert [path.read_bytes() for path in kept] == [bytes(data)], (file, position)
                    assert len(project.damage) == 1
                    assert kept[0].name in project.damage[0]
                while document.can_undo:
                    document.undo()
            # It was mended: the next time there is nothing to say.
            with Project.open(folder) as project:
                project.drawings.document(image_id)
                assert project.damage == []


def test_both_copies_damaged_is_said_and_nothing_is_touched(tmp_path):
    source, _ = crashed(tmp_path)
    for name in ("project.json", "project.json.bak"):
        data = bytearray((source / name).read_bytes())
        data[200] ^= 1
        (source / name).write_bytes(data)
    before = {path: path.read_bytes() for path in flipped_files(source)}
    with pytest.raises(ProjectError, match="Nothing was changed"):
        Project.open(source)
    assert {path: path.read_bytes() for path in flipped_files(source)} == before


def test_a_missing_copy_is_made_again(tmp_path):
    source, image_id = crashed(tmp_path)
    for name in ("project.json", "project.json.bak"):
        (source / name).unlink()
        with Project.open(source) as project:
            assert is_after(project.drawings.document(image_id), 9)
        assert (source / name).exists()


def test_the_list_knows_edits_that_were_made_just_before_a_crash(tmp_path):
    project, (image_id,) = new_project(tmp_path)
    document = project.drawings.document(image_id)
    # At this moment project.json says nothing of these edits yet.
    monkey = project.writer.wake
    project.writer.wake = lambda: None
    paint_cell(document)
    document.set_attribute("Use", "training", True)
    folder = copy_folder(project.folder, tmp_path / "killed.cs1project")
    project.writer.wake = monkey
    project.close()
    gone = dataclasses.replace(Holder.me(), pid=2**22 + 17)
    (folder / NAME).write_bytes(lock._packed(gone))
    with Project.open(folder) as project:
        assert project.images.get(image_id).cells == 1
        assert project.images.get(image_id).state == "training"


# ---- schema


def write_schema(folder, schema, change=lambda text: text):
    path = folder / "project.json"
    body = path.read_bytes().split(b"\n", 1)[1].decode()
    for file in (path, path.with_name("project.json.bak")):
        file.write_bytes(seal(content.KIND, schema, change(body)))


def test_a_newer_project_is_refused_and_not_touched(tmp_path):
    source, _ = crashed(tmp_path)
    write_schema(source, content.SCHEMA + 1)
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    with pytest.raises(ProjectError, match="newer version"):
        Project.open(source)
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_an_older_project_is_brought_up_to_date(tmp_path, monkeypatch):
    source, image_id = crashed(tmp_path)
    write_schema(source, 0, lambda text: text.replace('"settings":', '"options":'))
    old = (source / "project.json").read_bytes()

    def migrate(values):
        values["project"]["settings"] = values["project"].pop("options")
        return values

    with pytest.raises(ProjectError, match="unknown format 0"):
        Project.open(source)
    assert (source / "project.json").read_bytes() == old
    monkeypatch.setitem(content.MIGRATIONS, 0, migrate)
    with Project.open(source) as project:
        assert is_after(project.drawings.document(image_id), 9)
    assert (source / "project.json.schema-0").read_bytes() == old
    assert unseal((source / "project.json").read_bytes(), content.KIND)[0] == content.SCHEMA


# ---- lock


def test_open_twice_is_read_only_the_second_time(tmp_path):
    project, (image_id,) = new_project(tmp_path)
    act(project.drawings.document(image_id), 1)
    before = {path: path.stat().st_mtime_ns for path in project.folder.rglob("*")}
    with Project.open(project.folder) as second:
        assert second.read_only
        assert "open in another window" in second.why_read_only
        document = second.drawings.document(image_id)
        assert is_after(document, 1)
        act(document, 2)
        second.set_setting("a", 1)
        second.drawings.update_plane(image_id, 0, 0, document)
        for change in (
            lambda: second.add_images([picture(tmp_path / "x.png")], copy=True),
            lambda: second.trash.remove(image_id),
            lambda: second.rename("Other"),
            lambda: second.runs.new("train"),
            lambda: second.images.relink_folder(tmp_path),
        ):
            with pytest.raises(ProjectError, match="another window"):
                change()
    assert {path: path.stat().st_mtime_ns for path in project.folder.rglob("*")} == before
    assert (project.folder / NAME).exists(), "it is not the second's lock to remove"
    act(project.drawings.document(image_id), 2)
    project.close()
    with Project.open(project.folder) as project:
        assert not project.read_only
        assert is_after(project.drawings.document(image_id), 2)


def test_a_live_process_is_respected_and_a_dead_one_is_not(tmp_path):
    project, _ = new_project(tmp_path)
    project.close()
    folder = project.folder
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from app.project.files import lock; from pathlib import Path\n"
        f"print(lock.acquire(Path({str(folder)!r}))[0] is not None, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline().strip() == b"True"
        with Project.open(folder) as second:
            assert second.read_only
        other.kill()
    with Project.open(folder) as project:
        assert not project.read_only
    assert not (folder / NAME).exists()


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"pid": 2**22 + 5}, True),
        ({"started": "another boot/1"}, True),
        ({"started": ""}, True),
        ({"host": "elsewhere"}, False),
        ({"host": "elsewhere", "pid": 2**22 + 5}, False),
        ({"space": "pid:[42]"}, False),
        ({"pid": 1}, True),
    ],
)
def test_stale_locks_are_recognised(tmp_path, change, stale):
    project, _ = new_project(tmp_path)
    project.close()
    holder = dataclasses.replace(Holder.me(), **change)
    (project.folder / NAME).write_bytes(lock._packed(holder))
    with Project.open(project.folder) as opened:
        assert opened.read_only == (not stale)
        if "host" in change:
            assert "elsewhere" in opened.why_read_only
    assert (project.folder / NAME).exists() == (not stale)


@pytest.mark.parametrize("data", [b"{", b"[]", b"null", b'{"pid": 1}', b"\x00" * 40])
def test_a_damaged_lock_is_nobodys(tmp_path, data):
    (tmp_path / NAME).write_bytes(data)
    held, holder, stale = acquire(tmp_path)
    assert held is not None
    assert holder is None
    assert stale
    held.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_just_being_written_is_waited_for(tmp_path):
    (tmp_path / NAME).write_bytes(b"")
    thread = threading.Timer(0.3, lambda: (tmp_path / NAME).write_bytes(lock._packed(Holder.me())))
    thread.start()
    held, holder, _ = acquire(tmp_path)
    thread.join()
    assert held is None
    assert holder.pid == os.getpid()


def test_an_empty_lock_of_a_crash_is_nobodys(tmp_path):
    (tmp_path / NAME).write_bytes(b"")
    os.utime(tmp_path / NAME, (1, 1))
    held, _, stale = acquire(tmp_path)
    assert held is not None
    assert stale
    held.release()


def test_the_start_of_a_process_tells_it_from_others():
    mine = lock.started(os.getpid())
    assert mine == lock.started(os.getpid()) != ""
    assert lock.started(1) != mine
    assert lock.started(2**22 + 9) == ""
    assert Holder.me().host == socket.gethostname()
    assert psutil.pid_exists(os.getpid())


# ---- disks that refuse


def test_a_full_disk_is_said_at_once_and_retried(tmp_path, monkeypatch):
    from app.project.files import writer

    monkeypatch.setattr(writer, "DELAY", 0.02)
    monkeypatch.setattr(writer, "RETRY", 0.05)
    project, (image_id,) = new_project(tmp_path)
    said = []
    stop = project.on_storage_problem(said.append)
    document = project.drawings.document(image_id)
    act(document, 1)
    disk = FullDisk(monkeypatch, 7)
    disk.full = True
    act(document, 2)
    assert "the disk is full" in said[0]
    assert "nothing is lost" in said[0]
    assert project.storage_problem == said[0]
    assert project.drawings.unsaved
    for number in range(3, 9):
        act(document, number)
    project.set_setting("later", 1)
    with pytest.raises(ProjectError, match="the disk is full"):
        project.flush()
    document.undo()
    document.redo()
    assert is_after(document, 8)
    disk.full = False
    end = time.monotonic() + 3
    while project.storage_problem is not None:
        assert time.monotonic() < end, "it is tried again"
        time.sleep(0.02)
    assert said[-1] == ""
    assert not project.drawings.unsaved
    stop()
    project.close()
    with Project.open(project.folder) as project:
        assert is_after(project.drawings.document(image_id), 8)
        assert project.settings["later"] == 1


def test_saving_elsewhere_takes_everything_along(tmp_path, monkeypatch):
    project, ids = new_project(tmp_path, 3)
    documents = [project.drawings.document(image_id) for image_id in ids]
    act(documents[0], 1)
    act(documents[2], 1)
    disk = FullDisk(monkeypatch, 50)
    disk.full = True
    for number in range(2, 9):
        act(documents[0], number)
    for number in range(1, 5):
        act(documents[1], number)
    said = []
    project.on_storage_problem(said.append)
    disk.full = False
    before = project.folder
    assert project.save_elsewhere(tmp_path / "usb") == []
    assert project.folder == tmp_path / "usb" / "Cells.cs1project"
    assert project.storage_problem is None
    assert said == [""]
    assert not (before / NAME).exists()
    # The same documents go on in the new place.
    act(documents[0], 9)
    assert documents[0] is project.drawings.document(ids[0])
    project.flush()
    killed = copy_folder(project.folder, tmp_path / "killed.cs1project")
    project.close()
    for folder in (killed, project.folder):
        with Project.open(folder) as again:
            assert is_after(again.drawings.document(ids[0]), 9)
            assert is_after(again.drawings.document(ids[1]), 4)
            assert is_after(again.drawings.document(ids[2]), 1)
            assert again.images.path(ids[0]).is_file()
            assert again.damage == []


def test_saving_elsewhere_when_the_old_place_cannot_be_read(tmp_path, monkeypatch):
    project, (image_id,) = new_project(tmp_path)
    document = project.drawings.document(image_id)
    for number in range(1, 8):
        act(document, number)
    from app.project.journal.journal import Journal

    def gone(self, target):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Journal, "copy_to", gone)
    problems = project.save_elsewhere(tmp_path / "usb")
    assert len(problems) == 1
    assert "z000_t000.journal" in problems[0]
    monkeypatch.undo()
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))
    assert is_after(document, 7)
    act(document, 8)
    project.close()
    with Project.open(project.folder) as again:
        assert is_after(again.drawings.document(image_id), 8)


def test_a_place_that_takes_nothing_leaves_all_as_it_was(tmp_path):
    project, (image_id,) = new_project(tmp_path)
    document = project.drawings.document(image_id)
    act(document, 1)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CellSeg1Error):
        project.save_elsewhere(tmp_path / "file")
    assert project.folder.parent == tmp_path
    act(document, 2)
    project.close()
    with Project.open(project.folder) as again:
        assert is_after(again.drawings.document(image_id), 2)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_opens_for_looking(tmp_path, monkeypatch, number):
    project, (image_id,) = new_project(tmp_path)
    act(project.drawings.document(image_id), 1)
    project.close()

    def refuse(folder):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock, "acquire", refuse)
    project = Project.open(project.folder)
    monkeypatch.undo()
    assert project.read_only
    assert "save it elsewhere" in project.why_read_only
    document = project.drawings.document(image_id)
    act(document, 2)
    project.save_elsewhere(tmp_path / "other")
    assert not project.read_only
    act(document, 3)
    project.close()
    with Project.open(tmp_path / "other" / "Cells.cs1project") as project:
        assert same(project.drawings.document(image_id), replica(3))


def test_documents_with_edits_only_in_memory_are_never_let_go(tmp_path, monkeypatch):
    project, ids = new_project(tmp_path, 12)
    project.drawings.document(ids[0])
    disk = FullDisk(monkeypatch)
    disk.full = True
    for image_id in ids:
        act(project.drawings.document(image_id), 1)
    for image_id in ids:
        assert is_after(project.drawings.document(image_id), 1)
    disk.full = False
    project.flush()
    project.close()
    with Project.open(project.folder) as project:
        for image_id in ids:
            assert is_after(project.drawings.document(image_id), 1)


def test_a_migration_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch):
    source, _ = crashed(tmp_path)
    write_schema(source, 0)

    def broken(values):
        raise ProjectError("no")

    monkeypatch.setitem(content.MIGRATIONS, 0, broken)
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    with pytest.raises(ProjectError):
        Project.open(source)
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_unsealed_json_is_not_taken_for_ours(tmp_path):
    path = tmp_path / "project.json"
    path.write_text(json.dumps({"format": content.KIND}))
    with pytest.raises(ProjectError), contextlib.closing(Project.open(tmp_path)):
        pass
    assert sealed.backup_of(path).name == "project.json.bak"


def test_what_a_crash_left_half_written_is_removed(tmp_path):
    project, (image_id,) = new_project(tmp_path)
    act(project.drawings.document(image_id), 1)
    project.close()
    left = [
        project.folder / ".project.json.abc.part",
        project.drawings.journal_path(image_id).with_name(".z000_t000.journal.part"),
        project.folder / "images" / ".p1.png.xyz.part",
    ]
    of_an_engine = project.runs_folder / "0001-train" / ".x.part"
    of_an_engine.parent.mkdir()
    for path in (*left, of_an_engine):
        path.write_bytes(b"half")
    (project.folder / NAME).write_bytes(lock._packed(dataclasses.replace(Holder.me(), pid=2**22 + 5)))
    with Project.open(project.folder) as project:
        assert is_after(project.drawings.document(image_id), 1)
    assert not any(path.exists() for path in left)
    assert of_an_engine.exists()


def test_an_error_in_the_background_does_not_stop_the_writing(tmp_path, monkeypatch, caplog):
    from app.project.files import writer

    monkeypatch.setattr(writer, "DELAY", 0.01)
    monkeypatch.setattr(writer, "RETRY", 0.02)
    project, _ = new_project(tmp_path)
    real, failed = project.writer._work, threading.Event()

    def work():
        if not failed.is_set():
            failed.set()
            raise ValueError("a mistake in the program")
        return real()

    project.writer._work = work
    project.set_setting("a", 1)
    assert failed.wait(2)
    end = time.monotonic() + 2
    while not content.Content.read(project.folder, [], repair=False).settings:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert "a mistake in the program" in caplog.text
    project.close()
