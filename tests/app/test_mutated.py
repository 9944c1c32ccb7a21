"""Damaged and hostile files of a project and of the program: a sentence, never a raw error, a hang, or much memory."""

import contextlib
import json
import os
import random
import shutil
import signal
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from project_help import SHAPE, act, drawn, is_after, new_project, open_plane, paint_cell
from test_received import reseal

from app.annotation.pixel_runs import PixelRuns
from app.annotation.steps import Content as Step
from app.annotation.steps import HistoryError
from app.base import places
from app.base.errors import ProjectError
from app.base.foreign import boundary, parse_json
from app.preferences.store import PreferencesStore
from app.project import content, recent, runs, trash
from app.project.archive import export_file, import_file
from app.project.files.fingerprint import full_hash
from app.project.files.sealed import DamagedError, seal, unseal
from app.project.journal import records
from app.project.journal.records import HEAD, MAGIC, STATE, STEP, State, pack
from app.project.journal.recovery import recover
from app.project.project import Project
from app.project.thumbnails import thumbnail
from cellseg1.errors import CellSeg1Error
from cellseg1.regular import open_regular


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def little_memory():
    """The test fails when more than so much is asked for at one moment."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6, f"{peak / 1e6:.0f} MB"


@contextlib.contextmanager
def no_hang(seconds=60):
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(_signal, _frame):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ---- small files that would become large


def state(shape, pieces, **head):
    text = json.dumps(
        {"shape": shape, "runs": len(pieces), "attributes": {}, "done": [], "undone": [], **head}
    ).encode()
    lengths = np.array([length for length, _ in pieces], "<u4").tobytes()
    values = np.array([value for _, value in pieces], "<i4").tobytes()
    return zlib.compress(struct.pack("<I", len(text)) + text + lengths + values)


HUGE = [
    state([40000, 40000], [(1_600_000_000, 1)]),
    state([1 << 30, 1 << 30], [(5, 1)]),
    state([30, 47], [(1 << 31, 1)]),
    state([30, 47], [(1410, -1)]),
    state([30, 47], [], runs=1 << 40),
    state([30, 47], [], runs=-1),
    state([30.0, 47], [(1410, 1)]),
    state([30, 47], [(1410, 1)], done=[[1, 2]]),
    zlib.compress(struct.pack("<I", 0xFFFFFFFF) + b"{" * 1000),
    zlib.compress(struct.pack("<I", 100_000) + b"[" * 100_000),
    zlib.compress(struct.pack("<I", 20) + bytes(300_000_000)),
    b"",
]


@pytest.mark.parametrize("payload", HUGE, ids=range(len(HUGE)))
@pytest.mark.parametrize("shape", [SHAPE, None])
def test_a_small_snapshot_takes_no_memory(little_memory, payload, shape):
    with pytest.raises(DamagedError):
        State.unpack(1, payload, shape)


def test_a_snapshot_of_another_size_is_not_unpacked(tmp_path, little_memory):
    path = tmp_path / "z000_t000.journal"
    path.with_suffix(".snapshot").write_bytes(pack(STATE, 3, HUGE[0]))
    found = recover(path, SHAPE)
    assert found.shape == (40000, 40000)
    with pytest.raises(ProjectError, match="40000 x 40000"):
        open_plane(path)


def step(runs_body, **head):
    text = json.dumps({"name": "x", "shape": list(SHAPE), "attributes": {}, **head}).encode()
    return b"\x01" + zlib.compress(struct.pack("<I", len(text)) + text + runs_body)


def body(y, x, length, old, new):
    columns = (np.array(one, np.int64) for one in (y, x, length))
    return PixelRuns(*columns, np.array(old, np.int32), np.array(new, np.int32)).pack()


BAD_STEPS = [
    step(bytes(400_000_000)),
    step(struct.pack("<QQ", 1, 1 << 62)),
    step(struct.pack("<QQ", 1 << 62, 1)),
    step(body([1] * 2000, [0] * 2000, [47] * 2000, [0] * 2000, [1] * 2000)),
    step(body([1, 1], [0, 3], [5, 5], [0, 0], [1, 1])),
    step(body([1], [(1 << 62)], [5], [0], [1])),
    step(b"", attributes=[1]),
    step(b"", attributes={"a": 7}),
    step(b"", name=None, shape="ab"),
    b"\x01" + zlib.compress(struct.pack("<I", 90_000) + b"[" * 90_000),
]


@pytest.mark.parametrize("payload", BAD_STEPS, ids=range(len(BAD_STEPS)))
def test_a_small_step_takes_no_memory(little_memory, payload):
    with pytest.raises(HistoryError):
        Step.unpack(payload, SHAPE)


def test_attributes_of_another_kind_are_none():
    payload = step(b"", attributes={"region": [None, [1, 2]], "checked": [False, "yes"], "other": [1, 2]})
    assert Step.unpack(payload, SHAPE).attributes == {
        "region": (None, None),
        "checked": (False, None),
        "other": (1, 2),
    }


def test_a_journal_of_many_states_or_beginnings_is_read_in_one_go(tmp_path, little_memory):
    path = tmp_path / "z000_t000.journal"
    head = 2 * pack(HEAD, 0, json.dumps({"schema": 1, "shape": [3000, 3000]}).encode())
    one = state([3000, 3000], [(9_000_000, 1)])
    path.write_bytes(head + b"".join(pack(STATE, number, one) for number in range(5000)))
    with no_hang():
        assert recover(path, (3000, 3000)).start.number == 4999
    # Each claims to be all that follows: a checksum over it is made no more than a few times.
    size = 2_000_000
    claims = b"".join(MAGIC + struct.pack("<BQI", STEP, 1, size - at - 21) for at in range(0, size - 50, 17))
    path.write_bytes(head + claims.ljust(size, b"\0"))
    with no_hang():
        assert recover(path, (3000, 3000)).operations == []
        assert records.scan(path.read_bytes())[1] is False


def test_a_one_file_project_that_grows_is_refused(tmp_path, little_memory):
    path = tmp_path / "bomb.cs1zip"

    def write(listing, entries=()):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in entries:
                archive.writestr(name, data)
            archive.writestr("cs1zip.json", listing)

    for listing in (
        b'{"schema":1,"name":"x","files":{' + b",".join(b'"%d":{}' % n for n in range(150_000)) + b"}}",
        b"[" * 200_000,
        b'{"schema":1e400,"name":"x","files":{}}',
        b'{"schema":Infinity,"name":"x","files":{}}',
        b'{"schema":1,"name":"x","files":[]}',
        b'{"schema":1,"name":["x"],"files":{"project.json":{"size":1e300,"sha256":"x"}}}',
    ):
        write(listing)
        with pytest.raises(ProjectError):
            import_file(path, tmp_path / "in")
    files = {"project.json": {"size": 900_000_000, "sha256": "x"}}
    write(json.dumps({"schema": 1, "name": "x", "files": files}), [("project.json", b"x")])
    with pytest.raises(ProjectError, match="no project does"):
        import_file(path, tmp_path / "in")
    write(
        json.dumps({"schema": 1, "name": "x", "files": {"project.json": {"size": 10, "sha256": "x"}}}),
        [("project.json", bytes(20_000_000))],
    )
    with pytest.raises(ProjectError):
        import_file(path, tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["images/con.png", "images/a.", "images/a ", "models/LPT1.cs1", "images/a\tb", "trash/x/removed.json", "Trash/a"],
)
def test_names_of_devices_and_trailing_dots_are_refused(tmp_path, name):
    from test_project_whole import listed, rewrite

    project, _ = new_project(tmp_path)
    export_file(project, tmp_path / "one.cs1zip")
    project.close()
    evil = rewrite(tmp_path / "one.cs1zip", tmp_path / "evil.cs1zip", lambda entries: listed(entries, name))
    with pytest.raises(ProjectError, match="does not belong"):
        import_file(evil, tmp_path / "in")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_ways_of_packing_are_refused(tmp_path, method):
    project, _ = new_project(tmp_path)
    export_file(project, tmp_path / "one.cs1zip")
    project.close()
    with zipfile.ZipFile(tmp_path / "one.cs1zip") as source, zipfile.ZipFile(tmp_path / "x.cs1zip", "w", method) as out:
        for info in source.infolist():
            out.writestr(info.filename, source.read(info))
    with pytest.raises(ProjectError):
        import_file(tmp_path / "x.cs1zip", tmp_path / "in")


# ---- JSON and files that are none


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a":Infinity}',
        '{"a":NaN}',
        '{"a":1e400}',
        "[]",
        "1",
        "",
        "\udc80",
        "1" * 9000,
    ],
)
def test_json_that_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - any
        parse_json(text)
    if text not in ("[]", "1"):
        with pytest.raises(DamagedError):
            unseal(seal("a kind", 1, '"images":' + text + "}"), "a kind")


def test_a_boundary_knows_every_error(caplog):
    for error in (
        RecursionError(),
        OverflowError("x"),
        MemoryError(),
        struct.error("x"),
        KeyError("a"),
        AttributeError(),
    ):
        with pytest.raises(DamagedError, match=r"\w"), boundary(DamagedError, "file"):
            raise error
    with pytest.raises(HistoryError), boundary(DamagedError):
        raise HistoryError("ours")
    with pytest.raises(KeyboardInterrupt), boundary(DamagedError):
        raise KeyboardInterrupt


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_and_devices_are_not_waited_for(tmp_path):
    project, ids = new_project(tmp_path, 3, copy=False)
    act(project.drawings.document(ids[2]), 1)
    project.close()
    journal = project.drawings.journal_path(ids[2])
    for path in (tmp_path / "pictures" / "p0.png", journal, project.folder / "project.json.bak"):
        path.unlink()
        os.mkfifo(path)
    with no_hang():
        os.mkfifo(tmp_path / "x")
        with pytest.raises(OSError, match="a pipe and not a file"):
            open_regular(tmp_path / "x")
        with pytest.raises(ProjectError):
            Project.open(project.folder)
        (project.folder / "project.json.bak").unlink()
        with Project.open(project.folder) as again:
            assert again.images.check(ids[0]) in ("missing", "changed")
            with pytest.raises(CellSeg1Error):
                again.drawings.document(ids[2])
            reseal_file(again, ids[1], "/dev/zero")
            assert again.images.check(ids[1]) in ("missing", "changed")
            with pytest.raises(OSError, match="and not a file"):
                full_hash(again.images.path(ids[1]))


def reseal_file(project, image_id, file):
    project.images.get(image_id).file, project.images.get(image_id).nearby = file, ""


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"[" * 200_000,
        b'{"schema":1e400,"values":{}}',
        b'{"schema":Infinity,"values":{}}',
        b'{"schema":1,"values":{"brush_size":1e400}}',
        b'{"schema":1,"values":7}',
        b'{"schema":-5,"values":{}}',
        b'{"schema":' + b"9" * 3000 + b',"values":{}}',
        b'{"schema":1,"values":{"brush_size":' + b"9" * 400 + b',"last_folder":"a\\u0000b","layouts":{"a":7}}}',
        b'{"schema":1,"values":{"later":"\\ud800","theme":["dark"],"device":{}}}',
        b'{"schema":1,"values":' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    ],
)
def test_damaged_preferences_and_recent_projects_let_the_program_start(qapp, tmp_path, data):
    folder = places.config_folder()
    folder.mkdir(parents=True)
    (folder / "preferences.json").write_bytes(data)
    store = PreferencesStore()
    assert store.notes or store.values.theme == "system"
    store.set("theme", "dark")
    assert store.flush()
    assert PreferencesStore().values.theme == "dark"
    for name in ("recent.json", "recent.json.bak"):
        (folder / name).write_bytes(data)
    assert recent.recent() == []


@pytest.mark.parametrize(
    "entry",
    [
        7,
        None,
        {},
        {"path": 7, "name": "a", "opened": "x"},
        {"path": "a\0", "name": "a", "opened": "2026-01-01T00:00:00"},
    ],
)
def test_one_bad_recent_project_takes_no_other_with_it(tmp_path, entry):
    recent.add(tmp_path / "good.cs1project", "good")
    reseal(places.config_folder() / "recent.json", recent._KIND, lambda values: values["projects"].insert(0, entry))
    assert [one.name for one in recent.recent()] == ["good"]
    recent.add(tmp_path / "other.cs1project", "other")
    assert [one.name for one in recent.recent()] == ["other", "good"]


def test_one_bad_model_takes_no_other_with_it(tmp_path, monkeypatch):
    from app.project import models

    project, _ = new_project(tmp_path)
    for name in ("a.cs1", "b.cs1"):
        (project.models_folder / name).write_bytes(name.encode())
    real = models.load_card

    def broken(path):
        if path.name == "a.cs1":
            raise RecursionError("maximum recursion depth exceeded")
        return real(path)

    monkeypatch.setattr(models, "load_card", broken)
    assert [bool(one.problem) for one in project.models.all()] == [True, True]
    project.close()


# ---- an unfinished record is no damage


def test_a_record_that_was_being_written_is_no_damage(tmp_path):
    path = tmp_path / "a" / "z000_t000.journal"
    drawn(path, 3)
    three = path.read_bytes()
    drawn(path, 4)
    four = path.read_bytes()
    for cut in range(len(three) + 1, len(four)):
        place = tmp_path / str(cut) / path.name
        place.parent.mkdir()
        place.write_bytes(four[:cut])
        damage = []
        plane = open_plane(place, damage=damage)
        assert damage == []
        assert is_after(plane.document(), 3)
        act(plane.document(), 4)
        plane.journal.close()
        assert place.read_bytes() == four


def test_edits_that_were_told_to_be_there_and_are_not_are_said(tmp_path):
    project, (image_id,) = new_project(tmp_path)
    for number in range(1, 6):
        act(project.drawings.document(image_id), number)
    project.flush()
    path = project.drawings.journal_path(image_id)
    data = path.read_bytes()
    project.close()
    path.with_suffix(".snapshot").unlink()
    path.write_bytes(data[:-3])
    with Project.open(project.folder) as project:
        assert is_after(project.drawings.document(image_id), 4)
        assert len(project.damage) == 1
        assert "last edits of p0.png are missing" in project.damage[0]
    with Project.open(project.folder) as project:
        project.drawings.document(image_id)
        assert project.damage == []


# ---- files changed at random


def broken(data, chance):
    """Change a file somewhere: bits, bytes, its length, pieces of it."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        at = chance.randrange(max(1, len(changed)))
        match chance.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1 if changed:
                changed[at] ^= 1 << chance.randrange(8)
            case 2:
                del changed[at:]
            case 3:
                changed[at:at] = chance.randbytes(chance.randrange(1, 40))
            case 4:
                del changed[at : at + chance.randrange(1, 40)]
            case _:
                changed[at : at + 8] = chance.choice((b"\xff" * 8, b"\0" * 8, b"99999999", b'[[[[{"a"', MAGIC * 2))
    return bytes(changed)


ODD = (None, True, -1, 0, 1 << 70, 1.5, 1e308, "", "x", "../../x", "a\0b", [], {}, [[]], {"a": {}}, "é" * 300, [1] * 9)


def other(value, chance, depth=0):
    """Change one value somewhere in JSON: what a program of somebody else, or somebody with bad intent, would write."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        if chance.random() < 0.1:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: other(value[key], chance, depth + 1)}
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        return [*value[:at], other(value[at], chance, depth + 1), *value[at + 1 :]]
    return chance.choice(ODD)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A project in which there is something of everything, and what tells whether it is used."""
    folder = tmp_path_factory.mktemp("whole")
    os.environ["CELLSEG1_STUDIO_HOME"] = str(folder / "home")
    project, ids = new_project(folder, 3)
    for number in range(1, 7):
        act(project.drawings.document(ids[0]), number)
    paint_cell(project.drawings.document(ids[1]))
    run = project.runs.new("predict", title="x", request={"images": ["a"]})
    project.runs.add_result(run.name, ids[0], 0, 0, cells=1)
    project.runs.update(run.name, state="finished")
    removed = project.trash.remove(ids[1])
    project.set_setting("shown", {"image": ids[0], "z": 0, "t": 0})
    project.close()
    with Project.open(project.folder) as project:
        for number in range(7, 12):
            act(project.drawings.document(ids[0]), number)
        export_file(project, folder / "one.cs1zip")
        project.flush()
        shutil.copytree(project.folder, folder / "killed", ignore=shutil.ignore_patterns(".lock"))
    return folder / "killed", ids[0], removed.folder.name


def use(folder, image_id, place):
    """Do what the window does with a project; only sentences may come."""
    with contextlib.suppress(CellSeg1Error), Project.open(folder) as project:
        for entry in project.images:
            assert entry.state in ("new", "annotated", "training", "predicted", "checked")
            project.images.check(entry.id)
            for work in (
                project.drawings.labels_of,
                project.drawings.document,
                lambda one, p=project: thumbnail(p, one),
            ):
                with contextlib.suppress(CellSeg1Error):
                    work(entry.id)
            with contextlib.suppress(CellSeg1Error):
                document = project.drawings.document(entry.id)
                while document.can_undo:
                    document.undo()
                paint_cell(document, at=(20, 30))
        project.images.training()
        for run in project.runs:
            project.runs.latest_prediction(image_id)
            assert run.alive() in (True, False)
        project.runs.interrupted()
        for removed in project.trash.removed():
            with contextlib.suppress(CellSeg1Error):
                project.trash.restore(removed)
        project.flush()
    beside = {path.name for path in place.iterdir()}
    assert beside == {folder.name}, "nothing outside of it was made"


def kinds(folder, image_id, removed):
    drawings = folder / "annotations" / image_id
    return {
        "project": (folder / "project.json", content.KIND),
        "journal": (drawings / "z000_t000.journal", None),
        "snapshot": (drawings / "z000_t000.snapshot", None),
        "removed": (folder / "trash" / removed / "removed.json", trash._KIND),
        "run": (folder / "runs" / "0001-predict" / "run.json", runs._KIND),
    }


def try_files(whole, tmp_path, kind, count):
    source, image_id, removed = whole
    chance = random.Random(f"{kind} 7")
    for number in range(count):
        place = tmp_path / f"{kind}{number}"
        folder = place / "P.cs1project"
        shutil.copytree(source, folder)
        path, sealed = kinds(folder, image_id, removed)[kind]
        if sealed is None:
            path.write_bytes(broken(path.read_bytes(), chance))
        elif chance.random() < 0.25:
            data = broken(path.read_bytes(), chance)
            for file in (path, path.with_name(path.name + ".bak")):
                file.write_bytes(data)
        else:
            schema, values = unseal(path.read_bytes(), sealed)
            data = seal(sealed, schema, json.dumps(other(values, chance), ensure_ascii=False)[1:])
            for file in (path, path.with_name(path.name + ".bak")):
                file.write_bytes(data)
        with no_hang():
            use(folder, image_id, place)
        shutil.rmtree(place)


def try_archives(whole, tmp_path, count):
    source, image_id, _ = whole
    data, chance = (source.parent / "one.cs1zip").read_bytes(), random.Random("archive 7")
    path = tmp_path / "x.cs1zip"
    for number in range(count):
        if chance.random() < 0.6:
            path.write_bytes(broken(data, chance))
        else:
            with zipfile.ZipFile(source.parent / "one.cs1zip") as old, zipfile.ZipFile(path, "w") as new:
                for info in old.infolist():
                    one = old.read(info)
                    if info.filename == "cs1zip.json":
                        one = json.dumps(other(json.loads(one), chance)).encode()
                    new.writestr(info.filename, one)
        place = tmp_path / f"in{number}"
        place.mkdir()
        with no_hang():
            try:
                folder = import_file(path, place)
            except ProjectError:
                assert list(place.iterdir()) == []
            else:
                use(folder, image_id, place)
        shutil.rmtree(place)


def try_preferences(tmp_path, count):
    chance = random.Random("preferences 7")
    folder = places.config_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "preferences.json"
    store = PreferencesStore(path)
    store.update(theme="dark", brush_size=20.0, project_folder="/x", protect_cells=False)
    store.set_layout("window", b"123")
    store.flush()
    recent.add(tmp_path / "a.cs1project", "a")
    good, projects = path.read_bytes(), (folder / "recent.json").read_bytes()
    _, listed = unseal(projects, recent._KIND)
    for _ in range(count):
        values = json.dumps(other(json.loads(good), chance)).encode()
        path.write_bytes(broken(good, chance) if chance.random() < 0.5 else values)
        store = PreferencesStore(path)
        store.set("theme", "light")
        store.flush()
        data = seal(recent._KIND, 1, json.dumps(other(listed, chance))[1:])
        data = broken(projects, chance) if chance.random() < 0.3 else data
        for name in ("recent.json", "recent.json.bak"):
            (folder / name).write_bytes(data)
        recent.recent()
        recent.add(tmp_path / "b.cs1project", "b")
        assert recent.recent()[0].name == "b"


KINDS = ["project", "journal", "snapshot", "removed", "run"]


@pytest.mark.parametrize("kind", KINDS)
def test_some_changed_files(whole, tmp_path, kind):
    try_files(whole, tmp_path, kind, 8)


def test_some_changed_archives(whole, tmp_path):
    try_archives(whole, tmp_path, 20)


def test_some_changed_preferences(qapp, tmp_path):
    try_preferences(tmp_path, 40)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, "archive", "preferences"])
def test_five_hundred_changed_files(whole, qapp, tmp_path, kind):
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if kind == "archive":
        try_archives(whole, tmp_path, 500)
    elif kind == "preferences":
        try_preferences(tmp_path, 500)
    else:
        try_files(whole, tmp_path, kind, 500)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000, "kilobytes"
