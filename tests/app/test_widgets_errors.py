import sys
import threading

import pytest
import shiboken6
from PySide6.QtCore import QEvent, QTimer
from PySide6.QtWidgets import QApplication, QWidget

from app.theme import apply_theme
from app.widgets.errors import ErrorDialog, ExceptionHook, describe, install_exception_hook, show_error
from cellseg1.errors import ImageError


@pytest.fixture(autouse=True)
def look(qapp):
    apply_theme(qapp, "light")
    yield
    for widget in QApplication.topLevelWidgets():
        if isinstance(widget, ErrorDialog):
            widget.close()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def thrown(error):
    try:
        raise error
    except type(error) as caught:
        return caught


def test_an_error_of_ours_is_its_own_sentence():
    sentence, details = describe(thrown(ImageError("a01.tif cannot be read.")))
    assert sentence == "a01.tif cannot be read."
    assert "Traceback" in details
    assert "test_widgets_errors.py" in details


def test_any_other_error_is_a_calm_sentence():
    sentence, details = describe(thrown(ZeroDivisionError("secret words")))
    assert sentence.startswith("Something went wrong")
    assert "start it again" in sentence
    # The dialog says that in a line of its own, and once is enough.
    assert "Nothing was lost" not in sentence
    assert "secret words" not in sentence
    assert "ZeroDivisionError: secret words" in details


def test_the_dialog_says_what_happened_and_copies_the_details(qtbot):
    dialog = show_error(None, "The image cannot be read. Copy it again.", "Traceback: x")
    assert dialog.isVisible()
    assert not dialog.isModal()
    assert dialog.safe.text() == "Nothing was lost."
    assert dialog.safe.isVisible()
    assert not dialog.text.isVisible()
    dialog.fold.set_open(True)
    assert dialog.text.isVisible()
    dialog.copy_button.click()
    copied = QApplication.clipboard().text()
    assert copied.startswith("The image cannot be read. Copy it again.\n\nTraceback: x\n\nCellSeg1 Studio ")
    assert "Qt 6." in copied
    dialog.close_button.click()
    assert not dialog.isVisible()


def test_nothing_lost_is_said_only_where_it_is_true_and_once(qtbot):
    lost = ErrorDialog("The disk is broken.", nothing_lost=False)
    said = ErrorDialog("Something went wrong. Nothing was lost.")
    for dialog in (lost, said):
        qtbot.addWidget(dialog)
        dialog.show()
        assert not dialog.safe.isVisible()
        assert not dialog.fold.isVisible()  # no details, nothing to unfold


def test_the_same_error_does_not_open_a_second_dialog(qtbot):
    parent = QWidget()
    qtbot.addWidget(parent)
    first = show_error(parent, "It failed.", "1")
    assert show_error(parent, "It failed.", "2") is first
    other = show_error(parent, "Another.")
    assert other is not first
    assert first.times == 2


def test_the_sentence_is_never_cut(qtbot):
    dialog = ErrorDialog("A sentence with many words that goes on and on. " * 8)
    qtbot.addWidget(dialog)
    dialog.show()
    QApplication.processEvents()
    label = dialog.findChildren(type(dialog.safe))[0]
    assert label.text().startswith("A sentence")
    assert label.height() >= label.heightForWidth(label.width())


@pytest.fixture
def hook(qapp):
    shown = []
    hook = ExceptionHook(show=lambda parent, sentence, details: shown.append((sentence, details)))
    hook.shown = shown
    hook.install()
    yield hook
    hook.remove()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_errors_that_nobody_caught_are_shown(hook, qtbot, caplog):
    sys.excepthook(ImageError, thrown(ImageError("No such image.")), None)
    assert [sentence for sentence, _details in hook.shown] == ["No such image."]

    def fail():
        raise ValueError("in a thread")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert len(hook.shown) == 1  # a dialog may only be made in the window's thread
    qtbot.waitUntil(lambda: len(hook.shown) == 2, timeout=2000)
    assert "in a thread" in hook.shown[1][1]
    assert sum("not caught" in record.message for record in caplog.records) == 2


def test_an_error_while_showing_one_ends(qapp):
    count = []

    def show(_parent, _sentence, _details):
        count.append(1)
        hook.handle(ValueError, ValueError("again"), None)

    hook = ExceptionHook(show=show)
    hook.handle(ValueError, ValueError("first"), None)
    assert len(count) == 1


def test_the_hook_gives_back_what_was_there(qapp):
    before = (sys.excepthook, threading.excepthook)
    parent = QWidget()
    uninstall = install_exception_hook(parent)
    assert sys.excepthook != before[0]
    shiboken6.delete(parent)
    sys.excepthook(ValueError, ValueError("the window is gone"), None)
    assert [w.details for w in QApplication.topLevelWidgets() if isinstance(w, ErrorDialog) and w.isVisible()] == [
        "ValueError: the window is gone"
    ]
    uninstall()
    assert (sys.excepthook, threading.excepthook) == before


def test_ctrl_c_goes_the_usual_way(hook, monkeypatch):
    seen = []
    hook._before = (lambda *args: seen.append(args[0]), threading.excepthook)
    hook.handle(KeyboardInterrupt, KeyboardInterrupt(), None)
    hook._before = (sys.__excepthook__, threading.__excepthook__)
    assert seen == [KeyboardInterrupt]
    assert hook.shown == []


def test_an_error_in_a_slot_reaches_the_hook(hook, qtbot):
    from pytestqt.exceptions import capture_exceptions

    with capture_exceptions() as captured:  # pytest-qt takes the hook meanwhile; what it caught is what ours would get
        QTimer.singleShot(0, lambda: 1 // 0)
        qtbot.waitUntil(lambda: captured != [], timeout=2000)
    hook.handle(*captured[0])
    assert hook.shown[0][0].startswith("Something went wrong")
