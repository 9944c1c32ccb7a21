"""After a crash the next start says so, names the log and offers the work back; after a proper end it says nothing."""

import os
import signal

import pytest
from desktop import until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals and an X server of its own")

NOTICE = "CellSeg1 Studio ended unexpectedly last time.*"


def said(state):
    return [one["name"] for one in state["things"] if one["kind"] == "text" and one["name"].startswith(NOTICE[:-1])]


def at_start(desktop):
    studio = desktop.start()
    studio.wait(lambda now: now["page"] == "start" and now["window"], "the start page")
    return studio


def leave(studio):
    studio.key("ctrl+q")
    until(lambda: studio.process.poll() is not None, "the end of the program")
    assert studio.process.returncode == 0, studio.words()


def test_a_crash_is_told_at_the_next_start(desktop):
    studio = desktop.start("--sample")
    state = studio.wait(lambda now: now["document"] and now["canvas"]["rect"], "the sample")
    before = state["document"]
    studio.key("b")
    studio.stroke((6, 6), (12, 8))
    state = studio.wait(lambda now: now["document"]["undo"] == before["undo"] + 1, "a stroke")
    last = state["document"]
    studio.kill(signal.SIGSEGV)
    assert studio.process.returncode == -signal.SIGSEGV
    until(lambda: not desktop.programs(), "the end of the engines", 30)

    studio = at_start(desktop)
    (sentence,) = said(studio.fresh())
    log = desktop.home / "logs" / "studio.log"
    assert str(log) in sentence
    assert "Segmentation fault" in log.read_text()
    studio.press("Show the log", "QPushButton")
    studio.wait(lambda now: [one["kind"] for one in now["dialogs"]] == ["LogWindow"], "the log")
    studio.key("Escape")
    studio.wait(lambda now: not now["dialogs"], "the end of the log")
    studio.press("Open the project Sample again", "QPushButton")
    state = studio.wait(lambda now: now["document"], "the project")
    assert state["document"] == last
    assert not state["read_only"]
    assert said(studio.fresh()) == []
    leave(studio)

    studio = at_start(desktop)
    assert said(studio.fresh()) == []
    leave(studio)
    assert not [*desktop.home.glob("logs/running-*"), *desktop.home.glob("logs/crash-*")]
