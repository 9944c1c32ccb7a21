"""Who has a project open: never two, whatever was left behind and whatever the file system can do."""

import contextlib
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from project_help import new_project

from app.project.files import lock
from app.project.files.lock import NAME, Holder, acquire
from app.project.project import Project


@contextlib.contextmanager
def others(folder, count, system="with"):
    """Processes that try to get the lock of a folder."""
    command = [sys.executable, str(Path(__file__).with_name("lock_child.py")), str(folder), system]
    with contextlib.ExitStack() as stack:
        found = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(count)
        ]
        for one in found:
            assert one.stdout.readline() == "ready\n"
        yield found
        for one in found:
            one.stdin.close()


def ask(processes, word):
    for one in processes:
        one.stdin.write(word + "\n")
        one.stdin.flush()
    return [one.stdout.readline().split() for one in processes]


def left_behind(folder, kind):
    path = folder / NAME
    path.unlink(missing_ok=True)
    match kind:
        case "gone":
            path.write_bytes(lock._packed(dataclasses.replace(Holder.me(), pid=2**22 + 17)))
        case "torn":
            path.write_bytes(lock._packed(Holder.me())[:40])
        case "none":
            pass


@pytest.mark.parametrize(
    ("kind", "system", "rounds"),
    [("gone", "with", 200), ("torn", "with", 60), ("none", "with", 60), ("gone", "without", 12)],
)
def test_two_at_once_are_never_two_owners(tmp_path, kind, system, rounds):
    with others(tmp_path, 2, system) as processes:
        pids = {str(one.pid) for one in processes}
        for number in range(rounds):
            left_behind(tmp_path, kind)
            answers = ask(processes, "get")
            owners = [answer[0] for answer in answers].count("True")
            # Without locks of the system both may step back, but two never go on.
            assert owners == 1 or (owners == 0 and system == "without"), (number, answers)
            if owners:
                loser = next(answer for answer in answers if answer[0] == "False")
                assert loser[2] in pids, "who has it is known"
            ask(processes, "release")
            assert owners == 0 or not (tmp_path / NAME).exists()


def test_a_lock_ends_with_its_process_and_holds_until_then(tmp_path):
    with others(tmp_path, 2) as (one, other):
        assert ask([one], "get")[0][0] == "True"
        # Its content may be lost: the system knows all the same.
        (tmp_path / NAME).write_bytes(b"")
        assert ask([other], "get")[0][0] == "False"
        one.kill()
        one.wait()
        assert ask([other], "get")[0][:2] == ["True", "True"]


def test_a_lock_that_was_replaced_is_left_to_whoever_has_it(tmp_path):
    held, _, _ = acquire(tmp_path)
    (tmp_path / NAME).unlink()
    second, holder, _ = acquire(tmp_path)
    assert second is not None
    assert holder is None
    held.release()
    assert (tmp_path / NAME).exists()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_the_same_process_does_not_get_it_twice(tmp_path):
    held, _, _ = acquire(tmp_path)
    again, holder, _ = acquire(tmp_path)
    assert again is None
    assert holder == held.holder
    held.release()


def test_a_lock_follows_its_folder(tmp_path):
    project, _ = new_project(tmp_path)
    project.rename("Other")
    with others(project.folder, 1) as processes:
        assert ask(processes, "get")[0][0] == "False"
        project.close()
        assert ask(processes, "get")[0][0] == "True"
        with Project.open(project.folder) as again:
            assert again.read_only


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and links")
def test_what_is_no_file_is_no_lock(tmp_path):
    target = tmp_path / "elsewhere.txt"
    target.write_text("mine")
    for make in (lambda path: os.mkfifo(path), lambda path: path.symlink_to(target)):
        make(tmp_path / NAME)
        held, _, _ = acquire(tmp_path)
        assert held is not None
        held.release()
    assert target.read_text() == "mine"
    (tmp_path / NAME).mkdir()
    with pytest.raises(OSError, match="directory"):
        acquire(tmp_path)


def test_a_lock_without_locks_of_the_system(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_locked", lambda handle: None)
    left_behind(tmp_path, "gone")
    held, _, stale = acquire(tmp_path)
    assert held is not None
    assert stale
    again, holder, _ = acquire(tmp_path)
    assert again is None
    assert holder == held.holder
    held.release()
    assert list(tmp_path.iterdir()) == []
