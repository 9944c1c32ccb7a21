"""The program is killed at any moment, again and again: at most the unfinished edit is gone."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from project_help import SHAPE, act, close_plane, new_project, open_plane, same

from app.annotation import Document
from app.project.project import Project

KILLS = 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fifty_kills_lose_at_most_the_unfinished_edit(tmp_path):
    project, (image_id,) = new_project(tmp_path)
    folder, path = project.folder, project.drawings.journal_path(image_id)
    project.drawings.document(image_id)
    project.close()
    child = Path(__file__).with_name("journal_child.py")
    chance, expected, number = random.Random(4), Document(SHAPE), 0
    with subprocess.Popen(
        [sys.executable, str(child), str(folder), image_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        for kill in range(KILLS):
            acknowledged = max(number, kill_one(process, chance.uniform(0, 0.16)))
            # In between the window looks at it, or opens and closes it properly.
            if kill % 7 == 3:
                with Project.open(folder) as project:
                    assert not project.read_only, "the lock of a killed process is no obstacle"
                    assert project.damage == []
                    document = project.drawings.document(image_id)
                    found = project.drawings._planes[image_id, 0, 0].journal.last
                    number = follow(expected, number, acknowledged, found)
                    assert same(document, expected)
                    assert project.images.get(image_id).cells == len(expected.cells)
            else:
                plane = open_plane(path, read_only=True)
                number = follow(expected, number, acknowledged, plane.journal.last)
                assert same(plane.document(), expected)
                look_back(plane.document(), expected)
                close_plane(plane, save=False)
        process.stdin.close()
    assert number > KILLS
    with Project.open(folder) as project:
        assert project.damage == []
        document = project.drawings.document(image_id)
        assert same(document, expected)
        look_back(document, expected, steps=60)


def kill_one(process, delay):
    """Start a child and kill it after a while; returns the last edit that it said was finished."""
    process.stdin.write(b"go\n")
    child, last, end = 0, 0, time.monotonic() + delay
    for line in process.stdout:
        word, *rest = line.split()
        if word == b"child":
            child = int(rest[0])
            # Half of the time from its first breath, else from when it is editing.
            if delay > 0.06:
                time.sleep(delay - 0.06)
                os.kill(child, signal.SIGKILL)
                child = -1
        elif word == b"open" and child > 0:
            end = time.monotonic() + delay
        elif word == b"done":
            last = int(rest[0])
        elif word == b"gone":
            return last
        if child > 0 and word != b"child" and time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
            child = -1
    raise AssertionError("the program that edits ended")


def follow(expected, number, acknowledged, found):
    """Bring the document in memory to the number that was found: all that was acknowledged, at most one more."""
    assert acknowledged <= found <= acknowledged + 1
    for one in range(number + 1, found + 1):
        act(expected, one)
    return found


def look_back(document, expected, steps=12):
    """Undo works, step by step, and back again."""
    count = 0
    while count < steps and document.can_undo:
        document.undo()
        expected.undo()
        assert np.array_equal(document.labels, expected.labels)
        count += 1
    for _ in range(count):
        document.redo()
        expected.redo()
    assert np.array_equal(document.labels, expected.labels)
