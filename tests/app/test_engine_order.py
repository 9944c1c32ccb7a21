"""A job whose request comes later than its engine: every order of what window and engine do, with a fake channel."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QApplication

from app.engine import jobs as client
from app.engine.jobs import JobHandle
from app.engine.link import Exit
from app.engine.messages import Done, EngineOptions, Progress, Quit, Ready, Stop, TrainRequest


class FakeLink(QObject):
    """What a `Link` says and hears, without a process behind it."""

    answered = Signal(int, object)
    gone = Signal(object)

    def __init__(self, _options, parent=None):
        super().__init__(parent)
        self.pid, self.heard, self.begun = 1, time.monotonic(), threading.Event()
        self.posted, self.over = [], False
        self.ended_by = None

    def start(self):
        self.begun.set()

    def wait(self):
        return True

    def post(self, number, request, _array=None):
        if not self.over:
            self.posted.append((number, request))

    def shutdown(self, _grace):
        self.post(0, Quit())

    def terminate_in(self, seconds):
        self.ended_by = seconds

    def kill(self):
        self.ended_by = 0

    # ---- the engine

    def ready(self):
        self.answered.emit(0, Ready(1))

    def progress(self):
        self.answered.emit(1, Progress(0.5, "Epoch 1 of 2"))

    def exit(self):
        """End as an engine would that was told what was posted so far."""
        told = [request for _number, request in self.posted]
        if any(isinstance(one, TrainRequest) for one in told):
            self.answered.emit(1, Done({"stopped": any(isinstance(one, (Stop, Quit)) for one in told)}))
        self.over = True
        asked = any(isinstance(one, (Stop, Quit)) for one in told) or bool(self.requests())
        self.gone.emit(Exit(0 if asked else 1))

    def requests(self):
        return [request for _number, request in self.posted if isinstance(request, TrainRequest)]


EMPTY = TrainRequest((), (), Path("a.cs1"))
WHOLE = TrainRequest((Path("a.png"),), (Path("a.tif"),), Path("a.cs1"))


@pytest.fixture
def job(qapp, monkeypatch):
    monkeypatch.setattr(client, "Link", FakeLink)
    handle = JobHandle(EMPTY, "Training", "1", EngineOptions(), held="Writing the masks")
    handle.ends = []
    handle.ended.connect(lambda one: handle.ends.append(one.state))
    yield handle
    handle.deleteLater()
    QApplication.sendPostedEvents(handle)


def do(job, what):
    match what:
        case "release":
            job.release(WHOLE)
        case "give_up":
            job.give_up("The disk is full.")
        case "stop":
            job.stop()
        case "exit" if job.link.over:
            pass
        case _:
            getattr(job.link, what)()
    QApplication.sendPostedEvents(job)


EVENTS = ("ready", "release", "give_up", "stop", "progress", "exit")
#: Every order of every choice of events: each two of them meet in both orders, whatever was before and comes after.
ORDERS = [order for count in range(1, len(EVENTS) + 1) for order in itertools.permutations(EVENTS, count)]


def expected(order):
    """What was handed over, and how it ends; by the events that the window decides on, in their order."""
    decisive = [one for one in order if one in ("release", "give_up", "stop", "exit")]
    first = decisive[0] if decisive else None
    handed_over = first == "release"
    before_exit = decisive[: decisive.index("exit")] if "exit" in decisive else decisive
    if first == "give_up":
        return handed_over, "failed"
    if first == "exit":
        return handed_over, "failed"
    if "stop" in before_exit:
        return handed_over, "stopped"
    return handed_over, "finished" if handed_over else "failed"


@pytest.mark.parametrize("first", EVENTS)
def test_what_is_handed_over_does_not_depend_on_who_was_first(first, monkeypatch, qapp):
    monkeypatch.setattr(client, "Link", FakeLink)
    for order in (one for one in ORDERS if one[0] == first):
        job = JobHandle(EMPTY, "Training", "1", EngineOptions(), held="Writing the masks")
        ends = []
        job.ended.connect(lambda one, ends=ends: ends.append(one.state))
        for event in order:
            do(job, event)
        handed_over, end = expected(order)
        assert [one is WHOLE for one in job.link.requests()] == [True] * handed_over, order
        if "exit" not in order:
            assert job.running, order
            do(job, "exit")
        assert ends == [end], order
        assert job.state == end, order
        assert not job.waiting_for, order
        if (
            "give_up" in order
            and end == "failed"
            and order.index("give_up")
            == min(order.index(one) for one in order if one in ("release", "give_up", "stop", "exit"))
        ):
            assert job.error[0] == "The disk is full.", order
        job.deleteLater()


def test_it_says_what_it_waits_for_and_runs_from_the_first_word_about_its_request(job):
    assert job.waiting_for == "Writing the masks"
    do(job, "ready")
    assert (job.state, job.waiting_for) == ("starting", "Writing the masks")
    do(job, "release")
    assert (job.state, job.waiting_for) == ("starting", "Starting the engine")
    do(job, "progress")
    assert (job.state, job.waiting_for) == ("running", "")


def test_waiting_has_an_end(job):
    do(job, "ready")
    assert job._waited.isActive()
    job._waited.timeout.emit()
    do(job, "exit")
    assert job.ends == ["failed"]
    assert "Writing the masks took too long" in job.error[0]
    assert not job._waited.isActive()


def test_a_job_that_is_closed_while_it_waits_is_handed_nothing_more(job):
    job.close(1.0)
    do(job, "release")
    assert not job.link.requests()
    do(job, "exit")
    assert job.ends == ["stopped"]
