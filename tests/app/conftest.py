"""Every test of the window fails on what nobody would see otherwise.

A window that is still on the screen (or hidden, but alive) after the test, a message of Qt, an exception that nobody
caught in any thread or in a destructor, and an error dialog that the test does not expect.
"""

from __future__ import annotations

import gc

import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QtMsgType, qInstallMessageHandler
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.shell.garbage import Collector
from app.widgets import errors

# What is waited for comes at once or never, but on a busy computer "at once" may take a while.
for _wait in (QtBot.waitUntil, QtBot.waitSignal, QtBot.waitSignals):
    _wait.__kwdefaults__["timeout"] = 60_000

#: What the offscreen platform says for itself: it has no window manager.
_NOISE = ("This plugin does not support ",)


@pytest.fixture(scope="session", autouse=True)
def garbage_in_the_windows_thread(qapp):
    """As in the program (decision 0025): otherwise widgets of earlier tests end in threads of later ones."""
    collector = Collector()
    yield
    collector.end()


class Watch:
    """What went wrong beside the test; ``expected`` counts the error dialogs that the test wants."""

    def __init__(self):
        self.messages = []
        self.raised = []
        self.dialogs = []

    def message(self, kind, context, text):
        if kind not in (QtMsgType.QtDebugMsg, QtMsgType.QtInfoMsg) and not text.startswith(_NOISE):
            self.messages.append(f"{kind.name}: {text}")

    def unraisable(self, raised):
        self.raised.append(f"{raised.err_msg}: {raised.exc_value!r} in {raised.object!r}")


@pytest.fixture(autouse=True)
def nothing_goes_wrong_unseen(request, qapp, monkeypatch):
    watch = Watch()
    before = {shiboken6.getCppPointer(one)[0] for one in QApplication.topLevelWidgets()}
    shown = errors.ErrorDialog.__init__

    def opened(dialog, sentence, *rest, **named):
        shown(dialog, sentence, *rest, **named)
        watch.dialogs.append(sentence)

    monkeypatch.setattr(errors.ErrorDialog, "__init__", opened)
    previous = qInstallMessageHandler(watch.message)
    yield watch
    qInstallMessageHandler(previous)
    left = _left(before)
    if left:
        gc.collect()
        left = _left(before)
    assert not watch.messages, f"Qt said: {watch.messages}"
    assert not left, f"windows are left: {left}"


def _left(before):
    """Return the windows that were not there before, once what is to be deleted is gone."""
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()
    return [
        f"{type(one).__name__} {one.windowTitle()!r} {one.accessibleName()!r}"
        for one in QApplication.topLevelWidgets()
        if shiboken6.getCppPointer(one)[0] not in before
    ]
