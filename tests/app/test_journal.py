"""The journal of a plane: nothing that was finished is lost, whatever happens to the files."""

import gc
import os
import shutil
import weakref

import numpy as np
import pytest
from project_help import SHAPE, FullDisk, act, close_plane, drawn, is_after, open_plane, replica, same

from app.annotation.steps import HistoryError
from app.base.errors import ProjectError
from app.project.files.sealed import DamagedError
from app.project.journal import journal as journals
from app.project.journal.journal import Journal
from app.project.journal.records import HEAD, STATE, STEP, State, pack, record_at, scan
from app.project.journal.recovery import recover, snapshot_of


@pytest.fixture
def path(tmp_path):
    return tmp_path / "z000_t000.journal"


def records_of(path):
    return scan(path.read_bytes())[0]


# ---- records


def test_records_are_found_again_behind_damage():
    parts = [pack(STEP, number, bytes([number]) * number) for number in range(1, 6)]
    data = bytearray(b"".join(parts))
    data[len(parts[0]) + 9] ^= 1
    records, whole = scan(bytes(data))
    assert [record.number for record in records] == [1, 3, 4, 5]
    assert not whole
    assert records[-1].payload(bytes(data)) == b"\5" * 5
    assert scan(b"".join(parts))[1]


def test_every_flipped_bit_of_a_record_is_noticed():
    data = pack(STEP, 7, b"payload")
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            assert record_at(bytes(flipped), 0) is None


def test_a_state_comes_back_as_it_was():
    labels = np.random.default_rng(3).integers(0, 4, (13, 29)).astype(np.int32) * 700_000
    back = State.unpack(9, State(9, labels, {"region": [1, 2, 3, 4], "checked": True}).pack())
    assert np.array_equal(back.labels, labels)
    assert back.attributes == {"region": [1, 2, 3, 4], "checked": True}
    with pytest.raises(DamagedError):
        State.unpack(9, b"no state")


# ---- every edit is on disk before the next


def test_each_edit_is_in_the_file_before_the_next_begins(path):
    plane = open_plane(path)
    for number in range(1, 30):
        act(plane.document(), number)
        seen = [record.number for record in records_of(path) if record.kind != HEAD]
        assert seen == list(range(1, number + 1))
    close_plane(plane)


def test_reopened_with_and_without_snapshot(path):
    for count, save in ((12, False), (20, True), (33, False), (34, True)):
        drawn(path, count, save=save)
        plane = open_plane(path)
        expected = replica(count)
        assert same(plane.document(), expected)
        assert len(plane.document().cells) == len(expected.cells)
        assert plane.document().undo_count == expected.undo_count
        assert plane.document().undo_name == expected.undo_name
        close_plane(plane, save=False)


def test_a_snapshot_spares_the_replay(path, monkeypatch):
    drawn(path, 25, save=True)
    assert recover(path).operations == []
    from app.annotation import Document

    monkeypatch.setattr(Document, "replay", lambda *_: pytest.fail("replayed"))
    plane = open_plane(path)
    assert same(plane.document(), replica(25))
    close_plane(plane)


def test_undo_and_redo_over_a_restart(path):
    drawn(path, 30, save=True)
    expected, plane = replica(30), open_plane(path)
    while expected.can_undo:
        expected.undo()
        plane.document().undo()
        assert same(plane.document(), expected)
    assert not plane.document().can_undo
    close_plane(plane)
    plane = open_plane(path)
    while expected.can_redo:
        expected.redo()
        plane.document().redo()
        assert same(plane.document(), expected)
    assert not plane.document().can_redo
    close_plane(plane)


# ---- cut and flipped


def prepared(folder, saved, total):
    """Journals of `total` operations: without a snapshot, with one of the first `saved`, and a compacted one."""
    plain, with_snapshot, compacted = (folder / name / "z000_t000.journal" for name in "abc")
    drawn(plain, total)
    drawn(with_snapshot, saved, save=True)
    drawn(with_snapshot, total)
    plane = open_plane(compacted)
    for number in range(1, total + 1):
        act(plane.document(), number)
        if number == saved:
            done, undone = plane.document().history()
            state = State(number, plane.document().labels.copy(), dict(plane.document().attributes), done, undone)
            plane.journal.compact(state, plane.journal.mark()[1])
    close_plane(plane, save=False)
    return plain, with_snapshot, compacted


def check_open(path, least, total, *, undo=True):
    """Open read-only: at least so many operations are there, and undo works; returns the number."""
    plane = open_plane(path, read_only=True)
    document = plane.document()
    fits = [count for count in range(least, total + 1) if is_after(document, count)]
    assert fits, "this is no state that ever was"
    while undo and document.can_undo:
        document.undo()
    close_plane(plane, save=False)
    return fits[-1]


def test_cut_at_every_byte_of_the_last_record(tmp_path):
    total = 9
    for source in prepared(tmp_path, 5, total):
        last, data = records_of(source)[-1], source.read_bytes()
        for size in range(last.start, last.end):
            source.write_bytes(data[:size])
            check_open(source, total - 1, total - 1, undo=size % 4 == 0)
        source.write_bytes(data)
        check_open(source, total, total)


def test_cut_anywhere_keeps_every_whole_record(tmp_path):
    source = prepared(tmp_path, 5, 9)[0]
    records, data = records_of(source), source.read_bytes()
    for size in range(0, len(data), 3):
        source.write_bytes(data[:size])
        whole = [record.number for record in records if record.end <= size]
        check_open(source, max(whole, default=0), max(whole, default=0))


def flip(path, position, mask=0x41):
    with path.open("r+b") as stream:
        stream.seek(position)
        (value,) = stream.read(1)
        stream.seek(position)
        stream.write(bytes([value ^ mask]))


def test_one_flipped_byte_anywhere_in_a_journal(tmp_path):
    total = 6
    plain, with_snapshot, compacted = prepared(tmp_path, 3, total)
    for source, saved in ((plain, 0), (with_snapshot, 3), (compacted, 3)):
        for record in records_of(source):
            if record.kind in (HEAD, STATE):
                least = most = total
            elif record.number > saved:
                least = most = record.number - 1
            else:
                # Its effect is in the snapshot; what came later may still need it, to do it again.
                least, most = saved, total
            # All positions of the first, half of those of the others.
            for position in range(record.start, record.end, 2 if saved else 1):
                flip(source, position)
                check_open(source, least, most, undo=position % 8 == 0)
                flip(source, position)


def test_one_flipped_byte_anywhere_in_a_snapshot(tmp_path):
    total = 8
    for source in prepared(tmp_path, 5, total)[1:]:
        snapshot = snapshot_of(source)
        for position in range(snapshot.stat().st_size):
            flip(snapshot, position)
            check_open(source, total, total, undo=position % 8 == 0)
            flip(snapshot, position)


@pytest.mark.parametrize("place", [0, 50, "middle", "last", "end"])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_damaged_files_are_kept_and_work_goes_on(tmp_path, which, place):
    total = 9
    source = prepared(tmp_path, 5, total)[which]
    records, size = records_of(source), source.stat().st_size
    at = {"middle": records[-3].start + 20, "last": records[-1].start + 6, "end": size - 1}.get(place, place)
    flip(source, at)
    damaged, damage = source.read_bytes(), []
    number = check_open(source, total - 3, total)
    plane = open_plane(source, damage=damage)
    assert same(plane.document(), replica(number))
    kept = source.with_name("z000_t000.journal.damaged-1")
    assert kept.read_bytes() == damaged
    assert len(damage) == 1
    assert kept.name in damage[0]
    assert ("no cell was lost" in damage[0]) == (number == total)
    # Everything is whole again, and new edits go on top.
    document = plane.document()
    document.set_attribute("Mark", "checked", True)
    state, undone = document.labels.copy(), document.undo_count
    close_plane(plane, save=False)
    found = recover(source)
    assert not found.damaged
    assert not found.lost
    plane = open_plane(source)
    assert np.array_equal(plane.document().labels, state)
    assert plane.document().attributes["checked"] is True
    assert plane.document().undo_count == undone
    close_plane(plane)
    flip(source, 5)
    close_plane(open_plane(source))
    assert kept.read_bytes() == damaged
    assert source.with_name("z000_t000.journal.damaged-2").exists()


def test_a_damaged_snapshot_is_written_again(path):
    drawn(path, 12, save=True)
    flip(snapshot_of(path), 30)
    damage = []
    plane = open_plane(path, damage=damage)
    assert same(plane.document(), replica(12))
    assert "snapshot" in damage[0]
    assert "no cell was lost" in damage[0]
    close_plane(plane)
    assert not recover(path).damaged


def test_looking_at_a_damaged_journal_changes_nothing(path):
    drawn(path, 9)
    flip(path, path.stat().st_size - 2)
    before, damage = path.read_bytes(), []
    plane = open_plane(path, read_only=True, damage=damage)
    assert same(plane.document(), replica(8))
    act(plane.document(), 9)
    close_plane(plane)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert damage


def test_an_empty_or_foreign_file_is_no_obstacle(path):
    path.write_bytes(b"")
    plane = open_plane(path)
    act(plane.document(), 1)
    close_plane(plane, save=False)
    plane = open_plane(path)
    assert same(plane.document(), replica(1))
    close_plane(plane)
    snapshot_of(path).unlink()
    path.write_bytes(b"something else entirely" * 20)
    damage = []
    plane = open_plane(path, damage=damage)
    assert not len(plane.document().cells)
    assert damage
    act(plane.document(), 1)
    close_plane(plane)
    assert path.with_name(f"{path.name}.damaged-1").read_bytes().startswith(b"something")


def test_an_image_of_another_size_does_not_touch_its_cells(path):
    drawn(path, 9, save=True)
    before = path.read_bytes()
    with pytest.raises(ProjectError, match="47 x 30 pixels, but now it has 31 x 30"):
        open_plane(path, (30, 31))
    assert path.read_bytes() == before
    # Where nothing is drawn yet, nothing is at stake.
    empty = path.with_name("z001_t000.journal")
    drawn(empty, 0)
    close_plane(open_plane(empty, (5, 6)))


def test_a_journal_of_a_newer_program_is_refused(path):
    path.write_bytes(2 * pack(HEAD, 0, b'{"schema":2,"shape":[30,47]}') + pack(STEP, 1, b"?"))
    before = path.read_bytes()
    with pytest.raises(ProjectError, match="newer version"):
        open_plane(path)
    assert path.read_bytes() == before


# ---- long histories


@pytest.mark.parametrize("crash", [True, False])
def test_five_hundred_steps_can_be_undone_after_reopening_and_compaction(path, monkeypatch, crash):
    monkeypatch.setattr(journals, "COMPACT_BYTES", 60_000)
    monkeypatch.setattr(journals, "SNAPSHOT_BYTES", 20_000)
    plane = open_plane(path, (64, 91))
    document = plane.document()
    states, sizes = [document.labels.copy()], []
    for number in range(1, 1101):
        y, x = number % 50, (7 * number) % 80
        box = (y, x, y + 9, x + 11)
        document.apply("Paint", lambda edit, box=box, n=number: edit.paint((box, np.ones((9, 11), bool)), n, False))
        states.append(document.labels.copy())
        sizes.append(path.stat().st_size)
    assert min(np.diff(sizes)) < 0, "it was never compacted"
    close_plane(plane, save=not crash)
    del document
    plane = open_plane(path, (64, 91))
    document = plane.document()
    assert np.array_equal(document.labels, states[1100])
    count = 0
    while document.can_undo:
        document.undo()
        count += 1
        assert np.array_equal(document.labels, states[1100 - count])
    assert count >= 500
    for forth in range(1, count + 1):
        document.redo()
        assert np.array_equal(document.labels, states[1100 - count + forth])
    close_plane(plane)


def test_what_happens_during_a_compaction_is_in_the_new_file(path):
    """The background writes a state while the user goes on."""
    plane = open_plane(path)
    document, journal = plane.document(), plane.journal
    for number in range(1, 15):
        act(document, number)
    done, undone = document.history()
    state = State(journal.last, document.labels.copy(), dict(document.attributes), done, undone)
    mark = journal.mark()[1]
    for number in range(15, 23):
        act(document, number)
    journal.compact(state, mark)
    for number in range(23, 31):
        act(document, number)
    expected = replica(30)
    while document.can_undo:
        document.undo()
        expected.undo()
    while document.can_redo:
        document.redo()
        expected.redo()
    assert same(document, expected)
    close_plane(plane, save=False)
    snapshot_of(path).unlink()
    plane = open_plane(path)
    assert same(plane.document(), expected)
    close_plane(plane)


def test_a_failed_compaction_leaves_the_journal_as_it_was(path, monkeypatch):
    plane = open_plane(path)
    for number in range(1, 12):
        act(plane.document(), number)
    before = path.read_bytes()
    disk = FullDisk(monkeypatch)
    disk.full = True
    done, undone = plane.document().history()
    with pytest.raises(OSError, match=r"write|space"):
        plane.journal.compact(State(11, plane.document().labels.copy(), {}, done, undone), plane.journal.mark()[1])
    disk.full = False
    assert path.read_bytes() == before
    act(plane.document(), 12)
    close_plane(plane, save=False)
    assert [file.name for file in path.parent.iterdir() if file.suffix == ".part"] == []
    check_open(path, 12, 12)


# ---- full disk


@pytest.mark.parametrize("room", [0, 1, 30, 90])
def test_a_full_disk_loses_nothing_and_work_goes_on(path, monkeypatch, room):
    problems = []
    plane = open_plane(path, problems=problems)
    document = plane.document()
    for number in range(1, 10):
        act(document, number)
    disk = FullDisk(monkeypatch, room)
    disk.full = True
    for number in range(10, 20):
        act(document, number)
        assert len(problems) == 1, "it is said once, and at once"
    assert isinstance(problems[0], OSError)
    assert same(document, replica(19))
    expected = replica(19)
    document.undo(), expected.undo()
    assert same(document, expected)
    assert plane.journal.unsaved
    # What is on disk is whole up to where the disk was full.
    check_open(path, 9, 12)
    disk.full = False
    assert plane.journal.sync()
    assert problems[1:] == [None]
    assert not plane.journal.unsaved
    close_plane(plane, save=False)
    plane = open_plane(path)
    assert same(plane.document(), expected)
    close_plane(plane)


def test_a_disk_that_is_full_from_the_start(path, monkeypatch):
    disk = FullDisk(monkeypatch, 10)
    disk.full = True
    plane = open_plane(path)
    act(plane.document(), 1)
    act(plane.document(), 2)
    disk.full = False
    act(plane.document(), 3)
    close_plane(plane, save=False)
    check_open(path, 3, 3)


def test_a_damaged_journal_on_a_full_disk_is_mended_later(path, monkeypatch):
    drawn(path, 9)
    flip(path, path.stat().st_size - 2)
    damaged = path.read_bytes()
    problems, damage = [], []
    disk = FullDisk(monkeypatch)
    disk.full = True
    plane = open_plane(path, problems=problems, damage=damage)
    assert len(damage) == 1
    assert len(problems) == 1
    document = plane.document()
    assert same(document, replica(8))
    document.set_attribute("Mark", "checked", True)
    assert path.read_bytes() == damaged, "nothing is written behind the damage"
    disk.full = False
    assert plane.journal.sync()
    close_plane(plane, save=False)
    plane = open_plane(path)
    assert np.array_equal(plane.document().labels, replica(8).labels)
    assert plane.document().attributes["checked"] is True
    close_plane(plane)
    assert any(file.read_bytes() == damaged for file in path.parent.glob("*.damaged-*"))


def test_a_deleted_folder_is_noticed(tmp_path):
    path = tmp_path / "gone" / "z000_t000.journal"
    problems = []
    plane = open_plane(path, problems=problems)
    act(plane.document(), 1)
    assert plane.journal.sync()
    shutil.rmtree(path.parent)
    act(plane.document(), 2)
    assert not plane.journal.sync()
    assert isinstance(problems[-1], FileNotFoundError)
    act(plane.document(), 3)
    assert isinstance(problems[-1], FileNotFoundError), "a write into a file without a name is no success"
    plane.journal.close()


def test_sync_brings_it_to_the_disk(path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(journals.os, "fsync", lambda handle: (synced.append(handle), real(handle)))
    plane = open_plane(path)
    act(plane.document(), 1)
    synced.clear()
    assert plane.journal.sync()
    assert len(synced) == 1
    assert plane.journal.sync()
    assert len(synced) == 1, "nothing new, nothing to do"
    close_plane(plane)


# ---- reading steps


def test_a_step_that_is_gone_is_said_so(path):
    drawn(path, 9, save=True)
    journal = Journal(path, SHAPE, recover(path))
    record = next(record for record in records_of(path) if record.kind == STEP)
    assert journal.read(record.number)
    with pytest.raises(HistoryError):
        journal.read(999)
    flip(path, record.start + 25)
    with pytest.raises(HistoryError):
        journal.read(record.number)
    journal.close()


def test_a_document_that_outlives_its_journal_goes_on_in_memory(path):
    plane = open_plane(path)
    document = plane.document()
    for number in range(1, 9):
        act(document, number)
    size = path.stat().st_size
    close_plane(plane)
    act(document, 9)
    assert same(document, replica(9))
    document.undo()
    assert path.stat().st_size == size


def test_nobody_holds_a_document_in_a_circle(path):
    plane = open_plane(path)
    gone = weakref.ref(plane.document())
    act(plane.document(), 1)
    gc.disable()
    try:
        plane.kept = None
        assert gone() is None
    finally:
        gc.enable()
    plane.journal.close()
