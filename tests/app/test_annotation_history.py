"""Every sequence of edits can be taken back and done again, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from annotation_help import MemoryLog, check_travel, fresh_table, random_labels, same, state, table, walk

from app.annotation import Document


@pytest.mark.parametrize(
    ("shape", "seed"), [((120, 203), 0), ((300, 530), 1), ((257, 90), 2), ((9, 700), 3), ((1, 40), 4), ((61, 1), 5)]
)
def test_any_sequence_can_be_undone_and_redone(shape, seed):
    rng = np.random.default_rng(seed)
    start = random_labels(rng, shape, 15)
    given = start.copy()
    document = Document(shape, given, {"region": [0, 0, 3, 4]})
    states, _made = walk(document, rng, 70)
    assert np.array_equal(given, start)
    assert np.array_equal(states[0][0], start)
    check_travel(document, states)


def test_going_back_and_forth_between_edits_keeps_the_table_right():
    rng = np.random.default_rng(7)
    document = Document((140, 260), random_labels(rng, (140, 260), 20))
    states = [state(document)]
    for _ in range(60):
        while rng.random() < 0.5 and document.undo() is not None:
            pass
        while rng.random() < 0.3 and document.redo() is not None:
            pass
        assert table(document) == fresh_table(document.labels)
        del states[document.undo_count + 1 :]
        assert same(states[-1], state(document)) or document.can_redo
        states = [*states[: document.undo_count], state(document)]
        more, _ = walk(document, rng, 1)
        assert not document.can_redo
        states.append(more[-1])
    check_travel(document, states)


def test_600_mixed_steps_all_come_back_also_from_the_log():
    rng = np.random.default_rng(11)
    log = MemoryLog()
    document = Document((90, 151), log=log, memory_limit=3000)
    states, made = walk(document, rng, 600, check_every=20)
    assert sum(made.values()) == 600
    assert not made.pop("given up")
    assert min(made.values()) >= 5, made
    assert document._history.memory <= 3000
    assert not log.reads
    check_travel(document, states)
    assert len(set(log.reads)) > 500
    # Undo and redo are in the log too, so that it can be replayed.
    again = Document((90, 151))
    for token, (kind, payload) in enumerate(log.records):
        again.replay(kind, payload, token)
    assert same(state(again), states[-1])
    assert again.history() == document.history()
    check_travel(again, states)


def test_without_a_log_nothing_is_dropped_from_memory():
    rng = np.random.default_rng(12)
    document = Document((60, 101), memory_limit=10)
    states, _ = walk(document, rng, 30)
    assert all(ref.token is None for ref in document.history()[0])
    check_travel(document, states)


def test_history_is_restored_from_a_log():
    rng = np.random.default_rng(13)
    log = MemoryLog()
    document = Document((70, 121), log=log)
    states, _ = walk(document, rng, 40)
    for _ in range(15):
        document.undo()
    done, undone = document.history()
    assert (len(done), len(undone)) == (25, 15)
    assert all(log.read(ref.token) == payload for ref, payload in zip(done + undone, document.payloads(), strict=True))
    assert all(ref.size == len(log.read(ref.token)) for ref in done + undone)
    opened = Document(document.shape, document.labels, dict(document.attributes), log)
    opened.load_history(done, undone)
    assert opened.history() == (done, undone)
    assert (opened.undo_name, opened.redo_name) == (done[-1].name, undone[0].name)
    while opened.redo():
        pass
    check_travel(opened, states)
    # Trimmed, the newest steps are left.
    opened.trim_history(12)
    for expected in states[-2:-14:-1]:
        opened.undo()
        assert same(expected, state(opened))
    assert not opened.can_undo


def test_memory_counts_follow_cuts_and_spills():
    log = MemoryLog()
    document = Document((64, 95), log=log, memory_limit=1000)
    rng = np.random.default_rng(3)
    for _ in range(40):
        walk(document, rng, 3, check_every=99)
        for _ in range(rng.choice([0, 1, 2, 20])):
            document.undo()
        history = document._history
        held = [entry for entry in history.done + history.undone if entry.payload is not None]
        assert history.memory == sum(entry.size for entry in held)
        assert history.memory <= 1000
